import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from umx.signal import samples


def tone(samples: int, channels: int = 2) -> np.ndarray:
    time = np.arange(samples) / 22050
    return np.stack([0.5 * np.sin(2 * np.pi * 440 * (c + 1) * time) for c in range(channels)])


def test_one_channel_goes_to_both_sides() -> None:
    mono = tone(100, 1).astype(np.float32)
    np.testing.assert_array_equal(samples.to_stereo(mono), np.repeat(mono, 2, axis=0))
    np.testing.assert_array_equal(samples.to_stereo(mono[0]), np.repeat(mono, 2, axis=0))


@pytest.mark.parametrize("channels", range(2, 11))
def test_channels_without_a_container_are_in_the_order_of_wav(channels: int) -> None:
    many = np.arange(1, channels + 1, dtype=np.float32)[:, np.newaxis] * np.ones(3, np.float32)
    left, right = samples.to_stereo(many)[:, 0]
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
        samples.to_stereo(np.zeros(shape, np.float32))


@given(arrays.arrays(np.float32, 20, elements=st.floats(-3, 3, width=32)))
def test_to_int16_rounds_and_counts_what_it_limits(signal: np.ndarray) -> None:
    found, loud = samples.to_int16(signal)
    inside = np.abs(signal) < 1 - 2**-15
    error = found[inside] / 32768 - signal[inside]
    assert np.abs(error).max(initial=0) <= 2**-16 + 1e-7
    assert loud == np.count_nonzero(np.abs(np.rint(signal * np.float32(32768))) > 32768)


@given(arrays.arrays(np.float32, 20, elements=st.floats(-3, 3, width=32)))
def test_to_int24_has_its_bits_at_the_top(signal: np.ndarray) -> None:
    found, loud = samples.to_int24(signal)
    assert found.dtype == np.int32
    assert not np.any(found & 255)
    inside = np.abs(signal) < 1 - 2**-23
    error = found[inside] / 2**31 - signal[inside].astype(float)
    assert np.abs(error).max(initial=0) <= 2**-24
    assert loud == np.count_nonzero(np.abs(signal) > 1)


def test_to_int16_survives_what_is_no_number() -> None:
    found, loud = samples.to_int16(np.array([np.nan, np.inf, -np.inf], np.float32))
    assert found.tolist() == [0, 32767, -32768]
    assert loud == 2
