"""Files and names that are hard on a page: each gets its stems or one sentence, and the page goes on."""

import base64
import re

import numpy as np
import pytest
from corpus import NAMES, SOUND, Case, encoded, formats, signals
from pages import stems
from playwright.sync_api import Locator, Page, expect
from songs import PATIENCE, drop, expect_state, snr

from umx.audio import to_stereo

TARGETS = ("vocals", "drums", "bass", "melody")

SIZES = """card => Promise.all(Array.from(card.querySelectorAll("a[download]"), async link =>
  (await (await fetch(link.href)).blob()).size))"""

DROP = """([name, content]) => {
  const bytes = Uint8Array.from(atob(content), letter => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name));
  document.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, cancelable: true }));
}"""


def ended(page: Page, cases: list[Case]) -> dict[str, Locator]:
    """The cards of files that are dropped together, once all of them have ended."""
    drop(page, *[(case.name, case.content) for case in cases])
    for state in ("waiting", "decoding", "running"):
        expect(page.locator(f".card[data-state={state}]")).to_have_count(0, timeout=10 * PATIENCE)
    cards = page.locator(".card").all()
    assert len(cards) == len(cases)
    return {case.name: card for case, card in zip(cases, cards, strict=True)}


def check(case: Case, card: Locator) -> None:
    state, status = card.get_attribute("data-state"), card.locator(".status").inner_text()
    if state == "failed":
        assert case.samples is None, f"{case.name}: {status}"
        assert re.fullmatch(f"“{re.escape(case.name)}” .+[.]", status)
        return
    assert state == "done"
    assert not case.refused, case.name
    sizes = card.evaluate(SIZES)
    assert len(sizes) == 5
    assert len(set(sizes)) == 1
    frames = (sizes[0] - 44) // 4
    assert frames > 0
    if case.samples is not None:
        # Browsers resample in blocks of their own.
        slack = 0 if case.samples == int(case.samples) and case.samples <= 2 else 2
        assert abs(frames - case.samples) <= slack, case.name


def test_every_format_gives_stems_or_a_sentence(page: Page) -> None:
    cases = list(formats())
    cards = ended(page, cases)
    for case in cases:
        check(case, cards[case.name])


def test_whatever_is_in_the_samples(page: Page) -> None:
    cases = list(signals())
    cards = ended(page, cases)
    for case in cases:
        check(case, cards[case.name])
    for stem in stems(cards["silence.wav"]).values():
        assert not np.frombuffer(stem[44:], "<i2").any()
    sound = total(cards["not numbers.wav"])
    assert snr(sound[4000:], SOUND[4000:]) > 10


def total(card: Locator) -> np.ndarray:
    """What a song's stems add up to."""
    files = stems(card)
    return sum(np.frombuffer(files[t][44:], "<i2").reshape(-1, 2) / 32768 for t in TARGETS)


def test_no_channel_is_lost(page: Page) -> None:
    """Any number of them is mixed as on a desktop."""
    songs = {}
    for count in range(1, 9):
        sound = np.stack([np.roll(SOUND[:, 0], 3000 * i) for i in range(count)], axis=-1)
        songs[Case(f"{count}.wav", encoded(sound / 2, "WAV", "PCM_16"))] = to_stereo(sound.T / 2)
    cards = ended(page, list(songs))
    for case, expected in songs.items():
        assert snr(total(cards[case.name]), expected.T) > 10, case.name


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
