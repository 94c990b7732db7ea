"""The site kept on the visitor's device by its service worker, for visits without a network.

Where there is no service worker (plain http, a private window, no storage) the page works as it is.
"""

import asyncio
import json

import js
from pyscript.ffi import create_proxy, to_js

from page.promises import in_time, settle
from shared.facts import SITE_CACHE
from umx.names import MANIFEST

SCRIPT = "service-worker.js"
SNAPSHOT_MAKER = "app/offline/snapshot-maker.mjs"
ENGINE_FILES = {"openblas": ("app/vendor/pyodide/openblas-",)}
"""Files that only one engine needs, by the beginnings of their paths."""
ANALYSIS_FILES = tuple(
    ["app/vendor/pyodide/" + name for name in ("scipy-", "openblas-", "micropip-", "packaging-")]
)
"""The same for what analyses songs."""
PATIENCE = 3
"""Seconds that a new version has to answer, and to start; after that the page goes on with the old one."""


async def renew(is_free):
    """Before anything is under way: have a new version of the site start, if one waits and no other page is open.

    If it starts later, the page is loaded anew as soon as is_free() allows it: whatever it fetches from then on is of
    the new version.
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
        pass  # browsers refuse in many ways, and songs can be separated all the same


async def reload(is_free):
    while not is_free():
        await asyncio.sleep(1)
    js.location.reload()


async def has(folder):
    """Whether the device has all files of a model of the site. folder: the path of its folder."""
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
    """The service worker's copy of a path, or None."""
    where = js.URL.new(".", js.document.baseURI).href
    options = to_js({"cacheName": SITE_CACHE + where, "ignoreSearch": True})
    return await settle(js.caches.match(where + path, options))


async def keep(prefixes, files):
    """Have the page kept, and the optional files whose paths begin with a prefix. Returns whether they are.

    files: those that are here already, Blobs by path.
    """
    try:
        workers = js.navigator.serviceWorker
        await settle(workers.register(js.URL.new(SCRIPT, js.document.baseURI).href))
        registration = await workers.ready
        if await ask(registration.active, "keep", prefixes, files):
            return True
        # Only a newer version knows a model that has come since; it starts at the next visit.
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
    """Speed up the engine's next start, see `snapshot.mjs`. Waits until the snapshot is made."""
    address = js.URL.new(SNAPSHOT_MAKER, js.document.baseURI).href
    worker = js.Worker.new(address, to_js({"type": "module"}))

    def listen(listener):
        worker.onmessage = worker.onerror = listener

    await event(listen)


async def ask(worker, kind, prefixes=(), files=None, patience=None):
    """Send a request to a service worker, and wait for its answer, true or false, for `patience` seconds at most."""
    channel = js.MessageChannel.new()
    message = event(lambda listener: setattr(channel.port1, "onmessage", listener), patience)
    request = {"kind": kind, "prefixes": list(prefixes), "files": files or {}}
    worker.postMessage(to_js(request), to_js([channel.port2]))
    answer = await message
    return bool(answer and answer.data)


def event(listen, patience=None):
    """A promise of an event, or of None after `patience` seconds. listen: called with the listener to install."""

    def executor(resolve, reject):
        listen(resolve)
        if patience:
            js.setTimeout(resolve, 1000 * patience)

    return js.Promise.new(create_proxy(executor))
