"""Writes a song as one file for DJ programs: Native Instruments' Stems, see `umx.stem_atom`."""

import js
from pyscript.ffi import create_proxy, to_js

from page import view
from page.files import downloads, media_library
from page.files.encode import array, content
from page.files.formats import Format, can_encode
from page.listen import analysis
from page.text.texts import tr
from shared.facts import SAMPLE_RATE
from umx import stem_atom

FORM = Format("stem.mp4", "16", "Mp4", "aac", (SAMPLE_RATE,), stem_atom.BIT_RATE)
STEMS = [stem for stem, _ in stem_atom.STEMS]


async def can_be_written():
    return await can_encode("mp4a.40.2", SAMPLE_RATE)


async def written(song, pool, on_progress):
    """As `downloads.mixed`: the file's name, its Blob, and how many samples of the mix were too loud."""
    mix = dict.fromkeys(STEMS, (1, 0))
    whole, loud = await downloads.summed(song, pool, mix, 0, song.length)
    names = [view.capital(tr(stem)) for stem in STEMS]
    tracks = [(whole, {})]
    for stem, name in zip(STEMS, names):
        # Players that know no stems play the enabled tracks: the mix alone.
        tracks.append((song.parts(stem), {"name": name, "disposition": {"default": False}}))
    library, places = await media_library.library(), []
    # With its "moov" box at the end, nothing moves when that grows.
    on_moov = create_proxy(lambda data, place, *rest: places.append(place))
    options = {"fastStart": False, "onMoov": on_moov}
    container = library.Mp4OutputFormat.new(to_js(options))
    said, tempo = dict(song.tags, title=song.title), analysis.tempo(song.analysis)
    if tempo:
        said["beatsPerMinute"] = tempo[0]
    size = song.length, song.kind, SAMPLE_RATE, song.length
    data = await content(library, container, FORM, tracks, *size, said, on_progress)
    place = places[0]

    def read(begin, end):
        return bytes(js.Uint8Array.new(data, place + begin, end - begin))

    parts = [js.Uint8Array.new(data, 0, place)]
    atom = stem_atom.description(names)
    for part in stem_atom.with_atom(read, data.byteLength - place, atom):
        if isinstance(part, bytes):
            parts.append(array(part))
        else:
            parts.append(js.Uint8Array.new(data, place + part[0], part[1] - part[0]))
    blob = js.Blob.new(to_js(parts), to_js({"type": "video/mp4"}))
    return downloads.file_title(downloads.title_of(song)) + "." + FORM.ending, blob, loud
