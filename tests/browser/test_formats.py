"""What files say of their songs, and the formats that stems are saved in."""

import io
import struct

import pytest
import soundfile
from playwright.sync_api import Page, expect
from songs import RATE, Sound, card, compose, drop, expect_state

COVER = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63f8cfc000000301010018dd8db00000000049454e44ae426082"
)
"""A PNG of one red pixel."""


def tagged(sound: Sound, kind: str, **said: str) -> bytes:
    """A song as a file of a kind that libsndfile writes, with tags."""
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", RATE, 2, format=kind) as writer:
        for name, text in said.items():
            setattr(writer, name, text)
        writer.write(sound)
    return file.getvalue()


def mp3_with_id3(sound: Sound, cover: bytes, **frames: str) -> bytes:
    """An MP3 after an ID3v2.4 tag of text frames and a picture."""
    bodies = {name.encode(): b"\x03" + text.encode() for name, text in frames.items()}
    bodies[b"APIC"] = b"\x03image/png\0\x03\0" + cover
    tag = b"".join(name + synchsafe(len(body)) + b"\0\0" + body for name, body in bodies.items())
    file = io.BytesIO()
    soundfile.write(file, sound, RATE, format="MP3")
    return b"ID3\x04\0\0" + synchsafe(len(tag)) + tag + file.getvalue()


def synchsafe(number: int) -> bytes:
    return struct.pack(">4B", *(number >> shift & 127 for shift in (21, 14, 7, 0)))


HOSTILE = "<img src=x onerror=\"document.title='taken'\">"


@pytest.mark.parametrize("kind", ["FLAC", "OGG", "WAV", "MP3"])
def test_card_says_whose_song_it_is(page: Page, kind: str) -> None:
    artist = "Bjork" if kind == "WAV" else "Björk 東京"  # WAV has no agreed place for other letters
    if kind == "MP3":
        content = mp3_with_id3(compose(1), COVER, TPE1=artist, TALB=HOSTILE)
    else:
        content = tagged(compose(1), kind, artist=artist, album=HOSTILE)
    drop(page, (f"song.{kind.lower()}", content))
    expect_state(page, "done")
    expect(card(page, "song").locator(".by")).to_have_text(f"{artist}, {HOSTILE}")
    assert card(page, "song").locator("img").count() == 0
    assert page.title() != "taken"


def test_song_without_tags(page: Page) -> None:
    drop(page, ("song.flac", tagged(compose(1), "FLAC")))
    expect_state(page, "done")
    expect(card(page, "song").locator(".by")).to_have_text("")
