"""The library that reads and writes media files, fetched when the first song needs it."""

import js
from promises import settle
from pyscript import js_import

LIBRARY = "app/vendor/mediabunny/mediabunny.min.mjs"


async def library():
    """The library's names. Raises RejectedError if it can't be fetched; the browser keeps what it has."""
    modules = await settle(js_import(js.URL.new(LIBRARY, js.document.baseURI).href))
    return modules[0]


async def opened(file):
    """A file that the visitor chose, for the library to read from, piece by piece as it needs it."""
    media = await library()
    options = js.Object.new()
    options.source, options.formats = media.BlobSource.new(file), media.ALL_FORMATS
    return media.Input.new(options)
