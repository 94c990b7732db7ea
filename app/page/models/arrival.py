"""A model on its way from the site: its files are fetched once, and handed to the workers as Blobs.

Not by the workers themselves: each would fetch them, and none could separate meanwhile.
"""

import asyncio

import js
from pyscript.ffi import create_proxy

from page import view
from page.clock import seconds
from page.models.model_choice import seconds_left
from page.promises import RejectedError, attempt, settle
from page.text.texts import tr
from umx.names import MANIFEST
from umx.resuming import PAUSES


def files_of(manifest):
    """The entries of a manifest's files; in format 1 there is one a target."""
    if hasattr(manifest, "targets"):
        return list(js.Object.values(manifest.targets))
    return list(manifest.files)


class Arrival:
    def __init__(self, model, on_change):
        """on_change is called when there is more of it."""
        self.model, self.on_change = model, on_change
        self.begun = seconds()
        self.total = model.size
        self.done = self.loaded = 0  # bytes: of whole files, and of all
        self.request = None
        self.is_cancelled = False

    def spent(self):
        """Seconds since it began."""
        return seconds() - self.begun

    def left(self):
        """Seconds until it is here, or None."""
        return seconds_left(min(1, self.loaded / self.total) if self.total else 0, self.spent())

    async def fetch(self):
        """Its weights as Blobs by name. Raises RejectedError."""
        response = await settle(js.fetch(self.model.address + MANIFEST))
        text = await settle(response.text())
        entries = files_of(await settle(attempt(js.JSON.parse, text)))
        self.total, files = sum(entry.size for entry in entries), {}
        for entry in entries:
            files[entry.file] = await self.whole(self.model.address + entry.file)
            self.done += entry.size
        return files

    async def whole(self, url):
        """A file as a Blob, after some attempts where the network fails. Raises RejectedError."""
        for pause in PAUSES:
            try:
                return await self.asked(url)
            except RejectedError:
                if self.is_cancelled or self.request.status:
                    raise
                await asyncio.sleep(pause)
        return await self.asked(url)

    async def asked(self, url):
        """A file as a Blob. Raises RejectedError."""
        # XMLHttpRequest reports progress without handing every piece to Python, as `fetch` would.
        self.request = request = js.XMLHttpRequest.new()
        request.open("GET", url)
        request.responseType = "blob"

        def progress(event):
            self.loaded = self.done + event.loaded
            self.on_change()

        def executor(resolve, reject):
            def ended(event):
                if request.status == 200:
                    resolve(request.response)
                else:
                    reject(
                        tr("{} can't be fetched: the server answered {}.").format(
                            url, request.status
                        )
                    )

            gone = tr("{} can't be fetched: the network is gone, or the server.").format(url)
            view.on(request, "load", ended)
            for name in ("error", "abort"):
                view.on(request, name, lambda event: reject(gone))

        view.on(request, "progress", progress)
        ended = js.Promise.new(create_proxy(executor))
        request.send()
        return await settle(ended)

    def cancel(self):
        self.is_cancelled = True
        if self.request:
            self.request.abort()
