"""Names on which the engine, the page and scripts agree."""

import pytest

from scripts.common import index
from umx import names
from umx.names import target_of, title_of


@pytest.mark.parametrize(
    ("target", "title"),
    [("other", "melody"), ("residual", "rest"), ("vocals", "vocals"), ("speech", "speech")],
)
def test_targets_and_what_people_call_them(target: str, title: str) -> None:
    assert title_of(target) == title
    assert target_of(title) == target
    assert title_of(title) == title  # as lists of kept songs may have it


def test_scripts_read_the_same_name_without_the_package() -> None:
    assert index.MANIFEST == names.MANIFEST
