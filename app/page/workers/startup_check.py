"""Checks that a worker's files can be fetched. Pyodide waits for ever for some of them, and reports nothing."""

import js

from page.promises import RejectedError, settle
from page.text.texts import tr

LOCK = "app/runtime.lock.json"
VENDOR = "app/vendor/"
PACKAGES = ("pyodide", "numpy")


async def trouble(addresses):
    """The reason why a file can't be fetched, in words; "" if all can. addresses: files beside the runtime's."""
    try:
        lock = await settle((await got(LOCK)).json())
        runtime = [
            VENDOR + package.folder + name
            for package in lock.packages
            if package.name in PACKAGES
            for name in js.Object.keys(package.files)
        ]
        for address in runtime + addresses:
            # Read the whole body: the network may fail in the middle.
            await settle((await got(address)).arrayBuffer())
    except RejectedError as error:
        return str(error)
    return ""


async def got(address):
    """The response to a request for an address. Raises RejectedError."""
    try:
        response = await settle(js.fetch(address))
    except RejectedError:
        raise RejectedError(
            tr("{} can't be fetched: the network is gone, or the server.").format(address)
        )
    if not response.ok:
        raise RejectedError(
            tr("{} can't be fetched: the server answered {}.").format(address, response.status)
        )
    return response
