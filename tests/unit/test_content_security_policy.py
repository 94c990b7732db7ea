"""What index.html allows itself: its whole content security policy, and nothing in it that would need more."""

import re
from html.parser import HTMLParser

from scripts.common.environment import ROOT
from umx.models.official import OFFICIAL

TEXT = (ROOT / "index.html").read_text()

POLICY = {
    "default-src": "'none'",
    # PyScript makes functions of text, and its workers are scripts of Blobs.
    "script-src": "'self' 'unsafe-eval' 'wasm-unsafe-eval' blob:",
    "worker-src": "'self' blob:",
    "connect-src": "'self' blob: data:",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "manifest-src": "'self'",
    "media-src": "blob:",
    "base-uri": "'none'",
    "form-action": "'none'",
}


class Tags(HTMLParser):
    """Every tag's name and attributes, in order, and the text of scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.inline = ""
        self.feed(TEXT)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem:
            self.inline += data


TAGS = Tags()


def test_the_whole_policy_before_anything_is_loaded() -> None:
    names = [attributes.get("http-equiv") for _, attributes in TAGS.found]
    (place,) = [number for number, name in enumerate(names) if name]
    assert names[place] == "Content-Security-Policy"
    content = TAGS.found[place][1]["content"] or ""
    directives = [directive.strip().partition(" ") for directive in content.split(";")]
    assert {name: sources for name, _, sources in directives} == POLICY
    assert len(directives) == len(POLICY)
    assert not {"script", "link", "style", "body"} & {tag for tag, _ in TAGS.found[:place]}


def test_no_script_and_no_style_lies_in_the_page_itself() -> None:
    assert TAGS.inline.strip() == ""
    scripts = [attributes for tag, attributes in TAGS.found if tag == "script"]
    assert scripts
    assert all(script.get("src") for script in scripts)
    names = {name for _, attributes in TAGS.found for name in attributes}
    assert {"src", "class"} < names
    assert not {name for name in names if name == "style" or name.startswith("on")}
    assert "style" not in {tag for tag, _ in TAGS.found}
    assert "javascript:" not in TEXT.lower()


def test_only_a_link_for_the_visitor_leads_elsewhere() -> None:
    links = {attributes.get("href") for tag, attributes in TAGS.found if tag == "a"}
    elsewhere = set(re.findall(r"(?:\w+:)?//[^\s\"'<>]+", TEXT))
    files = [OFFICIAL[name].checkpoints[0].url for name in ("htdemucs", "htdemucs_6s")]
    assert elsewhere == {OFFICIAL["umxl"].source, *files}
    assert elsewhere <= links
    loading = [attributes for tag, attributes in TAGS.found if tag != "a"]
    assert not any("//" in (value or "") for attributes in loading for value in attributes.values())
