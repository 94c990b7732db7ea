"""Make the golden vectors of HTDemucs anew: `python scripts/golden_htdemucs.py`, with torch and demucs 4.0.1.

Networks and signals are those of `tests/htdemucs.py`, so only results are stored, and of them every STEP-th number.
"""

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
# demucs imports torchaudio only to load files.
sys.modules.setdefault("torchaudio", types.ModuleType("torchaudio"))
from demucs.apply import apply_model  # noqa: E402
from demucs.htdemucs import HTDemucs  # noqa: E402

from tests.htdemucs import ARGUMENTS, GOLDEN, OVERLAPS, STEP, parameter, signal  # noqa: E402


def network(name: str) -> Any:
    """One of the tiny networks."""
    model = HTDemucs(**ARGUMENTS[name]).eval()
    for key, value in model.named_parameters():
        value.data = torch.from_numpy(parameter(name, key, tuple(value.shape)))
    return model


def answers(name: str) -> dict[str, np.ndarray]:
    """A network's results: for a segment, layer by layer, for a short segment, and for a song."""
    model, out = network(name), {}
    state = model.state_dict()
    out["names"] = np.array(sorted(state))
    out["shapes"] = np.array([" ".join(map(str, state[key].shape)) for key in sorted(state)])

    def keep(layer: str) -> Callable[..., None]:
        def hook(module: Any, given: Any, result: Any) -> None:
            first = result[0] if isinstance(result, tuple) else result
            value = first[0].numpy().reshape(-1)
            out[f"mid.{layer}"] = value[:: max(1, value.size // 400)][:400].copy()

        return hook

    hooks = []
    for branch in ("encoder", "tencoder", "decoder", "tdecoder"):
        for index, layer in enumerate(getattr(model, branch)):
            hooks.append(layer.register_forward_hook(keep(f"{branch}.{index}")))
    for branch in ("layers", "layers_t"):
        for index, layer in enumerate(getattr(model.crosstransformer, branch)):
            hooks.append(layer.register_forward_hook(keep(f"{branch}.{index}")))
    length = int(ARGUMENTS[name]["segment"] * 44100)
    with torch.no_grad():
        estimates = model(torch.from_numpy(signal(length))[None])[0].numpy()
        out["segment"] = estimates.reshape(-1)[::STEP]
        for hook in hooks:
            hook.remove()
        short = model(torch.from_numpy(signal(3000, 3))[None])[0].numpy()
        out["short"] = short.reshape(-1)[::28]
        song = torch.from_numpy(signal(int(2.3 * length), 2))
        mono = song.mean(0)
        level = (song - mono.mean()) / mono.std()
        stems = apply_model(model, level[None], shifts=0, split=True, overlap=OVERLAPS[name])[0]
        stems = (stems * mono.std() + mono.mean()).numpy()
        out["song"] = stems.reshape(-1)[:: 5 * STEP]
    return {f"{name}.{key}": value for key, value in out.items()}


if __name__ == "__main__":
    torch.manual_seed(0)
    every: dict[str, Any] = {k: v for name in ARGUMENTS for k, v in answers(name).items()}
    np.savez_compressed(GOLDEN, **every)
