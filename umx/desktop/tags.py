"""Tags: a song's title, artist, album, cover and so on, carried over to the files of its stems.

They go by their names in Vorbis comments, which FLAC and Opus have; MP3 and WAV have ID3 frames, and MP4 atoms.
"""

import os
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import mutagen
from mutagen.flac import FLAC, Picture
from mutagen.id3 import APIC, COMM, ID3, TIT2, USLT, Frames
from mutagen.mp3 import MP3
from mutagen.mp4 import MP4, MP4Cover
from mutagen.oggopus import OggOpus
from mutagen.wave import WAVE

from ..names import MIX
from .audio import address

FRAMES: Mapping[str, type[Any]] = {
    "ARTIST": Frames["TPE1"],
    "ALBUMARTIST": Frames["TPE2"],
    "ALBUM": Frames["TALB"],
    "TRACKNUMBER": Frames["TRCK"],
    "DISCNUMBER": Frames["TPOS"],
    "DATE": Frames["TDRC"],
    "GENRE": Frames["TCON"],
    "COMPOSER": Frames["TCOM"],
    "COPYRIGHT": Frames["TCOP"],
    "BPM": Frames["TBPM"],
    "INITIALKEY": Frames["TKEY"],
    "COMMENT": COMM,
    "LYRICS": USLT,
    "TITLE": TIT2,
}
"""ID3's frames by the names of Vorbis comments. What holds for the mixture alone, such as loudness, is left out."""
ATOMS = {
    "ARTIST": "\xa9ART",
    "ALBUMARTIST": "aART",
    "ALBUM": "\xa9alb",
    "DATE": "\xa9day",
    "GENRE": "\xa9gen",
    "COMPOSER": "\xa9wrt",
    "COPYRIGHT": "cprt",
    "COMMENT": "\xa9cmt",
    "LYRICS": "\xa9lyr",
    "TITLE": "\xa9nam",
}
"""MP4's atoms of text."""
NUMBERS = {"TRACKNUMBER": "trkn", "DISCNUMBER": "disk"}
"""MP4's atoms of two numbers."""
COVERS = {"image/jpeg": MP4Cover.FORMAT_JPEG, "image/png": MP4Cover.FORMAT_PNG}
"""The kinds of pictures that MP4 has."""
TOTALS = {"TRACKNUMBER": "TRACKTOTAL", "DISCNUMBER": "DISCTOTAL"}
"""ID3 has both numbers in one frame: 3/12."""
PICTURES = "metadata_block_picture"
LARGEST_PICTURE = 10_000_000
"""Bytes."""
LONGEST = 100_000
"""Letters of a text. Longer ones are broken: nobody sings so much."""


@dataclass(frozen=True)
class Tags:
    """Texts by the names of FRAMES and TOTALS, and pictures such as the cover."""

    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    pictures: Sequence[Picture] = ()

    def of_part(self, title: str, part: str) -> "Tags":
        """Those of a stem, or of MIX. title: the song's, if its file states none."""
        named = os.fsencode(title).decode(
            "utf-8", "replace"
        )  # names of files may hold bytes that are no text
        (known, *_) = self.texts.get("TITLE", [named])
        whole = known if part == MIX else f"{known} ({part})"
        return Tags({**self.texts, "TITLE": [whole]}, self.pictures)


def read_tags(file: BinaryIO) -> Tags:
    """The tags of an audio file. None where it has none, or where they are damaged: a song does without."""
    try:
        file.seek(0)
        found = mutagen.File(file)
        if found is None or found.tags is None:
            return Tags()
        texts, pictures = (_of_id3 if isinstance(found.tags, ID3) else _of_comments)(found)
    except Exception:  # of any kind: mutagen meets whatever files hold
        return Tags()
    cut = {name: [str(value)[:LONGEST] for value in values] for name, values in texts.items()}
    small = [picture for picture in pictures if len(picture.data) <= LARGEST_PICTURE]
    return Tags({name: values for name, values in cut.items() if any(values)}, small)


