"""Songs as files hold them: every sample of them, on its side, whatever their headers say."""

import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from umx.desktop import song as songs
from umx.desktop.audio import AudioError
from umx.desktop.song import Song, read
from umx.signal.samples import LOUDEST

RATE = 44100
HALF = 0.5**0.5  # -3 dB
# What each speaker gives to the left and the right, by ITU-R BS.775: left and right, centre, low frequencies,
# left and right behind or beside, behind in the middle.
GAINS = {
    "L": (1, 0),
    "R": (0, 1),
    "C": (HALF, HALF),
    "-": (0, 0),
    "l": (HALF, 0),
    "r": (0, HALF),
    "b": (0.5, 0.5),
    "?": (None, None),  # not known: averaged
}
WAV_ORDER = ("LRC", "LRlr", "LRClr", "LRC-lr", "LRC-blr", "LRC-lrlr", "?" * 9)
VORBIS_ORDER = ("LCR", "LRlr", "LCRlr", "LCRlr-", "LCRlrb-", "LCRlrlr-")


def noise(samples: int, channels: int = 2, seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.4, 0.4, (samples, channels)).astype(np.float32)


def encode(sound: np.ndarray, container: str, rate: int = RATE, **options: object) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, sound, rate, format=container, **options)
    return file.getvalue()


def decoded(content: bytes, tmp_path: Path, rate: int = RATE) -> np.ndarray:
    """(samples, 2)"""
    path = tmp_path / "song"
    path.write_bytes(content)
    return read(path, rate).T


# Channels


def check_sides(encoder: Callable[[np.ndarray], bytes], speakers: str, tmp_path: Path) -> None:
    """Sound in one channel after the other comes out on the sides that its speaker is for."""
    count = len(speakers)
    time = np.arange(count * 4800) / 48000
    sound = np.zeros((count * 4800, count), np.float32)
    for channel in range(count):
        part = slice(channel * 4800, (channel + 1) * 4800)
        sound[part, channel] = 0.4 * np.sin(2 * np.pi * 80 * time[part])
    found = decoded(encoder(sound), tmp_path, 48000)
    for channel, speaker in enumerate(speakers):
        part = slice(channel * 4800 + 600, (channel + 1) * 4800 - 600)
        source = sound[part, channel]
        gains = found[part].T @ source / (source @ source)
        expected = [1 / count if gain is None else gain for gain in GAINS[speaker]]
        np.testing.assert_allclose(gains, expected, atol=0.03, err_msg=f"{channel} of {speakers}")


def wav(
    sound: np.ndarray, mask: int | None = None, order: str = "little", rate: int = 48000
) -> bytes:
    """WAV of 16 bits; with a mask, WAVE_FORMAT_EXTENSIBLE."""
    channels = sound.shape[1]

    def field(value: int, size: int) -> bytes:
        return value.to_bytes(size, order)

    form = field(1 if mask is None else 0xFFFE, 2) + field(channels, 2) + field(rate, 4)
    form += field(rate * channels * 2, 4) + field(channels * 2, 2) + field(16, 2)
    if mask is not None:
        pcm = field(1, 4) + field(0, 2) + field(16, 2) + b"\x80\0\0\xaa\0\x38\x9b\x71"
        form += field(22, 2) + field(16, 2) + field(mask, 4) + pcm
    data = np.rint(sound * 32767).astype("<i2" if order == "little" else ">i2").tobytes()
    parts = ((b"fmt ", form), (b"data", data))
    body = b"WAVE" + b"".join(name + field(len(part), 4) + part for name, part in parts)
    return (b"RIFF" if order == "little" else b"RIFX") + field(len(body), 4) + body


@pytest.mark.parametrize("speakers", WAV_ORDER)
@pytest.mark.parametrize("order", ["little", "big"])
def test_channels_of_wav(speakers: str, order: str, tmp_path: Path) -> None:
    check_sides(lambda sound: wav(sound, order=order), speakers, tmp_path)


@pytest.mark.parametrize(
    ("mask", "speakers"),
    [
        (0x007, "LRC"),
        (0x103, "LRb"),
        (0x00B, "LR-"),
        (0x107, "LRCb"),
        (0x603, "LRlr"),
        (0x607, "LRClr"),
        (0x60F, "LRC-lr"),
        (0x13F, "LRC-lrb"),
        (0x0FF, "LRC-lrlr"),
        (0, "??????"),
        (0x003, "???"),
    ],
)
def test_channels_of_wav_by_its_mask(mask: int, speakers: str, tmp_path: Path) -> None:
    check_sides(lambda sound: wav(sound, mask), speakers, tmp_path)


