"""What memory a block takes."""

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

MEGABYTE = 1 << 20


@contextmanager
def cheaply(limit: int = 4 * MEGABYTE) -> Iterator[None]:
    """Fail where the block takes more bytes than that at a time."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()
