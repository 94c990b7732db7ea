"""The screen stays on while there is work: phones stop a page whose screen goes dark."""

import asyncio

import js

from page import view
from page.promises import RejectedError, settle


class WakeLock:
    def __init__(self):
        self.wanted, self.lock = False, None
        view.on(js.document, "visibilitychange", self.asked_again)

    async def want(self, wanted):
        self.wanted = wanted
        if not wanted and self.lock:
            lock, self.lock = self.lock, None
            await settle(lock.release())
        elif wanted and not self.lock and getattr(js.navigator, "wakeLock", None):
            try:
                lock = await settle(js.navigator.wakeLock.request("screen"))
            except RejectedError:
                return  # the battery is low, or the page isn't in front; it is asked for again when it is
            if self.wanted and not self.lock:
                self.lock = lock
                view.on(lock, "release", self.lost)
            else:  # the work was done meanwhile
                await settle(lock.release())

    def lost(self, event):
        self.lock = None

    def asked_again(self, event):
        if js.document.visibilityState == "visible":
            asyncio.create_task(self.want(self.wanted))
