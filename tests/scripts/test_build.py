"""The site as built is whole: whatever one of its files names is there."""

import ast
import functools
import gzip
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from scripts import build, vendor
from scripts.common import index
from umx.format.library import load_model
from umx.models.official import OFFICIAL
from umx.models.openunmix.official import ZENODO

APP = build.ROOT / "app"
CONFIG = Path("app", "start", "page.json")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Brings the runtime first, where it isn't here yet."""
    return build.build(tmp_path_factory.mktemp("built") / "site")


class Links(HTMLParser):
    """Every address that a page loads; where its links lead is for the visitor to say."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "a":
            self.found += [v for k, v in attrs if v and k in ("src", "href", "config", "srcset")]


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def strings(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_what_the_page_names_is_there(site: Path) -> None:
    links = Links()
    links.feed((site / "index.html").read_text())
    assert {"app/start/main.py", "app/start/page.json", "app/look/style.css"} < set(links.found)
    for link in links.found:
        assert (site / link).is_file(), link
        assert not link.startswith("/")  # which would leave a path prefix


def test_what_the_page_s_configuration_names_is_there(site: Path) -> None:
    config = json.loads((site / CONFIG).read_text())
    assert (site / config["interpreter"]).is_file()
    named = [*config["files"], *config["js_modules"]["main"]]
    for name in named:
        assert (site / CONFIG.parent / name).is_file(), name


def modules(site: Path) -> dict[str, Path]:
    """Every module of ours, by the name that it is imported by: its room and its file."""
    paths = [path.relative_to(site / "app") for path in (site / "app").rglob("*.py")]
    return {
        ".".join(path.with_suffix("").parts): site / "app" / path
        for path in paths
        if path.parts[0] != "vendor"
    }


def imported(path: Path) -> set[str]:
    """The names of the modules that a file imports, and of all that may be one."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def test_the_page_is_given_every_module_that_it_imports(site: Path) -> None:
    config = json.loads((site / CONFIG).read_text())
    ours = modules(site)
    given = {"start.main"}
    for name, place in config["files"].items():
        path = (site / CONFIG.parent / name).resolve()
        if path.is_relative_to((site / "app" / "vendor").resolve()):
            assert place == "./" + path.relative_to((site / "app" / "vendor").resolve()).as_posix()
            continue
        assert place == "./" + path.relative_to((site / "app").resolve()).as_posix()
        given.add(".".join(Path(place).with_suffix("").parts))
    assert given == {name for name in ours if not name.startswith("worker.")}
    for name in given:
        assert imported(ours[name]) & ours.keys() <= given, name


def test_workers_are_given_every_module_that_they_import(site: Path) -> None:
    ours = modules(site)
    tree = ast.parse(ours["page.workers.client"].read_text())
    (files,) = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "FILES"
    ]
    given = {".".join(Path(path).with_suffix("").parts) for path in files}
    assert given == {name for name in ours if name.startswith(("worker.", "shared."))} - {
        "worker.worker"
    }
    for name in {*given, "worker.worker"}:
        assert imported(ours[name]) & ours.keys() <= given, name


def test_addresses_in_the_page_s_code_are_there(site: Path) -> None:
    named = {
        text
        for path in modules(site).values()
        for text in strings(ast.parse(path.read_text()))
        if re.fullmatch(r"(\./)?(app|weights)/[\w./-]+\.\w+", text)
    }
    assert "app/worker/worker.py" in {name.removeprefix("./") for name in named}
    for name in named:
        assert (site / name).is_file(), name


def test_scripts_find_the_modules_that_they_import(site: Path) -> None:
    for path in (site / "app" / "vendor" / "pyscript").glob("*.js"):
        for name in re.findall(r'(?:from|import)\s*"(\./[^"]+)"', path.read_text()):
            assert (path.parent / name).is_file(), f"{name} of {path.name}"


def test_everything_in_the_lock_file_is_there_unchanged(site: Path) -> None:
    for package in json.loads(vendor.LOCK.read_text())["packages"]:
        for name, entry in package["files"].items():
            data = (site / "app" / "vendor" / package["folder"] / name).read_bytes()
            assert len(data) == entry["size"]
            assert hashlib.sha256(data).hexdigest() == entry["sha256"]


