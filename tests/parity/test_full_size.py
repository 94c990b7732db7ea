"""UMX-L's size, with random weights, against `openunmix` itself; runs where torch and openunmix are installed."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests import full_size
from tests.parity.test_parity import TARGETS, error
from tests.reference import AsTheReference
from tests.unit.side_module import SideModule
from umx.format.library import Model, load_model
from umx.format.manifest import Manifest
from umx.kernels.reference import Numpy
from umx.kernels.simd import Simd
from umx.models.openunmix.convert import describe, fold
from umx.models.openunmix.official import SIGNAL
from umx.separator import Separator
from umx.signal import stft

pytestmark = pytest.mark.full
ROOT = Path(__file__).parents[2]
FRAMES = 431  # ten seconds, so more than one window of the Wiener filter
SAMPLES = FRAMES * SIGNAL["hop"] + 321
LARGEST_CODES = 45_000_000  # bytes
LARGEST_PROCESS = 1500  # megabytes
LONGEST = 120  # seconds

# Runs a command, then says how many seconds of processor time and megabytes it took.
MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000)
"""


@pytest.fixture(scope="module")
def mixture() -> np.ndarray:
    golden = pytest.importorskip("golden")
    return golden.music(SAMPLES, 3)


def test_separated_waveforms_at_full_size(mixture: np.ndarray) -> None:
    torch, golden = pytest.importorskip("torch"), pytest.importorskip("golden")
    networks = {t: full_size.network(seed) for seed, t in enumerate(TARGETS)}
    reference = golden.Separator(networks, niter=1, n_fft=SIGNAL["n_fft"], n_hop=SIGNAL["hop"])
    reference.freeze()
    with torch.no_grad():
        expected = reference(torch.from_numpy(mixture)[None])[0].numpy()

    states = {
        target: {key: value.numpy() for key, value in network.state_dict().items()}
        for target, network in networks.items()
    }
    texts = dict.fromkeys(("name", "title", "licence", "credit", "source", "preset"), "")
    network = describe(states["vocals"], **SIGNAL)
    manifest = Manifest(
        **texts, architecture="openunmix", sample_rate=44100, network=network, files=()
    )
    folded = {(target,): fold(state) for target, state in states.items()}
    del networks, reference, states

    separator = Separator(Model(manifest, folded), AsTheReference())
    (estimates,) = separator.process(mixture[np.newaxis])
    assert stft.frame_count(SAMPLES, SIGNAL["hop"]) > 300
    found = error(estimates, expected)
    print(f"\nfloat path against openunmix: {found:.1e}")
    assert found < 1e-4


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that openunmix's training would leave, converted by the script in a process of its own."""
    folder = tmp_path_factory.mktemp("full")
    full_size.save(folder / "trained")
    (folder / "weights").mkdir()
    script = [str(ROOT / "scripts" / "weights.py"), "--weights", str(folder / "weights")]
    command = [sys.executable, *script, "convert", str(folder / "trained"), "--name", "full"]
    # Between them a process that is small: one counts the memory that it was forked with.
    said = subprocess.check_output([sys.executable, "-c", MEASURE, *command], text=True)
    seconds, megabytes = map(float, said.split()[-2:])
    print(f"\nconversion: {seconds:.1f} s of processor time, {megabytes:.0f} MB")
    assert seconds < LONGEST
    assert megabytes < LARGEST_PROCESS
    return folder / "weights" / "full"


def test_web_takes_45_mb(converted: Path) -> None:
    sizes = [path.stat().st_size for path in converted.glob("*.gz")]
    print(f"\nfour targets: {sum(sizes) / 1e6:.1f} MB")
    assert len(sizes) == 4
    assert sum(sizes) < LARGEST_CODES


def test_stems_of_the_kernel_are_those_of_floats(converted: Path, mixture: np.ndarray) -> None:
    """The same 8-bit weights, in the WebAssembly kernel and as floats."""
    model = load_model(converted)
    simd = Simd(SideModule(pages=16384))
    result, expected = (Separator(model, engine).separate(mixture) for engine in (simd, Numpy()))
    ratios = [-20 * np.log10(error(*pair)) for pair in zip(result, expected, strict=True)]
    print("\nkernel against floats:", ", ".join(f"{ratio:.1f} dB" for ratio in ratios))
    assert min(ratios) > 50
