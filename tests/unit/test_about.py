"""The page about the page: every text in every language, the models' own figures, nothing that its policy forbids."""

import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from page.text.texts import LANGUAGES
from scripts.common.about import link, texts_of, translated
from scripts.common.environment import ROOT
from umx.models.official import OFFICIAL

ABOUT = ROOT / "app" / "about"
ENGLISH = (ABOUT / "index.html").read_text("utf-8")
SAME = re.compile(r"[\d. –]*(MB)?|umx(-mini)?|UMX-\w+(, UMX-L)?|HTDemucs|MIT|CC [-A-Z]+ 4\.0")
"""Texts that are the same in every language: names, licences and figures."""
NO_TEXT = re.compile(r"width=|default-src|light dark|#")
"""Beginnings of what stands in attributes and nobody reads."""


class Page(HTMLParser):
    """Tags with their attributes, and texts outside what is marked as of a language of its own."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: set[str] = set()
        self.foreign: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if self.foreign or (tag != "html" and "lang" in dict(attrs)):
            self.foreign.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.foreign:
            self.foreign.pop()

    def handle_data(self, data: str) -> None:
        if data.strip() and not self.foreign:
            self.texts.add(" ".join(data.split()))


def own_texts() -> set[str]:
    page = Page(ENGLISH)
    spoken = {text for text in texts_of(ENGLISH) if not NO_TEXT.match(text)}
    foreign = spoken - page.texts
    labels = {text for text in foreign if f'="{text}"' in ENGLISH}
    return {text for text in page.texts | labels if not SAME.fullmatch(text)}


def translations(language: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(
        (ABOUT / "languages" / f"{language}.json").read_text("utf-8")
    )
    return found


def test_there_is_a_page_for_every_language() -> None:
    assert {path.stem for path in (ABOUT / "languages").iterdir()} == set(LANGUAGES)
    named = {fields.get("hreflang") for tag, fields in Page(ENGLISH).tags if tag == "a"}
    assert named - {None} == {"en", *LANGUAGES}
    named = {fields.get("hreflang") for tag, fields in Page(ENGLISH).tags if tag == "link"}
    assert named - {None} == {"en", *LANGUAGES}


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_left_in_english_and_nothing_is_left_over(language: str) -> None:
    texts = translations(language)
    assert texts.keys() == own_texts()
    assert all(text.strip() for text in texts.values())
    page = Page(translated(ENGLISH, language, texts))
    assert {texts[text] for text in own_texts() & Page(ENGLISH).texts} <= page.texts
    assert page.tags[0] == ("html", {"lang": language})
    current = [fields["href"] for _, fields in page.tags if "aria-current" in fields]
    assert current == [f"{language}.html"]
    # All else is the same page.
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in Page(ENGLISH).tags]


@given(st.text())
def test_a_translation_is_text_whatever_is_in_it(text: str) -> None:
    english = '<meta content="Two"><p>\n  One\n  line</p>'
    page = Page(translated(english, "xx", {"One line": text, "Two": text}))
    assert [tag for tag, _ in page.tags] == ["meta", "p"]
    assert page.tags[0][1]["content"] == text


def test_its_policy_lets_it_load_its_style_and_its_pictures_alone() -> None:
    page = Page(ENGLISH)
    (policy,) = [fields["content"] or "" for _, fields in page.tags if fields.get("http-equiv")]
    assert "script-src" not in policy and policy.startswith("default-src 'none';")
    assert not {"script", "style"} & {tag for tag, _ in page.tags}
    assert not [name for _, fields in page.tags for name in fields if name.startswith("on")]
    assert "//" not in ENGLISH  # not even a link leads elsewhere


def test_its_table_says_of_the_models_what_they_say() -> None:
    rows = re.findall(r'<tr><th scope="row">(.+?)</th>(.+?)</tr>', ENGLISH)
    said = {name: re.findall(r"<td>(.*?)</td>", cells) for name, cells in rows}
    mini = json.loads((ROOT / "weights" / "umx-mini" / "manifest.json").read_text())
    size = sum(file["size"] for file in mini["files"])
    models = {"umx-mini": (mini["quality"], size, mini["licence"])}
    for model in OFFICIAL.values():
        if model.quality:
            models[model.title] = model.quality, model.size, model.licence
    assert said.keys() == models.keys()
    for name, (quality, size, licence) in models.items():
        *figures, mean, download, terms = said[name]
        of_each = [
            quality[target] for target in ("vocals", "drums", "bass", "other") if target in quality
        ]
        assert [text for text in figures if text != "–"] == [f"{value:.2f}" for value in of_each]
        assert float(mean) == pytest.approx(quality.get("all") or sum(of_each) / 4, abs=0.0051)
        assert download == f"{size / 1e6:.0f} MB"
        assert (
            licence.replace("CC-BY", "CC BY").replace("SA-4", "SA 4").endswith(terms)
            or terms in licence
        )


def test_all_notes_are_listed() -> None:
    listed = re.findall(r'href="notes/(.+?)\.html"', ENGLISH)
    assert sorted(listed) == sorted(path.stem for path in (ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("benchmark.md", '<a href="benchmark.html">x</a>'),
        ("benchmark.md#last", '<a href="benchmark.html#last">x</a>'),
        ("#here", '<a href="#here">x</a>'),
        ("https://example.org/a.md", '<a href="https://example.org/a.md">x</a>'),
        ("../umx/format/packing.py", "x"),
        ("../benchmark.md", "x"),
        ("screenshots/README.md", "x"),
    ],
)
def test_links_of_notes_lead_somewhere(target: str, expected: str) -> None:
    assert link(target, "x", {"benchmark"}) == expected
