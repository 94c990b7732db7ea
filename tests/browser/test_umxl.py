"""UMX-L's size in the page: four checkpoints of 113 MB become a model within memory, which works offline."""

from pathlib import Path

import pytest
import umxl
from pages import serving
from playwright.sync_api import BrowserType, expect
from songs import card, compose, drop, expect_state, wav

from scripts.serve import server
from tests import full_size

pytestmark = pytest.mark.full
LONG = 240_000  # milliseconds


def test_picked_files_become_a_model_within_memory_and_separate_offline(
    browser_type: BrowserType, browser_type_launch_args: dict, tmp_path: Path
) -> None:
    bench = pytest.importorskip("bench")
    pytest.importorskip("psutil")
    checkpoints = list(full_size.save(tmp_path / "picked").values())
    folder = umxl.build_site(tmp_path / "built", checkpoints)
    # What is kept is on the disk, as a visitor's is: a window without a profile keeps it in memory.
    context = browser_type.launch_persistent_context(
        tmp_path / "profile", **browser_type_launch_args
    )
    with serving(server(folder)) as url:
        page = context.new_page()
        page.goto(url + "?workers=1")
        expect_state(page, "ready")
        page.locator("#model-menu > summary").click()
        before = bench.memory()
        with bench.peak_memory() as peak:
            page.locator("#file").set_input_files(checkpoints)
            text = page.locator("#conversion-text")
            expect(text).to_contain_text("kept on this device", timeout=LONG)
        chosen = page.locator("#model-list [data-model=umxl]")
        expect(chosen.locator("input")).to_be_checked()
        facts = chosen.inner_text()
        expect(page.locator("#model")).to_contain_text("UMX-L", timeout=LONG)
        expect(page.locator("#offline")).to_be_visible(timeout=LONG)
    print(f"\n{facts}; {before:.0f} MB before, {peak():.0f} MB at most while converting")
    assert peak() - before < 500

    context.set_offline(True)
    page.reload()
    expect(page.locator("#model")).to_contain_text("UMX-L", timeout=LONG)
    expect_state(page, "ready")
    drop(page, ("song.wav", wav(compose(20))))
    expect(card(page, "song").locator("a[download]")).to_have_count(5, timeout=LONG)
    context.close()
