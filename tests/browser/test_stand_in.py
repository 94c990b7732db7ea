"""The stand-in for the engine speaks as the engine does: the same requests bring the same messages from both."""

import json
from collections.abc import Iterator
from dataclasses import asdict, fields

import numpy as np
import pytest
from asking import ask, asking, load
from pages import let_through
from playwright.sync_api import Browser, Page, Route

from umx import planning, segments
from umx.models import Cutting

# Separates a song of soft noise, and gives what the worker has said of it: the messages but for what a sample's value
# is, with sizes; the largest difference between the stems' sum and the song; the files on the device.
SEPARATE = """async ([length, { batches, windows, excerpt }, stems, sample_kind, folder]) => {
  const described = (value) => {
    if (ArrayBuffer.isView(value)) return `${value.constructor.name} of ${value.length}`;
    if (value instanceof Blob) return `${value.constructor.name} of ${value.size}`;
    if (Array.isArray(value) && typeof value[0] === "number") return `${value.length} numbers`;
    if (Array.isArray(value)) return value;
    if (typeof value !== "object") return typeof value;
    const entries = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1));
    return Object.fromEntries(entries.map(([name, inner]) =>
      [name, ["kind", "start", "samples"].includes(name) ? inner : described(inner)]));
  };
  let state = 1;
  const noise = () => (state = (state * 16807) % 2147483647) / 2147483647 / 5 - 0.1;
  const song = [0, 1].map(() => Float32Array.from({ length }, noise));
  const cut = ({ cuts, span }) => {
    const mixture = new Float32Array(2 * cuts.length * span);
    cuts.forEach((start, index) => song.forEach((side, channel) =>
      mixture.set(side.subarray(start, start + span), (2 * index + channel) * span)));
    return mixture;
  };
  const choice = { stems, excerpt, sample_kind, folder }, said = [], pieces = [], ends = [];
  const tell = async (kind, content) => {
    const heard = await ask(kind, content), others = heard.filter(({ kind }) => kind !== "progress");
    pieces.push(...others.filter(({ kind }) => kind === "piece"));
    const progress = heard.filter(({ kind }) => kind === "progress");
    if (progress.some(({ fraction }) => !(fraction >= 0 && fraction <= 1))) throw Error("no fraction");
    said.push({ kind, hasProgress: progress.length > 0, others: others.map(described) });
    return heard.at(-1);
  };
  const root = await navigator.storage.getDirectory();
  const songs = await root.getDirectoryHandle("umx songs", { create: true });
  if (folder && folder !== "nowhere") await songs.getDirectoryHandle(folder, { create: true });
  const window = (start) => song.flatMap((side) => [...side.subarray(start, start + windows.length)]);
  const heard = Float32Array.from(windows.starts.flatMap(window));
  const { level } = await tell("measure", { windows: heard, length: windows.length });
  for (const [index, batch] of batches.entries()) {
    const first = index === 0, last = index === batches.length - 1;
    ends.push(await tell("separate", { mixture: cut(batch), batch, first, last, level, ...choice }));
  }
  for (let index = 1; index < batches.length; index++) {
    const { head } = ends[index], { tail } = ends[index - 1], start = batches[index].starts[0];
    await tell("join", { tail, head, start, ...choice });
  }
  let furthest = 0, count = 0;
  const parts = pieces[0].stems.filter((name) => name !== "karaoke" || pieces[0].stems.length === 2);
  for (const { start, samples, stems, blob } of pieces) {
    const data = await blob.arrayBuffer(), each = data.byteLength / stems.length;
    const sums = new Float32Array(2 * samples);
    for (const name of parts) {
      const bytes = data.slice(stems.indexOf(name) * each, (stems.indexOf(name) + 1) * each);
      const view = new DataView(bytes);
      for (let place = 0; place < sums.length; place++) {
        if (sample_kind === "float") sums[place] += view.getFloat32(4 * place, true);
        else if (sample_kind === "16") sums[place] += view.getInt16(2 * place, true) / 2 ** 15;
        else sums[place] += (view.getInt16(3 * place + 1, true) * 256 + view.getUint8(3 * place)) / 2 ** 23;
      }
    }
    for (let place = 0; place < sums.length; place++) {
      furthest = Math.max(furthest, Math.abs(sums[place] - song[place % 2][excerpt[0] + start + (place >> 1)]));
      count++;
    }
  }
  const { written } = await tell("write", { folder, name: "song.json", text: "ünder" });
  const kept = {};
  if (folder && folder !== "nowhere") {
    for await (const [name, handle] of (await songs.getDirectoryHandle(folder)).entries()) {
      const file = await handle.getFile();
      kept[name === "song.json" ? await file.text() : name.split(" ")[0]] = file.size;
    }
  }
  const areFiles = pieces.every(({ file }) => ["", "nowhere"].includes(folder) !== Boolean(file));
  return { level, said, furthest, isWhole: count === 2 * (excerpt[1] - excerpt[0]), written, kept, areFiles };
}"""

