"""The page's logic: wires the file chooser, the pool and the songs to what the visitor sees."""

import asyncio

import clock
import demo
import files
import js
import language
import manners
import models
import offline
import report
import settings
import tags
import view
from decode import decode, own_rate
from jobs import Queue
from kept import Kept, megabytes
from options import Options
from pool import Pool
from promises import RejectedError
from pyscript.ffi import create_proxy
from shortcuts import Shortcuts
from song import CANCELLED, DECODING, DONE, FAILED, NAMES, RUNNING, WAITING, Song
from texts import tr
from told import told
from version import WHEEL
from wav import SAMPLE_RATE
from worker_client import Worker, default_size

ENGINES = {
    "simd": "WebAssembly SIMD kernel",
    "openblas": "OpenBLAS (slower: this browser's SIMD can't be used)",
    "numpy": "plain numpy (very slow: neither SIMD nor OpenBLAS can be used here)",
}


def decoder(file, keeps_rate):
    async def source():
        sound, said = await asyncio.gather(decode(file), tags.read(file))
        rate, frames = SAMPLE_RATE, sound.length
        if keeps_rate:
            rate, frames = await own_rate(file, sound)
        return sound, said, rate, frames

    return source


def address(path):
    return js.URL.new(path, js.document.baseURI).href


