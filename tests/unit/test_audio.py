import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from umx import audio


def tone(samples: int, channels: int = 2) -> np.ndarray:
    time = np.arange(samples) / 22050
    return np.stack([0.5 * np.sin(2 * np.pi * 440 * (c + 1) * time) for c in range(channels)])


def test_one_channel_goes_to_both_sides() -> None:
    mono = tone(100, 1).astype(np.float32)
    np.testing.assert_array_equal(audio.to_stereo(mono), np.repeat(mono, 2, axis=0))
    np.testing.assert_array_equal(audio.to_stereo(mono[0]), np.repeat(mono, 2, axis=0))


@pytest.mark.parametrize("channels", range(2, 11))
def test_channels_without_a_container_are_in_the_order_of_wav(channels: int) -> None:
    many = np.arange(1, channels + 1, dtype=np.float32)[:, np.newaxis] * np.ones(3, np.float32)
    left, right = audio.to_stereo(many)[:, 0]
    half = 0.5**0.5  # -3 dB
    expected = {
        2: (1, 2),
        3: (1 + 3 * half, 2 + 3 * half),
        4: (1 + 3 * half, 2 + 4 * half),
        5: (1 + 7 * half, 2 + 8 * half),
        6: (1 + 8 * half, 2 + 9 * half),
        7: (1 + 9 * half + 5 * 0.5, 2 + 10 * half + 5 * 0.5),
        8: (1 + 15 * half, 2 + 17 * half),
        9: (5, 5),
        10: (5.5, 5.5),
    }
    assert (left, right) == pytest.approx(expected[channels])


@pytest.mark.parametrize("shape", [(0, 5), (1, 2, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="shape"):
        audio.to_stereo(np.zeros(shape, np.float32))


@given(arrays.arrays(np.float32, 20, elements=st.floats(-3, 3, width=32)))
def test_to_int16_rounds_and_counts_what_it_limits(signal: np.ndarray) -> None:
    samples, loud = audio.to_int16(signal)
    inside = np.abs(signal) < 1 - 2**-15
    error = samples[inside] / 32768 - signal[inside]
    assert np.abs(error).max(initial=0) <= 2**-16 + 1e-7
    assert loud == np.count_nonzero(np.abs(np.rint(signal * np.float32(32768))) > 32768)


def test_to_int16_survives_what_is_no_number() -> None:
    samples, loud = audio.to_int16(np.array([np.nan, np.inf, -np.inf], np.float32))
    assert samples.tolist() == [0, 32767, -32768]
    assert loud == 2


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
