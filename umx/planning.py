"""How a song is cut: into batches of segments, and into the windows that tell its level.

The page imports this module, too, and need not wait for a worker to know what to ask for: pure Python, on MicroPython
as well.
"""

WINDOW = 44100
"""Samples whose power is measured together; about the second that people hear loudness by."""
MOST_WINDOWS = 60
"""How many windows are enough where listening to a whole song would take time."""


def batches(
    samples: int,
    segment: int,
    overlap: int,
    batch_size: int,
    fixed: bool,
    workers: int,
    excerpt: "tuple[int, int] | None" = None,
) -> "list[tuple[tuple[int, ...], int, tuple[int, ...], int]]":
    """Cut a song into batches of equal size, as many for one worker as for the next, in the song's order.

    segment, overlap, batch_size, fixed: as `models.Cutting` has them; excerpt: begin and end in samples, to have only
    the segments of the whole song that reach into it. So an excerpt's stems are those of the song. Its last batch may
    be smaller than the others. Gives the fields of `segments.Batch` for each.

    Segments get as much shorter than `segment` as it takes for the work to come out even, so that no worker is left
    alone with the end of the song. The last one may reach past the end by less than one sample a segment.
    Where segments are fixed, there are as few as can be, and each is in the middle of a whole one, or near it at the
    ends of the song.
    """
    if samples <= 0:
        return []
    if fixed:
        workers = 1  # shorter segments would take as long
    count = max(1, -(-(samples - overlap) // (segment - overlap)))
    number, each = shares(count, batch_size, workers)
    count = each * number
    if count == 1:
        return [((0,), samples, (0,), samples)]
    stride = -(-(samples - overlap) // count)
    length = stride + overlap
    span = segment if fixed else length
    last = (count - 1) * stride + length - span
    starts = [index * stride for index in range(count)]
    if excerpt:
        starts = [start for start in starts if start < excerpt[1] and excerpt[0] < start + length]
        number, each = shares(len(starts), batch_size, workers)
    cuts = [min(max(0, start - (span - length) // 2), last) for start in starts]
    return [
        (tuple(starts[first : first + each]), length, tuple(cuts[first : first + each]), span)
        for first in range(0, len(starts), each)
    ]


def shares(count: int, batch_size: int, workers: int) -> "tuple[int, int]":
    """How many batches segments make, and how many of them each batch has at most."""
    number = count if count < workers else -(-count // (batch_size * workers)) * workers
    return number, -(-count // number)


def windows(samples: int) -> "list[int]":
    """Where the windows start that tell a song's level: all that it has, or as many as are enough, evenly spread.

    In a song shorter than a window there is one, as long as the song.
    """
    last = max(0, samples // WINDOW - 1)
    count = min(MOST_WINDOWS, last + 1)
    return [index * last // max(1, count - 1) * WINDOW for index in range(count)]
