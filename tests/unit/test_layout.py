"""Which speaker a channel is for, and what stereo is made of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from umx.signal import layout
from umx.signal.samples import downmix

HALF = 0.5**0.5  # -3 dB
# By hand from ITU-R BS.775: what each speaker gives to the left and the right.
EXPECTED = {
    "FL": (1, 0),
    "FR": (0, 1),
    "FC": (HALF, HALF),
    "LFE": (0, 0),
    "BL": (HALF, 0),
    "BR": (0, HALF),
    "SL": (HALF, 0),
    "SR": (0, HALF),
    "BC": (0.5, 0.5),
}


@pytest.mark.parametrize("order", [layout.WAV, layout.VORBIS])
def test_layouts_are_mixed_down_by_bs775(order: dict[int, list[str]]) -> None:
    assert sorted(order) == [*range(1, 9)]
    for count in range(3, 9):
        expected = np.transpose([EXPECTED[name] for name in order[count]])
        np.testing.assert_allclose(downmix(order[count], count), expected, rtol=1e-6)


def test_one_and_two_channels_stay_as_they_are() -> None:
    for speakers in (None, ["LFE"], ["BL"]):
        np.testing.assert_array_equal(downmix(speakers, 1), [[1], [1]])
    for speakers in (None, ["FC", "LFE"], ["BL", "BR"]):
        np.testing.assert_array_equal(downmix(speakers, 2), np.eye(2))


@given(st.integers(0, 2**32 - 1), st.integers(1, 20))
def test_any_mask_gives_a_mix(mask: int, channels: int) -> None:
    speakers = layout.by_mask(mask, channels)
    named = bin(mask & (1 << 18) - 1).count("1")
    assert (speakers is None) == (named < channels)
    gains = downmix(speakers, channels)
    assert gains.shape == (2, channels)
    assert gains.dtype == np.float32
    if speakers is None and channels > 2:  # an unknown layout: averaged, to both sides alike
        np.testing.assert_allclose(gains, 1 / channels)


def test_masks_name_speakers_in_the_order_of_their_bits() -> None:
    assert layout.by_mask(0x3F, 6) == ["FL", "FR", "FC", "LFE", "BL", "BR"]
    assert layout.by_mask(0x60F, 6) == ["FL", "FR", "FC", "LFE", "SL", "SR"]
    assert layout.by_mask(0x70F, 7) == ["FL", "FR", "FC", "LFE", "BC", "SL", "SR"]
    assert layout.by_mask(0x107, 4) == ["FL", "FR", "FC", "BC"]
    assert layout.by_mask(0x3F, 4) == ["FL", "FR", "FC", "LFE"]  # bits too many don't count
    assert layout.by_mask(0, 6) is None


@given(st.sampled_from(layout.SPEAKERS))
def test_every_speaker_keeps_to_its_side(name: str) -> None:
    left, right = layout.GAINS[name]
    side = {"L": (True, False), "R": (False, True)}.get((name.replace("C", "") or "C")[-1])
    if name == "LFE":
        assert (left, right) == (0, 0)
    elif side:
        assert (left > 0, right > 0) == side
    else:
        assert left == right > 0
