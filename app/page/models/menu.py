"""The models of the site and of this device: which is in use, which is wanted, how the visitor chooses one."""

import asyncio

import js
from pyscript.ffi import create_proxy, to_js

from offline import offline
from page import storage, view
from page.clock import seconds
from page.models.arrival import Arrival, files_of
from page.models.model_choice import (
    Model,
    Speeds,
    about,
    best,
    can_preview,
    coming_in_words,
    is_better,
    judged,
    mean,
    need,
    short,
    time_taken,
)
from page.promises import RejectedError, attempt, in_time, outcome
from page.settings import settings
from page.settings.options import USUAL
from page.songs.preview import reach, suits
from page.text.texts import tr
from page.workers.client import cores, memory
from page.workers.pool import Cancelled
from shared.facts import MODEL_SCHEME, MODELS_FOLDER, SAMPLE_RATE
from umx.names import CHECKPOINTS, MANIFEST

INDEX = "weights/index.json"
RECOMMENDED = ("umxl", "htdemucs")
"""The official models that the menu offers to make here, each in a block of index.html with its name."""
DEFAULT = "umx-mini"
"""The model that every site has. It stands in until a better one is here."""
EVERY = 15
"""Seconds after which an open page looks again for a better model, where it has none."""
SHORTEST = 3
"""Seconds between two looks where a model is about to be there."""
LONGEST_LOOK = 3
"""Seconds that songs wait for the index of models. A slower server would hold them up with a model, too."""


def at_site(name):
    return "weights/" + name + "/"


def name_in(address):
    """The name of the model at an address, which is its folder's."""
    return address.split("/")[-2].split(":")[-1]


async def place(name):
    """The address of a model, relative to the page's: on the device if it is there, else the site's."""
    return await on_device(name) or at_site(name)


async def on_device(name):
    """The address of a model among those that were made on this device; None if it isn't one."""
    folder = await storage.folder(MODELS_FOLDER)
    return MODEL_SCHEME + name + "/" if folder and await in_time(manifest(folder, name)) else None


async def first(*names):
    """The address of the model to begin with: the first of these that is on this device, else the one of every site."""
    for name in names:
        address = name and await on_device(name)
        if address:
            return address
        if name and await in_time(offline.has(at_site(name))):
            return at_site(name)
    return at_site(DEFAULT)


async def parsed(text):
    """The object that a JSON text holds; None for other texts: half a manifest, or an error page with status 200."""
    return await outcome(attempt(js.JSON.parse, text))


async def manifest(folder, name):
    """A kept model's manifest; None if it isn't there, or isn't whole."""
    model = await outcome(folder.getDirectoryHandle(name))
    handle = model and await outcome(model.getFileHandle(MANIFEST))
    if not handle:
        return None
    file = await outcome(handle.getFile())
    text = file and await outcome(file.text())
    return text and await parsed(text)


async def kept(folder):
    """The manifests of the models on this device."""
    found = []
    for name in await storage.names(folder):
        model = await manifest(folder, name)
        if model:
            found.append(model)
    return found


async def discard_unfinished(folder):
    """Delete unfinished models: folders without a manifest. Waits for pages that make one, see `converting.turn`."""
    await outcome(js.navigator.locks.request(MODELS_FOLDER, create_proxy(lambda lock: None)))
    for name in await storage.names(folder):
        if not await manifest(folder, name):
            await outcome(folder.removeEntry(name, to_js({"recursive": True})))


async def hosted():
    """The entries of the site's index of models; empty without a network or an index."""
    response = await outcome(js.fetch(INDEX, to_js({"cache": "no-store"})))
    text = await outcome(response.text()) if response and response.ok else None
    found = text and await parsed(text)
    return list(found) if js.Array.isArray(found) else []


