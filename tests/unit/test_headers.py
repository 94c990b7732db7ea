"""What is taken from the headers of files, and what libsndfile is shown in their place."""

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umx.desktop.headers import KINDS, Header, Patched, read_headers

TAG = b"ID3\4\0\0\0\0\0\5hello"


@given(
    st.sampled_from([b"", b"OggS", b"OggS\0\2", *KINDS]),
    st.sampled_from([b"", TAG, TAG + TAG]),
    st.binary(max_size=200),
    st.integers(0, 3000),
)
def test_nothing_is_too_odd_to_look_at(magic: bytes, tag: bytes, rest: bytes, more: int) -> None:
    file = io.BytesIO(tag + magic + rest + bytes(more))
    for header in read_headers(file):
        assert header.skip <= len(file.getvalue())
        assert Patched(file, header).read()[: len(header.head)] == header.head


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"fmt ", b"data", b"ds64", b"LIST", b"JUNK"]),
            st.one_of(st.integers(0, 100), st.integers(0, 2**32 - 1)),
            st.binary(max_size=60),
        ),
        max_size=6,
    ),
    st.sampled_from([b"RIFF", b"RIFX", b"RF64"]),
)
def test_no_chunks_are_too_odd(chunks: list[tuple[bytes, int, bytes]], riff: bytes) -> None:
    body = b"".join(name + struct.pack("<I", length) + data for name, length, data in chunks)
    file = io.BytesIO(riff + struct.pack("<I", len(body)) + b"WAVE" + body)
    [header] = read_headers(file)
    assert header.skip <= len(file.getvalue())


@given(
    st.data(),
    st.binary(max_size=50),
    st.binary(max_size=20),
    st.integers(0, 60),
    st.none() | st.integers(0, 50),
)
def test_a_patched_file_reads_as_its_bytes(
    data: st.DataObject, content: bytes, head: bytes, skip: int, stop: int | None
) -> None:
    skip = min(skip, len(content))
    if stop is not None:
        stop = max(skip, min(stop, len(content)))
    shown = head + content[skip:stop]
    patched = Patched(io.BytesIO(content), Header(head, skip, stop))
    reference = io.BytesIO(shown)
    for _ in range(5):
        whence = data.draw(st.sampled_from([0, 1, 2]))
        offset = data.draw(st.integers(-30, 80))
        if whence == 0:
            offset = abs(offset)
        base = {0: 0, 1: reference.tell(), 2: len(shown)}[whence]
        place = reference.seek(max(0, base + offset))
        assert patched.seek(offset, whence) == place == patched.tell()
        count = data.draw(st.integers(0, 40))
        assert patched.read(count) == reference.read(count)


def test_an_error_in_reading_is_kept() -> None:
    class Gone(io.BytesIO):
        def read(self, *args: object) -> bytes:
            raise OSError(5, "Input/output error")

    patched = Patched(Gone(b"content"), Header(b"head", 2))
    assert patched.read(4) == b"head"
    assert patched.error is None
    assert patched.read(4) == b""
    assert patched.error.errno == 5


def mp3_head(version: int, bitrate: int, rate: int, mono: bool) -> bytes:
    return bytes(
        [0xFF, 0xE3 | version << 3, bitrate << 4 | rate << 2, 0xC0 if mono else 0x40, *bytes(400)]
    )


@pytest.mark.parametrize("mono", [False, True])
@pytest.mark.parametrize("rate", [0, 1, 2])
@pytest.mark.parametrize("version", [0, 2, 3])
def test_mp3_gets_a_frame_that_promises_no_end(version: int, rate: int, mono: bool) -> None:
    [header] = read_headers(io.BytesIO(mp3_head(version, 1, rate, mono)))
    assert header.skip == 0  # the first frame has sound in it
    side = {(True, False): 32, (True, True): 17, (False, False): 17, (False, True): 9}
    place = 4 + side[version == 3, mono]
    assert header.head[place : place + 8] == b"Info\0\0\0\1"
    assert int.from_bytes(header.head[place + 8 : place + 12], "big") > 100 * 3600 * 40  # hours
    hertz = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
    samples, kbits = (1152, 128) if version == 3 else (576, 80)
    assert len(header.head) == samples // 8 * kbits * 1000 // hertz[version][rate]


@pytest.mark.parametrize("head", [b"\xff\xe2", b"\xff\xfb\xf0\x40", b"\xff\xfb\x0c\x40", b"\xff"])
def test_what_is_no_mp3_frame_stays(head: bytes) -> None:
    assert read_headers(io.BytesIO(head)) == [Header()]
