"""The atom of stem files, in boxes of any kind and in a file that ffmpeg has made."""

import json
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from umx import stem_atom

NAMES = ("Schlagzeug", "Bass", "Melodie", "ボーカル")
ffmpeg = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="To test MP4 files, install ffmpeg.")

some_boxes = st.lists(
    st.tuples(st.binary(min_size=4, max_size=4).filter(lambda n: n != b"udta"), st.binary())
)


def box(name: bytes, content: bytes) -> bytes:
    return stem_atom.head(name, len(content)) + content


def joined(boxes: list[tuple[bytes, bytes]]) -> bytes:
    return b"".join(box(*one) for one in boxes)


def split(data: bytes) -> list[tuple[bytes, bytes]]:
    """Names and contents of boxes."""
    found = stem_atom.boxes(lambda begin, end: data[begin:end], 0, len(data))
    return [(name, data[begin + stem_atom.HEAD : end]) for name, begin, end in found]


def with_atom(moov: bytes, content: bytes) -> bytes:
    parts = stem_atom.with_atom(lambda begin, end: moov[begin:end], len(moov), content)
    return b"".join(part if isinstance(part, bytes) else moov[slice(*part)] for part in parts)


@given(some_boxes, some_boxes, st.none() | some_boxes, st.binary())
def test_the_atom_comes_last_in_the_user_data_and_all_else_stays(
    before: list[tuple[bytes, bytes]],
    behind: list[tuple[bytes, bytes]],
    user_data: list[tuple[bytes, bytes]] | None,
    content: bytes,
) -> None:
    there = [] if user_data is None else [(b"udta", joined(user_data))]
    found = with_atom(box(b"moov", joined([*before, *there, *behind])), content)
    ((name, inside),) = split(found)
    expected = [(b"udta", joined([*(user_data or []), (b"stem", content)]))]
    order = [*before, *expected, *behind] if there else [*before, *behind, *expected]
    assert (name, split(inside)) == (b"moov", order)


@given(st.binary())
def test_what_is_no_such_box_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        with_atom(data, b"")


@given(some_boxes, st.integers(1, 7))
def test_a_box_that_is_cut_off_is_refused(boxes: list[tuple[bytes, bytes]], short: int) -> None:
    moov = box(b"moov", joined([*boxes, (b"free", b"1234567")]))
    with pytest.raises(ValueError):
        with_atom(moov[:-short], b"")


def test_a_box_of_more_than_4_gb_is_passed_over() -> None:
    """ffmpeg's "mdat" box of a song of eight hours; nobody reads its content."""
    long, last = 5 << 30, box(b"moov", b"inside")
    first = struct.pack(">I4sQ", 1, b"mdat", long)

    def read(begin: int, end: int) -> bytes:
        return first[begin:end] if begin < long else last[begin - long : end - long]

    assert list(stem_atom.boxes(read, 0, long + len(last))) == [
        (b"mdat", 0, long),
        (b"moov", long, long + len(last)),
    ]
    with pytest.raises(ValueError):
        list(stem_atom.boxes(read, 0, long - 1))


def test_the_description_is_what_the_format_asks_for() -> None:
    found = json.loads(stem_atom.description(NAMES))
    assert found["version"] == 1
    assert [stem["name"] for stem in found["stems"]] == list(NAMES)
    assert all(len(stem["color"]) == 7 and stem["color"][0] == "#" for stem in found["stems"])
    assert [found["mastering_dsp"][part]["enabled"] for part in ("compressor", "limiter")] == [
        False
    ] * 2


def stem_file(folder: Path) -> tuple[Path, list[np.ndarray]]:
    """A file of five tones as ffmpeg writes it, its boxes in the order that the page's have, and the atom."""
    time = np.arange(44100) / 44100
    sounds = [
        np.sin(2 * np.pi * tone * time)[:, None].repeat(2, 1) / 4
        for tone in (220, 330, 440, 550, 660)
    ]
    command = ["ffmpeg", "-loglevel", "error"]
    for number, sound in enumerate(sounds):
        soundfile.write(folder / f"{number}.wav", sound, 44100)
        command += ["-i", str(folder / f"{number}.wav")]
    for number in range(len(sounds)):
        command += ["-map", str(number)]
    path = folder / "song.stem.mp4"
    subprocess.run([*command, "-c:a", "aac", "-metadata", "title=Söng", str(path)], check=True)
    data = path.read_bytes()
    place = data.rindex(b"moov") - 4
    assert place + struct.unpack(">I", data[place : place + 4])[0] == len(data)
    path.write_bytes(data[:place] + with_atom(data[place:], stem_atom.description(NAMES)))
    return path, sounds


@ffmpeg
def test_other_programs_read_the_file_as_before(tmp_path: Path) -> None:
    path, sounds = stem_file(tmp_path)
    command = ["ffprobe", "-v", "error", "-show_streams", "-show_format", "-of", "json", str(path)]
    said = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert [stream["codec_name"] for stream in said["streams"]] == ["aac"] * 5
    assert said["format"]["tags"]["title"] == "Söng"
    for number, sound in enumerate(sounds):
        decode = [
            "ffmpeg",
            "-loglevel",
            "error",
            "-i",
            str(path),
            "-map",
            f"0:{number}",
            "-f",
            "f32le",
            "-",
        ]
        data = subprocess.run(decode, capture_output=True, check=True).stdout
        heard = np.frombuffer(data, "<f4").reshape(-1, 2)[: len(sound)]
        assert np.abs(heard[2000:-2000] - sound[2000 : len(heard) - 2000]).max() < 0.05


@ffmpeg
def test_a_reader_of_stem_files_reads_it(tmp_path: Path) -> None:
    stempeg = pytest.importorskip("stempeg")
    path, sounds = stem_file(tmp_path)
    stems, rate = stempeg.read_stems(str(path))
    assert (rate, stems.shape[0], stems.shape[2]) == (44100, 5, 2)
    for heard, sound in zip(stems, sounds, strict=True):
        assert np.abs(heard[2000:40000] - sound[2000:40000]).max() < 0.05
