"""The models that the visitor can choose from: the site's, and those that were converted and kept on the device."""

import asyncio

import js
import private_files
import view
from pool import Cancelled
from promises import attempt, in_time, outcome
from pyscript.ffi import create_proxy, to_js
from texts import tr
from told import told
from worker_client import Worker

ADDRESS = "opfs:"
"""What the address of a model on the device begins with, see `device`."""
FOLDER = "umx models"
INDEX = "weights/index.json"
RECOMMENDED = "umxl"
DEFAULT = "umx-mini"
"""The one that every site has."""
ENDING = ".pth"
"""Of checkpoints."""


async def place(name):
    """The address of a model, relative to the page's: on the device if it is there, else the site's."""
    folder = await private_files.folder(FOLDER)
    if folder and await in_time(manifest(folder, name)):
        return ADDRESS + name + "/"
    return "weights/" + name + "/"


async def parsed(text):
    """What JSON says, or None if it is none: half a manifest, or a page that says 404 with status 200."""
    return await outcome(attempt(js.JSON.parse, text))


async def manifest(folder, name):
    """A kept model's manifest; None if it isn't there, or isn't whole."""
    model = await outcome(folder.getDirectoryHandle(name))
    handle = model and await outcome(model.getFileHandle("manifest.json"))
    if not handle:
        return None
    file = await outcome(handle.getFile())
    text = file and await outcome(file.text())
    return text and await parsed(text)


async def kept(folder):
    """The manifests of the models on this device."""
    found = []
    for name in await private_files.names(folder):
        model = await manifest(folder, name)
        if model:
            found.append(model)
    return found


async def discard_unfinished(folder):
    """Delete what has no manifest: it was to become a model. Waits until no page makes one, see `converting.turn`."""
    await outcome(js.navigator.locks.request(FOLDER, create_proxy(lambda lock: None)))
    for name in await private_files.names(folder):
        if not await manifest(folder, name):
            await outcome(folder.removeEntry(name, to_js({"recursive": True})))


async def hosted():
    """What the site's index says of its models; nothing without a network, or where it has none."""
    response = await outcome(js.fetch(INDEX))
    text = await outcome(response.text()) if response and response.ok else None
    return list((text and await parsed(text)) or [])


def size(model):
    """In bytes: the index has the sum, a manifest its parts."""
    total = getattr(model, "size", None)
    return total or sum(model.targets[target].size for target in js.Object.keys(model.targets))


def facts(model):
    """What there is to know before choosing."""
    text = tr("{:.1f} MB, {}").format(size(model) / 1e6, model.licence)
    ratios = list(js.Object.values(model.quality))
    if ratios:
        text += tr(", SDR {:.1f} dB").format(sum(ratios) / len(ratios))
    return text + (tr(", recommended") if model.name == RECOMMENDED else "")


def pick():
    """Have the visitor choose checkpoints, by the page's one way to choose files."""
    chooser = view.element("file")
    usual, chooser.accept = chooser.accept, ENDING
    chooser.click()
    chooser.accept = usual  # so that phones offer music


class Menu:
    """The list of models, and the way to more of them."""

    def __init__(self, chosen, options, on_choose):
        """chosen: the address of the model in use; options: as `Worker` takes them.

        on_choose: called with the name and the address of the model that is wanted instead.
        """
        self.chosen, self.options, self.on_choose = chosen, options, on_choose
        self.list, self.status = view.element("model-list"), view.element("conversion-text")
        self.bar, self.pick = view.element("conversion"), view.element("checkpoints")
        self.fetch, self.cancel = view.element("fetch-official"), view.element("cancel-conversion")
        self.folder, self.hosted = None, []
        self.worker = None  # that makes a model

    async def open(self):
        view.on_click(self.pick, pick)
        view.on_click(self.fetch, self.fetch_official)
        view.on_click(self.cancel, lambda: self.worker.end())
        self.offer_to_fetch()
        self.folder = await private_files.folder(FOLDER)
        view.element("own-model").hidden = not self.folder
        self.hosted = await hosted()
        await self.show()
        if self.folder:
            await discard_unfinished(self.folder)

    async def show(self):
        for node in list(self.list.children):
            view.discard(node)
        mine = await kept(self.folder) if self.folder else []
        here = [model.name for model in mine]
        for model in mine:
            self.add(model, ADDRESS + model.name + "/", True)
        for model in self.hosted:
            if model.name not in here:
                self.add(model, "weights/" + model.name + "/", False)

    def add(self, model, address, is_mine):
        node = view.copy("model-choice")
        radio, delete = node.querySelector("input"), node.querySelector("button")
        node.dataset.model = model.name
        node.querySelector(".name").textContent = told(model.title)
        note = tr(", on this device") if is_mine else ""
        node.querySelector(".facts").textContent = facts(model) + note
        radio.checked = address == self.chosen
        delete.hidden = not is_mine
        delete.setAttribute("aria-label", tr("Delete {}").format(told(model.title)))

        async def forget():
            await outcome(self.folder.removeEntry(model.name, to_js({"recursive": True})))
            await self.show()
            if address == self.chosen and self.hosted:
                self.choose(self.hosted[0].name, "weights/" + self.hosted[0].name + "/")

        view.on(radio, "change", lambda event: self.choose(model.name, address))
        view.on_click(delete, lambda: asyncio.create_task(forget()))
        self.list.append(node)

    def choose(self, name, address):
        self.chosen = address
        for node in self.list.children:
            node.querySelector("input").checked = node.dataset.model == name
        self.on_choose(name, address)

    def do_without(self, reason):
        """The address of the site's own model, in place of the chosen one that can't be used; says why."""
        self.chosen = "weights/" + DEFAULT + "/"
        for node in self.list.children:
            node.querySelector("input").checked = node.dataset.model == DEFAULT
        view.element("model-menu").open = True
        text = tr(
            "The model on this device can't be used: {} For now it is {}. Delete it, and make it anew."
        )
        view.say(self.status, text.format(reason, DEFAULT))
        return self.chosen

    def offer_to_fetch(self):
        """Only where the site's security policy allows requests to the place that has the official files."""
        place = js.URL.new(js.document.querySelector("#own-model a").href).origin
        policy = js.document.querySelector("meta[http-equiv]").content
        if place in policy:
            self.fetch.hidden = False
            text = tr(
                "Nothing is uploaded: the page is Python in your browser, and its security policy "
                "allows it no request but to the place it came from, and to {} for models."
            )
            view.say(view.element("promise"), text.format(place))

    def fetch_official(self):
        asyncio.create_task(self.make("download", name=RECOMMENDED))

    def convert(self, files):
        if files:
            asyncio.create_task(self.make("convert", files=files))

    async def make(self, kind, **content):
        """Have a worker make an official model, and use it if no song is at work.

        kind, content: the request to the worker: to convert files, or to download them first.
        """
        if self.pick.disabled or not self.folder:
            return
        self.worker = Worker(self.options)
        self.busy(True)
        self.bar.value = 0
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
            await self.show()
            if view.element("models").disabled:
                text += " " + tr("Choose it when your songs are done.")
            else:
                self.choose(answer.name, ADDRESS + answer.name + "/")
        except Cancelled:
            asyncio.create_task(discard_unfinished(self.folder))
            text = tr("Cancelled.")
        except Exception as error:
            text = str(error)
        self.worker.end()
        self.busy(False)
        view.say(self.status, text)

    def busy(self, is_busy):
        self.pick.disabled = self.fetch.disabled = is_busy
        self.bar.hidden = self.cancel.hidden = not is_busy

    def progress(self, message):
        self.bar.value = message.fraction
