"""The controls for listening to one song: a lane a stem, presets, the playhead, the loop. They follow a `mix.Mix`."""

import asyncio

from page import view
from page.listen import click, pitch, player
from page.listen.click_lane import ClickLane
from page.listen.mix import NEUTRAL, Mix
from page.listen.waveform import Waveform
from page.promises import RejectedError
from page.settings.options import USUAL
from page.songs.preview import lacking
from page.text.texts import tr
from shared.facts import SAMPLE_RATE

JUMP = 5  # seconds that an arrow key moves the playhead
PALE = 0.4
"""Opacity of a preview's waveform."""
RESETS = ("Delete", "Backspace")  # what a slider is reset by, beside a double click
ARROWS = {"ArrowLeft": -JUMP, "ArrowDown": -JUMP, "ArrowRight": JUMP, "ArrowUp": JUMP}


def place(pan):
    """Where a stem is heard, in words. pan: from -1 to 1."""
    if not pan:
        return tr("centre")
    side = tr("{}% left") if pan < 0 else tr("{}% right")
    return side.format(view.percent(abs(pan)))


class Lane:
    def __init__(self, stem):
        self.stem = stem
        self.node = view.copy("lane")
        self.node.dataset.stem = stem
        find = self.node.querySelector
        find("h3").textContent = view.capital(tr(stem))
        self.solo, self.mute = find(".solo"), find(".mute")
        self.volume, self.pan, self.wave = find(".volume"), find(".pan"), find(".wave")
        self.waveform = Waveform(find("canvas"))
        self.loud, self.side = find(".level output"), find(".sides output")
        for control, label in (
            (self.solo, tr("Solo {}")),
            (self.mute, tr("Mute {}")),
            (self.volume, tr("Volume of {}")),
            (self.pan, tr("Pan of {}")),
        ):
            control.setAttribute("aria-label", label.format(tr(stem)))

    def follow(self, mix, gain):
        """Show a Mix's settings of this stem. gain: 0 where it isn't heard."""
        volume, pan = mix.volumes[self.stem], mix.pans[self.stem]
        view.press(self.solo, self.stem in mix.solos)
        view.press(self.mute, self.stem in mix.mutes)
        self.mute.classList.toggle("idle", bool(mix.solos))  # solos alone decide what is heard then
        self.node.classList.toggle("silent", not gain)
        self.volume.value, self.pan.value = volume, pan
        view.fill(self.volume, 0, volume)
        view.fill(self.pan, 0, pan)
        view.say(self.loud, "{}%".format(view.percent(volume)))
        view.say(self.side, str(view.percent(abs(pan))))
        self.side.dataset.side = "left" if pan < 0 else "right" if pan > 0 else ""
        self.volume.setAttribute("aria-valuetext", self.loud.textContent)
        self.pan.setAttribute("aria-valuetext", place(pan))

    def draw(self, begin, end, peaks, is_preview=False, is_over_preview=False):
        """Draw the waveform of a stretch, whose ends are fractions of the song; of a preview, or over that of one."""
        if is_over_preview:
            self.waveform.clear(begin, end)
        self.waveform.draw(begin, end, peaks, PALE if is_preview else 1)


