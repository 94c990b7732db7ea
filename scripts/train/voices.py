"""Speech into singing: syllables of a voice file are stretched onto the notes of a melody (WORLD synthesis)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyworld

from . import mix
from .compose import Note, Song, melody
from .mix import RATE, Audio, Rng, biquad, gain, pan
from .speech import FFT, FRAME

FREQUENCY = np.arange(FFT // 2 + 1) * RATE / FFT
SECOND = round(1 / FRAME)  # frames


@dataclass
class Singer:
    """A voice and how it sings."""

    voice: dict[str, np.ndarray]  # as speech.py writes it
    centre: int  # MIDI number around which it is comfortable
    formants: float  # factor on the frequencies of the envelope: below 1 a larger body
    breath: float  # 0 to 1
    vibrato: tuple[float, float]  # Hz, cents
    glide: float  # seconds from note to note
    drift: float  # cents
    tilt: float  # dB an octave
    presence: float  # dB around 3 kHz
    hiss: float  # gain on unvoiced consonants
    rough: bool


def load(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """All voices in a folder by name."""
    voices = {}
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as stored:
            voices[path.stem] = {key: stored[key] for key in stored.files}
    return voices


def singer(r: Rng, voices: dict[str, dict[str, np.ndarray]]) -> Singer:
    """Draw a voice and make it somebody: high or low, plain or trained, clear or rough."""
    voice = voices[str(r.choice(sorted(voices)))]
    pitch = voice["pitch"]
    high = bool(np.median(pitch[pitch > 0]) > 165)
    formants = float(np.exp(r.normal(0, 0.07)))
    if r.random() < 0.25:  # the other sex
        formants *= 0.87 if high else 1.15
        high = not high
    return Singer(
        voice=voice,
        centre=int(r.integers(60, 70) if high else r.integers(50, 63)),
        formants=float(np.clip(formants, 0.78, 1.28)),
        breath=float(r.random() ** 2),
        vibrato=(r.uniform(4.6, 6.4), r.uniform(5, 55)),
        glide=r.uniform(0.015, 0.09),
        drift=r.uniform(0, 25),
        tilt=r.normal(0, 1.5),
        presence=r.uniform(0, 6),
        hiss=r.uniform(0.3, 1.3),
        rough=bool(r.random() < 0.2),
    )


def sing(r: Rng, who: Singer, notes: list[Note], seconds: float, first: int) -> Audio:
    """Sing a phrase from syllable number `first` on. Returns float32 (samples,)."""
    frames = round(seconds * SECOND) + 1
    source = np.full(frames, -1.0)  # the frame of the voice file that sounds, -1 for none
    pitch, level = np.zeros(frames), np.zeros(frames)
    previous = None
    for i, note in enumerate(notes):
        consonant, vowel, end = _syllable(who, first + i)
        next_consonant, next_vowel, _ = _syllable(who, first + i + 1)
        following = notes[i + 1].start if i + 1 < len(notes) else seconds
        gap = min((next_vowel - next_consonant) * FRAME, 0.11)
        a = int(note.start * SECOND)
        b = min(int(min(note.end, following - gap) * SECOND), frames)
        # The consonant comes before the beat, the vowel on it.
        lead = min(vowel - consonant, 24, a)
        source[a - lead : a] = np.arange(vowel - lead, vowel)[: max(0, frames - a + lead)]
        level[a - lead : a] = who.hiss
        length = b - a
        if length < 8:
            continue
        source[a:b] = _stretch(r, vowel, end, length)
        level[a:b] = _even(who, source[a:b], r)
        pitch[a:b] = 440 * 2 ** (
            (note.pitch - 69) / 12 + _cents(r, who, length, note, previous) / 1200
        )
        previous = note
    return _synthesise(r, who, source, pitch, level, round(seconds * RATE))


def rap(r: Rng, who: Singer, seconds: float, first: int) -> Audio:
    """Speak in rhythm's place: the voice file as it is, at another pace and pitch."""
    start = _syllable(who, first)[0]
    last = len(who.voice["pitch"]) - 1
    frames = round(seconds * SECOND) + 1
    source = np.clip(start + np.arange(frames) * r.uniform(0.85, 1.2), 0, last)
    pitch = who.voice["pitch"][source.astype(int)].astype(float)
    median = np.median(pitch[pitch > 0]) if (pitch > 0).any() else 150.0
    flat, shift = r.uniform(0.5, 1.4), 2 ** r.normal(0, 0.15)
    pitch = np.where(pitch > 0, median * shift * (np.maximum(pitch, 1) / median) ** flat, 0)
    return _synthesise(
        r, who, source, np.clip(pitch, 0, 500), np.ones(frames), round(seconds * RATE)
    )