def described(entry, is_mine=False):
    """The Model that an entry of an index, or a manifest, describes; None if it describes none."""
    try:
        name, title = settings.model(entry.name), str(entry.title)
        has_files = hasattr(entry, "targets") or hasattr(entry, "files")
        files = files_of(entry) if has_files else []
        ratios = getattr(entry, "quality", None)
        model = Model(
            name,
            title,
            getattr(entry, "licence", None) or "",
            mean([float(ratio) for ratio in js.Object.values(ratios)]) if ratios else None,
            # The index has the sums, a manifest their parts.
            getattr(entry, "size", None) or sum(file.size for file in files),
            getattr(entry, "unpacked", None) or sum(file.unpacked_size for file in files),
            getattr(entry, "coming", None),
            getattr(entry, "seconds_left", None),
            getattr(entry, "architecture", None) or "openunmix",
        )
    except (AttributeError, TypeError, ValueError):
        return None
    model.is_mine = is_mine
    if is_mine:
        model.address = MODEL_SCHEME + name + "/"
    return model


async def measured(worker):
    return await worker.ask("try out")


def is_checkpoint(file):
    return any(file.name.lower().endswith(ending) for ending in CHECKPOINTS)


def pick():
    """Have the visitor choose checkpoints, by the page's one way to choose files."""
    chooser = view.element("file")
    usual, chooser.accept = chooser.accept, ",".join(CHECKPOINTS)
    chooser.click()
    chooser.accept = usual  # so that phones offer music the next time


