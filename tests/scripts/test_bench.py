"""scripts/bench.py, but for what a browser is needed for."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import fields, replace
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from scripts import bench
from scripts.common import native

RESULT = bench.Result(
    *("random-1024", 60, 2, "WebAssembly SIMD kernel", "HeadlessChrome/156.0.1.2"),
    real_time_factor=0.125,
    spread=[0.1, 0.25],
    first_stems=6.25,
    ready=6.5,
    bare_ready=3.5,
    megabytes_loaded=140.2,
    peak_memory_mb=1048.4,
    stages={"linear": 0.044},
)
REFERENCE = bench.Result(
    "random-1024", 60, 2, "PyTorch 2.9", "none", real_time_factor=0.3125, spread=[0.3, 0.4]
)
PACKAGE = bench.Result(
    *("random-1024", 60, 2, "package, avx2", "none"),
    real_time_factor=0.03125, spread=[0.03, 0.04], peak_memory_mb=512.3, rate=90.0, limit=120.0,
)  # fmt: skip


def test_the_table_has_a_row_for_every_result(capsys: pytest.CaptureFixture[str]) -> None:
    results = [RESULT, replace(RESULT, model="umx-mini", workers=1), PACKAGE, REFERENCE]
    bench.print_table(bench.compared(results))
    head, line, first, _, package, last, *ratios = capsys.readouterr().out.splitlines()
    assert head.endswith("| ready (bare) | loaded | peak memory |")
    assert line.count("---") == head.count("|") - 1
    assert first == (
        "| random-1024 | WebAssembly SIMD kernel | 2 | 60 s | 0.125 (0.100 to 0.250) | 6.2 s "
        "| 6.5 s (3.5 s) | 140.2 MB | 1048 MB |"
    )
    assert (
        last == "| random-1024 | PyTorch 2.9 | 2 | 60 s | 0.312 (0.300 to 0.400) | – | – | – | – |"
    )
    assert package == (
        "| random-1024 | package, avx2 | 2 | 60 s | 0.031 (0.030 to 0.040) | – | – | – | 512 MB |"
    )
    page = "random-1024, WebAssembly SIMD kernel, 2 workers, 60 s: "
    here = "random-1024, package, avx2, 2 workers, 60 s: "
    assert ratios == [
        f"{page}2.50 times as fast as PyTorch.",
        f"{here}10.00 times as fast as PyTorch.",
        f"{here}90 G multiply-adds a second, 75 % of the cores' 120.",
    ]


def test_speed_is_compared_with_as_many_threads_of_the_same_model() -> None:
    results = [RESULT, replace(RESULT, workers=1), replace(RESULT, model="umx-mini"), REFERENCE]
    assert [result.times_reference for result in bench.compared(results)] == [2.5, None, None, None]


def test_the_figures_are_kept_as_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, int, list[int]]] = []
    made: list[Path] = []
    published: list[tuple[Path, list[Path]]] = []

    def in_browser(
        context: None, model: str, workers: int, songs: dict[int, Path]
    ) -> Iterator[bench.Result]:
        asked.append((model, workers, list(songs)))
        yield replace(RESULT, model=model, workers=workers)

    def packaged(
        libraries: Path, model: Path, threads: int, songs: dict[int, Path]
    ) -> Iterator[bench.Result]:
        yield replace(PACKAGE, model=model.name, workers=threads)

    def build(site: Path) -> Path:
        site.mkdir()
        return site

    for name, stand_in in {
        "build": build,
        "song": lambda folder, seconds: folder / f"{seconds}.wav",
        "random_model": lambda folder, shape: made.append(folder),
        "publish": lambda site: published.append((site, list(made))),
        "opened": lambda site, profile: nullcontext(),
        "in_browser": in_browser,
        "packaged": packaged,
        "reference": lambda model, seconds: [replace(REFERENCE, model=model.replace(":", "-"))],
    }.items():
        monkeypatch.setattr(bench, name, stand_in)
    monkeypatch.setattr(native, "build", lambda folder: None)
    path = tmp_path / "figures.json"
    words = ["--model", "random:1024", "umx-mini", "--workers", "1", "2", "--seconds", "60"]
    monkeypatch.setattr(sys, "argv", ["bench.py", *words, "--json", str(path)])
    bench.main()
    (site, known), _ = published
    assert known == [site / "weights" / "random-1024"]

    assert asked == [
        (model, workers, [60]) for model in ("random-1024", "umx-mini") for workers in (1, 2)
    ]
    runs = json.loads(path.read_text())["runs"]
    assert [run["times_reference"] for run in runs] == 2 * [None, 2.5, None, 10, None]
    for run in runs:
        assert run.keys() == {field.name for field in fields(bench.Result)}
    assert runs[1] | {"times_reference": None} == json.loads(
        capsys.readouterr().out.splitlines()[1]
    )


def test_a_song_that_fails_ends_it_in_words() -> None:
    page = MagicMock()
    card = page.locator.return_value.first
    card.get_attribute.return_value = "failed"
    card.locator.return_value.inner_text.return_value = "The engine ran out of memory."
    with pytest.raises(SystemExit, match=r"240 s\.wav could not be .*: The engine ran out of"):
        bench.separate(page, Path("240 s.wav"))


def test_an_engine_that_does_not_start_ends_it_in_words() -> None:
    page = MagicMock()
    page.locator.return_value.get_attribute.return_value = "error"
    page.locator.return_value.all_inner_texts.return_value = ["The engine could not start."]
    with pytest.raises(SystemExit, match=r"The engine could not start\."):
        bench.settled(page, "ready")


def test_memory_is_looked_at_in_all_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    looking = [False]

    @contextmanager
    def peak_memory() -> Iterator[object]:
        looking.append(True)
        yield lambda: 500
        looking.append(False)

    runs = []

    def separate(page: object, path: Path) -> dict[str, float]:
        runs.append(looking[-1])
        return {"first": 1, "total": len(runs)}

    for name, stand_in in {
        "peak_memory": peak_memory,
        "separate": separate,
        "memory": lambda: 100,
        "megabytes": lambda page, url: 17.5,
        "ready_after": lambda page, url: 3,
        "stages": lambda page: {"linear": 30},
    }.items():
        monkeypatch.setattr(bench, name, stand_in)
    context = MagicMock()
    context.new_cdp_session.return_value.send.return_value = {"product": "HeadlessChrome/156.0"}
    context.new_page.return_value.locator.return_value.text_content.return_value = (
        "Engine: numpy; workers: 2"
    )
    (result,) = bench.in_browser(context, "umx-mini", 2, {10: Path("10 s.wav")})
    assert runs == [True] * (1 + bench.RUNS)
    assert (result.peak_memory_mb, result.megabytes_loaded) == (400, 17.5)
    assert (result.browser, result.engine) == ("HeadlessChrome/156.0", "numpy")
    assert (result.real_time_factor, result.spread) == (0.3, [0.2, 0.4])
    assert result.stages == {"linear": 3}
