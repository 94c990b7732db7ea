"""Recorded music, made up: what is trained on, and what judges."""

import subprocess
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

for package in ("scipy", "tinysoundfont"):
    pytest.importorskip(package)

from scripts.train import instruments, mix, recorded, sources, validation  # noqa: E402
from scripts.train.compose import Note  # noqa: E402
from scripts.train.mix import RATE  # noqa: E402
from scripts.train.sources import JUDGED, RECORDED, Recording, Takes  # noqa: E402
from umx.format.convert import TARGETS  # noqa: E402


def tone(frequency: float, seconds: float = 1.0) -> np.ndarray:
    """float32 (2, samples), at half of full scale."""
    time = np.arange(round(seconds * RATE)) / RATE
    return np.float32(0.5) * np.stack([np.sin(2 * np.pi * frequency * time)] * 2).astype(np.float32)


def write(path: Path, audio: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio.T, RATE, subtype="FLOAT", format="WAV")
    return path


def pitch(audio: np.ndarray) -> float:
    """Hz, of a second."""
    return float(np.argmax(np.abs(np.fft.rfft(audio[0] * np.hanning(audio.shape[1])))))


def test_nothing_that_judges_is_trained_on() -> None:
    def files(recordings: tuple[Recording, ...]) -> set[str]:
        return {path for r in recordings for paths in r.stems.values() for path in paths}

    assert not files(JUDGED) & files(RECORDED)
    for recording in JUDGED:
        assert recording.whole
        assert {*recording.stems, *recording.silent} == {*TARGETS}


@pytest.mark.parametrize(
    ("name", "number", "strength"),
    [
        ("pizz_bb1_pa", 34, 0.45),
        ("a2_mf_rr1", 45, 0.75),
        ("c4_vl4_rr1_2", 60, 0.9),
        ("gb3_f_rr1_cnd", 54, 0.85),
    ],
)
def test_pitch_and_strength_by_file_name(name: str, number: int, strength: float) -> None:
    assert instruments.pitch_of(name) == (number, strength)


def test_file_name_without_a_pitch_is_named() -> None:
    with pytest.raises(ValueError, match="fingering1"):
        instruments.pitch_of("fingering1_rr1")


