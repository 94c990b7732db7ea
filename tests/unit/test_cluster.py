"""Songs on a cluster: a real one, of processes on this computer."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import psutil
import pytest
import soundfile
from distributed import Client, LocalCluster

import umx
from scripts.common.environment import ROOT
from tests.music import band
from tests.stem_file import tracks_of
from umx.desktop.audio import FORMS
from umx.desktop.cli import main, prepare
from umx.desktop.cluster import Job, Run, SeparatorPlugin, run
from umx.desktop.separating import Outcome, Shape
from umx.desktop.tags import read_tags
from umx.format.library import load_model

MINI = ROOT / "weights" / "umx-mini"
SONGS, SECONDS = 8, 6
SHAPE = Shape(FORMS["wav"]["16"])
TITLES = ("vocals", "drums", "bass", "melody", "karaoke")


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster


@pytest.fixture
def plugin() -> SeparatorPlugin:
    model = load_model(MINI)
    return SeparatorPlugin(model, **prepare(model.manifest, [], False), threads=1)


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of songs, in two folders."""
    folder = tmp_path_factory.mktemp("Music")
    (folder / "Album").mkdir()
    for seed in range(SONGS):
        place = folder / "Album" if seed % 2 else folder
        soundfile.write(place / f"{seed}.flac", sum(band(SECONDS, seed).values()).T, 44100)
    return folder


