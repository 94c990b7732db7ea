"""Folding: a checkpoint's state dict becomes the matrices and vectors that the network computes with, as floats.

Convolutions become matrices over the taps of a row, LayerScale after a linear layer becomes part of it, and queries,
keys and values are projected together. The makers count decoders from the innermost; here a level has one number.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...types import Float
from .description import BRANCHES, DEPTH, REACHES, Network, is_cross

EMBEDDING = 0.2 * 10.0
"""Weight and scale of the embedding of frequencies."""
MARKS = {"freq": ("", ""), "time": ("t", "_t")}
"""Prefix and suffix of a layer's name, by branch."""


def fold(state: Mapping[str, NDArray[Any]], network: Network) -> dict[str, Float]:
    """The tensors that `shapes` names, float32, with float matrices and without their scales.

    Raises KeyError for a tensor that is missing, ValueError for one of another number of dimensions.
    """
    out: dict[str, Float] = {}

    def take(name: str) -> Float:
        return np.asarray(state[name], np.float32)

    def matrix(name: str, weight: Float, bias: Float) -> None:
        out[f"{name}.weight"] = np.ascontiguousarray(weight)
        out[f"{name}.bias"] = bias

    def plain(name: str, source: str, scale: Float | None = None) -> None:
        """A linear layer, or a convolution of one tap; scale: of its outputs."""
        weight, bias = take(f"{source}.weight"), take(f"{source}.bias")
        weight = weight.reshape(len(weight), -1)
        if scale is not None:
            weight, bias = weight * scale[:, np.newaxis], bias * scale
        matrix(name, weight, bias)

    def norm(name: str, source: str) -> None:
        out[f"{name}.gain"], out[f"{name}.bias"] = take(f"{source}.weight"), take(f"{source}.bias")

    def dconv(name: str, source: str) -> None:
        for index in range(len(REACHES)):
            part, layers = f"{name}.dconv.{index}", f"{source}.dconv.layers.{index}"
            weight = take(f"{layers}.0.weight").transpose(0, 2, 1)  # (squeezed, 3, channels)
            matrix(f"{part}.squeeze", weight.reshape(len(weight), -1), take(f"{layers}.0.bias"))
            norm(f"{part}.squeeze_norm", f"{layers}.1")
            plain(f"{part}.expand", f"{layers}.3")
            norm(f"{part}.expand_norm", f"{layers}.4")
            out[f"{part}.layer_scale"] = take(f"{layers}.6.scale")

    out["freq.embedding"] = take("freq_emb.embedding.weight") * np.float32(EMBEDDING)
    for branch in BRANCHES:
        before, behind = MARKS[branch]
        for level in range(DEPTH):
            encoder, source = f"{branch}.encoder.{level}", f"{before}encoder.{level}"
            weight = take(f"{source}.conv.weight")
            weight = weight.reshape(*weight.shape[:3]).transpose(0, 2, 1)  # (outputs, taps, inputs)
            matrix(f"{encoder}.conv", weight.reshape(len(weight), -1), take(f"{source}.conv.bias"))
            dconv(encoder, source)
            plain(f"{encoder}.rewrite", f"{source}.rewrite")

            decoder = f"{branch}.decoder.{level}"
            source = f"{before}decoder.{DEPTH - 1 - level}"
            weight = take(f"{source}.rewrite.weight")
            # (outputs, inputs, bins, frames) or (outputs, inputs, samples)
            weight = weight.transpose((0, 3, 2, 1) if branch == "freq" else (0, 2, 1))
            matrix(
                f"{decoder}.rewrite",
                weight.reshape(len(weight), -1),
                take(f"{source}.rewrite.bias"),
            )
            dconv(decoder, source)
            weight = take(f"{source}.conv_tr.weight")  # (inputs, outputs, 8), perhaps 1 behind
            weight = weight.reshape(*weight.shape[:2], -1).transpose(2, 1, 0)
            # Place 4 i + k has input i by tap k, and input i - 1 by tap k + 4.
            now, earlier = np.split(weight.reshape(-1, weight.shape[-1]), 2)
            matrix(
                f"{decoder}.conv",
                np.concatenate([earlier, now], axis=1),
                np.tile(take(f"{source}.conv_tr.bias"), 4),
            )
        if network.bottom_channels:
            plain(f"{branch}.upsample", f"channel_upsampler{behind}")
            plain(f"{branch}.downsample", f"channel_downsampler{behind}")
        norm(f"{branch}.norm_in", f"crosstransformer.norm_in{behind}")
        for index in range(network.layers):
            layer = f"{branch}.transformer.{index}"
            source = f"crosstransformer.layers{behind}.{index}"
            attention = f"{source}.{'cross' if is_cross(index) else 'self'}_attn"
            weight, bias = take(f"{attention}.in_proj_weight"), take(f"{attention}.in_proj_bias")
            if is_cross(index):
                width = len(weight) // 3
                matrix(f"{layer}.query", weight[:width], bias[:width])
                matrix(f"{layer}.memory", weight[width:], bias[width:])
                norm(f"{layer}.norm_memory", f"{source}.norm2")
            else:
                matrix(f"{layer}.attention", weight, bias)
            norm(f"{layer}.norm_query", f"{source}.norm1")
            norm(f"{layer}.norm_feed", f"{source}.norm{3 if is_cross(index) else 2}")
            norm(f"{layer}.norm_out", f"{source}.norm_out")
            plain(f"{layer}.out", f"{attention}.out_proj", take(f"{source}.gamma_1.scale"))
            plain(f"{layer}.feed", f"{source}.linear1")
            plain(f"{layer}.back", f"{source}.linear2", take(f"{source}.gamma_2.scale"))
    return out
