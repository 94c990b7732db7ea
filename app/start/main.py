"""The page's main program: connects the file chooser, the pool, the songs and the visible page."""

import asyncio

import js
from pyscript.ffi import create_proxy

from offline import offline
from page import clock, view
from page.files import dropped_files, received_files, tags
from page.files.decode import decode, own_rate
from page.files.refusals import DecodeError
from page.listen.shortcuts import Shortcuts
from page.models import menu
from page.models.model_choice import most_workers
from page.notifications import Notifications, chime
from page.settings import bug_report, settings
from page.settings.options import Options
from page.songs import demo
from page.songs.life import AT_WORK, RUNNING
from page.songs.queue import Queue
from page.songs.song import Song, targets_of
from page.songs.song_library import SongLibrary, megabytes
from page.text import language
from page.text.texts import tr
from page.wake_lock import WakeLock
from page.workers.client import Worker, default_size, memory, worker_options
from page.workers.pool import Cancelled, Pool, WorkerError
from shared.facts import MODEL_SCHEME, SAMPLE_RATE
from umx.names import title_of

ENGINES = {
    "simd": "WebAssembly SIMD kernel",
    "openblas": "OpenBLAS (slower: this browser's SIMD can't be used)",
    "numpy": "plain numpy (very slow: neither SIMD nor OpenBLAS can be used here)",
}


def at_hand(file):
    async def find():
        return file

    return find


def decoder(find, keeps_rate):
    """A song's source. find: async, gives its file. Raises ValueError where another attempt may succeed."""

    async def source():
        file = await find()
        sound, said = await asyncio.gather(decode(file), tags.read(file))
        rate, frames = SAMPLE_RATE, sound.length
        if keeps_rate:
            rate, frames = await own_rate(file, sound)
        return sound, said, rate, frames

    return source


def wanted_size(model=None):
    """Wanted number of workers: the visitor's setting, else as many as suit the device and the model."""
    most = (most_workers(model, memory()),) if model else ()
    return settings.get("workers", settings.workers, default_size(*most))


