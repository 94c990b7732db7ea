"""scripts/common/selection.py: the table in CONTRIBUTING.md names what is there, and finds tests for what changes."""

import subprocess
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from scripts.common import selection

Git = Callable[..., None]


def tracked() -> list[str]:
    """Every file of the checkout that is committed, or will be."""
    return selection._git("ls-files", "--cached", "--others", "--exclude-standard")


def test_every_source_of_the_table_is_there() -> None:
    files, rows = tracked(), selection.table()
    assert len(rows) > 20
    for sources, _ in rows:
        for source in sources:
            assert any(fnmatchcase(path, source) for path in files), source


def test_every_test_of_the_table_is_there() -> None:
    for _, tests in selection.table():
        for test in tests:
            assert (selection.ROOT / test).exists(), test
            assert test.startswith(selection.SUITES), test


@pytest.mark.parametrize("folder", ["app", "umx", "scripts"])
def test_every_source_has_tests(folder: str) -> None:
    """Not only those of a whole folder's sources: each of the page's has some in browsers, or of its own name."""
    for path in tracked():
        if path.startswith(f"{folder}/") and path.endswith((".py", ".js", ".mjs", ".c")):
            tests = selection.tests_of([path])
            assert tests is not None, f"add {path} to the table in CONTRIBUTING.md"
            if folder == "app":
                own = (f"tests/unit/test_{Path(path).stem}.py", "tests/browser/")
                assert any(test.startswith(own) for test in tests), (
                    f"add {path} to the table in CONTRIBUTING.md"
                )


def test_tests_are_found_by_the_table_and_by_name() -> None:
    assert selection.tests_of(["app/page/settings/bug_report.py"]) == [
        *("tests/browser/test_fallbacks.py", "tests/browser/test_page.py"),
        *("tests/scripts/test_build.py", "tests/unit/test_texts.py"),
    ]
    assert "tests/unit/test_stft.py" in (selection.tests_of(["umx/signal/stft.py"]) or [])
    readme = "tests/scripts/test_readme.py"
    assert selection.tests_of(["scripts/audit.py"]) == ["tests/scripts/test_audit.py", readme]
    both = selection.tests_of(["scripts/vendor.py", "scripts/audit.py"])
    assert both == ["tests/scripts/test_audit.py", readme, "tests/scripts/test_vendor.py"]


def test_documents_need_no_tests() -> None:
    assert selection.tests_of(["README.md", "docs/screenshots/phone-light-2-ready.webp"]) == []
    assert selection.tests_of([]) == []


def test_what_nothing_is_known_of_needs_all() -> None:
    assert selection.tests_of(["README.md", "app/brand_new.rs", "umx/signal/stft.py"]) is None
    assert selection.tests_of([".ci/run"]) is None


def test_a_test_is_its_own_and_a_helper_its_suite_s() -> None:
    assert selection.tests_of(["tests/unit/test_stft.py"]) == ["tests/unit/test_stft.py"]
    assert selection.tests_of(["tests/unit/test_gone.py"]) == []
    both = ["tests/unit/traces.json", "tests/unit/test_stft.py"]
    assert selection.tests_of(both) == ["tests/unit"]
    assert selection.tests_of(["tests/browser/songs.py"]) == ["tests/browser"]
    for shared in ("tests/conftest.py", "tests/requirements.txt"):
        assert selection.tests_of([shared]) is None


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    """Runs git in an empty repository, which stands in for the checkout."""
    monkeypatch.setattr(selection, "ROOT", tmp_path)
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)

    def run(*command: str) -> None:
        who = ["-c", "user.name=Somebody", "-c", "user.email=somebody@nowhere"]
        subprocess.run(["git", *who, *command], cwd=tmp_path, check=True, capture_output=True)

    run("init", "--initial-branch=main")
    return run


def test_what_has_changed_since_main(git: Git, tmp_path: Path) -> None:
    for name in ("kept", "edited", "deleted", "committed", ".gitignore"):
        (tmp_path / name).write_text("ignored\n")
    git("add", ".")
    git("commit", "-m", "all")
    git("checkout", "-b", "work")
    assert selection.changed() == []
    (tmp_path / "committed").write_text("2")
    git("commit", "-am", "one")
    (tmp_path / "edited").write_text("2")
    (tmp_path / "deleted").unlink()
    (tmp_path / "ignored").write_text("")
    (tmp_path / "new é.py").write_text("")
    changed = ["committed", "deleted", "edited", "new é.py"]
    assert selection.changed() == changed
    # What main has gained meanwhile is no change of this branch.
    git("stash", "-u")
    git("checkout", "main")
    (tmp_path / "kept").write_text("2")
    git("commit", "-am", "elsewhere")
    git("checkout", "work")
    git("stash", "pop")
    assert selection.changed() == changed


def test_no_main_to_compare_with_is_said(git: Git) -> None:
    git("checkout", "-b", "trunk")
    with pytest.raises(SystemExit, match="no branch main"):
        selection.changed()
