"""The side modules in the repository are what their sources compile to."""

from pathlib import Path

import pytest

from scripts import kernels


@pytest.mark.parametrize("name", kernels.EXPORTS)
def test_a_rebuild_gives_the_same_bytes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZIG_GLOBAL_CACHE_DIR", str(tmp_path / "cache"))
    built, kept = tmp_path / f"{name}.wasm", kernels.FOLDER / f"{name}.wasm"
    kernels.build(name, built)
    assert built.read_bytes() == kept.read_bytes()
