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
from pool import Cancelled, Pool, WorkerError
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

    def __init__(self, model, chosen, is_fixed):
        """model: the address of the model to begin with, relative to the page's.

        chosen, is_fixed: as `Menu` takes them.
        """
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
        self.pool = Pool(
            size, lambda: Worker(options), address(model), self.engine_changed, clock.seconds
        )
        self.pool.on_failure = self.do_without
        js.setInterval(create_proxy(self.pool.tick), 1000)
        self.menu = models.Menu(
            model, chosen, is_fixed, self.pool, lambda: Worker(options), self.models_changed
        )
        self.kept = Kept(self.say_what_is_kept, lambda folder: self.queue.gone(folder))
        self.queue = Queue(self.pool, self.kept, self.menu, self.refresh)
        self.options = Options()
        self.wake_lock, self.notice = manners.WakeLock(), manners.Notice()
        self.awake = self.is_quick = False
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

    async def start(self):
        self.pool.start()
        self.choose()  # what was chosen before anyone listened
        await self.loaded()

    async def loaded(self):
        """All that is to be done once the pool has loaded its model."""
        path = self.menu.address
        await self.pool.settled.wait()
        if self.pool.model and path == self.menu.address:
            js.performance.mark("umx:ready")
            self.menu.used()
            self.advance()
            if not self.queue.jobs and not self.menu.awaited():
                asyncio.create_task(self.try_out())
            await self.keep(path)

    def do_without(self, reason):
        """Have the site's own model loaded in place of one that can't be; whether there is one."""
        other = self.menu.do_without(reason)
        if other:
            self.use(other, {})
        return bool(other)

    async def keep(self, path):
        """Have the page and its model work offline, now that the engine has all that it needs of the network."""
        prefixes = list(offline.ENGINE_FILES.get(self.pool.engine, ()))
        if not path.startswith(models.ADDRESS):
            prefixes.append(path)
        files = {path + name: self.pool.files[name] for name in self.pool.files}
        kept = await offline.keep(prefixes, files)
        if path != self.menu.address:
            return  # another model has taken its place
        view.element("offline").hidden = not kept
        if kept:
            self.pool.files = {}
            if not self.is_quick:
                self.is_quick = True
                await offline.quicken()
            js.performance.mark("umx:kept")

    async def try_out(self):
        try:  # noqa: SIM105 (MicroPython has no contextlib)
            await self.menu.try_out()
        except (Cancelled, WorkerError):
            pass  # the workers have better things to do

    def advance(self):
        """Have the wanted model come nearer: it is fetched while songs are at work, and used between them."""
        model = self.menu.wanted()
        if not self.pool.settled.is_set() or not model or model.address == self.menu.address:
            return
        if self.pool.model and self.menu.brought(model) is None:
            self.menu.bring(model)
        elif not self.queue.in_state(DECODING, RUNNING):
            self.use(*self.menu.use(model))

    def models_changed(self):
        self.menu.tell()
        self.advance()
        self.queue.start()

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

    def use(self, path, files):
        """Between songs: have the pool load the model at an address, of which some files are here."""
        self.pool.change(address(path), files)
        asyncio.create_task(self.loaded())

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
        view.state(state)
        if self.pool.model:
            self.introduce(self.pool.model)
            self.queue.offer_again(self.menu.in_use())
            self.advance()
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
    asked = settings.first([settings.asked("model")], settings.model, "")
    chosen, used = [
        settings.first([settings.kept(n)], settings.model, "") for n in ("model", "used")
    ]
    first = await (models.place(asked) if asked else models.first(chosen, used))
    page = Page(first, asked or chosen, bool(asked))
    page.listen()
    asyncio.create_task(page.restore())
    asyncio.create_task(page.menu.open())
    await page.start()


await main()