def _syllable(who: Singer, index: int) -> np.ndarray:
    table = who.voice["syllables"]
    return table[index % len(table)]


def _stretch(r: Rng, start: int, end: int, length: int) -> Audio:
    """Frames start … end spread over `length`: beginning and end at their own pace, the middle lingering."""
    own = end - start
    if length <= own:
        return start + np.linspace(0, own - 1, length)
    head, tail = int(0.4 * own), int(0.3 * own)
    middle = (
        start
        + head
        + (own - head - tail) * (0.5 - 0.5 * np.cos(np.linspace(0, np.pi, length - head - tail)))
    )
    path = np.r_[start + np.arange(head), middle, end - tail + np.arange(tail)]
    wander = np.cumsum(r.normal(0, 0.25, length))
    wander = np.clip(wander - np.linspace(0, wander[-1], length), -4, 4)
    return np.clip(path + wander * np.minimum(1, np.arange(length) / 20), start, end - 1)


def _even(who: Singer, source: Audio, r: Rng) -> Audio:
    """Gains that hold a note's level, with a soft beginning and end."""
    energy = who.voice["energy"][source.astype(int)]
    wanted = 0.08 * gain(r.normal(0, 1.5))
    gains = np.clip(wanted / np.maximum(energy, 0.01), 0.3, 4)
    gains = np.convolve(np.pad(gains, 12, mode="edge"), np.ones(25) / 25, "valid")
    place = np.arange(len(source))
    return gains * np.minimum(1, np.minimum((place + 3) / 10, (len(source) - place + 1) / 14))


def _cents(r: Rng, who: Singer, length: int, note: Note, previous: Note | None) -> Audio:
    """How a note's pitch departs from the score: glide, scoop, vibrato, drift, fall."""
    time = np.arange(length) * FRAME
    if previous is None:
        cents = -r.uniform(0, 250) * np.exp(-time / 0.05)
    else:
        cents = 100 * (previous.pitch - note.pitch) * np.exp(-((time / who.glide) ** 1.5))
    if r.random() < 0.15:
        cents -= r.uniform(80, 220) * np.exp(-time / 0.06)
    rate, depth = who.vibrato
    onset = np.clip((time - r.uniform(0.12, 0.3)) / 0.25, 0, 1)
    cents += depth * onset * np.sin(2 * np.pi * rate * time + r.uniform(0, 6))
    noise = r.standard_normal(length + 40)
    cents += 4 * who.drift * np.convolve(noise, np.ones(41) / 41, "valid")
    if length > 0.5 * SECOND and r.random() < 0.2:
        cents -= r.uniform(100, 400) * np.clip((time - time[-1] + 0.12) / 0.12, 0, 1)
    return cents


def _synthesise(
    r: Rng, who: Singer, source: Audio, pitch: Audio, level: Audio, samples: int
) -> Audio:
    on = source >= 0
    power = np.full((len(source), len(FREQUENCY)), 1e-10)
    envelope = who.voice["envelope"]
    place = np.clip(source[on], 0, len(envelope) - 1.001)
    low = place.astype(int)
    part = (place - low)[:, np.newaxis].astype(np.float32)
    shape = (
        envelope[low].astype(np.float32) * (1 - part) + envelope[low + 1].astype(np.float32) * part
    )
    power[on] += (
        np.exp(_warp(shape, who.formants) + _tone(who)) * np.square(level[on])[:, np.newaxis]
    )
    noise = _noisiness(r, who)
    voiced = pitch > 0
    aperiodicity = np.where(voiced[:, np.newaxis], noise, 0.999)
    if who.rough:
        flutter = np.clip(r.standard_normal(len(source)), 0, 1)[:, np.newaxis]
        aperiodicity = np.clip(aperiodicity + 0.25 * flutter, 0, 0.999)
        pitch = pitch * (1 + 0.012 * r.standard_normal(len(source)))
    audio = pyworld.synthesize(pitch, power, np.ascontiguousarray(aperiodicity), RATE, 1000 * FRAME)
    return np.pad(audio, (0, max(0, samples - len(audio))))[:samples].astype(np.float32)


def _warp(envelope: Audio, factor: float) -> Audio:
    """Move formants: stretch the frequency axis of (frames, bins)."""
    bins = np.arange(envelope.shape[1]) / factor
    low = np.clip(bins.astype(int), 0, envelope.shape[1] - 2)
    part = np.clip(bins - low, 0, 1).astype(np.float32)
    return envelope[:, low] * (1 - part) + envelope[:, low + 1] * part


