"""`pip install .`: the engine, the command and the model that comes with them, away from the checkout."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import umx
from scripts import kernels
from scripts.common.environment import ROOT


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", folder, ROOT], check=True)
    return folder


@pytest.mark.parametrize("command", [["bin/umx"], ["-m", "umx"]], ids=" ".join)
def test_the_command_separates_with_the_model_inside(
    installed: Path, tmp_path: Path, command: list[str]
) -> None:
    rng = np.random.default_rng(1)
    soundfile.write(tmp_path / "song.wav", 0.1 * rng.standard_normal((22050, 2)), 44100)
    script = [installed / part if "/" in part else part for part in command]
    environment = os.environ | {"PYTHONPATH": str(installed), "XDG_DATA_HOME": str(tmp_path)}
    subprocess.run(
        [sys.executable, "-P", *script, "separate", "song.wav"],
        cwd=tmp_path,
        env=environment,
        check=True,
    )
    names = {path.name for path in tmp_path.glob("song - *.wav")}
    stems = ("bass", "drums", "melody", "vocals", "karaoke")
    assert names == {f"song - {stem}.wav" for stem in stems}
    assert soundfile.info(tmp_path / "song - vocals.wav").frames == 22050


@pytest.mark.skipif(kernels.this_platform() is None, reason="no libraries for this machine")
def test_the_kernels_were_compiled_for_this_machine(installed: Path) -> None:
    here = kernels.this_platform()
    assert here
    built = {path.name for path in (installed / "umx" / "kernels" / "native").iterdir()}
    assert built == {f"{name}-{variant}.so" for name, variant in kernels.libraries(here)}
    program = "import umx.kernels as k; assert k.__file__.startswith('{}'); print(k.choose().name)"
    out = subprocess.run(
        [sys.executable, "-P", "-c", program.format(installed)],
        env=os.environ | {"PYTHONPATH": str(installed)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert out.stdout == "simd\n"
    tags = (installed / f"umx-{umx.__version__}.dist-info" / "WHEEL").read_text()
    assert "Root-Is-Purelib: false" in tags
    assert all(f"Tag: py3-none-{tag}" in tags for tag in here.tag.split("."))


def test_type_checkers_see_its_annotations(installed: Path) -> None:
    assert (installed / "umx" / "py.typed").exists()


def test_nothing_else_is_installed(installed: Path) -> None:
    names = {path.name for path in installed.iterdir()} - {"__pycache__"}
    assert names == {"bin", "umx", f"umx-{umx.__version__}.dist-info"}
    models = [path.name for path in (installed / "umx" / "weights").iterdir()]
    assert models == ["umx-mini"]
    weights = {path.name for path in (installed / "umx" / "weights" / "umx-mini").iterdir()}
    assert weights == {path.name for path in (ROOT / "weights" / "umx-mini").iterdir()}


def test_the_licence_comes_along_and_names_that_of_the_weights_too(installed: Path) -> None:
    info = installed / f"umx-{umx.__version__}.dist-info"
    assert (info / "licenses" / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    manifest = json.loads((ROOT / "weights" / "umx-mini" / "manifest.json").read_text())
    expression = f"License-Expression: MIT AND {manifest['licence']}"
    assert expression in (info / "METADATA").read_text("utf-8").splitlines()
