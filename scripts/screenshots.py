"""Take pictures of the site as built, in every state of the page, for docs/: `python3 scripts/screenshots.py`."""

import base64
import json
import shutil
import sys
import tempfile
import threading
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # where the package `scripts` lies

from scripts import bench, test
from scripts.build import build
from scripts.common.environment import ROOT
from scripts.common.index import write_index
from scripts.serve import server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page, Route

FOLDER = ROOT / "docs" / "screenshots"
QUALITY = 70
"""WebP's quality in percent; text stays sharp."""
SIZES = {"phone": (390, 844), "desktop": (1280, 800)}
SCHEMES = ("light", "dark")
TITLES = ("Evening light", "Paper boats", "The slow river")
REPEATS = 9
"""Times the demo song of 24 seconds, so that there is something to see while it works."""

COMPLAINTS: list[str] = []
"""Errors that nobody caught, which the pictures would show in boxes."""

# The page's main part is as high as the window at least, whatever the window is in pictures of the whole page.
KEEP_HEIGHT = "height => { document.querySelector('main').style.minHeight = `${height}px`; }"

# Whether a waveform is drawn to its end.
IS_DRAWN = """canvas => {
  const end = canvas.getContext("2d").getImageData(canvas.width - 2, 0, 1, canvas.height).data;
  return end.some(value => value);
}"""

# No phone lets a page write into a folder.
NO_FOLDERS = "delete window.showDirectoryPicker"


def main() -> None:
    from playwright.sync_api import sync_playwright

    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as work, sync_playwright() as playwright:
        site, larger = build(Path(work) / "site"), Path(work) / "larger"
        shutil.copytree(site, larger)
        add_large_model(larger)
        with serving(site) as address, serving(larger) as with_choice:
            browser = playwright.chromium.launch(
                executable_path=test.find_browser(), args=bench.FLAGS
            )
            songs = compose(browser, address, Path(work))
            for size in SIZES:
                for scheme in SCHEMES:
                    take_all(browser, address, size, scheme, songs)
                    take_choice(browser, with_choice, size, scheme, songs[0])
                    take_about(browser, address, size, scheme)
                    take_analysed(browser, address, size, scheme)
            take_in_japanese(browser, address)
            browser.close()
    if COMPLAINTS:
        sys.exit("\n".join(["The page complained:", *COMPLAINTS]))
    pictures = list(FOLDER.glob("*.webp"))
    total = sum(picture.stat().st_size for picture in pictures)
    print(f"{len(pictures)} pictures of {total / 1e6:.1f} MB in all are in {FOLDER}.")


@contextmanager
def serving(site: Path) -> Iterator[str]:
    with server(site, prefix=bench.PREFIX) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://localhost:{http.server_port}{bench.PREFIX}?workers=2"
        http.shutdown()


def add_large_model(site: Path) -> None:
    """Random weights of UMX-L's shape, under its name: pictures show its description, not its sound."""
    from umx.models.official import OFFICIAL

    folder = site / "weights" / "umxl"
    bench.random_model(folder, "1024", 4)
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | OFFICIAL["umxl"].fields()))
    write_index(site / "weights")


def compose(browser: "Browser", address: str, folder: Path) -> list[Path]:
    """Songs of some minutes, made of the demo song."""
    page = browser.new_page()
    page.goto(address)
    page.locator("#demo").click()
    bench.settled(page, "done")
    with page.expect_download() as waiting:
        page.locator(".mix").click()
    songs = []
    with wave.open(str(waiting.value.path())) as demo:
        samples = demo.readframes(demo.getnframes())
        for title in TITLES:
            songs.append(folder / f"{title}.wav")
            with wave.open(str(songs[-1]), "wb") as song:
                song.setparams(demo.getparams())
                song.writeframes(REPEATS * samples)
    page.close()
    return songs


