"""Tags in WAV files, as other programs read them."""

import io

import numpy as np
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
