"""Which network a checkpoint is of, by the arguments that its makers' class was made with."""

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from .description import DEPTH, N_FFT, SAMPLE_RATE, SQUEEZE, STRIDE, Network

CLASS = "demucs.htdemucs.HTDemucs"
FIXED: dict[str, Any] = {
    "audio_channels": 2, "channels_time": None, "growth": 2, "nfft": N_FFT, "wiener_iters": 0, "cac": True,
    "depth": DEPTH, "rewrite": True, "freq_emb": 0.2, "emb_scale": 10, "kernel_size": 2 * STRIDE, "stride": STRIDE,
    "context": 1, "context_enc": 0, "norm_starts": DEPTH, "dconv_mode": 3, "dconv_depth": 2, "dconv_comp": SQUEEZE,
    "t_emb": "sin", "t_norm_in": True, "t_norm_in_group": False, "t_group_norm": False, "t_norm_first": True,
    "t_norm_out": True, "t_max_period": 10000.0, "t_layer_scale": True, "t_gelu": True, "t_weight_pos_embed": 1.0,
    "t_sin_random_shift": 0, "t_sparse_self_attn": False, "t_sparse_cross_attn": False, "t_cross_first": False,
    "samplerate": SAMPLE_RATE, "use_train_segment": True,
}  # fmt: skip
"""Arguments that all of the makers' models share; others make another network. Those left out concern training."""
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
"""The class's defaults."""


def parse(arguments: Mapping[str, Any]) -> tuple[tuple[str, ...], Network]:
    """Sources and network of these arguments. Raises ValueError for a network that can't be used."""
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
        weight_bits=16,
    )
    network.check()
    return tuple(sources), network
