"""Analyses a song's music. scipy is brought for that, from the site's own files, by micropip."""

import json
from collections.abc import Callable
from typing import Any

import js
import pyodide_js
from pyodide.ffi import JsException

from umx.errors import AnalysisError
from umx.types import Float

BRINGING = 0.3
"""Share of the work until scipy is there."""


async def bring_scipy() -> None:
    """Install scipy as Pyodide's list names it, by its hash and an address of the site's. Raises AnalysisError."""
    try:
        # Pyodide reports what it can't fetch on the console alone; importing it fails then.
        await pyodide_js.loadPackage("micropip")
        import micropip

        await micropip.install("scipy")
        import scipy.signal  # noqa: F401
    except (ImportError, JsException, OSError, ValueError) as error:
        raise AnalysisError(
            "analysis.no-scipy",
            "What analyses songs can't be fetched: the network is gone, or the server.",
        ) from error


async def analyse(
    stems: Any, decode: Callable[[bytes], Float], report: Callable[[float], None]
) -> dict[str, object]:
    """Analyse a song, see `umx.music.analysis`.

    stems: by name, Blobs of its samples, in the song's order; decode: gives samples as float32 of one dimension;
    report: called with the fraction that is done. Raises AnalysisError.
    """
    await bring_scipy()
    report(BRINGING)
    from umx.music.analysis import Analyser

    analyser, names = Analyser(), list(js.Object.keys(stems))
    pieces = [list(getattr(stems, name)) for name in names]
    for number, blobs in enumerate(zip(*pieces, strict=True)):
        sound = {}
        for name, blob in zip(names, blobs, strict=True):
            sound[name] = decode((await blob.arrayBuffer()).to_bytes()).reshape(-1, 2).T
        analyser.add(sound)
        report(BRINGING + (1 - BRINGING) * (number + 1) / len(pieces[0]))
    return {"analysis": json.dumps(analyser.result())}
