"""Make the golden vectors that hold the engine to the reference: `python scripts/golden.py`, with torch and openunmix.

A tiny Open-Unmix with random weights separates a few seconds of noise. Its state dicts and everything the reference
computes on the way go into one compressed .npz each, small enough to commit. Beside them
lie checkpoints in both formats: one of its networks, as this release and as older ones save it, and tensors of every
kind.
"""

import argparse
import sys
import types
from pathlib import Path

import numpy as np
import torch

# openunmix imports torchaudio only to load files.
sys.modules.setdefault("torchaudio", types.ModuleType("torchaudio"))
from openunmix.filtering import wiener  # noqa: E402
from openunmix.model import OpenUnmix as OpenUnmix  # noqa: E402
from openunmix.model import Separator as Separator  # noqa: E402

FOLDER = Path(__file__).parent.parent / "tests" / "parity"
TARGETS = ("vocals", "drums", "bass", "other")
HIDDEN, N_FFT, HOP, MAX_BIN = 16, 128, 32, 47


def network(
    hidden: int, bins: int, max_bin: int, seed: int, unidirectional: bool = False
) -> OpenUnmix:
    """An Open-Unmix with random parameters and running statistics, so that none of them can be left out unseen."""
    rng = np.random.default_rng(seed)
    mean, deviation = rng.uniform(0.5, 2, (2, bins))
    torch.manual_seed(seed)
    model = OpenUnmix(
        bins, 2, hidden, 3, unidirectional, input_mean=mean, input_scale=deviation, max_bin=max_bin
    )
    for norm in (model.bn1, model.bn2, model.bn3):
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
        torch.nn.init.uniform_(norm.bias, -0.5, 0.5)
        norm.running_mean.uniform_(-0.5, 0.5)
        norm.running_var.uniform_(0.5, 1.5)
    torch.nn.init.uniform_(model.output_scale, 0.1, 0.4)
    torch.nn.init.uniform_(model.output_mean, 0.1, 0.4)
    model.freeze()
    return model


