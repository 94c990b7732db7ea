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


@pytest.mark.parametrize("channels", [2, 3, 4, 5, 6, 8])
def test_every_count_becomes_stereo(channels: int) -> None:
    many = np.arange(channels, dtype=np.float32)[:, np.newaxis] * np.ones(3, np.float32)
    left, right = audio.to_stereo(many)[:, 0]
    expected = {
        2: (0, 1),
        3: (1, 1),
        4: (1, 2),
        5: (2, 2),
        6: (6 * 0.5**0.5, 1 + 7 * 0.5**0.5),
        8: (3, 4),
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


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_read_resamples_mono_to_stereo(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"song.{suffix}"
    soundfile.write(path, tone(22050, 1).T, 22050)
    song = audio.read(path, 44100)
    assert song.shape == (2, 44100)
    assert song.dtype == np.float32
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(44100) / 44100)
    assert np.abs(song[:, 2000:-2000] - expected[2000:-2000]).max() < 0.02


def test_read_names_the_file_that_is_no_audio(tmp_path: Path) -> None:
    path = tmp_path / "notes.mp3"
    path.write_text("not a song")
    with pytest.raises(audio.AudioError, match=r"notes\.mp3"):
        audio.read(path, 44100)
    with pytest.raises(audio.AudioError, match=r"nowhere\.wav"):
        audio.read(tmp_path / "nowhere.wav", 44100)


def test_read_names_the_file_that_does_not_say_its_rate(tmp_path: Path) -> None:
    (tmp_path / "song.raw").write_bytes(bytes(100))
    with pytest.raises(audio.AudioError, match=r"song\.raw can't be read"):
        audio.read(tmp_path / "song.raw", 44100)


def test_read_refuses_a_file_without_samples(tmp_path: Path) -> None:
    path = tmp_path / "empty.wav"
    soundfile.write(path, np.zeros((0, 2)), 44100)
    with pytest.raises(audio.AudioError, match="no audio"):
        audio.read(path, 44100)


def test_stems_appear_only_when_whole(tmp_path: Path) -> None:
    path = tmp_path / "song - bass.wav"

    def broken():
        yield {"bass": np.ones((2, 10), np.float32)}
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError):
        audio.write_stems({"bass": path}, broken(), 44100)
    assert list(tmp_path.iterdir()) == []
    loud = audio.write_stems(
        {"bass": path}, [{"bass": np.full((2, 10), 1.5, np.float32)}] * 2, 44100
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
        with pytest.raises(audio.AudioError, match=f"written to {tmp_path}: .*room"):
            audio.write_stems({"bass": tmp_path / "song - bass.wav"}, [stretch] * 9, 44100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(audio.AudioError, match="gone: see that it is there"):
        audio.write_stems({"bass": tmp_path / "gone" / "song - bass.wav"}, [], 44100)


def test_samples_that_are_no_numbers_become_some(tmp_path: Path) -> None:
    odd = tone(100).T.astype(np.float32)
    odd[10], odd[20], odd[30], odd[40] = np.nan, np.inf, -np.inf, 1e30
    soundfile.write(tmp_path / "odd.wav", odd, 22050, "FLOAT")
    found = audio.read(tmp_path / "odd.wav", 22050).T
    assert found[[10, 20, 30, 40], 0].tolist() == [0, 1, -1, audio.LOUDEST]
    rest = np.delete(np.arange(100), [10, 20, 30, 40])
    np.testing.assert_array_equal(found[rest], odd[rest])
