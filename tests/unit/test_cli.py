from pathlib import Path

import numpy as np
import pytest
import soundfile

from umx.cli import main, targets_of

TARGETS = ("vocals", "drums", "bass", "other")


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


def test_only_the_wanted_stems(song: Path, tmp_path: Path) -> None:
    assert main(["separate", str(song), "-o", str(tmp_path / "out"), "--stems", "melody"]) == 0
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


@pytest.mark.parametrize(
    ("extra", "message"),
    [(["--model", "no-such-model"], "no-such-model"), (["--stems", "flute"], "flute")],
)
def test_what_can_not_be_had_is_said(
    song: Path, capsys: pytest.CaptureFixture[str], extra: list[str], message: str
) -> None:
    assert main(["separate", str(song), *extra]) == 2
    assert message in capsys.readouterr().err


def test_targets_that_stems_need() -> None:
    assert targets_of(["karaoke"], TARGETS) == ["drums", "bass", "other"]
    assert targets_of(["melody", "vocals"], TARGETS) == ["vocals", "other"]
