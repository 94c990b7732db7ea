"""The parts of the page that need no browser."""

import io
import json
import math
from pathlib import Path

import numpy as np
import progress
import pytest
import soundfile
import wav
import wav_tags
from hypothesis import given
from hypothesis import strategies as st

SUBTYPES = {"16": "PCM_16", "24": "PCM_24", "float": "FLOAT"}


@pytest.mark.parametrize("kind", wav.FORMATS)
@given(frames=st.integers(0, 3000))
def test_other_programs_read_our_wav_files(kind: str, frames: int) -> None:
    rng = np.random.default_rng(frames)
    samples = rng.integers(0, 120, (frames, wav.frame_bytes(kind)), np.uint8).tobytes()
    with soundfile.SoundFile(io.BytesIO(wav.header(frames, kind) + samples)) as file:
        assert (file.samplerate, file.channels) == (44100, 2)
        assert (file.format, file.subtype) == ("WAV", SUBTYPES[kind])
        assert file.frames == frames
        found = file.read(dtype="float32")
    assert found.shape == (frames, 2)


def test_samples_keep_their_values() -> None:
    integers = np.array([[0, -32768], [32767, 1]], "<i2")
    floats = np.array([[0.25, -1.5], [1e-9, 1]], "<f4")
    data = wav.header(2, "16") + integers.tobytes()
    np.testing.assert_array_equal(soundfile.read(io.BytesIO(data), dtype="int16")[0], integers)
    data = wav.header(2, "float") + floats.tobytes()
    np.testing.assert_array_equal(soundfile.read(io.BytesIO(data), dtype="float32")[0], floats)
    wide = np.array([[0, -(1 << 23)], [(1 << 23) - 1, 1]], "<i4")
    three = wide.view(np.uint8).reshape(2, 2, 4)[..., :3].tobytes()
    found = soundfile.read(io.BytesIO(wav.header(2, "24") + three), dtype="int32")[0]
    np.testing.assert_array_equal(found, wide << 8)


@pytest.mark.parametrize("kind", wav.FORMATS)
@given(data=st.data())
def test_lengths_in_the_header_are_those_of_the_file(kind: str, data: st.DataObject) -> None:
    most = wav.LARGEST // wav.frame_bytes(kind)
    frames = data.draw(st.integers(0, most) | st.just(most))
    header = wav.header(frames, kind)
    size = frames * wav.frame_bytes(kind)
    assert (header[:4], header[8:12], header[-8:-4]) == (b"RIFF", b"WAVE", b"data")
    assert int.from_bytes(header[4:8], "little") == len(header) - 8 + size
    assert int.from_bytes(header[-4:], "little") == size


def tagged(frames: int, texts: dict[str, str], *covers: bytes) -> bytes:
    """What goes before a WAV file's samples, with tags and covers."""
    facts = [("image/png", "coverFront", len(cover)) for cover in covers]
    parts = wav_tags.chunks(texts, facts)
    chunks = parts[0] + b"".join(map(bytes.__add__, covers, parts[1:]))
    header = wav.header(frames, "16", len(chunks))
    return header[: -wav.DATA] + chunks + header[-wav.DATA :]


@given(
    st.dictionaries(st.sampled_from([name for name, _, _ in wav_tags.TEXTS]), st.text()),
    st.lists(st.binary(min_size=1)),
)
def test_tags_leave_samples_where_they_are(texts: dict[str, str], covers: list[bytes]) -> None:
    samples = np.array([[0, -32768], [32767, 1]], "<i2")
    data = tagged(2, texts, *covers) + samples.tobytes()
    assert len(data) % 2 == 0
    assert int.from_bytes(data[4:8], "little") == len(data) - 8
    np.testing.assert_array_equal(soundfile.read(io.BytesIO(data), dtype="int16")[0], samples)
    assert all(text.encode() in data for text in texts.values())
    assert all(cover in data for cover in covers)


def test_tags_are_where_other_programs_look() -> None:
    texts = {"title": "A title", "artist": "Björk 東京", "track": "3/9", "year": "1999"}
    cover = bytes(range(200))
    data = tagged(0, texts, cover)
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        found = file.copy_metadata()
    assert found == {
        "title": "A title",
        "artist": "Björk 東京",
        "tracknumber": "3/9",
        "date": "1999",
    }
    # An ID3 tag of version 2.4, whose texts are UTF-8.
    place = data.index(b"ID3 ") + 4
    assert data[place + 4 : place + 10] == b"ID3\x04\0\0"
    artist = "Björk 東京".encode()
    assert b"TPE1\0\0\0" + bytes([len(artist) + 1]) + b"\0\0\x03" + artist in data
    picture = b"\x03image/png\0\x03\0" + cover
    size = bytes([0, 0, len(picture) >> 7, len(picture) & 127])
    assert b"APIC" + size + b"\0\0" + picture in data


