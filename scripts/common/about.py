"""Make the pages beside app/about/index.html: that page in other languages, and docs/ as HTML."""

import html
import json
import re
import runpy
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from scripts.common import atomic_write
from scripts.common.environment import ROOT
from scripts.vendor import vendor

LOCK = ROOT / "scripts" / "build.lock.json"
TOOLS = ROOT / ".tools"
"""Where the libraries of the build lie, which are no part of the site."""
ABOUT = Path("app", "about")
EXTRAS = {
    "code-friendly": None,  # underscores in names mean nothing
    "fenced-code-blocks": None,
    "header-ids": None,
    "highlightjs-lang": None,  # no colours, which would come and go with pygments
    "tables": None,
}
TEXT = re.compile(r">([^<>]*[^<>\s][^<>]*)<|(?:aria-label|content)=\"([^\"]+)\"")
CURRENT = ' aria-current="page"'
FIRST_HEADING = re.compile(r"<h1[^>]*>(.*?)</h1>")
LINK = re.compile(r'<a href="([^"]*)">(.*?)</a>', re.DOTALL)
NOTE = """<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta http-equiv="Content-Security-Policy" content="{policy}">
    <meta name="color-scheme" content="light dark">
    <title>{title}</title>
    <link rel="icon" href="../../look/icon.svg" type="image/svg+xml">
    <link rel="stylesheet" href="../../look/style.css">
    <link rel="stylesheet" href="../about.css">
  </head>
  <body>
    <header><p class="brand"><a href="../../../index.html">umx</a></p></header>
    <main>
      <p><a class="back" href="../index.html">How this page takes songs apart</a></p>
{content}
    </main>
  </body>
</html>
"""


def write_about(root: Path = ROOT) -> None:
    """Write all pages that are made of others, and remove those whose sources are gone.

    Raises VendorError if the Markdown library can't be had.
    """
    folder = root / ABOUT
    english = (folder / "index.html").read_text("utf-8")
    pages = {}
    for path in sorted((folder / "languages").glob("*.json")):
        texts = json.loads(path.read_text("utf-8"))
        pages[folder / f"{path.stem}.html"] = translated(english, path.stem, texts)
    notes = sorted((root / "docs").glob("*.md"))
    policy = re.findall(r'Content-Security-Policy" content="([^"]+)"', english)[0]
    if notes:
        vendor(LOCK, TOOLS)
        for path in notes:
            page = note(path.read_text("utf-8"), {other.stem for other in notes}, policy)
            pages[folder / "notes" / f"{path.stem}.html"] = page
    for path, page in pages.items():
        path.parent.mkdir(exist_ok=True)
        atomic_write.write(path, page.encode())
    for path in [*folder.glob("*.html"), *folder.glob("notes/*.html")]:
        if path not in pages and path.name != "index.html":
            path.unlink(missing_ok=True)


def texts_of(page: str) -> list[str]:
    """The texts of a page and of attributes that people hear or read, without line breaks."""
    return [" ".join((text or label).split()) for text, label in TEXT.findall(page)]


def translated(page: str, language: str, texts: Mapping[str, str]) -> str:
    """The page in another language. texts: translations by the English text; what has none stays as it is."""

    def replace(match: re.Match[str]) -> str:
        said = match[1] or match[2]
        english = " ".join(html.unescape(said).split())
        if english not in texts:
            return match[0]
        return match[0].replace(said.strip(), html.escape(texts[english], quote=bool(match[2])))

    page = TEXT.sub(replace, page.replace(CURRENT, ""))
    page = page.replace('<html lang="en">', f'<html lang="{language}">')
    here = f'hreflang="{language}" lang="{language}" href="{language}.html"'
    return page.replace(here, here + CURRENT)


def note(markdown: str, notes: set[str], policy: str) -> str:
    """A note as a page. notes: the names of all, without endings; links to other files of the checkout lead nowhere."""
    content = runpy.run_path(str(TOOLS / "markdown2.py"))["markdown"](markdown, extras=EXTRAS)
    content = LINK.sub(lambda match: link(match[1], match[2], notes), content)
    content = content.replace("<table>", '<div class="wide" tabindex="0"><table>')
    content = content.replace("</table>", "</table></div>").replace("<pre>", '<pre tabindex="0">')
    content = content.replace("<th></th>", "<td></td>")  # a head without text is none
    title = FIRST_HEADING.findall(content)[0]
    return NOTE.format(policy=policy, title=title, content=content)


def link(target: str, text: str, notes: set[str]) -> str:
    """A link of a note: within notes to their pages, to other sites as it is, else its text alone."""
    path, _, place = target.partition("#")
    name = PurePosixPath(path)
    if path and "://" not in path:
        if name.suffix != ".md" or name.stem not in notes or len(name.parts) > 1:
            return text
        target = name.stem + ".html" + ("#" + place if place else "")
    return f'<a href="{target}">{text}</a>'