class Page:
    """Songs can be dropped at once; they wait for the engine."""

    def __init__(self, model):
        """model: a model's address, relative to the page's."""
        config = {
            "packages": ["numpy", address("app/vendor/umx/" + WHEEL)],
            "files": {
                address("app/converting.py"): "./converting.py",
                address("app/device.py"): "./device.py",
                address("app/fetching.py"): "./fetching.py",
                address("app/opfs.py"): "./opfs.py",
                address("app/unpacking.py"): "./unpacking.py",
            },
            "packages_cache": "passthrough",  # straight to Pyodide, without micropip
            "sync_main_only": True,  # no SharedArrayBuffer, so no special headers
        }
        interpreter = address("app/interpreter.mjs")
        options = {"type": "pyodide", "version": interpreter, "config": config}
        size = settings.get("workers", settings.workers, default_size())
        self.model_path = model
        self.pool = Pool(
            size, lambda: Worker(options), address(model), self.engine_changed, clock.seconds
        )
        js.setInterval(create_proxy(self.pool.tick), 1000)
        self.menu = models.Menu(model, options, self.model_chosen)
        self.kept = Kept(self.say_what_is_kept, lambda folder: self.queue.gone(folder))
        self.queue = Queue(self.pool, self.kept, self.refresh)
        self.options = Options()
        self.wake_lock, self.notice = manners.WakeLock(), manners.Notice()
        self.awake = False
        manners.warn_before_leaving(self.queue.unsaved)
        Shortcuts(self.queue.mixer)

    def listen(self):
        view.element("workers").value = self.pool.size
        view.on(view.element("file"), "change", lambda event: self.choose())
        for event in ("dragover", "dragleave", "drop"):
            view.on(js.document, event, self.dragged)
        view.on(view.element("workers"), "change", self.resized)
        view.on_click(view.element("restart"), self.pool.start)
        view.on_click(view.element("demo"), lambda: self.add(tr(demo.TITLE), demo.render))
        view.element("demo").disabled = False
        view.element("no-start").hidden = True  # what went wrong on the way wasn't needed
        view.on_click(view.element("report"), lambda: asyncio.create_task(self.report()))

    # The engine

    async def load(self):
        self.pool.start()
        self.choose()  # what was chosen before anyone listened
        await self.pool.settled.wait()
        if self.pool.model:
            js.performance.mark("umx:ready")
            # Now that the engine has all that it needs of the network.
            needed = offline.ENGINE_FILES.get(self.pool.engine, ())
            kept = await offline.keep(self.model_path, models.INDEX, *needed)
            view.element("offline").hidden = not kept
            if kept:
                await offline.quicken()
                js.performance.mark("umx:kept")
        elif self.model_path.startswith(models.ADDRESS):
            self.use(self.menu.do_without(self.pool.failure))

    def engine_changed(self):
        pool = self.pool
        reason = tr("The engine could not start: {}").format(pool.failure)
        view.error(reason if pool.failure else "")
        view.element("restart").hidden = not pool.failure
        view.element("model").hidden = bool(pool.failure)
        self.refresh()

    def introduce(self, model):
        text = tr("Model: {}. {} Licence: {}.").format(
            told(model.title), told(model.credit), model.licence
        )
        view.say(view.element("model"), text)
        quality = ", ".join(
            "{} {:.1f}".format(tr(NAMES.get(target, target)), getattr(model.quality, target))
            for target in js.Object.keys(model.quality)
        )
        text = tr("Engine: {}; workers: {}, {} of memory. Quality: {}. {}")
        engine = tr(ENGINES.get(self.pool.engine, self.pool.engine))
        heap = megabytes(sum([worker.heap for worker in self.pool.workers]))
        text = text.format(engine, self.pool.size, heap, quality, told(model.quality_note))
        view.say(view.element("details"), text)

    def resized(self, event):
        try:  # noqa: SIM105 (MicroPython has no contextlib)
            self.pool.size = settings.workers(event.target.value)
        except ValueError:
            pass  # not a number: it stays as it was
        event.target.value = self.pool.size
        settings.keep("workers", self.pool.size)
        if not self.queue.in_state(RUNNING):
            self.pool.start()

    def model_chosen(self, name, path):
        settings.keep("model", name)
        self.use(path)

    def use(self, path):
        self.model_path, self.pool.model_url = path, address(path)
        asyncio.create_task(self.load())

    async def report(self):
        view.say(view.element("reported"), await report.copy(self.pool, self.queue.jobs))

    # Songs

    def choose(self):
        chooser = view.element("file")
        self.take(list(chooser.files))
        chooser.value = ""  # so that the same file can be chosen again

    def dragged(self, event):
        event.preventDefault()
        view.element("drop").classList.toggle("over", event.type == "dragover")
        if event.type == "drop":
            asyncio.create_task(self.dropped(files.entries(event.dataTransfer)))

    async def dropped(self, entries):
        self.engine_changed()  # in place of what was said of what was dropped before
        try:
            found = await files.within(entries)
        except RejectedError as error:
            view.error(tr("What was dropped can't be read: {}").format(error))
            return
        if entries and not found:
            view.error(tr("No songs are in what was dropped."))
        self.take(found)

    def take(self, chosen):
        """Songs and checkpoints."""
        self.menu.convert([file for file in chosen if file.name.endswith(models.ENDING)])
        for file in chosen:
            if not file.name.endswith(models.ENDING):
                title = file.name.rsplit(".", 1)[0] or file.name
                self.add(title, decoder(file, self.options.keeps_rate()))

    def add(self, title, source):
        self.queue.add(Song(title, source, self.options.targets(), self.options.form()))

    async def restore(self):
        for song in await self.kept.open():
            await self.queue.restore(song)
        self.refresh()

    # What the visitor sees of it all

    def refresh(self):
        """Have the page's state follow the songs and the engine."""
        before, state = view.get_state(), self.state()
        view.element("models").disabled = state == "running"
        view.state(state)
        if self.pool.model:
            self.introduce(self.pool.model)
        if state != "running":
            view.tab_title()
        if self.awake != (state == "running"):
            self.awake = not self.awake
            asyncio.create_task(self.wake_lock.keep(self.awake))
        if before == "running" and state in ("done", "error"):
            if self.options.chime():
                manners.chime()
            last = self.queue.last
            told = self.notice.give(last.song.title, last.card.status.textContent)
            asyncio.create_task(told)
        text = ""
        if not self.pool.settled.is_set():
            text = tr("Getting the engine ready… {}%").format(int(100 * self.pool.fraction))
        elif state == "ready":
            text = tr("Ready.")
            if before == "loading":
                view.announce(text)
        view.say(view.element("engine"), text)
        self.say_what_is_kept()

    def say_what_is_kept(self):
        songs = [job.song for job in self.queue.jobs]
        view.say(view.element("kept"), self.kept.in_words(songs))

    def is_free(self):
        """Whether nobody would miss anything if the page were loaded anew."""
        return not (self.queue.unsaved() or self.queue.listening())

    def state(self):
        """That of the song that ended last, once none is at work."""
        if self.queue.in_state(WAITING, DECODING, RUNNING):
            return "running"
        if self.queue.last:
            return {DONE: "done", FAILED: "error", CANCELLED: "ready"}[self.queue.last.song.state]
        if self.pool.failure:
            return "error"
        return "ready" if self.pool.model else "loading"


page = None


async def main():
    global page
    await offline.renew(lambda: not page or page.is_free())
    await settings.find()
    await language.speak()
    page = Page(await models.place(settings.get("model", settings.model, models.DEFAULT)))
    page.listen()
    asyncio.create_task(page.restore())
    asyncio.create_task(page.menu.open())
    await page.load()


await main()