# A mix of two stems, [samples, loud], of which some samples are too loud.
MIX = """async (sample_kind) => {
  const stem = (seed) => {
    const at = (place) => Math.round(Math.sin(seed * place) * 30000);
    if (sample_kind === "float") return Float32Array.from({ length: 2000 }, (_, place) => at(place) / 2 ** 15);
    if (sample_kind === "16") return Int16Array.from({ length: 2000 }, (_, place) => at(place));
    const bytes = new Uint8Array(6000);
    for (let place = 0; place < 2000; place++)
      for (const byte of [0, 1, 2]) bytes[3 * place + byte] = (at(place) * 256 + place % 256) >> (8 * byte);
    return bytes;
  };
  const blobs = [0.1, 0.37].map((seed) => new Blob([stem(seed)]));
  const [{ samples, loud, kind }] = await ask("mix", { blobs, gains: [0.7, 1.3], pans: [-0.6, 0.25], sample_kind });
  const { buffer } = samples.slice(), type = samples.constructor.name;
  const values = { float: () => new Float32Array(buffer), 16: () => new Int16Array(buffer), 24: () => {
    const view = new DataView(buffer);
    return Array.from({ length: buffer.byteLength / 3 }, (_, place) =>
      view.getInt16(3 * place + 1, true) * 256 + view.getUint8(3 * place));
  } };
  return { kind, type, loud, values: Array.from(values[sample_kind]()) };
}"""


# Analyses what the stand-in has in mind, in two pieces: beats at 120 a minute below A minor, F major, D minor, E major.
ANALYSE = """async () => {
  const rate = 44100, seconds = 16, names = [[9, 12, 16], [5, 9, 12], [2, 5, 9], [4, 8, 11]];
  const chords = names.map((chord) => chord.map((tone) => 261.63 * 2 ** (tone / 12)));
  const drums = new Int16Array(2 * rate * seconds), melody = new Int16Array(2 * rate * seconds);
  let state = 1;
  const noise = () => (state = (state * 16807) % 2147483647) / 2147483647 - 0.5;
  for (let place = 0; place < rate * seconds; place++) {
    const time = place / rate, beat = time % 0.5, bar = Math.floor(time / 2);
    const kick = bar === time / 2 || time % 2 < 0.5 ? Math.sin(2 * Math.PI * 60 * beat) * Math.exp(-30 * beat) : 0;
    const hit = 10000 * (noise() * Math.exp(-90 * beat) + kick);
    const tone = chords[bar % 4].reduce((sum, hertz) => sum + Math.sin(2 * Math.PI * hertz * time), 0);
    for (const side of [0, 1]) {
      drums[2 * place + side] = hit;
      melody[2 * place + side] = 2000 * tone * Math.exp(-(time % 2));
    }
  }
  const cut = 2 * 5 * rate, pieces = (sound) => [new Blob([sound.slice(0, cut)]), new Blob([sound.slice(cut)])];
  const stems = { drums: pieces(drums), melody: pieces(melody) };
  const heard = await ask("analyse", { stems, sample_kind: "16" }), { analysis, kind } = heard.at(-1);
  const fractions = heard.slice(0, -1).map(({ fraction }) => fraction);
  return { kind, fractions, fields: Object.keys(heard.at(-1)).sort(), found: JSON.parse(analysis) };
}"""


@pytest.fixture(scope="module")
def both(browser: Browser, real: str, stand_in: str) -> Iterator[tuple[Page, Page]]:
    """Pages with a worker to ask: the engine, and the stand-in."""
    with asking(browser, real) as engine, asking(browser, stand_in) as other:
        yield engine, other


def test_the_first_word(both: tuple[Page, Page]) -> None:
    """By which the page knows that a worker has started."""
    first = [json.loads(str(page.locator("html").get_attribute("data-first"))) for page in both]
    assert first == [[{"kind": "progress", "fraction": 0.7}]] * 2


def test_a_model_is_loaded(both: tuple[Page, Page]) -> None:
    manifests, cuttings = [], []
    for page in both:
        *progress, answer = load(page)
        assert {message["kind"] for message in progress} == {"progress"}
        fractions = [message["fraction"] for message in progress]
        assert fractions == sorted(fractions)
        assert 0.7 < fractions[-1] <= 1
        manifests.append(json.loads(answer.pop("manifest")))
        assert answer.pop("engine") in ("simd", "stand-in")
        cuttings.append(answer.pop("cutting"))
        assert answer == {"kind": "answer", "hasHeap": True}
    assert manifests[0] == manifests[1]
    assert cuttings[0] == cuttings[1]


def test_how_a_song_is_cut_for_a_preview(both: tuple[Page, Page]) -> None:
    for page in both:
        cutting = load(page)[-1]["cutting"]
        address = page.evaluate("new URL('weights/umx-mini/', document.baseURI).href")
        (answer,) = ask(page, "cutting", preview=address)
        assert answer == {"kind": "answer", "hasHeap": True, "cutting": cutting}