def take_all(browser: "Browser", address: str, size: str, scheme: str, songs: list[Path]) -> None:
    """Make a visit with every state of the page, and take a picture of each."""
    page = visit(browser, size, color_scheme=scheme)

    def take(state: str, whole: bool = True) -> None:
        picture(page, f"{size} {scheme} {state}", whole)

    # The engine waits for the first file of its model.
    page.route("**/vocals.safetensors.gz", lambda route: None)
    page.goto(address)
    page.locator("#engine", has_text="%").wait_for()
    take("1 getting ready")
    page.locator("#options > summary").click()
    page.locator("#options [value=melody]").uncheck()
    page.locator("#file").set_input_files(songs[0])
    page.locator(".status", has_text="Waiting for the engine").wait_for()
    take("10 waiting for the engine, with fewer stems")
    page.locator(".cancel").click()
    take("11 cancelled")
    page.locator("#options [value=melody]").check()
    page.locator("#options > summary").click()
    page.unroute("**/vocals.safetensors.gz")
    page.route("**/manifest.json", lambda route: route.fulfill(status=404))
    page.goto(address)
    page.locator("#restart").wait_for()
    take("12 no engine")
    page.unroute("**/manifest.json")
    page.goto(address)
    bench.settled(page, "ready")
    page.locator("#offline").wait_for()
    take("2 ready")
    for summary in page.locator("summary").all():
        summary.click()
    take("3 models, settings and details")
    for summary in page.locator("summary").all():
        summary.click()
    page.locator("#help-button").click()
    take("4 shortcuts", whole=False)  # the page behind the dialog ends with the window
    page.keyboard.press("Escape")

    page.evaluate("scrollTo(0, 0)")
    page.locator("#file").set_input_files(songs)
    page.locator(".status", has_text="%").wait_for()
    page.locator(".play").first.click()
    # The first may be done by now.
    page.wait_for_function(
        "[...document.querySelectorAll('progress')].some(bar => bar.value > 0.4)"
    )
    take("5 listening while it works")
    page.locator(".play").first.click()
    bench.settled(page, "done")
    page.locator("[data-preset=karaoke]").first.click()
    if page.locator(".more").first.is_visible():
        page.locator(".more").first.click()
    page.locator(".card .pan").nth(2).fill("-0.4")
    take("6 done")
    page.locator("[data-preset=everything]").first.click()
    page.locator(".card .solo").nth(1).click()
    drag_over(page.locator(".card .lane canvas").nth(1))
    page.locator(".loop[aria-pressed=true]").wait_for()
    take("13 loop and solo")
    page.locator(".card .format").first.select_option("mp3")
    page.locator(".status", has_text="Preparing MP3").wait_for()
    take("19 preparing MP3")
    page.locator("a[download$='.mp3']").nth(4).wait_for()
    for card in page.locator(".remove").all()[:0:-1]:
        card.click()
    page.locator("#removed").wait_for()
    take("20 removed", whole=False)  # what can be undone is told at the window's bottom
    page.locator("#removed").wait_for(state="hidden")
    broken = songs[0].with_name("Holiday.mp3")
    broken.write_text("no music")
    page.locator("#file").set_input_files(broken)
    page.locator(".card[data-state=failed]").wait_for()
    take("7 a file that is no song")
    page.reload()
    page.locator(".card[data-state=done]").wait_for()
    bench.settled(page, "ready")
    take("8 kept")
    page.locator("#file").set_input_files(songs[1:])
    page.locator(".status", has_text="%").wait_for()
    page.reload()
    page.locator(".card[data-state=cancelled]").nth(1).wait_for()
    bench.settled(page, "ready")
    take("21 interrupted")
    page.locator(".choose:visible").first.click()
    wave = page.locator(".excerpt:visible canvas")
    wave.wait_for()
    page.wait_for_function(IS_DRAWN, arg=wave.element_handle())
    drag_over(wave)
    take("25 only a part")
    page.context.close()


def drag_over(wave: "Locator") -> None:
    """Drag over the middle of a waveform."""
    wave.scroll_into_view_if_needed()
    box = wave.bounding_box()
    assert box
    mouse = wave.page.mouse
    mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 9)
    mouse.down()
    mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 9)
    mouse.up()


