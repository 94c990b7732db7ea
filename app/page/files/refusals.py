"""Why a file is refused: every reason, in words for the visitor. Errors of checkpoints have theirs in their codes, see
`text.texts.said`."""

from page.text.texts import tr
from page.view import clock


class DecodeError(Exception):
    """A file that can't be decoded; says which, and why."""


def gone(name):
    return DecodeError(
        tr("“{}” is gone, or has changed since it was chosen: choose it again.").format(name)
    )


def unreadable(name):
    return DecodeError(
        tr("“{}” can't be read as audio by this browser: convert it to MP3 or WAV.").format(name)
    )


def damaged(name, second):
    """second: where in the song."""
    text = tr("“{}” can't be read as audio at {}: it is damaged there.")
    return DecodeError(text.format(name, clock(second)))


def empty(name):
    return DecodeError(tr("“{}” holds no audio.").format(name))


def too_large(name):
    return DecodeError(
        tr("“{}” is too large to be read at once: save its sound alone, as WAV.").format(name)
    )


def too_long(name, seconds, most):
    """most: seconds for which there is room."""
    text = tr(
        "“{}” lasts {} minutes, and this browser has room for {} minutes of a file of its kind: "
        "cut it in parts, or save it as WAV, which may be as long as you like."
    )
    return DecodeError(text.format(name, int(seconds / 60), int(most / 60)))


def unreadable_drop(error):
    return DecodeError(tr("What was dropped can't be read: {}").format(error))


def no_songs():
    return DecodeError(tr("No songs are in what was dropped."))
