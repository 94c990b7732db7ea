"""Errors that a program can tell apart, and a page can say in its visitor's language."""

from collections.abc import Callable
from functools import partial
from typing import Self


class CodedError(ValueError):
    """A code, such as "weights.size", and named fields, beside the English sentence that they fill."""

    def __init__(self, code: str, sentence: str, **fields: object):
        """sentence: English, with the fields' names in braces."""
        super().__init__(sentence.format(**fields))
        self.code, self.sentence, self.fields = code, sentence, fields

    def __reduce__(self) -> tuple[Callable[..., Self], tuple[()]]:
        """Made anew of its parts where it is copied, or comes from another process."""
        return partial(type(self), self.code, self.sentence, **self.fields), ()

    def naming(self, **fields: object) -> Self:
        """The same error with some of its fields changed."""
        return type(self)(self.code, self.sentence, **self.fields | fields)

    def within(self, place: str) -> Self:
        """The same error, said of a file by its name."""
        return type(self)(self.code, "{place}: " + self.sentence, **self.fields | {"place": place})


class WeightsError(CodedError):
    """A model that can't be found, read or trusted; says which and why."""


class CheckpointError(CodedError):
    """A file that can't be read as a checkpoint; says which and why."""


class ConvertError(CodedError):
    """Checkpoints that can't become a model; says which and why."""


def damaged_checkpoint(reason: str) -> CheckpointError:
    return CheckpointError("checkpoint.damaged", "{reason}", reason=reason)


def unusable(reason: object) -> ConvertError:
    """The error for a checkpoint of a network that can't be used here."""
    return ConvertError(
        "convert.network", "it is no network that can be used: {reason}.", reason=reason
    )


def misfit(reason: object) -> ConvertError:
    """The error for a checkpoint whose tensors don't fit together."""
    return ConvertError(
        "convert.shapes", "its tensors don't fit together: {reason}.", reason=reason
    )


class AnalysisError(CodedError):
    """A song that can't be analysed; says why."""