class Menu:
    """The models that there are, the one that is in use and the one that is wanted; their list, and the way to more."""

    def __init__(self, address, chosen, is_fixed, pool, make_worker, on_change):
        """address: of the model that the pool begins with.

        chosen: the name of the one that the visitor has chosen, or ""; is_fixed: whether no other may take its place.
        make_worker: gives a worker of its own, which makes a model.
        on_change: called when the model that is wanted, or how far it is, has changed.
        """
        self.address, self.chosen, self.is_fixed = address, chosen, is_fixed
        self.pool, self.make_worker, self.on_change = pool, make_worker, on_change
        self.list, self.status = view.element("model-list"), view.element("conversion-text")
        self.bar, self.cancel = view.element("conversion"), view.element("cancel-conversion")
        self.blocks = [view.element(name + "-official") for name in RECOMMENDED]
        self.picks = [block.querySelector(".pick") for block in self.blocks]
        self.fetches = [block.querySelector(".fetch") for block in self.blocks]
        self.offer, self.news = view.element("offer"), view.element("model-news")
        self.folder = None
        self.models, self.rows = [], {}
        self.is_known = False  # whether the index was looked at
        self.opened = self.looked = seconds()
        self.arrival = None  # of the model that is being fetched
        self.files = {}  # by the address of a model that is here, Blobs of its files by name
        self.failed = {}  # by the name of a model that is of no use, why
        self.speeds = settings.get("speeds", Speeds, Speeds())
        self.worker = None  # that makes a model

    async def open(self):
        for name, choose, fetch in zip(RECOMMENDED, self.picks, self.fetches):
            view.on_click(choose, pick)
            view.on_click(fetch, lambda name=name: self.fetch_official(name))
        view.on_click(self.cancel, lambda: self.worker.end())
        view.on_click(view.element("get"), self.show_how)
        view.on(js.window, "online", lambda event: self.failed.clear())
        self.offer_to_fetch()
        self.folder = await storage.folder(MODELS_FOLDER)
        view.element("own-model").hidden = not self.folder
        await self.look()
        asyncio.create_task(self.watch())
        if self.folder:
            await discard_unfinished(self.folder)

    # What there is

    async def look(self):
        """See which models there are by now."""
        self.looked = seconds()
        mine = await kept(self.folder) if self.folder else []
        found = [described(entry, True) for entry in mine]
        names = [model.name for model in found if model]
        others = [described(entry) for entry in await hosted()]
        found += [model for model in others if model and model.name not in names]
        self.models = [model for model in found if model]
        self.is_known = True
        self.show()
        self.on_change()

    async def watch(self):
        """Look again where there is no better model, as long as the visitor sees the page; let the seconds go by."""
        while True:
            await asyncio.sleep(1)
            if self.awaited() or not self.is_known:
                self.on_change()
            coming = [model.left for model in self.models if model.coming is not None]
            soon = [max(SHORTEST, left) for left in coming if left is not None]
            lacks = coming or self.address == at_site(DEFAULT)
            is_time = seconds() - self.looked >= min([EVERY] + soon)
            is_seen = js.document.visibilityState == "visible" and js.navigator.onLine
            if lacks and is_time and is_seen:
                await self.look()

    def in_use(self):
        """The model that the pool has loaded or is to load, as far as it is known by now."""
        if self.pool.model:
            model = described(self.pool.model)
            model.name = name_in(self.address)
            return model
        for model in self.models:
            if model.address == self.address:
                return model
        name = name_in(self.address)
        return Model(name, name)

    def wanted(self):
        """The model that is to be used: the visitor's choice as long as it is there, else the best; None if no other is
        known than the one in use."""
        there = [m for m in self.models if m.coming is None and m.name not in self.failed]
        for model in there:
            if model.name == self.chosen:
                return model
        if self.is_fixed or not self.is_known:
            return None
        if getattr(getattr(js.navigator, "connection", None), "saveData", None):
            there = [m for m in there if m.is_mine or m.address == self.address]
        return best(there, memory())

    def lighter(self):
        """The best of the models that need less memory than the one in use, or None."""
        used = self.in_use()
        there = [m for m in self.models if m.coming is None and m.name not in self.failed]
        return best([model for model in there if need(model) < need(used)], memory())

    def awaited(self):
        """The model that songs may wait for, the seconds until it is here, and those since it began to come.

        The model is None as long as it isn't known which, the seconds left as long as nobody can tell. None if all that
        is wanted is in use.
        """
        if not self.is_known and not self.is_fixed and seconds() - self.opened < LONGEST_LOOK:
            return None, None, 0
        if self.arrival:
            return self.arrival.model, self.arrival.left(), self.arrival.spent()
        wanted = self.wanted()
        if wanted and wanted.address != self.address:
            return wanted, None, 0
        coming = best([m for m in self.models if m.coming is not None], memory())
        is_free = not self.is_fixed and not self.chosen
        if coming and is_free and is_better(coming, self.in_use()):
            return coming, self.left(coming), seconds() - self.opened
        return None

    def left(self, model):
        """Seconds until the site has a model that is on its way there, as far as that is known."""
        if model.left is None:
            return None
        return max(0, model.left - (seconds() - self.looked))

    # How it comes here

    def brought(self, model):
        """The files of a model that is here, Blobs by name as far as they aren't kept anyway; None if it isn't here."""
        return {} if model.is_mine else self.files.get(model.address)

    def bring(self, model):
        """Have a model of the site come here."""
        if self.arrival and self.arrival.model.address == model.address:
            return
        if self.arrival:
            self.arrival.cancel()
        self.arrival = Arrival(model, self.on_change)
        asyncio.create_task(self.receive(self.arrival))

    async def receive(self, arrival):
        model = arrival.model
        try:
            files = {} if await offline.has(model.address) else await arrival.fetch()
        except RejectedError as error:
            if not arrival.is_cancelled:
                self.failed[model.name] = str(error)
        else:
            self.files[model.address] = files
        if self.arrival is arrival:
            self.arrival = None
        self.on_change()

    def use(self, model):
        """What the pool is to load, once it is here: address and files."""
        self.address = model.address
        return model.address, self.files.pop(model.address, {})

    def used(self):
        """The pool has loaded the model: the next visit begins with it."""
        before, name = settings.stored("used"), name_in(self.address)
        settings.store("used", name)
        if before and before != name:
            view.announce(tr("Songs are separated with {}.").format(short(self.in_use().title)))
        self.show()

    def do_without(self, reason):
        """The address of the site's own model, in place of one that can't be used; None where there is no other."""
        if self.is_fixed or self.address == at_site(DEFAULT):
            return None
        self.failed[name_in(self.address)] = reason
        if self.address.startswith(MODEL_SCHEME):
            view.element("model-menu").open = True
            text = tr(
                "The model on this device can't be used: {} For now it is {}. "
                "Delete it, and make it anew."
            )
            view.say(self.status, text.format(reason, DEFAULT))
        self.address = at_site(DEFAULT)
        return self.address

    # How fast it is

    def learn(self, song, spent):
        """A song was separated in so many seconds. One of which some stems alone were wanted says nothing of others."""
        if "rest" not in song.lanes and "karaoke" not in song.lanes:
            self.speeds.add_song(
                song.model, self.pool.engine, self.pool.size, song.length / SAMPLE_RATE, spent
            )
            self.remember_speeds()

    async def try_out(self):
        """Measure the engine where no song has told yet how fast it is."""
        model, engine, size = self.in_use(), self.pool.engine, self.pool.size
        if not self.speeds.knows(model, engine, size):
            alone = (await self.pool.run(measured)).seconds / min(size, cores())
            self.speeds.add(model, engine, size, alone, is_trial=True)
            self.remember_speeds()

    def remember_speeds(self):
        settings.store("speeds", self.speeds.text())
        self.show()

    def time_taken(self, model):
        return self.speeds.of(model, self.pool.engine, self.pool.size)

    def preview(self, song):
        """The address of the small model, and how many seconds of a song it is to make a preview of; 0 for none."""
        model, engine, size = self.in_use(), self.pool.engine, self.pool.size
        address = at_site(DEFAULT)
        small = next(
            iter([m for m in self.models if m.address == address]), Model(DEFAULT, DEFAULT)
        )
        paces = [self.speeds.pace(each, engine, size) for each in (model, small)]
        is_able = model.name != DEFAULT and can_preview(model, size, memory())
        if not (is_able and suits(song.lanes, USUAL)):
            return address, 0
        return address, reach(song.length / SAMPLE_RATE, *paces)

    # What the visitor sees of it

    def show(self):
        """Have the list show the models that there are; what stays keeps the focus."""
        keys = [(model.name, model.address) for model in self.models]
        if sorted(self.rows) != sorted(keys):
            for node in list(self.list.children):
                view.discard(node)
            self.rows = {key: self.row(model) for key, model in zip(keys, self.models)}
        for key, model in zip(keys, self.models):
            self.say_of(model, self.rows[key])
        self.tell()

    def row(self, model):
        node = view.copy("model-choice")
        radio, delete = node.querySelector("input"), node.querySelector("button")
        node.dataset.model = model.name
        node.querySelector(".name").textContent = tr(model.title)
        delete.hidden = not model.is_mine
        delete.setAttribute("aria-label", tr("Delete {}").format(tr(model.title)))

        async def forget():
            await outcome(self.folder.removeEntry(model.name, to_js({"recursive": True})))
            if self.chosen == model.name:
                self.chosen = ""
                settings.store("model", "")
            await self.look()

        view.on(radio, "change", lambda event: self.choose(model.name))
        view.on_click(delete, lambda: asyncio.create_task(forget()))
        self.list.append(node)
        return node

    def say_of(self, model, node):
        radio, facts = node.querySelector("input"), node.querySelector(".facts")
        wanted = self.wanted()
        radio.checked = model.address == (wanted.address if wanted else self.address)
        radio.disabled = model.coming is not None
        if model.coming is None:
            text = about(model, self.time_taken(model), memory())
            view.say(facts, text + (tr(", on this device") if model.is_mine else ""))
        else:
            view.say(facts, self.on_its_way(model))

    def tell(self):
        """Say beside the place for songs which model they are separated with, and which comes."""
        used, awaited = self.in_use(), self.awaited()
        if self.pool.model or used.quality is not None:
            name = view.element("in-use")
            view.say(name, tr("Model: {}").format(short(used.title) + " · " + judged(used.quality)))
        names = [model.name for model in self.models] + [used.name]
        has_one = any(name.split("_")[0] in RECOMMENDED for name in names)  # or a variant
        lacks = self.is_known and self.folder and not has_one
        text = ""
        if awaited and awaited[0] and awaited[0].coming is not None:
            text = self.on_its_way(awaited[0])
        elif awaited and awaited[0]:
            text = self.until(awaited[0], awaited[1])
        elif used.name == DEFAULT and self.failed:
            failed = next(iter(self.failed))
            text = tr("{} can't be used: {}").format(failed, self.failed[failed])
        elif self.pool.model and not lacks:
            parts = [tr("Songs are separated with {}.").format(short(used.title))]
            taken = time_taken(self.time_taken(used))
            text = " ".join(parts + ([taken + "."] if taken else []))
        view.say(self.news, text)
        self.news.hidden = not text
        self.offer.hidden = bool(text) or not lacks
        for name, block in zip(RECOMMENDED, self.blocks):
            block.hidden = name in names

    def until(self, model, left):
        name, coming = short(model.title), coming_in_words(model.size, left)
        if self.address == at_site(DEFAULT):
            return tr("Using the small model until {} is here ({}).").format(name, coming)
        return tr("{} is on its way ({}).").format(name, coming)

    def on_its_way(self, model):
        name, percent, left = short(model.title), int(100 * model.coming), self.left(model)
        if not percent:  # it would stand still
            return tr("{} is on its way ({}).").format(name, coming_in_words(model.size, left))
        words = coming_in_words(0, left)
        text = tr("{} is on its way: {}%{}.")
        return text.format(name, percent, ", " + words if words else "")

    def show_how(self):
        """Show the visitor how to get a better model, where there is none."""
        view.element("model-menu").open = True
        self.picks[0].focus()

    def choose(self, name):
        """Have a model be used from the next song on."""
        self.chosen = name
        settings.store("model", name)
        self.failed.pop(name, None)
        self.show()
        self.on_change()

    def offer_to_fetch(self):
        """Only where the site's security policy allows requests to the place that has the official files."""
        policy, places = js.document.querySelector("meta[http-equiv]").content, []
        for block, fetch in zip(self.blocks, self.fetches):
            place = js.URL.new(block.querySelector("a").href).origin
            if place in policy:
                fetch.hidden = False
                places.append(place)
        if places:
            text = tr(
                "Nothing is uploaded: the page is Python in your browser, and its security policy "
                "allows it no request but to the place it came from, and to {} for models."
            )
            view.say(view.element("promise"), text.format(", ".join(places)))

    def fetch_official(self, name):
        asyncio.create_task(self.make("download", name=name))

    def convert(self, files):
        if files:
            asyncio.create_task(self.make("convert", files=files))

    async def make(self, kind, **content):
        """Have a worker make an official model, to be used from the next song on.

        kind, content: the request to the worker: to convert files, or to download them first.
        """
        if self.picks[0].disabled or not self.folder:
            return
        self.worker = self.make_worker()
        self.busy(True)
        self.bar.removeAttribute("value")  # it moves by itself until there is something to say
        view.element("model-menu").open = True
        view.say(self.status, tr("Getting the model ready: this takes a while."))
        lasts = await outcome(js.navigator.storage.persist())
        try:
            answer = await self.worker.ask(kind, self.progress, **content)
            text = tr("Ready, and kept on this device.")
            if not lasts:
                text = tr(
                    "Ready, and kept on this device; "
                    "your browser may delete it when space runs out."
                )
            snr = getattr(answer, "snr", None)
            if snr is not None:
                rough = tr(
                    "Rounding costs this model more than others: its stems are exact to {:.0f} dB."
                )
                text += " " + rough.format(snr)
            if self.address == MODEL_SCHEME + answer.name + "/":
                self.address = at_site("")  # what is in use is no longer there
            await self.look()
            self.choose(answer.name)
        except Cancelled:
            asyncio.create_task(discard_unfinished(self.folder))
            text = tr("Cancelled.")
        except Exception as error:
            text = str(error)
        self.worker.end()
        self.busy(False)
        view.say(self.status, text)

    def busy(self, is_busy):
        for button in self.picks + self.fetches:
            button.disabled = is_busy
        self.bar.hidden = self.cancel.hidden = not is_busy

    def progress(self, message):
        self.bar.value = message.fraction
