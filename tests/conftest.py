import signal

import pytest
from hypothesis import settings

# How long an example takes says nothing on a busy machine.
settings.register_profile("project", deadline=None)
settings.load_profile("project")

# Tests that run in the background ignore Ctrl-C, and so would the programs that they start and stop by it.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is of full size takes its time."""
    for item in items:
        if item.get_closest_marker("full"):
            item.add_marker(pytest.mark.timeout(0))