def test_packages_that_pyodide_loads_are_there(site: Path) -> None:
    folder = site / "app" / "vendor" / "pyodide"
    packages = json.loads((folder / "pyodide-lock.json").read_text())["packages"]
    for name in ("numpy", "openblas", "scipy", "micropip", "packaging"):
        entry = packages[name]
        data = (folder / entry["file_name"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == entry["sha256"]
        for needed in entry["depends"]:
            assert (folder / packages[needed]["file_name"]).is_file()


def test_models_are_whole_and_in_the_index(site: Path) -> None:
    listed = {entry["name"] for entry in json.loads((site / "weights" / "index.json").read_text())}
    assert "umx-mini" in listed
    for name in listed:
        assert load_model(site / "weights" / name).manifest.name


def test_the_web_app_manifest_s_icons_are_there(site: Path) -> None:
    path = site / "app" / "look" / "site.webmanifest"
    icons = json.loads(path.read_text())["icons"]
    assert icons
    for icon in icons:
        assert (path.parent / icon["src"]).is_file()


def test_links_of_the_pages_about_the_page_lead_somewhere(site: Path) -> None:
    pages = sorted((site / "app" / "about").rglob("*.html"))
    assert {path.stem for path in (build.ROOT / "docs").glob("*.md")} < {p.stem for p in pages}
    for path in pages:
        page = Page()
        page.feed(path.read_text("utf-8"))
        for link in page.links:
            name, _, place = str(link).partition("#")
            if "://" not in name:
                target = path.parent / name if name else path
                assert target.is_file(), f"{link} in {path}"
                assert not place or f'id="{place}"' in target.read_text("utf-8")


def test_notes_have_their_tables_and_code_as_they_are(site: Path) -> None:
    notes = site / "app" / "about" / "notes"
    text = (notes / "benchmark.html").read_text("utf-8")
    rows = (build.ROOT / "docs" / "benchmark.md").read_text("utf-8").count("\n| ")
    assert text.count("<tr>") == rows - text.count("<table>")  # without the lines below heads
    code = (notes / "hosting.html").read_text("utf-8")
    assert "location ~ \\.mjs$ {\n        types { text/javascript mjs; }" in code


def test_the_service_worker_knows_every_file(site: Path) -> None:
    script = (site / "service-worker.js").read_text()
    listed = json.loads(script.removeprefix("const FILES = ").partition(";\n")[0])
    there = files(site)
    del there["service-worker.js"]
    assert listed.keys() == there.keys()
    for name, data in there.items():
        assert hashlib.sha256(data).hexdigest() in listed[name]


def test_nothing_unfinished_or_foreign_is_in_the_site(site: Path) -> None:
    for name in files(site):
        assert not re.search(r"__pycache__|\.(part|pyc|pth|DS_Store)$", name)
        assert name.split("/")[0] in {*build.PARTS, "service-worker.js"}


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout to build from that is small."""
    root = tmp_path / "checkout"
    (root / "weights").mkdir(parents=True)
    shutil.copytree(APP, root / "app", ignore=shutil.ignore_patterns("vendor", "__pycache__"))
    shutil.copy(build.ROOT / "index.html", root)
    monkeypatch.setattr(build, "ROOT", root)
    monkeypatch.setattr(build, "prepare", lambda: None)
    return root


def test_building_again_leaves_nothing_of_before(stand_in: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    (stand_in / "app" / "old.py").write_text("")
    assert "app/old.py" in files(build.build(site))
    (stand_in / "app" / "old.py").unlink()
    first = files(build.build(site))
    assert "app/old.py" not in first
    assert files(build.build(site)) == first


def test_what_is_unfinished_stays_out(stand_in: Path, tmp_path: Path) -> None:
    (stand_in / "app" / "__pycache__").mkdir()
    (stand_in / "app" / "__pycache__" / "main.pyc").write_text("")
    (stand_in / "weights" / "umxl.part").mkdir()
    (stand_in / "weights" / "umxl.part" / "bass.safetensors.gz").write_text("")
    (stand_in / "app" / "core.js.part").write_text("")
    built = files(build.build(tmp_path / "site"))
    assert not [name for name in built if "part" in name or "pycache" in name]
    assert "umxl" not in built["service-worker.js"].decode()


def test_a_build_says_what_is_uploaded_and_what_a_visitor_loads(
    stand_in: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (stand_in / "weights" / "umxl").mkdir()
    (stand_in / "weights" / "umxl" / "bass.safetensors.gz").write_bytes(gzip.compress(b"", 9))
    (stand_in / "weights" / "index.json").write_text("[]")
    vendored = stand_in / "app" / "vendor" / "pyodide"
    vendored.mkdir(parents=True)
    (vendored / "openblas-1.zip").write_bytes(bytes(25_000_000))
    for name in ("scipy", "micropip", "packaging"):
        (vendored / f"{name}-1.whl").write_bytes(bytes(5_000_000))
    (vendored / "python.zip").write_bytes(bytes(20_000_000))
    monkeypatch.setattr(build, "build", functools.partial(build.build, tmp_path / "site"))
    large = {"title": "UMX-L", "size": 42_700_000, "licence": "CC BY-NC-SA 4.0"}
    monkeypatch.setattr(build, "models", lambda: [large])
    build.main(["--report"])
    first, second, model, heads, *groups = capsys.readouterr().out.splitlines()
    there = files(tmp_path / "site")
    size = sum(map(len, there.values())) / 1e6
    assert first.endswith(f"site: {len(there)} files, {size:.1f} MB.")
    assert 60 < size < 62
    needed = {
        name: data
        for name, data in there.items()
        if not re.search("/(openblas|scipy|micropip|packaging)-", name)
        and not re.match(r"weights/.+/|service-worker", name)
    }
    visit = sum(map(len, needed.values()))
    assert second == f"A first visit loads {visit / 1e6:.1f} MB and one of these models:"
    assert model == "  UMX-L, 42.7 MB, licence CC BY-NC-SA 4.0"
    assert heads.split() == ["bytes", "packed"]
    rows = {name: (size, small) for size, small, name in (row.split(maxsplit=2) for row in groups)}
    *parts, last = rows
    assert {*parts} == {"pyodide", "the demo song", "the page"}
    assert last == "all"
    numbers = {name: [int(text.replace(",", "")) for text in row] for name, row in rows.items()}
    assert numbers["all"][0] == visit
    assert numbers["pyodide"][0] == 20_000_000
    assert numbers["pyodide"][1] < 20_000_000 / 900
    for column in (0, 1):
        *sizes, total = (row[column] for row in numbers.values())
        assert sum(sizes) == total


def test_a_site_has_its_owner_s_title_and_link(stand_in: Path, tmp_path: Path) -> None:
    title, link = "Böhm & <Söhne>", 'https://example.org/?a=1&b="2"'
    built = files(build.build(tmp_path / "site", title, link))
    page = Page()
    page.feed(built["index.html"].decode())
    assert page.texts["title"] == title
    assert page.texts["a"] == title
    assert link in page.links
    about = Page()
    about.feed(built["app/about/index.html"].decode())
    assert about.texts["a"] == title
    manifest = json.loads(built["app/look/site.webmanifest"])
    assert (manifest["name"], manifest["short_name"]) == (title, title)
    assert hashlib.sha256(built["index.html"]).hexdigest() in built["service-worker.js"].decode()


class Page(HTMLParser):
    """The first text of each kind of element, and where links lead."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: dict[str, str] = {}
        self.links: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.links.append(dict(attrs)["href"])

    def handle_data(self, data: str) -> None:
        words = (self.get_starttag_text() or "").strip("<>").split()
        self.texts.setdefault(words[0] if words else "", data)


@pytest.mark.parametrize("link", ["javascript:alert(1)", "choir.example.org", "data:text/html,x"])
def test_a_link_that_leads_to_no_page_is_refused(
    link: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        build.main(["--link", link])
    assert "--link: it begins with https://" in capsys.readouterr().err


def test_the_policy_follows_what_is_allowed(stand_in: Path, tmp_path: Path) -> None:
    usual = (stand_in / "index.html").read_text()
    assert files(build.build(tmp_path / "usual"))["index.html"].decode() == usual
    allowed = files(build.build(tmp_path / "more", allow_umxl=True))["index.html"].decode()
    policy = "connect-src 'self' blob: data:"
    assert allowed == usual.replace(policy, policy + " https://zenodo.org")


def test_the_place_that_is_allowed_is_the_models_own() -> None:
    assert build.ZENODO == ZENODO


def test_help_says_all_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build.main(["--help"])
    said = capsys.readouterr().out
    for option in ("--title", "--link", "--allow-umxl", "--report"):
        assert option in said


def test_the_readme_says_of_the_official_models_what_their_manifests_say() -> None:
    text = (build.ROOT / "README.md").read_text()
    (table,) = re.findall(r"^\| \| UMX-L \| UMX-HQ \|\n(?:\|.*\n)+", text, re.MULTILINE)
    rows = [[cell.strip() for cell in line.split("|")[2:4]] for line in table.splitlines()]
    for column, model in enumerate(OFFICIAL[name] for name in ("umxl", "umxhq")):
        titles, _, quality, size, licence, _ = (row[column] for row in rows)
        assert titles == model.title
        targets = ("vocals", "drums", "bass", "other")
        assert quality == ", ".join(f"{model.quality[target]:.2f}" for target in targets)
        assert size == f"{model.size / 1e6:.0f} MB"
        assert licence == model.licence


def manifest(weights: Path, name: str, /, **fields: Any) -> None:
    (weights / name).mkdir(parents=True)
    content = dict.fromkeys(index.SHOWN, "") | {
        "format": 2,
        "name": name,
        "architecture": "openunmix",
        "files": [{"targets": ["bass"], "size": 5, "unpacked_size": 9}],
    }
    (weights / name / index.MANIFEST).write_text(json.dumps(content | fields))


def test_the_index_names_models_by_their_folders(tmp_path: Path) -> None:
    manifest(tmp_path, "b", name="another")
    files = {"bass": {"size": 5, "unpacked_size": 9}, "drums": {"size": 7, "unpacked_size": 10}}
    manifest(tmp_path, "a", files=[*files.values()], architecture="htdemucs")
    manifest(tmp_path, "c.part")
    manifest(tmp_path, "old", format=1, targets=files, files=None)
    index.write_index(tmp_path)
    listed = json.loads((tmp_path / "index.json").read_text())
    shown = [(entry["name"], entry["size"], entry["unpacked"]) for entry in listed]
    assert shown == [("a", 12, 19), ("b", 5, 9), ("old", 12, 19)]
    assert [entry["architecture"] for entry in listed] == ["htdemucs", "openunmix", "openunmix"]


def test_an_index_that_is_right_is_not_written_again(tmp_path: Path) -> None:
    manifest(tmp_path, "a")
    index.write_index(tmp_path)
    os.utime(tmp_path / "index.json", (1e9, 1e9))
    index.write_index(tmp_path)
    assert (tmp_path / "index.json").stat().st_mtime == 1e9


@pytest.mark.parametrize(
    "damage", ["", "[]", "{}", '{"format": 1, "targets": []}', '{"format": 2, "files": 3}']
)
def test_the_index_names_a_damaged_model(tmp_path: Path, damage: str) -> None:
    manifest(tmp_path, "a")
    (tmp_path / "a" / index.MANIFEST).write_text(damage)
    with pytest.raises(ValueError, match=r"a/manifest\.json is damaged"):
        index.write_index(tmp_path)
    assert not (tmp_path / "index.json").exists()


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        (index.MANIFEST, b""),
        (index.MANIFEST, b"{}"),
        (index.MANIFEST, b'{"format": 1, "targets": {"bass": {}}}'),
        (index.MANIFEST, b'{"format": 2, "files": [{}]}'),
        ("bass.safetensors.gz", b"byt"),
        ("bass.safetensors.gz", b"<!doctype html>"),
        ("bass.safetensors.gz", None),
    ],
)
def test_a_damaged_model_ends_a_build_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, damage: bytes | None
) -> None:
    for elsewhere in ("vendor", "build_wheel", "write_about"):
        monkeypatch.setattr(build, elsewhere, lambda: None)
    monkeypatch.setattr(build, "ROOT", tmp_path)
    weights = tmp_path / "weights"
    digest = hashlib.sha256(b"bytes").hexdigest()
    entry = {"file": "bass.safetensors.gz", "size": 5, "unpacked_size": 9, "sha256": digest}
    manifest(weights, "a", files=[entry])
    (weights / "a" / entry["file"]).write_bytes(b"bytes")
    build.prepare()

    file = weights / "a" / name
    if damage is not None:
        file.write_bytes(damage)
    else:
        file.unlink()
    with pytest.raises(SystemExit, match=rf"{re.escape(str(file))} is (damaged|missing)"):
        build.prepare()
