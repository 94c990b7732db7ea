"""Stems as audio files."""

import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path

from ..signal.samples import to_int16
from ..types import Float


class AudioError(ValueError):
    """A file that can't be read as audio, or can't be written."""


def write_stems(
    paths: Mapping[str, Path], stretches: Iterable[Mapping[str, Float]], samples: int, rate: int
) -> int:
    """Write stems as 16-bit WAV while they come in. Each stretch has (2, n) by name; they are `samples` long in all.

    A file gets its name when it is whole. Returns the number of samples that were limited to full scale.
    Raises AudioError, naming the folder, where it can't be written to.
    """
    import soundfile

    loud = 0
    parts = {name: path.with_name(path.name + ".part") for name, path in paths.items()}
    # WAV has 32 bits for its length, header included, and some programs take the first for a sign. RF64 has 64.
    kind = "WAV" if 4 * samples < (1 << 31) - 1000 else "RF64"
    try:
        with ExitStack() as stack:
            files = {}
            for name, part in parts.items():
                part.touch()  # its error says why, libsndfile's doesn't
                sound = soundfile.SoundFile(_address(part), "w", rate, 2, "PCM_16", format=kind)
                files[name] = stack.enter_context(sound)
            for stretch in stretches:
                for name, file in files.items():
                    block, limited = to_int16(stretch[name].T)
                    loud += limited
                    file.write(block)
        for name, part in parts.items():
            part.replace(paths[name])
    except (OSError, soundfile.LibsndfileError) as error:
        folders = ", ".join(sorted({str(path.parent) for path in paths.values()}))
        why = f" ({error.strerror})" if isinstance(error, OSError) else ""
        raise AudioError(
            f"The stems can't be written to {folders}{why}: see that it is there and has room left."
        ) from error
    finally:
        with ExitStack() as stack:
            for part in parts.values():
                stack.callback(part.unlink, missing_ok=True)
    return loud


def _address(path: Path) -> str | bytes:
    """A path for soundfile, which fails at a str with bytes that are no text."""
    return str(path) if os.name == "nt" else os.fsencode(path)
