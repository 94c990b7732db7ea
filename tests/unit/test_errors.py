"""Errors that carry a code and fields beside their sentence."""

import pickle
from pathlib import Path

import pytest

from umx.errors import CheckpointError, CodedError, ConvertError, WeightsError


@pytest.mark.parametrize("kind", [CodedError, WeightsError, CheckpointError, ConvertError])
def test_a_sentence_is_filled_and_its_parts_are_kept(kind: type[CodedError]) -> None:
    error = kind("weights.size", "{file} has {found} bytes, not {size}.", file="a", found=3, size=4)
    assert str(error) == "a has 3 bytes, not 4."
    assert error.code == "weights.size"
    assert error.sentence == "{file} has {found} bytes, not {size}."
    assert error.fields == {"file": "a", "found": 3, "size": 4}
    assert isinstance(error, ValueError)


def test_a_sentence_may_have_no_fields() -> None:
    error = CodedError("convert.unknown", "It is unknown.")
    assert (str(error), error.fields) == ("It is unknown.", {})


def test_fields_may_hold_anything_braces_too() -> None:
    """Files bear any name, and a reason may be another error."""
    fields = {"file": Path("{0} {size} }{.gz"), "reason": KeyError("{tensor}")}
    error = CodedError("folder.unreadable", "{file} can't be read: {reason}.", **fields)
    assert str(error) == "{0} {size} }{.gz can't be read: '{tensor}'."


def test_said_of_a_file_it_is_the_same_error() -> None:
    error = ConvertError("convert.not-finite", "its {tensor} is not finite.", tensor="fc1{}")
    named = error.within("folder/{bass}.pth")
    assert type(named) is ConvertError
    assert str(named) == "folder/{bass}.pth: its fc1{} is not finite."
    assert named.code == "convert.not-finite"
    assert named.fields == {"tensor": "fc1{}", "place": "folder/{bass}.pth"}
    assert str(error) == "its fc1{} is not finite."


def test_a_file_may_get_another_name() -> None:
    error = CodedError("song.empty", "{song} holds no audio: {reason}.", song="/tmp/a", reason="b")
    named = error.naming(song="s3://songs/{a}.wav")
    assert str(named) == "s3://songs/{a}.wav holds no audio: b."
    assert named.fields == {"song": "s3://songs/{a}.wav", "reason": "b"}


def test_it_crosses_processes_whole() -> None:
    error = ConvertError("convert.not-finite", "its {tensor} is not finite.", tensor="fc1{}")
    copied = pickle.loads(pickle.dumps(error))
    assert type(copied) is ConvertError
    assert str(copied) == str(error)
    assert (copied.code, copied.fields) == (error.code, error.fields)


def test_kinds_are_told_apart() -> None:
    for kind in (WeightsError, CheckpointError, ConvertError):
        others = {WeightsError, CheckpointError, ConvertError} - {kind}
        assert not issubclass(kind, tuple(others))
