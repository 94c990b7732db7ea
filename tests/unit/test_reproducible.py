"""The same song gives the same bits, however it comes in and whoever works on it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

import umx
from scripts.common.environment import ROOT
from tests.music import band
from umx import segments
from umx.desktop.cli import main
from umx.level import Meter
from umx.models import Cutting
from umx.separator import Separator

MINI = ROOT / "weights" / "umx-mini"


@pytest.fixture(scope="module")
def song() -> np.ndarray:
    return sum(band(6).values())


@pytest.fixture(scope="module")
def separator() -> Separator:
    """One whose segments are short, so that a song of seconds has many."""
    separator = Separator(MINI)
    separator.cutting = replace(separator.cutting, segment=44100, overlap=6000, batch_size=2)
    return separator


@pytest.fixture(scope="module")
def whole(song: np.ndarray, separator: Separator) -> np.ndarray:
    return separator.separate(song)


def cut(song: np.ndarray, edges: list[int]) -> Iterator[np.ndarray]:
    yield from np.split(song, sorted(edges), axis=1)


def level(blocks: Iterator[np.ndarray]) -> float:
    meter = Meter()
    for block in blocks:
        meter.add(block)
    return meter.level


@settings(max_examples=4)
@given(st.lists(st.integers(0, 6 * 44100), max_size=40))
def test_blocks_of_any_length_give_the_same_stems(
    song: np.ndarray, separator: Separator, whole: np.ndarray, edges: list[int]
) -> None:
    power = level(cut(song, edges))
    stretches = separator.stream(cut(song, edges), song.shape[1], power)
    np.testing.assert_array_equal(np.concatenate([*stretches], axis=-1), whole)


@pytest.mark.parametrize("count", [2, 3, 100])
def test_parts_on_their_own_give_the_same_stems(
    song: np.ndarray, separator: Separator, whole: np.ndarray, count: int
) -> None:
    power, samples = level(iter([song])), song.shape[1]
    parts = segments.split(samples, separator.cutting, count)
    assert len(parts) == min(count, len(segments.plan(samples, separator.cutting)))
    estimates = [separator.stream_part([song[:, p.first :]], p, power) for p in parts]
    joined = [*segments.join(estimates, separator.cutting.overlap)]
    np.testing.assert_array_equal(np.concatenate(joined, axis=-1), whole)


@given(
    st.integers(1, 30_000),
    st.integers(1, 9),
    st.integers(1, 4),
    st.booleans(),
    st.integers(1, 3000),
)
def test_parts_cover_the_song(
    samples: int, count: int, batch_size: int, fixed: bool, block: int
) -> None:
    song = np.random.default_rng(samples).standard_normal((2, samples)).astype(np.float32)
    cutting = Cutting(1000, 120, batch_size, fixed)
    parts = segments.split(samples, cutting, count)
    assert [part.is_first for part in parts] == [True] + [False] * (len(parts) - 1)
    assert [part.is_last for part in parts] == [False] * (len(parts) - 1) + [True]

    def faded(part: segments.Part) -> Iterator[np.ndarray]:
        start = part.batches[0].starts[0]
        piece = song[:, start : start + part.samples].copy()
        assert piece.shape[1] == part.samples
        segments.fade(piece, 120, part.is_first, part.is_last)
        yield from np.split(piece, range(block, part.samples, block), axis=1)

    joined = np.concatenate([*segments.join(map(faded, parts), 120)], axis=1)
    np.testing.assert_allclose(joined, song, atol=1e-6)


@pytest.mark.parametrize("threads", [1, 3])
def test_any_number_of_threads_gives_the_same_stems(
    song: np.ndarray, whole: np.ndarray, threads: int
) -> None:
    separator = Separator(MINI, threads=threads)
    if separator.engine.name == "numpy":
        pytest.skip("BLAS sums as it likes")
    separator.cutting = replace(separator.cutting, segment=44100, overlap=6000, batch_size=2)
    np.testing.assert_array_equal(separator.separate(song), whole)


def test_the_command_line_writes_what_the_package_gives(song: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "song.wav"
    soundfile.write(path, song.T, 44100, "FLOAT")
    options = ["--model", str(MINI), "--bits", "float"]
    assert main(["separate", str(path), "-o", str(tmp_path / "out"), *options]) == 0
    stems = umx.separate(song, 44100, model=MINI)
    for title, name in (("vocals", "vocals"), ("melody", "other"), ("karaoke", "karaoke")):
        found = soundfile.read(tmp_path / "out" / f"song - {title}.wav", dtype="float32")[0]
        np.testing.assert_array_equal(found.T, stems[name])


def test_a_bar_is_drawn_where_it_is_wanted(
    song: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    short = song[:, :20_000]
    silent = umx.separate(short, 44100, model=MINI)
    assert capsys.readouterr().err == ""
    drawn = umx.separate(short, 44100, model=MINI, progress=True)
    assert "100% |" in capsys.readouterr().err
    np.testing.assert_array_equal(drawn["vocals"], silent["vocals"])
