import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import tqdm

import umx
from tests.music import band
from umx.cli import main, places, write


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
    assert capsys.readouterr().err.count(f"can't be written to {out}") == 2


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


def test_places_tell_songs_apart_that_differ_in_case_or_suffix(tmp_path: Path) -> None:
    songs = [Path(name) for name in ("Song.mp3", "Song.flac", "song.wav", "Song (2).wav", "x.wav")]
    found = places(songs, tmp_path, ["vocals", "bass"])
    assert [paths["bass"].name.removesuffix(" - bass.wav") for paths in found] == [
        *("Song", "Song (2)", "song (3)", "Song (2) (2)", "x")
    ]
    assert all(list(paths) == ["vocals", "bass"] for paths in found)


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
    write(song, Slow(), {"bass": tmp_path / "song - bass.wav"})
    bars = capsys.readouterr().err.split("\r")
    steps = [re.sub(r"\|.*\|", "|", bar).removeprefix(song.stem).strip() for bar in bars if bar]
    assert list(dict.fromkeys(steps)) == [
        "0% | ? left",
        *("25% | 00:30 left", "50% | 00:20 left", "75% | 00:10 left", "100% | 00:00 left"),
    ]


@pytest.mark.parametrize(
    ("extra", "message"),
    [(["--model", "no-such-model"], "no-such-model"), (["--stems", "flute"], "flute")],
)
def test_what_can_not_be_had_is_said(
    song: Path, capsys: pytest.CaptureFixture[str], extra: list[str], message: str
) -> None:
    assert main(["separate", str(song), *extra]) == 2
    assert message in capsys.readouterr().err


def snr(estimate: np.ndarray, reference: np.ndarray) -> float:
    """In dB."""
    noise = np.sum((estimate - reference) ** 2)
    return float(10 * np.log10(np.sum(reference**2) / max(noise, 1e-20)))


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
