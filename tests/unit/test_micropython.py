"""The page's pure modules are the same on its MicroPython as on CPython: what they say is compared."""

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from playwright._impl._driver import compute_driver_executable

from scripts.common.environment import ROOT
from scripts.vendor import LOCK, VENDOR, vendor

APP = ROOT / "app"
LISTED: dict[str, str] = json.loads((APP / "start" / "page.json").read_text())["files"]
BROWSERS_OWN = {"js", "pyscript"}
RUN = """
import fs from "fs";
const [url, wasm, files, program] = process.argv.slice(2);
const { loadMicroPython } = await import(url);
const python = await loadMicroPython({ url: wasm, stdout: (line) => console.log(line) });
for (const [path, text] of Object.entries(JSON.parse(fs.readFileSync(files, "utf8")))) {
  const parts = path.split("/");
  for (let depth = 1; depth < parts.length; depth++)
    try { python.FS.mkdir(parts.slice(0, depth).join("/")); } catch {}
  python.FS.writeFile(path, text);
}
python.runPython(fs.readFileSync(program, "utf8"));
"""
SAYINGS = {
    "umx.stem_atom": """
from umx.stem_atom import head, with_atom
for inside in (b"", head(b"udta", 8) + head(b"free", 0), head(b"trak", 0)):
    moov = head(b"moov", len(inside)) + inside
    print(with_atom(lambda begin, end: moov[begin:end], len(moov), b"{}"))
""",
    "umx.planning": """
from umx.planning import batches, windows
for samples in (0, 1, 44100, 12345678, 160000000):
    print(batches(samples, 614400, 22050, 4, False, 2)[-2:], windows(samples)[-3:])
    print(batches(samples, 343980, 42997, 1, True, 3)[-2:])
    print(batches(samples, 614400, 22050, 4, False, 2, (9999999, 12000000)))
""",
    "umx.names": """
from umx.names import target_of, title_of
print([title_of(name) for name in ("other", "melody", "residual", "vocals")], target_of("rest"))
""",
    "umx.resuming": """
from umx.resuming import Attempts, continues, headers
attempts = Attempts()
print([attempts.pause(have) for have in (0, 5, 5, 5, 5, 5, 6)], headers(7), headers(0))
print(continues(206, "bytes 7-9/10", 7), continues(206, "bytes 8-9/10", 7), continues(206, None, 7))
""",
    "page.songs.life": """
from page.songs.life import CONTROLS, controls
for state in sorted(CONTROLS):
    print(state, sorted(name for name, shown in controls(state, False).items() if shown))
""",
    "page.songs.excerpt": """
from page.songs.excerpt import Excerpt, seconds_of
excerpt = Excerpt(900000, (44100, 441000))
for one, other in ((0, 50000), (899000.7, 70000), (10, 20)):
    excerpt.span(one, other)
    print(excerpt.edges, excerpt.chosen())
for text in ("1:05", "１：０５", " 65 ", "1:02:03", "1.", "one", ""):
    try:
        print(seconds_of(text))
    except ValueError as error:
        print("no time", error)
""",
    "page.songs.order": """
from page.songs.order import Order
class Some:
    pass
class Queue(Order):
    def __init__(self, *states):
        super().__init__()
        for state in states:
            job = Some()
            job.song, job.is_open, job.saved, job.may_go = Some(), True, False, lambda: True
            job.song.state = state
            self.jobs.append(job)
queue = Queue("running", "waiting", "cancelled", "waiting", "done")
print(queue.place(), queue.jobs.index(queue.next()), queue.jobs.index(queue.opened()))
before = queue.move_up(queue.jobs[3])
print([job.song.state for job in queue.jobs], queue.jobs.index(before), queue.unsaved())
print(queue.page_state(True, False))
""",
    "page.songs.borders": """
from page.songs.borders import Borders
borders = Borders()
borders.add(0, "tail", 1)
print(borders.take(0))
borders.add(0, "head", 2)
print(borders.take(0), borders.take(0))
borders.failed(0, "head")
borders.add(0, "head", 3)
print(borders.take(0))
borders.done(0)
print(borders.ends)
""",
    "page.listen.playhead": """
from page.listen.playhead import Playhead
head, time = Playhead(20 * 44100), 10.0
head.rate, head.loop_range = 0.75, (44100, 200000)
head.seek(44100.5)
run = head.start()
for tick in range(120):
    step = head.step(time, lambda sample: sample < 150000 or tick > 90)
    if step == "schedule":
        end = head.end_within(min(head.position // 132300 * 132300 + 132300, head.length))
        print(tick, head.position, end, round(head.due(), 6))
        head.advance(end)
    print(step, head.heard(time))
    time += 0.1
head.stop(time)
print(head.goes_on(run), head.position)
""",
    "page.listen.analysis": """
from page.listen.analysis import *
found = {"bpm": 93.27, "beats": [0.25 + 0.643 * index for index in range(42)], "one": 3, "meter": 4,
    "tempo_sure": "sure", "key": "F♯ minor", "second": "A major",
    "chords": [[0.25, "F♯m"], [4.1, "D"], [9.3, ""], [12.0, "A"]]}
for how in (dict, halved, doubled):
    changed = understood(how(found))
    print(in_words(changed), changed["one"], len(changed["beats"]), can_halve(changed), can_double(changed))
    for seconds, line in lines_of_chords(changed):
        print(round(seconds, 3), line)
    print([round(time, 3) for time in bars(changed)])
print(understood({"bpm": 1}), understood("nothing"), understood(None))
""",
    "page.listen.mix": """
from page.listen.mix import Mix
mix = Mix()
mix.lay_out(["vocals", "drums", "bass", "melody"], True)
mix.toggle_solo("bass")
mix.pans["bass"] = -0.5
print(sorted(mix.gains().items()), mix.chosen(), mix.recipe(), mix.file_part((0, 44100 * 65), 0.75, 3))
print(mix.file_part(key=-12))
mix.choose("karaoke")
mix.mark(10)
mix.mark(441000)
print(sorted(mix.facts()["mutes"]), mix.loop, mix.dragged(0, 100), mix.dragged(0, 100000))
""",
    "page.listen.click": """
from page.listen.click import as_bytes, clicks, count_in, sound, with_one, with_taps
song = {"bpm": 100, "beats": [0.31 + 0.6 * number for number in range(30)], "one": 2, "meter": 4}
print(clicks(song, 0, 200000), count_in(song, 0), count_in(song, 100000), count_in(song, 2000000))
print(with_one(song, 3)["one"], [int(1e6 * time + 0.5) for time in with_taps(song, [2, 2.6, 3.2, 3.8], 20)["beats"]])
tapped = with_taps(song, [2, 2.5, 3, 3.5], 5)
print([int(1e6 * time + 0.5) for time in tapped["beats"]], tapped["one"], round(tapped["bpm"], 9))
print([list(as_bytes(sound(True)[40:44], kind)) for kind in ("16", "24", "float")])
""",
    "page.listen.tuning": """
from page.listen.tuning import group, shifts
for speed, key in ((1, 0), (0.8, 0), (1, 3), (1.5, -12)):
    for name, shift in sorted(shifts(speed, key).items()):
        semitones = [round(shift[name], 9) for name in ("semitones", "formantSemitones")]
        print(name, semitones, shift["formantCompensation"], shift["active"], shift["tonalityHz"])
print([group(stem, key) for stem in ("vocals", "drums", "bass", "original") for key in (0, 1)])
""",
}
"""By module, a program that says what the module does."""


