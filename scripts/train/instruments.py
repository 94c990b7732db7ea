"""Sounds: sound fonts, oscillators, drum kits, amplifiers. Notes in, float32 (2, samples) out."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
import tinysoundfont
from scipy.signal import resample_poly

from . import mix
from .compose import Hit, Note
from .mix import RATE, Audio, Rng, biquad
from .sources import KITS

FONTS = {
    "fluid": "sf2/FluidR3_GM.sf2",
    "musescore": "sf3/MuseScore_General_Full.sf3",
    "timgm6mb": "sf2/TimGM6mb.sf2",
    "black-pearl": "sf2/Black_Pearl_4_LV2.sf2",
    "red-zeppelin": "sf2/Red_Zeppelin_4_LV2.sf2",
}
GENERAL = ("fluid", "musescore", "timgm6mb")  # fonts with every instrument
DRUM_FONTS = ("black-pearl", "red-zeppelin")
SUFFIXES = (".wav", ".flac", ".aiff", ".ogg", ".mp3")
DAMAGED = ("kick04.ogg",)  # of lmms
SONIC_PI_DRUMS = r"bd_|drum_|sn_|elec_(.*snare|cymbal|tick|hollow|soft_k)|perc_(bell|snap)|tabla_"
# General MIDI percussion
PIECES = {
    36: "kick", 38: "snare", 40: "snare", 37: "rim", 42: "hat", 46: "open", 51: "ride", 49: "crash", 57: "crash",
    39: "clap", 50: "high tom", 48: "high tom", 45: "low tom", 43: "low tom", 54: "percussion", 56: "percussion",
    70: "percussion",
}  # fmt: skip
INSTEAD = {
    "clap": "snare", "rim": "snare", "open": "hat", "ride": "hat", "hat": "ride", "crash": "ride",
    "high tom": "low tom", "low tom": "high tom", "percussion": "rim",
}  # fmt: skip
FILE_NAMES = (
    ("kick", r"kick|bass.?drum|^bd|drum_bass|heavy_kick"),
    ("rim", r"rim|stick"),
    ("snare", r"snare|^sn|^sd"),
    ("open", r"open|hho|ohh"),
    ("hat", r"hat|hh|cymbal_closed|elec_tick"),
    ("ride", r"ride|^rd"),
    ("crash", r"crash|cymb|china|splash"),
    ("clap", r"clap"),
    ("high tom", r"tom.?(1|hi|_mid)"),
    ("low tom", r"tom|ft_"),
    (
        "percussion",
        r"cow|tamb|shak|conga|bongo|agogo|clave|djemb|dunun|kenk|sangb|cajon|snap|bell|perc|tabla|beats",
    ),
)
LOUDNESS = {
    "kick": 1.0, "snare": 0.9, "rim": 0.6, "clap": 0.7, "hat": 0.32, "open": 0.3, "ride": 0.3, "crash": 0.45,
    "high tom": 0.7, "low tom": 0.75, "percussion": 0.35,
}  # fmt: skip

SAMPLED = {
    # Folder and pattern of an instrument's samples, and the octaves by which their names are wrong
    "growlybass": ("karoryfer.growlybass/sustain/*", -1),
    "double-bass": ("dsmolken.double-bass/pizz/*", 0),
    "emilyguitar": ("karoryfer.emilyguitar/notes/*", 0),
    "shinyguitar": ("karoryfer.shinyguitar/Samples/electric/*", 0),
    "weresax": ("karoryfer.weresax/Samples/alto/*_cnd.*", 1),
}
PITCHES = ("c", "db", "d", "eb", "e", "f", "gb", "g", "ab", "a", "bb", "b")
DYNAMICS = {
    "pp": 0.3,
    "p": 0.45,
    "mp": 0.6,
    "mf": 0.75,
    "f": 0.85,
    "ff": 1.0,
    "vl2": 0.5,
    "vl4": 0.9,
}
DRUMGIZMO = "drumgizmo.muldjordkit/DrumGizmo/MuldjordKit/Samples"
GIZMO_PIECES = {
    "KdrumL": "kick", "KdrumR": "kick", "Snare": "snare", "HihatClosed": "hat", "HihatOpen": "open", "RideL": "ride",
    "RideR": "ride", "CrashL": "crash", "CrashR": "crash", "China": "crash", "Tom1": "high tom", "Tom2": "high tom",
    "Tom3": "low tom", "Tom4": "low tom",
}  # fmt: skip

Kit = dict[str, list[tuple[float, Audio]]]  # piece: (strength, sound) of every sample


class Fonts:
    """Sound fonts, each loaded when it is first played."""

    def __init__(self, sources: Path, names: list[str]):
        self.folder = sources / "usr/share/sounds"
        self.names = names  # the general ones in use
        self.loaded: dict[str, tinysoundfont.Synth] = {}

    def play(
        self,
        font: str,
        program: int,
        notes: list[Note],
        seconds: float,
        bends: Sequence[tuple[float, int]] = (),
        bank: int = 0,
    ) -> Audio:
        """Render notes by one instrument; bends: (seconds, 0 to 16383)."""
        if font not in self.loaded:
            self.loaded[font] = tinysoundfont.Synth()
            self.loaded[font].sfload(str(self.folder / FONTS[font]), gain=-12)
        synth = self.loaded[font]
        synth.sounds_off()
        synth.program_select(0, 0, bank, program, bank == 128)
        synth.pitchbend(0, 8192)
        events = [(n.start, 2, n.pitch, n.velocity) for n in notes]
        events += [(n.end, 0, n.pitch, 0) for n in notes]
        events += [(time, 1, bend, 0) for time, bend in bends]
        samples, place = round(seconds * RATE), 0
        out = np.zeros((samples, 2), np.float32)
        for time, kind, value, velocity in [*sorted(events), (seconds, 3, 0, 0)]:
            until = min(round(time * RATE), samples)
            if until > place and (until - place >= 64 or kind == 3):
                out[place:until] = np.frombuffer(synth.generate(until - place), np.float32).reshape(
                    -1, 2
                )
                place = until
            if kind == 2:
                synth.noteon(0, value, velocity)
            elif kind == 1:
                synth.pitchbend(0, value)
            elif kind == 0:
                synth.noteoff(0, value)
        return np.ascontiguousarray(out.T)


class Sampled:
    """A recorded instrument: every note is played by the sample that is nearest in pitch, then in loudness."""

    def __init__(self, folder: Path, name: str):
        pattern, octaves = SAMPLED[name]
        self.samples: dict[int, list[tuple[float, Path]]] = {}
        self.read: dict[Path, Audio] = {}
        for path in sounds(folder, pattern):
            pitch, strength = pitch_of(path.stem)
            self.samples.setdefault(pitch + 12 * octaves, []).append((strength, path))

    def play(self, r: Rng, notes: list[Note], seconds: float) -> Audio:
        """Float32 (2, samples)."""
        out = np.zeros((2, round(seconds * RATE)), np.float32)
        for note in notes:
            pitch = min(self.samples, key=lambda p: (abs(p - note.pitch), p))
            wanted = note.velocity / 127
            _, path = min(self.samples[pitch], key=lambda s: abs(s[0] - wanted) + r.uniform(0, 0.1))
            if path not in self.read:
                self.read[path] = read(path)
            sound = mix.faster(self.read[path], 2 ** ((note.pitch - pitch) / 12))
            start = round(note.start * RATE)
            length = min(
                sound.shape[1], round((note.end - note.start + 0.08) * RATE), out.shape[1] - start
            )
            if length < 1000:
                continue
            fade = min(3000, length)
            sound = sound[:, :length].copy()
            sound[:, -fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
            out[:, start : start + length] += sound * np.float32(wanted)
        return out


def pitch_of(name: str) -> tuple[int, float]:
    """The MIDI number and the strength, 0 to 1, of a sample by its file name, as in pizz_bb1_pa or a2_mf_rr1.

    Raises ValueError for a name without a pitch.
    """
    found = re.search(r"(?:^|_)([a-g]b?)(\d)_([a-z]+\d?)", name)
    if not found:
        raise ValueError(f"{name} names no pitch.")
    loud = found[3]
    strength = DYNAMICS.get(loud) or DYNAMICS.get(loud[0], 0.7)
    return 12 * (int(found[2]) + 1) + PITCHES.index(found[1]), strength


def gizmo_kit(r: Rng, folder: Path) -> Kit:
    """A kit of DrumGizmo's: microphones of a hit are its files, mixed in a way that is drawn once for all hits."""
    levels: dict[str, tuple[float, float]] = {}
    kit: Kit = {}
    for piece_folder in sorted((folder / DRUMGIZMO).glob("*")):
        piece = GIZMO_PIECES.get(piece_folder.name)
        hits: dict[str, list[Path]] = {}
        for path in sounds(piece_folder, "*"):
            hits.setdefault(path.stem.split("-")[0], []).append(path)
        for number, paths in sorted(hits.items()) if piece else ():
            parts = []
            for path in paths:
                microphone = path.stem.split("-")[-1]
                if microphone == "Trigger":
                    continue
                side = {"L": -0.8, "R": 0.8}.get(microphone[-1], 0.0)
                room = microphone.startswith(("Amb", "OH"))
                level = mix.gain(r.uniform(-10, 4) if room else r.uniform(-6, 2))
                gain, position = levels.setdefault(
                    microphone, (level, side if room else r.uniform(-0.3, 0.3))
                )
                parts.append(mix.pan(read(path), position) * np.float32(gain))
            length = max(part.shape[1] for part in parts)
            total = sum(np.pad(part, ((0, 0), (0, length - part.shape[1]))) for part in parts)
            strength = min(1.0, 0.4 + 0.04 * int(re.sub(r"\D", "", number) or 0))
            add_hit(kit, piece, strength, total)
    return kit


