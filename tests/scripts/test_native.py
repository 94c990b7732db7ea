"""How the package's own speed is measured."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from scripts import kernels
from scripts.common import native
from tests.htdemucs import FOUR, state
from umx.format.library import Model, find_model, load_model
from umx.kernels.reference import Numpy
from umx.models.htdemucs.description import Network, work
from umx.models.htdemucs.fold import fold
from umx.models.htdemucs.quantize import quantize
from umx.separator import Separator

SECONDS = 2


def test_a_process_of_its_own_measures(tmp_path: Path) -> None:
    noise = 0.1 * np.random.default_rng(1).standard_normal((SECONDS * 44100, 2))
    soundfile.write(tmp_path / "song.wav", noise, 44100)
    speed = native.measure(tmp_path / "none", find_model("umx-mini"), tmp_path / "song.wav", 1, 2)
    assert (speed.variant, len(speed.factors)) == ("numpy", 2)
    assert all(0 < factor < 10 for factor in speed.factors)
    assert 40 < speed.memory < 1000
    assert math.isnan(speed.limit)


def test_multiply_adds_are_those_of_all_networks_and_segments() -> None:
    mini = Separator(load_model(find_model("umx-mini")), Numpy())
    sizes = [network.size for network in mini.estimator.networks.values()]
    assert native._multiply_adds(mini, 44100) == 4 * sizes[0] * (1 + 44100 // 1024)

    network = Network(4, 8, 32, 3, 4, 64, 44100, 16)
    manifest = replace(mini.manifest, architecture="htdemucs", network=network)
    weights = {FOUR: quantize(fold(state("four"), network), "best")}
    separator = Separator(Model(manifest, weights), Numpy())
    assert native._multiply_adds(separator, 3 * 44100) == 4 * sum(work(network).values())


@pytest.mark.skipif(kernels.this_platform() is None, reason="no libraries for this machine")
def test_the_limit_is_that_of_registers_alone(tmp_path: Path) -> None:
    here = kernels.this_platform()
    assert here
    plainest = list(here.variants)[-1]
    source = Path(native.__file__).with_name("limit.c")
    kernels.build_variant(here, plainest, source, tmp_path)
    assert 1 < native._limit(tmp_path, plainest) < 1000