class Page:
    """The page as a whole. Songs can be dropped at once; they wait for the engine."""

    def __init__(self, model, chosen, is_fixed):
        """model: the address of the model to begin with, relative to the page's.

        chosen, is_fixed: as `Menu` takes them.
        """
        options = worker_options()
        size = wanted_size()
        self.pool = Pool(
            size, lambda: Worker(options), view.address(model), self.engine_changed, clock.seconds
        )
        self.pool.on_failure = self.do_without
        js.setInterval(create_proxy(self.pool.tick), 1000)
        self.menu = menu.Menu(
            model, chosen, is_fixed, self.pool, lambda: Worker(options), self.models_changed
        )
        self.library = SongLibrary(self.say_what_is_kept, lambda folder: self.queue.gone(folder))
        self.queue = Queue(self.pool, self.library, self.menu, self.refresh)
        self.options = Options()
        self.wake_lock, self.notifications = WakeLock(), Notifications()
        self.awake = self.is_quick = False
        self.state = "loading"
        view.warn_before_leaving(self.queue.unsaved)
        Shortcuts(self.queue.mixer)

    def listen(self):
        view.on(view.element("file"), "change", lambda event: self.choose())
        for event in ("dragover", "dragleave", "drop"):
            view.on(js.document, event, self.dragged)
        view.on(view.element("workers"), "change", self.resized)
        view.on_click(view.element("restart"), self.pool.start)
        view.on_click(
            view.element("demo"), lambda: self.add([self.song(tr(demo.TITLE), demo.file)])
        )
        view.element("demo").disabled = False
        view.element("no-start").hidden = True  # errors before this point did no harm
        view.on_click(view.element("report"), lambda: asyncio.create_task(self.report()))

    # The engine

    async def start(self):
        self.pool.start()
        self.choose()  # files chosen before the page listened
        received_files.on_opened(self.take)
        asyncio.create_task(self.receive())
        await self.loaded()

    async def loaded(self):
        """Do what follows once the pool has loaded its model."""
        path = self.menu.address
        await self.pool.settled.wait()
        if self.pool.model and path == self.menu.address:
            js.performance.mark("umx:ready")
            self.menu.used()
            self.advance()
            if not self.queue.jobs and not self.menu.awaited():
                asyncio.create_task(self.try_out())
            await self.make_offline(path)

    def do_without(self, reason):
        """Load the site's own model in place of one that can't be loaded. Returns whether there is one."""
        other = self.menu.do_without(reason)
        if other:
            self.use(other, {})
        return bool(other)

    async def make_offline(self, path):
        """Have the page and its model kept for visits without a network, now that the engine has all of its files."""
        prefixes = list(offline.ENGINE_FILES.get(self.pool.engine, ()))
        if not path.startswith(MODEL_SCHEME):
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
            pass  # the workers were needed for a song, or failed: a song will measure them

    def advance(self):
        """Take the next step towards the wanted model: fetch it while songs are at work, use it between them."""
        model = self.menu.wanted()
        if not self.pool.settled.is_set() or not model or model.address == self.menu.address:
            return
        if self.pool.model and self.menu.brought(model) is None:
            self.menu.bring(model)
        elif not self.queue.in_state(*AT_WORK):
            self.pool.size = wanted_size(model)
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
        workers = view.element("workers")
        if not workers.matches(":focus"):
            workers.value = pool.size
        self.refresh()

    def introduce(self, model):
        text = tr("Model: {}. {} Licence: {}.").format(
            tr(model.title), tr(model.credit), model.licence
        )
        view.say(view.element("model"), text)
        quality = ", ".join(
            "{} {:.1f}".format(tr(title_of(target)), getattr(model.quality, target))
            for target in js.Object.keys(model.quality)
        )
        text = tr("Engine: {}; workers: {}, {} of memory. Quality: {}. {}")
        engine = tr(ENGINES.get(self.pool.engine, self.pool.engine))
        heap = megabytes(sum([worker.heap for worker in self.pool.workers]))
        text = text.format(engine, self.pool.size, heap, quality, tr(model.quality_note))
        view.say(view.element("details"), text)

    def resized(self, event):
        try:  # noqa: SIM105 (MicroPython has no contextlib)
            self.pool.size = settings.workers(event.target.value)
        except ValueError:
            pass  # not a number: it stays as it was
        event.target.value = self.pool.size
        settings.store("workers", self.pool.size)
        if not self.queue.in_state(RUNNING):
            self.pool.start()

    def use(self, path, files):
        """Between songs, load the model at an address. files: Blobs by name of those that are here."""
        self.pool.change(view.address(path), files)
        asyncio.create_task(self.loaded())

    async def report(self):
        view.say(view.element("reported"), await bug_report.copy(self.pool, self.queue.jobs))

    # Songs

    def choose(self):
        chooser = view.element("file")
        self.take(list(chooser.files))
        chooser.value = ""  # so that the same file can be chosen again

    def dragged(self, event):
        event.preventDefault()
        if event.type == "dragleave" and event.relatedTarget:
            return  # it goes on to another element of the page
        view.element("drop").classList.toggle("over", event.type == "dragover")
        if event.type == "drop":
            asyncio.create_task(self.dropped(dropped_files.entries(event.dataTransfer)))

    async def dropped(self, entries):
        self.engine_changed()  # replaces the message about the last drop
        try:
            self.take(await dropped_files.taken(entries))
        except DecodeError as error:
            view.error(str(error))

    async def receive(self):
        """Take what another program has shared with the page."""
        self.take(await received_files.shared())

    def take(self, chosen):
        """Take chosen files: songs and checkpoints."""
        self.menu.convert([file for file in chosen if menu.is_checkpoint(file)])
        songs = [file for file in chosen if not menu.is_checkpoint(file)]
        self.add([self.song_of(file.name, at_hand(file)) for file in songs])

    def add(self, songs):
        """Queue songs, and scroll to the first of them."""
        jobs = [self.queue.add(song) for song in songs]
        for job in jobs[:1]:
            job.card.reveal()
            job.started_by(js.document.activeElement)

    def song(self, title, find):
        """A Song. find: as `decoder` takes it."""
        source = decoder(find, self.options.keeps_rate())
        return Song(title, source, self.options.targets(), self.options.form())

    def song_of(self, name, find):
        """A Song of a file of that name. find: as `decoder` takes it."""
        song = self.song(name.rsplit(".", 1)[0] or name, find)
        song.find = find
        return song

    async def restore(self):
        for song in await self.library.open():
            await self.queue.restore(song)
        for folder, name, find in reversed(self.library.interrupted):  # the first comes on top
            song = self.song_of(name, find)
            song.folder = folder
            song.choose(self.library.excerpt_of(folder))
            self.queue.offer(song)
        self.refresh()

    # What the visitor sees of it all

    def refresh(self):
        """Have the page's state follow the songs and the engine."""
        state = self.queue.page_state(bool(self.pool.model), bool(self.pool.failure))
        before, self.state = self.state, state
        view.state(state)
        if self.pool.model:
            self.introduce(self.pool.model)
            self.options.offer_stems(targets_of(self.pool.model))
            self.queue.offer_ways()
            self.advance()
        if state != "running":
            view.tab_title()
        if self.awake != (state == "running"):
            self.awake = not self.awake
            asyncio.create_task(self.wake_lock.want(self.awake))
        if before == "running" and state in ("done", "error"):
            if self.options.chime():
                chime()
            last = self.queue.last
            told = self.notifications.give(last.song.full_title(), last.card.status.textContent)
            asyncio.create_task(told)
        text, percent = "", int(100 * self.pool.fraction)
        if not self.pool.settled.is_set() and not self.pool.has_started:
            text = tr("Getting the engine ready… {}%").format(percent)
            if not percent:
                text = tr("Getting the engine ready…")
        elif state == "ready":
            text = tr("Ready.")
            if before == "loading":
                view.announce(text)
        view.say(view.element("engine"), text)
        self.say_what_is_kept()

    def say_what_is_kept(self):
        songs = [job.song for job in self.queue.jobs]
        view.say(view.element("kept"), self.library.in_words(songs))

    def is_free(self):
        """Whether nobody would miss anything if the page were loaded anew."""
        return not (self.queue.unsaved() or self.queue.listening())


page = None


async def main():
    global page
    await offline.renew(lambda: not page or page.is_free())
    await settings.find()
    await language.speak()
    asked = settings.first([settings.asked("model")], settings.model, "")
    chosen, used = [
        settings.first([settings.stored(n)], settings.model, "") for n in ("model", "used")
    ]
    first = await (menu.place(asked) if asked else menu.first(chosen, used))
    page = Page(first, asked or chosen, bool(asked))
    page.listen()
    asyncio.create_task(page.restore())
    asyncio.create_task(page.menu.open())
    await page.start()


await main()