@pytest.mark.parametrize("speakers", WAV_ORDER[:6])
def test_channels_of_flac(speakers: str, tmp_path: Path) -> None:
    check_sides(lambda sound: encode(sound, "FLAC", 48000), speakers, tmp_path)


@pytest.mark.parametrize(
    ("mask", "speakers"), [(b"0x0107", "LRCb"), (b"0x703", "LRblr"), (b"0X0", "????")]
)
def test_channels_of_flac_by_its_comments(mask: bytes, speakers: str, tmp_path: Path) -> None:
    def encoder(sound: np.ndarray) -> bytes:
        """The first block stays; a picture that is none and a comment follow in place of the others."""
        flac = encode(sound, "FLAC", 48000)
        comment = b"waveformatextensible_channel_mask=" + mask
        comments = b"".join(n.to_bytes(4, "little") for n in (0, 1, len(comment))) + comment
        blocks = b"\6" + (70_000).to_bytes(3, "big") + bytes(70_000)
        blocks += b"\x84" + len(comments).to_bytes(3, "big") + comments
        place, last = 4, False
        while not last:
            last = flac[place] & 0x80 > 0
            place += 4 + int.from_bytes(flac[place + 1 : place + 4], "big")
        return flac[:42] + blocks + flac[place:]

    check_sides(encoder, speakers, tmp_path)


@pytest.mark.parametrize("speakers", VORBIS_ORDER)
@pytest.mark.parametrize("codec", ["VORBIS", "OPUS"])
def test_channels_of_ogg(codec: str, speakers: str, tmp_path: Path) -> None:
    def encoder(sound: np.ndarray) -> bytes:
        return encode(sound, "OGG", 48000, subtype=codec)

    check_sides(encoder, speakers, tmp_path)


# Length


def with_total(flac: bytes, samples: int) -> bytes:
    fields = int.from_bytes(flac[18:26], "big") >> 36 << 36 | samples
    return flac[:18] + fields.to_bytes(8, "big") + flac[26:]


@pytest.mark.parametrize("total", [0, 1, 1000, RATE + 1, 2**36 - 1])
def test_flac_that_lies_about_its_length(total: int, tmp_path: Path) -> None:
    sound = noise(RATE)
    found = decoded(with_total(encode(sound, "FLAC"), total), tmp_path)
    np.testing.assert_allclose(found, sound, atol=2**-15)


@pytest.mark.parametrize("before", [b"", b"ID3\4\0\0\0\0\2\x00" + bytes(256)])
def test_flac_between_tags(before: bytes, tmp_path: Path) -> None:
    sound = noise(RATE)
    path = tmp_path / "song.flac"
    path.write_bytes(before + encode(sound, "FLAC") + b"TAG" + b"x" * 125)
    with Song(path, RATE) as song:
        found = np.concatenate([*song.blocks()], axis=1).T
        assert song.broken is None
    np.testing.assert_allclose(found, sound, atol=2**-15)


@pytest.mark.parametrize("total", [0, 10 * RATE])
def test_flac_that_is_cut_off_or_damaged_is_read_up_to_there(total: int, tmp_path: Path) -> None:
    sound = noise(10 * RATE)
    whole = with_total(encode(sound, "FLAC"), total)
    middle = len(whole) // 2
    path = tmp_path / "song.flac"
    for content in (whole[:middle], whole[:middle] + bytes(20_000) + whole[middle + 20_000 :]):
        path.write_bytes(content)
        with Song(path, RATE) as song:
            found = np.concatenate([*song.blocks()], axis=1).T
            assert song.broken == pytest.approx(song.samples / RATE)
        assert 4.8 < len(found) / RATE < 5.1
        np.testing.assert_allclose(found, sound[: len(found)], atol=2**-15)


def parts_of(mp3: bytes) -> tuple[int, int]:
    """Where the Xing header says how many frames there are, and where the second frame begins."""
    place = max(mp3.find(b"Xing", 0, 64), mp3.find(b"Info", 0, 64)) + 8
    assert place > 8
    return place, mp3.index(mp3[:2], 2)


