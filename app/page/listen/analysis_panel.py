"""A song's part of the card about its music: have a worker analyse it, and say tempo, key and chords."""

import asyncio
import json

from offline import offline
from page import view
from page.listen.analysis import (
    can_double,
    can_halve,
    doubled,
    halved,
    in_words,
    lines_of_chords,
    understood,
)
from page.text.texts import tr
from page.workers.pool import Cancelled, WorkerError


class AnalysisPanel:
    def __init__(self, song, node, on_change):
        """node: the element that holds it; on_change: called after `song.analysis` has changed, and shows it."""
        self.song, self.node, self.on_change = song, node, on_change
        self.worker = None  # while it is at work
        find = node.querySelector
        self.begin, self.cancel_button, self.told = find(".analyse"), find(".stop"), find(".found")
        self.half, self.double = find(".half"), find(".double")
        self.more, self.chords = find(".chords"), find(".bars")
        view.on_click(self.cancel_button, self.cancel)
        view.on_click(self.half, lambda: self.change(halved))
        view.on_click(self.double, lambda: self.change(doubled))
        self.show()

    async def analyse(self, make_worker):
        """Have a worker of its own analyse the song. It ends then, with all that scipy takes."""
        if self.worker:
            return
        song, pieces = self.song, self.song.pieces
        self.worker = worker = make_worker()
        self.show(tr("Analysing…"))
        self.cancel_button.focus()
        stems = {stem: song.parts(stem) for stem in song.lanes}
        text = ""
        try:
            answer = await worker.ask(
                "analyse", self.progressed, stems=stems, sample_kind=song.kind
            )
            if pieces is song.pieces:  # else the song was removed, or is made anew
                song.analysis = json.loads(answer.analysis)
                text = in_words(song.analysis)
                self.on_change()
                asyncio.create_task(offline.keep(offline.ANALYSIS_FILES, {}))
        except Cancelled:
            text = tr("Cancelled.")
        except WorkerError as error:
            text = str(error)
        worker.end()
        self.worker = None
        had_focus = self.cancel_button.matches(":focus")
        self.show("" if song.analysis else text)
        if had_focus:
            view.focus(self.half if song.analysis else self.begin)
        view.announce(text)

    def offer(self, is_done):
        """Have it begin by a press, if the song's stems are all there."""
        self.begin.disabled = not is_done

    def progressed(self, message):
        percent = int(100 * message.fraction)
        if percent and self.worker:
            view.say(self.told, tr("Analysing… {}%").format(percent))

    def cancel(self):
        """End the work at once, if there is any."""
        if self.worker:
            self.worker.end()

    def change(self, how):
        """Have the song at half or twice the tempo."""
        self.song.analysis = how(self.song.analysis)
        self.on_change()
        view.announce(in_words(self.song.analysis))

    def restore(self, found):
        """Show what an earlier visit has found."""
        self.song.analysis = understood(found)
        self.show()

    def show(self, text=""):
        """Show what is known, or else a text."""
        found, is_at_work = self.song.analysis, bool(self.worker)
        self.begin.hidden = bool(found) or is_at_work
        self.cancel_button.hidden = not is_at_work
        self.half.hidden = self.double.hidden = not (found and found["beats"])
        self.half.disabled = not (found and can_halve(found))
        self.double.disabled = not (found and can_double(found))
        view.say(self.told, view.capital(in_words(found)) if found else text)
        lines = lines_of_chords(found) if found else []
        self.more.hidden = not lines
        rows = ["{}  {}".format(view.clock(seconds), row) for seconds, row in lines]
        view.say(self.chords, "\n".join(rows))