def path_of(place: str) -> Path:
    """The source of a file that the page has MicroPython find at a place."""
    return ROOT / place if place.startswith("umx/") else APP / place


def pure() -> dict[str, Path]:
    """The page's modules that import nothing of the browser's, nor anything that does: by their places."""
    imports = {}
    for place in (target.removeprefix("./") for target in LISTED.values()):
        tree = ast.parse(path_of(place).read_text())
        found = {
            n.name for node in ast.walk(tree) if isinstance(node, ast.Import) for n in node.names
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                found |= {str(node.module), *(f"{node.module}.{n.name}" for n in node.names)}
        imports[place.removesuffix(".py").replace("/", ".")] = found
    tainted = set(BROWSERS_OWN)
    while more := {name for name, found in imports.items() if found & tainted} - tainted:
        tainted |= more
    return {name: path_of(name.replace(".", "/") + ".py") for name in imports.keys() - tainted}


def on_micropython(interpreter: Path, program: str, folder: Path) -> str:
    files = {name.replace(".", "/") + ".py": path.read_text() for name, path in pure().items()}
    for name, text in ("run.mjs", RUN), ("files.json", json.dumps(files)), ("program.py", program):
        (folder / name).write_text(text)
    node, _ = compute_driver_executable()
    command = [
        node, folder / "run.mjs", interpreter / "micropython.mjs", interpreter / "micropython.wasm",
        folder / "files.json", folder / "program.py",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert not done.returncode, done.stderr
    return done.stdout


def on_cpython(program: str) -> str:
    command = [sys.executable, "-c", program]
    environment = {"PYTHONPATH": f"{ROOT}:{APP}"}
    return subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment
    ).stdout


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the page's MicroPython: a copy, since other tests may be bringing the page's own just now."""
    folder = tmp_path_factory.mktemp("vendor")
    if (VENDOR / "micropython").is_dir():
        shutil.copytree(VENDOR / "micropython", folder / "micropython")
    packages = json.loads(LOCK.read_text())["packages"]
    lock = folder / "lock.json"
    lock.write_text(
        json.dumps({"packages": [p for p in packages if p["folder"] == "micropython/"]})
    )
    vendor(lock, folder)
    return folder / "micropython"


def test_every_pure_module_can_be_imported(interpreter: Path, tmp_path: Path) -> None:
    names = sorted(pure())
    assert set(SAYINGS) <= set(names)
    program = "".join(f"import {name}\nprint({name!r})\n" for name in names)
    assert on_micropython(interpreter, program, tmp_path).split() == names


def test_they_say_the_same_as_on_cpython(interpreter: Path, tmp_path: Path) -> None:
    program = "".join(SAYINGS.values())
    said = on_micropython(interpreter, program, tmp_path).splitlines()
    assert len(said) > 150
    for line, expected in zip(said, on_cpython(program).splitlines(), strict=True):
        assert line == expected
