import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import umx
from umx import segments
from umx.format.library import Model, find_model, load_model
from umx.kernels.reference import Numpy
from umx.kernels.simd import Simd
from umx.separator import Separator


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(find_model("umx-mini"))


def noise(samples: int, channels: int = 2) -> np.ndarray:
    rng = np.random.default_rng(3)
    return (0.1 * rng.standard_normal((channels, samples))).astype(np.float32)


@pytest.mark.parametrize("samples", [0, 1, 100, 2049, 5000])
def test_stems_are_as_long_as_the_mixture(model: Model, samples: int) -> None:
    mixture = noise(samples)
    separator = Separator(model, Numpy(), residual=True)
    estimates = separator.separate(mixture)
    assert separator.targets[-1] == "residual"
    assert estimates.shape == (5, 2, samples)
    np.testing.assert_allclose(estimates.sum(axis=0), mixture, atol=1e-6)


def test_segments_join_to_what_one_pass_gives_at_their_middle(model: Model) -> None:
    # Beats and a chord: on steady noise, context decides alone.
    time = np.arange(5 * 44100) / 44100
    beats = np.exp(-20 * (time % 0.5)) * np.random.default_rng(8).standard_normal(len(time))
    chord = sum(np.sin(2 * np.pi * f * time) for f in (110, 220, 277, 330, 440))
    mixture = np.stack([0.3 * beats + 0.1 * chord, 0.2 * beats + 0.12 * chord]).astype(np.float32)
    separator = Separator(model, Numpy(), targets=["drums"])
    whole = separator.separate(mixture)
    separator.cutting = replace(separator.cutting, segment=3 * 44100, batch_size=2)
    fractions: list[float] = []
    joined = separator.separate(mixture, fractions.append)
    assert joined.shape == whole.shape
    error = np.linalg.norm(joined - whole) / np.linalg.norm(whole)
    assert error < 0.3
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1.0)


def test_one_target_alone(model: Model) -> None:
    estimates = Separator(model, Numpy(), targets=["vocals"]).separate(noise(3000))
    assert estimates.shape == (1, 2, 3000)


def test_unknown_target_is_named(model: Model) -> None:
    with pytest.raises(ValueError, match="flute"):
        Separator(model, Numpy(), targets=["flute"])


@pytest.mark.parametrize("rate", [44100, 22050, 48000])
def test_separate_keeps_rate_and_length(rate: int) -> None:
    mixture = noise(7001, 1)
    stems = umx.separate(mixture[0], rate, residual=True)
    assert set(stems) == {"vocals", "drums", "bass", "other", "residual", "karaoke"}
    assert {stem.shape for stem in stems.values()} == {(2, 7001)}
    total = sum(stems[t] for t in ("vocals", "drums", "bass", "other", "residual"))
    np.testing.assert_allclose(total, np.repeat(mixture, 2, axis=0), atol=1e-6)


def test_separate_survives_what_is_no_number() -> None:
    mixture = noise(7001)
    mixture[0, 10], mixture[1, 5000], mixture[1, 5001] = np.nan, np.inf, -np.inf
    kept = mixture.copy()
    clean = mixture.copy()
    clean[0, 10], clean[1, 5000], clean[1, 5001] = 0, 1, -1
    stems, expected = umx.separate(mixture, 44100), umx.separate(clean, 44100)
    np.testing.assert_array_equal(mixture, kept)
    for name, stem in stems.items():
        np.testing.assert_array_equal(stem, expected[name])


def test_what_is_no_number_stays_in_its_channel() -> None:
    mixture = noise(5000, 6)
    mixture[3] = np.nan  # low frequencies, which stereo goes without
    clean = np.nan_to_num(mixture)
    stems, expected = umx.separate(mixture, 44100), umx.separate(clean, 44100)
    for name, stem in expected.items():
        assert np.abs(stem).max() > 0
        np.testing.assert_array_equal(stems[name], stem)


@pytest.mark.parametrize(
    ("integers", "full", "middle"),
    [(np.int16, 2**15, 0), (np.int32, 2**31, 0), (np.uint8, 2**7, 2**7), (np.int64, 2**63, 0)],
)
def test_integers_are_scaled_by_their_type(integers: type, full: int, middle: int) -> None:
    mixture = np.rint(noise(9000) * 2**7) / 2**7
    expected = umx.separate(mixture, 44100)
    stems = umx.separate((mixture * full + middle).astype(integers), 44100)
    for name, stem in stems.items():
        np.testing.assert_allclose(stem, expected[name], atol=1e-6)


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_samples_before_channels_are_refused_with_the_way_out(channels: int) -> None:
    with pytest.raises(ValueError, match=r"\(samples, channels\).*turn it by audio\.T"):
        umx.separate(noise(5000, channels).T, 44100)


@pytest.mark.parametrize("audio", [np.zeros((2, 9), bool), np.zeros((2, 9), complex), [["a"]]])
def test_what_is_no_audio_is_refused(audio: object) -> None:
    with pytest.raises(ValueError, match="floats or integers"):
        umx.separate(audio, 44100)


@pytest.mark.parametrize("rate", [np.nan, np.inf, 0, -44100, "44100", None])
def test_what_is_no_sample_rate_is_refused(rate: object) -> None:
    with pytest.raises(ValueError, match="sample rate"):
        umx.separate(noise(5000), rate)


class Idle:
    """In the place of the kernels' library: does nothing, so that only what Python allocates is left."""

    def __getattr__(self, name: str) -> Callable[..., int]:
        return lambda *arguments: 8  # outputs in a block


def test_memory_beside_the_weights_is_a_few_times_the_audio(model: Model) -> None:
    separator = Separator(model, Simd(Idle()))
    audio = np.zeros((4, 2, separator.cutting.segment), np.float32)
    tracemalloc.start()
    try:
        estimates = separator.process(audio)
        for _ in range(len(audio)):
            next(estimates)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 4.5 * audio.nbytes


def test_memory_does_not_grow_with_the_song(model: Model) -> None:
    separator = Separator(model, Simd(Idle()))
    cutting = separator.cutting
    batch = cutting.batch_size * (cutting.segment - cutting.overlap)

    def most(batches: int) -> int:
        song = np.zeros((2, batches * batch), np.float32)
        assert len(segments.plan(song.shape[1], cutting)) == batches
        tracemalloc.start()
        try:
            for _ in separator.stream([song], song.shape[1], 0.1):
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert most(8) < 1.05 * most(1)
