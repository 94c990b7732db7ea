"""How close what tests hear is to what they should."""

import numpy as np


def snr(estimate: np.ndarray, reference: np.ndarray) -> float:
    """In dB."""
    truth = reference.astype(float)
    noise = np.square(estimate - truth).sum() + 1e-30
    return float(10 * np.log10(np.square(truth).sum() / noise))
