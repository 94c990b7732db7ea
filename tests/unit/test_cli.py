import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import soxr
import tqdm
from mutagen.flac import FLAC

import umx
from tests.listening import snr
from tests.music import band
from umx.desktop.audio import FORMS
from umx.desktop.cli import main
from umx.desktop.separating import Shape, separate_song
from umx.desktop.tags import read_tags
from umx.desktop.telling import Sentences
from umx.separator import Separator

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "Ünder “the” bridge.flac"
    noise = 0.1 * np.random.default_rng(4).standard_normal((11025, 1))
    soundfile.write(path, noise, 22050)
    return path


def test_every_stem_under_the_song_s_title(song: Path, tmp_path: Path) -> None:
    assert main(["separate", str(song), "-o", str(tmp_path / "out")]) == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    stems = ("bass", "drums", "melody", "vocals", "karaoke")
    assert names == {f"Ünder “the” bridge - {stem}.wav" for stem in stems}
    for path in (tmp_path / "out").iterdir():
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.frames) == (44100, 2, 22050)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"umx {umx.__version__}\n"


@pytest.mark.parametrize("name", ["melody", "other"])
def test_only_the_wanted_stems(song: Path, tmp_path: Path, name: str) -> None:
    assert main(["separate", str(song), "-o", str(tmp_path / "out"), "--stems", name]) == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == [f"{song.stem} - melody.wav"]


