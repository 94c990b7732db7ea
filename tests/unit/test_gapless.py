"""What encoders put before and behind a song."""

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from page.files import gapless

FRAME = 1152


def encoded(samples: int, container: str, subtype: str, rate: int) -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(samples).uniform(-0.5, 0.5, (samples, 2))
    soundfile.write(file, noise, rate, subtype, format=container)
    return file.getvalue()


@pytest.mark.parametrize("rate", [44100, 48000])
@pytest.mark.parametrize("samples", [5000, 50_000, 51_234])
def test_mp3_says_where_the_song_is(samples: int, rate: int) -> None:
    before, behind = gapless.mp3(encoded(samples, "MP3", "MPEG_LAYER_III", rate)[: gapless.HEAD])
    assert before == 576 + gapless.MP3_DECODER  # as LAME has it
    assert (samples + before + behind) % FRAME == 0


def test_mp3_that_says_nothing() -> None:
    sound = encoded(5000, "MP3", "MPEG_LAYER_III", 44100)
    for head in (b"", sound[:30], sound[:170], sound.replace(b"LAME", b"nobody"), bytes(5000)):
        assert gapless.mp3(head) == (0, 0)


def test_opus_says_what_comes_before() -> None:
    sound = encoded(48000, "OGG", "OPUS", 48000)
    place, before = gapless.opus(sound[: gapless.HEAD])
    assert before == 312  # as libopus has it
    assert place == sound.index(b"OpusHead") + 10
    assert gapless.opus(sound[:30]) == (None, 0)


@given(st.integers(0, (1 << 28) - 1))
def test_tags_are_skipped(size: int) -> None:
    sizes = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    assert gapless.tag_size(b"ID3\4\0\0" + sizes) == 10 + size
    assert gapless.tag_size(b"ID3\4\0\0") == gapless.tag_size(b"RIFF" + bytes(20)) == 0


@given(st.binary(max_size=400))
def test_nothing_is_too_odd_to_look_at(head: bytes) -> None:
    for look in (gapless.tag_size, gapless.mp3, gapless.opus):
        look(head)
        look(b"Info" + head)
        look(b"OpusHead" + head)
