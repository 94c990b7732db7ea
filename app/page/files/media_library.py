"""The library that reads and writes media files, fetched when the first song needs it."""

import js
from pyscript import js_import
from pyscript.ffi import create_proxy
from pyscript.js_modules import read_limit

from page import view
from page.files import gapless
from page.promises import settle

LIBRARY = "app/vendor/mediabunny/mediabunny.min.mjs"
ENCODERS = {
    "flac": ("app/vendor/flac-encoder/mediabunny-flac-encoder.min.js", "Flac"),
    "mp3": ("app/vendor/mp3-encoder/mediabunny-mp3-encoder.min.js", "Mp3"),
}
"""By codec: the script that enables the library to encode it, and the word in the names that the script defines."""


async def library():
    """The library's module. Raises RejectedError if it can't be fetched. The browser loads it once."""
    modules = await settle(js_import(view.address(LIBRARY)))
    return modules[0]


ignore = create_proxy(lambda error: None)


class Opened:
    """A file that the library reads from, piece by piece as it needs it, until it is closed."""

    def __init__(self, source):
        self.source = source

    def __enter__(self):
        return self.source

    def __exit__(self, *error):
        self.close()

    def close(self):
        self.source.dispose()


async def opened(file):
    """Open a file that the visitor chose."""
    media = await library()
    reading, options = js.Object.new(), js.Object.new()
    # Ignore read-ahead errors; errors in requested reads still reject.
    reading.handleUnhandledError = ignore
    options.source = read_limit.limited(media.BlobSource.new(file, reading))
    options.formats = media.ALL_FORMATS
    return Opened(media.Input.new(options))


async def head(file):
    """The first bytes of a file behind its tags."""
    start = gapless.tag_size(await bytes_of(file.slice(0, 10)))
    return await bytes_of(file.slice(start, start + gapless.HEAD))


async def bytes_of(blob):
    return bytes(js.Uint8Array.new(await settle(blob.arrayBuffer())))


async def end_of(track):
    """The second at which a track ends; 0 if nothing of it can be read."""
    media = await library()
    # Ask for the first frame first: in a FLAC file without any, the library looks for the last one for ever.
    first = await settle(media.EncodedPacketSink.new(track).getFirstPacket())
    return await settle(track.computeDuration()) if first else 0


async def library_for(form):
    """The library, once it can write a format. Raises RejectedError if a script for that can't be fetched."""
    media = await library()
    if form.codec not in ENCODERS:
        return media
    path, word = ENCODERS[form.codec]
    place = "Mediabunny{}Encoder".format(word)
    if not hasattr(js, place):
        js.Mediabunny = media  # the script expects the library there
        await settle(run(path))
    getattr(getattr(js, place), "register{}Encoder".format(word))()
    return media


def run(path):
    """Load a script of the site that isn't a module; a promise."""

    def executor(resolve, reject):
        script = js.document.createElement("script")
        script.src = view.address(path)
        script.onload, script.onerror = resolve, reject
        js.document.head.append(script)

    return js.Promise.new(create_proxy(executor))
