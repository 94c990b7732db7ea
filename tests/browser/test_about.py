"""The page about the page and the notes: for everybody, in every language, without a script."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect
from test_access import check, is_for_phones_too

from page.text.texts import LANGUAGES

ABOUT = "app/about/"


@pytest.fixture(scope="module")
def address(stand_in: str) -> str:
    return stand_in


@pytest.mark.parametrize("width", [320, 1280])
def test_axe_finds_nothing_and_nothing_is_wider_than_a_phone(visit: Callable, width: int) -> None:
    page, _ = visit(ABOUT + "index.html", viewport={"width": width, "height": 800})
    check(page, "en")
    for language in LANGUAGES:
        is_for_phones_too(page)
        page.locator(f"nav [hreflang={language}]").click()
        expect(page.locator("html")).to_have_attribute("lang", language)
        expect(page.locator("[aria-current]")).to_have_attribute("hreflang", language)
    is_for_phones_too(page)
    check(page, language)


def test_axe_finds_nothing_in_the_notes(visit: Callable) -> None:
    page, _ = visit(ABOUT + "index.html", viewport={"width": 320, "height": 800})
    names = [str(link.get_attribute("href")) for link in page.locator(".notes a").all()]
    assert len(names) > 5
    for name in names:
        page.locator(f".notes [href='{name}']").click()
        expect(page.locator("h1")).to_have_count(1)
        check(page, name)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.locator(".back").click()
    expect(page).to_have_title("Vocals, drums, bass and melody: how this page takes songs apart")


def test_the_page_leads_there_and_back_in_the_visitor_s_language(visit: Callable) -> None:
    page, _ = visit("?workers=1", locale="fr-FR")
    page.get_by_role("link", name="Comment cette page sépare les chansons").click()
    expect(page.locator("html")).to_have_attribute("lang", "fr")
    expect(page.locator("h2").first).to_have_text("À quoi ça sert")
    page.get_by_role("link", name="Séparer une chanson").click()
    expect(page.locator("#drop")).to_be_visible()


def test_it_is_painted_without_a_script(visit: Callable) -> None:
    def prepare(page: Page) -> None:
        page.route("**/*.{js,mjs,py,wasm}", lambda route: route.abort())

    page, complaints = visit(ABOUT + "index.html", prepare, java_script_enabled=False)
    expect(page.get_by_role("heading", name="Why nothing is uploaded")).to_be_visible()
    assert complaints == []
