"""Listening to one song: a lane a stem, what is heard of it, and where in the song."""

import asyncio

import pitch
import player
import view
from promises import RejectedError
from texts import tr
from wav import SAMPLE_RATE

JUMP = 5  # seconds that an arrow key moves the playhead
ARROWS = {"ArrowLeft": -JUMP, "ArrowDown": -JUMP, "ArrowRight": JUMP, "ArrowUp": JUMP}
SHORTEST_LOOP = 0.5  # seconds


def everything(stems):
    return stems


def karaoke(stems):
    return [stem for stem in stems if stem != "vocals"]


def acapella(stems):
    return [stem for stem in stems if stem == "vocals"]


def drumless(stems):
    return [stem for stem in stems if stem != "drums"]


def bass(stems):
    return [stem for stem in stems if stem == "bass"]


def original(stems):
    return []


PRESETS = {
    "everything": everything,
    "karaoke": karaoke,
    "acapella": acapella,
    "drumless": drumless,
    "bass": bass,
    "original": original,
}


def place(pan):
    """Where a stem is heard, in words. pan: from -1 to 1."""
    if not pan:
        return tr("centre")
    side = tr("{}% left") if pan < 0 else tr("{}% right")
    return side.format(int(100 * abs(pan) + 0.5))


class Lane:
    def __init__(self, stem):
        self.stem = stem
        self.node = view.copy("lane")
        self.node.dataset.stem = stem
        find = self.node.querySelector
        find("h3").textContent = view.capital(tr(stem))
        self.solo, self.mute = find(".solo"), find(".mute")
        self.volume, self.pan, self.canvas = find(".volume"), find(".pan"), find("canvas")
        for control, label in (
            (self.solo, tr("Solo {}")),
            (self.mute, tr("Mute {}")),
            (self.volume, tr("Volume of {}")),
            (self.pan, tr("Pan of {}")),
        ):
            control.setAttribute("aria-label", label.format(tr(stem)))
        self.pen = self.canvas.getContext("2d")

    def set_like(self, other):
        self.volume.value, self.pan.value = other.volume.value, other.pan.value
        view.press(self.solo, view.is_pressed(other.solo))
        view.press(self.mute, view.is_pressed(other.mute))

    def draw(self, begin, end, peaks):
        """Draw the waveform of a stretch, whose ends are fractions of the song."""
        style = view.document.defaultView.getComputedStyle(self.node)
        self.pen.fillStyle = style.getPropertyValue("--stem").strip() or "gray"
        width, height = self.canvas.width, self.canvas.height
        step = (end - begin) * width / len(peaks)
        self.pen.beginPath()
        for index, peak in enumerate(peaks):
            # Not in proportion: quiet parts would look like nothing.
            tall = max(1.0, min(1.0, peak) ** 0.6 * height)
            self.pen.rect(begin * width + index * step, (height - tall) / 2, max(step, 0.5), tall)
        self.pen.fill()


