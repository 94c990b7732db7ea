"""What the page says: all of it is there in every language, with the same places to fill."""

import ast
import json
import re
import string
from html.parser import HTMLParser
from pathlib import Path

import pytest

from page.text.texts import LANGUAGES, said
from page.text.texts import translations as chosen
from umx.models.official import OFFICIAL

ROOT = Path(__file__).resolve().parent.parent.parent
APP = ROOT / "app"
ON_THE_PAGE = ("offline", "page", "start")
"""The folders of app/ whose code speaks to the visitor."""
FROM_WORKERS = [
    *sorted((APP / "worker").glob("*.py")),
    ROOT / "umx" / "errors.py",
    *sorted((ROOT / "umx" / "format").glob("*.py")),
    *sorted((ROOT / "umx" / "models").glob("*/convert.py")),
]
CODE = re.compile(r"(weights|checkpoint|convert|analysis)\.[a-z-]+")
"""Errors that visitors may come to see; those of other kinds mean a fault of the site's and stay in English."""
OF_FOLDERS = {"weights.no-model", "weights.unreadable"}
"""Errors of `format.library`, which looks for models in folders; the page has none."""
SPOKEN = ("aria-label", "title")
SAME = {"umx", "❚❚", "stem.mp4"}
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


def errors_of_workers() -> dict[str, list[str]]:
    """The fields of every coded error that workers may raise, by its code."""
    found: dict[str, list[str]] = {}
    for path in FROM_WORKERS:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and len(node.args) == 2:
                code, sentence = node.args
                if isinstance(code, ast.Constant) and CODE.fullmatch(str(code.value)):
                    assert isinstance(sentence, ast.Constant)
                    fields = sorted(names(sentence.value))
                    assert found.setdefault(code.value, fields) == fields, code.value
    return {code: fields for code, fields in found.items() if code not in OF_FOLDERS}


def names(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


def in_the_models() -> set[str]:
    """What manifests say that the page shows."""
    manifests = [json.loads(path.read_text()) for path in ROOT.glob("weights/*/manifest.json")]
    said_of = {m[key] for m in manifests for key in ("title", "credit", "quality_note")}
    official = (
        getattr(model, key) for model in OFFICIAL.values() for key in ("credit", "quality_note")
    )
    return said_of | {text for text in official if text}


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
    texts = on_the_page() | in_the_logic() | in_the_models() | set(errors_of_workers())
    lacking = texts - set(translations(language))
    assert not lacking, f"add to app/page/text/languages/{language}.json: {sorted(lacking)}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_places_to_fill_agree(language: str) -> None:
    errors = errors_of_workers()
    for english, text in translations(language).items():
        assert text.strip(), english
        if CODE.fullmatch(english):
            assert sorted(names(text)) == errors[english], english
        else:
            assert fields(english) == fields(text), english


ELSEWHERE = re.compile(r"comput|ordenador|ordinateur|コンピュ|rechner\b", re.IGNORECASE)
"""Words for what a phone is not."""


def test_the_page_speaks_of_devices_and_invites_nobody_who_has_no_mouse_to_drop() -> None:
    texts = on_the_page() | in_the_logic() | in_the_models()
    for language in LANGUAGES:
        texts |= set(translations(language).values())
    assert [text for text in texts if ELSEWHERE.search(text)] == []
    said_after_a_drop = {
        text for text in in_the_logic() if text.startswith(("What was dropped", "No songs"))
    }
    dropping = {text for text in texts if re.search(r"\bdrop(ped)?\b", text, re.IGNORECASE)}
    # Fingers are not shown the first: see the test of a phone's first view.
    assert dropping == {"Drop a song here", *said_after_a_drop}


def test_what_workers_say_is_translated_by_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    english = "bass.gz is damaged: its end is lost; fetch it again."
    error = "weights.damaged", {"file": "bass.gz", "reason": "its end is lost"}, english
    assert said(*error) == english
    for text, german in translations("de").items():
        monkeypatch.setitem(chosen, text, german)
    assert said(*error) == "bass.gz ist beschädigt: its end is lost; noch einmal holen."
    assert said("of.nobody", {}, "Nobody knows.") == "Nobody knows."
    fields = {"place": "a{}.th", "tensor": "fc1"}
    english = "a{}.th: its fc1 holds numbers that are not finite."
    assert (
        said("convert.not-finite", fields, english)
        == "a{}.th: fc1 enthält Zahlen, die nicht endlich sind."
    )
