"""Playback of the stems in sync, of as much as is finished; it waits at the edge of what isn't.

Pieces are decoded a little ahead of the playhead and scheduled on one clock, so stems can't drift apart. The mixer is a
gain node a stem; the original plays beside them, silent until it is asked for.
"""

import asyncio

import js
from downloads import wav_blob
from pyscript.ffi import create_proxy
from wav import SAMPLE_RATE

AHEAD = 2.0  # seconds that are scheduled before they are heard
LEAD = 0.08  # seconds from scheduling to sound, at the start
TICK = 0.1  # seconds between looks at the clock
ORIGINAL = "original"


class Player:
    def __init__(self, song, stems, on_time):
        """on_time is called with the position in seconds, whether it plays and whether it waits for stems."""
        self.song, self.on_time = song, on_time
        self.context = js.AudioContext.new(to_options(SAMPLE_RATE))
        self.gains = {}
        for stem in tuple(stems) + (ORIGINAL,):
            self.gains[stem] = self.context.createGain()
            self.gains[stem].connect(self.context.destination)
        self.sources = []
        self.playing = False
        self.position = 0  # the next sample to schedule
        self.run = 0  # counts starts, so that an old loop notices that it is over

    def set_gain(self, stem, value):
        # A short ramp: a jump would click.
        self.gains[stem].gain.setTargetAtTime(value, self.context.currentTime, 0.01)

    def now(self):
        """The sample that is heard."""
        if not self.playing:
            return self.position
        heard = (self.context.currentTime - self.anchor_time) * SAMPLE_RATE + self.anchor
        return max(self.anchor, min(int(heard), self.position))

    async def play(self):
        if self.position >= self.song.audio.length:
            self.position = 0
        await self.context.resume()
        self.playing = True
        self.run += 1
        self.anchor = None
        await self.loop(self.run)

    def pause(self):
        if self.playing:
            self.position = self.now() if self.anchor is not None else self.position
            self.playing = False
            self.silence()
            self.on_time(self.position / SAMPLE_RATE, False, False)

    def seek(self, seconds):
        was_playing = self.playing
        self.pause()
        self.position = max(0, min(int(seconds * SAMPLE_RATE), self.song.audio.length))
        self.on_time(self.position / SAMPLE_RATE, False, False)
        if was_playing:
            asyncio.create_task(self.play())

    def close(self):
        self.playing = False
        self.silence()
        self.context.close()

    def silence(self):
        for source in self.sources:
            source.stop()
        self.sources = []

    async def loop(self, run):
        """Schedule piece after piece; where the next one isn't there yet, stop the clock and wait for it."""
        while self.playing and run == self.run:
            if self.anchor is None:
                self.anchor, self.anchor_time = self.position, self.context.currentTime + LEAD
            scheduled = (self.position - self.anchor) / SAMPLE_RATE + self.anchor_time
            spare = scheduled - self.context.currentTime
            waiting = False
            if self.position >= self.song.audio.length:
                if spare <= 0:
                    self.pause()
                    return
            elif spare < AHEAD:
                piece = self.song.piece_at(self.position)
                if piece:
                    await self.schedule(piece, run)
                    continue
                waiting = spare <= 0
                if waiting:
                    # Ran dry: the clock starts anew when there is something to hear.
                    self.anchor_time = self.context.currentTime + LEAD
                    self.anchor = self.position
            self.on_time(self.now() / SAMPLE_RATE, True, waiting)
            await asyncio.sleep(TICK)

    async def schedule(self, piece, run):
        start, samples, blobs = piece
        buffers = {ORIGINAL: (self.song.audio, self.position)}
        for stem in self.gains:
            if stem in blobs:
                # The browser turns 16 bits into floats faster than a loop of ours.
                data = await wav_blob([blobs[stem]], samples).arrayBuffer()
                buffers[stem] = (await self.context.decodeAudioData(data), self.position - start)
        if not self.playing or run != self.run:
            return
        when = self.anchor_time + (self.position - self.anchor) / SAMPLE_RATE
        if when < self.context.currentTime:
            # Decoding took longer than the lead: begin later rather than skip.
            when = self.context.currentTime + LEAD
            self.anchor, self.anchor_time = self.position, when
        length = start + samples - self.position
        for stem, (buffer, offset) in buffers.items():
            source = self.context.createBufferSource()
            source.buffer = buffer
            source.connect(self.gains[stem])
            source.start(when, offset / SAMPLE_RATE, length / SAMPLE_RATE)
            source.addEventListener("ended", create_proxy(self.forget(source)))
            self.sources.append(source)
        self.position += length

    def forget(self, source):
        def ended(event):
            if source in self.sources:
                self.sources.remove(source)

        return ended


def to_options(rate):
    options = js.Object.new()
    options.sampleRate = rate
    return options
