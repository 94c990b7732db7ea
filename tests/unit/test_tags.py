"""Tags go from the song's file to those of its stems, whatever the formats."""

import io
from base64 import b64encode
from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from mutagen.flac import Picture

from umx.desktop.audio import FORMS, write_stems
from umx.desktop.tags import FRAMES, LARGEST_PICTURE, Tags, read_tags, write_tags

COVER = Picture()
COVER.data, COVER.mime, COVER.type = b"\x89PNG and so on", "image/png", 3
BACK = Picture()
BACK.data, BACK.mime, BACK.type = b"\xff\xd8 the back", "image/jpeg", 4
SONG = Tags(
    {
        "TITLE": ["Ünder “the” bridge"],
        "ARTIST": ["One", "Two"],
        "ALBUM": ["Album"],
        "TRACKNUMBER": ["3"],
        "TRACKTOTAL": ["12"],
        "DATE": ["1999-05-01"],
        "GENRE": ["Jazz"],
        "LYRICS": ["a line\nand another"],
        "COMMENT": ["said"],
    },
    [COVER, BACK],
)
ALL = [form for forms in FORMS.values() for form in forms.values() if not form.holds_all]


def written(path: Path, tags: Tags, form: object) -> Path:
    rate = form.rate(44100, 44100)
    tone = 0.25 * np.sin(np.arange(2 * rate) / 30).astype(np.float32)
    stretch = {"bass": np.stack([tone, tone])}

    def finish(name: str, file: Path, container: str) -> None:
        write_tags(file, container, tags)

    write_stems({"bass": path}, [stretch], 2 * rate, rate, form, finish)
    return path


def read(path: Path) -> Tags:
    with path.open("rb") as file:
        return read_tags(file)


def plain(tags: Tags) -> tuple[dict[str, list[str]], list[tuple[bytes, str, int]]]:
    pictures = [(each.data, each.mime, each.type) for each in tags.pictures]
    return {name: list(values) for name, values in tags.texts.items()}, pictures


@pytest.mark.parametrize("form", ALL, ids=lambda form: f"{form.ending}-{form.subtype}")
def test_tags_come_back_and_samples_stay(tmp_path: Path, form: object) -> None:
    path = written(tmp_path / f"x.{form.ending}", SONG, form)
    assert plain(read(path)) == plain(SONG)
    bare = written(tmp_path / f"bare.{form.ending}", Tags(), form)
    np.testing.assert_array_equal(soundfile.read(path)[0], soundfile.read(bare)[0])
    assert plain(read(bare)) == ({}, [])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file of each container, without tags and with those of SONG."""
    folder = tmp_path_factory.mktemp("tags")
    for form in ALL:
        written(folder / f"bare.{form.container}", Tags(), form)
        written(folder / f"tagged.{form.container}", SONG, form)
    return folder


CONTAINERS = sorted({form.container for form in ALL})


@given(
    st.sampled_from(CONTAINERS),
    st.dictionaries(
        st.sampled_from([*FRAMES]),
        # ID3 takes / for "of", and NUL between values.
        st.lists(st.text("aÄ語 %=;\U0001f600", min_size=1), min_size=1, max_size=1),
    ),
)
def test_any_text_comes_back(folder: Path, container: str, texts: dict[str, list[str]]) -> None:
    path = folder / "any"
    path.write_bytes((folder / f"bare.{container}").read_bytes())
    write_tags(path, container, Tags(texts))
    found = {name: [*values] for name, values in read(path).texts.items()}
    # ID3 knows dates of digits only.
    assert found | {"DATE": []} == texts | {"DATE": []}


def test_a_stem_says_that_it_is_one() -> None:
    assert SONG.of_part("file", "bass").texts["TITLE"] == ["Ünder “the” bridge (bass)"]
    assert SONG.of_part("file", "bass").texts["ALBUM"] == ["Album"]
    assert Tags().of_part("file", "bass").texts == {"TITLE": ["file (bass)"]}


@pytest.mark.parametrize("name", ["aiff", "ogg", "au"])
def test_other_songs_tags_are_read_where_they_have_any(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"song.{name}"
    soundfile.write(path, np.zeros((1000, 2)), 44100)
    assert plain(read(path)) == ({}, [])
    if name == "au":
        return
    file = mutagen.File(path)
    if name == "aiff":
        file.add_tags()
        file.tags.add(FRAMES["ARTIST"](encoding=3, text=["One"]))
    else:
        file["artist"] = ["One"]
        file["replaygain_track_gain"] = ["-3 dB"]
        file["metadata_block_picture"] = [b64encode(COVER.write()).decode()]
    file.save()
    assert plain(read(path))[0] == {"ARTIST": ["One"]}
    assert [each.data for each in read(path).pictures] == ([COVER.data] if name == "ogg" else [])


def test_a_picture_that_is_too_large_is_left_out(tmp_path: Path) -> None:
    large = Picture()
    large.data, large.mime, large.type = bytes(LARGEST_PICTURE + 1), "image/png", 3
    path = written(tmp_path / "x.flac", Tags({}, [large, COVER]), FORMS["flac"]["16"])
    assert [each.data for each in read(path).pictures] == [COVER.data]


@given(st.sampled_from(CONTAINERS), st.data())
def test_damaged_tags_are_none(folder: Path, container: str, data: st.DataObject) -> None:
    content = bytearray((folder / f"tagged.{container}").read_bytes())
    places = st.integers(0, min(len(content), 4000) - 1)
    changes = data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=20))
    for place, value in changes:
        content[place] = value
    cut = data.draw(st.integers(0, len(content)))
    assert isinstance(read_tags(io.BytesIO(content[:cut])), Tags)
