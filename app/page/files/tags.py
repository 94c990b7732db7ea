"""Tags: a song's title, artist, album, cover and so on, as its file states them."""

from page.files import media_library
from page.promises import settle

TEXTS = ("title", "artist", "album", "albumArtist", "genre", "comment", "lyrics")
NUMBERS = ("trackNumber", "tracksTotal", "discNumber", "discsTotal")
LONGEST = 100000
"""Letters of a text. Longer ones are broken: nobody sings so much."""
LARGEST_COVER = 10000000
"""Bytes."""


async def read(file):
    """The tags of a file by name, those of TEXTS as text, those of NUMBERS as numbers.

    Beside them "date", a Date, and "images", dicts of "data" (a Uint8Array), "mimeType" and "kind". Empty where the
    file has none, and where it can't be read: the decoder says what is wrong with it.
    """
    try:
        with await media_library.opened(file) as source:
            said = await settle(source.getMetadataTags())
    except Exception:
        return {}
    return chosen(said)


def of_part(tags, title, part):
    """Tags for a file with a part of a song, for the media library. title: the song's, if its file has none."""
    found = dict(tags)
    found["title"] = "{} ({})".format(title, part)
    return found


def as_texts(tags):
    """Tags as texts, by the names in `wav_tags`."""
    found = {name: tags[name] for name in TEXTS if name in tags}
    for name in ("track", "disc"):
        number, total = tags.get(name + "Number"), tags.get(name + "sTotal")
        if number:
            found[name] = "{}/{}".format(number, total) if total else str(number)
    if "beatsPerMinute" in tags:
        found["bpm"] = str(int(tags["beatsPerMinute"] + 0.5))  # ID3 has whole numbers
    if "date" in tags:
        found["year"] = str(tags["date"].getUTCFullYear())
    return found


def chosen(said):
    found = {}
    for name in TEXTS:
        text = getattr(said, name, None)
        if isinstance(text, str) and text.strip():
            found[name] = text.strip()[:LONGEST]
    for name in NUMBERS:
        number = getattr(said, name, None)
        if isinstance(number, int) and number > 0:
            found[name] = number
    if getattr(said, "date", None):
        found["date"] = said.date
    covers = [
        {"data": image.data, "mimeType": image.mimeType, "kind": image.kind}
        for image in list(getattr(said, "images", None) or [])
        if image.data.length <= LARGEST_COVER
    ]
    if covers:
        found["images"] = covers
    return found