def music(samples: int, seed: int) -> np.ndarray:
    """Chords that change, with noise bursts: (2, samples) float32 with a different balance on each side."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / 44100
    audio = np.zeros((2, samples))
    for start in np.arange(0, time[-1], 0.5):
        since = time - start
        envelope = np.where(since >= 0, np.exp(-4 * np.maximum(since, 0)), 0)
        for frequency in rng.uniform(60, 3000, 4):
            note = np.sin(2 * np.pi * frequency * since) * envelope
            audio += rng.uniform(0, 0.15, (2, 1)) * note
        audio += rng.uniform(0, 0.1, (2, 1)) * rng.standard_normal(samples) * envelope**4
    return audio.astype(np.float32)


def layers(model: OpenUnmix, magnitude: torch.Tensor) -> dict[str, np.ndarray]:
    """Each layer's output for one segment, in the engine's layout: (frames, …)."""
    x = magnitude.permute(3, 0, 1, 2)[..., : model.nb_bins]
    x = (x + model.input_mean) * model.input_scale
    fc1 = torch.tanh(model.bn1(model.fc1(x.reshape(len(x), -1))))
    lstm = model.lstm(fc1[:, None])[0][:, 0]
    fc2 = torch.relu(model.bn2(model.fc2(torch.cat([fc1, lstm], -1))))
    estimate = model(magnitude)[0].permute(2, 0, 1)
    stages = {"fc1": fc1, "lstm": lstm, "fc2": fc2, "estimate": estimate}
    return {k: v.numpy() for k, v in stages.items()}


def networks() -> dict[str, OpenUnmix]:
    """The tiny Open-Unmix."""
    return {t: network(HIDDEN, N_FFT // 2 + 1, MAX_BIN, seed) for seed, t in enumerate(TARGETS)}


def vectors(models: dict[str, OpenUnmix], samples: int) -> dict[str, np.ndarray]:
    """Inputs, weights and results of every stage."""
    mixture = torch.from_numpy(music(samples, 1))[None]
    out = {"mixture": mixture[0].numpy()}
    for residual in (False, True):
        separator = Separator(models, niter=1, residual=residual, n_fft=N_FFT, n_hop=HOP)
        separator.freeze()
        with torch.no_grad():
            out["residual" if residual else "estimates"] = separator(mixture)[0].numpy()
    with torch.no_grad():
        spectrum = separator.stft(mixture)
        magnitude = separator.complexnorm(spectrum)
        out["spectrum"] = torch.view_as_complex(spectrum)[0].permute(2, 0, 1).numpy()
        for key, value in layers(models["vocals"], magnitude).items():
            out[f"layers.{key}"] = value
    for target, model in models.items():
        for key, value in model.state_dict().items():
            if not key.endswith("num_batches_tracked"):
                out[f"{target}.{key}"] = value.numpy()
    return out


def wiener_vectors() -> dict[str, np.ndarray]:
    """The filter on loud and quiet mixtures, with exact zeros in one and in both channels."""
    rng = np.random.default_rng(5)
    out = {}
    for name, level in {"quiet": 1.0, "loud": 200.0}.items():
        mixture = level * rng.standard_normal((7, 2, 33, 2)).astype(np.float32)
        mixture[2, :, 5] = 0
        mixture[3, 0, 6:9] = 0
        masks = rng.uniform(0, 1, (4, 7, 2, 33)).astype(np.float32)
        stft = torch.from_numpy(mixture).permute(0, 2, 1, 3)
        spectrograms = torch.from_numpy(masks).permute(1, 3, 2, 0) * stft.norm(dim=-1)[..., None]
        estimates = wiener(spectrograms, stft.clone(), iterations=1)
        out[f"{name}.mixture"] = mixture
        out[f"{name}.masks"] = masks
        out[f"{name}.estimates"] = estimates.permute(4, 0, 2, 1, 3).contiguous().numpy()
    return out


def older_keys() -> dict[str, torch.Tensor]:
    """Tensors that Open-Unmix 1.0, and so UMX-HQ, saves beside the network: one window under two names."""
    window = torch.hann_window(N_FFT)
    return {
        "stft.window": window,
        "transform.0.window": window,
        "sample_rate": torch.tensor(44100.0),
    }


def checkpoint() -> dict[str, torch.Tensor]:
    """A state dict of every type and layout of tensor that a checkpoint may hold."""
    shared = torch.arange(12.0)
    return {
        "matrix": torch.arange(6.0).reshape(2, 3),
        "transposed": torch.arange(6.0).reshape(2, 3).T,
        "parameter": torch.nn.Parameter(torch.tensor([1.5, -2.5])),
        "half": torch.tensor([0.5, 65504], dtype=torch.float16),
        "double": torch.tensor([1e300, -1e-300], dtype=torch.float64),
        "long": torch.tensor(1 << 62),
        "int": torch.tensor([[-1], [1 << 30]], dtype=torch.int32),
        "empty": torch.zeros(0, 3),
        "part": shared[3:9],
        "every second": shared[::2],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=FOLDER, metavar="DIR")
    folder = parser.parse_args().output
    models = networks()
    # Two windows of the Wiener filter, the second one short.
    tiny = vectors(models, samples=HOP * 320 + 7)
    np.savez_compressed(folder / "network.npz", **tiny)  # type: ignore[arg-type]
    np.savez_compressed(folder / "wiener.npz", **wiener_vectors())  # type: ignore[arg-type]
    state = dict(models["vocals"].state_dict())
    contents = {"checkpoint": checkpoint(), "network": state, "older": state | older_keys()}
    for name, content in contents.items():
        for form in ("zip", "legacy"):
            path = folder / f"{name}.{form}.pth"
            torch.save(content, path, _use_new_zipfile_serialization=form == "zip")


if __name__ == "__main__":
    main()
