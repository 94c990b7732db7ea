"""UMX-L's size, with random weights, against `openunmix` itself. Runs where torch and openunmix are installed."""

import numpy as np
import pytest

from tests.parity.test_parity import TARGETS, error
from umx import quantize, stft
from umx.convert import SIGNAL, describe
from umx.kernels.reference import Numpy
from umx.separator import Separator
from umx.weights import Manifest, Model

torch = pytest.importorskip("torch")
golden = pytest.importorskip("golden")  # which imports openunmix

HIDDEN, BINS, MAX_BIN = 1024, 2049, 1487
FRAMES = 320  # more than one window of the Wiener filter
SAMPLES = FRAMES * SIGNAL["hop"] + 321


def test_separated_waveforms_at_full_size() -> None:
    networks = {t: golden.network(HIDDEN, BINS, MAX_BIN, seed) for seed, t in enumerate(TARGETS)}
    mixture = golden.music(SAMPLES, 3)
    reference = golden.Separator(networks, niter=1, n_fft=SIGNAL["n_fft"], n_hop=SIGNAL["hop"])
    reference.freeze()
    with torch.no_grad():
        expected = reference(torch.from_numpy(mixture)[None])[0].numpy()

    states = {
        target: {key: value.numpy() for key, value in network.state_dict().items()}
        for target, network in networks.items()
    }
    texts = dict.fromkeys(("name", "title", "licence", "credit", "source", "preset"), "")
    manifest = Manifest(targets={}, **texts, **SIGNAL, **describe(states["vocals"]))
    assert (manifest.hidden_size, manifest.bins, manifest.max_bin) == (HIDDEN, BINS, MAX_BIN)
    folded = {target: quantize.fold(state) for target, state in states.items()}
    del networks, reference, states

    separator = Separator(Model(manifest, folded), Numpy())
    (estimates,) = separator.process(mixture[np.newaxis])
    assert stft.frame_count(SAMPLES, SIGNAL["hop"]) > 300
    assert error(estimates, expected) < 1e-4
