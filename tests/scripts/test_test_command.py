"""scripts/test.py, with stand-ins for the programs that it starts."""

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import environment
import pytest

Install = Callable[..., Path]


@pytest.fixture
def command() -> ModuleType:
    """The script as a module; by its name, `test`, Python would find one of its own."""
    path = environment.ROOT / "scripts" / "test.py"
    spec = importlib.util.spec_from_file_location("test_command", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a program on an otherwise empty PATH. Returns where it is."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("UMX_CHROMIUM", raising=False)

    def put(name: str, script: str = "exit 0", place: Path = folder) -> Path:
        path = place / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return put


class Playwright:
    """Stands in for the environment's Python, which runs Playwright; other programs really start."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, brings: str):
        self.installed, self.brings = 0, brings
        self.run = subprocess.run
        monkeypatch.setattr(subprocess, "run", self)

    def __call__(self, command: list[str], **options: object) -> object:
        if command[0] != environment.PYTHON:
            return self.run(command, **options)
        self.installed += command[1:] == ["-m", "playwright", "install", "chromium"]
        return SimpleNamespace(returncode=0, stdout=self.brings + "\n")


def test_an_installed_browser_is_used(
    command: ModuleType, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    playwright = Playwright(monkeypatch, "")
    install("google-chrome")
    chromium = install("chromium-browser")
    assert command.find_browser() == str(chromium)
    assert playwright.installed == 0


def test_a_placeholder_is_no_browser(command: ModuleType, install: Install) -> None:
    install("chromium-browser", "echo install the snap; exit 1")
    chrome = install("google-chrome")
    assert command.find_browser() == str(chrome)


def test_the_browser_that_is_named_is_used(
    command: ModuleType, install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("chromium")
    mine = install("mine", place=tmp_path)
    monkeypatch.setenv("UMX_CHROMIUM", str(mine))
    assert command.find_browser() == str(mine)
    monkeypatch.setenv("UMX_CHROMIUM", "/nowhere/chromium")
    with pytest.raises(SystemExit, match="names /nowhere/chromium, which doesn't start"):
        command.find_browser()


def test_playwright_s_own_browser_is_brought(
    command: ModuleType, install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = install("chrome", place=tmp_path)
    playwright = Playwright(monkeypatch, str(own))
    monkeypatch.setattr(command, "BROWSERS", ("chromium",))
    assert command.find_browser() == str(own)
    assert playwright.installed == 1


def test_debian_s_browser_is_the_last_resort(
    command: ModuleType, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    Playwright(monkeypatch, "/nowhere/chrome")
    monkeypatch.setattr(command, "BROWSERS", ("chromium",))
    monkeypatch.setattr(command, "apt_install", lambda package: bool(install(package)))
    assert command.find_browser().endswith("/bin/chromium")


def test_no_browser_is_said(
    command: ModuleType, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    Playwright(monkeypatch, "")
    monkeypatch.setattr(command, "BROWSERS", ("chromium",))
    monkeypatch.setattr(command, "apt_install", lambda package: False)
    with pytest.raises(SystemExit, match="No Chromium"):
        command.find_browser()


def test_others_are_installed_together_where_they_are_missing(
    command: ModuleType, install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []
    songs = tmp_path / "songs"
    monkeypatch.setitem(command.OTHERS, "fretsonfire-songs-sectoid", (str(songs),))
    monkeypatch.setattr(command, "apt_install", lambda *packages: asked.append(packages))
    install("firefox")
    command.bring_others()
    assert asked == [("webkit2gtk-driver", "xvfb", "fretsonfire-songs-sectoid")]
    install("WebKitWebDriver")
    install("Xvfb")
    songs.mkdir()
    command.bring_others()
    assert len(asked) == 1


@pytest.fixture
def stages(command: ModuleType, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Two stages that pass and one between them that fails."""
    monkeypatch.setattr(command, "make_environment", lambda: None)
    monkeypatch.setattr(command, "PYTHON", sys.executable)
    monkeypatch.setattr(command, "find_browser", lambda: "/the/browser")
    monkeypatch.setattr(command, "bring_others", lambda: None)
    found = {
        "first": ["this"],
        "second": ["no_such_module"],
        "browser": ["this"],
    }
    monkeypatch.setattr(command, "STAGES", found)
    return found


def test_every_stage_runs_and_one_failure_fails(
    command: ModuleType, stages: dict[str, list[str]], capfd: pytest.CaptureFixture[str]
) -> None:
    assert command.main([]) == 1
    summary = capfd.readouterr().out.splitlines()[-3:]
    assert [line.split()[:2] for line in summary] == [
        ["first", "passed"],
        ["second", "FAILED"],
        ["browser", "passed"],
    ]


def test_only_wanted_stages_run(
    command: ModuleType, stages: dict[str, list[str]], capfd: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["browser", "first"]) == 0
    out = capfd.readouterr().out
    assert "second" not in out
    assert out.index("=== first") < out.index("=== browser")
    with pytest.raises(SystemExit, match="no stage 'third'; there are first, second, browser"):
        command.main(["third"])


def test_tests_are_told_the_browser(
    command: ModuleType, stages: dict[str, list[str]], tmp_path: Path
) -> None:
    script = tmp_path / "told.py"
    script.write_text("import os, sys\nsys.exit(os.environ['UMX_CHROMIUM'] != '/the/browser')")
    stages["browser"] = [str(script)]
    assert command.main(["browser"]) == 0


def test_the_environment_is_made_once_for_a_recipe(
    command: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[list[str], ...]] = []
    recipe, requirements = tmp_path / "pyproject.toml", tmp_path / "requirements.txt"
    monkeypatch.setattr(command, "PYPROJECT", recipe)
    monkeypatch.setattr(command, "REQUIREMENTS", requirements)
    monkeypatch.setattr(command, "VENV", tmp_path)
    monkeypatch.setattr(command, "make", lambda *installations: made.append(installations))
    for file in (recipe, requirements):
        file.write_text("one")
    for count, changed in enumerate([recipe, requirements], start=1):
        for _ in range(2):
            command.make_environment()
        assert len(made) == count
        changed.write_text("two")
    tools, package = made[0]
    assert tools == ["--require-hashes", "--requirement", str(requirements)]
    assert package[-2:] == ["--editable", str(command.ROOT)]


def test_a_recipe_that_failed_is_tried_again(
    command: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*installations: list[str]) -> None:
        raise SystemExit("no network")

    monkeypatch.setattr(command, "VENV", tmp_path)
    monkeypatch.setattr(command, "make", fail)
    for _ in range(2):
        with pytest.raises(SystemExit, match="no network"):
            command.make_environment()


def test_every_pin_is_exact_and_among_what_is_installed(command: ModuleType) -> None:
    project = tomllib.loads(environment.PYPROJECT.read_text())
    pins = project["dependency-groups"]["test"]
    assert all("==" in pin for pin in pins)
    installed = re.findall(r"^[^\s#]+==[^\s]+", command.REQUIREMENTS.read_text(), re.MULTILINE)
    assert set(pins) <= set(installed)
    # With what the package itself needs, and what makes it.
    assert set(project["build-system"]["requires"]) <= set(pins)
    for dependency in project["project"]["dependencies"]:
        name = re.match(r"\w+", dependency)
        assert name
        assert any(pin.startswith(name[0] + "==") for pin in installed), name[0]


def test_what_is_installed_has_hashes_and_comes_from_any_index(command: ModuleType) -> None:
    text = command.REQUIREMENTS.read_text()
    entries = re.sub(r"#.*", "", text).replace("\\\n", "").splitlines()
    assert all("--hash=sha256:" in entry for entry in entries if entry.strip())
    assert "://" not in text


def test_debian_s_packages_are_installed_by_root_only(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    install("apt-get", f'echo "$@" >> {log}')
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert not environment.apt_install("chromium")
    assert not log.exists()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert environment.apt_install("chromium", "xvfb")
    (installed,) = log.read_text().splitlines()
    assert "install" in installed
    assert installed.endswith(" chromium xvfb")
    install("apt-get", "exit 100")
    assert not environment.apt_install("chromium")
    (tmp_path / "bin" / "apt-get").unlink()
    assert not environment.apt_install("chromium")


def test_the_list_of_debian_s_packages_is_brought_where_one_is_not_found(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    listed = tmp_path / "listed"
    script = f"""echo "$2" >> {log}
        [ "$2" = install ] || : > {listed}
        [ -e {listed} ]"""
    install("apt-get", script)
    assert environment.apt_install("xvfb")
    assert log.read_text().split() == ["install", "update", "install"]
