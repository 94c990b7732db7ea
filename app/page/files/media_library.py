"""The library that reads and writes media files, fetched when the first song needs it."""

import gapless
import js
from promises import settle
from pyscript import js_import
from pyscript.ffi import create_proxy
from pyscript.js_modules import bounded

LIBRARY = "app/vendor/mediabunny/mediabunny.min.mjs"
ENCODERS = {
    "flac": ("app/vendor/flac-encoder/mediabunny-flac-encoder.min.js", "Flac"),
    "mp3": ("app/vendor/mp3-encoder/mediabunny-mp3-encoder.min.js", "Mp3"),
}
"""By codec: a script that lets the library encode it, and what its names on the page have in them."""


def address(path):
    return js.URL.new(path, js.document.baseURI).href


async def library():
    """The library's names. Raises RejectedError if it can't be fetched; the browser keeps what it has."""
    modules = await settle(js_import(address(LIBRARY)))
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
    """A file that the visitor chose."""
    media = await library()
    reading, options = js.Object.new(), js.Object.new()
    # Of what it reads ahead; where it fails at what it is asked for, it says so there.
    reading.handleUnhandledError = ignore
    options.source = bounded.bounded(media.BlobSource.new(file, reading))
    options.formats = media.ALL_FORMATS
    return Opened(media.Input.new(options))


async def head(file):
    """The bytes that a file begins with, but for tags."""
    start = gapless.tag_size(await bytes_of(file.slice(0, 10)))
    return await bytes_of(file.slice(start, start + gapless.HEAD))


async def bytes_of(blob):
    return bytes(js.Uint8Array.new(await settle(blob.arrayBuffer())))


async def end_of(track):
    """The second at which a track of a file ends; 0 if nothing of it can be read."""
    media = await library()
    # In a FLAC file without a first frame, the library would look for the last one for ever, without reading anything.
    first = await settle(media.EncodedPacketSink.new(track).getFirstPacket())
    return await settle(track.computeDuration()) if first else 0


async def library_for(form):
    """The library, once it can write a format. Raises RejectedError if what it needs can't be fetched."""
    media = await library()
    if form.codec not in ENCODERS:
        return media
    path, word = ENCODERS[form.codec]
    place = "Mediabunny{}Encoder".format(word)
    if not hasattr(js, place):
        js.Mediabunny = media  # where the script looks for it
        await settle(run(path))
    getattr(getattr(js, place), "register{}Encoder".format(word))()
    return media


def run(path):
    """A promise of a script of ours that isn't a module."""

    def executor(resolve, reject):
        script = js.document.createElement("script")
        script.src = address(path)
        script.onload, script.onerror = resolve, reject
        js.document.head.append(script)

    return js.Promise.new(create_proxy(executor))
