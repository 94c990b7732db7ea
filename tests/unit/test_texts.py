"""What the page says: all of it is there in every language, with the same places to fill."""

import ast
import json
import string
from html.parser import HTMLParser
from pathlib import Path

import pytest

from page.text import told
from page.text.texts import LANGUAGES
from page.text.texts import translations as chosen

ROOT = Path(__file__).resolve().parent.parent.parent
APP = ROOT / "app"
ON_THE_PAGE = ("offline", "page", "start")
"""The folders of app/ whose code speaks to the visitor."""
SPOKEN = ("aria-label", "title")
SAME = {"umx", "❚❚"}
"""What is the same in every language."""


class Texts(HTMLParser):
    """The texts of a page, and of the attributes that people hear or see."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        fields = dict(attrs)
        spoken = [fields.get(name) for name in SPOKEN]
        if fields.get("name") == "description":
            spoken.append(fields.get("content"))
        self.found.update(text for text in spoken if text)

    def handle_data(self, data: str) -> None:
        text = " ".join(data.split())
        if sum(letter.isalpha() for letter in text) > 1:
            self.found.add(text)


def sources() -> list[ast.Module]:
    files = [path for room in ON_THE_PAGE for path in sorted((APP / room).rglob("*.py"))]
    return [ast.parse(path.read_text()) for path in files]


def on_the_page() -> set[str]:
    page = Texts()
    page.feed((ROOT / "index.html").read_text())
    return page.found - SAME


def in_the_logic() -> set[str]:
    """What `tr` is called with."""
    return {
        node.args[0].value
        for module in sources()
        for node in ast.walk(module)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "tr"
        and isinstance(node.args[0], ast.Constant)
    }


def from_elsewhere() -> set[str]:
    """What workers, the engine and models may say, {} in place of what is filled in."""
    files = sorted((APP / "worker").glob("*.py")) + sorted((ROOT / "umx").rglob("*.py"))
    files.append(ROOT / "scripts" / "train" / "export.py")
    nodes = [node for path in files for node in ast.walk(ast.parse(path.read_text()))]
    found = {json.loads(path.read_text())["title"] for path in ROOT.glob("weights/*/manifest.json")}
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            parts = [p.value if isinstance(p, ast.Constant) else "{}" for p in node.values]
            found.add("".join(str(part) for part in parts))
        elif isinstance(node, ast.Constant):
            found.add(str(node.value))
    return found


def translations(language: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(
        (APP / "page" / "text" / "languages" / f"{language}.json").read_text()
    )
    return found


def fields(text: str) -> list[str]:
    """The places to fill, with their formats."""
    return [
        f"{name}:{form}" for _, name, form, _ in string.Formatter().parse(text) if name is not None
    ]


def test_there_is_a_file_for_every_language() -> None:
    assert {path.stem for path in (APP / "page" / "text" / "languages").iterdir()} == set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_left_in_english(language: str) -> None:
    texts = on_the_page() | in_the_logic() | set(told.SENTENCES)
    lacking = texts - set(translations(language))
    assert not lacking, f"add to app/page/text/languages/{language}.json: {sorted(lacking)}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_places_to_fill_agree(language: str) -> None:
    for english, text in translations(language).items():
        assert text.strip(), english
        assert fields(english) == fields(text), english


def test_what_workers_say_is_known_by_its_words() -> None:
    assert set(told.SENTENCES) <= from_elsewhere()
    for sentence in told.SENTENCES:
        fields = [f"a {number}: b." for number in range(sentence.count("{}"))]
        assert told.fields(sentence, sentence.format(*fields)) == fields
    assert told.fields("{} of {}.", "3 or 4.") is None
    assert told.fields("{} of {}.", "3 of 4") is None


def test_what_workers_say_is_translated(monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = "bass.gz is damaged: its end is lost; fetch it again."
    assert told.told(damaged) == damaged
    for english, german in translations("de").items():
        monkeypatch.setitem(chosen, english, german)
    assert told.told(damaged) == "bass.gz ist beschädigt: its end is lost; noch einmal holen."
    assert told.told("Nobody knows.") == "Nobody knows."
