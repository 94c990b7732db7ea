"""Files that were dropped, also in folders."""

import js
from pyscript.ffi import create_proxy

from page.promises import settle

ENDINGS = ("aac", "aif", "aiff", "caf", "flac", "m4a", "mka", "mp3", "oga", "ogg", "opus", "wav")
"""Of files that may be songs though the browser has no type for them."""


def entries(transfer):
    """What was dropped: Files, and FileSystemEntries of folders where the browser has them.

    It has to be asked for at once: it is gone after the event.
    """
    items = [item for item in list(transfer.items) if item.kind == "file"]
    # The entry of what is no file on disk, such as a mail's attachment, can't be read in every browser; the File can.
    return [folder_of(item) or item.getAsFile() for item in items] or list(transfer.files)


def folder_of(item):
    entry = item.webkitGetAsEntry()
    return entry if entry and entry.isDirectory else None


async def within(entries):
    """All the Files; of those in folders, what looks like sound, in order of name. Raises RejectedError."""
    found = []
    for entry in entries:
        if getattr(entry, "isDirectory", False):
            inside = sorted(await children(entry), key=lambda child: child.name)
            files = await within(inside)
            found += [file for file in files if may_be_sound(file)]
        elif getattr(entry, "isFile", False):
            found.append(await called_back(entry.file))
        else:
            found.append(entry)
    return found


def may_be_sound(file):
    if not file.type:
        return file.name.lower().split(".")[-1] in ENDINGS
    return file.type.split("/")[0] in ("audio", "video")


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