@pytest.mark.parametrize("kind", wav.FORMATS)
def test_more_than_a_wav_file_can_hold_is_refused(kind: str) -> None:
    most = wav.LARGEST // wav.frame_bytes(kind)
    for frames in (most + 1, 1 << 62):
        with pytest.raises(ValueError, match="4 GiB"):
            wav.header(frames, kind)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.data())
def test_progress_is_the_mean_of_its_parts(fractions: list[float], data: st.DataObject) -> None:
    tracked = progress.Progress(len(fractions))
    order = data.draw(st.permutations(range(len(fractions))))
    before = tracked.fraction()
    assert before == 0
    for now, part in enumerate(order):
        tracked.update(part, 0, now)
        tracked.update(part, fractions[part], now + 1)
        assert tracked.fraction() >= before - 1e-12
        before = tracked.fraction()
    assert before == pytest.approx(np.mean(fractions))


@given(
    done=st.floats(0.03, 1),
    begun=st.floats(0, 1e6),
    spent=st.floats(0, 1e5),
)
def test_time_left_is_in_proportion(done: float, begun: float, spent: float) -> None:
    tracked = progress.Progress(1)
    tracked.update(0, 0, begun)
    tracked.update(0, done, begun + spent)
    left = tracked.seconds_left(begun + spent)
    assert left * done == pytest.approx(spent * (1 - done), rel=1e-3, abs=1e-3)
    assert tracked.seconds_left(begun + spent + left / 2) == pytest.approx(left / 2, abs=1e-3)


def test_part_that_is_done_again_counts_from_its_new_beginning() -> None:
    tracked = progress.Progress(2)
    tracked.update(0, 0, 0)
    tracked.update(0, 0.5, 900)  # a worker that stopped
    tracked.update(0, 0, 1000)
    tracked.update(0, 0.5, 1010)
    assert tracked.seconds_left(1010) == pytest.approx(30)


def test_too_early_to_tell() -> None:
    tracked = progress.Progress(10)
    tracked.update(0, 0, 0)
    tracked.update(0, 0.1, 5)
    assert tracked.seconds_left(5) is None
    assert progress.spoken(None) == "estimating the time left"


TRACES = json.loads((Path(__file__).parent / "traces.json").read_text())
"""What workers said of real songs, at which time, as scripts/traces.py recorded it."""


@pytest.mark.parametrize(
    "trace", TRACES, ids=lambda t: "{model}, {workers} workers, {seconds} s".format(**t)
)
def test_time_left_is_honest(trace: dict) -> None:
    """Within a fifth and a second, at every moment after the first tenth and the first second."""
    tracked, reports, now = progress.Progress(trace["batches"]), list(trace["reports"]), 0.0
    moments = 0
    while now < trace["end"]:
        while reports and reports[0][0] <= now:
            time, batch, fraction = reports.pop(0)
            tracked.update(batch, fraction, time)
        if tracked.fraction() >= 0.1 and now >= 1:
            told, true = tracked.seconds_left(now), trace["end"] - now
            assert abs(told - true) <= 0.2 * true + 1, f"{told:.1f} s at {now:.1f} s"
            moments += 1
        now += 0.1
    assert moments or trace["end"] < 2


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "almost done"),
        (0.4, "almost done"),
        (0.6, "about 1 s left"),
        (59.4, "about 59 s left"),
        (59.6, "about 1 min 0 s left"),
        (64, "about 1 min 0 s left"),
        (133.2, "about 2 min 10 s left"),
        (3600, "about 60 min 0 s left"),
    ],
)
def test_time_left_in_words(seconds: float, words: str) -> None:
    assert progress.spoken(seconds) == words


@given(st.floats(0, 1e7))
def test_words_are_within_five_seconds(seconds: float) -> None:
    numbers = [int(word) for word in progress.spoken(seconds).split() if word.isdigit()]
    told = sum(n * 60**i for i, n in enumerate(reversed(numbers)))
    assert math.isclose(told, seconds, abs_tol=5.5)
