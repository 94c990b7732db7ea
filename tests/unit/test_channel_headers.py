"""Which speakers channels are for, as headers say it, and how channels become stereo."""

import io
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from page.files import channel_headers
from umx.signal import layout

TABLES = [layout.WAV, layout.VORBIS, channel_headers.AAC, channel_headers.AAC_AS_WAV]


@pytest.mark.parametrize("table", TABLES)
def test_layouts_name_every_channel_once(table: dict[int, list[str]]) -> None:
    for count, names in table.items():
        assert len(set(names)) == len(names) == count
        assert set(names) <= set(layout.SPEAKERS)


def test_codecs_have_the_speakers_that_their_decoders_give() -> None:
    """In the order of the bits of WAV's mask, which is the one that decoders put channels into."""
    for own, as_wav in (
        (layout.VORBIS, layout.WAV),
        (channel_headers.AAC, channel_headers.AAC_AS_WAV),
    ):
        for count in set(own) - {8}:  # of eight channels, AAC has others, which are mixed alike
            assert sorted(own[count], key=layout.SPEAKERS.index) == as_wav[count]
    for count, names in layout.VORBIS.items():
        assert set(names) == set(layout.WAV[count])


@given(st.lists(st.sampled_from(layout.SPEAKERS), unique=True, min_size=3))
def test_sides_are_treated_alike(names: list[str]) -> None:
    """Mirrored speakers have mirrored gains, and nothing is louder than it was."""
    mirrored = [name.translate(str.maketrans("LR", "RL")) for name in names]
    mirrored = [name.replace("RFE", "LFE") for name in mirrored]
    gains, others = (layout.gains(some, len(names)) for some in (names, mirrored))
    assert gains == [(left, right) for right, left in others]
    assert all(left**2 + right**2 <= 1 + 1e-12 for left, right in gains)


@given(st.integers(1, 32))
def test_what_is_not_known_is_averaged(channels: int) -> None:
    gains = layout.gains(None, channels)
    assert len(gains) == channels
    for side in zip(*gains, strict=True):
        assert sum(side) == pytest.approx(1)
    if channels > 2:
        assert len(set(gains)) == 1
        assert layout.gains(["FL", "FR"], channels) == gains


@given(st.integers(0, 2**32 - 1), st.integers(1, 32))
def test_mask_names_the_first_channels(mask: int, channels: int) -> None:
    named = layout.by_mask(mask, channels)
    bits = [bit for bit in range(len(layout.SPEAKERS)) if mask >> bit & 1]
    if len(bits) < channels:
        assert named is None
    else:
        assert named == [layout.SPEAKERS[bit] for bit in bits[:channels]]


@given(
    st.integers(1, 8),
    st.integers(0, 2**32 - 1),
    st.lists(
        st.tuples(st.sampled_from([b"JUNK", b"bext", b"LIST"]), st.binary(max_size=300)), max_size=3
    ),
)
def test_mask_of_wav_files(channels: int, mask: int, chunks: list[tuple[bytes, bytes]]) -> None:
    """Whatever chunks come before it."""
    file = io.BytesIO()
    soundfile.write(file, np.zeros((10, channels)), 44100, "PCM_16", format="WAVEX")
    whole = file.getvalue()
    assert whole[12:16] == b"fmt "
    whole = whole[:40] + struct.pack("<I", mask) + whole[44:]
    before = b"".join(
        name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2) for name, body in chunks
    )
    assert channel_headers.wav_mask(whole[:12] + before + whole[12:]) == mask
    assert channel_headers.wav_mask(b"RF64" + whole[4:12] + before + whole[12:]) == mask


@pytest.mark.parametrize("channels", range(1, 9))
def test_wav_files_without_a_mask(channels: int) -> None:
    file = io.BytesIO()
    soundfile.write(file, np.zeros((10, channels)), 44100, "PCM_16", format="WAV")
    assert channel_headers.wav_mask(file.getvalue()) is None


@given(st.binary(max_size=200))
def test_whatever_is_in_a_header(data: bytes) -> None:
    for head in (data, b"RIFF1234WAVE" + data, b"RIFF1234WAVEfmt " + data):
        mask = channel_headers.wav_mask(head)
        assert mask is None or 0 <= mask < 2**32
    assert 0 <= channel_headers.aac_configuration(data) < 16


@given(st.integers(1, 40), st.integers(0, 15), st.integers(0, 15), st.binary(max_size=4))
def test_aac_configuration(kind: int, rate: int, configuration: int, rest: bytes) -> None:
    bits = f"{kind:05b}" if kind < 31 else f"11111{kind - 32 & 63:06b}"
    bits += f"{rate:04b}" + (f"{44100:024b}" if rate == 15 else "") + f"{configuration:04b}"
    bits += "0" * (-len(bits) % 8)
    data = int(bits, 2).to_bytes(len(bits) // 8, "big") + rest
    assert channel_headers.aac_configuration(data) == configuration