def oscillator(r: Rng, frequency: Audio, kind: str, detune: float = 0, voices: int = 1) -> Audio:
    """saw, square, triangle or sine at `frequency` (samples,) Hz; several voices are spread over the stereo field."""
    out = np.zeros((2, len(frequency)), np.float32)
    for i in range(voices):
        spread = 2 * i / (voices - 1) - 1 if voices > 1 else 0.0
        step = np.repeat(frequency * (1 + detune * spread) / RATE / 2, 2)
        phase = (np.cumsum(step) + r.random()) % 1
        match kind:
            case "saw":
                wave = 2 * phase - 1 - _corner(phase, step)
            case "square":
                wave = (
                    np.where(phase < 0.5, 1.0, -1.0)
                    + _corner(phase, step)
                    - _corner((phase + 0.5) % 1, step)
                )
            case "triangle":
                wave = 4 * np.abs(phase - 0.5) - 1
            case _:
                wave = np.sin(2 * np.pi * phase)
        wave = (wave[::2] + wave[1::2]) / 2
        out += mix.pan(np.stack([wave, wave]).astype(np.float32), 0.8 * spread)
    return out / np.float32(np.sqrt(voices))


def _corner(phase: Audio, step: Audio) -> Audio:
    """Correction of a saw's jump against aliasing (polyBLEP)."""
    after, before = phase / step, (phase - 1) / step
    return np.where(
        phase < step,
        2 * after - after**2 - 1,
        np.where(phase > 1 - step, before**2 + 2 * before + 1, 0),
    )


