"""scripts/test.py, with stand-ins for the programs that it starts."""

import importlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from scripts import test
from scripts.common import environment

Install = Callable[..., Path]


@pytest.fixture
def command() -> ModuleType:
    """The script, as a module of this test's own."""
    return importlib.reload(test)


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
    assert asked == [("webkit2gtk-driver", "xvfb", "ffmpeg", "fretsonfire-songs-sectoid")]
    for program in ("WebKitWebDriver", "Xvfb", "ffmpeg"):
        install(program)
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


TWO = ["-n", "2", "--dist", "worksteal"]
THREE = ["-n", "3", "--dist", "worksteal"]


@pytest.mark.parametrize(
    ("arguments", "command_line"),
    [
        (["unit"], ["tests/unit", "tests/parity", "tests/scripts", *TWO]),
        (
            ["unit", "-k", "separator"],
            ["tests/unit", "tests/parity", "tests/scripts", *TWO, "-k", "separator"],
        ),
        (
            ["browser", "tests/browser/test_listen.py"],
            ["-rs", *THREE, "tests/browser/test_listen.py"],
        ),
        (
            ["unit", "-x", "tests/unit/test_stft.py::test_frames", "-n", "0"],
            [*TWO, "-x", "tests/unit/test_stft.py::test_frames", "-n", "0"],
        ),
        # The value of an option, even if there is a folder of that name.
        (["browser", "-k", "app"], ["tests/browser", "-rs", *THREE, "-k", "app"]),
    ],
    ids=" ".join,
)
def test_what_follows_a_stage_s_name_goes_to_its_pytest(
    command: ModuleType, arguments: list[str], command_line: list[str]
) -> None:
    assert command.of_names(arguments) == {arguments[0]: ["pytest", *command_line]}


def test_the_last_stage_alone_gets_what_follows(command: ModuleType) -> None:
    stages = command.of_names(["browser", "unit", "-k", "wav"])
    assert list(stages) == ["unit", "browser"]
    assert stages["unit"][-2:] == ["-k", "wav"]
    assert stages["browser"] == command.STAGES["browser"]
    assert "-k" not in command.STAGES["unit"]


@pytest.mark.parametrize("arguments", [["-k", "wav"], ["lint", "-k"], ["unit", "lint", "-k"]])
def test_only_pytest_takes_arguments(command: ModuleType, arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="no stage '-k'; there are lint, "):
        command.of_names(arguments)


def test_arguments_arrive(
    command: ModuleType, stages: dict[str, list[str]], tmp_path: Path
) -> None:
    """At a real pytest, of two tests of which one is left out."""
    file = tmp_path / "tests" / "test_two.py"
    file.parent.mkdir()
    file.write_text("def test_good(): pass\ndef test_bad(): assert False\n")
    stages["unit"] = ["pytest", "-p", "no:cacheprovider", "-c", os.devnull, str(file)]
    assert command.main(["unit"]) == 1
    assert command.main(["unit", "-k", "good"]) == 0


def test_changes_run_the_checks_and_the_tests_that_they_concern(
    command: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        command.selection,
        "changed",
        lambda: ["app/page/workers/startup_check.py", "umx/signal/stft.py"],
    )
    tests = ["tests/browser/test_hosts.py", "tests/parity", "tests/unit/test_stft.py"]
    monkeypatch.setattr(command.selection, "tests_of", lambda paths: tests * (len(paths) == 2))
    assert command.of_changes() == {
        **{name: command.STAGES[name] for name in ("lint", "format", "types")},
        "unit": ["pytest", *TWO, "tests/parity", "tests/unit/test_stft.py"],
        "browser": ["pytest", "-rs", *THREE, "tests/browser/test_hosts.py"],
    }
    monkeypatch.setattr(command.selection, "tests_of", lambda paths: [])
    assert list(command.of_changes()) == ["lint", "format", "types"]


def test_changes_of_which_nothing_is_known_run_everything(
    command: ModuleType, stages: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command.selection, "changed", lambda: ["umx/brand_new.py"])
    monkeypatch.setattr(command.selection, "tests_of", lambda paths: None)
    assert command.of_changes() == stages
    del stages["second"]
    assert command.main(["--changed"]) == 0


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
