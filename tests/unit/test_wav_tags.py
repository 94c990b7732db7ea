"""Tags in WAV files, as other programs read them."""

import io
import re

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from page.files import wav, wav_tags


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


@given(st.floats(25, 400), st.integers(1, 12), st.integers(0, 3000))
def test_the_tempo_is_where_music_programs_look(bpm: float, meter: int, frames: int) -> None:
    samples = np.arange(2 * frames, dtype="<i2").reshape(-1, 2)
    chunk = wav_tags.tempo(bpm, meter, frames / 44100)
    header = wav.header(frames, "16", len(chunk))
    data = header[: -wav.DATA] + chunk + header[-wav.DATA :] + samples.tobytes()
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        said = file.extra_info
        np.testing.assert_array_equal(file.read(dtype="int16", always_2d=True), samples)
    found = {
        name: re.search(rf"{name} *: *([\d./]+)", said) for name in ("Beats", "Meter", "Tempo")
    }
    texts = {name: match[1] for name, match in found.items() if match}
    assert texts["Meter"] == f"{meter}/4"
    assert float(texts["Tempo"]) == pytest.approx(bpm, abs=0.01)
    assert abs(int(texts["Beats"]) - bpm * frames / 44100 / 60) <= 0.501


def test_the_tempo_among_the_tags_is_a_whole_number() -> None:
    assert b"TBPM\0\0\0\x04\0\0\x03124" in tagged(0, {"bpm": "124"})
