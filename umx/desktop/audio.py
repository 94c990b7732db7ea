"""Stems as audio files."""

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import CodedError
from ..signal.samples import to_int16, to_int24
from ..types import Float


class AudioError(CodedError):
    """A file that can't be read as audio, or can't be written. A song's error has its place in the field `song`."""


class UnwritableError(AudioError):
    """A file that can't be written where it should be."""


@dataclass(frozen=True)
class Form:
    """A format of files, by soundfile's names; "STEMS" is a container of its own, see `stem_file`.

    bits: of a sample; None where samples are floats, or become what a lossy codec makes of them.
    rates: the sample rates that such files can have; () for any.
    compression: from 0, the most bits a second, to 1; mode: libsndfile's bitrate mode, such as "CONSTANT"; None for its
    own choice.
    """

    ending: str
    container: str
    subtype: str
    bits: int | None = None
    rates: tuple[int, ...] = ()
    compression: float | None = None
    mode: str | None = None

    @property
    def holds_all(self) -> bool:
        """Whether a song's stems are the tracks of one file."""
        return self.container == "STEMS"

    def rate(self, wanted: int, usual: int) -> int:
        """Sample rate of files if `wanted` is asked for: that, or else the usual one, or else one that can be."""
        for rate in (wanted, usual):
            if not self.rates or rate in self.rates:
                return rate
        return self.rates[-1]

    def samples(self, stem: Float) -> tuple[Any, int]:
        """What to write for a stem (2, n): samples (n, 2); and how many of them were limited to full scale.

        Floats keep what is louder than full scale, and lose nothing.
        """
        if self.bits:
            return (to_int16 if self.bits == 16 else to_int24)(stem.T)
        if self.subtype == "FLOAT":
            return stem.T, 0
        return np.clip(stem.T, -1, 1), int(np.count_nonzero(np.abs(stem) > 1))


FORMS = {
    "wav": {
        "16": Form("wav", "WAV", "PCM_16", 16),
        "24": Form("wav", "WAV", "PCM_24", 24),
        "float": Form("wav", "WAV", "FLOAT"),
    },
    "flac": {
        "16": Form("flac", "FLAC", "PCM_16", 16),
        "24": Form("flac", "FLAC", "PCM_24", 24),
    },
    "mp3": {
        "": Form(
            "mp3",
            "MP3",
            "MPEG_LAYER_III",
            rates=(8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
            compression=2 / 9,  # 256 kbit/s, of 320 to 32
            mode="CONSTANT",
        )
    },
    "opus": {"": Form("opus", "OGG", "OPUS", rates=(48000,), compression=0.7)},  # 160 kbit/s
    "stem.mp4": {"": Form("stem.mp4", "STEMS", "AAC", rates=(44100,))},
}
"""Formats by name, and by the bits of a sample where there is a choice; the first is the usual one."""


def find_form(name: str, bits: str | None) -> Form:
    """A format of FORMS. bits: None for the usual ones. Raises ValueError for bits that it can't have."""
    forms = FORMS[name]
    wanted = next(iter(forms)) if bits is None else bits
    if wanted not in forms:
        choice = ", ".join(forms)
        have = f"has {choice}" if choice else "has no choice"
        raise ValueError(f"{name.upper()} {have} for the bits of a sample, not {bits}.")
    return forms[wanted]


def write_stems(
    paths: Mapping[str, Path],
    stretches: Iterable[Mapping[str, Float]],
    samples: int,
    rate: int,
    form: Form = FORMS["wav"]["16"],
    finish: Callable[[str, Path, str], None] = lambda name, path, container: None,
) -> int:
    """Write stems while they come in. Each stretch has (2, n) by name; they are about `samples` long in all.

    Where a form holds all stems, each stretch has `stem_file.side_by_side` of them as MIX.

    finish: called with a stem's name, its whole file and soundfile's name of its container, before the file gets its
    name. Returns the number of samples that were limited to full scale.
    Raises UnwritableError, naming the folder.
    """
    import soundfile

    loud = 0
    parts = {name: path.with_name(path.name + ".part") for name, path in paths.items()}
    container = form.container
    # WAV has 32 bits for its length, header included, and some programs take the first for a sign. RF64 has 64.
    if container == "WAV" and samples * 2 * (form.bits or 32) // 8 >= (1 << 31) - 1000:
        container = "RF64"
    try:
        with ExitStack() as stack:
            files = {}
            for name, part in parts.items():
                part.parent.mkdir(parents=True, exist_ok=True)
                part.touch()  # its error says why, libsndfile's doesn't
                files[name] = stack.enter_context(_open(part, rate, form, container))
            for stretch in stretches:
                for name, file in files.items():
                    block, limited = form.samples(stretch[name])
                    loud += limited
                    file.write(block)
        for name, part in parts.items():
            finish(name, part, container)
        for name, part in parts.items():
            part.replace(paths[name])
    except (OSError, soundfile.LibsndfileError) as error:
        folders = ", ".join(sorted({str(path.parent) for path in paths.values()}))
        raise UnwritableError(
            "stems.unwritable",
            "The stems can't be written to {folders} ({reason}): see that it is there and has room left.",
            folders=folders,
            reason=error.strerror if isinstance(error, OSError) else error.error_string,
        ) from error
    finally:
        with ExitStack() as stack:
            for part in parts.values():
                if part.exists():
                    stack.callback(part.unlink, missing_ok=True)
    return loud


def _open(path: Path, rate: int, form: Form, container: str) -> Any:
    """A file to write samples into, which is a context that closes it."""
    if form.holds_all:
        return stem_file().StemFile(path, rate)
    import soundfile

    return soundfile.SoundFile(
        address(path),
        "w",
        rate,
        2,
        form.subtype,
        format=container,
        compression_level=form.compression,
        bitrate_mode=form.mode,
    )


def stem_file() -> ModuleType:
    """The module that writes stem files. Raises UnwritableError without PyAV, which it needs."""
    try:
        from . import stem_file
    except ImportError as error:
        raise UnwritableError(
            "stems.no-pyav", "stem.mp4 needs PyAV: pip install 'umx[stems]'"
        ) from error
    return stem_file


def address(path: Path) -> str | bytes:
    """A path for libraries that fail at a str with bytes that are no text."""
    return str(path) if os.name == "nt" else os.fsencode(path)