@pytest.fixture(scope="module")
def expected(music: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """What this process makes of the songs."""
    out = tmp_path_factory.mktemp("expected")
    assert main(["separate", str(music), "-o", str(out), "--model", str(MINI)]) == 0
    return samples(out)


def samples(folder: Path) -> dict[str, np.ndarray]:
    """int16 (n, 2) of every file in a folder, by its path there."""
    return {
        path.relative_to(folder).as_posix(): soundfile.read(path, dtype="int16")[0]
        for path in folder.rglob("*")
        if path.is_file()
    }


def places(folder: str | Path, name: str) -> dict[str, str]:
    """Where a song's stems go."""
    return {title: f"{folder}/{name} - {title}.wav" for title in TITLES}


def expect(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    """Expect every stem, and nothing else. Another number of BLAS's threads may round otherwise."""
    assert found.keys() == expected.keys()
    for name, stem in expected.items():
        assert found[name].shape == stem.shape
        assert np.abs(found[name].astype(int) - stem).max() <= 1


def told(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def command(cluster: LocalCluster, *words: object) -> list[str]:
    options = ["--model", str(MINI), "--json", "--dask", cluster.scheduler_address]
    return ["separate", *map(str, words), *options]


class Heard(list):
    """Lengths of the songs that are done."""

    def done(self, song: str, paths: dict[str, str], outcome: Outcome) -> None:
        self.append(outcome.seconds)

    def failed(self, song: str, why: str) -> None:
        raise AssertionError(why)


class Killer:
    """Hears how songs go, and kills a worker that is at work when the first is done."""

    def __init__(self, cluster: LocalCluster):
        self.cluster = cluster
        self.killed = 0
        self.heard: list[str] = []

    def done(self, song: str, paths: dict[str, str], outcome: Outcome) -> None:
        self.heard.append(song)
        if self.killed:
            return
        with Client(self.cluster.scheduler_address, set_as_default=False) as client:
            busy = [address for address, tasks in client.processing().items() if tasks]
            self.killed = client.run(os.getpid, workers=busy[:1])[busy[0]]
        psutil.Process(self.killed).kill()

    def failed(self, song: str, why: str) -> None:
        raise AssertionError(why)


def test_a_worker_that_dies_loses_no_song(
    cluster: LocalCluster,
    plugin: SeparatorPlugin,
    music: Path,
    expected: dict[str, np.ndarray],
    tmp_path: Path,
) -> None:
    killer = Killer(cluster)
    jobs = []
    for path in sorted(music.rglob("*.flac")):
        folder = tmp_path / path.parent.relative_to(music)
        jobs.append(Job(str(path), places(folder, path.stem), SHAPE))
    assert run(cluster.scheduler_address, jobs, plugin, killer) == 0
    assert killer.killed
    assert not psutil.pid_exists(killer.killed)
    assert sorted(killer.heard) == sorted(job.song for job in jobs)
    expect(samples(tmp_path), expected)


def test_a_stopped_run_is_taken_up_where_it_was(
    cluster: LocalCluster,
    music: Path,
    expected: dict[str, np.ndarray],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = "import sys; from umx.desktop.cli import main; sys.exit(main(sys.argv[1:]))"
    arguments = command(cluster, music, "-o", tmp_path)
    program = [sys.executable, "-c", code, *arguments]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout
        first = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        rest = [json.loads(line) for line in process.stdout]
    assert process.returncode == 130
    assert first["event"] == "done"
    done = [first["song"], *(line["song"] for line in rest)]
    assert len(done) < SONGS
    # Workers go on with what they have begun: that is whole, too.
    there = {name for name in samples(tmp_path) if not name.endswith(".part")}
    assert there <= expected.keys()
    assert main([*arguments, "--skip-existing"]) == 0
    lines = told(capsys)
    assert lines[-1]["skipped"] + lines[-1]["done"] == lines[-1]["songs"] == SONGS
    assert {line["song"] for line in lines if line["event"] == "skipped"} >= {*done}
    expect(samples(tmp_path), expected)


@pytest.fixture(scope="module")
def long_song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of two batches, with its stems in a folder beside it as this process makes them."""
    folder = tmp_path_factory.mktemp("long")
    path = folder / "long.wav"
    soundfile.write(path, np.tile(sum(band(31).values()), 2).T, 44100, "FLOAT")
    out = str(folder / "out")
    assert main(["separate", str(path), "-o", out, "--model", str(MINI)]) == 0
    return path


@pytest.mark.parametrize("count", [2, 4])
def test_a_long_song_is_shared_out(
    cluster: LocalCluster,
    plugin: SeparatorPlugin,
    long_song: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
) -> None:
    """Two batches are two parts; where more are asked for, some are empty."""
    heard = Heard()
    job = Job(str(long_song), places(tmp_path, "long"), SHAPE, seconds=62 / count)
    split, parts = Run.split, []
    monkeypatch.setattr(
        Run, "split", lambda run, *rest: [split(run, *rest), parts.extend(*run.parts.values())]
    )
    assert run(cluster.scheduler_address, [job], plugin, heard) == 0
    assert heard == [pytest.approx(62)]
    assert len(parts) == count
    expect(samples(tmp_path), samples(long_song.parent / "out"))


def test_addresses_tags_and_songs_that_fail(
    cluster: LocalCluster,
    music: Path,
    expected: dict[str, np.ndarray],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    gone, bad = tmp_path / "gone.wav", tmp_path / "bad.wav"
    bad.write_text("no song")
    (tmp_path / "out").mkdir()
    left = tmp_path / "out" / f"0 - vocals.wav.{'0' * 32}.part"
    left.write_text("of a worker that died")
    songs = [f"file://{music}/*.flac", f"file://{music}/Album", f"file://{gone}", bad]
    out = f"file://{tmp_path}/out"
    assert main(command(cluster, *songs, "-o", out, "--stems", "vocals")) == 1
    lines = told(capsys)
    assert lines[-1] == {"event": "end", "songs": 10, "done": 8, "skipped": 0, "failed": 2}
    whys = {line["song"]: line["why"] for line in lines if line["event"] == "failed"}
    assert whys[f"file://{gone}"] == f"file://{gone} can't be read: there is no such file."
    assert whys[str(bad)].startswith(f"{bad} can't be read as audio")
    found = samples(tmp_path / "out")
    wanted = {
        Path(name).name: stem for name, stem in expected.items() if name.endswith("vocals.wav")
    }
    expect(found, wanted)
    with (tmp_path / "out" / "0 - vocals.wav").open("rb") as file:
        assert read_tags(file).texts == {"TITLE": ["0 (vocals)"]}


def test_a_song_as_one_file(
    cluster: LocalCluster, music: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    songs = [music / "0.flac", "--format", "stem.mp4", "-o"]
    alone = ["separate", *map(str, songs), str(tmp_path / "alone"), "--model", str(MINI)]
    assert main(alone) == 0
    capsys.readouterr()
    assert main(command(cluster, *songs, tmp_path / "out")) == 0
    done, _ = told(capsys)
    assert done["stems"] == {"mix": str(tmp_path / "out" / "0.stem.mp4")}
    (path,) = (tmp_path / "out").iterdir()
    for found, expected in zip(
        *map(tracks_of, (path, tmp_path / "alone" / path.name)), strict=True
    ):
        assert found.shape == expected.shape == (2, SECONDS * 44100)
        assert np.abs(found - expected).max() < 1e-3


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty bucket of an S3 server, as s3fs sees it; processes that are started find the server."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0)
    s3fs = pytest.importorskip("s3fs")
    server.start()
    try:
        address = "http://{}:{}".format(*server.get_host_and_port())
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "anyone")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        system = s3fs.S3FileSystem()
        system.mkdir("bucket")
        yield system
    finally:
        server.stop()


def test_songs_and_stems_in_an_object_store(
    bucket: Any,
    plugin: SeparatorPlugin,
    music: Path,
    long_song: Path,
    expected: dict[str, np.ndarray],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bucket.put(str(music), "bucket/Music", recursive=True)
    bucket.put_file(str(long_song), "bucket/long.wav")
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        words = command(cluster, "s3://bucket/Music", "-o", "s3://bucket/stems")
        assert main(words) == 0
        bucket.get("bucket/stems", str(tmp_path / "stems"), recursive=True)
        expect(samples(tmp_path / "stems"), expected)
        bucket.rm_file("bucket/stems/0 - bass.wav")
        capsys.readouterr()
        assert main([*words, "--skip-existing"]) == 0
        counts = told(capsys)[-1]
        assert (counts["done"], counts["skipped"]) == (1, SONGS - 1)

        stems = places("s3://bucket/long", "long")
        job = Job("s3://bucket/long.wav", stems, SHAPE, seconds=31)
        assert run(cluster.scheduler_address, [job], plugin, Heard()) == 0
        bucket.get("bucket/long", str(tmp_path / "long"), recursive=True)
        expect(samples(tmp_path / "long"), samples(long_song.parent / "out"))


def page_faults() -> int:
    """How often memory is new to a worker that makes and drops arrays of 1 MB, 100 times."""
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(100):
        np.ones(1 << 17)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc")
def test_workers_use_memory_again(plugin: SeparatorPlugin) -> None:
    quiet = {"dashboard_address": None, "threads_per_worker": 1}
    with LocalCluster(n_workers=1, **quiet) as cluster, Client(cluster) as client:
        assert client.submit(page_faults).result() > 20_000
        client.register_plugin(plugin)
        assert client.submit(page_faults, pure=False).result() < 2_000


def test_workers_of_another_version_are_refused(
    cluster: LocalCluster, plugin: SeparatorPlugin, music: Path, tmp_path: Path
) -> None:
    plugin.version = "0.0.1"
    song = next(music.glob("*.flac"))
    job = Job(str(song), {"bass": str(tmp_path / "bass.wav")}, SHAPE)
    with pytest.raises(RuntimeError, match=rf"has umx {umx.__version__}, and not 0\.0\.1"):
        run(cluster.scheduler_address, [job], plugin, Killer(cluster))
    assert list(tmp_path.iterdir()) == []


def test_no_scheduler_is_said(
    music: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["separate", str(music), "-o", str(tmp_path), "--model", str(MINI)]
    with dask.config.set({"distributed.comm.timeouts.connect": "200ms"}):
        assert main([*words, "--dask", "tcp://127.0.0.1:9"]) == 2
    assert "tcp://127.0.0.1:9 can't be worked with" in capsys.readouterr().err


def test_addresses_need_a_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["separate", "s3://bucket/song.wav"]) == 2
    assert "s3://bucket/song.wav is an address; such need --dask." in capsys.readouterr().err