class Mixer:
    """The controls live as long as the song; the player only while the song is open."""

    def __init__(self, song, node, on_turn):
        """node: the element that holds the controls; on_turn: called with the mixer when it begins or stops to play."""
        self.song, self.node, self.on_turn = song, node, on_turn
        self.playing = False
        self.player, self.lanes = None, {}
        self.grabbed = None  # the sample at which a waveform is pressed
        find = node.querySelector
        self.play_button, self.position = find(".play"), find(".seek")
        self.clock, self.length = find(".clock"), find(".length")
        self.waves, self.loop_button = find(".lanes"), find(".loop")
        self.speed = find(".speed")
        self.speed.parentElement.hidden = not pitch.is_possible()
        self.presets = list(node.querySelectorAll("[data-preset]"))
        # What single keys press: a preset by its initial, L for the loop.
        self.keys = {button.dataset.preset[0]: button for button in self.presets}
        self.keys["l"] = self.loop_button
        view.on_click(self.play_button, self.play_or_pause)
        view.on(self.position, "input", lambda event: self.seek(float(event.target.value)))
        view.on(self.position, "keydown", self.slide)
        view.on_click(self.loop_button, self.loop_or_not)
        view.on(self.speed, "change", lambda event: asyncio.create_task(self.set_speed()))
        for button in self.presets:
            view.on(button, "click", lambda event: self.preset(event.target.dataset.preset))

    # Lanes

    def show(self, stems):
        """Lay out empty lanes, set as those of the same stems have been.

        The controls can be used once the song's length is known.
        """
        self.close()
        before, self.lanes = self.lanes, {stem: Lane(stem) for stem in stems}
        for stem, lane in before.items():
            view.discard(lane.node)
            if stem in self.lanes:
                self.lanes[stem].set_like(lane)
        self.stems = list(stems)
        for stem in self.stems:
            lane = self.lanes[stem]
            self.waves.append(lane.node)
            view.on_click(lane.solo, self.toggler(lane.solo))
            view.on_click(lane.mute, self.toggler(lane.mute))
            for slider in (lane.volume, lane.pan):
                view.on(slider, "input", lambda event: self.apply(self.is_original()))
            view.on(lane.canvas, "pointerdown", self.grab)
            view.on(lane.canvas, "pointerup", self.release)
            view.on(lane.canvas, "pointercancel", self.let_go)
        for button in self.presets:
            name = button.dataset.preset
            heard = PRESETS[name](self.stems)
            if name == "original":
                button.hidden = not self.song.source  # that of a kept song isn't kept
            elif name != "everything":
                button.hidden = not heard or len(heard) == len(self.stems)
        seconds = self.song.length / SAMPLE_RATE
        self.length.textContent = view.clock(seconds)
        self.position.max = seconds
        for control in (self.play_button, self.position, self.loop_button):
            control.disabled = not self.song.length  # what isn't there yet is waited for
        self.set_loop(None)
        self.moved(0, False, False)
        self.apply()
        if not self.heard():
            self.preset("everything")

    def is_ready(self):
        return not self.play_button.disabled

    def draw(self, start, samples, waveforms):
        length = self.song.length
        for stem, lane in self.lanes.items():
            lane.draw(start / length, (start + samples) / length, waveforms[stem])

    # What is heard

    def toggler(self, button):
        def toggle():
            view.press(button, not view.is_pressed(button))
            self.apply()

        return toggle

    def preset(self, name):
        heard = PRESETS[name](self.stems)
        for stem, lane in self.lanes.items():
            view.press(lane.solo, False)
            view.press(lane.mute, stem not in heard)
        self.apply(name == "original")

    def is_original(self):
        """Whether the original is heard instead of the stems."""
        return any(b.dataset.preset == "original" and view.is_pressed(b) for b in self.presets)

    def gains(self):
        """By stem; 0 for those that aren't heard."""
        solos = [stem for stem, lane in self.lanes.items() if view.is_pressed(lane.solo)]
        gains = {}
        for stem, lane in self.lanes.items():
            heard = stem in solos if solos else not view.is_pressed(lane.mute)
            gains[stem] = float(lane.volume.value) if heard else 0
        return gains

    def heard(self):
        return [stem for stem in self.stems if self.gains()[stem]]

    def mix(self):
        """What is heard: by stem its gain, and its place from -1, left, to 1, right."""
        gains = self.gains()
        return {stem: (gains[stem], float(self.lanes[stem].pan.value)) for stem in self.heard()}

    def apply(self, original=False):
        """Have the player and the presets follow the lanes."""
        gains = self.gains()
        heard = sorted(self.heard())
        for button in self.presets:
            name = button.dataset.preset
            fits = sorted(PRESETS[name](self.stems)) == heard and not original
            view.press(button, original if name == "original" else fits)
        for stem, lane in self.lanes.items():
            lane.node.classList.toggle("silent", not gains[stem])
            lane.pan.setAttribute("aria-valuetext", place(float(lane.pan.value)))
        if self.player:
            for stem, gain in gains.items():
                self.player.set_gain(stem, 0 if original else gain)
                self.player.set_pan(stem, float(self.lanes[stem].pan.value))
            self.player.set_gain(player.ORIGINAL, 1 if original else 0)

    # Where in the song

    def open(self):
        if not self.player and self.lanes:
            self.player = player.Player(self.song, self.lanes, self.moved)
            self.apply(self.is_original())
            if self.loop:
                self.player.stretch = self.loop
            asyncio.create_task(self.set_speed())

    def close(self):
        if self.player:
            self.player.close()
            self.player = None
            self.moved(0, False, False)

    def play_or_pause(self):
        self.open()
        if self.player.playing:
            self.player.pause()
        else:
            asyncio.create_task(self.player.play())

    def seek(self, seconds):
        self.open()
        self.player.seek(seconds * SAMPLE_RATE)

    async def set_speed(self):
        """Have the player follow what is chosen."""
        if self.player and self.player.wanted != float(self.speed.value):
            try:
                await self.player.set_rate(float(self.speed.value))
            except RejectedError:
                self.speed.value = "1"

    def jump(self, seconds):
        if self.is_ready():
            self.seek(float(self.position.value) + seconds)

    def slide(self, event):
        """A slider's own step is much too short here."""
        if event.key in ARROWS and not (event.altKey or event.ctrlKey or event.metaKey):
            event.preventDefault()
            self.jump(ARROWS[event.key])

    def moved(self, seconds, playing, waiting):
        self.position.value = seconds
        view.say(self.clock, view.clock(seconds))
        self.position.setAttribute(
            "aria-valuetext", tr("{} of {}").format(view.clock(seconds), self.length.textContent)
        )
        view.say(self.play_button, "❚❚" if playing else "▶")
        self.play_button.setAttribute("aria-label", tr("Pause") if playing else tr("Play"))
        self.play_button.classList.toggle("waiting", waiting)
        length = max(self.song.length, 1) / SAMPLE_RATE
        self.waves.style.setProperty("--heard", "{:.3f}%".format(100 * seconds / length))
        if self.playing != playing:
            self.playing = playing
            self.on_turn(self)

    # Repeating a stretch: drag over a waveform, or press the button at its begin and at its end

    def set_loop(self, loop):
        """loop: begin and end in samples, the end None as long as it isn't chosen; or None for no loop."""
        self.loop = loop if loop and loop[1] else None
        self.loop_begin = loop[0] if loop and not loop[1] else None
        length = max(self.song.length, 1)
        begin, end = self.loop or (0, 0)
        self.waves.style.setProperty("--loop-begin", "{:.3f}%".format(100 * begin / length))
        self.waves.style.setProperty("--loop-end", "{:.3f}%".format(100 * end / length))
        view.press(self.loop_button, bool(loop))
        if self.loop:
            times = [view.clock(sample / SAMPLE_RATE) for sample in self.loop]
            text = tr("Loop {}–{}").format(*times)
        elif self.loop_begin is not None:
            text = tr("Loop from {} to here").format(view.clock(self.loop_begin / SAMPLE_RATE))
        else:
            text = tr("Loop from here")
        view.say(self.loop_button, text)

    def loop_or_not(self):
        self.open()
        now = self.player.now()
        if self.loop:
            self.player.stretch = None
            self.set_loop(None)
        elif self.loop_begin is None:
            self.set_loop((now, None))
        else:
            self.repeat(self.loop_begin, now)

    def repeat(self, one, other):
        """Loop between two samples, in either order; too short a stretch is none."""
        begin, end = min(one, other), max(one, other)
        if end - begin < SHORTEST_LOOP * SAMPLE_RATE:
            self.set_loop(None)
            return
        self.set_loop((begin, end))
        self.open()
        self.player.repeat(begin, end)

    def grab(self, event):
        """A press on a waveform: released in place it seeks, dragged it loops."""
        if not self.is_ready():
            return
        self.grabbed = self.sample_at(event)
        event.target.setPointerCapture(event.pointerId)

    def release(self, event):
        if self.grabbed is None:
            return
        begun, ended = self.grabbed, self.sample_at(event)
        self.grabbed = None
        if abs(ended - begun) < SHORTEST_LOOP * SAMPLE_RATE:
            self.seek(begun / SAMPLE_RATE)
        else:
            self.repeat(begun, ended)

    def let_go(self, event):
        """The browser scrolls the page instead."""
        self.grabbed = None

    def sample_at(self, event):
        box = event.currentTarget.getBoundingClientRect()
        fraction = max(0, min(1, (event.clientX - box.left) / box.width))
        return int(fraction * self.song.length)
