"""A song to try the page with: 24 seconds of "Hydrogen" by Software-Entwicklungskit, from "Everything is Free".

Its makers gave it to the public domain (CC0 1.0). Source: github.com/ichbinsoftware/everythingisremixed at
6a6fbe3a6348, the stems added up, from 2:24 on.
"""

import js
from pyscript.ffi import to_js

from page.promises import RejectedError, settle
from page.text.texts import tr

TITLE = "Demo song"
ADDRESS = "app/page/songs/demo.mp3"


async def file():
    """The recording, a File. Raises ValueError where it can't be fetched."""
    try:
        response = await settle(js.fetch(ADDRESS))
        blob = await settle(response.blob())
    except RejectedError:
        text = tr("{} can't be fetched: the network is gone, or the server.")
        raise ValueError(text.format(tr(TITLE)))
    if not response.ok:
        text = tr("{} can't be fetched: the server answered {}.")
        raise ValueError(text.format(tr(TITLE), response.status))
    return js.File.new(to_js([blob]), ADDRESS)