def test_a_bad_file_is_named_and_the_rest_still_done(
    song: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "notes.txt"
    bad.write_text("not a song")
    out = tmp_path / "out"
    assert main(["separate", str(bad), str(song), "-o", str(out), "--stems", "bass"]) == 1
    assert "notes.txt can't be read" in capsys.readouterr().err
    assert len(list(out.iterdir())) == 1


def test_songs_that_can_not_be_written_are_named_one_by_one(
    song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Path, "mkdir", lambda *arguments, **options: None)
    out = str(tmp_path / "gone")
    assert main(["separate", str(song), str(song), "-o", out, "--stems", "bass"]) == 1
    said, summary = capsys.readouterr().err.split("umx: 2 of 2 songs failed:\n")
    assert said.count(f"can't be written to {out}") == 2
    assert summary.count(f"can't be written to {out}") == 2


def test_songs_of_one_name_do_not_overwrite_each_other(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    songs = [tmp_path / name for name in ("a/Song.wav", "b/Song.wav", "Song - bass.wav")]
    for number, path in enumerate(songs, 1):
        soundfile.write(path, np.zeros((1000 * number, 2)), 44100)
    before = songs[2].read_bytes()
    assert main(["separate", *map(str, songs), "-o", str(tmp_path), "--stems", "bass"]) == 0
    assert songs[2].read_bytes() == before
    found = {path.name: soundfile.info(path).frames for path in tmp_path.glob("*.wav")}
    assert found == {
        "Song - bass.wav": 3000,
        "Song (2) - bass.wav": 1000,
        "Song (3) - bass.wav": 2000,
        "Song - bass - bass.wav": 3000,
    }


def test_the_bar_says_how_long_it_will_take(
    song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0

    class Slow:
        """Takes ten seconds for a quarter of the song."""

        manifest = SimpleNamespace(sample_rate=44100, targets=("bass", "drums"))
        targets = ("bass",)

        def stream(self, blocks, samples, level, progress):
            nonlocal now
            for quarter in np.array_split(np.concatenate(list(blocks), axis=1), 4, axis=1):
                now += 10.01
                progress(min(1.0, now / 40.04))
                yield quarter[np.newaxis]

    monkeypatch.setattr(tqdm.std, "time", lambda: now)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    paths = {"bass": tmp_path / "song - bass.wav"}
    progress = Sentences(1).progress(str(song))
    separate_song(song, Slow(), paths, Shape(FORMS["wav"]["16"]), progress)
    bars = capsys.readouterr().err.split("\r")
    steps = [re.sub(r"\|.*\|", "|", bar).removeprefix(song.stem).strip() for bar in bars if bar]
    assert list(dict.fromkeys(steps)) == [
        "0% | ? left",
        *("25% | 00:30 left", "50% | 00:20 left", "75% | 00:10 left", "100% | 00:00 left"),
    ]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--model", "no-such-model"], "no-such-model"),
        (["--stems", "flute"], "flute"),
        (["--threads", "0"], "at least one thread"),
    ],
)
def test_what_can_not_be_had_is_said(
    song: Path, capsys: pytest.CaptureFixture[str], extra: list[str], message: str
) -> None:
    assert main(["separate", str(song), *extra]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "stems",
    ["karaoke", "vocals", "vocals,drums", "melody,bass", "drums,karaoke", "bass,drums,melody"],
)
def test_a_choice_of_stems_sounds_like_all_of_them(tmp_path: Path, stems: str) -> None:
    mixture = sum(band(6).values())
    path = tmp_path / "song.wav"
    soundfile.write(path, mixture.T, 44100, "FLOAT")
    for folder, extra in (("all", []), ("some", ["--stems", stems, "--residual"])):
        assert main(["separate", str(path), "-o", str(tmp_path / folder), *extra]) == 0
    every, some = (
        {file.stem.removeprefix("song - "): soundfile.read(file)[0] for file in folder.iterdir()}
        for folder in (tmp_path / "all", tmp_path / "some")
    )
    assert set(some) == {*stems.split(","), "rest"}
    for name in stems.split(","):
        assert snr(some[name], every[name]) > 80
    assert snr(every["vocals"] + every["karaoke"], mixture.T) > 60
    if "karaoke" not in stems:
        parts = np.sum([some[name] for name in some], axis=0)
        assert snr(parts, mixture.T) > 60


def stems_in(folder: Path) -> dict[str, tuple[np.ndarray, int]]:
    """Samples and rate of each stem in a folder, by its title."""
    return {
        file.stem.rpartition(" - ")[2]: soundfile.read(file, dtype="float32")
        for file in folder.iterdir()
    }


@pytest.fixture(scope="module")
def band_song(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """A song's file, and its samples (n, 2)."""
    path = tmp_path_factory.mktemp("band") / "song.wav"
    mixture = sum(band(5).values()).T
    soundfile.write(path, mixture, 44100, "FLOAT")
    return path, mixture


def test_karaoke_is_the_mixture_without_the_vocals(
    band_song: tuple[Path, np.ndarray], tmp_path: Path
) -> None:
    path, mixture = band_song
    floats = ["--bits", "float", "--stems", "vocals"]
    assert main(["separate", str(path), "-o", str(tmp_path / "a"), "--karaoke"]) == 0
    assert main(["separate", str(path), "-o", str(tmp_path / "b"), "--karaoke", *floats]) == 0
    assert [*stems_in(tmp_path / "a")] == ["karaoke"]
    both = stems_in(tmp_path / "b")
    assert both.keys() == {"karaoke", "vocals"}
    karaoke, vocals = both["karaoke"][0], both["vocals"][0]
    assert snr(karaoke, mixture - vocals) > 100
    assert snr(stems_in(tmp_path / "a")["karaoke"][0], karaoke) > 60
    assert snr(karaoke, mixture) < 40  # there are vocals in it


@pytest.mark.parametrize(
    ("name", "bits", "least"),
    [("wav", "24", 90), ("flac", "16", 90), ("flac", "24", 90), ("mp3", None, 15)],
)
def test_formats_hold_what_wav_holds(
    band_song: tuple[Path, np.ndarray], tmp_path: Path, name: str, bits: str | None, least: float
) -> None:
    path, _ = band_song
    some = ["separate", str(path), "--stems", "bass,vocals"]
    assert main([*some, "-o", str(tmp_path / "wav")]) == 0
    more = ["--bits", bits] if bits else []
    assert main([*some, "-o", str(tmp_path / "other"), "--format", name, *more]) == 0
    expected, found = stems_in(tmp_path / "wav"), stems_in(tmp_path / "other")
    assert found.keys() == expected.keys() == {"bass", "vocals"}
    for title in expected:
        assert found[title][0].shape == expected[title][0].shape
        # Rounding to 16 bits is -101 dB of noise; the stems of this song are not that loud.
        noise = np.abs(found[title][0] - expected[title][0]).max()
        if least > 50:
            assert noise <= 1 / 32768
        else:
            assert snr(found[title][0], expected[title][0]) > least


def test_opus_has_its_own_rate(band_song: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    path, mixture = band_song
    assert main(["separate", str(path), "-o", str(tmp_path / "out"), "--format", "opus"]) == 0
    found = stems_in(tmp_path / "out")
    assert {rate for _, rate in found.values()} == {48000}
    four = sum(stem for title, (stem, _) in found.items() if title != "karaoke")
    expected = soxr.resample(mixture, 44100, 48000)
    assert four.shape == expected.shape
    assert snr(four, expected) > 12


@pytest.mark.parametrize("rate", [22050, 48000, 96000])
@pytest.mark.parametrize("stems", [[], ["--stems", "drums", "--residual"]])
def test_stems_at_the_song_s_rate_are_the_song(tmp_path: Path, rate: int, stems: list[str]) -> None:
    """Up to the top of its spectrum, which the networks don't hear."""
    mixture = soxr.resample(sum(band(4).values()).T, 44100, rate)
    if rate > 44100:
        time = np.arange(len(mixture)) / rate
        mixture += 0.01 * np.sin(2 * np.pi * 23_000 * time)[:, np.newaxis]
    path = tmp_path / "song.wav"
    soundfile.write(path, mixture, rate, "FLOAT")
    out = tmp_path / "out"
    options = ["--rate", "song", "--bits", "float", *stems]
    assert main(["separate", str(path), "-o", str(out), *options]) == 0
    found = stems_in(out)
    parts = [stem for title, (stem, _) in found.items() if title != "karaoke"]
    assert {found_rate for _, found_rate in found.values()} == {rate}
    assert np.sum(parts, axis=0).shape == mixture.shape
    assert snr(np.sum(parts, axis=0), mixture) > 100
    assert (
        main(["separate", str(path), "-o", str(tmp_path / "usual"), "--bits", "float", *stems]) == 0
    )
    for title, (usual, usual_rate) in stems_in(tmp_path / "usual").items():
        assert usual_rate == 44100
        again = soxr.resample(found[title][0], rate, 44100)
        size = min(len(again), len(usual))
        assert snr(again[1000 : size - 1000], usual[1000 : size - 1000]) > 25


def test_tags_go_along(band_song: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    song = tmp_path / "a.flac"
    soundfile.write(song, band_song[1][:22050], 44100)
    tags = FLAC(song)
    tags["artist"] = ["One"]
    tags.save()
    assert main(["separate", str(song), "-o", str(tmp_path / "out"), "--format", "mp3"]) == 0
    for path in (tmp_path / "out").iterdir():
        with path.open("rb") as file:
            texts = read_tags(file).texts
        title = path.stem.removeprefix("a - ")
        assert texts == {"ARTIST": ["One"], "TITLE": [f"a ({title})"]}


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every stem is the song."""

    def stream(self, blocks, samples, level, progress=lambda fraction: None):
        for block in blocks:
            yield block[np.newaxis].repeat(len(self.targets), axis=0)
        progress(1.0)

    monkeypatch.setattr(Separator, "stream", stream)


@pytest.mark.usefixtures("echo")
def test_folders_keep_their_tree_and_what_is_there_is_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    songs = {name: np.full((1000 + n, 2), 0.1 * n) for n, name in enumerate(("x", "A/y", "A/B/z"))}
    for name, sound in songs.items():
        path = tmp_path / "Music" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, sound, 44100)
    out = tmp_path / "out"
    command = ["separate", str(tmp_path / "Music"), "-o", str(out), "--stems", "bass,drums"]
    assert main(command) == 0
    first = {path: path.read_bytes() for path in out.rglob("*.wav")}
    for name, sound in songs.items():
        for stem in ("bass", "drums"):
            found = soundfile.read(out / f"{name} - {stem}.wav")[0]
            np.testing.assert_allclose(found, sound, atol=4e-5)
    assert len(first) == 6
    (out / "A" / "y - bass.wav").unlink()
    (out / "x - bass.wav").write_text("kept")
    capsys.readouterr()
    assert main([*command, "--skip-existing"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        str(out / "A" / f"y - {stem}.wav") for stem in ("bass", "drums")
    ]
    assert (out / "x - bass.wav").read_text() == "kept"
    assert (out / "A" / "y - bass.wav").read_bytes() == first[out / "A" / "y - bass.wav"]
    assert main(command) == 0
    assert {path: path.read_bytes() for path in out.rglob("*.wav")} == first


@pytest.mark.usefixtures("echo")
def test_programs_read_how_it_goes(
    noise: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(tmp_path / "loud.wav", np.full((44100, 2), 1.5), 44100, "FLOAT")
    cut = tmp_path / "cut.flac"
    soundfile.write(cut, np.random.default_rng(7).uniform(-0.5, 0.5, (10 * 44100, 2)), 44100)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    songs = [str(tmp_path / name) for name in ("noise.wav", "loud.wav", "cut.flac", "gone.wav")]
    out = tmp_path / "out"
    command = ["separate", *songs, str(tmp_path / "*.xyz"), "-o", str(out), "--stems", "bass"]
    assert main([*command, "--json"]) == 1
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    by_event = {
        event: [line for line in told if line["event"] == event]
        for event in ("progress", "done", "skipped", "failed", "end")
    }
    assert [line["song"] for line in by_event["failed"]] == [str(tmp_path / "*.xyz"), songs[3]]
    assert by_event["failed"][1]["why"] == f"{songs[3]} can't be read: there is no such file."
    assert [line["song"] for line in by_event["done"]] == songs[:3]
    whole, loud, broken = by_event["done"]
    assert whole["stems"] == {"bass": str(out / "noise - bass.wav")}
    assert whole["seconds"] == pytest.approx(300_000 / 44100, abs=1e-3)
    assert (whole["limited_samples"], whole["damaged_from"]) == (0, None)
    assert loud["limited_samples"] == 2 * 44100
    assert 4 < broken["damaged_from"] < 6
    assert by_event["progress"][-1] == {"event": "progress", "song": songs[2], "fraction": 1.0}
    assert told[-1] == {"event": "end", "songs": 5, "done": 3, "skipped": 0, "failed": 2}
    assert main([*command[:2], "-o", str(out), "--stems", "bass", "--json", "--skip-existing"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[0]) == {
        "event": "skipped",
        "song": songs[0],
    }


@pytest.mark.usefixtures("echo")
def test_the_last_lines_name_what_failed(
    noise: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone.wav"
    assert main(["separate", str(gone), str(noise), "-o", str(tmp_path), "--stems", "bass"]) == 1
    why = f"{gone} can't be read: there is no such file."
    assert capsys.readouterr().err.splitlines() == [
        *(f"umx: {why}", "umx: 1 of 2 songs failed:", f"  {why}")
    ]


@pytest.mark.parametrize(
    "extra", [["--bits", "float", "--format", "flac"], ["--bits", "16", "--format", "mp3"]]
)
def test_bits_that_a_format_has_not_are_refused_before_anything_is_done(
    song: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], extra: list[str]
) -> None:
    assert main(["separate", str(song), "-o", str(tmp_path / "out"), *extra]) == 2
    assert "for the bits of a sample" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_help_says_what_the_exit_status_means(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["separate", "--help"])
    said = capsys.readouterr().out
    assert "exit status:" in said
    assert "130 for Ctrl-C" in said


IDLE = """
import os, signal, sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from umx.desktop import cli, headers, song
from umx.separator import Separator


def stream(self, blocks, samples, level, progress=None):
    for block in blocks:
        yield np.repeat(block[np.newaxis], len(self.targets), axis=0)


Separator.stream = stream
"""
"""A command line whose every stem is the song."""


def run(
    script: str, *arguments: object, shell: str = "", **streams: int
) -> subprocess.CompletedProcess:
    """`umx separate` in a process of its own, after a script that prepares it; shell: what to add to the command."""
    code = f"{IDLE}\n{script}\nsys.exit(cli.main(['separate', *sys.argv[1:]]))"
    command = [sys.executable, "-c", code, *map(os.fsencode, arguments), "--stems", "bass"]
    if shell:
        command = ["sh", "-c", f'exec "$@" {shell}', "sh", *command]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    return subprocess.run(command, timeout=60, **streams)


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    path = tmp_path / "noise.wav"
    sound = np.random.default_rng(6).uniform(-0.5, 0.5, (300_000, 2))
    soundfile.write(path, sound, 44100)
    return path


def samples_of(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        return soundfile.read(file, dtype="int16")[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no such file"),
        ("folder", "has no songs in it"),
        (b"not a song", "none of WAV"),
        (b"RIFF\xff\xff\xff\xffWAVE", "can't be read"),
        (b"", "can't be read"),
    ],
)
def test_one_song_s_error_is_its_own(
    noise: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: bytes | str | None,
    message: str,
) -> None:
    bad, out = tmp_path / "bad.mp3", tmp_path / "out"
    if content == "folder":
        bad.mkdir()
    elif isinstance(content, bytes):
        bad.write_bytes(content)
    assert main(["separate", str(bad), str(noise), "-o", str(out), "--stems", "bass"]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert errors == [errors[0], "umx: 1 of 2 songs failed:", f"  {errors[0][5:]}"]
    assert errors[0].startswith(f"umx: {bad} ")
    assert message in errors[0]
    assert [path.name for path in out.iterdir()] == ["noise - bass.wav"]
    assert len(samples_of(out / "noise - bass.wav")) == 300_000


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("odd"), IndexError(1), OSError(5, "x")]
)
def test_any_error_of_one_song_is_its_own(
    noise: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
) -> None:
    other, count = tmp_path / "other.wav", itertools.count()
    shutil.copy(noise, other)

    def stream(self, blocks, samples, level, progress=None):
        for block in blocks:
            yield block[np.newaxis].repeat(len(self.targets), axis=0)
            if next(count) == 0:
                raise error

    monkeypatch.setattr(Separator, "stream", stream)
    out = tmp_path / "out"
    songs = [str(noise), str(other)]
    assert main(["separate", *songs, "-o", str(out), "--stems", "bass"]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert errors == [errors[0], "umx: 1 of 2 songs failed:", f"  {errors[0][5:]}"]
    assert "Traceback" not in errors[0]
    assert [path.name for path in out.iterdir()] == ["other - bass.wav"]
    np.testing.assert_array_equal(samples_of(out / "other - bass.wav"), samples_of(other))


def test_a_damaged_song_is_done_as_far_as_it_goes_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, whole = tmp_path / "cut.flac", tmp_path / "whole.flac"
    sound = np.random.default_rng(7).uniform(-0.5, 0.5, (10 * 44100, 2))
    soundfile.write(whole, sound, 44100)
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])

    def stream(self, blocks, samples, level, progress=None):
        return (block[np.newaxis].repeat(len(self.targets), axis=0) for block in blocks)

    monkeypatch.setattr(Separator, "stream", stream)
    assert main(["separate", str(path), "-o", str(tmp_path), "--stems", "drums"]) == 0
    assert f"umx: {path} is damaged: it was read up to 0:0" in capsys.readouterr().err
    found = samples_of(tmp_path / "cut - drums.wav")
    assert len(found) > 4 * 44100
    np.testing.assert_array_equal(found, samples_of(whole)[: len(found)])


def test_names_may_hold_bytes_that_are_no_text(noise: Path, tmp_path: Path) -> None:
    name = tmp_path / os.fsdecode(b"bad\xff\xe9name.wav")
    shutil.copy(noise, name)
    ended = run("", name, tmp_path / os.fsdecode(b"gone\xff.wav"), noise, "-o", tmp_path / "out")
    assert ended.returncode == 1
    assert ended.stdout.splitlines() == [
        os.fsencode(tmp_path / "out") + b"/bad\xff\xe9name - bass.wav",
        os.fsencode(tmp_path / "out" / "noise - bass.wav"),
    ]
    assert ended.stderr.count(b"\n") == 3
    assert b"gone\\udcff.wav can't be read: there is no such file." in ended.stderr
    for path in (tmp_path / "out").iterdir():
        np.testing.assert_array_equal(samples_of(path), samples_of(noise))


@pytest.mark.skipif(os.name == "nt", reason="a matter of POSIX shells")
@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_spoil_nothing(noise: Path, tmp_path: Path, closed: str) -> None:
    ended = run("", tmp_path / "gone.wav", noise, "-o", tmp_path / "out", shell=closed)
    assert ended.returncode == 1
    assert (b"noise - bass.wav" in ended.stdout) == (">&-" not in closed.replace("2>&-", ""))
    assert b"gone" not in ended.stdout
    assert (b"there is no such file" in ended.stderr) == ("2>&-" not in closed)
    found = samples_of(tmp_path / "out" / "noise - bass.wav")
    np.testing.assert_array_equal(found, samples_of(noise))


@pytest.mark.parametrize("gone", [("stdout",), ("stderr",), ("stdout", "stderr")])
def test_nobody_need_listen(noise: Path, tmp_path: Path, gone: tuple[str, ...]) -> None:
    """Both songs are done, and nothing is said of the pipe that has no reader, where something is still heard."""
    other = tmp_path / "other.wav"
    shutil.copy(noise, other)
    reader, writer = os.pipe()
    os.close(reader)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **dict.fromkeys(gone, writer)}
    ended = run("", tmp_path / "gone.wav", noise, other, "-o", tmp_path / "out", **streams)
    os.close(writer)
    assert ended.returncode == 1
    assert not ended.stderr or ended.stderr.count(b"\n") == 3
    assert not ended.stdout or ended.stdout.count(b"\n") == 2
    for path in (tmp_path / "out").iterdir():
        np.testing.assert_array_equal(samples_of(path), samples_of(noise))


STOPS = {
    "between stretches": """
def stopped(self, blocks, samples, level, progress=None):
    for estimates in stream(self, blocks, samples, level):
        yield estimates
        os.kill(os.getpid(), NUMBER)
        os.kill(os.getpid(), NUMBER)
Separator.stream = stopped
""",
    "while a file is read": """
inner = headers.Patched.readinto
def stopped(self, buffer):
    if self.position > 100_000:
        os.kill(os.getpid(), NUMBER)
    return inner(self, buffer)
headers.Patched.readinto = stopped
""",
    "while files are opened": """
inner = headers.read_headers
def stopped(file):
    os.kill(os.getpid(), NUMBER)
    return inner(file)
song.read_headers = stopped
""",
    "while files get their names": """
inner = Path.replace
def stopped(self, target):
    os.kill(os.getpid(), NUMBER)
    return inner(self, target)
Path.replace = stopped
""",
    "while the model is loaded": """
def stopped(path):
    os.kill(os.getpid(), NUMBER)
cli.load_model = stopped
""",
}


@pytest.mark.skipif(os.name == "nt", reason="no such signals there")
@pytest.mark.parametrize(
    ("name", "code", "when"),
    [
        *(("SIGINT", 130, when) for when in STOPS),
        *((name, code, next(iter(STOPS))) for name, code in (("SIGTERM", 143), ("SIGHUP", 129))),
    ],
)
def test_signals_leave_nothing_half_written(
    noise: Path, tmp_path: Path, name: str, code: int, when: str
) -> None:
    out = tmp_path / "out"
    script = STOPS[when].replace("NUMBER", f"signal.{name}")
    ended = run(script, noise, noise, "-o", out)
    assert ended.returncode == code
    assert (ended.stdout, ended.stderr) == (b"", b"")
    assert not out.exists() or list(out.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="no such signals there")
def test_what_nohup_ignores_stays_ignored(noise: Path, tmp_path: Path) -> None:
    script = STOPS["between stretches"].replace("NUMBER", "signal.SIGHUP")
    ended = run("signal.signal(signal.SIGHUP, signal.SIG_IGN)" + script, noise, "-o", tmp_path)
    assert ended.returncode == 0
    found = samples_of(tmp_path / "noise - bass.wav")
    np.testing.assert_array_equal(found, samples_of(noise))


def test_a_folder_that_can_not_be_made_is_said(
    noise: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["separate", str(noise), "-o", str(noise)]) == 2
    assert capsys.readouterr().err == f"umx: {noise} can't be made a folder: File exists.\n"


def test_handlers_are_as_before_afterwards(noise: Path, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    assert main(["separate", str(noise), "-o", str(tmp_path), "--stems", "bass"]) == 0
    assert signal.getsignal(signal.SIGINT) is before
