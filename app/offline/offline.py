"""The site kept on the visitor's device by its service worker, for visits without a network.

Where there is no service worker (plain http, a private window, no storage) the page works as it is.
"""

import asyncio
import json

import js
from pyscript.ffi import create_proxy, to_js

from page.promises import in_time, settle
from umx.names import MANIFEST

SCRIPT = "service-worker.js"
CACHE = "umx at "  # as there
SNAPSHOT_MAKER = "app/offline/snapshot-maker.mjs"
ENGINE_FILES = {"openblas": ("app/vendor/pyodide/openblas-",)}
"""What an engine needs that others don't: beginnings of paths."""
PATIENCE = 3
"""Seconds that a new version gets to answer, and to start; after that the page goes on with the old one."""


async def renew(is_free):
    """Before anything is under way: have a new version of the site start, if one waits and no other page is open.

    Should it start later than the page can wait, the page is loaded anew as soon as is_free() says that it may be: what
    it fetches from then on is of the new version.
    """
    try:
        workers = js.navigator.serviceWorker
        registration = await in_time(settle(workers.getRegistration()))
        if registration and registration.waiting:

            def started(event):
                asyncio.create_task(reload(is_free))

            def listen(listener):
                workers.addEventListener("controllerchange", listener)

            listen(create_proxy(started))
            begun = event(listen, PATIENCE)
            if await ask(registration.waiting, "renew", patience=PATIENCE):
                await begun
    except Exception:
        pass  # browsers refuse in many ways, and none of them matters to the visitor's song


async def reload(is_free):
    while not is_free():
        await asyncio.sleep(1)
    js.location.reload()


async def has(folder):
    """Whether a model of the site, in the folder of this path, is on the device as a whole."""
    try:
        manifest = json.loads(await settle((await kept(folder + MANIFEST)).text()))
        # Format 1 has a file a target.
        for entry in manifest.get("files") or manifest["targets"].values():
            if not await kept(folder + entry["file"]):
                return False
        return True
    except Exception:
        return False


async def kept(path):
    """What the service worker has kept of a path, if it has."""
    where = js.URL.new(".", js.document.baseURI).href
    options = to_js({"cacheName": CACHE + where, "ignoreSearch": True})
    return await settle(js.caches.match(where + path, options))


async def keep(prefixes, files):
    """Have the page kept, and of the optional files those whose paths begin so; say whether it came to that.

    files: Blobs by path, of those that are here already.
    """
    try:
        workers = js.navigator.serviceWorker
        await settle(workers.register(js.URL.new(SCRIPT, js.document.baseURI).href))
        registration = await workers.ready
        if await ask(registration.active, "keep", prefixes, files):
            return True
        # A model that has come since is known to a newer version, which starts at the next visit.
        await settle(registration.update())
        if registration.installing:
            await event(
                lambda listener: setattr(registration.installing, "onstatechange", listener)
            )
        waiting = registration.waiting
        return bool(waiting) and await ask(waiting, "keep", prefixes, files)
    except Exception:
        return False


async def quicken():
    """Have the engine's next start take less time, see `snapshot.mjs`; waits until all is done for that."""
    address = js.URL.new(SNAPSHOT_MAKER, js.document.baseURI).href
    worker = js.Worker.new(address, to_js({"type": "module"}))

    def listen(listener):
        worker.onmessage = worker.onerror = listener

    await event(listen)


async def ask(worker, kind, prefixes=(), files=None, patience=None):
    """Send a request to a service worker and wait for its answer, true or false, or for `patience` seconds."""
    channel = js.MessageChannel.new()
    message = event(lambda listener: setattr(channel.port1, "onmessage", listener), patience)
    request = {"kind": kind, "prefixes": list(prefixes), "files": files or {}}
    worker.postMessage(to_js(request), to_js([channel.port2]))
    answer = await message
    return bool(answer and answer.data)


def event(listen, patience=None):
    """A promise of the event that the listener given to `listen` hears, or of None after `patience` seconds."""

    def executor(resolve, reject):
        listen(resolve)
        if patience:
            js.setTimeout(resolve, 1000 * patience)

    return js.Promise.new(create_proxy(executor))
