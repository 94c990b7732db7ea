"""The side modules in the repository are what their sources compile to, and processors compute the same bits."""

import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scripts import kernels
from tests.htdemucs import FOUR, state
from tests.scripts import emulated
from tests.unit.side_module import SideModule
from umx.format.library import Model, find_model, load_model
from umx.kernels import _try, agree, candidates, choose, htdemucs, htdemucs_simd, library, simd
from umx.kernels.reference import Numpy
from umx.models.htdemucs.description import Network
from umx.models.htdemucs.fold import fold
from umx.models.htdemucs.quantize import quantize
from umx.separator import Separator
from umx.threads import ONE

HERE = kernels.this_platform()
native = pytest.mark.skipif(HERE is None, reason="libraries aren't compiled for this machine")
VARIANTS = list(HERE.variants) if HERE else []


@pytest.mark.parametrize("name", kernels.EXPORTS)
def test_a_rebuild_gives_the_same_bytes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZIG_GLOBAL_CACHE_DIR", str(tmp_path / "cache"))
    built, kept = tmp_path / f"{name}.wasm", kernels.FOLDER / f"{name}.wasm"
    kernels.build(name, built)
    assert built.read_bytes() == kept.read_bytes()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with this machine's libraries."""
    assert HERE
    folder = tmp_path_factory.mktemp("native")
    kernels.build_native(HERE, folder)
    return folder


def opened(module: object, path: Path) -> object:
    try:
        return library.load(path, module.SIGNATURES, module.RESULTS)  # type: ignore[attr-defined]
    except OSError as error:
        pytest.skip(str(error))


def assert_same(results: Iterable[np.ndarray], expected: Iterable[np.ndarray]) -> None:
    for result, other in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result, other)


@native
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_engine_s_bits_are_the_page_s(built: Path, variant: str) -> None:
    page = simd.Simd(SideModule(512))
    here = simd.Simd(opened(simd, built / f"kernels-{variant}.so"))
    assert agree(here, Numpy())
    assert_same(_try(here), _try(page))
    assert_same(odd_shapes(here), odd_shapes(page))


