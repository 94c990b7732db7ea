"""A song to try the page with, 20 seconds: composed here, played by the browser's own oscillators.

Nobody has any rights in it that they keep: it is given to the public domain as CC0 1.0 has it.
"""

import js

from page.files.sound import Sound
from page.files.wav import CHANNELS
from page.text.texts import tr
from shared.facts import SAMPLE_RATE

TITLE = "Demo song"
BEAT = 0.625  # seconds: 96 to the minute
BEATS = 32
CHORDS = ((57, 60, 64), (53, 57, 60), (48, 55, 64), (55, 59, 62))
"""As MIDI notes, four beats each: A minor, F, C, G; then all over again."""
TUNE = """
    4 1.5 76, 5.5 0.5 74, 6 1 72, 7 1 69, 8 1.5 72, 9.5 0.5 71, 10 2 69, 12 1 67, 13 1 71, 14 2 74,
    16 1.5 76, 17.5 0.5 79, 18 2 76, 20 1 77, 21 1 76, 22 2 72, 24 1.5 74, 25.5 0.5 72, 26 2 67,
    28 1.5 71, 29.5 0.5 69, 30 2 69
"""
"""What is sung: its beat, how many it lasts, the note."""
VOWELS = ((730, 1090, 2440), (570, 840, 2410), (300, 870, 2240))
"""The formants, in Hz, of ah, oh and oo."""


def hertz(note):
    return 440 * 2 ** ((note - 69) / 12)


class Band:
    def __init__(self):
        self.context = js.OfflineAudioContext.new(
            CHANNELS, int(BEATS * BEAT * SAMPLE_RATE), SAMPLE_RATE
        )
        self.context.destination.channelInterpretation = "speakers"
        self.hiss = self.context.createBuffer(1, SAMPLE_RATE, SAMPLE_RATE)
        noise = js.crypto.getRandomValues(js.Int8Array.new(SAMPLE_RATE))
        self.hiss.copyToChannel(js.Float32Array.new(noise), 0)

    def chain(self, *nodes):
        """Each node into the next one; gives the last."""
        for index in range(len(nodes) - 1):
            nodes[index].connect(nodes[index + 1])
        return nodes[-1]

    def fader(self, start, length, level, attack=0.005, side=0):
        """A gain that opens and closes with a note, panned (-1 left, 1 right), into the song."""
        gain, pan = self.context.createGain(), self.context.createStereoPanner()
        pan.pan.value = side
        gain.gain.setValueAtTime(0, start)
        gain.gain.linearRampToValueAtTime(level, start + attack)
        gain.gain.setTargetAtTime(0, start + max(attack, 0.6 * length), 0.15 * length)
        self.chain(gain, pan, self.context.destination)
        return gain

    def filter(self, kind, frequency, q=1):
        node = self.context.createBiquadFilter()
        node.type, node.frequency.value, node.Q.value = kind, frequency, q
        return node

    def tone(self, shape, frequency, start, length):
        oscillator = self.context.createOscillator()
        oscillator.type = shape
        oscillator.frequency.setValueAtTime(frequency, start)
        oscillator.start(start)
        oscillator.stop(start + 2 * length)
        return oscillator

    def noise(self, start, length):
        source = self.context.createBufferSource()
        source.buffer = self.hiss
        source.start(start, 0, length)
        return source

    def kick(self, start):
        tone = self.tone("sine", 140, start, 0.3)
        tone.frequency.exponentialRampToValueAtTime(45, start + 0.12)
        self.chain(tone, self.fader(start, 0.25, 0.5))

    def snare(self, start):
        noise = self.noise(start, 0.4)
        self.chain(noise, self.filter("bandpass", 2200, 0.7), self.fader(start, 0.15, 0.003))
        self.chain(self.tone("triangle", 190, start, 0.2), self.fader(start, 0.1, 0.15))

    def hat(self, start):
        noise = self.noise(start, 0.2)
        self.chain(noise, self.filter("highpass", 7000), self.fader(start, 0.05, 0.0008, side=0.3))

    def bass(self, note, start, length):
        tone = self.tone("sawtooth", hertz(note), start, length)
        self.chain(tone, self.filter("lowpass", 500), self.fader(start, length, 0.22))

    def pluck(self, note, start, length, side):
        tone = self.tone("triangle", hertz(note), start, length)
        self.chain(tone, self.fader(start, length, 0.07, side=side))

    def sing(self, note, start, length, vowel):
        tone = self.tone("sawtooth", hertz(note - 12), start, length)
        depth = self.context.createGain()
        depth.gain.value = 2.5  # Hz
        self.chain(self.tone("sine", 5.5, start, length), depth, tone.frequency)
        fader = self.fader(start, length, 0.5, 0.06)
        for index, formant in enumerate(vowel):
            loud = self.context.createGain()
            loud.gain.value = 0.5**index
            self.chain(tone, self.filter("bandpass", formant, 9), loud, fader)

    async def play(self):
        """The song, an AudioBuffer."""
        for beat in range(BEATS):
            start, chord = beat * BEAT, CHORDS[beat // 4 % len(CHORDS)]
            (self.snare if beat % 2 else self.kick)(start)
            for half in (0, 1):
                self.hat(start + half * BEAT / 2)
                self.bass(
                    chord[0] - 24 + 12 * (half and beat % 4 == 3), start + half * BEAT / 2, BEAT / 2
                )
            for step in range(4):
                note = chord[step % 3] + 12
                self.pluck(note, start + step * BEAT / 4, BEAT / 2, -0.5 if step % 2 else 0.5)
        for number, sung in enumerate(TUNE.split(",")):
            beat, length, note = [float(word) for word in sung.split()]
            self.sing(note, beat * BEAT, length * BEAT, VOWELS[number % len(VOWELS)])
        return await self.context.startRendering()


async def render():
    """What a Song's source gives."""
    audio = await Band().play()
    return Sound(audio), {"title": tr(TITLE)}, SAMPLE_RATE, audio.length
