"""Files that were dropped, also in folders."""

import js
from promises import settle
from pyscript.ffi import create_proxy


def entries(transfer):
    """What was dropped, as FileSystemEntries where the browser has them, else as Files.

    It has to be asked for at once: it is gone after the event.
    """
    found = []
    for item in list(transfer.items):
        entry = item.webkitGetAsEntry() if item.kind == "file" else None
        if entry:
            found.append(entry)
    return found or list(transfer.files)


async def within(entries):
    """All the Files; of those in folders, what looks like sound, in order of name."""
    found = []
    for entry in entries:
        if not getattr(entry, "isDirectory", False):
            found.append(await file_of(entry))
            continue
        inside = sorted(await children(entry), key=lambda child: child.name)
        found += [
            file for file in await within(inside) if file.type.split("/")[0] in ("audio", "video")
        ]
    return found


async def file_of(entry):
    """A File entry's File; a File is itself."""
    return await called_back(entry.file) if getattr(entry, "isFile", False) else entry


async def children(folder):
    reader, found = folder.createReader(), []
    while True:  # browsers give a hundred at a time
        some = list(await called_back(reader.readEntries))
        if not some:
            return found
        found += some


async def called_back(function):
    """What a function gives to the first of its two callbacks; the second is for errors."""
    return await settle(
        js.Promise.new(create_proxy(lambda resolve, reject: function(resolve, reject)))
    )
