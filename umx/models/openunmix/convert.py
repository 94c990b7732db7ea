"""From Open-Unmix's checkpoints to our tensors: folded into fewer layers, then rounded.

Folding: batch norm after a matrix is a scale and a bias per row, and so are output scale and mean. The input's shift
goes into the first bias. Its scale ranges over orders of magnitude, so it stays a vector of its own.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ConvertError, misfit, unusable
from ...format.quantising import PRESETS, check, round_weights
from ...format.safetensors import Tensor
from ...format.step_sizes import coarse_steps
from ...types import Float
from .. import Rounded
from .network import Network, shapes

BATCH_NORM_EPSILON = 1e-5  # torch.nn.BatchNorm1d's
VECTOR = re.compile(r"(in|out)put_(mean|scale)|bn\d\.(weight|bias|running_\w+)|lstm\.bias_\w+")
MATRIX = re.compile(r"fc\d\.weight|lstm\.weight_\w+")
EFFECT = {"fc1": -34, "input": -35, "recurrent": -41, "fc2": -28, "fc3": -30}
"""The output's noise in dB for steps as large as a matrix's typical weight, by the end of its name; measured."""


def recognises(state: Mapping[str, Any]) -> bool:
    """Whether a checkpoint is an Open-Unmix, whole or damaged."""
    return any(VECTOR.fullmatch(name) or MATRIX.fullmatch(name) for name in state)


def targets(state: Mapping[str, Any]) -> tuple[str, ...]:
    """Always (): a checkpoint doesn't say which target it is for."""
    return ()


def describe(
    state: Mapping[str, NDArray[Any]],
    targets: Sequence[str] = (),
    preset: str = "web",
    /,
    **known: Any,
) -> Network:
    """The network that a checkpoint is of. known: n_fft and hop, which it doesn't tell.

    Raises ConvertError for what is no Open-Unmix.
    """
    for pattern, dimensions in ((VECTOR, 1), (MATRIX, 2)):
        for name, tensor in state.items():
            if pattern.fullmatch(name) and (tensor.ndim != dimensions or not tensor.size):
                raise _no_openunmix(f"its {name} has shape {tensor.shape}")
    try:
        max_bin, bins = len(state["input_mean"]), len(state["output_mean"])
        hidden, inputs = state["fc1.weight"].shape
    except KeyError as error:
        raise _no_openunmix(f"{error} is missing") from error
    # The first nine digits are enough to see that there are too many.
    layers = [int(match[1]) for key in state if (match := re.match(r"lstm\.\w+_l(\d{1,9})", key))]
    return Network(
        **known,
        channels=inputs // max_bin,
        bins=bins,
        max_bin=max_bin,
        hidden_size=hidden,
        layers=1 + max(layers, default=-1),
        bidirectional="lstm.weight_ih_l0_reverse" in state,
    )


def _no_openunmix(reason: str) -> ConvertError:
    return ConvertError("convert.no-openunmix", "it is no Open-Unmix: {reason}.", reason=reason)


def tensors(
    state: dict[str, NDArray[Any]], network: Network, preset: str, targets: Sequence[str] = ()
) -> Rounded:
    """Fold a target's state dict, which is emptied, and give every matrix 8-bit integers; see `models.Architecture`.

    Layers are rounded one at a time, so that few exist in both forms: the float one is four times as large.
    """
    folded = fold(state)
    means = mean_inputs(state)
    state.clear()
    check(folded, shapes(network))
    steps = choose_steps(folded, preset)
    out = Rounded()
    for layer in sorted({key.rpartition(".")[0] for key in folded}):
        whole = {key: folded.pop(key) for key in list(folded) if key.rpartition(".")[0] == layer}
        out |= round_weights(whole, steps, means)
        del whole
    return out


def quantize(
    folded: Mapping[str, Float], preset: str, means: Mapping[str, Float] | None = None
) -> dict[str, Tensor]:
    """As `tensors`, all layers at once. means: as `mean_inputs` returns them, for biases that make up for rounding."""
    return round_weights(folded, choose_steps(folded, preset), means or {})


def fold(state: Mapping[str, Float]) -> dict[str, Float]:
    """Turn one target's state dict into our layers, still in float32.

    Returns the tensors that `network.shapes` names, with float weights. Raises ConvertError, naming what is missing.
    """
    try:
        return _fold({key: _precise(value) for key, value in state.items()})
    except KeyError as error:
        raise _no_openunmix(f"{error} is missing") from error
    except ValueError as error:
        raise misfit(error) from error


