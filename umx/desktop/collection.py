"""Which songs are meant, and where their stems go."""

import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path

from ..names import MIX

SUFFIXES = {
    *(".wav", ".wave", ".w64", ".rf64", ".aif", ".aiff", ".aifc", ".au", ".caf"),
    *(".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".wma"),
}
"""Endings of songs where a folder is searched. Some can't be read; those songs fail, rather than being passed over."""


@dataclass(frozen=True)
class Entry:
    """A song, and the folder of its stems below that of all stems."""

    path: Path
    folder: str = ""
    protocol: str = ""
    """Such as s3://, which goes before the path; "" on this machine's disks."""

    @property
    def address(self) -> str:
        return f"{self.protocol}{self.path.as_posix()}" if self.protocol else str(self.path)


def collect(
    arguments: Iterable[str], output: Path, titles: Sequence[str]
) -> tuple[list[Entry], dict[str, str]]:
    """The songs that arguments name: files; folders, with all that is below them; patterns, such as Music/**/*.flac.

    Songs in folders keep their tree below the output: that from the folder on, or from a pattern's first part with a *.
    Hidden files, those in the output and stems of other songs that are found are left out. titles: of stems.
    Returns the songs, and a sentence for each argument that names none.
    """
    entries: list[Entry] = []
    empty = {}
    for argument in arguments:
        path, has_magic = Path(argument), glob.has_magic(argument)
        if "://" in argument:
            found = list(_remote(argument))
        elif path.is_dir():
            found = list(_below(path, output))
        elif has_magic and not path.exists():
            found = list(_matching(path, output))
        else:
            entries.append(Entry(path))
            continue
        match = f"There are no songs that match {argument}."
        why = match if has_magic else f"{argument} has no songs in it."
        found = _without_stems(found, titles)
        entries += found
        if not found:
            empty[argument] = why
    return entries, empty


def _below(folder: Path, output: Path) -> Iterator[Entry]:
    """Every song in a folder and in those below it, in order. An output inside of it is left out, but not itself."""
    hidden = output.resolve()
    for place, folders, files in os.walk(folder):
        here = Path(place)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and (here / name).resolve() != hidden
        )
        for name in sorted(files):
            if _is_song(name):
                yield Entry(here / name, str(here.relative_to(folder)))


def _matching(pattern: Path, output: Path) -> Iterator[Entry]:
    fixed = Path()
    for part in pattern.parts:
        if glob.has_magic(part):
            break
        fixed /= part
    for name in sorted(glob.glob(str(pattern), recursive=True)):  # noqa: PTH207 (hidden files are left out)
        path = Path(name)
        if path.is_dir() and "**" not in pattern.parts[-1]:
            place = path.relative_to(fixed)
            yield from (Entry(each.path, str(place / each.folder)) for each in _below(path, output))
        elif _is_song(path.name):
            yield Entry(path, str(path.parent.relative_to(fixed)))


def _remote(address: str) -> Iterator[Entry]:
    """The songs of an address that fsspec knows: a file, a folder or a pattern. They have no hidden files."""
    from fsspec.core import url_to_fs

    protocol = address.partition("://")[0] + "://"
    system, path = url_to_fs(address)
    if glob.has_magic(path):
        names = system.glob(path)
        fixed = re.split(r"[*?\[]", path)[0].rpartition("/")[0]
    elif system.isdir(path):
        names, fixed = system.find(path), path
    else:
        yield Entry(Path(path), "", protocol)
        return
    for name in sorted(names):
        if _is_song(Path(name).name):
            yield Entry(Path(name), str(Path(name).parent.relative_to(fixed)), protocol)


def _is_song(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES


def _without_stems(entries: list[Entry], titles: Sequence[str]) -> list[Entry]:
    """Leave out what an earlier run has made of other songs in the same folder."""
    songs = {(entry.path.parent, entry.path.stem) for entry in entries}
    stem = re.compile(rf"(.+?)( \(\d+\))? - ({'|'.join(map(re.escape, titles))})")

    def is_stem(path: Path) -> bool:
        found = stem.fullmatch(path.stem)
        return found is not None and (path.parent, found[1]) in songs

    return [entry for entry in entries if not is_stem(entry.path)]


def places(
    entries: Sequence[Entry], output: Path, titles: Iterable[str], ending: str
) -> Iterator[dict[str, Path]]:
    """Paths of each song's stems by title: "Song - stem.wav", or "Song.stem.mp4" for MIX.

    Songs of the same name are numbered, so that no file is written twice, and no song overwritten.
    """
    ends = {title: f"{'' if title == MIX else f' - {title}'}.{ending}" for title in titles}
    stem = re.compile(rf"(.*)({'|'.join(map(re.escape, ends.values()))})", re.I | re.DOTALL)
    taken = set()
    for entry in entries:
        for path in (entry.path, *([entry.path.resolve()] if entry.path.is_symlink() else [])):
            if found := stem.fullmatch(path.name):
                taken.add(_key(path.parent, found[1]))
    for entry in entries:
        folder, name = output / entry.folder, entry.path.stem
        numbered = (name if number == 1 else f"{name} ({number})" for number in count(1))
        name = next(name for name in numbered if _key(folder, name) not in taken)
        taken.add(_key(folder, name))
        yield {title: folder / f"{name}{end}" for title, end in ends.items()}


def _key(folder: Path, name: str) -> tuple[str, str]:
    """The same for what may be one name in one folder; some systems ignore case."""
    return _real(folder), name.casefold()


@cache
def _real(folder: Path) -> str:
    return os.path.realpath(folder).casefold()
