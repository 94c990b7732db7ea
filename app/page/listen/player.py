"""Playback of the stems in sync, as far as they are finished; playback waits where the next piece is missing.

Pieces are decoded a little ahead of the playhead and scheduled on one clock, so stems can't drift apart. The mixer is a
gain and a panner a stem; the original plays beside them, silent until it is asked for. At another speed or in another
key, the pitch is shifted behind the sum of each group of stems, see `tuning`; a group that isn't shifted is played as
late as the others are heard, and so are clicks. Where stems of a preview and final ones meet, the one fades out while
the other fades in: they are different sounds.
"""

import asyncio

import js
from pyscript.ffi import to_js

from page import view
from page.files.encode import wav_blob
from page.files.refusals import DecodeError
from page.listen import click, pitch, tuning
from page.listen.playhead import OVER, SCHEDULE, WAIT, Playhead
from page.promises import RejectedError, outcome, settle
from page.songs.preview import FADE
from shared.facts import SAMPLE_RATE

TICK = 0.1  # seconds between looks at the clock
ORIGINAL = "original"


class Player:
    def __init__(self, song, stems, on_time):
        """on_time is called with the position in seconds, whether it plays and whether it waits for stems."""
        self.song, self.on_time = song, on_time
        self.context = js.AudioContext.new(to_js({"sampleRate": SAMPLE_RATE}))
        self.sums = {}  # by group of stems
        for group in (tuning.OTHERS, tuning.VOCALS, tuning.DRUMS):
            self.sums[group] = self.context.createGain()
            self.sums[group].connect(self.context.destination)
        self.gains, self.panners = {}, {}
        for stem in tuple(stems) + (ORIGINAL,):
            gain, panner = self.context.createGain(), self.context.createStereoPanner()
            gain.connect(panner)
            panner.connect(self.sums[tuning.OTHERS])
            self.gains[stem], self.panners[stem] = gain, panner
        # Volumes of clicks on the song's beats, and of those that count in.
        self.on_beats, self.before = self.context.createGain(), self.context.createGain()
        for gain in (self.on_beats, self.before):
            gain.gain.value = 0
            gain.connect(self.context.destination)
        self.click_sounds = {}  # AudioBuffers, by whether a bar begins
        self.spans = []  # what is scheduled, see `click_within`
        self.clicks = []  # (when it begins on the context's clock, node)
        self.head = Playhead(song.length)  # on the context's clock
        self.wanted = (1.0, 0)  # the speed and the key that were asked for last
        self.shifters, self.shifts = {}, {}  # by group of stems; see `tuning.shifts`
        self.key = 0  # whose groups stems are connected with
        self.turn = asyncio.Lock()  # held while speed and key are changed
        self.sources = []  # (when it ends on the context's clock, node)
        self.decoded = (None, {})  # the last piece that was decoded, and its AudioBuffers
        self.kinds = []  # (time on the context's clock, whether a preview is heard from then on), in order of time
        self.fades = False  # whether what was scheduled last goes on for FADE while it fades out
        self.comes_back = False  # whether it plays on once the context is suspended
        view.on(self.context, "statechange", self.state_changed)

    def set_gain(self, stem, value):
        self.glide(self.gains[stem].gain, value)

    def set_pan(self, stem, value):
        """value: from -1, left, to 1, right."""
        self.glide(self.panners[stem].pan, value)

    def set_click(self, on_beats, before):
        """Set the volumes of clicks on beats, and of those that count in."""
        self.glide(self.on_beats.gain, on_beats)
        self.glide(self.before.gain, before)

    def glide(self, parameter, value):
        # A short ramp: a jump would click.
        parameter.setTargetAtTime(value, self.context.currentTime, 0.01)

    async def tune(self, speed, key):
        """Play at another speed and so many semitones away. Raises RejectedError where the shifters can't be had."""
        self.wanted = speed, key
        async with self.turn:
            shifts = tuning.shifts(speed, key)
            for group in shifts:
                if group not in self.shifters:
                    self.shifters[group] = await pitch.shifter(self.context)
                    self.shifters[group].connect(self.context.destination)
            if (speed, key) != self.wanted:
                return  # the visitor has chosen again meanwhile
            delay = 0.0
            for group, shift in shifts.items():
                delay = await pitch.tune(self.shifters[group], shift)
            if speed == self.head.rate and set(shifts) == set(self.shifts):
                return  # from key to key the shifters alone change, and what plays goes on
            was_playing = self.head.playing
            self.pause()
            self.head.rate, self.head.delay = speed, delay
            self.route(shifts, key)
        if was_playing:
            asyncio.create_task(self.play())

    def route(self, shifts, key):
        """Connect stems with their groups, and groups with what shifts them."""
        self.shifts, self.key = shifts, key
        for stem, panner in self.panners.items():
            panner.disconnect()
            panner.connect(self.sums[tuning.group(stem, key)])
        for group, total in self.sums.items():
            total.disconnect()
            total.connect(self.shifters[group] if group in shifts else self.context.destination)

    def now(self):
        """The sample that is heard."""
        return self.head.heard(self.context.currentTime)

    async def play(self):
        run = self.head.start()
        # resume() isn't awaited: without an audio device it may never resolve. The clock stands still until it does.
        asyncio.create_task(outcome(self.context.resume()))
        await self.loop(run)

    def pause(self):
        if self.head.playing:
            self.head.stop(self.context.currentTime)
            self.silence()
            self.tell(False)

    def seek(self, sample):
        was_playing = self.head.playing
        self.pause()
        self.head.seek(sample)
        self.tell(False)
        if was_playing:
            asyncio.create_task(self.play())

    def repeat(self, begin, end):
        """Play the samples from begin to end over and over."""
        self.head.loop_range = (begin, end)
        if self.head.is_outside(begin, end, self.context.currentTime):
            self.seek(begin)

    def state_changed(self, event):
        """Pause when a phone call or another program has taken the audio device; the next press plays on."""
        if self.context.state != "running":
            comes_back, self.comes_back = self.comes_back, False
            self.pause()
            if comes_back:
                asyncio.create_task(self.play())

    def change_device(self):
        """Play on by the device that there is now: some browsers stay with one that is gone until they are stopped."""
        self.comes_back = self.head.playing and self.context.state == "running"
        asyncio.create_task(outcome(self.context.suspend()))

    def close(self):
        view.remove_listeners(self.context)
        self.head.playing = False
        self.silence()
        self.context.close()

    def silence(self):
        for _, source in self.sources:
            source.stop()
        self.sources, self.kinds, self.fades = [], [], False
        self.spans = []
        self.follow_beats()

    def hears_preview(self):
        """Whether what is heard, or would be, is of a preview."""
        time = self.context.currentTime - self.head.delay
        while len(self.kinds) > 1 and self.kinds[1][0] <= time:
            self.kinds.pop(0)
        if self.kinds:
            return self.kinds[0][1]
        return self.song.is_preview_at(self.head.position)

    def tell(self, waiting):
        self.on_time(self.now() / SAMPLE_RATE, self.head.playing, waiting)

    async def loop(self, run):
        """Schedule piece after piece; stop the clock while the next one isn't there yet."""
        while self.head.goes_on(run):
            step = self.head.step(self.context.currentTime, self.song.heard)
            if step == OVER:
                self.pause()
                return
            if step == SCHEDULE:
                await self.schedule(self.song.heard(self.head.position)[0], run)
                continue
            self.tell(step == WAIT)
            await asyncio.sleep(TICK)

    async def schedule(self, piece, run):
        buffers = await self.decode(piece)
        head = self.head
        if not head.goes_on(run):
            return
        found = self.song.heard(head.position)
        if not found or found[0] is not piece:
            return  # a better one has come meanwhile
        if head.catch_up(self.context.currentTime):  # where decoding took longer than the lead
            self.fades = False
        end = head.end_within(found[1])
        fades = end == found[1] and end + FADE <= piece[0] + piece[1]
        when, length = head.due(), end - head.position
        now = self.context.currentTime
        self.sources = [source for source in self.sources if source[0] > now]
        begun = []
        for stem, (buffer, first) in buffers.items():
            source = self.context.createBufferSource()
            source.buffer = buffer
            source.playbackRate.value = head.rate
            is_shifted = tuning.group(stem, self.key) in self.shifts
            begins = when if is_shifted else when + head.delay
            self.connect(source, stem, begins, length, fades)
            offset, whole = head.position - first, length + (FADE if fades else 0)
            source.start(begins, offset / SAMPLE_RATE, whole / SAMPLE_RATE)
            begun.append(source)
        self.fades = fades
        is_preview = self.song.is_preview(piece)
        if not self.kinds or self.kinds[-1][1] != is_preview:
            self.kinds.append((when, is_preview))
        ends = when + length / SAMPLE_RATE / head.rate + head.delay
        self.sources += [(ends, source) for source in begun]
        self.spans = [span for span in self.spans if span[-1] > now]
        self.clicks = [some for some in self.clicks if some[0] > now - 1]
        self.spans.append((head.position, end, when, head.counted(), ends))
        self.click_within(*self.spans[-1])
        head.advance(end)

    def click_within(self, begin, end, when, counted, over):
        """Schedule the clicks of what is heard from one sample to another, and of what is counted in before it.

        when, over: when that begins and when it is over on the context's clock; counted: seconds.
        """
        analysis, rate = self.song.analysis, SAMPLE_RATE * self.head.rate
        if not click.has_beats(analysis):
            return
        now = self.context.currentTime
        found = [
            (when + (sample - begin) / rate, begins_bar, self.on_beats)
            for sample, begins_bar in click.clicks(analysis, begin, end)
        ]
        if counted:
            found += [
                (when - counted + place / rate, begins_bar, self.before)
                for place, begins_bar in click.count_in(analysis, begin)[1]
            ]
        for time, begins_bar, target in found:
            if time + self.head.delay >= now:
                source = self.context.createBufferSource()
                source.buffer = self.click_sound(begins_bar)
                source.connect(target)
                source.start(time + self.head.delay)
                self.clicks.append((time, source))

    def click_sound(self, begins_bar):
        if begins_bar not in self.click_sounds:
            buffer = self.context.createBuffer(1, click.LENGTH, SAMPLE_RATE)
            samples = js.Float32Array.new(to_js(click.sound(begins_bar)))
            buffer.copyToChannel(samples, 0)
            self.click_sounds[begins_bar] = buffer
        return self.click_sounds[begins_bar]

    def follow_beats(self):
        """Schedule clicks anew, where the song's beats are by now."""
        for _, source in self.clicks:
            source.stop()
        self.clicks = []
        for span in self.spans:
            self.click_within(*span)

    def tapped(self):
        """The second of the song that the visitor hears: sound takes a while to the ear."""
        late = getattr(self.context, "outputLatency", None) or 0
        return self.head.heard(self.context.currentTime - late) / SAMPLE_RATE

    def connect(self, source, stem, when, length, fades):
        """Have a stem's source heard from a time on for so many samples.

        It fades in where the one before fades out; fades: whether it goes on for FADE while it fades out itself.
        """
        if not (self.fades or fades):
            source.connect(self.gains[stem])
            return
        fader, rate = self.context.createGain(), SAMPLE_RATE * self.head.rate
        if self.fades:
            fader.gain.value = 0  # also for a first sample that is rounded to just before that time
            fader.gain.setValueAtTime(0, when)
            fader.gain.linearRampToValueAtTime(1, when + FADE / rate)
        if fades:
            fader.gain.setValueAtTime(1, when + length / rate)
            fader.gain.linearRampToValueAtTime(0, when + (length + FADE) / rate)
        source.connect(fader)
        fader.connect(self.gains[stem])

    async def decode(self, piece):
        """A piece's stems, and the original: AudioBuffers, with the place of their first sample in the song."""
        start, samples, blobs = piece
        if self.decoded[0] is not piece:
            buffers = {}
            for stem in self.gains:
                if stem in blobs:
                    # The browser converts samples to floats faster than a Python loop.
                    file = wav_blob([blobs[stem]], samples, self.song.kind)
                    try:
                        data = await settle(file.arrayBuffer())
                        buffers[stem] = (await settle(self.context.decodeAudioData(data)), start)
                    except RejectedError:
                        pass  # the piece is gone from the device: play silence
            self.decoded = (piece, buffers)
        buffers = self.decoded[1]
        if self.song.audio and ORIGINAL not in buffers:
            try:  # noqa: SIM105 (MicroPython has no contextlib)
                buffers[ORIGINAL] = await self.song.original(start, samples)
            except DecodeError:
                pass  # the file is gone; its stems are not
        return buffers
