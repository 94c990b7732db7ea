"""scripts/audit.py: what it makes of the answers, and that no answer is not a good one."""

import json
import re
import sys

import pytest

from scripts import audit
from scripts.audit import KNOWN, NOTHING, UNASKED

PINS = ["Fine_Package==1.0", "weak==2.0", "unheard-of==3.0", "left-out==4.0"]


def test_pip_audit_is_taken_at_its_word_only() -> None:
    dependencies = [
        {"name": "fine-package", "version": "1.0", "vulns": []},
        {"name": "weak", "version": "2.0", "vulns": [{"id": "PYSEC-1"}, {"id": "PYSEC-2"}]},
        {"name": "unheard-of", "skip_reason": "not found"},
    ]
    answer = json.dumps({"dependencies": dependencies})
    assert audit.heard_of_pip(PINS, answer, "No known vulnerabilities found") == {
        "Fine_Package==1.0": (NOTHING, ""),
        "weak==2.0": (KNOWN, "PYSEC-1, PYSEC-2"),
        "unheard-of==3.0": (UNASKED, "not found"),
        "left-out==4.0": (UNASKED, "No known vulnerabilities found"),
    }


@pytest.mark.parametrize("answer", ["", "<html>", "{}", '{"message": "405 Method Not Allowed"}'])
def test_no_answer_is_no_good_answer(answer: str) -> None:
    assert audit.heard_of_pip(["a==1"], answer, "") == {"a==1": (UNASKED, "no answer")}
    assert audit.heard_of_npm(["@a/b@1"], answer, "one\ntwo\n") == {"@a/b@1": (UNASKED, "two")}


def test_npm_names_the_weak() -> None:
    answer = json.dumps({"vulnerabilities": {"@a/weak": {"severity": "high"}}})
    assert audit.heard_of_npm(["@a/weak@1.0", "fine@2.0"], answer, "") == {
        "@a/weak@1.0": (KNOWN, "high"),
        "fine@2.0": (NOTHING, ""),
    }


def test_only_a_known_weakness_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = {"a==1": (NOTHING, ""), "b==1": (UNASKED, "no answer")}
    monkeypatch.setattr(audit, "ask_npm", lambda *arguments: {})
    monkeypatch.setattr(audit, "ask_pip", lambda *arguments: answers)
    assert audit.main() == 0
    assert "b==1: could not ask (no answer)" in capsys.readouterr().out
    answers["a==1"] = (KNOWN, "PYSEC-1")
    assert audit.main() == 1
    assert "known: 1, nothing known: 0, could not ask: 1" in capsys.readouterr().out


def test_all_that_is_shipped_is_asked_about() -> None:
    page, building, tests, training = audit.python_pins()
    assert any(pin.startswith("numpy==2.0") for pin in page)
    assert any(pin.startswith("markdown2==") for pin in building)
    assert any(pin.startswith("playwright") or "playwright==" in pin for pin in tests)
    assert any(pin.startswith("torch==") for pin in training)
    assert any(pin.startswith("pyodide@") for pin in audit.npm_pins())
    assert all(
        re.fullmatch(r"[\w.-]+==[\w.+]+", pin)
        for pins in (page, building, tests, training)
        for pin in pins
    )
    # What comes along too.
    assert any(pin.startswith("urllib3==") for pin in tests)


def test_a_program_that_is_not_there_complains(tmp_path: "audit.Path") -> None:
    answer = audit.run(tmp_path, "a-program-that-nobody-has")
    assert answer.returncode
    assert "a-program-that-nobody-has" in answer.stderr


def test_a_program_that_does_not_answer_complains(
    tmp_path: "audit.Path", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "PATIENCE", 0.1)
    answer = audit.run(tmp_path, sys.executable, "-c", "import threading as t; t.Event().wait()")
    assert answer.returncode
    assert "timed out" in answer.stderr
