"""What the command line writes as stem.mp4: five tracks in step, and what DJ programs read of it."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from mutagen.flac import FLAC, Picture
from mutagen.mp4 import MP4

from tests.listening import snr
from tests.music import band
from tests.stem_file import tracks_of
from umx import stem_atom
from umx.desktop import audio, collection
from umx.desktop.cli import main
from umx.desktop.stem_file import TITLES, side_by_side
from umx.desktop.tags import ATOMS, Tags, write_tags
from umx.names import MIX

FORM = audio.find_form("stem.mp4", None)


pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "Söng.flac"
    soundfile.write(path, sum(band(4).values()).T, 44100)
    return path


def atom_of(path: Path) -> dict:
    """The content of moov/udta/stem."""
    data = path.read_bytes()
    place, end = 0, len(data)
    for name in (b"moov", b"udta", b"stem"):
        inside = stem_atom.boxes(lambda begin, end: data[begin:end], place, end)
        place, end = next((begin + 8, end) for found, begin, end in inside if found == name)
    return json.loads(data[place:end])


def test_it_has_the_mix_and_the_stems_in_step(song: Path, tmp_path: Path) -> None:
    tags = FLAC(song)
    tags.update({"artist": "Björk", "tracknumber": "3", "tracktotal": "12", "bpm": "120.4"})
    cover = Picture()
    cover.data, cover.mime, cover.type = b"\x89PNG\r\n\x1a\nno more", "image/png", 3
    tags.add_picture(cover)
    tags.save()
    floats = ["--bits", "float", "-o", str(tmp_path / "wav")]
    assert main(["separate", str(song), *floats]) == 0
    assert main(["separate", str(song), "-o", str(tmp_path / "out"), "--format", "stem.mp4"]) == 0
    (path,) = (tmp_path / "out").iterdir()
    assert path.name == "Söng.stem.mp4"
    wavs = [soundfile.read(tmp_path / "wav" / f"Söng - {title}.wav")[0].T for title in TITLES]
    found = tracks_of(path)
    for heard, expected in zip(found, [sum(wavs), *wavs], strict=True):
        assert heard.shape == expected.shape
        assert snr(heard, expected) > 20
        # One sample later or earlier fits worse.
        for shift in (-1, 1):
            assert snr(np.roll(heard, shift, axis=1), expected) < snr(heard, expected)
    assert snr(sum(found[1:]), found[0]) > 20
    stems = atom_of(path)["stems"]
    assert [stem["name"] for stem in stems] == ["Drums", "Bass", "Melody", "Vocals"]
    assert [stem["color"] for stem in stems] == [color for _, color in stem_atom.STEMS]
    with av.open(str(path)) as container:
        names = [stream.metadata.get("name") for stream in container.streams.audio]
        assert names == [None, "Drums", "Bass", "Melody", "Vocals"]
        # Other players play the mix alone.
        assert [int(stream.disposition) for stream in container.streams.audio] == [1, 0, 0, 0, 0]
    said = MP4(path)
    assert (said["\xa9nam"], said["\xa9ART"]) == (["Söng"], ["Björk"])
    assert (said["trkn"], said["tmpo"]) == ([(3, 12)], [120])
    assert [bytes(cover) for cover in said["covr"]] == [b"\x89PNG\r\n\x1a\nno more"]


def test_a_reader_of_stem_files_reads_it(tmp_path: Path) -> None:
    stempeg = pytest.importorskip("stempeg")
    path, sounds = written(tmp_path, 44100, 10000)
    stems, rate = stempeg.read_stems(str(path))
    assert (rate, stems.shape[0]) == (44100, 5)
    for heard, sound in zip(stems, np.split(sounds, 5), strict=True):
        assert snr(heard[: sound.shape[1]].T, sound) > 20


def written(folder: Path, samples: int, block: int) -> tuple[Path, np.ndarray]:
    """A file of tones that is written in blocks, and its tracks side by side."""
    path = folder / "tones.stem.mp4"
    time = np.arange(samples) / 44100
    tones = [
        np.sin(2 * np.pi * tone * time)[None].repeat(2, 0) / 8 for tone in (220, 330, 440, 550)
    ]
    sounds = side_by_side(dict(zip(TITLES, np.array(tones, np.float32), strict=True)))
    blocks = ({MIX: sounds[:, at : at + block]} for at in range(0, max(samples, 1), block))
    assert audio.write_stems({MIX: path}, blocks, samples, 44100, FORM) == 0
    return path, sounds


@pytest.mark.parametrize("samples", [0, 1, 1024, 5000, 44101])
@pytest.mark.parametrize("block", [1, 1000, 1 << 20])
def test_any_length_in_any_pieces(tmp_path: Path, samples: int, block: int) -> None:
    if samples / block > 6000:
        block = 999
    path, sounds = written(tmp_path, samples, block)
    assert len(atom_of(path)["stems"]) == 4
    if samples:
        found = np.concatenate(tracks_of(path))
        assert found.shape == sounds.shape
        if samples > 20000:
            assert snr(found, sounds) > 20


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("tones"), 2000, 1000)[0]


@given(
    st.dictionaries(
        st.sampled_from([*ATOMS, "BPM", "TRACKNUMBER", "TRACKTOTAL", "DISCNUMBER"]),
        st.lists(st.text("aÄ語 %=;/1\0.-\U0001f600", min_size=1), min_size=1, max_size=2),
    )
)
def test_any_tags_leave_the_tracks_and_the_atom(tones: Path, texts: dict[str, list[str]]) -> None:
    path = tones.with_name("tagged")
    path.write_bytes(tones.read_bytes())
    write_tags(path, FORM.container, Tags(texts))
    said = MP4(path)
    for name in texts.keys() & ATOMS.keys():
        assert said[ATOMS[name]] == texts[name]
    assert atom_of(path) == atom_of(tones)
    np.testing.assert_array_equal(tracks_of(path), tracks_of(tones))


def test_what_is_too_loud_is_limited_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "loud.stem.mp4"
    tone = np.float32(0.4) * np.sin(np.arange(44100, dtype=np.float32) / 50)[None].repeat(2, 0)
    sounds = side_by_side(dict.fromkeys(TITLES, tone))
    loud = np.count_nonzero(np.abs(sounds) > 1)
    assert audio.write_stems({MIX: path}, [{MIX: sounds}], 44100, 44100, FORM) == loud > 10000
    for heard, sound in zip(tracks_of(path), np.split(sounds, 5), strict=True):
        assert snr(heard, np.clip(sound, -1, 1)) > 20


def test_nothing_is_left_of_a_file_that_was_given_up(tmp_path: Path) -> None:
    def interrupted() -> Iterator[dict[str, np.ndarray]]:
        yield {MIX: np.zeros((10, 50000), np.float32)}
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.stem.mp4.part"]
        signal.raise_signal(signal.SIGINT)  # in this thread, before the next line
        yield {MIX: np.zeros((10, 50000), np.float32)}

    with pytest.raises(KeyboardInterrupt):
        path = tmp_path / "out" / "a.stem.mp4"
        audio.write_stems({MIX: path}, interrupted(), 100000, 44100, FORM)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    noise = 0.1 * np.random.default_rng(1).standard_normal((10, 44100)).astype(np.float32)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(audio.UnwritableError, match="can't be written to "):
            path = tmp_path / "out" / "a.stem.mp4"
            audio.write_stems({MIX: path}, [{MIX: noise}] * 20, 20 * 44100, 44100, FORM)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has names of text alone.")
def test_names_may_be_no_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff.stem.mp4")
    audio.write_stems({MIX: path}, [{MIX: np.zeros((10, 5000))}], 5000, 44100, FORM)
    assert atom_of(path)["version"] == 1


@pytest.mark.parametrize("option", ["--karaoke", "--residual", "--stems=drums"])
def test_some_stems_alone_are_refused(
    song: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    out = tmp_path / "out"
    assert main(["separate", str(song), "-o", str(out), "--format", "stem.mp4", option]) == 2
    assert "stem.mp4 has all stems" in capsys.readouterr().err
    assert not out.exists()


def test_models_of_other_stems_are_refused(
    song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("umx.desktop.cli.STEMS", (*stem_atom.STEMS, ("guitar", "")))
    out = tmp_path / "out"
    assert main(["separate", str(song), "-o", str(out), "--format", "stem.mp4"]) == 2
    assert "umx-mini gives other stems" in capsys.readouterr().err


def test_without_pyav_it_says_what_to_install(
    song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "umx.desktop.stem_file", None)
    monkeypatch.delattr("umx.desktop.stem_file")
    out = tmp_path / "out"
    assert main(["separate", str(song), "-o", str(out), "--format", "stem.mp4"]) == 2
    assert "pip install 'umx[stems]'" in capsys.readouterr().err
    assert not out.exists()


def test_a_song_of_such_a_name_is_not_overwritten(tmp_path: Path) -> None:
    songs = [tmp_path / name for name in ("Song.wav", "song.stem.mp4")]
    entries = [collection.Entry(song) for song in songs]
    found = [each[MIX].name for each in collection.places(entries, tmp_path, [MIX], FORM.ending)]
    assert found == ["Song (2).stem.mp4", "song.stem.stem.mp4"]
