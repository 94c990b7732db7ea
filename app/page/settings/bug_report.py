"""The text that visitors paste into a bug report. It names no file, and nothing of a file's content."""

import js

from page.promises import RejectedError, settle
from page.text.texts import tr
from umx.version import VERSION


def text(pool, jobs):
    device = js.navigator
    lines = [
        "Version: " + VERSION,
        "Page: " + js.location.origin + js.location.pathname,
        "Browser: " + device.userAgent,
        "Cores: {}; memory: {} GB".format(
            getattr(device, "hardwareConcurrency", None) or "unknown",
            getattr(device, "deviceMemory", None) or "unknown",
        ),
        "Engine: {}; workers: {}".format(pool.engine or pool.failure or "loading", pool.size),
        "Model: {}".format(pool.model.name if pool.model else "none"),
    ]
    for job in jobs:
        song = job.song
        status = " ".join([job.card.status.textContent, job.card.speed.textContent])
        for title in (song.title, song.file_title):
            status = status.replace(title, "…")
        facts = (song.state, song.length, song.kind, ", ".join(song.targets), status)
        lines.append("Song: {}; {} samples; {}; {}; {}".format(*facts))
    return "\n".join(lines) + "\n"


async def copy(pool, jobs):
    """Copy the report to the clipboard, which pages over plain http don't have. Gives the message to show."""
    try:
        await settle(js.navigator.clipboard.writeText(text(pool, jobs)))
    except (AttributeError, RejectedError):
        return tr("The browser doesn't let the page copy.")
    return tr("Copied.")