def _tone(who: Singer) -> Audio:
    """Tilt and presence as natural log power."""
    octaves = np.log2(np.maximum(FREQUENCY, 100) / 1000)
    bump = np.exp(-np.square(np.log2(np.maximum(FREQUENCY, 50) / 3000) / 0.6))
    return 0.23 * (who.tilt * octaves + who.presence * bump)


def _noisiness(r: Rng, who: Singer) -> Audio:
    """Aperiodicity (bins,) of voiced sound: harmonics of a clear voice reach beyond 9 kHz."""
    edge = (4000 + 8000 * (1 - who.breath)) * r.uniform(0.6, 1)
    return np.clip((FREQUENCY - 0.4 * edge) / (2.2 * edge), 0.002 + 0.1 * who.breath**2, 0.97)


def vocals(r: Rng, song: Song, voices: dict[str, dict[str, np.ndarray]]) -> Audio:
    """A song's vocals, mixed: lead, doubles and harmonies. Returns float32 (2, samples)."""
    lead, choir = singer(r, voices), singer(r, voices)
    samples = round(song.seconds * RATE)
    front, back = np.zeros((2, 2, samples), np.float32)
    raps = r.random() < (0.5 if song.style in ("hiphop", "trap") else 0.05)
    doubles, harmonises = r.random() < 0.3, r.random() < 0.4
    interval = int(r.choice([2, -3, 4, 7]))
    syllable = int(r.integers(1000))

    def place(track: Audio, audio: Audio, start: float, position: float) -> None:
        i = max(0, round(start * RATE))
        part = pan(np.stack([audio, audio]), position)[:, : samples - i]
        track[:, i : i + part.shape[1]] += part

    for phrase in melody(r, song, lead.centre):
        start = max(0.0, phrase[0].start - 0.15)
        notes = [n._replace(start=n.start - start, end=n.end - start) for n in phrase]
        seconds = notes[-1].end + 0.15
        if raps and r.random() < 0.85:
            place(front, rap(r, lead, seconds, syllable), start, 0)
        else:
            place(front, sing(r, lead, notes, seconds, syllable), start, 0)
            chorus = (
                song.sections[min(int(phrase[0].start / song.step / 16), song.bars - 1)] == "chorus"
            )
            if doubles and chorus:
                for side in (-0.7, 0.7):
                    place(
                        back,
                        sing(r, lead, notes, seconds, syllable),
                        start + r.uniform(0, 0.03),
                        side,
                    )
            if harmonises and (chorus or r.random() < 0.25):
                semitones = {2: 4, -3: -5, 4: 7, 7: 12}[interval]
                other = [n._replace(pitch=song.in_scale(n.pitch + semitones)) for n in notes]
                place(back, sing(r, choir, other, seconds, syllable), start, r.uniform(-0.8, 0.8))
        syllable += len(notes)
    return process(r, song, front, back)


def process(r: Rng, song: Song, front: Audio, back: Audio) -> Audio:
    """Equaliser, compressor, grit, doubling, echo and room, as vocals get them."""
    x = mix.equalise(
        mix.level(front),
        biquad("highpass", r.uniform(70, 160)),
        biquad("peak", r.uniform(200, 500), r.uniform(-6, 2), 0.9),
        biquad("peak", r.uniform(2000, 5000), r.uniform(-2, 6), 0.8),
        biquad("highshelf", r.uniform(7000, 11000), r.uniform(-4, 8)),
    )
    x = mix.level(mix.compress(x, r.uniform(-9, -3), r.uniform(2, 8), 0.005, r.uniform(0.05, 0.2)))
    if r.random() < 0.25:
        x = 0.6 * x + r.uniform(0.2, 0.8) * mix.level(mix.drive(x, r.uniform(2, 12)))
    if back.any():
        x = x + r.uniform(0.25, 0.8) * mix.level(mix.equalise(back, biquad("highpass", 200)))
    if r.random() < 0.15:
        x = pan(x, r.uniform(-0.35, 0.35))
    if r.random() < 0.2:  # a wide double: the sides late and out of phase
        late = np.stack([np.roll(x[0], 600), -np.roll(x[1], 900)])
        x = x + r.uniform(0.2, 0.5) * late
    if r.random() < 0.45:
        steps = int(r.choice([2, 3, 4, 6]))
        x = mix.delay(
            x, steps * song.step, r.uniform(0.2, 0.5), r.uniform(0.05, 0.3), r.random() < 0.5
        )
    return mix.sometimes(r, 0.92, lambda y: mix.reverb(r, y, r.uniform(0.02, 0.35)), x)