@pytest.fixture(scope="module", params=[(44100, 2), (48000, 1), (22050, 2), (16000, 1)])
def mp3(request: pytest.FixtureRequest) -> tuple[bytes, np.ndarray, int]:
    """An MP3 file that begins loud and goes on quietly; what honest software makes of it; its rate."""
    rate, channels = request.param
    sound = noise(20 * rate, channels)
    sound[rate:] *= 0.001
    content = encode(sound, "MP3", rate, bitrate_mode="VARIABLE")
    honest, _ = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    assert len(honest) == len(sound)
    return content, np.repeat(honest, 2 // channels, axis=1), rate


@pytest.mark.parametrize("frames", [None, 0, 1, 20, 1 << 20, 2**32 - 1])
@pytest.mark.parametrize("before", [b"", b"ID3\4\0\0\0\0\2\x00" + bytes(256)])
def test_mp3_whose_xing_header_lies(
    mp3: tuple[bytes, np.ndarray, int], frames: int | None, before: bytes, tmp_path: Path
) -> None:
    content, honest, rate = mp3
    if frames is not None:
        place, _ = parts_of(content)
        content = content[:place] + frames.to_bytes(4, "big") + content[place + 4 :]
    found = decoded(before + content, tmp_path, rate)
    np.testing.assert_allclose(found, honest, atol=1e-6)


def test_mp3_without_a_xing_header(mp3: tuple[bytes, np.ndarray, int], tmp_path: Path) -> None:
    """Its length can only be guessed from its first frames, which are larger than the others."""
    content, honest, rate = mp3
    found = decoded(content[parts_of(content)[1] :], tmp_path, rate)
    assert 0 <= len(found) - len(honest) < 4 * 1152
    start = 576  # what the encoder put before the song, and nobody can know of now
    np.testing.assert_allclose(found[start:][: len(honest)], honest, atol=1e-6)


def test_mp3_that_is_cut_off_is_read_to_where_it_ends(
    mp3: tuple[bytes, np.ndarray, int], tmp_path: Path
) -> None:
    content, honest, rate = mp3
    found = decoded(content[: len(content) * 9 // 10], tmp_path, rate)
    assert 15 * rate < len(found) < 20 * rate
    np.testing.assert_allclose(found[:-2400], honest[: len(found) - 2400], atol=1e-6)


def test_joined_mp3_files_are_read_to_the_end_of_the_last(tmp_path: Path) -> None:
    content = encode(noise(RATE), "MP3")
    honest, _ = soundfile.read(io.BytesIO(content), dtype="float32")
    found = decoded(content + content, tmp_path)
    assert 2 * RATE < len(found) < 2 * RATE + 4 * 1152
    np.testing.assert_allclose(found[:40_000], honest[:40_000], atol=1e-6)
    np.testing.assert_allclose(found[-20_000:], honest[-20_000:], atol=1e-6)


@pytest.mark.parametrize(
    ("riff", "data"),
    [
        *((0, 0), (8, 0), (36, 0), (2**32 - 1, 2**32 - 1), (2**31 - 1, 2**31 - 1)),
        *((1036, 1000), (1036, 999), (None, 2**32 - 1), (None, 1000)),
    ],
)
def test_wav_that_lies_about_its_length(riff: int | None, data: int, tmp_path: Path) -> None:
    sound = noise(RATE)
    content = wav(sound, rate=RATE)
    assert content[36:40] == b"data"
    size = content[4:8] if riff is None else riff.to_bytes(4, "little")
    content = content[:4] + size + content[8:40] + data.to_bytes(4, "little") + content[44:]
    np.testing.assert_allclose(decoded(content, tmp_path), sound, atol=2**-14)


@pytest.mark.parametrize(
    "behind",
    [
        b"LIST\4\0\0\0abcd",
        b"id3 \x0a\0\0\0" + bytes(10),
        b"TAG" + b"x" * 125,
        b"\0",
        b"ID3" + bytes(99),
    ],
)
def test_what_follows_the_samples_of_wav_is_not_heard(behind: bytes, tmp_path: Path) -> None:
    sound = noise(RATE)
    for content in (wav(sound, rate=RATE) + behind, wav(sound[:0], rate=RATE) + behind):
        if len(content) > 1000:
            np.testing.assert_allclose(decoded(content, tmp_path), sound, atol=2**-14)
        else:
            with pytest.raises(AudioError, match="holds no audio"):
                decoded(content, tmp_path)


def test_rf64_without_its_lengths(tmp_path: Path) -> None:
    sound = noise(RATE)
    content = encode(sound, "RF64", subtype="FLOAT")
    assert content[12:16] == b"ds64"
    found = decoded(content, tmp_path)
    np.testing.assert_array_equal(found, sound)
    found = decoded(content[:20] + bytes(24) + content[44:], tmp_path)
    np.testing.assert_array_equal(found[:RATE], sound)


@pytest.mark.parametrize("codec", ["VORBIS", "OPUS"])
def test_ogg_that_is_cut_off_is_read_to_where_it_ends(codec: str, tmp_path: Path) -> None:
    sound = np.repeat(noise(10, 2), 24_000, axis=0)  # steps, so that codecs keep its place
    whole = encode(sound, "OGG", 48000, subtype=codec)
    honest, _ = soundfile.read(io.BytesIO(whole), dtype="float32")
    found = decoded(whole[: len(whole) // 2], tmp_path, 48000)
    assert len(found) > 48_000
    np.testing.assert_allclose(found[:-4800], honest[: len(found) - 4800], atol=1e-4)


@pytest.mark.parametrize("codec", ["VORBIS", "OPUS"])
def test_joined_ogg_files_are_read_to_the_end_of_the_last(codec: str, tmp_path: Path) -> None:
    """Each of them has channels and a rate of its own."""
    parts = []
    for seed, channels, rate in ((1, 2, 48000), (2, 1, 24000), (3, 6, 48000)):
        sound = np.repeat(noise(10, channels, seed), rate // 10, axis=0)
        parts.append(encode(sound, "OGG", rate, subtype=codec))
    honest = [decoded(part, tmp_path, 48000) for part in parts]
    assert [len(part) for part in honest] == [48000] * 3
    found = decoded(b"".join(parts), tmp_path, 48000)
    np.testing.assert_array_equal(found, np.concatenate(honest))


def test_a_joined_ogg_file_is_read_up_to_what_is_damaged(tmp_path: Path) -> None:
    good = encode(noise(RATE), "OGG")
    path = tmp_path / "song.ogg"
    path.write_bytes(good + good[:40] + b"nobody knows" + good[52:])
    with Song(path, RATE) as song:
        assert (song.samples, song.broken) == (RATE, 1)
        assert sum(block.shape[1] for block in song.blocks()) == RATE


# Streams


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_read_resamples_mono_to_stereo(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"song.{suffix}"
    time = np.arange(22050) / 22050
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * 440 * time), 22050)
    song = read(path, 44100)
    assert song.shape == (2, 44100)
    assert song.dtype == np.float32
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(44100) / 44100)
    assert np.abs(song[:, 2000:-2000] - expected[2000:-2000]).max() < 0.02


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from([7, 8000, 22050, 44099, 44100, 48000, 96000, 192_000, 655_350]),
    st.integers(1, 5000),
    st.integers(1, 300),
    st.sampled_from([1, 2, 5]),
    st.sampled_from([0, 1000, 1 << 24]),
)
def test_blocks_are_resampled_as_one(
    tmp_path_factory: pytest.TempPathFactory,
    rate: int,
    samples: int,
    block: int,
    channels: int,
    kept: int,
) -> None:
    samples = min(samples, rate * 2)
    path = tmp_path_factory.mktemp("songs") / "song.wav"
    sound = noise(samples, channels)
    soundfile.write(path, sound, rate, "FLOAT")
    mix = np.array([GAINS[name] for name in {1: "C", 2: "LR", 5: "LRClr"}[channels]])
    stereo = sound @ (mix if channels > 1 else np.ones((1, 2))).astype(np.float32)
    expected = soxr.resample(stereo, rate, 44100) if rate != 44100 else stereo
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(songs, "BLOCK", block)
        patch.setattr(songs, "KEPT", kept)
        if len(expected) == 0:
            with pytest.raises(AudioError, match="holds no audio"):
                Song(path, 44100)
            return
        with Song(path, 44100) as song:
            for _ in range(2):
                blocks = [*song.blocks()]
                assert all(b.dtype == np.float32 and b.shape[0] == 2 for b in blocks)
                found = np.concatenate(blocks, axis=1).T
                assert len(found) == song.samples == len(expected)
                np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_song_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "song.wav"
    soundfile.write(path, noise(5 * RATE), RATE, "FLOAT")
    with Song(path, RATE) as song:
        assert song.level == pytest.approx(0.8 / 12**0.5, rel=0.01)
    soundfile.write(path, np.zeros((RATE, 2)), RATE)
    with Song(path, RATE) as song:
        assert song.level == 0


MEASURE = """
import resource, sys
from pathlib import Path
from umx.desktop import cli, song
from umx.desktop.song import Song
song.KEPT = 1 << 20
unit = 1 if sys.platform == "darwin" else 1024
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with Song(Path(sys.argv[1]), 44100) as song:
    assert song.samples == 600 * 44100
    assert sum(block.shape[1] for block in song.blocks()) == song.samples
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit)
"""


def test_memory_does_not_grow_with_the_song(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    path = tmp_path / "long.wav"
    head = wav(np.zeros((0, 2)), rate=22050)[:40]
    size = 600 * 22050 * 4
    with path.open("wb") as file:
        file.write(head + size.to_bytes(4, "little"))
        file.truncate(44 + size)  # silence, of which nothing is on the disk
    command = [sys.executable, "-c", MEASURE, str(path)]
    grown = int(subprocess.run(command, check=True, capture_output=True).stdout)
    assert grown < 30e6  # as a whole, ten minutes take 212 MB


# What can't be read


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("notes.mp3", b"not a song", "it is none of WAV, AIFF, FLAC, MP3"),
        ("song.raw", bytes(100), "it is none of WAV"),
        ("film.mp4", b"\0\0\0 ftypisom" + bytes(200), "it is none of WAV"),
        ("empty.mp3", b"", "can't be read as audio: "),
        ("head.flac", encode(noise(10), "FLAC")[:20], "can't be read as audio: "),
        ("frame.mp3", encode(noise(10), "MP3")[:20], "can't be read as audio: "),
        ("empty.wav", encode(noise(0), "WAV"), "holds no audio"),
    ],
)
def test_what_is_no_song_is_said(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(AudioError) as caught:
        Song(path, RATE)
    assert str(caught.value).startswith(f"{path} ")
    assert message in str(caught.value)
    assert str(caught.value).endswith(".")


def test_files_that_are_not_there_are_said(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"nowhere\.wav can't be read: there is no such file\."):
        Song(tmp_path / "nowhere.wav", RATE)
    with pytest.raises(AudioError, match=r"can't be read: that is a folder\."):
        Song(tmp_path, RATE)


def test_a_file_that_breaks_while_it_is_read_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "song.wav"
    soundfile.write(path, noise(RATE), RATE)

    class Worn(io.FileIO):
        def read(self, size: int = -1) -> bytes:
            if self.tell() > 50_000:
                raise OSError(5, "Input/output error")
            return super().read(size)

    monkeypatch.setattr(Path, "open", lambda path, mode: Worn(path))
    with pytest.raises(AudioError, match=r"song\.wav can't be read: Input/output error\."):
        Song(path, RATE)


def test_a_file_that_changes_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(songs, "KEPT", 0)
    path = tmp_path / "song.wav"
    soundfile.write(path, noise(RATE), RATE)
    with Song(path, RATE) as song:
        os.truncate(path, 1000)
        with pytest.raises(AudioError, match=r"song\.wav was changed while it was read\."):
            [*song.blocks()]


def test_names_may_hold_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"bad\xff\xe9name.wav")
    sound = noise(100)
    path.write_bytes(encode(sound, "WAV", subtype="FLOAT"))
    np.testing.assert_array_equal(read(path, RATE).T, sound)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_song_comes_through_a_pipe(tmp_path: Path) -> None:
    sound = noise(RATE)
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=[encode(sound, "FLAC")])
    writer.start()
    found = read(path, RATE).T
    writer.join()
    np.testing.assert_allclose(found, sound, atol=2**-15)


def test_samples_that_are_no_numbers_become_some(tmp_path: Path) -> None:
    odd = noise(100)
    odd[10], odd[20], odd[30], odd[40] = np.nan, np.inf, -np.inf, 1e30
    soundfile.write(tmp_path / "odd.wav", odd, 22050, "FLOAT")
    found = read(tmp_path / "odd.wav", 22050).T
    assert found[[10, 20, 30, 40], 0].tolist() == [0, 1, -1, LOUDEST]
    rest = np.delete(np.arange(100), [10, 20, 30, 40])
    np.testing.assert_array_equal(found[rest], odd[rest])


def test_a_song_is_read_at_its_own_rate_beside_the_usual_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(songs, "KEPT", 0)
    sound = noise(48000 * 3)
    path = tmp_path / "song.wav"
    soundfile.write(path, sound, 48000, "FLOAT")
    with Song(path, RATE) as song:
        assert song.own_rate == 48000
        own, usual = song.own_blocks(), song.blocks()
        pairs = list(zip(own, usual, strict=False))
        found = [
            np.concatenate([pair[i] for pair in pairs] + [*rest], axis=1).T
            for i, rest in enumerate((own, usual))
        ]
    np.testing.assert_array_equal(found[0], sound)
    np.testing.assert_array_equal(found[1], soxr.resample(sound, 48000, RATE))
