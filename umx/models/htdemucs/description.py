"""An HTDemucs's description: the numbers that tell one from another, and its tensors.

All of the makers' models share the constants below; what differs are the fields of `Network`.
"""

from dataclasses import dataclass, fields
from math import prod

from ...format.safetensors import Shapes

SAMPLE_RATE = 44100
AUDIO_CHANNELS = 2
N_FFT, HOP = 4096, 1024
BINS = N_FFT // 2
"""The last bin of a spectrum is left out."""
DEPTH = 4
"""Levels of the encoders and decoders."""
KERNEL, STRIDE = 8, 4
"""Taps and step of the convolutions from level to level."""
REACHES = (1, 2)
"""Dilation of each residual branch of a DConv."""
SQUEEZE = 8
"""Ratio of a level's channels to those inside its residual branches."""
BRANCHES = ("freq", "time")

MOST_TOKENS = 1 << 13
LARGEST = {
    "sources": 16, "channels": 512, "bottom_channels": 4096, "layers": 32, "heads": 64,
    "hidden_size": 1 << 14, "segment": 60 * SAMPLE_RATE, "weight_bits": 16,
}  # fmt: skip


@dataclass(frozen=True)
class Network:
    """An HTDemucs, as a manifest describes it.

    sources: how many it estimates. channels: of the outermost level; each level has twice as many as the one around it.
    bottom_channels: the transformer's width, 0 for that of the innermost level. hidden_size: of its feed-forward parts.
    segment: samples that it takes, no more and no fewer. weight_bits: 16 for weights in two bytes, 8 for one.
    """

    sources: int
    channels: int
    bottom_channels: int
    layers: int
    heads: int
    hidden_size: int
    segment: int
    weight_bits: int

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level, the outermost first."""
        return tuple(self.channels << level for level in range(DEPTH))

    @property
    def width(self) -> int:
        """Channels of the transformer."""
        return self.bottom_channels or self.widths[-1]

    @property
    def frames(self) -> int:
        return -(-self.segment // HOP)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Samples at the time branch's input, and after each level."""
        out = [self.segment]
        for _ in range(DEPTH):
            out.append(-(-out[-1] // STRIDE))
        return tuple(out)

    @property
    def heights(self) -> tuple[int, ...]:
        """Bins at the frequency branch's input, and after each level."""
        return tuple(BINS // STRIDE**level for level in range(DEPTH + 1))

    def extent(self, branch: str, level: int) -> tuple[int, int]:
        """Frames and bins of a spectrum, or 1 and samples of a waveform, after a level; -1 for the input's."""
        if branch == "freq":
            return self.frames, self.heights[level + 1]
        return 1, self.lengths[level + 1]

    def tokens(self, branch: str) -> int:
        """Number of tokens that the branch gives the transformer."""
        outer, inner = self.extent(branch, DEPTH - 1)
        return outer * inner

    def check(self) -> None:
        """Raise ValueError for a number that is of the wrong type or out of bounds."""
        for field in fields(self):
            value, least = getattr(self, field.name), int(field.name != "bottom_channels")
            if type(value) is not int or not least <= value <= LARGEST[field.name]:
                raise ValueError(
                    f"{field.name} should be a whole number from {least} to {LARGEST[field.name]}"
                )
        for name in ("channels", "bottom_channels", "hidden_size"):
            if getattr(self, name) % 8:  # the kernels take eight numbers at a time
                raise ValueError(f"{name} should be a multiple of 8")
        if self.width % (8 * self.heads):
            raise ValueError("heads should divide the transformer's width into multiples of 8")
        if self.segment < N_FFT:
            raise ValueError(f"segment should be {N_FFT} samples or more")
        if max(map(self.tokens, BRANCHES)) > MOST_TOKENS:
            raise ValueError("segment should be shorter")
        if self.weight_bits not in (8, 16):
            raise ValueError("weight_bits should be 8 or 16")


def values(branch: str) -> int:
    """Values for each bin or sample of the audio: a complex spectrum has two a channel."""
    return AUDIO_CHANNELS * (2 if branch == "freq" else 1)


def shapes(network: Network) -> Shapes:
    """Every tensor of a network's file: its type and shape by name.

    Matrices are (outputs, inputs) integers with a scale a row. Inputs of a convolution are its taps in turn, each with
    all of its channels; along time first, then along frequency. With 16 bits, a weight is 256 * weight + low.
    """
    out: Shapes = {}

    def matrix(name: str, outputs: int, inputs: int) -> None:
        out[f"{name}.weight"] = ("I8", (outputs, inputs))
        if network.weight_bits == 16:
            out[f"{name}.low"] = ("I8", (outputs, inputs))
        vectors(name, outputs, "scale", "bias")

    def vectors(name: str, size: int, *kinds: str) -> None:
        for kind in kinds:
            out[f"{name}.{kind}"] = ("F32", (size,))

    width = network.width
    out["freq.embedding"] = ("F32", (network.heights[1], network.channels))
    for branch in BRANCHES:
        frames_seen = 3 if branch == "freq" else 1
        inputs, outputs = values(branch), values(branch) * network.sources
        for level, channels in enumerate(network.widths):
            encoder, decoder = f"{branch}.encoder.{level}", f"{branch}.decoder.{level}"
            matrix(f"{encoder}.conv", channels, KERNEL * inputs)
            matrix(f"{encoder}.rewrite", 2 * channels, channels)
            matrix(f"{decoder}.rewrite", 2 * channels, frames_seen * 3 * channels)
            # Transposed: a pair of neighbours gives the four outputs between them.
            matrix(f"{decoder}.conv", STRIDE * outputs, KERNEL // STRIDE * channels)
            for coder in (encoder, decoder):
                for index in range(len(REACHES)):
                    part, squeezed = f"{coder}.dconv.{index}", channels // SQUEEZE
                    matrix(f"{part}.squeeze", squeezed, 3 * channels)
                    vectors(f"{part}.squeeze_norm", squeezed, "gain", "bias")
                    matrix(f"{part}.expand", 2 * channels, squeezed)
                    vectors(f"{part}.expand_norm", 2 * channels, "gain", "bias")
                    vectors(part, channels, "layer_scale")
            inputs = outputs = channels
        if network.bottom_channels:
            matrix(f"{branch}.upsample", width, network.widths[-1])
            matrix(f"{branch}.downsample", network.widths[-1], width)
        vectors(f"{branch}.norm_in", width, "gain", "bias")
        for index in range(network.layers):
            layer = f"{branch}.transformer.{index}"
            norms = ["norm_query", "norm_feed", "norm_out"]
            if is_cross(index):
                norms.append("norm_memory")
                matrix(f"{layer}.query", width, width)
                matrix(f"{layer}.memory", 2 * width, width)  # keys, then values
            else:
                matrix(f"{layer}.attention", 3 * width, width)  # queries, keys, values
            matrix(f"{layer}.out", width, width)
            matrix(f"{layer}.feed", network.hidden_size, width)
            matrix(f"{layer}.back", width, network.hidden_size)
            for norm in norms:
                vectors(f"{layer}.{norm}", width, "gain", "bias")
    return out


def is_cross(layer: int) -> bool:
    """Whether a layer of the transformer attends to the other branch instead of its own."""
    return layer % 2 == 1


def work(network: Network) -> dict[str, int]:
    """Multiply-adds of every matrix in one segment, and of every layer's attention."""
    tokens = {branch: network.tokens(branch) for branch in BRANCHES}
    other = dict(zip(BRANCHES, reversed(BRANCHES), strict=True))
    out = {}
    for key, (_, shape) in shapes(network).items():
        name, _, kind = key.rpartition(".")
        if kind == "weight":
            branch, stage, *rest = name.split(".")
            rows = tokens[other[branch] if name.endswith(".memory") else branch]
            if stage in ("encoder", "decoder"):
                rows = prod(network.extent(branch, int(rest[0])))
            out[name] = rows * prod(shape)
    for index in range(network.layers):
        for branch in BRANCHES:
            memory = tokens[other[branch] if is_cross(index) else branch]
            pairs = tokens[branch] * memory
            out[f"{branch}.transformer.{index}.attend"] = 2 * pairs * network.width
    return out
