"""Finished stems as files: WAV Blobs, and all of them as one zip."""

import js
import wav
from promises import settle
from pyscript.ffi import to_js
from pyscript.js_modules import client_zip

FORBIDDEN = '/\\:*?"<>|'
"""What one file system or another has no place for in a name."""
LONGEST = 220
"""Bytes of a title in a file's name, of which most systems take 255."""


def file_name(title, ending):
    """A song's title and what follows, as the name of a file."""
    letters = ["_" if letter in FORBIDDEN or letter < " " else letter for letter in title]
    while len("".join(letters).encode()) > LONGEST:
        letters.pop()
    return "".join(letters) + " - " + ending


def wav_blob(parts, frames, kind):
    """A WAV file of samples that lie in Blobs."""
    header = js.Uint8Array.new(to_js(list(wav.header(frames, kind))))
    return js.Blob.new(to_js([header] + parts), to_js({"type": "audio/wav"}))


def stem_files(song):
    """(stem, file name, Blob) of every stem, in the order that people see."""
    return [
        (
            stem,
            file_name(song.title, stem + ".wav"),
            wav_blob(song.parts(stem), song.length, song.kind),
        )
        for stem in song.stems()
    ]


async def zipped(files):
    """All files as one Blob, a zip that is streamed together."""
    entries = [{"name": name, "input": blob} for _, name, blob in files]
    return await settle(client_zip.downloadZip(to_js(entries)).blob())


async def mixed(song, pool, mix):
    """The sum of some stems as a WAV Blob. mix: by stem its gain and its place from -1, left, to 1, right."""
    gains, pans = [mix[stem][0] for stem in mix], [mix[stem][1] for stem in mix]
    parts = []
    for _, _, blobs in song.in_song_order():
        some = [blobs[stem] for stem in mix]
        answer = await pool.run(mix_piece, some, gains, pans, song.kind)
        parts.append(js.Blob.new(to_js([answer.samples])))
    return wav_blob(parts, song.length, song.kind)


async def mix_piece(worker, blobs, gains, pans, kind):
    return await worker.ask("mix", blobs=blobs, gains=gains, pans=pans, sample_kind=kind)
