"""Fetches files from the network, for workers; a broken download is resumed with a Range request."""

import asyncio
from collections.abc import Callable
from typing import Any

import js
from pyodide.ffi import JsException, to_js

from umx.errors import WeightsError

PAUSES = (1, 2, 4, 8)
"""Seconds before each attempt to resume; the list starts anew once an attempt gets further."""


async def fetch(
    url: str, cache: str = "default", report: Callable[[float], None] = lambda fraction: None
) -> Any:
    """A file as a Blob, which the browser keeps where it has room. Raises WeightsError.

    cache: as in the browser's `fetch`; report: called with the fraction that is here, where the server tells the size.
    """
    parts: list[Any] = []
    loaded, furthest = 0, -1
    pauses, can_go_on = list(PAUSES), True
    while True:
        try:
            response = await ask(url, loaded, cache)
            if response.status != 206:
                parts, loaded = [], 0
            # With Content-Encoding, Range offsets don't match decoded bytes; restart.
            can_go_on = not response.headers.get("Content-Encoding")
            total = loaded + int(response.headers.get("Content-Length") or 0)
            furthest = max(furthest, 0)
            reader = response.body.getReader()
            while not (step := await reader.read()).done:
                parts.append(js.Blob.new(to_js([step.value])))
                loaded += step.value.length
                report(min(1.0, loaded / max(loaded, total)))
            return js.Blob.new(to_js(parts))
        except JsException as error:
            if furthest < 0 or not (pauses or loaded > furthest):
                raise WeightsError(
                    "weights.no-network",
                    "{file} can't be fetched: the network is gone, or the server.",
                    file=url,
                ) from error
        if loaded > furthest:
            furthest, pauses = loaded, list(PAUSES)
        if not can_go_on:
            parts, loaded = [], 0
        await asyncio.sleep(pauses.pop(0))


async def ask(url: str, loaded: int, cache: str) -> Any:
    """Request the bytes from `loaded` on, or the whole file. Gives the response; raises WeightsError for a refusal."""
    headers = {"Range": f"bytes={loaded}-"} if loaded else {}
    options = to_js({"cache": cache, "headers": headers}, dict_converter=js.Object.fromEntries)
    response = await js.fetch(url, options)
    if loaded and not continues(response, loaded):
        return await ask(url, 0, "reload")
    if not response.ok:
        raise WeightsError(
            "weights.refused", "{file} can't be fetched: the server answered {status}.",
            file=url, status=response.status,
        )  # fmt: skip
    return response


def continues(response: Any, loaded: int) -> bool:
    """Whether a response goes on at `loaded`. Other origins may hide Content-Range; then it is believed."""
    if response.status == 416:
        return False
    content = response.headers.get("Content-Range")
    return content is None or content.startswith(f"bytes {loaded}-")
