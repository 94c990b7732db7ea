"""The headers of WAV files, as other programs read them."""

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from page.files import wav

SUBTYPES = {"16": "PCM_16", "24": "PCM_24", "float": "FLOAT"}


@pytest.mark.parametrize("kind", wav.FORMATS)
@given(frames=st.integers(0, 3000))
def test_other_programs_read_our_wav_files(kind: str, frames: int) -> None:
    rng = np.random.default_rng(frames)
    samples = rng.integers(0, 120, (frames, wav.frame_bytes(kind)), np.uint8).tobytes()
    with soundfile.SoundFile(io.BytesIO(wav.header(frames, kind) + samples)) as file:
        assert (file.samplerate, file.channels) == (44100, 2)
        assert (file.format, file.subtype) == ("WAV", SUBTYPES[kind])
        assert file.frames == frames
        found = file.read(dtype="float32")
    assert found.shape == (frames, 2)


def test_samples_keep_their_values() -> None:
    integers = np.array([[0, -32768], [32767, 1]], "<i2")
    floats = np.array([[0.25, -1.5], [1e-9, 1]], "<f4")
    data = wav.header(2, "16") + integers.tobytes()
    np.testing.assert_array_equal(soundfile.read(io.BytesIO(data), dtype="int16")[0], integers)
    data = wav.header(2, "float") + floats.tobytes()
    np.testing.assert_array_equal(soundfile.read(io.BytesIO(data), dtype="float32")[0], floats)
    wide = np.array([[0, -(1 << 23)], [(1 << 23) - 1, 1]], "<i4")
    three = wide.view(np.uint8).reshape(2, 2, 4)[..., :3].tobytes()
    found = soundfile.read(io.BytesIO(wav.header(2, "24") + three), dtype="int32")[0]
    np.testing.assert_array_equal(found, wide << 8)


@pytest.mark.parametrize("kind", wav.FORMATS)
@given(data=st.data())
def test_lengths_in_the_header_are_those_of_the_file(kind: str, data: st.DataObject) -> None:
    most = wav.LARGEST // wav.frame_bytes(kind)
    frames = data.draw(st.integers(0, most) | st.just(most))
    header = wav.header(frames, kind)
    size = frames * wav.frame_bytes(kind)
    assert (header[:4], header[8:12], header[-8:-4]) == (b"RIFF", b"WAVE", b"data")
    assert int.from_bytes(header[4:8], "little") == len(header) - 8 + size
    assert int.from_bytes(header[-4:], "little") == size


@pytest.mark.parametrize("kind", wav.FORMATS)
def test_more_than_a_wav_file_can_hold_is_refused(kind: str) -> None:
    most = wav.LARGEST // wav.frame_bytes(kind)
    for frames in (most + 1, 1 << 62):
        with pytest.raises(ValueError, match="4 GiB"):
            wav.header(frames, kind)
