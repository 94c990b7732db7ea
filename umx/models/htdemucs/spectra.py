"""The transforms of HTDemucs, made of the engine's.

Its spectra are normalised: divided by the root of `N_FFT`. The makers' code reflects 1.5 hops at the edges, centres
frames and drops two of them at both ends; all in all frame t begins 1.5 hops before sample t * HOP.
"""

import numpy as np

from ...kernels import Engine
from ...types import Float
from .description import BINS, HOP, N_FFT

EDGE = 3 * HOP // 2
ENVELOPE = 1.5
"""Sum of the squared windows. The makers' inverse counts frames of zeros beyond both ends, so it is constant."""
SCALE = N_FFT**0.5


def spectrum(mixture: Float, engine: Engine) -> Float:
    """Stereo (2, samples) to (frames, BINS, 4): real and imaginary part of the left channel, then of the right."""
    samples = mixture.shape[-1]
    rest = -samples % HOP
    padded = np.pad(mixture, ((0, 0), (EDGE, EDGE + rest)), mode="reflect")
    z = engine.spectrum(padded, N_FFT, HOP)[..., :BINS]  # (frames, 2, BINS)
    z = np.ascontiguousarray(z.transpose(0, 2, 1))
    z /= np.float32(SCALE)
    return z.view(np.float32)


def inverse(values: Float, samples: int, engine: Engine) -> Float:
    """The inverse: (frames, BINS, 4), which may be a view, to (2, samples)."""
    frames = len(values)
    z = np.zeros((frames, 2, BINS + 1), np.complex64)  # the last bin stays silent
    z.real[..., :BINS] = values[..., 0::2].transpose(0, 2, 1)
    z.imag[..., :BINS] = values[..., 1::2].transpose(0, 2, 1)
    z *= np.float32(SCALE / ENVELOPE)
    signal = np.zeros((2, (frames + 3) * HOP), np.float32)
    engine.overlap_add(z, signal, N_FFT, HOP, 0)
    return signal[:, EDGE : EDGE + samples]