class Mixer:
    """The controls live as long as the song; the player only while the song is open."""

    def __init__(self, song, node, on_turn, on_change, on_correct):
        """node: the element that holds the controls; on_turn: called with the mixer when it begins or stops to play.

        on_change: called after the visitor, or what was kept, has set something; on_correct: after the visitor has
        corrected the song's beats.
        """
        self.song, self.node, self.on_turn, self.on_change = song, node, on_turn, on_change
        self.click, self.click_lane, self.on_correct = click.Click(), None, on_correct
        self.playing = False
        self.mix, self.player, self.lanes = Mix(), None, {}
        self.grabbed = None  # the sample at which a waveform is pressed
        self.edge = None  # of the loop that is pressed there, see Mix.with_edge
        find = node.querySelector
        self.play_button, self.position = find(".play"), find(".seek")
        self.clock, self.length, self.kind = find(".clock"), find(".length"), find(".kind")
        self.waves, self.loop_button, self.hint = find(".lanes"), find(".loop"), find(".hint")
        self.speed, self.key, self.more = find(".speed"), find(".key"), find(".more")
        for choice in (self.speed, self.key):
            choice.parentElement.hidden = not pitch.is_possible()
            view.on(choice, "change", lambda event: self.tuning_chosen())
        self.presets = list(node.querySelectorAll("[data-preset]"))
        # What single keys press: a preset by its initial, L for the loop.
        self.keys = {button.dataset.preset[0]: button for button in self.presets}
        self.keys["l"] = self.loop_button
        view.on_click(self.play_button, self.play_or_pause)
        view.on(self.position, "input", lambda event: self.seek(float(event.target.value)))
        view.on(self.position, "keydown", self.slide)
        view.on_click(self.loop_button, self.loop_or_not)
        view.on_click(
            self.more, lambda: self.show_pans(self.more.getAttribute("aria-expanded") != "true")
        )
        for button in self.presets:
            view.on(button, "click", lambda event: self.choose(event.target.dataset.preset))

    # Lanes

    def show(self, stems):
        """Lay out empty lanes, set and heard as those before, as far as the stems are the same.

        The controls can be used once the song's length is known.
        """
        self.close()
        for lane in self.lanes.values():
            view.discard(lane.node)
        self.lanes = {}
        self.mix.lay_out(stems, bool(self.song.source))  # a kept song has no original
        for stem in self.mix.stems:
            lane = self.lanes[stem] = Lane(stem)
            self.waves.append(lane.node)
            view.on_click(lane.solo, self.changer(self.mix.toggle_solo, stem))
            view.on_click(lane.mute, self.changer(self.mix.toggle_mute, stem))
            for slider, settings, neutral in (
                (lane.volume, self.mix.volumes, NEUTRAL[0]),
                (lane.pan, self.mix.pans, NEUTRAL[1]),
            ):
                view.on(slider, "input", self.setter(settings, stem))
                view.on(slider, "dblclick", self.resetter(settings, stem, neutral))
                view.on(slider, "keydown", self.resetter(settings, stem, neutral))
            self.listen_to(lane.wave)
        if self.click_lane:
            self.waves.append(self.click_lane.node)
        self.follow_beats()
        for button in self.presets:
            button.hidden = not self.mix.is_offered(button.dataset.preset)
        seconds = self.song.length / SAMPLE_RATE
        self.length.textContent = view.clock(seconds)
        self.position.max = seconds
        # Usable before the stems are finished: the player waits.
        for control in (self.play_button, self.position, self.loop_button):
            control.disabled = not self.song.length
        self.show_loop(self.mix.loop)
        self.moved(0, False, False)
        self.apply()

    def listen_to(self, wave):
        for event, handler in (
            ("pointerdown", self.grab),
            ("pointermove", self.drag),
            ("pointerup", self.release),
            ("pointercancel", self.let_go),
        ):
            view.on(wave, event, handler)

    def follow_beats(self):
        """Have the click's lane below all others where the song's beats are known, and clicks where they are."""
        has_beats = click.has_beats(self.song.analysis)
        if has_beats and not self.click_lane:
            lane = self.click_lane = ClickLane(self.song, self.click, self.apply, self.on_correct)
            self.waves.append(lane.node)
            self.listen_to(lane.wave)
            self.keys.update(lane.keys)
        if self.click_lane and not has_beats:
            for key in self.click_lane.keys:
                del self.keys[key]
            view.discard(self.click_lane.node)
            self.click_lane = None
        if self.click_lane:
            self.click_lane.player = self.player
            self.click_lane.draw()
            self.click_lane.follow()
        if self.player:
            self.player.follow_beats()

    def is_ready(self):
        return not self.play_button.disabled

    def show_pans(self, yes):
        """Have a phone, which has room for little, show where stems are heard."""
        self.more.setAttribute("aria-expanded", "true" if yes else "false")
        self.waves.classList.toggle("panned", yes)

    def draw(self, start, samples, waveforms, is_preview=False):
        length = self.song.length
        is_over_preview = bool(self.song.previews) and not is_preview
        for stem, lane in self.lanes.items():
            ends = start / length, (start + samples) / length
            if stem in waveforms:  # a preview may lack some
                lane.draw(*ends, waveforms[stem], is_preview, is_over_preview)
        self.say_kind()

    def say_kind(self):
        """Say whether a preview is heard or final stems, where there are both."""
        text = ""
        if self.song.previews:
            heard = self.player.hears_preview() if self.player else self.song.is_preview_at(0)
            text = self.of_preview() if heard else tr("Final stems.")
        view.say(self.kind, text)

    def of_preview(self):
        lacks = lacking(self.mix.stems, USUAL)
        if not lacks:
            return tr("Preview: better stems follow.")
        silent, place = lacks
        text = tr("Preview: better stems follow; {} still within {}.")
        return text.format(" + ".join([tr(stem) for stem in silent]), tr(place))

    # What is heard

    def changer(self, change, *arguments):
        """A handler that changes the mix."""

        def handle():
            change(*arguments)
            self.apply()

        return handle

    def setter(self, settings, stem):
        """A handler that takes a slider's value into the mix's volumes or pans."""

        def read(event):
            settings[stem] = float(event.target.value)
            self.apply()

        return read

    def resetter(self, settings, stem, neutral):
        """A handler that resets a slider, by a double click or a key."""

        def reset(event):
            if event.type == "dblclick" or event.key in RESETS:
                settings[stem] = neutral
                self.apply()

        return reset

    def choose(self, preset):
        self.mix.choose(preset)
        self.apply()

    def apply(self):
        """Have the player, the lanes and the presets follow the mix."""
        gains, chosen = self.mix.gains(), self.mix.chosen()
        for button in self.presets:
            view.press(button, button.dataset.preset in chosen)
        for stem, lane in self.lanes.items():
            lane.follow(self.mix, gains[stem])
        if self.player:
            for stem, gain in gains.items():
                self.player.set_gain(stem, gain)
                self.player.set_pan(stem, self.mix.pans[stem])
            self.player.set_gain(player.ORIGINAL, 1 if self.mix.is_original else 0)
            self.player.set_click(self.click_heard(), self.click.volume)
        if self.click_lane:
            self.click_lane.follow()
        self.on_change()

    # What is kept with the song

    def facts(self):
        """All that the visitor has set, as JSON can hold it."""
        facts = self.mix.facts()
        facts["speed"], facts["key"] = self.speed.value, self.key.value
        facts["click"] = self.click.facts()
        return facts

    def restore(self, facts):
        """Set what `facts` gave on an earlier visit."""
        self.mix.restore(facts, self.song.length)
        facts = facts if isinstance(facts, dict) else {}
        for name, choice in (("speed", self.speed), ("key", self.key)):
            if facts.get(name) in [option.value for option in choice.options]:
                choice.value = facts[name]
        self.click.restore(facts.get("click"))
        self.show_loop(self.mix.loop)
        self.show_pans(any(self.mix.pans.values()))
        self.apply()

    # Where in the song

    def open(self):
        if not self.player and self.lanes:
            self.player = player.Player(self.song, self.lanes, self.moved)
            self.player.head.loop_range = self.mix.loop
            self.player.head.count_in = self.counted
            self.follow_beats()
            self.apply()
            asyncio.create_task(self.tune())

    def close(self):
        if self.player:
            self.player.close()
            self.player = None
            if self.click_lane:
                self.click_lane.player = None
            self.moved(0, False, False)

    def counted(self, sample):
        """Samples that are counted in before the song is heard from one on."""
        if not (self.click.counts_in and click.has_beats(self.song.analysis)):
            return 0
        return click.count_in(self.song.analysis, sample)[0]

    def click_heard(self):
        """The click's volume, 0 where there is none to hear."""
        is_heard = self.click.is_on and click.has_beats(self.song.analysis)
        return self.click.volume if is_heard else 0

    def play_or_pause(self):
        self.open()
        if self.player.head.playing:
            self.player.pause()
        else:
            asyncio.create_task(self.player.play())

    def seek(self, seconds):
        self.open()
        self.player.seek(seconds * SAMPLE_RATE)

    def chosen_tuning(self):
        """The speed and the key that are chosen: 1 and 0 semitones are the song's own."""
        return float(self.speed.value), int(self.key.value)

    def tuning_chosen(self):
        self.on_change()
        asyncio.create_task(self.tune())

    async def tune(self):
        """Have the player follow what is chosen."""
        if self.player and self.player.wanted != self.chosen_tuning():
            try:
                await self.player.tune(*self.chosen_tuning())
            except RejectedError:
                self.speed.value, self.key.value = "1", "0"

    def jump(self, seconds):
        if self.is_ready():
            self.seek(float(self.position.value) + seconds)

    def slide(self, event):
        """Move the playhead by JUMP: the slider's own step is much too short."""
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
        self.say_kind()
        length = max(self.song.length, 1) / SAMPLE_RATE
        self.waves.style.setProperty("--heard", "{:.3f}%".format(100 * seconds / length))
        if self.playing != playing:
            self.playing = playing
            self.on_turn(self)

    # Repeating a part: drag over a waveform, or press the button at its begin and at its end. Its edges can be dragged.

    def show_loop(self, loop):
        """loop: that of the mix, or what it is to be once the pointer is released."""
        begin = self.mix.loop_begin
        length = max(self.song.length, 1)
        for name, sample in zip(("--loop-begin", "--loop-end"), loop or (0, 0)):
            self.waves.style.setProperty(name, "{:.3f}%".format(100 * sample / length))
        view.press(self.loop_button, bool(loop) or begin is not None)
        if loop:
            times = [view.clock(sample / SAMPLE_RATE) for sample in loop]
            text = tr("Loop {}–{}").format(*times)
        elif begin is not None:
            text = tr("Loop from {} to here").format(view.clock(begin / SAMPLE_RATE))
        else:
            text = tr("Loop from here")
        view.say(self.loop_button, text)
        self.waves.classList.toggle("looped", bool(loop))
        hint = tr("Drag the loop's edges to move them.")
        view.say(self.hint, hint if loop else tr("Drag over a waveform to loop a part of it."))

    def loop_or_not(self):
        self.open()
        self.mix.mark(self.player.now())
        self.follow_loop()

    def follow_loop(self):
        self.show_loop(self.mix.loop)
        self.on_change()
        self.open()
        if self.mix.loop:
            self.player.repeat(*self.mix.loop)
        else:
            self.player.head.loop_range = None

    def grab(self, event):
        """A press on a waveform: released in place it seeks, dragged it loops; on an edge of the loop it moves that."""
        if not self.is_ready():
            return
        self.grabbed = self.sample_at(event)
        edge = getattr(event.target.dataset, "edge", None)
        self.edge = int(edge) if edge else None
        event.target.setPointerCapture(event.pointerId)

    def loop_at(self, event):
        """The loop if the pointer is released there, or None."""
        return self.mix.dragged(self.grabbed, self.sample_at(event), self.edge)

    def drag(self, event):
        if self.grabbed is not None:
            self.show_loop(self.loop_at(event) or self.mix.loop)

    def release(self, event):
        if self.grabbed is None:
            return
        begun, loop = self.grabbed, self.loop_at(event)
        self.grabbed = None
        if loop:
            self.mix.repeat(*loop)
            self.follow_loop()
        else:
            self.seek(begun / SAMPLE_RATE)

    def let_go(self, event):
        """Forget a press: the browser scrolls the page instead."""
        self.grabbed = None
        self.show_loop(self.mix.loop)

    def sample_at(self, event):
        return int(view.fraction_at(event) * self.song.length)
