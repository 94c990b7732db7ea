"""The choice of an excerpt on a song's card: its waveform to drag over, and a field for each edge."""

import asyncio

import js

from page import view
from page.files.refusals import DecodeError
from page.listen.player import Player
from page.listen.waveform import Waveform
from page.songs.excerpt import Excerpt, seconds_of
from page.songs.preview import at
from page.text.texts import tr
from shared.facts import SAMPLE_RATE

BARS = 200
"""How many peaks the waveform has."""
LOOK = 4096
"""Samples that tell a peak: a long song is decoded anew for each."""
STEPS = {"ArrowUp": 1, "ArrowDown": -1, "PageUp": 10, "PageDown": -10}
"""Seconds that keys move an edge."""
PIECE = 10 * SAMPLE_RATE
"""Samples that are played at a time."""


class Original:
    """A song without stems, for a player: of all of it, there is only the decoded mixture to be heard."""

    analysis = None

    def __init__(self, audio):
        self.audio, self.length, self.original = audio, audio.length, audio.stretch
        starts = range(0, audio.length, PIECE)
        self.pieces = [(start, min(PIECE, audio.length - start), {}) for start in starts]

    def heard(self, sample):
        piece = at(self.pieces, sample)
        return piece and (piece, piece[0] + piece[1])

    def is_preview(self, piece):
        return False

    def is_preview_at(self, sample):
        return False


class Chooser:
    def __init__(self, node, on_play):
        """node: the element that holds the controls; on_play: called before something is heard."""
        find = node.querySelector
        self.node, self.wave, self.start = node, find(".wave"), find(".separate")
        self.on_play, self.button = on_play, find(".hear")
        self.audio = self.player = None
        self.fields = [find(".from"), find(".to")]
        self.waveform = Waveform(find("canvas"))
        self.excerpt = None  # while it is chosen
        # Where the waveform is pressed, in samples, and on which edge.
        self.grabbed = self.edge = None
        for edge, field in enumerate(self.fields):
            view.on(field, "change", self.typed(edge))
            view.on(field, "keydown", self.stepped(edge))
        for event, handler in (
            ("pointerdown", self.grab),
            ("pointermove", self.drag),
            ("pointerup", self.release),
            ("pointercancel", self.release),
        ):
            view.on(self.wave, event, handler)
        view.on_click(self.button, self.play_or_stop)

    def open(self, audio, chosen):
        """audio: the decoded song, a Sound or a Stream; chosen: begin and end from before, in samples, or None."""
        self.audio = audio
        self.excerpt = Excerpt(audio.length, chosen)
        self.node.hidden = False
        self.follow()
        asyncio.create_task(self.draw(audio, self.excerpt))

    def close(self):
        self.stop()
        self.audio = self.excerpt = None
        self.node.hidden = True

    def focus(self):
        self.fields[0].focus()
        self.fields[0].select()

    async def draw(self, audio, excerpt):
        """Draw the song from its begin to its end, as long as this excerpt is chosen."""
        self.waveform.clear()
        for bar in range(BARS):
            begin, end = bar / BARS, (bar + 1) / BARS
            try:
                place = int((begin + end) / 2 * max(0, audio.length - LOOK))
                some = await audio.cut([place], min(LOOK, audio.length))
            except DecodeError:
                return  # the song's card says so when it is separated
            if self.excerpt is not excerpt:
                return
            self.waveform.draw(begin, end, [js.Reflect.apply(js.Math.max, None, some)])

    def follow(self):
        """Show the edges."""
        excerpt = self.excerpt
        names = "--loop-begin", "--loop-end"
        times = [view.clock(sample / SAMPLE_RATE) for sample in excerpt.edges]
        for name, sample, field, time in zip(names, excerpt.edges, self.fields, times):
            self.wave.style.setProperty(name, "{:.3f}%".format(100 * sample / excerpt.length))
            field.value = time
        text = tr("Separate {}–{}").format(*times)
        view.say(self.start, text if excerpt.chosen() else tr("Separate the whole song"))
        if self.player:
            self.player.repeat(*excerpt.edges)

    def play_or_stop(self):
        """Play what is chosen over and over, or stop."""
        if self.player:
            self.stop()
            return
        self.on_play()
        self.player = Player(Original(self.audio), (), self.moved)
        self.player.repeat(*self.excerpt.edges)
        view.press(self.button, True)
        view.say(self.button, "❚❚")
        asyncio.create_task(self.player.play())

    def stop(self):
        if self.player:
            self.player.close()
            self.player = None
            view.press(self.button, False)
            view.say(self.button, "▶")

    def moved(self, seconds, playing, waiting):
        place = "{:.3f}%".format(100 * seconds * SAMPLE_RATE / self.excerpt.length)
        self.wave.style.setProperty("--heard", place)

    def typed(self, edge):
        """A handler that takes a field's time."""

        def handle(event):
            try:  # noqa: SIM105 (MicroPython has no contextlib)
                self.excerpt.move(edge, seconds_of(event.target.value) * SAMPLE_RATE)
            except ValueError:
                pass  # no time: the field shows the one before
            self.follow()

        return handle

    def stepped(self, edge):
        """A handler that moves an edge by keys."""

        def handle(event):
            if event.key in STEPS:
                event.preventDefault()
                sample = self.excerpt.edges[edge] + STEPS[event.key] * SAMPLE_RATE
                self.excerpt.move(edge, sample)
                self.follow()

        return handle

    # The waveform: dragged it reaches from where it was pressed to where it is released; on an edge it moves that.

    def grab(self, event):
        self.grabbed = self.sample_at(event)
        edge = getattr(event.target.dataset, "edge", None)
        self.edge = int(edge) if edge else None
        event.target.setPointerCapture(event.pointerId)

    def drag(self, event):
        if self.grabbed is None:
            return
        sample = self.sample_at(event)
        if self.edge is not None:
            self.excerpt.move(self.edge, sample)
        elif abs(sample - self.grabbed) >= SAMPLE_RATE:
            self.excerpt.span(self.grabbed, sample)
        self.follow()

    def release(self, event):
        self.grabbed = None

    def sample_at(self, event):
        return int(view.fraction_at(event) * self.excerpt.length)
