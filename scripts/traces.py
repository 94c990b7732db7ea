"""Record how far songs were at which time, for the test of the time left: `python3 scripts/traces.py FILE`.

Writes JSON: for every song its `model`, `workers` and `seconds` of music, how many `batches` it was cut into, the
`reports` (seconds since the work began, number of the batch, fraction of it that was done, 0 when it began) and the
second of its `end`.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # where the package `scripts` lies

from scripts import test
from scripts.bench import opened, random_model, separate, settled, song
from scripts.build import build
from scripts.common.environment import PYTHON, ROOT

MODELS = ("umx-mini", "random:1024")
SECONDS = (20, 60, 240)
WORKERS = (1, 2)
LISTEN = """
const { postMessage } = Worker.prototype;
Worker.prototype.postMessage = function (message, ...rest) {
  const now = performance.now();
  if (message.kind === "measure") { // the first request for a song
    window.begun = now;
    window.reports = [];
  } else if (message.kind === "separate") {
    this.start = message.batch.starts[0];
    window.reports.push([(now - begun) / 1000, this.start, 0]);
  }
  return postMessage.call(this, message, ...rest);
};
window.Worker = class extends Worker {
  constructor(...options) {
    super(...options);
    this.addEventListener("message", ({ data }) => {
      if (this.start === undefined || !["progress", "answer"].includes(data.kind)) return;
      const fraction = data.kind === "answer" ? 1 : data.fraction;
      window.reports.push([(performance.now() - begun) / 1000, this.start, fraction]);
      if (fraction === 1) this.start = undefined;
    });
  }
};
"""
"""Has the page keep its workers' reports: seconds, first sample of the batch, fraction."""


def main(output: Path) -> None:
    traces = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        site = build(work / "site")
        for model in MODELS:
            if model.startswith("random:"):
                shape = model.removeprefix("random:")
                random_model(site / "weights" / model.replace(":", "-"), shape)
        songs = {seconds: song(work, seconds) for seconds in SECONDS}
        for model in MODELS:
            for workers in WORKERS:
                name = model.replace(":", "-")
                with opened(site, work / f"profile {name} {workers}") as context:
                    page = context.pages[0]
                    page.add_init_script(LISTEN)
                    page.goto(f"?model={name}&workers={workers}")
                    settled(page, "ready")
                    for seconds, path in songs.items():
                        # The first song is part of it: the browser has not yet compiled what runs often.
                        separate(page, path)
                        about = {"model": model, "workers": workers, "seconds": seconds}
                        traces.append(about | trace(page))
                        print(about, f"{traces[-1]['end']:.1f} s", flush=True)
    lines = [json.dumps(trace) for trace in traces]
    output.write_text("[\n" + ",\n".join(lines) + "\n]\n")


def trace(page: Any) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate(
        "() => ({reports, end: (performance.getEntriesByName('umx:done')[0].startTime - begun) / 1000})"
    )
    starts = sorted({start for _, start, _ in found["reports"]})
    reports = [
        [round(t, 2), starts.index(start), round(part, 3)] for t, start, part in found["reports"]
    ]
    return {"reports": reports, "batches": len(starts), "end": round(found["end"], 2)}


if __name__ == "__main__":
    if Path(sys.prefix) != PYTHON.parent.parent and not os.environ.get("VIRTUAL_ENV"):
        test.make_environment()
        os.execv(PYTHON, [str(PYTHON), *sys.argv])
    sys.path.insert(0, str(ROOT))
    main(Path(sys.argv[1]))
