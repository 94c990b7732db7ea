import pytest

from umx.desktop import download


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds for which downloads would wait, one after the other; and no host is known yet."""
    seconds: list[float] = []
    monkeypatch.setattr(download, "sleep", seconds.append)
    monkeypatch.setattr(download, "_live_hosts", set())
    monkeypatch.setattr(download, "_dead_hosts", set())
    return seconds