def take_choice(browser: "Browser", address: str, size: str, scheme: str, song: Path) -> None:
    """Make two first visits to a site with a large model, which arrives there during the first."""
    page = visit(browser, size, color_scheme=scheme, service_workers="block")

    def take(state: str) -> None:
        picture(page, f"{size} {scheme} {state}")

    def delay(route: "Route") -> None:
        models = route.fetch().json()
        coming = {"coming": 0.4, "seconds_left": 100}
        route.fulfill(
            json=[model | coming if model["name"] == "umxl" else model for model in models]
        )

    page.route("**/weights/index.json", delay)
    page.goto(address)
    page.locator("html[data-state=ready]").wait_for()
    page.locator("#model-news", has_text="on its way").wait_for()
    take("14 a better model comes to the site")
    page.unroute("**/weights/index.json")

    held: list[Route] = []
    page.route("**/umxl/other.*", lambda route: held.append(route))
    page.goto(address)
    page.locator("#model-news", has_text="s left").wait_for()
    page.locator("#file").set_input_files(song)
    page.locator(".status", has_text="s left").wait_for()
    take("15 a song that waits for the better model")
    page.locator(".way").click()
    bench.settled(page, "done")
    held[0].continue_()
    page.locator(".way", has_text="Again, better").wait_for()
    bench.settled(page, "done")
    take("16 again, better")
    page.locator("#model-menu > summary").click()
    take("17 the choice of models")
    page.locator("#model-menu > summary").click()
    page.locator(".way").click()
    page.locator(".status", has_text="with UMX-L").wait_for()
    take("18 with the better model")
    page.context.close()


def take_about(browser: "Browser", address: str, size: str, scheme: str) -> None:
    page = visit(browser, size, color_scheme=scheme)
    page.goto(address.partition("?")[0] + "app/about/index.html")
    picture(page, f"{size} {scheme} 22 about")
    page.context.close()


def take_analysed(browser: "Browser", address: str, size: str, scheme: str) -> None:
    """What is said of the demo song's music, and what is made of it."""
    page = visit(browser, size, color_scheme=scheme)
    page.goto(address)
    page.locator("html[data-state=ready]").wait_for()
    page.locator("#demo").click()
    bench.settled(page, "done")
    page.locator(".analyse").click()
    page.locator(".half").wait_for()
    page.locator(".analysis .chords > summary").click()
    picture(page, f"{size} {scheme} 23 analysed")
    page.locator(".key").select_option("3")
    page.locator(".lanes .hear").click()
    picture(page, f"{size} {scheme} 24 another key, and a click on the beats")
    page.context.close()


def take_in_japanese(browser: "Browser", address: str) -> None:
    page = visit(browser, "phone", locale="ja-JP")
    page.goto(address)
    page.locator("html[data-state=ready]").wait_for()
    page.locator("#demo").click()
    bench.settled(page, "done")
    picture(page, "phone light 9 in Japanese")
    page.context.close()


def visit(browser: "Browser", size: str, **options: str) -> "Page":
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        bypass_csp=True,  # to look at the page from within
        has_touch=size == "phone",
        is_mobile=size == "phone",
        **options,  # type: ignore[arg-type]
    )
    context.on("weberror", lambda error: COMPLAINTS.append(str(error.error)))
    context.set_default_timeout(bench.PATIENCE_MS)  # on a machine with other work, too
    page = context.new_page()
    if size == "phone":
        page.add_init_script(NO_FOLDERS)
    return page


def picture(page: "Page", name: str, whole: bool = True) -> None:
    """A picture of the whole page, or of the window, as WebP, which Playwright itself doesn't offer."""
    session, size = page.context.new_cdp_session(page), page.viewport_size
    assert size
    if whole:
        # The window becomes as high as the page: beyond the window, pictures are as of a screen without touch.
        page.evaluate(KEEP_HEIGHT, size["height"])
        height = page.evaluate("document.documentElement.scrollHeight")
        page.set_viewport_size({"width": size["width"], "height": height})
    found = session.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
    page.set_viewport_size(size)
    (FOLDER / f"{name.replace(',', '').replace(' ', '-')}.webp").write_bytes(
        base64.b64decode(found["data"])
    )
    session.detach()


if __name__ == "__main__":
    bench.in_environment()
    main()
