import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from umx.desktop import audio


def test_stems_appear_only_when_whole(tmp_path: Path) -> None:
    path = tmp_path / "song - bass.wav"

    def broken():
        yield {"bass": np.ones((2, 10), np.float32)}
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError):
        audio.write_stems({"bass": path}, broken(), 20, 44100)
    assert list(tmp_path.iterdir()) == []
    loud = audio.write_stems(
        {"bass": path}, [{"bass": np.full((2, 10), 1.5, np.float32)}] * 2, 20, 44100
    )
    assert loud == 40
    written, rate = soundfile.read(path, dtype="int16")
    assert rate == 44100
    assert written.shape == (20, 2)
    assert (written == 32767).all()


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    stretch = {"bass": np.zeros((2, 3000), np.float32)}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limits[1]))
    try:
        with pytest.raises(audio.AudioError, match=f"written to {tmp_path}.*: .*room"):
            audio.write_stems({"bass": tmp_path / "song - bass.wav"}, [stretch] * 9, 27000, 44100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(audio.AudioError, match=r"gone .*: see that it is there"):
        audio.write_stems({"bass": tmp_path / "gone" / "song - bass.wav"}, [], 0, 44100)


def test_names_may_hold_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"bad\xff\xe9name - bass.wav")
    stretch = {"bass": np.full((2, 10), 0.25, np.float32)}
    audio.write_stems({"bass": path}, [stretch], 10, 44100)
    written, _ = soundfile.read(path.open("rb"), dtype="float32")
    np.testing.assert_array_equal(written, 0.25)


def test_stems_that_are_too_long_for_wav_become_rf64(tmp_path: Path) -> None:
    stretch = {"bass": np.full((2, 10), 0.25, np.float32)}
    for samples, kind in ((1 << 30, "RF64"), (10, "WAV")):
        audio.write_stems({"bass": tmp_path / "x.wav"}, [stretch], samples, 44100)
        info = soundfile.info(tmp_path / "x.wav")
        assert (info.format, info.frames) == (kind, 10)