def _of_id3(found: Any) -> tuple[dict[str, list[str]], list[Picture]]:
    texts: dict[str, list[str]] = {}
    for name, frame in FRAMES.items():
        for each in found.tags.getall(frame.__name__):
            if not getattr(
                each, "desc", ""
            ):  # programs keep notes of their own in comments with a description
                texts.setdefault(name, []).extend(_texts(each))
    for name, total in TOTALS.items():
        if name in texts:
            texts[name][0], _, count = texts[name][0].partition("/")
            texts[total] = [count]
    pictures = []
    for each in found.tags.getall("APIC"):
        picture = Picture()
        picture.data, picture.mime, picture.type = each.data, each.mime, each.type
        pictures.append(picture)
    return texts, pictures


def _texts(frame: Any) -> list[str]:
    return [frame.text] if isinstance(frame.text, str) else [str(text) for text in frame.text]


def _of_comments(found: Any) -> tuple[dict[str, list[str]], list[Picture]]:
    names = [*FRAMES, *TOTALS.values()]
    texts = {name: list(found.tags[name]) for name in names if name in found.tags}
    pictures = list(getattr(found, "pictures", ()))
    for text in found.tags.get(PICTURES, ()):
        pictures.append(Picture(b64decode(text)))
    return texts, pictures


def write_tags(path: Path, container: str, tags: Tags) -> None:
    """Put tags into a file. container: as `Form` has it. RF64, which nobody looks into for tags, gets none."""
    name = address(path)
    if container == "FLAC":
        flac = FLAC(name)
        flac.update(tags.texts)
        for picture in tags.pictures:
            flac.add_picture(picture)
        flac.save()
    elif container == "OGG":
        opus = OggOpus(name)
        opus.update(tags.texts)
        if tags.pictures:
            opus[PICTURES] = [b64encode(each.write()).decode("ascii") for each in tags.pictures]
        opus.save()
    elif container == "STEMS":
        mp4 = MP4(name)
        mp4.update(_atoms(tags))
        mp4.save()
    elif container in ("MP3", "WAV"):
        file = MP3(name) if container == "MP3" else WAVE(name)
        if file.tags is None:
            file.add_tags()
        for frame in _frames(tags):
            file.tags.add(frame)
        file.save()


def _atoms(tags: Tags) -> dict[str, Any]:
    atoms: dict[str, Any] = {
        atom: list(tags.texts[name]) for name, atom in ATOMS.items() if tags.texts.get(name)
    }
    for name, atom in NUMBERS.items():
        number, total = (_number(tags.texts.get(each, ())) for each in (name, TOTALS[name]))
        if number:
            atoms[atom] = [(number, total)]
    if tempo := _number(tags.texts.get("BPM", ())):
        atoms["tmpo"] = [tempo]
    if key := tags.texts.get("INITIALKEY"):
        atoms["----:com.apple.iTunes:initialkey"] = [text.encode() for text in key]
    covers = [each for each in tags.pictures if each.mime in COVERS]
    if covers:
        atoms["covr"] = [MP4Cover(each.data, COVERS[each.mime]) for each in covers]
    return atoms


def _number(texts: Sequence[str]) -> int:
    """The whole number that the first text is, of 16 bits; 0 if it is none."""
    try:
        number = round(float(texts[0]))
    except (IndexError, ValueError, OverflowError):
        return 0
    return number if 0 < number < 1 << 15 else 0


def _frames(tags: Tags) -> list[Any]:
    frames = []
    for name, frame in FRAMES.items():
        values = list(tags.texts.get(name, ()))
        if not values:
            continue
        if total := tags.texts.get(TOTALS.get(name, ""), ()):
            values[0] += f"/{total[0]}"
        text = "\n".join(values) if frame is USLT else values
        frames.append(frame(encoding=3, lang="und", desc="", text=text))
    for index, each in enumerate(tags.pictures):
        # Frames of one description replace each other.
        desc = str(index) if index else ""
        frames.append(APIC(encoding=3, mime=each.mime, type=each.type, desc=desc, data=each.data))
    return frames