def test_sampled_instrument_plays_the_note_from_the_nearest_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Samples at 220 and 440 Hz; the note between them, three semitones below the upper, is played by that."""
    monkeypatch.setitem(instruments.SAMPLED, "flute", ("flute/*", 1))
    for name, frequency in (("a2_f_rr1", 220), ("a3_f_rr1", 440), ("a3_p_rr1", 445)):
        write(tmp_path / "flute" / f"{name}.wav", tone(frequency, 3))
    flute = instruments.Sampled(tmp_path, "flute")
    assert sorted(flute.samples) == [57, 69]
    notes = [Note(0.5, 1.6, 66, 127), Note(2.0, 3.2, 57, 127)]
    audio = flute.play(np.random.default_rng(0), notes, 4)
    assert audio.shape == (2, 4 * RATE)
    assert not audio[:, : RATE // 2 - 1].any()
    assert pitch(audio[:, RATE // 2 : 3 * RATE // 2]) == pytest.approx(440 * 2 ** (-3 / 12), abs=1)
    assert not audio[:, round(1.7 * RATE) : 2 * RATE - 1].any()
    assert pitch(audio[:, round(2.1 * RATE) : round(3.1 * RATE)]) == pytest.approx(220, abs=1)


def test_microphones_of_a_hit_are_one_sound(tmp_path: Path) -> None:
    """Room microphones stand left and right, in every hit as in the first; the trigger is no microphone."""
    folder = tmp_path / instruments.DRUMGIZMO
    for hit in (1, 11):
        for microphone, frequency in (
            ("OHL", 500),
            ("OHR", 700),
            ("Snare_top", 900),
            ("Trigger", 99),
        ):
            write(folder / "Snare" / f"{hit}-Snare-{microphone}.ogg", tone(frequency))
    write(folder / "SnareRest" / "1-SnareRest-OHL.ogg", tone(500))
    kit = instruments.gizmo_kit(np.random.default_rng(0), tmp_path)
    assert set(kit) == {"snare"}
    (soft, first), (hard, second) = kit["snare"]
    assert soft < hard
    np.testing.assert_allclose(first, second)
    spectrum = np.abs(np.fft.rfft(first[:, 2000:42000] * np.hanning(40000)))
    at = {f: spectrum[:, round(f * 40000 / RATE)] for f in (99, 500, 700, 900)}
    assert at[500][0] > 3 * at[500][1]
    assert at[700][1] > 3 * at[700][0]
    assert at[99].max() < 0.01 * at[900].max()


def test_tracks_of_a_stem_are_added_up_to_the_shortest(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", tone(100, 1.5))
    write(tmp_path / "b.wav", tone(200, 1.0))
    recording = Recording("", "", "", {"bass": ("a",), "other": ("a", "b")})
    stems = recorded.read(tmp_path, recording)
    np.testing.assert_allclose(stems["other"], tone(100) + tone(200), atol=1e-6)
    np.testing.assert_allclose(stems["bass"], tone(100), atol=1e-6)
    assert recorded.there(tmp_path, recording)
    (tmp_path / "b.wav").rename(tmp_path / "b.txt")
    assert not recorded.there(tmp_path, recording)


def test_takes_follow_each_other_at_one_loudness(tmp_path: Path) -> None:
    for i, (frequency, gain) in enumerate(((300, 0.1), (400, 1.0), (500, 0.0), (600, 0.5))):
        write(tmp_path / "singer" / f"{i}.wav", gain * tone(frequency))
    (tmp_path / "singer" / "licence.txt").write_text("free")
    audio = recorded.joined(tmp_path, Takes("singer", "", ("singer/*",)))
    step = RATE + recorded.PAUSE
    assert audio.shape == (2, 3 * step)  # the silent one is left out
    for i, frequency in enumerate((300, 400, 600)):
        take = audio[:, i * step : i * step + RATE]
        assert pitch(take) == pytest.approx(frequency, abs=1)
        assert mix.loudness(take) == pytest.approx(recorded.LOUDNESS, rel=0.01)
        assert not audio[:, i * step + RATE : (i + 1) * step].any()
    some = recorded.joined(tmp_path, Takes("singer", "", ("singer/*",), every=2))
    assert [pitch(some[:, i * step : i * step + RATE]) for i in range(2)] == [400, 600]
    assert not recorded.joined(tmp_path, Takes("nobody", "", ("nobody/*",))).size


def test_loop_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "LOOPED", 25000)
    loop = tone(441, 0.25)
    audio = recorded.repeated(loop)
    assert audio.shape == (2, 3 * loop.shape[1])
    np.testing.assert_array_equal(
        audio[:, : loop.shape[1]], audio[:, loop.shape[1] : 2 * loop.shape[1]]
    )
    assert mix.loudness(audio) == pytest.approx(recorded.LOUDNESS, rel=0.01)


def test_repository_is_brought_at_its_commit(tmp_path: Path) -> None:
    origin = tmp_path / "host" / "somebody" / "songs"

    def git(*arguments: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        result = subprocess.run(
            ["git", *who, *arguments], cwd=origin, check=True, capture_output=True, text=True
        )
        return result.stdout.strip()

    (origin / "tracks").mkdir(parents=True)
    git("init", "-q")
    for text in ("old", "new"):
        (origin / "tracks" / "bass.wav").write_text(text)
        git("add", ".")
        git("commit", "-q", "-m", text)
    commit = git("rev-parse", "HEAD^")
    repository = sources.Repository("somebody/songs", commit, "tracks", "band/tracks")
    songs = tmp_path / "songs"
    for _ in range(2):  # the second time it is there
        sources.clone(repository, tmp_path / "work", songs, str(tmp_path / "host"))
    assert (songs / "band" / "tracks" / "bass.wav").read_text() == "old"


def test_pieces_keep_what_a_song_lacks_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "PIECE", RATE)
    stems = {"vocals": tone(440, 2.7), "drums": 0.01 * tone(2000, 2.7)}
    found = recorded.pieces(np.random.default_rng(0), stems)
    assert [piece.shape for piece in found] == [(4, 2, RATE), (4, 2, RATE), (4, 2, RATE * 7 // 10)]
    for piece in found:
        assert not piece[2:].any()
        assert np.abs(piece.sum(axis=0)).max() <= 1
        loudness = [mix.loudness(stem) for stem in piece[:2]]
        assert 0.2 < loudness[0] / loudness[1] < 5  # brought to one level, then weighed


def test_what_is_saved_is_whole_and_does_not_clip(tmp_path: Path) -> None:
    path = tmp_path / "stems" / "bass" / "a.npy"
    recorded.save(path, 4 * tone(100))
    found = np.load(path)
    assert found.dtype == np.int16
    np.testing.assert_allclose(found / 32767, 2 * tone(100), atol=1e-3)
    assert [p.name for p in path.parent.iterdir()] == ["a.npy"]


@pytest.fixture
def song(monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """Ten seconds, of which a voice sounds from 4 to 8 and a bass from 2 on; windows are of a second."""
    monkeypatch.setattr(validation, "WINDOW", RATE)
    monkeypatch.setattr(validation, "HOP", RATE // 2)
    stems = {"vocals": tone(440, 10), "bass": 0.2 * tone(55, 10)}
    stems["vocals"][:, : 4 * RATE] = stems["vocals"][:, 8 * RATE :] = 0
    stems["bass"][:, : 2 * RATE] = 0
    return stems


def test_windows_are_where_all_parts_play(song: dict[str, np.ndarray]) -> None:
    starts = validation.windows(song, 3)
    assert len(starts) == 3
    assert all(4 * RATE <= start <= 7 * RATE for start in starts)
    assert all(b - a >= RATE for a, b in pairwise(starts))
    assert len(validation.windows(song, 9)) == 4  # no others have both parts
    silent = song | {"drums": np.zeros_like(song["bass"])}
    assert validation.windows(silent, 3) == starts  # what never plays is not waited for


def test_song_whose_parts_never_meet_gives_one_window(song: dict[str, np.ndarray]) -> None:
    song["bass"][:, 4 * RATE :] = 0
    assert len(validation.windows(song, 3)) == 1


def test_window_is_judged_as_it_is_and_mastered(
    song: dict[str, np.ndarray], tmp_path: Path
) -> None:
    """Mastered, it is louder and limited; stems add up in both, and what is not known is in the mixture alone."""
    quiet = {name: 0.2 * x for name, x in song.items()}
    quiet[validation.REST] = 0.1 * tone(1000, 10)
    quiet["vocals"][:, 4 * RATE + 9000 : 4 * RATE + 9200] *= 6
    validation.judge(tmp_path, "song", quiet, 1)
    folders = [tmp_path / "song-004", tmp_path / "song-004-mastered"]
    assert sorted(tmp_path.iterdir()) == folders
    read = {
        folder.name: {path.stem: instruments.read(path) for path in folder.iterdir()}
        for folder in folders
    }
    assert all(set(audio) == {"mixture", "vocals", "bass"} for audio in read.values())
    plain, loud = read.values()
    window = slice(4 * RATE, 5 * RATE)
    np.testing.assert_allclose(plain["vocals"], quiet["vocals"][:, window], atol=1e-4)
    assert np.abs(loud["mixture"]).max() <= 0.99
    assert mix.loudness(loud["mixture"]) == pytest.approx(validation.LOUD, rel=0.1)
    for audio in read.values():
        rest = audio["mixture"] - audio["vocals"] - audio["bass"]
        share = np.linalg.norm(rest) / np.linalg.norm(audio["bass"])
        wanted = np.linalg.norm(quiet[validation.REST][:, window]) / np.linalg.norm(
            quiet["bass"][:, window]
        )
        assert share == pytest.approx(wanted, rel=0.05)


def test_stem_louder_than_its_mixture_does_not_clip(tmp_path: Path) -> None:
    stems = {"vocals": 3 * tone(100), "other": -2.5 * tone(100)}
    validation.write(tmp_path / "song", stems)
    found = {path.stem: instruments.read(path) for path in (tmp_path / "song").iterdir()}
    np.testing.assert_allclose(found["vocals"], 0.66 * 3 * tone(100), atol=1e-3)
    np.testing.assert_allclose(found["mixture"], 0.66 * 0.5 * tone(100), atol=1e-3)


def test_song_of_the_game_is_the_guitar_and_the_band(tmp_path: Path) -> None:
    for name, audio in (("guitar", tone(440, 1.2)), ("song", tone(110, 1))):
        soundfile.write(tmp_path / f"{name}.ogg", audio.T, RATE, format="OGG", subtype="VORBIS")
    stems = validation.game(tmp_path)
    assert set(stems) == {"other", validation.REST}
    assert pitch(stems["other"]) == 440
    assert pitch(stems[validation.REST]) == 110
