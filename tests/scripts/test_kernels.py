"""The side module in the repository is what its source compiles to."""

from pathlib import Path

import pytest

from scripts import kernels


def test_a_rebuild_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZIG_GLOBAL_CACHE_DIR", str(tmp_path / "cache"))
    kernels.build(tmp_path / "kernels.wasm")
    assert (tmp_path / "kernels.wasm").read_bytes() == (
        kernels.FOLDER / "kernels.wasm"
    ).read_bytes()
