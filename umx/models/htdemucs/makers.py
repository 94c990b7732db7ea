"""The makers' files: which networks there are in them, by the arguments that their class is made with."""

import json
import re
from collections.abc import Mapping
from fractions import Fraction
from math import prod
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from .description import DEPTH, N_FFT, SAMPLE_RATE, SQUEEZE, STRIDE, Network

CLASS = "demucs.htdemucs.HTDemucs"
LARGEST_HEADER = 1 << 18
"""Bytes of a safetensors header; the makers' have 60 kB."""
DTYPES: dict[str, np.dtype[Any]] = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4")}
FIXED: dict[str, Any] = {
    "audio_channels": 2, "channels_time": None, "growth": 2, "nfft": N_FFT, "wiener_iters": 0, "cac": True,
    "depth": DEPTH, "rewrite": True, "freq_emb": 0.2, "emb_scale": 10, "kernel_size": 2 * STRIDE, "stride": STRIDE,
    "context": 1, "context_enc": 0, "norm_starts": DEPTH, "dconv_mode": 3, "dconv_depth": 2, "dconv_comp": SQUEEZE,
    "t_emb": "sin", "t_norm_in": True, "t_norm_in_group": False, "t_group_norm": False, "t_norm_first": True,
    "t_norm_out": True, "t_max_period": 10000.0, "t_layer_scale": True, "t_gelu": True, "t_weight_pos_embed": 1.0,
    "t_sin_random_shift": 0, "t_sparse_self_attn": False, "t_sparse_cross_attn": False, "t_cross_first": False,
    "samplerate": SAMPLE_RATE, "use_train_segment": True,
}  # fmt: skip
"""Arguments that all of the makers' models have; a network made with others is another one. The rest is training's."""
DEFAULTS: dict[str, Any] = {
    **FIXED,
    "dconv_mode": 1,
    "channels": 48,
    "bottom_channels": 0,
    "t_layers": 5,
    "t_heads": 8,
    "t_hidden_scale": 4.0,
    "segment": 10,
    "multi_freqs": None,
}
"""What the class makes of arguments that are left out."""


def describe(arguments: Mapping[str, Any], weight_bits: int) -> tuple[list[str], Network]:
    """The sources that a network estimates, and what it is. Raises ValueError for one that can't be used."""
    given = DEFAULTS | {key: value for key, value in arguments.items() if key in DEFAULTS}
    for name, value in FIXED.items():
        if type(given[name]) not in (bool, int, float, str, type(None)) or given[name] != value:
            raise ValueError(f"it was made with another {name} than the models of its makers")
    if given["multi_freqs"]:
        raise ValueError("it was made with multi_freqs, unlike the models of its makers")
    sources = arguments.get("sources")
    if not isinstance(sources, list | tuple) or not all(
        isinstance(source, str) and re.fullmatch(r"[\w-]{1,64}", source) for source in sources
    ):
        raise ValueError("its sources are no list of names")
    if len(set(sources)) != len(sources):
        raise ValueError("its sources have the same name")
    scale, segment = given["t_hidden_scale"], given["segment"]
    for name, number in (("t_hidden_scale", scale), ("segment", segment)):
        if type(number) not in (int, float, Fraction) or not 0 < number < 1000:
            raise ValueError(f"its {name} is no usable number")
    for name in ("channels", "bottom_channels", "t_layers", "t_heads"):
        if type(given[name]) is not int or not 0 <= given[name] < 1 << 16:
            raise ValueError(f"its {name} is no usable number")
    channels, bottom = given["channels"], given["bottom_channels"]
    width = bottom or channels << (DEPTH - 1)
    network = Network(
        sources=len(sources),
        channels=channels,
        bottom_channels=bottom,
        layers=given["t_layers"],
        heads=given["t_heads"],
        hidden_size=int(width * scale),
        segment=int(segment * SAMPLE_RATE),
        weight_bits=weight_bits,
    )
    network.check()
    return list(sources), network


def is_safetensors(head: bytes) -> bool:
    """Whether a file that begins so may be one."""
    return (
        len(head) >= 10
        and int.from_bytes(head[:8], "little") <= LARGEST_HEADER
        and head[8:9] == b"{"
    )


def read_safetensors(file: BinaryIO) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The arguments and the state dict of a safetensors file as the makers write them.

    Nothing is allocated before the file is known to hold it. Raises ValueError, saying what is wrong.
    """
    end = file.seek(0, 2)
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if not 0 < length <= min(LARGEST_HEADER, end - 8):
        raise ValueError("it is no safetensors file")
    header = _object(file.read(length), "its header")
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict) or metadata.get("klass") != CLASS:
        raise ValueError("it is a safetensors file, but no HTDemucs")
    arguments = _object(metadata.get("kwargs"), "its list of arguments")
    segment = arguments.get("segment")
    if isinstance(segment, dict):
        over, under = segment.get("numerator"), segment.get("denominator")
        if not (
            type(over) is int and type(under) is int and 0 < over < 1 << 20 and 0 < under < 1 << 20
        ):
            raise ValueError("its segment is no usable number")
        arguments["segment"] = Fraction(over, under)
    state: dict[str, NDArray[Any]] = {}
    place = 0
    for name, entry in sorted(header.items(), key=lambda item: _begin(item[1])):
        dtype, shape = _form(entry, name)
        size = prod(shape) * dtype.itemsize
        if entry["data_offsets"] != [place, place + size] or 8 + length + place + size > end:
            raise ValueError(f"its tensor {name[:64]!r} does not lie where it should")
        state[name] = np.frombuffer(file.read(size), dtype).reshape(shape)
        place += size
    if 8 + length + place != end:
        raise ValueError("it goes on after its last tensor")
    return arguments, state


def _object(text: Any, what: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{what} is no JSON") from error
    if not isinstance(content, dict):
        raise ValueError(f"{what} holds no names")
    return content


def _begin(entry: Any) -> int:
    """Where a tensor begins, as far as its entry says so."""
    try:
        begin = entry["data_offsets"][0]
    except (TypeError, KeyError, IndexError):
        return -1
    return begin if type(begin) is int else -1


def _form(entry: Any, name: str) -> tuple[np.dtype[Any], list[int]]:
    """Type and shape of a tensor. Raises ValueError where its entry has none that can be."""
    match entry:
        case {"dtype": "F16" | "F32" as dtype, "shape": list(shape)} if len(shape) <= 8:
            if all(type(count) is int and 0 <= count < 1 << 32 for count in shape):
                return DTYPES[dtype], shape
    raise ValueError(f"its tensor {name[:64]!r} is of no type or shape that can be read")
