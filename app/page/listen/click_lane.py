"""The lane of the click, below those of the stems: what the visitor sets of it, and how its beats are corrected."""

from page import view
from page.listen import click
from page.listen.analysis import in_words
from page.text.texts import tr
from shared.facts import SAMPLE_RATE


class ClickLane:
    def __init__(self, song, state, on_set, on_correct):
        """state: a click.Click; on_set: called after the visitor has set it; on_correct: after beats are corrected."""
        self.song, self.state, self.on_set, self.on_correct = song, state, on_set, on_correct
        self.player = None  # while the song is open
        self.node = view.copy("click")
        find = self.node.querySelector
        self.hear, self.counts_in = find(".hear"), find(".counts-in")
        self.volume, self.loud = find(".volume"), find("output")
        self.tap_button, self.one, self.wave = find(".tap"), find(".one"), find(".wave")
        self.canvas = find("canvas")
        self.keys = {"c": self.hear, "t": self.tap_button, "f": self.one}
        self.hear.setAttribute("aria-label", tr("Hear {}").format(tr("click")))
        self.volume.setAttribute("aria-label", tr("Volume of {}").format(tr("click")))
        view.on_click(self.hear, self.toggle_hearing)
        view.on_click(self.counts_in, self.toggle_counting)
        view.on(self.volume, "input", self.turn)
        view.on_click(self.tap_button, self.tap)
        view.on_click(self.one, self.begin_bar)

    def toggle_hearing(self):
        self.state.is_on = not self.state.is_on
        self.on_set()

    def toggle_counting(self):
        self.state.counts_in = not self.state.counts_in
        self.on_set()

    def turn(self, event):
        self.state.volume = float(self.volume.value)
        self.on_set()

    def tap(self):
        """Take a tap of the visitor, who hears a beat, while the song plays."""
        if not (self.player and self.player.head.playing):
            return
        taps = self.state.tap(self.player.tapped())
        if taps:
            length = self.song.length / SAMPLE_RATE
            self.song.analysis = click.with_taps(self.song.analysis, taps, length)
            self.on_correct()
            view.announce(in_words(self.song.analysis))

    def begin_bar(self):
        """Have a bar begin at the beat that is heard."""
        seconds = self.player.tapped() if self.player else 0
        self.song.analysis = click.with_one(self.song.analysis, seconds)
        self.on_correct()
        beat = self.song.analysis["beats"][self.song.analysis["one"]]
        view.announce(tr("A bar begins at {}.").format(view.clock(beat)))

    def follow(self):
        """Show what is set."""
        view.press(self.hear, self.state.is_on)
        view.press(self.counts_in, self.state.counts_in)
        self.node.classList.toggle("silent", not self.state.is_on)
        self.volume.value = self.state.volume
        view.fill(self.volume, 0, self.state.volume)
        view.say(self.loud, "{}%".format(view.percent(self.state.volume)))
        self.volume.setAttribute("aria-valuetext", self.loud.textContent)

    def draw(self):
        """Draw a line at every beat, the tall ones where bars begin."""
        pen, width, height = self.canvas.getContext("2d"), self.canvas.width, self.canvas.height
        style = view.document.defaultView.getComputedStyle(self.node)
        pen.fillStyle = style.getPropertyValue("--stem").strip() or "gray"
        pen.clearRect(0, 0, width, height)
        for sample, begins_bar in click.clicks(self.song.analysis, 0, self.song.length):
            tall = height if begins_bar else height / 3
            pen.fillRect(width * sample / self.song.length, (height - tall) / 2, 3, tall)
