"""Which songs are meant by folders and patterns, and where their stems go."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umx.desktop.collection import Entry, collect, places

TITLES = ("vocals", "bass", "karaoke", "rest")


@pytest.fixture
def tree(tmp_path: Path) -> Callable[..., Path]:
    def make(*names: str) -> Path:
        for name in names:
            path = tmp_path / "Music" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path / "Music"

    return make


def found(*arguments: Path | str, output: Path = Path("out")) -> list[tuple[str, str]]:
    """Names of the songs, and their folders below the output."""
    entries, empty = collect(map(str, arguments), output, TITLES)
    assert not empty
    return [(entry.path.name, Path(entry.folder).as_posix()) for entry in entries]


def test_a_folder_is_all_that_is_below_it(tree: Callable[..., Path]) -> None:
    folder = tree("b.mp3", "A/x/2.FLAC", "A/1.wav", "A/cover.jpg", "notes.txt", "old.m4a")
    assert found(folder) == [
        *(("b.mp3", "."), ("old.m4a", ".")),
        *(("1.wav", "A"), ("2.FLAC", "A/x")),
    ]


def test_hidden_files_and_the_output_are_no_songs(tree: Callable[..., Path]) -> None:
    folder = tree("a.mp3", "._a.mp3", ".cache/b.mp3", "stems/a - vocals.wav", "stems/c.wav")
    assert found(folder, output=folder / "stems") == [("a.mp3", ".")]
    assert found(folder / "stems", output=folder / "stems") == [
        ("a - vocals.wav", "."),
        ("c.wav", "."),
    ]


def test_stems_beside_their_songs_are_no_songs(tree: Callable[..., Path]) -> None:
    folder = tree("a.mp3", "a - vocals.wav", "a (2) - rest.flac", "b - vocals.wav", "a - live.mp3")
    expected = [("a - live.mp3", "."), ("a.mp3", "."), ("b - vocals.wav", ".")]
    assert found(folder, output=folder) == expected
    assert found(folder / "a - vocals.wav", output=folder) == [("a - vocals.wav", ".")]


def test_a_pattern_keeps_the_tree_behind_its_first_star(tree: Callable[..., Path]) -> None:
    folder = tree("A/1.wav", "A/x/2.flac", "B/3.wav", "B/x.txt", "C/.4.wav")
    assert found(folder / "**" / "*.wav") == [("1.wav", "A"), ("3.wav", "B")]
    assert found(folder / "*" / "*.wav") == [("1.wav", "A"), ("3.wav", "B")]
    assert found(folder / "A" / "**") == [("1.wav", "."), ("2.flac", "x")]
    assert found(folder / "[AB]") == [("1.wav", "A"), ("2.flac", "A/x"), ("3.wav", "B")]


def test_a_file_with_brackets_in_its_name_is_no_pattern(tree: Callable[..., Path]) -> None:
    folder = tree("1 [live].wav", "1 l.wav")
    assert found(folder / "1 [live].wav") == [("1 [live].wav", ".")]


def test_what_names_no_songs_is_said(tree: Callable[..., Path]) -> None:
    folder = tree("notes.txt")
    pattern = folder / "*.wav"
    assert collect([str(folder), str(pattern)], Path("out"), TITLES) == (
        [],
        {
            str(folder): f"{folder} has no songs in it.",
            str(pattern): f"There are no songs that match {pattern}.",
        },
    )


def test_places_tell_songs_apart_that_differ_in_case_or_suffix(tmp_path: Path) -> None:
    songs = [Path(name) for name in ("Song.mp3", "Song.flac", "song.wav", "Song (2).wav", "x.wav")]
    paths = places(list(map(Entry, songs)), tmp_path, ["vocals", "bass"], "wav")
    assert [each["bass"].name.removesuffix(" - bass.wav") for each in paths] == [
        *("Song", "Song (2)", "song (3)", "Song (2) (2)", "x")
    ]
    assert all(list(each) == ["vocals", "bass"] for each in paths)


def test_a_song_behind_a_link_is_not_overwritten(tmp_path: Path) -> None:
    song = tmp_path / "x - bass.wav"
    song.touch()
    link = tmp_path / "links" / "x.wav"
    link.parent.mkdir()
    try:
        link.symlink_to(song)
    except OSError:
        pytest.skip("no links here")
    (paths,) = places([Entry(link)], tmp_path, ["bass"], "wav")
    assert paths["bass"].name == "x - bass.wav"[:1] + " (2) - bass.wav"


names = st.sampled_from(["a", "A", "a (2)", "b", "a - vocals"])


@given(st.lists(st.tuples(names, st.sampled_from([".wav", ".mp3"]), st.sampled_from(["", "x"]))))
def test_no_file_is_written_twice_and_no_song_overwritten(
    songs: list[tuple[str, str, str]],
) -> None:
    entries = [Entry(Path("/m") / f / (n + s), f) for n, s, f in songs]
    paths = [path for each in places(entries, Path("/m"), TITLES, "wav") for path in each.values()]
    keys = [str(path).casefold() for path in paths]
    assert len({*keys}) == len(keys) == len(songs) * len(TITLES)
    assert not {*keys} & {str(entry.path).casefold() for entry in entries}