def synthesiser(r: Rng, notes: list[Note], seconds: float, slow: bool) -> Audio:
    """A subtractive synthesiser with one patch: oscillators, envelope, filter that opens and closes."""
    kind = str(r.choice(["saw", "saw", "square", "triangle", "sine"]))
    voices, detune = int(r.choice([1, 2, 3, 5])), r.uniform(0.001, 0.012)
    attack = r.uniform(0.05, 0.4) if slow else r.uniform(0.003, 0.03)
    decay = r.uniform(0, 1) if slow else r.uniform(0, 8)
    out = np.zeros((2, round(seconds * RATE)), np.float32)
    tones: dict[tuple[int, int], Audio] = {}
    for note in notes:
        start, length = round(note.start * RATE), round((note.end - note.start) * RATE) + 2000
        length = min(length, out.shape[1] - start)
        if length < 2500:
            continue
        key = (note.pitch, length // 4000 + 1)
        if key not in tones:
            frequency = np.full(4000 * key[1], 440 * 2 ** ((note.pitch - 69) / 12))
            tones[key] = oscillator(r, frequency, kind, detune, voices)
        tone = tones[key][:, :length] * _envelope(length, attack, decay)
        out[:, start : start + length] += tone * (note.velocity / 100)
    cutoff = r.uniform(500, 9000)
    dark = mix.equalise(out, biquad("lowpass", cutoff, q=r.uniform(0.6, 2.5)))
    bright = mix.equalise(out, biquad("lowpass", min(3 * cutoff, 16000)))
    turn = np.sin(2 * np.pi * np.arange(out.shape[1]) / RATE / r.uniform(2, 16) + r.uniform(0, 6))
    sweep = (0.5 + 0.5 * turn).astype(np.float32)
    return dark * (1 - sweep) + bright * sweep


def bass_synthesiser(r: Rng, notes: list[Note], seconds: float) -> Audio:
    """The same for basses: one note at a time, a filter that closes in each, glides, growl."""
    kind = str(r.choice(["saw", "saw", "square", "sine", "sine", "triangle"]))
    # Trap's basses are the bass drum of a drum machine: a sine that falls to its pitch and dies away.
    drop, decay = (r.uniform(0, 3), r.uniform(0.3, 3)) if kind == "sine" else (0.0, 0.3)
    detune = float(r.choice([0, 0.004, 0.01]))
    voices = 1 if detune == 0 else int(r.choice([2, 3]))
    cutoff, opening, closing = r.uniform(150, 2500), r.uniform(0, 4000), r.uniform(3, 20)
    resonance, glides, attack = r.uniform(0.6, 3), r.random() < 0.2, r.uniform(0.002, 0.02)
    out = np.zeros((2, round(seconds * RATE)), np.float32)
    previous = None
    for note in notes:
        start, length = round(note.start * RATE), round((note.end - note.start) * RATE) + 800
        length = min(length, out.shape[1] - start)
        if length < 1200:
            continue
        time = np.arange(length) / RATE
        frequency = np.full(length, 440 * 2 ** ((note.pitch - 69) / 12))
        if glides and previous:
            frequency *= 2 ** ((previous.pitch - note.pitch) / 12 * np.exp(-18 * time))
        frequency *= 1 + drop * np.exp(-40 * time)
        tone = oscillator(r, frequency, kind, detune, voices)
        if kind != "sine":
            dark = mix.equalise(
                tone, biquad("lowpass", cutoff, q=resonance), biquad("lowpass", 1.5 * cutoff)
            )
            bright = mix.equalise(tone, biquad("lowpass", cutoff + opening, q=resonance))
            closed = np.exp(-closing * time).astype(np.float32)
            tone = dark * (1 - closed) + bright * closed
        out[:, start : start + length] += (
            tone * _envelope(length, attack, decay) * (note.velocity / 100)
        )
        previous = note
    return out


def _envelope(length: int, attack: float, decay: float) -> Audio:
    curve = np.exp(-decay * np.arange(length) / RATE)
    rise = min(int(attack * RATE) + 1, length // 2)
    curve[:rise] *= np.linspace(0, 1, rise)
    curve[-800:] *= np.linspace(1, 0, 800)
    return curve.astype(np.float32)


def amplifier(r: Rng, x: Audio, amount: float) -> Audio:
    """A guitar through a valve stage and a loudspeaker cabinet."""
    x = mix.equalise(
        mix.level(x),
        biquad("highpass", r.uniform(80, 200)),
        biquad("peak", r.uniform(600, 1200), r.uniform(0, 6)),
    )
    return cabinet(r, mix.drive(x, amount, r.uniform(0, 0.3)))


def cabinet(r: Rng, x: Audio) -> Audio:
    x = mix.equalise(
        x,
        biquad("highpass", r.uniform(70, 120)),
        biquad("peak", r.uniform(90, 180), r.uniform(0, 5), 1),
        biquad("peak", r.uniform(350, 700), r.uniform(-7, 0), 0.8),
        biquad("peak", r.uniform(2000, 3500), r.uniform(2, 9), 1.2),
        biquad("lowpass", r.uniform(4000, 6500), q=0.8),
        biquad("lowpass", r.uniform(5000, 8000)),
    )
    return mix.level(x)


def read(path: Path) -> Audio:
    """A sample as float32 (2, samples) at 44.1 kHz."""
    x, rate = soundfile.read(path, dtype="float32", always_2d=True)
    x = (np.repeat(x, 2, axis=1) if x.shape[1] == 1 else x[:, :2]).T
    if rate != RATE:
        divisor = np.gcd(rate, RATE)
        x = resample_poly(x, RATE // divisor, rate // divisor, axis=-1)
    return x.astype(np.float32)


def sounds(folder: Path, pattern: str) -> list[Path]:
    """The sound files below a folder that a pattern matches, whatever their format."""
    return [path for path in sorted(folder.glob(pattern)) if path.suffix.lower() in SUFFIXES]


def trim(x: Audio, seconds: float = 2.5) -> Audio | None:
    """A drum hit without the silence around it, its peak at 1; None for silence."""
    x = x[:, : int(seconds * RATE)]
    peak = np.abs(x).max(axis=0)
    if peak.max(initial=0) < 1e-4:
        return None
    start = max(0, int(np.argmax(peak > 0.02 * peak.max())) - 40)
    end = int(np.flatnonzero(peak > 0.001 * peak.max())[-1]) + 1
    x = x[:, start:end] / peak.max()
    fade = min(400, x.shape[1])
    x[:, -fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    return x if x.shape[1] > 300 else None


def sampled_kits(sources: Path, fonts: Fonts) -> dict[str, Kit]:
    """Drum kits outside the general fonts, by name; some lack a kick or a snare."""
    found: dict[str, Kit] = {font: font_kit(fonts, font, 0, 0) for font in DRUM_FONTS}
    folders = {kit: f"usr/share/hydrogen/data/drumkits/{kit}" for kit in KITS}
    folders |= {"sonic-pi": "usr/share/sonic-pi/samples", "lmms": "usr/share/lmms/samples/drums"}
    for kit, folder in folders.items():
        for path in sorted((sources / folder).glob("*")):
            suits = kit != "sonic-pi" or re.match(SONIC_PI_DRUMS, path.name)
            readable = path.suffix.lower() in SUFFIXES and path.name not in DAMAGED
            if suits and readable:
                add_hit(found.setdefault(kit, {}), path.name, strength_of(path.stem), read(path))
    return found


def font_kits(fonts: Fonts) -> dict[str, Kit]:
    """The General MIDI drum kits of every general font, by the font's name and the kit's number."""
    return {
        f"{font}-{program}": font_kit(fonts, font, 128, program)
        for font in fonts.names
        for program in (0, 8, 16, 24, 25, 40)
    }


def font_kit(fonts: Fonts, font: str, bank: int, program: int) -> Kit:
    kit: Kit = {}
    for key, piece in PIECES.items():
        seconds = 2.5 if piece in ("crash", "ride", "open") else 0.9
        for velocity in (60, 115) if bank else (45, 80, 100, 120):
            sound = fonts.play(font, program, [Note(0, 2, key, velocity)], seconds, bank=bank)
            add_hit(kit, piece, velocity / 127, sound)
    return kit


def add_hit(kit: Kit, name: str, strength: float, sound: Audio) -> None:
    """Add a sample to the piece that its name states. Silent ones, and names without a piece, are ignored."""
    piece = name if name in LOUDNESS else piece_of(name)
    trimmed = trim(sound)
    if piece and trimmed is not None:
        kit.setdefault(piece, []).append((strength, trimmed))


def piece_of(name: str) -> str | None:
    """The piece of a kit that a sample's file name states, or None."""
    name = name.lower()
    return next((piece for piece, pattern in FILE_NAMES if re.search(pattern, name)), None)


def strength_of(name: str) -> float:
    """Strength of a hit, 0 to 1, by the sample's file name."""
    for word, strength in (
        ("softest", 0.3),
        ("soft", 0.45),
        ("med", 0.65),
        ("hardest", 1.0),
        ("hard", 0.85),
    ):
        if word in name.lower():
            return strength
    number = re.search(r"(\d+)$", name)
    return 0.4 + 0.1 * min(int(number[1]), 6) if number else 0.8


def drum_machine(r: Rng) -> Kit:
    """A kit made of sines and noise, in the manner of the drum machines of the eighties."""
    time = np.arange(int(0.7 * RATE)) / RATE
    long = np.arange(2 * RATE) / RATE

    def noise(n: int) -> Audio:
        return r.standard_normal(n)

    def filtered(x: Audio, *sections: Audio) -> Audio:
        return mix.equalise(x[np.newaxis], *sections)[0]

    def fall(base: float, extra: float, speed: float) -> Audio:
        return np.sin(2 * np.pi * np.cumsum(base + extra * np.exp(-speed * time)) / RATE)

    def metal(decay: float) -> Audio:
        pitches = r.uniform(0.9, 1.1) * np.array([2050, 3070, 3690, 4100, 5230, 6300])
        squares = sum(np.sign(np.sin(2 * np.pi * pitch * time)) for pitch in pitches)
        sound = r.uniform(0.1, 0.5) * squares + r.uniform(0.5, 2) * noise(len(time))
        edge = r.uniform(5500, 8500)
        bright = filtered(sound, biquad("highpass", edge), biquad("highpass", 6000))
        return bright * np.exp(-decay * time)

    kick = fall(r.uniform(42, 62), r.uniform(60, 260), r.uniform(25, 70)) * np.exp(
        -r.uniform(4, 14) * time
    )
    kick = np.tanh(
        r.uniform(1, 3) * (kick + r.uniform(0, 0.3) * noise(len(time)) * np.exp(-300 * time))
    )
    skin = (
        r.uniform(0.3, 0.8) * fall(r.uniform(160, 240), 100, 60) * np.exp(-r.uniform(14, 30) * time)
    )
    wires = filtered(noise(len(time)), biquad("highpass", r.uniform(600, 2000))) * np.exp(
        -r.uniform(9, 26) * time
    )
    claps = ((0, 160), (0.011, 160), (0.022, 160), (0.033, 18))
    bursts = sum((time >= t) * np.exp(-np.maximum(time - t, 0) * fall_off) for t, fall_off in claps)
    clap = bursts * filtered(
        noise(len(time)), biquad("highpass", 700), biquad("peak", r.uniform(1000, 1600), 9, 1)
    )
    sounds = {
        "kick": kick,
        "snare": np.tanh(r.uniform(1, 2) * (skin + 0.7 * wires)),
        "clap": clap,
        "hat": metal(r.uniform(40, 110)),
        "open": metal(r.uniform(6, 14)),
        "ride": metal(r.uniform(8, 16)),
        "crash": filtered(noise(len(long)), biquad("highpass", 3500)) * np.exp(-2.2 * long),
        "high tom": fall(r.uniform(140, 200), 100, 25) * np.exp(-8 * time),
        "low tom": fall(r.uniform(80, 120), 60, 25) * np.exp(-8 * time),
        "rim": np.sin(2 * np.pi * 1700 * time) * np.exp(-120 * time),
    }
    return {
        piece: [(1.0, trim(np.stack([x, x]).astype(np.float32)))] for piece, x in sounds.items()
    }


def strike(r: Rng, kit: Kit, hits: list[Hit], seconds: float) -> dict[str, Audio]:
    """Play a kit: a track for every piece."""
    tracks: dict[str, Audio] = {}
    settings = {
        piece: (
            LOUDNESS[piece] * mix.gain(r.uniform(-5, 4)),
            0.0 if piece in ("kick", "snare") else r.uniform(-0.6, 0.6),
            2 ** (r.normal(0, 1.2) / 12) if r.random() < 0.6 else 1.0,
        )
        for piece in LOUDNESS
    }
    ready: dict[tuple[str, int], Audio] = {}
    for hit in hits:
        piece = hit.piece
        for _ in range(3):
            piece = piece if piece in kit else INSTEAD.get(piece, piece)
        if piece not in kit:
            continue
        samples = kit[piece]
        near = sorted(range(len(samples)), key=lambda i: abs(samples[i][0] - hit.strength))
        choice = near[int(r.integers(max(1, min(len(near), max(2, len(near) // 3)))))]
        key = (hit.piece, choice)
        if key not in ready:
            loudness, position, ratio = settings[hit.piece]
            ready[key] = mix.pan(mix.faster(samples[choice][1], ratio), position) * np.float32(
                loudness
            )
        track = tracks.setdefault(hit.piece, np.zeros((2, round(seconds * RATE)), np.float32))
        start = round(hit.start * RATE)
        sound = ready[key][:, : track.shape[1] - start]
        track[:, start : start + sound.shape[1]] += sound * np.float32(hit.strength**1.5)
    return tracks
