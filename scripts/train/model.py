"""Open-Unmix as it is trained: only the bins below 16 kHz are computed; export fills in the others.

Parameters have the official names and so do the checkpoints, which `openunmix` and `umx.format.checkpoint` read.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from umx.format.safetensors import Tensors

BINS = 2049
MAX_BIN = 1487
CHANNELS = 2


class OpenUnmix(nn.Module):
    """Stöter et al., "Open-Unmix – A Reference Implementation for Music Source Separation", JOSS 2019."""

    def __init__(self, hidden: int = 256):
        super().__init__()
        self.fc1 = nn.Linear(CHANNELS * MAX_BIN, hidden, bias=False)
        self.bn1 = nn.BatchNorm1d(hidden)
        self.lstm = nn.LSTM(hidden, hidden // 2, 3, bidirectional=True)
        self.fc2 = nn.Linear(2 * hidden, hidden, bias=False)
        self.bn2 = nn.BatchNorm1d(hidden)
        self.fc3 = nn.Linear(hidden, CHANNELS * MAX_BIN, bias=False)
        self.bn3 = nn.BatchNorm1d(CHANNELS * MAX_BIN)
        self.input_mean = nn.Parameter(torch.zeros(MAX_BIN))
        self.input_scale = nn.Parameter(torch.ones(MAX_BIN))
        self.output_scale = nn.Parameter(torch.ones(MAX_BIN))
        self.output_mean = nn.Parameter(torch.ones(MAX_BIN))
        for fixed in (self.input_mean, self.input_scale, self.output_scale, self.output_mean):
            fixed.requires_grad_(False)

    def hidden(self, mixture: Tensor) -> Tensor:
        """Input of the last layer, (frames, batch, hidden), for magnitudes (frames, batch, 2, MAX_BIN)."""
        weight, bias = _folded(self.fc1, self.bn1)
        weight = weight * self.input_scale.tile(CHANNELS)
        bias = bias + weight @ self.input_mean.tile(CHANNELS)
        x = torch.tanh(functional.linear(mixture.flatten(2), weight, bias))
        x = torch.cat([x, self.lstm(x)[0]], dim=-1)
        return torch.relu(functional.linear(x, *_folded(self.fc2, self.bn2)))

    def head(self) -> tuple[Tensor, Tensor]:
        """The last layer: both channels' matrices (2, hidden, MAX_BIN) and biases (2, 1, MAX_BIN)."""
        weight, bias = _folded(self.fc3, self.bn3)
        scale, mean = self.output_scale.tile(CHANNELS), self.output_mean.tile(CHANNELS)
        weight, bias = weight * scale[:, None], bias * scale + mean
        return weight.unflatten(0, (CHANNELS, MAX_BIN)).mT, bias.reshape(CHANNELS, 1, MAX_BIN)

    def forward(self, mixture: Tensor) -> Tensor:
        """Magnitudes (frames, batch, 2, MAX_BIN) of the mixture to those of the target."""
        weight, bias = self.head()
        masks = torch.relu(self.hidden(mixture)[:, None] @ weight + bias)  # frames, 2, batch
        return masks.transpose(1, 2) * mixture

    @torch.no_grad()
    def begin(self, mixture: Tensor, layers: Tensors | None = None) -> None:
        """Measure on magnitudes (frames, batch, 2, MAX_BIN) what training then leaves as it is: the input's shift and
        scale, and the norms' mean and variance.

        layers: a target's tensors as `umx.format.library.load_model` reads them, to go on from.
        """
        known = {
            key: torch.from_numpy(np.array(v, np.float32)) for key, v in (layers or {}).items()
        }
        self.input_mean.copy_(-mixture.mean(dim=(0, 1, 2)))
        if known:
            self.input_scale.copy_(known["input_scale"])
            self.output_mean.fill_(0)  # the norm before it has taken it up
            for name, value in self.lstm.named_parameters():
                value.copy_(_lstm(known, name))
        else:
            deviation = mixture.flatten(0, 2).std(dim=0)
            self.input_scale.copy_(1 / deviation.clamp(min=1e-4 * float(deviation.max())))
        shift = self.input_mean * self.input_scale
        x = (mixture * self.input_scale + shift).flatten(2)
        x = torch.tanh(_begin(self.fc1, self.bn1, x, *_linear(known, "fc1", shift.tile(CHANNELS))))
        x = torch.cat([x, self.lstm(x)[0]], dim=-1)
        x = torch.relu(_begin(self.fc2, self.bn2, x, *_linear(known, "fc2")))
        matrix = _linear(known, "fc3")
        _begin(self.fc3, self.bn3, x, *(part[_rows()] for part in matrix))


def official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All 2049 bins: those from 16 kHz up share the mask of the last one below."""
    bins = torch.arange(BINS).clamp(max=MAX_BIN - 1)
    rows = torch.cat([bins + channel * MAX_BIN for channel in range(CHANNELS)])
    return {
        key: value[rows] if _per_row(key) else value[bins] if key.startswith("output_") else value
        for key, value in state.items()
    }


def _per_row(key: str) -> bool:
    return key in ("fc3.weight", "bn3.weight", "bn3.bias", "bn3.running_mean", "bn3.running_var")


def _rows() -> Tensor:
    """Positions of the trained bins among the official outputs."""
    return torch.cat([torch.arange(MAX_BIN) + channel * BINS for channel in range(CHANNELS)])


def _folded(linear: nn.Linear, norm: nn.BatchNorm1d) -> tuple[Tensor, Tensor]:
    """A layer and the norm after it as one matrix and bias."""
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    return linear.weight * scale[:, None], norm.bias - norm.running_mean * scale


def _begin(linear: nn.Linear, norm: nn.BatchNorm1d, x: Tensor, *folded: Tensor) -> Tensor:
    """Measure a norm for inputs (frames, batch, …), having set both layers to a folded matrix and bias where there are.

    Returns the norm's output.
    """
    if folded:
        matrix, bias = folded
        size = matrix.norm(dim=1).clamp(min=1e-6)
        linear.weight.copy_(matrix / size[:, None])
    y = linear(x).flatten(0, 1)
    norm.running_mean.copy_(y.mean(dim=0))
    norm.running_var.copy_(y.var(dim=0))
    if folded:
        norm.weight.copy_(size * (norm.running_var + norm.eps).sqrt())
        norm.bias.copy_(bias + size * norm.running_mean)
    return norm.eval()(y).unflatten(0, x.shape[:2])


def _linear(
    layers: Mapping[str, Tensor], name: str, shift: Tensor | None = None
) -> tuple[Tensor, ...]:
    """A layer's matrix and its bias, for inputs that are shifted; nothing where there are no layers."""
    if not layers:
        return ()
    matrix = layers[f"{name}.weight"] * layers[f"{name}.scale"][:, None]
    bias = layers[f"{name}.bias"]
    return matrix, bias if shift is None else bias - matrix @ shift


def _lstm(layers: Mapping[str, Tensor], name: str) -> Tensor:
    """One of nn.LSTM's parameters, as weight_ih_l0 or bias_hh_l2_reverse."""
    kind, side, place = name.removesuffix("_reverse").split("_")
    direction = "backward" if name.endswith("_reverse") else "forward"
    prefix = f"lstm.{place[1:]}.{direction}"
    if kind == "bias":
        bias = layers[f"{prefix}.input.bias"]
        return bias if side == "ih" else torch.zeros_like(bias)
    layer = f"{prefix}.{'input' if side == 'ih' else 'recurrent'}"
    return layers[f"{layer}.weight"] * layers[f"{layer}.scale"][:, None]
