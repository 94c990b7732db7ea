"""Fetches files from the network, for workers; a broken download is resumed with a Range request."""

import asyncio
from collections.abc import Callable
from typing import Any

import js
from pyodide.ffi import JsException, to_js

from umx.errors import WeightsError
from umx.resuming import Attempts, continues, headers


async def fetch(
    url: str, cache: str = "default", report: Callable[[float], None] = lambda fraction: None
) -> Any:
    """A file as a Blob, which the browser keeps where it has room. Raises WeightsError.

    cache: as in the browser's `fetch`; report: called with the fraction that is here, where the server tells the size.
    """
    parts: list[Any] = []
    loaded, attempts = 0, Attempts()
    has_begun, can_go_on = False, True
    while True:
        try:
            response = await ask(url, loaded, cache)
            if response.status != 206:
                parts, loaded = [], 0
            # With Content-Encoding, Range offsets don't match decoded bytes; restart.
            can_go_on = not response.headers.get("Content-Encoding")
            total = loaded + int(response.headers.get("Content-Length") or 0)
            has_begun = True
            reader = response.body.getReader()
            while not (step := await reader.read()).done:
                parts.append(js.Blob.new(to_js([step.value])))
                loaded += step.value.length
                report(min(1.0, loaded / max(loaded, total)))
            return js.Blob.new(to_js(parts))
        except JsException as error:
            # An address that has never answered isn't tried again: without a network, the visitor is told at once.
            pause = attempts.pause(loaded) if has_begun else None
            if pause is None:
                raise WeightsError(
                    "weights.no-network",
                    "{file} can't be fetched: the network is gone, or the server.",
                    file=url,
                ) from error
        if not can_go_on:
            parts, loaded = [], 0
        await asyncio.sleep(pause)


async def ask(url: str, loaded: int, cache: str) -> Any:
    """Request the bytes from `loaded` on, or the whole file. Gives the response; raises WeightsError for a refusal."""
    content = {"cache": cache, "headers": headers(loaded)}
    response = await js.fetch(url, to_js(content, dict_converter=js.Object.fromEntries))
    content_range = response.headers.get("Content-Range")
    if (
        loaded
        and response.status in (206, 416)
        and not continues(response.status, content_range, loaded)
    ):
        return await ask(url, 0, "reload")
    if not response.ok:
        raise WeightsError(
            "weights.refused", "{file} can't be fetched: the server answered {status}.",
            file=url, status=response.status,
        )  # fmt: skip
    return response
