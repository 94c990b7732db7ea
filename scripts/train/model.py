"""Open-Unmix as it is trained: only the bins below 16 kHz are computed; export fills in the others.

Parameters have the official names and so do the checkpoints, which `openunmix` and `umx.checkpoint` read.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

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

    def forward(self, mixture: Tensor) -> Tensor:
        """Magnitudes (frames, batch, 2, MAX_BIN) of the mixture to those of the target."""
        frames, batch = mixture.shape[:2]
        x = ((mixture + self.input_mean) * self.input_scale).reshape(frames * batch, -1)
        x = torch.tanh(self.bn1(self.fc1(x)))
        y = self.lstm(x.reshape(frames, batch, -1))[0].reshape(frames * batch, -1)
        x = torch.relu(self.bn2(self.fc2(torch.cat([x, y], dim=-1))))
        x = self.bn3(self.fc3(x)).reshape(mixture.shape)
        return torch.relu(torch.addcmul(self.output_mean, x, self.output_scale)) * mixture

    def standardise(self, magnitudes: Tensor) -> None:
        """Set the input's shift and scale from mixtures (…, MAX_BIN)."""
        flat = magnitudes.reshape(-1, MAX_BIN)
        deviation = flat.std(dim=0)
        self.input_mean.data = -flat.mean(dim=0)
        self.input_scale.data = 1 / deviation.clamp(min=1e-4 * float(deviation.max()))


def official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All 2049 bins: those from 16 kHz up share the mask of the last one below."""
    bins = torch.arange(BINS).clamp(max=MAX_BIN - 1)
    rows = torch.cat([bins + channel * MAX_BIN for channel in range(CHANNELS)])
    return {
        key: value[rows] if _per_row(key) else value[bins] if key.startswith("output_") else value
        for key, value in state.items()
    }


def trimmed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `official`."""
    rows = torch.cat([torch.arange(MAX_BIN) + channel * BINS for channel in range(CHANNELS)])
    return {
        key: value[rows]
        if _per_row(key)
        else value[:MAX_BIN]
        if key.startswith("output_")
        else value
        for key, value in state.items()
    }


def _per_row(key: str) -> bool:
    return key in ("fc3.weight", "bn3.weight", "bn3.bias", "bn3.running_mean", "bn3.running_var")
