"""Files that were dropped, also in folders."""

import js
from pyscript.ffi import create_proxy

from page.files import refusals
from page.promises import RejectedError, settle

ENDINGS = ("aac", "aif", "aiff", "caf", "flac", "m4a", "mka", "mp3", "oga", "ogg", "opus", "wav")
VIDEOS = ("avi", "m4v", "mkv", "mov", "mp4", "webm")
"""Endings of files that may be songs, or videos with sound, though the browser has no type for them."""


def entries(transfer):
    """Everything that was dropped: Files, and FileSystemEntries of folders where the browser has them.

    To be called within the event: afterwards it is gone.
    """
    items = [item for item in list(transfer.items) if item.kind == "file"]
    # Some browsers can't read the entry of what is no file on disk, such as a mail's attachment. The File works.
    return [folder_of(item) or item.getAsFile() for item in items] or list(transfer.files)


def folder_of(item):
    entry = item.webkitGetAsEntry()
    return entry if entry and entry.isDirectory else None


async def taken(entries):
    """The Files in what was dropped. Raises DecodeError where nothing in there is taken."""
    try:
        found = await within(entries)
    except RejectedError as error:
        raise refusals.unreadable_drop(error)
    if entries and not found:
        raise refusals.no_songs()
    return found


async def within(entries):
    """All the Files, and from folders those that look like sound, by name. Raises RejectedError."""
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
        return file.name.lower().split(".")[-1] in ENDINGS + VIDEOS
    return file.type.split("/")[0] in ("audio", "video")


async def children(folder):
    reader, found = folder.createReader(), []
    while True:  # browsers give a hundred at a time
        some = list(await called_back(reader.readEntries))
        if not some:
            return found
        found += some


async def called_back(function):
    """The argument of the first of a function's two callbacks; the second is for errors."""
    return await settle(
        js.Promise.new(create_proxy(lambda resolve, reject: function(resolve, reject)))
    )