def mean_inputs(state: Mapping[str, NDArray[Any]]) -> dict[str, Float]:
    """Average inputs of fc1 and fc3, float32 (inputs,) by name, as a state dict tells them.

    fc1's inputs are magnitudes, whose mean the network holds. fc3's are rectified outputs of a batch norm: nearly
    normally distributed, with the norm's weight as deviation and its bias as mean.
    """
    channels = state["fc1.weight"].shape[1] // len(state["input_scale"])
    magnitudes = np.tile(-state["input_mean"] * state["input_scale"], channels)
    z = np.linspace(-5, 5, 101)
    density = np.exp(-z * z / 2) / np.exp(-z * z / 2).sum()
    normal = state["bn2.bias"][:, np.newaxis] + state["bn2.weight"][:, np.newaxis] * z
    rectified = np.maximum(normal, 0) @ density
    return {"fc1": magnitudes.astype(np.float32), "fc3": rectified.astype(np.float32)}


def choose_steps(folded: Mapping[str, Float], preset: str) -> dict[str, Float]:
    """Step sizes for one of PRESETS, as `round_weights` takes them."""
    if preset not in PRESETS:
        raise unusable(f"it knows no preset {preset}")
    bits = PRESETS[preset]
    return coarse(folded, bits) if bits else {}


def coarse(folded: Mapping[str, Float], bits: float) -> dict[str, Float]:
    """Step sizes for so many bits a weight.

    A row's scale says how much its output counts. The last layer's rows are frequency bins, whose loudness counts too.
    Its square root is taken, because the ear doesn't add up energies over frequency as the signal-to-noise ratio does.
    """
    matrices = {
        key.removesuffix(".weight"): folded[key] for key in folded if key.endswith(".weight")
    }
    importance = {name: np.abs(folded[f"{name}.scale"]) for name in matrices}
    importance["fc3"] = importance["fc3"] * np.sqrt(_loudness(folded))
    effect = {name: EFFECT[name.rpartition(".")[2]] for name in matrices}
    return coarse_steps(matrices, importance, effect, bits)


def _loudness(folded: Mapping[str, Float]) -> Float:
    """Loudness of music for each of fc3's rows: the deviation in its bin; above max_bin, that of max_bin."""
    scale = np.abs(folded["input_scale"])
    channels = folded["fc1.weight"].shape[1] // len(scale)
    bins = len(folded["fc3.weight"]) // channels
    deviation = 1 / np.maximum(scale, 1e-6 * scale.max() + 1e-30)
    return np.tile(np.pad(deviation, (0, bins - len(scale)), "edge"), channels)


def _precise(value: NDArray[Any]) -> NDArray[Any]:
    """Vectors become float64. Matrices stay float32, and aren't copied."""
    return np.asarray(value, np.float32 if value.ndim > 1 else np.float64)


def _fold(state: Mapping[str, np.ndarray]) -> dict[str, Float]:
    out: dict[str, np.ndarray] = {"input_scale": state["input_scale"]}

    def norm(name: str) -> tuple[np.ndarray, np.ndarray]:
        scale = state[f"{name}.weight"] / np.sqrt(state[f"{name}.running_var"] + BATCH_NORM_EPSILON)
        return scale, state[f"{name}.bias"] - state[f"{name}.running_mean"] * scale

    def put(name: str, weight: np.ndarray, scale: np.ndarray, bias: np.ndarray | None) -> None:
        out[f"{name}.weight"], out[f"{name}.scale"] = weight, scale
        if bias is not None:
            out[f"{name}.bias"] = bias

    scale, bias = norm("bn1")
    channels = state["fc1.weight"].shape[1] // len(state["input_scale"])
    shift = np.tile(state["input_mean"] * state["input_scale"], channels)
    # Multiplied in double precision, a sixteenth at a time: as float64 the matrix would take twice its memory.
    parts = np.array_split(state["fc1.weight"], 16)
    put(
        "fc1", state["fc1.weight"], scale, bias + scale * np.concatenate([p @ shift for p in parts])
    )

    layer = 0
    while f"lstm.weight_ih_l{layer}" in state:
        for direction, suffix in (("forward", ""), ("backward", "_reverse")):
            end = f"l{layer}{suffix}"
            if f"lstm.weight_ih_{end}" not in state:
                continue
            weight, recurrent = state[f"lstm.weight_ih_{end}"], state[f"lstm.weight_hh_{end}"]
            ones = np.ones(len(weight))
            bias = state[f"lstm.bias_ih_{end}"] + state[f"lstm.bias_hh_{end}"]
            put(f"lstm.{layer}.{direction}.input", weight, ones, bias)
            put(f"lstm.{layer}.{direction}.recurrent", recurrent, ones, None)
        layer += 1

    put("fc2", state["fc2.weight"], *norm("bn2"))
    scale, bias = norm("bn3")
    output_scale = np.tile(state["output_scale"], channels)
    output_mean = np.tile(state["output_mean"], channels)
    put("fc3", state["fc3.weight"], scale * output_scale, bias * output_scale + output_mean)
    return {key: np.ascontiguousarray(value, np.float32) for key, value in out.items()}
