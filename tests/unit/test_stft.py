import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from umx.signal import stft


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@given(st.integers(129, 3000))
def test_inverse_restores_any_length(samples: int) -> None:
    audio = noise(2, samples)
    spectra = stft.stft(audio, 256, 64)
    assert spectra.dtype == np.complex64
    assert spectra.shape == (stft.frame_count(samples, 64), 2, 129)
    np.testing.assert_allclose(stft.istft(spectra, samples, 256, 64), audio, atol=2e-6)


def test_several_segments_at_a_time_equal_one_by_one() -> None:
    audio = noise(3, 2, 5000)
    together = stft.stft(audio)
    for segment, spectra in zip(audio, together, strict=True):
        np.testing.assert_array_equal(stft.stft(segment), spectra)
    assert stft.istft(together, 5000).shape == audio.shape


def test_frames_may_arrive_in_windows() -> None:
    audio = noise(2, 10_000)
    spectra = stft.stft(audio, 256, 64)
    inverse = stft.Inverse((), 2, len(spectra), 256, 64)
    inverse.add(spectra[100:], 100)
    inverse.add(spectra[:100], 0)
    np.testing.assert_allclose(inverse.signal(10_000), audio, atol=2e-6)


def test_equals_torch() -> None:
    torch = pytest.importorskip("torch")
    audio = noise(2, 9000)
    ours = stft.stft(audio)
    theirs = torch.stft(
        torch.from_numpy(audio),
        4096,
        1024,
        window=torch.hann_window(4096),
        pad_mode="reflect",
        return_complex=True,
    )
    np.testing.assert_allclose(ours, theirs.permute(2, 0, 1).numpy(), atol=2e-4)
