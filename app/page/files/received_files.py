"""Files that come from other programs: shared with the installed page, or opened with it."""

import asyncio

import js
from pyscript.ffi import create_proxy, to_js

from page.promises import RejectedError, attempt, outcome, settle
from shared.facts import SHARED_CACHE


async def shared():
    """Files that were shared with the page; the service worker has kept them for this. Each is given once."""
    found = []
    try:
        if not js.Reflect.has(js.window, "caches"):
            return []  # not over plain http
        name = SHARED_CACHE + js.URL.new(".", js.document.baseURI).href
        caches = await settle(attempt(js.Reflect.get, js.window, "caches"))
        if not await settle(caches.has(name)):
            return []
        cache = await settle(caches.open(name))
        for request in list(await settle(cache.keys())):
            response = await settle(cache.match(request))
            content = await settle(response.blob())
            await settle(cache.delete(request))
            name = js.decodeURIComponent(response.headers.get("X-Name"))
            found.append(js.File.new(to_js([content]), name, to_js({"type": content.type})))
    except RejectedError:
        pass  # the browser keeps nothing: so nothing was shared
    return found


def on_opened(take):
    """Have take(files) called with files that the visitor opens with the page, now and later."""

    def launched(launch):
        asyncio.create_task(taken(list(launch.files), take))

    if hasattr(js, "launchQueue"):
        js.launchQueue.setConsumer(create_proxy(launched))


async def taken(handles, take):
    files = []
    for handle in handles:
        file = await outcome(handle.getFile())
        if file:
            files.append(file)
    take(files)
