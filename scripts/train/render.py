"""Songs in stems.

    python3 -m scripts.train.render WORK --recorded SONGS --first 0 --count 300
    python3 -m scripts.train.render WORK --held-out --first 100000 --count 10

writes WORK/songs/<seed>.npy (or WORK/validation/), int16 (4, 2, samples): vocals, drums, bass, other. A song is made
from its seed alone. Several processes may share the work: each skips songs that exist.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import compose, instruments, mix, voices
from .compose import ROCK, Song
from .instruments import Fonts, Kit, Sampled
from .mix import RATE, Audio, Rng, biquad
from .sources import HELD_OUT

FAMILIES = {
    # General MIDI programs, and the manners in which they are played
    "piano": ((0, 1, 2, 3), ("block", "arpeggio", "strum", "riff")),
    "electric piano": ((4, 5, 7), ("block", "strum", "stab")),
    "organ": ((16, 17, 18, 19), ("pad", "block", "stab")),
    "acoustic guitar": ((24, 25), ("strum", "strum", "arpeggio")),
    "clean guitar": ((26, 27, 28), ("strum", "arpeggio", "stab", "riff")),
    "strings": ((44, 48, 49, 50, 51), ("pad", "lead")),
    "brass": ((56, 57, 61, 62, 63), ("stab", "riff", "lead")),
    "reed": ((64, 65, 66, 67, 71), ("lead", "riff")),
    "pipe": ((72, 73, 75), ("lead", "riff")),
    "synth lead": ((80, 81, 84, 87), ("lead", "riff", "arpeggio")),
    "synth pad": ((88, 89, 90, 91, 94, 95), ("pad",)),
    "mallets": ((6, 11, 12, 13, 15, 45, 46, 104, 107, 108), ("arpeggio", "riff", "stab")),
    "fiddle": ((21, 22, 23, 40, 41, 42, 109, 110), ("lead", "riff")),
}
BASSES_SAMPLED = ("growlybass", "growlybass", "double-bass")
GUITARS_SAMPLED = ("emilyguitar", "shinyguitar")
SAMPLED_OF = {"clean guitar": GUITARS_SAMPLED, "reed": ("weresax",)}
BASSES = (32, 33, 33, 34, 34, 35, 36, 37, 38, 39)


@dataclass
class Studio:
    """All instruments, voices and kits."""

    fonts: Fonts
    kits: dict[str, Kit]
    singers: dict[str, dict[str, np.ndarray]]
    sampled: dict[str, Sampled]

    @classmethod
    def open(cls, work: Path, held_out: bool, recorded: Path | None = None) -> "Studio":
        """Open the sounds for training, or those that are kept for validation.

        recorded: the folder of recorded songs, in which there are sampled instruments for training.
        """

        def ours(kind: str, name: str) -> bool:
            return (name in HELD_OUT[kind]) == held_out

        fonts = Fonts(work / "sources", [f for f in instruments.GENERAL if ours("fonts", f)])
        kits = instruments.sampled_kits(work / "sources", fonts)
        kits = {name: kit for name, kit in kits.items() if ours("kits", name)}
        singers = voices.load(work / "voices")
        sampled = {}
        if recorded and not held_out:
            folder = recorded / "instruments"
            sampled = {name: Sampled(folder, name) for name in instruments.SAMPLED}
            # Each is drawn twice: one is dry, one has much of the room.
            kits |= {
                f"muldjord-{i}": instruments.gizmo_kit(np.random.default_rng(i), folder)
                for i in range(2)
            }
        return cls(
            fonts,
            kits | instruments.font_kits(fonts),
            {name: voice for name, voice in singers.items() if ours("voices", name)},
            sampled,
        )


def song(seed: int, studio: Studio) -> Audio:
    """Compose, play and mix one song: float32 (4, 2, samples)."""
    r = np.random.default_rng(seed)
    plan = compose.compose(r)
    stems = [
        voices.vocals(r, plan, studio.singers),
        drums(r, plan, studio),
        bass(r, plan, studio),
        other(r, plan, studio),
    ]
    return mix.master(r, np.stack([mix.level(stem) for stem in stems]))


def drums(r: Rng, plan: Song, studio: Studio) -> Audio:
    """A kit, sometimes with pieces of another, its pieces and their bus treated as engineers do."""
    kits = list(studio.kits.values())
    whole = [kit for kit in kits if {"kick", "snare"} <= kit.keys()]
    kit = (
        instruments.drum_machine(r)
        if r.random() < 0.3
        else dict(whole[int(r.integers(len(whole)))])
    )
    if r.random() < 0.35:
        guest = (
            instruments.drum_machine(r) if r.random() < 0.3 else kits[int(r.integers(len(kits)))]
        )
        kit |= {piece: sounds for piece, sounds in guest.items() if r.random() < 0.4}
    tracks = instruments.strike(r, kit, compose.drums(r, plan), plan.seconds)
    out = np.zeros((2, round(plan.seconds * RATE)), np.float32)
    for piece, x in tracks.items():
        match piece:
            case "kick":
                x = mix.equalise(
                    x,
                    biquad("peak", r.uniform(50, 90), r.uniform(-2, 7), 1),
                    biquad("peak", r.uniform(250, 500), r.uniform(-8, 0), 0.9),
                    biquad("peak", r.uniform(2500, 5000), r.uniform(-2, 8), 1),
                )
            case "snare" | "clap":
                x = mix.equalise(
                    x,
                    biquad("peak", r.uniform(170, 260), r.uniform(-3, 5), 1),
                    biquad("highshelf", r.uniform(4000, 8000), r.uniform(-3, 6)),
                )
                if r.random() < 0.6:
                    x = mix.reverb(r, x, r.uniform(0.05, 0.5), r.uniform(0.3, 1.8))
            case "hat" | "open" | "ride" | "crash":
                x = mix.equalise(
                    x,
                    biquad("highpass", r.uniform(150, 500)),
                    biquad("highshelf", r.uniform(6000, 9000), r.uniform(-6, 4)),
                )
        out += x
    if r.random() < 0.8:
        out = mix.reverb(r, out, r.uniform(0.03, 0.35), r.uniform(0.2, 1.1))
    out = mix.level(out)
    if r.random() < 0.6:
        attack, release = r.uniform(0.003, 0.03), r.uniform(0.05, 0.25)
        out = mix.compress(out, r.uniform(-4, 2), r.uniform(2, 6), attack, release)
    if r.random() < 0.35:  # parallel distortion
        out = out + r.uniform(0.2, 0.8) * mix.level(mix.drive(mix.level(out), r.uniform(3, 15)))
    return out


def bass(r: Rng, plan: Song, studio: Studio) -> Audio:
    """A bass guitar, clean or dirty, or a synthesiser."""
    fonts = studio.fonts
    notes = compose.bass(r, plan)
    real = _real(r, studio, BASSES_SAMPLED)
    if real or r.random() < 0.65:
        if real:
            x = real.play(r, notes, plan.seconds)
        else:
            x = fonts.play(_font(r, fonts), int(r.choice(BASSES)), notes, plan.seconds)
        x = mix.level(mix.width(x, 0))
        if (
            r.random() < 0.5
        ):  # an amplifier beside the clean signal: this is what fills 300 to 1500 Hz
            dirt = mix.drive(
                mix.equalise(x, biquad("highpass", r.uniform(60, 250))), r.uniform(3, 40)
            )
            dirt = mix.equalise(
                dirt,
                biquad("peak", r.uniform(400, 1500), r.uniform(0, 8), 0.8),
                biquad("lowpass", r.uniform(1800, 5500)),
            )
            x = r.uniform(0.3, 1) * x + r.uniform(0.2, 1) * mix.level(dirt)
        x = mix.equalise(
            x,
            biquad("peak", r.uniform(60, 110), r.uniform(-4, 6), 1),
            biquad("peak", r.uniform(200, 400), r.uniform(-6, 3), 1),
            biquad("peak", r.uniform(700, 1800), r.uniform(-3, 7), 1),
            biquad("lowpass", r.uniform(2500, 9000)),
        )
    else:
        x = mix.level(instruments.bass_synthesiser(r, notes, plan.seconds))
        x = mix.sometimes(r, 0.5, lambda y: mix.level(mix.drive(y, r.uniform(1, 12))), x)
        x = mix.sometimes(r, 0.6, lambda y: mix.width(y, r.uniform(0, 0.4)), x)
    if r.random() < 0.7:
        x = mix.compress(mix.level(x), -3, r.uniform(2, 8), 0.02, 0.15)
    return mix.sometimes(r, 0.12, lambda y: mix.reverb(r, y, r.uniform(0.02, 0.1), 0.4), x)


def other(r: Rng, plan: Song, studio: Studio) -> Audio:
    """One to five parts: guitars through amplifiers, synthesisers, everything in the sound font."""
    rock = plan.style in ROCK
    out = np.zeros((2, round(plan.seconds * RATE)), np.float32)
    for _ in range(int(r.choice([1, 2, 3, 4, 5], p=[0.12, 0.28, 0.3, 0.2, 0.1]))):
        draw = r.random()
        if draw < (0.6 if rock else 0.2):
            part = guitar(r, plan, studio)
        elif draw < (0.68 if rock else 0.42):
            part = synthesiser(r, plan)
        else:
            part = instrument(r, plan, studio)
        out += mix.level(part) * np.float32(mix.gain(r.uniform(-9, 0)))
    return mix.sometimes(r, 0.4, lambda y: mix.compress(mix.level(y), 0, 2), out)


def guitar(r: Rng, plan: Song, studio: Studio) -> Audio:
    """An amplified guitar; rhythm guitars are played twice and set left and right."""
    manners = ["chug", "power", "riff", "lead", "strum", "arpeggio"]
    manner = str(r.choice(manners, p=[0.25, 0.25, 0.15, 0.2, 0.1, 0.05]))
    notes = compose.accompaniment(r, plan, manner, int(r.choice([57, 60, 64, 69])))
    program = int(r.choice([25, 26, 27, 27, 28, 28, 29, 30]))
    amount = float(np.exp(r.uniform(np.log(2), np.log(60))))
    font = _font(r, studio.fonts)
    real = _real(r, studio, GUITARS_SAMPLED)
    driven = real or program < 29 or r.random() < 0.5

    def take() -> Audio:
        late = [
            n._replace(start=n.start + abs(r.normal(0, 0.008)), end=n.end + 0.02) for n in notes
        ]
        bends = _bends(r, late) if manner in ("lead", "riff") else []
        x = (
            real.play(r, late, plan.seconds)
            if real
            else studio.fonts.play(font, program, late, plan.seconds, bends)
        )
        x = mix.width(x, 0)
        return instruments.amplifier(r, x, amount) if driven else instruments.cabinet(r, x)

    if manner in ("chug", "power") and r.random() < 0.8:
        apart = r.uniform(0.5, 1)
        x = mix.pan(take(), -apart) + mix.pan(take(), apart)
    else:
        x = mix.pan(take(), r.uniform(-0.7, 0.7))
    if manner in ("lead", "riff") and r.random() < 0.6:
        x = mix.delay(x, 3 * plan.step, 0.4, r.uniform(0.1, 0.35), r.random() < 0.5)
    return mix.sometimes(r, 0.7, lambda y: mix.reverb(r, y, r.uniform(0.03, 0.3)), x)


def _bends(r: Rng, notes: list[compose.Note]) -> list[tuple[float, int]]:
    """Notes bent up to pitch, and vibrato on the long ones."""
    rate, bends = r.uniform(4.5, 6.5), []
    for note in notes:
        bends += [(note.start, 8192 - int(r.choice([0, 0, 2500]))), (note.start + 0.06, 8192)]
        for place in np.arange(note.start + 0.25, note.end, 0.03):
            turn = np.sin(2 * np.pi * rate * (place - note.start))
            bends.append((place, 8192 + int(900 * turn)))
    return bends


def synthesiser(r: Rng, plan: Song) -> Audio:
    manner = str(r.choice(["pad", "stab", "arpeggio", "riff", "lead", "block"]))
    notes = compose.accompaniment(r, plan, manner, int(r.choice([60, 64, 72])))
    x = instruments.synthesiser(r, notes, plan.seconds, slow=manner == "pad")
    x = mix.sometimes(r, 0.35, lambda y: mix.pumping(y, 4 * plan.step, r.uniform(0.4, 0.9)), x)
    x = mix.width(x, r.uniform(0.5, 1.6))
    x = mix.sometimes(
        r, 0.5, lambda y: mix.delay(y, 3 * plan.step, 0.45, r.uniform(0.1, 0.4), True), x
    )
    return mix.sometimes(r, 0.7, lambda y: mix.reverb(r, y, r.uniform(0.05, 0.5)), x)


def instrument(r: Rng, plan: Song, studio: Studio) -> Audio:
    fonts = studio.fonts
    family = str(r.choice(list(FAMILIES)))
    programs, manners = FAMILIES[family]
    notes = compose.accompaniment(r, plan, str(r.choice(manners)), int(r.choice([55, 60, 64, 67])))
    real = _real(r, studio, SAMPLED_OF.get(family, ()))
    if real:
        x = mix.level(real.play(r, notes, plan.seconds))
    else:
        x = mix.level(fonts.play(_font(r, fonts), int(r.choice(programs)), notes, plan.seconds))
    x = mix.pan(mix.width(x, r.uniform(0.3, 1.5)), r.uniform(-0.5, 0.5))
    if (
        family in ("organ", "electric piano", "clean guitar") and r.random() < 0.4
    ):  # tremolo from side to side
        turn = np.sin(2 * np.pi * r.uniform(3, 7) * np.arange(x.shape[1]) / RATE)
        turn = (0.5 * r.uniform(0.2, 0.8) * turn).astype(np.float32)
        x = x * np.stack([1 + turn, 1 - turn])
    if family in ("organ", "electric piano") and r.random() < 0.3:
        x = mix.drive(mix.level(x), r.uniform(2, 8))
    x = mix.equalise(
        x,
        biquad("highpass", r.uniform(60, 250)),
        biquad("peak", r.uniform(300, 3000), r.uniform(-5, 5), 0.8),
        biquad("highshelf", r.uniform(4000, 9000), r.uniform(-6, 6)),
    )
    x = mix.sometimes(r, 0.85, lambda y: mix.reverb(r, y, r.uniform(0.05, 0.6)), x)
    return mix.sometimes(
        r, 0.2, lambda y: mix.delay(y, 4 * plan.step, 0.4, r.uniform(0.1, 0.35), True), x
    )


def _font(r: Rng, fonts: Fonts) -> str:
    return str(r.choice(fonts.names))


def _real(r: Rng, studio: Studio, names: Sequence[str]) -> Sampled | None:
    """One of the recorded instruments by these names, half of the time, if they are there."""
    if not names or not studio.sampled or r.random() < 0.5:
        return None
    return studio.sampled[str(r.choice(names))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--first", type=int, default=0, help="the first song's seed")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument(
        "--held-out", action="store_true", help="validation songs, of sounds kept for them"
    )
    parser.add_argument(
        "--recorded", type=Path, help="the folder of recorded songs, with sampled instruments"
    )
    options = parser.parse_args()
    folder = options.work / ("validation" if options.held_out else "songs")
    folder.mkdir(exist_ok=True)
    studio = Studio.open(options.work, options.held_out, options.recorded)
    for seed in range(options.first, options.first + options.count):
        path = folder / f"{seed:06}.npy"
        claim = path.with_suffix(".claim")
        if path.exists() or claim.exists():
            continue
        claim.touch()
        start = time.monotonic()
        try:
            stems = song(seed, studio)
        except BaseException:
            claim.unlink()  # another attempt is free to make it
            raise
        unfinished = path.with_suffix(".part.npy")
        np.save(unfinished, np.rint(32767 * stems).astype(np.int16))
        unfinished.replace(path)
        claim.unlink()
        print(
            f"{path}  {stems.shape[2] / RATE:.0f} s of music in {time.monotonic() - start:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