def odd_shapes(engine: simd.Simd) -> Iterable[np.ndarray]:
    """Products that leave parts of blocks and tiles empty, on numbers of all sizes."""
    rng = np.random.default_rng(1)
    for rows, inputs, outputs in (
        (1, 1, 1),
        (2, 7, 9),
        (3, 50, 33),
        (131, 300, 70),
        (9, 2974, 129),
    ):
        layer = _layer(rng, outputs, inputs)
        x = (rng.standard_normal((rows, inputs)) * 10.0 ** rng.integers(-9, 9, (rows, 1))).astype(
            "f4"
        )
        x[0, 0] = np.nan
        for activation in ("none", "tanh", "relu"):
            yield engine.linear(x, engine.pack(layer), activation)
    for inputs in (8, 512, 2974):  # the largest sums that there can be
        extreme = simd.Linear(
            *(np.full((9, inputs), -128, np.int8), np.ones(9, np.float32)),
            np.zeros(9, np.float32),
        )
        x = np.full((5, inputs), -1, np.float32)
        x[1:3, inputs // 2 :] = [[1], [0]]
        yield engine.linear(x, engine.pack(extreme), "none")
    for sequences, width in ((1, 1), (3, 13), (4, 32), (5, 48)):
        recurrent = _layer(rng, 4 * width, width)
        layers = simd.LstmLayer(*(engine.pack(_layer(rng, 4 * width, 20)), engine.pack(recurrent)))
        out = np.empty((sequences, 6, width), np.float32)
        state = np.zeros((2, sequences, width), np.float32)
        x = rng.standard_normal((sequences, 6, 20)).astype(np.float32)
        yield from engine.lstm(x, layers, (state[0], state[1]), False, out)
        yield out
    extremes = np.array([np.nan, np.inf, -np.inf, 1, -1, 1e-42, 3e38, 0.5, -0.25], np.float32)
    yield engine.to_int16(np.stack([extremes, extremes[::-1]]))[0]
    yield engine.peaks(np.stack([extremes, extremes[::-1]]), 2)


def _layer(rng: np.random.Generator, outputs: int, inputs: int) -> simd.Linear:
    weight = rng.integers(-128, 128, (outputs, inputs), np.int8)
    scale = rng.uniform(0.5, 1.5, outputs).astype(np.float32) / np.float32(70 * inputs**0.5)
    return simd.Linear(weight, scale, rng.standard_normal(outputs).astype(np.float32))


@native
@pytest.mark.parametrize("variant", VARIANTS)
def test_htdemucs_s_bits_are_the_page_s(built: Path, variant: str) -> None:
    page = htdemucs_simd.Simd(SideModule(512, "htdemucs"))
    here = htdemucs_simd.Simd(opened(htdemucs_simd, built / f"htdemucs-{variant}.so"))
    assert htdemucs.agree(here, htdemucs.Reference(Numpy().product))
    assert_same(htdemucs._try(here), htdemucs._try(page))
    assert_same(odd_layers(here), odd_layers(page))


def odd_layers(layers: htdemucs_simd.Simd) -> Iterable[np.ndarray]:
    """Layers that leave parts of blocks and tiles empty."""
    rng = np.random.default_rng(2)

    def floats(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    def matrix(outputs: int, inputs: int) -> htdemucs.Matrix:
        weight = rng.integers(-4095, 4096, (outputs, inputs), np.int16)
        return htdemucs.Matrix(weight, floats(outputs) / 4095, floats(outputs))

    for rows, inputs, outputs in ((1, 8, 8), (3, 72, 24), (17, 136, 40), (133, 64, 56)):
        out = floats(1, rows, outputs)
        layers.product(floats(1, rows, 1, inputs), layers.pack(matrix(outputs, inputs)), "add", out)
        yield out
    for width, squeezed in ((8, 1), (24, 3), (48, 6), (96, 12)):
        x = floats(3, 41, width)
        x[:, :2] = x[:, -2:] = 0
        norms = (htdemucs.Norm(floats(size), floats(size)) for size in (squeezed, 2 * width))
        pair = matrix(squeezed, 3 * width), matrix(2 * width, squeezed)
        first, second = norms
        residual = htdemucs.Residual(pair[0], first, pair[1], second, floats(width))
        layers.dconv(x, layers.pack_residual(residual), 1)
        yield x
    for queries, keys, width in ((1, 1, 8), (17, 130, 24), (30, 257, 48)):
        out = floats(queries, 2 * width)
        layers.attend(*(floats(n, 2 * width) for n in (queries, keys, keys)), 2, out)
        yield out


@pytest.mark.parametrize("name", kernels.PLATFORMS)
def test_every_platform_s_processor_can_be_asked(name: str, tmp_path: Path) -> None:
    platform = kernels.PLATFORMS[name]
    for meaning, _ in platform.variants.values():
        options = ["-target", platform.target, f"-DVARIANT={meaning}", "-o", tmp_path / "checked.o"]
        kernels.zig(*kernels.COMPILE, *options, "-c", "processor.c")


MODULES = {"kernels": simd, "htdemucs": htdemucs_simd}


@pytest.mark.skipif(not shutil.which("qemu-aarch64"), reason="Debian's qemu-user has it")
@pytest.mark.parametrize(
    ("name", "variant", "processor"),
    [
        *[(*each, "max") for each in kernels.libraries(kernels.PLATFORMS["linux-aarch64"])],
        *[(name, "plain", "rv64") for name in kernels.EXPORTS],
    ],
)
def test_other_machines_bits_are_the_page_s(
    name: str, variant: str, processor: str, tmp_path: Path
) -> None:
    page = MODULES[name].Simd(SideModule(512, name))
    with emulated.Emulated(emulated.build(name, variant, tmp_path), processor) as library:
        assert library.supported()
        here = MODULES[name].Simd(library)
        if name == "kernels":
            assert agree(here, Numpy())
            assert_same(_try(here), _try(page))
            assert_same(odd_shapes(here), odd_shapes(page))
        else:
            assert_same(htdemucs._try(here), htdemucs._try(page))
            assert_same(odd_layers(here), odd_layers(page))


@pytest.mark.skipif(not shutil.which("qemu-aarch64"), reason="Debian's qemu-user has it")
@pytest.mark.parametrize("variant", kernels.ARM)
def test_arm_is_asked_for_dot_products(variant: str, tmp_path: Path) -> None:
    program = emulated.build("kernels", variant, tmp_path)
    with emulated.Emulated(program, "cortex-a53") as library:
        assert library.supported() == (variant == "neon")


@native
@pytest.mark.skipif(not shutil.which("qemu-x86_64"), reason="Debian's qemu-user has it")
@pytest.mark.skipif("sse4" not in VARIANTS, reason="for x86-64 alone")
@pytest.mark.parametrize(("processor", "variant"), [("Nehalem", "sse4"), ("Haswell", "avx2")])
def test_an_older_processor_has_the_same_bits(
    built: Path, tmp_path: Path, processor: str, variant: str
) -> None:
    """On a machine without AVX2, and on one without AVX-512."""
    program = (
        "import sys, numpy, pathlib\n"
        "from umx.kernels import library, choose, candidates\n"
        "from umx import kernels\n"
        "library.NATIVE = pathlib.Path(sys.argv[1])\n"
        "engine = choose(1)\n"
        "print(pathlib.Path(engine._library._name).name)\n"
        "numpy.savez(sys.argv[2], *kernels._try(engine))\n"
    )
    emulator = ["qemu-x86_64", "-cpu", processor]
    out = subprocess.run(
        [*emulator, sys.executable, "-c", program, built, tmp_path / "results.npz"],
        cwd=kernels.FOLDER.parent.parent,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert out.stdout == f"kernels-{variant}.so\n"
    with np.load(tmp_path / "results.npz") as results:
        assert_same(results.values(), _try(simd.Simd(SideModule(512))))


@native
def test_the_fastest_that_the_processor_has_is_chosen(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "NATIVE", built)
    able = []
    for variant in VARIANTS:
        monkeypatch.setattr(library, "VARIANTS", (variant,))
        if choose(1).name == "simd":
            able.append(variant)
    assert able[-1] == VARIANTS[-1]  # the plainest runs anywhere
    monkeypatch.setattr(library, "VARIANTS", ("none", *able))
    first, *_ = candidates(ONE)
    assert first.args[0].name == f"kernels-{able[0]}.so"  # type: ignore[attr-defined]


@native
def test_no_library_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "NATIVE", tmp_path)
    assert choose(1).name == "numpy"
    (tmp_path / f"kernels-{VARIANTS[0]}.so").write_bytes(b"no library")
    assert choose(1).name == "numpy"


@native
@pytest.mark.parametrize("architecture", ["openunmix", "htdemucs"])
def test_stems_don_t_depend_on_the_number_of_threads(
    built: Path, monkeypatch: pytest.MonkeyPatch, architecture: str
) -> None:
    monkeypatch.setattr(library, "NATIVE", built)
    monkeypatch.setattr(htdemucs_simd, "WORTH", 1)  # a tiny network's products are shared, too
    model = load_model(find_model("umx-mini"))
    if architecture == "htdemucs":
        network = Network(4, 8, 32, 3, 4, 64, 44100, 16)
        manifest = replace(model.manifest, architecture=architecture, network=network)
        model = Model(manifest, {FOUR: quantize(fold(state("four"), network), "best")})
    song = 0.1 * np.random.default_rng(5).standard_normal((2, 5 * 44100)).astype(np.float32)
    results = []
    for count in (1, 2, 5):
        separator = Separator(model, threads=count)
        assert (separator.engine.name, separator.engine.threads.count) == ("simd", count)
        results.append(separator.separate(song))
    assert np.abs(results[0]).max() > 0.01
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])