@pytest.mark.parametrize("fault", ["missing", "gone", "damaged"])
def test_a_model_that_cannot_be_loaded(both: tuple[Page, Page], fault: str) -> None:
    def answer(route: Route) -> None:
        if fault == "gone":
            route.abort()
        else:
            route.fulfill(body="no weights", status=404 if fault == "missing" else 200)

    said = []
    for page in both:
        page.route("**/drums.safetensors.gz", answer)
        error = load(page)[-1]
        let_through(page, "**/drums.safetensors.gz")
        assert "drums.safetensors.gz" in error.pop("message")
        assert "drums.safetensors.gz" in error["fields"]["file"]
        said.append(error | {"fields": sorted(error["fields"])})
        assert load(page)[-1]["kind"] == "answer"
    assert said[0] == said[1]
    assert said[0]["kind"] == "error"
    assert said[0]["code"].startswith("weights.")


def test_what_no_engine_knows(both: tuple[Page, Page]) -> None:
    for page in both:
        (error,) = ask(page, "sing")
        assert error.pop("message")
        assert error == {
            "kind": "error",
            "code": "",
            "fields": {},
            "memory": False,
            "hasHeap": False,
        }


def test_trying_out(both: tuple[Page, Page]) -> None:
    for page in both:
        load(page)
        *progress, answer = ask(page, "try out")
        assert {message["kind"] for message in progress} == {"progress"}
        assert 0 < answer.pop("seconds") < 10
        assert answer == {"kind": "answer", "hasHeap": True}


@pytest.mark.parametrize(
    ("samples", "excerpt", "workers", "stems", "kind", "folder"),
    [
        (650_000, (0, 650_000), 2, ["vocals", "drums", "bass", "other"], "16", "here"),
        (650_000, (0, 650_000), 1, ["vocals"], "24", ""),
        (650_000, (320_000, 340_001), 2, ["drums"], "float", "elsewhere"),
        (30_000, (0, 30_000), 1, ["vocals", "bass"], "float", "nowhere"),
        (30_000, (0, 29_999), 1, ["drums"], "16", ""),
        (30_000, (1, 30_000), 1, [], "16", "there"),
    ],
)
def test_a_song_is_separated_and_kept(
    both: tuple[Page, Page],
    samples: int,
    excerpt: tuple[int, int],
    workers: int,
    stems: list[str],
    kind: str,
    folder: str,
) -> None:
    """Its stems are the song together, across segments and batches; of an excerpt, all of it and nothing else."""
    results = []
    for page in both:
        cutting = Cutting(**load(page)[-1]["cutting"])
        names = [field.name for field in fields(segments.Batch)]
        batches = planning.batches(samples, **asdict(cutting), workers=workers, excerpt=excerpt)
        plan = {
            "batches": [dict(zip(names, batch, strict=True)) for batch in batches],
            "excerpt": excerpt,
            "windows": {
                "starts": planning.windows(samples),
                "length": min(planning.WINDOW, samples),
            },
        }
        result = page.evaluate(SEPARATE, [samples, plan, stems, kind, folder])
        assert result["isWhole"]
        assert result.pop("furthest") < (1e-6 if kind == "float" else 4 / 2**15)
        assert result["areFiles"]
        results.append(result)
    levels = [result.pop("level") for result in results]
    assert levels[0] == pytest.approx(levels[1], rel=0.02)
    assert results[0] == results[1]


@pytest.mark.parametrize("kind", ["16", "24", "float"])
def test_stems_are_mixed(both: tuple[Page, Page], kind: str) -> None:
    mixes = [page.evaluate(MIX, kind) for page in both]
    values = [np.array(mix.pop("values"), float) for mix in mixes]
    assert mixes[0] == mixes[1]
    assert mixes[0]["loud"] > 100
    assert np.abs(values[0] - values[1]).max() <= {"16": 1, "24": 3, "float": 1e-6}[kind]


def test_a_song_is_analysed(both: tuple[Page, Page]) -> None:
    engine, other = (page.evaluate(ANALYSE) for page in both)
    for said in engine, other:
        assert said["fractions"] == sorted(said["fractions"])
        assert 0 < said["fractions"][0] < said.pop("fractions")[-1] == 1
    heard, meant = engine.pop("found"), other.pop("found")
    assert engine == other
    assert {name: type(value) for name, value in heard.items()} == {
        name: type(value) for name, value in meant.items()
    } | {"bpm": type(heard["bpm"])}
    assert heard["bpm"] == pytest.approx(meant["bpm"], rel=0.003)
    assert np.array(heard["beats"]) == pytest.approx(np.array(meant["beats"]), abs=0.02)
    assert [name for _, name in heard["chords"]] == [name for _, name in meant["chords"]]
    for name in ("one", "meter", "tempo_sure", "key"):
        assert heard[name] == meant[name]
