"""What must not be imported where."""

import subprocess
import sys

from scripts.common.environment import ROOT

EVERYTHING = """
import sys
sys.modules.update(dict.fromkeys(("umx.desktop", "urllib.request", "http.client")))
from importlib import import_module
from pathlib import Path
for path in sorted(Path("umx").rglob("*.py")):
    name = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
    if not name.startswith(("umx.desktop", "umx.music", "umx.__main__")):
        import_module(name)
        print(name)
"""


def test_the_engine_needs_no_network_and_no_desktop() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", EVERYTHING], cwd=ROOT, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    assert {"umx", "umx.separator", "umx.kernels.simd"} <= {*ended.stdout.split()}


def test_the_page_needs_no_desktop() -> None:
    for path in (ROOT / "app").rglob("*.py"):
        if "vendor" not in path.parts:
            assert "umx.desktop" not in path.read_text("utf-8"), path


def test_downloads_need_no_numpy() -> None:
    """vendor.py fetches before there is an environment."""
    code = "import sys; sys.modules['numpy'] = None; import umx.desktop.download, umx.names"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
