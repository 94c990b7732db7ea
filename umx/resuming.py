"""How a broken download goes on: when to try again, and from which byte. Each place that fetches asks in its own way.

Pure Python: the page imports PAUSES, too. The service worker has its own in JavaScript.
"""

PAUSES = (1, 2, 4, 8)
"""Seconds before each further attempt, as long as none gets any further."""


class Attempts:
    """Further attempts at one file; the list of pauses starts anew once an attempt gets further."""

    def __init__(self, pauses: "tuple[float, ...]" = PAUSES):
        self.pauses, self.left = pauses, list(pauses)
        self.furthest = 0

    def pause(self, have: int) -> "float | None":
        """Seconds to wait before the next attempt; None when it is time to give up.

        have: bytes that have come.
        """
        if have > self.furthest:
            self.furthest, self.left = have, list(self.pauses)
        return self.left.pop(0) if self.left else None


def headers(have: int) -> "dict[str, str]":
    """What to ask with for the bytes from `have` on."""
    return {"Range": "bytes=" + str(have) + "-"} if have else {}


def continues(status: int, content_range: "str | None", have: int) -> bool:
    """Whether an answer goes on at byte `have`; a server may send the whole file, or another range.

    status: HTTP's. content_range: the header; None where there is none. A server of another origin may hide it from a
    page: then the status is believed.
    """
    if status != 206:
        return False
    return content_range is None or content_range.startswith("bytes " + str(have) + "-")
