import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from umx.signal.sharing import BLOCK, share_out


def decibels(part: np.ndarray, whole: np.ndarray) -> float:
    return float(10 * np.log10((np.square(part).sum() + 1e-30) / np.square(whole).sum()))


@given(st.integers(1, 5), st.integers(1, 3 * BLOCK + 5), st.floats(-60, 12), st.integers(0, 9))
def test_estimates_add_up_at_every_level(
    targets: int, samples: int, gain: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    factor = np.float32(10 ** (gain / 20))
    estimates = factor * rng.standard_normal((targets, 2, samples), np.float32)
    mixture = factor * rng.standard_normal((2, samples), np.float32)
    share_out(estimates, mixture)
    assert decibels(estimates.sum(axis=0) - mixture, mixture) < -80


def test_nothing_at_all_is_shared_evenly() -> None:
    estimates = np.zeros((4, 2, 100), np.float32)
    share_out(estimates, np.ones((2, 100), np.float32))
    np.testing.assert_allclose(estimates, 0.25, rtol=1e-6)


def test_a_silent_stem_stays_silent_and_a_loud_one_takes_what_is_left() -> None:
    rng = np.random.default_rng(0)
    loud = rng.standard_normal((2, 8 * BLOCK), np.float32)
    noise = np.float32(0.1) * rng.standard_normal(loud.shape, np.float32)
    estimates = np.stack([loud, np.float32(1e-4) * loud])
    share_out(estimates, loud + noise)
    assert decibels(estimates[0] - loud - noise, loud) < -60
    assert decibels(estimates[1], loud) < -70


def test_shares_follow_the_power_in_time() -> None:
    first, second = np.zeros((2, 2, 20 * BLOCK), np.float32)
    first[:, : 10 * BLOCK], second[:, 10 * BLOCK :] = 1, 1
    estimates = np.stack([first, second])
    share_out(estimates, np.full_like(first, 1.1))
    np.testing.assert_allclose(estimates[0, :, : 9 * BLOCK], 1.1, atol=1e-3)
    np.testing.assert_allclose(estimates[1, :, 11 * BLOCK :], 1.1, atol=1e-3)
    np.testing.assert_allclose(estimates[0, :, 11 * BLOCK :], 0, atol=1e-3)
