"""Undoes the last removal, for some seconds. It is final after that, and once something else is removed."""

import asyncio

from page import view
from page.text.texts import tr

SECONDS = 10


class Undo:
    def __init__(self, focus):
        """focus: called to put the focus elsewhere, when the button that has it goes."""
        self.focus = focus
        self.node, self.button = view.element("removed"), view.element("undo")
        self.text = view.element("removed-title")
        self.pending = None  # functions: one undoes the removal, one completes it
        self.count = 0  # of removals
        view.on_click(self.button, self.take_back)

    def offer(self, title, take_back, complete):
        """Offer to call `take_back`; call `complete` if the visitor doesn't want that."""
        self.complete()
        self.pending = take_back, complete
        view.say(self.text, tr("Removed: {}").format(title))
        view.announce(self.text.textContent)
        self.node.hidden = False
        self.count += 1
        asyncio.create_task(self.expire(self.count))

    async def expire(self, number):
        """number: of the removal; its functions would hold the song for as long as this sleeps."""
        await asyncio.sleep(SECONDS)
        if number == self.count:
            self.complete()

    def take_back(self):
        self.end(0)

    def complete(self):
        self.end(1)

    def end(self, which):
        pending, self.pending = self.pending, None
        if pending:
            if self.button.matches(":focus"):
                self.focus()
            self.node.hidden = True
            pending[which]()
