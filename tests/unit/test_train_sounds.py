"""What needs the packages that play sounds."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

for package in ("scipy", "tinysoundfont", "pyworld", "onnxruntime"):
    pytest.importorskip(package)

from scripts.train import instruments, speech, voices  # noqa: E402
from scripts.train.compose import Hit, Note  # noqa: E402
from scripts.train.mix import RATE  # noqa: E402
from scripts.train.sources import HELD_OUT, KITS  # noqa: E402


@pytest.mark.parametrize(
    ("name", "piece"),
    [
        ("kick_hard01.ogg", "kick"),
        ("BassDrum2.wav", "kick"),
        ("drum_snare_soft.flac", "snare"),
        ("sidestick01.ogg", "rim"),
        ("hihat_opened02.ogg", "open"),
        ("hihat_closed01.ogg", "hat"),
        ("crash01.ogg", "crash"),
        ("tom_hi01.ogg", "high tom"),
        ("tom_low01.ogg", "low tom"),
        ("shaker01.ogg", "percussion"),
        ("zap01.ogg", None),
    ],
)
def test_pieces_by_file_name(name: str, piece: str | None) -> None:
    assert instruments.piece_of(name) == piece


def test_trimmed_hit_begins_at_once_and_ends_in_silence() -> None:
    x = np.zeros((2, RATE), np.float32)
    x[:, 5000:9000] = 0.5
    hit = instruments.trim(x)
    assert hit is not None
    assert hit.shape == (2, 4040)
    assert np.abs(hit).max() == 1
    assert hit[0, -1] == 0
    assert instruments.trim(0 * x) is None


def test_kit_plays_another_piece_where_one_is_missing() -> None:
    r = np.random.default_rng(0)
    machine = instruments.drum_machine(r)
    del machine["ride"]
    tracks = instruments.strike(r, machine, [Hit(0.5, "ride", 1.0), Hit(0.1, "kick", 1.0)], 2)
    assert set(tracks) == {"ride", "kick"}
    assert not tracks["ride"][:, : RATE // 2 - 1].any()
    assert tracks["ride"][:, RATE // 2 :].any()


def test_nothing_held_out_is_trained_on() -> None:
    assert not HELD_OUT["kits"] & KITS.keys()
    assert HELD_OUT["fonts"] < set(instruments.GENERAL)


def test_syllables_are_voiced_stretches() -> None:
    pitch = np.zeros(200)
    pitch[40:60] = pitch[100:190] = 120
    table = speech.cut(pitch, np.ones(200))
    assert table[0].tolist() == [10, 40, 60]
    assert (table[:, 2] - table[:, 1] <= 56).all()
    assert table[1][0] == 70
    assert table[-1][2] == 190
    assert (table[1:, 0] >= table[:-1, 2]).all()


def test_every_sentence_that_is_read_aloud_is_a_voice(tmp_path: Path) -> None:
    """A voice of one sentence ends with it, where programs that speak go on until there is enough."""
    folder = tmp_path / "voices" / "libritts"
    folder.mkdir(parents=True)
    time = np.arange(24000) / 24000
    buzz = 0.1 * sum(np.sin(2 * np.pi * 150 * k * time) / k for k in range(1, 20))
    for name in ("b", "a"):
        soundfile.write(folder / f"{name}.wav", buzz, 24000)
    readers = speech.readers(tmp_path)
    assert list(readers) == ["reader-00", "reader-01"]
    voice = speech.voice(readers["reader-01"]())
    voiced = voice["pitch"][voice["pitch"] > 0]
    assert len(voiced) > 150  # of 200 frames
    assert np.median(voiced) == pytest.approx(150, rel=0.02)
    assert len(voice["syllables"])
    assert not speech.readers(tmp_path / "nothing")


def test_envelope_goes_on_above_the_band() -> None:
    envelope = speech.extend(np.zeros((3, 1025)), np.array([True, True, False]), 8000)
    above = round(9000 / RATE * speech.FFT)
    assert (np.diff(envelope[:, above:], axis=1) < 0).all()
    assert (envelope[2, above:] > envelope[0, above:]).all()
    assert not envelope[:, : above - 60].any()


def test_singer_hits_the_note() -> None:
    frames = 400
    voice = {
        "pitch": np.full(frames, 120, np.float32),
        "envelope": np.full((frames, 1025), -8, np.float16),
        "energy": np.full(frames, 0.1, np.float32),
        "syllables": np.array([[10, 20, 60], [60, 70, 120]]),
    }
    who = voices.Singer(voice, 60, 1.0, 0.0, (5.0, 0.0), 0.01, 0.0, 0.0, 0.0, 1.0, False)
    audio = voices.sing(np.random.default_rng(2), who, [Note(0.2, 1.4, 69, 100)], 1.6, 0)
    assert audio.shape == (round(1.6 * RATE),)
    middle = audio[RATE // 2 : RATE] * np.hanning(RATE // 2)
    assert np.argmax(np.abs(np.fft.rfft(middle))) * 2 % 440 == pytest.approx(0, abs=12)
    assert np.abs(audio[:2000]).max() < 0.01 * np.abs(audio).max()
