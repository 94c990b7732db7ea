"""Files and names that are hard on a page: each gets its stems or one sentence, and the page goes on."""

import base64
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from corpus import FILMS, NAMES, SOUND, Case, encoded, films, formats, signals
from pages import stems
from playwright.sync_api import Locator, Page, expect
from songs import PATIENCE, RATE, drop, expect_state, snr

TARGETS = ("vocals", "drums", "bass", "melody")

CARDS = """() => Promise.all(Array.from(document.querySelectorAll(".card"), async card => ({
  state: card.dataset.state,
  status: card.querySelector(".status").textContent,
  sizes: await Promise.all(Array.from(card.querySelectorAll("a[download]"), async link =>
    (await (await fetch(link.href)).blob()).size)),
})))"""

DROP = """([name, content]) => {
  const bytes = Uint8Array.from(atob(content), letter => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name));
  document.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, cancelable: true }));
}"""


@pytest.fixture(scope="module")
def address(stand_in: str) -> str:
    return stand_in


def ended(page: Page, cases: list[Case]) -> dict[str, Locator]:
    """The cards of files that are dropped together, once all of them have ended."""
    drop(page, *[(case.name, case.content) for case in cases])
    for state in ("waiting", "decoding", "running"):
        expect(page.locator(f".card[data-state={state}]")).to_have_count(0, timeout=10 * PATIENCE)
    cards = page.locator(".card").all()
    assert len(cards) == len(cases)
    return {case.name: card for case, card in zip(cases, cards, strict=True)}


def check(page: Page, cases: list[Case]) -> dict[str, Locator]:
    """Drop files together, see that each comes to what it should; their cards."""
    cards = ended(page, cases)
    for case, card in zip(cases, page.evaluate(CARDS), strict=True):
        check_one(case, **card)
    return cards


def check_one(case: Case, state: str, status: str, sizes: list[int]) -> None:
    if state == "failed":
        assert case.samples is None, f"{case.name}: {status}"
        assert not case.played, f"{case.name}: {status}"
        assert re.fullmatch(f"“{re.escape(case.name)}” .+[.]", status)
        return
    assert state == "done"
    assert not case.refused, case.name
    assert len(sizes) == 5
    assert len(set(sizes)) == 1
    frames = (sizes[0] - 44) // 4
    assert frames > 0
    if case.samples is not None:
        assert abs(frames - case.samples) <= case.slack, case.name


def test_every_format_gives_stems_or_a_sentence(page: Page) -> None:
    check(page, list(formats()))


def test_films(page: Page) -> None:
    """With sound and without, and what else only a browser writes."""
    made = page.evaluate(FILMS)
    check(page, list(films(made)))


@pytest.mark.engine
def test_whatever_is_in_the_samples(page: Page) -> None:
    cards = check(page, list(signals()))
    for stem in stems(cards["silence.wav"]).values():
        assert not np.frombuffer(stem[44:], "<i2").any()
    sound = total(cards["not numbers.wav"])
    assert snr(sound[4000:], SOUND[4000:]) > 10


READ = """() => {
  const before = Blob.prototype.arrayBuffer;
  window.mostRead = 0;
  Blob.prototype.arrayBuffer = function () {
    window.mostRead = Math.max(window.mostRead, this.size);
    return before.call(this);
  };
}"""


def test_two_gigabytes(page: Page, tmp_path: Path) -> None:
    """Of nothing, and of samples that nobody can read: told of without being taken into memory."""
    page.evaluate(READ)
    unknown = b"RIFF\xf8\xff\xff\x7fWAVEfmt " + struct.pack(
        "<IHHIIHH", 16, 0x1234, 2, RATE, 1, 1, 1
    )
    for name, head in (("zeros.mp4", b""), ("unknown.wav", unknown + b"data\xd0\xff\xff\x7f")):
        with (tmp_path / name).open("wb") as file:
            file.write(head)
            file.truncate(1 << 31)
    page.locator("#file").set_input_files([tmp_path / "zeros.mp4", tmp_path / "unknown.wav"])
    expect(page.locator(".card[data-state=failed]")).to_have_count(2, timeout=PATIENCE)
    for status in page.locator(".card .status").all_inner_texts():
        assert re.fullmatch("“.+” .+[.]", status)
    assert page.evaluate("mostRead") < 100_000_000


RESAMPLE = """
import asyncio, js
from page.files import encode

async def tell():
    file = js.document.getElementById("probe").files[0]
    planes = await encode.resampled(file, 300_000_000, "float", {begin}, 44100, 4)
    js.document.getElementById("probe").dataset.found = js.JSON.stringify(js.Array["from"](planes))

asyncio.create_task(tell())
"""


def test_samples_beyond_two_gigabytes_are_encoded(page: Page, tmp_path: Path) -> None:
    """As of two hours in 32 bits, here without music."""
    begin = 280_000_000
    with (tmp_path / "samples").open("wb") as file:
        file.truncate(8 * 300_000_000)
        file.seek(8 * begin)
        file.write(np.arange(8, dtype="<f4").tobytes())
    page.evaluate("""() => document.body.append(Object.assign(
      document.createElement("input"), { type: "file", id: "probe" }))""")
    probe = page.locator("#probe")
    probe.set_input_files(tmp_path / "samples")
    page.evaluate(
        """code => document.body.append(Object.assign(
          document.createElement("script"), { type: "mpy", textContent: code }))""",
        RESAMPLE.format(begin=begin),
    )
    expect(probe).to_have_attribute("data-found", "[0,2,4,6,1,3,5,7]", timeout=PATIENCE)
    probe.evaluate("node => node.remove()")


def total(card: Locator) -> np.ndarray:
    """What a song's stems add up to."""
    files = stems(card)
    return sum(np.frombuffer(files[t][44:], "<i2").reshape(-1, 2) / 32768 for t in TARGETS)


@pytest.mark.parametrize("name", NAMES)
def test_names_are_text(name: str, page: Page) -> None:
    dialogs: list[str] = []
    page.once("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    content = base64.b64encode(encoded(SOUND, "WAV", "PCM_16")).decode()
    page.evaluate(DROP, [name, content])
    expect_state(page, "done")
    title = page.locator(".card .title").text_content()
    assert title
    assert title in name
    assert len(title) >= min(len(name) - 4, 1)
    assert page.locator(".card script, .card img").count() == 0
    links = [str(link.get_attribute("download")) for link in page.locator("a[download]").all()]
    assert len(links) == 5
    for link, stem in zip(links, (*TARGETS, "karaoke"), strict=True):
        assert link.endswith(f" - {stem}.wav")
        assert not re.search(r'[/\\<>:"|?*\n]', link)
        assert len(link.encode()) <= 255
        if re.fullmatch(r"[\w ']{,100}", title):
            assert link == f"{title} - {stem}.wav"
    assert dialogs == []
