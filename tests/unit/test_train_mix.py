import numpy as np
import pytest

pytest.importorskip("scipy")

from scripts.train import mix

RATE = mix.RATE


def tone(frequency: float, level: float = 0.1, seconds: float = 1) -> np.ndarray:
    x = level * np.sin(2 * np.pi * frequency * np.arange(round(seconds * RATE)) / RATE)
    return np.stack([x, x]).astype(np.float32)


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.square(x).mean()))


@pytest.mark.parametrize(
    ("kind", "frequency", "expected"),
    [("peak", 1000, 6), ("lowshelf", 50, 6), ("lowshelf", 10000, 0), ("highshelf", 10000, 6)],
)
def test_equaliser_boosts_where_it_should(kind: str, frequency: float, expected: float) -> None:
    x = tone(frequency)
    y = mix.equalise(x, mix.biquad(kind, 1000, 6))
    assert 20 * np.log10(rms(y) / rms(x)) == pytest.approx(expected, abs=0.3)


def test_passes_keep_one_side() -> None:
    for kind, kept, lost in (("lowpass", 100, 10000), ("highpass", 10000, 100)):
        section = mix.biquad(kind, 1000)
        assert rms(mix.equalise(tone(kept), section)) == pytest.approx(rms(tone(kept)), rel=0.05)
        assert rms(mix.equalise(tone(lost), section)) < 0.05 * rms(tone(lost))


def test_unknown_filter_is_named() -> None:
    with pytest.raises(ValueError, match="'notch'"):
        mix.biquad("notch", 1000)


@pytest.mark.parametrize("position", [-1, -0.3, 0, 0.7, 1])
def test_panning_keeps_the_power(position: float) -> None:
    y = mix.pan(tone(440), position)
    assert rms(y) == pytest.approx(rms(tone(440)), rel=1e-4)
    if position:
        assert (rms(y[1]) > rms(y[0])) == (position > 0)


def test_no_width_is_mono() -> None:
    x = np.random.default_rng(0).standard_normal((2, 1000)).astype(np.float32)
    left, right = mix.width(x, 0)
    np.testing.assert_array_equal(left, right)
    np.testing.assert_allclose(mix.width(x, 1), x, atol=1e-6)


def test_compressor_turns_loud_parts_down() -> None:
    x = np.concatenate([tone(200, 0.05), tone(200, 0.8)], axis=1)
    gains = mix.compression(x, -6, 4, 0.01, 0.1)
    assert gains.shape == (2 * RATE,)
    assert gains[-RATE // 2] < 0.8 * gains[RATE // 2] <= 1


def test_limiter_holds_the_ceiling() -> None:
    x = np.random.default_rng(0).standard_normal((2, RATE)).astype(np.float32)
    limited = x * mix.limit(x)
    assert np.abs(limited).max() < 1.15
    assert rms(limited) > 0.1
    np.testing.assert_allclose(mix.limit(0.1 * x / np.abs(x).max()), 1)


def test_echo_comes_back_late_and_softer() -> None:
    x = np.zeros((2, RATE), np.float32)
    x[0, 0] = 1
    y = mix.delay(x, 0.1, 0.5, 0.4, ping_pong=True)
    step = round(0.1 * RATE)
    assert y[0, 0] == 1
    assert y[1, step] == pytest.approx(0.4)
    assert y[0, 2 * step] == pytest.approx(0.2)


def test_faster_is_higher() -> None:
    y = mix.faster(tone(440), 1.5)
    assert y.shape == (2, int(RATE / 1.5))
    assert np.argmax(np.abs(np.fft.rfft(y[0]))) * RATE / y.shape[1] == pytest.approx(660, abs=3)


@pytest.mark.parametrize("seed", range(5))
def test_mastered_stems_are_loud_and_add_up_without_clipping(seed: int) -> None:
    r = np.random.default_rng(seed)
    stems = np.stack([mix.level(tone(f, 0.3, 3)) for f in (440, 2000, 55, 300)])
    finished = mix.master(r, stems)
    assert finished.shape == stems.shape
    assert np.isfinite(finished).all()
    assert np.abs(finished).max() < 1
    assert 0.05 < rms(finished.sum(axis=0)) < 0.5
    # Every stem is still the tone that it was: gains change slowly.
    for stem, frequency in zip(finished, (440, 2000, 55, 300), strict=True):
        peak = np.argmax(np.abs(np.fft.rfft(stem[0]))) / 3
        assert peak == pytest.approx(frequency, abs=1)
