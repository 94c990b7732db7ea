"""HTDemucs at its full size against the PyPI package `demucs`: `pytest -m full`, where torch and demucs 4.0.1 are."""

import sys
import types

import numpy as np
import pytest

from scripts.bench import HTDEMUCS, made_with
from tests.htdemucs import parameter, signal
from umx.kernels.htdemucs import Reference
from umx.kernels.reference import Numpy
from umx.models.htdemucs.arguments import parse
from umx.models.htdemucs.fold import fold
from umx.models.htdemucs.network import Arena, Forward

pytestmark = pytest.mark.full


@pytest.mark.parametrize("name", list(HTDEMUCS))
def test_float_path(name: str) -> None:
    torch = pytest.importorskip("torch")
    # demucs imports torchaudio only to load files.
    sys.modules.setdefault("torchaudio", types.ModuleType("torchaudio"))
    htdemucs = pytest.importorskip("demucs.htdemucs")
    model = htdemucs.HTDemucs(**made_with(name)).eval()
    for key, value in model.named_parameters():
        value.data = torch.from_numpy(parameter(name, key, tuple(value.shape)))
    state = {key: value.numpy() for key, value in model.state_dict().items()}
    sources, network = parse(made_with(name))
    folded = fold(state, network)
    mixture = signal(network.segment)
    with torch.no_grad():
        expected = model(torch.from_numpy(mixture)[None])[0].numpy()
    engine = Numpy()
    forward = Forward(network, folded, engine, Reference(engine.product), Arena(network))
    estimates = forward.estimate(mixture, range(len(sources)))
    error = np.linalg.norm(estimates - expected) / np.linalg.norm(expected)
    print(f"{name}: float path against demucs, {error:.1e} relative")
    assert error < 1e-4
