"""Finished songs on the visitor's device, in the origin's private file system, until they are removed.

Each song has a folder: its pieces, which workers write as they finish them, and at last a list of them. A folder
without a list is of a song that some page is at work on, or was when it was closed; its name says which page. From when
the song waits for its turn until the list is written, its own file lies there too, so that a page that is closed has
another offer the song again.
"""

import asyncio
import json

import js
from pyscript.ffi import create_proxy, to_js

from page import storage, view
from page.files import refusals
from page.files.tags import NUMBERS, TEXTS
from page.models.model_choice import Model
from page.promises import RejectedError, attempt, in_time, outcome, settle
from page.settings import settings
from page.songs.song import Song
from page.text.texts import tr
from shared.facts import SAMPLE_RATE, SONGS_FOLDER

LIST = "song.json"
FORMAT = 1
SEPARATOR = "."
"""Stands between a page's name and the number of its song."""
DOOMED = "removed"
"""The setting with the folder of a song that will be removed unless the visitor undoes it."""
MIX, EXCERPT = "mix ", "excerpt "
"""Settings are named by one of these and a song's folder: its mixer's settings, and the chosen excerpt."""
ANALYSIS = "analysis "
"""The prefix in the name of its analysis."""
OWN = "own "
"""Prefix of the name of a song's own file, in its folder."""
LARGEST = 300000000
"""Bytes of an own file that is kept, at most."""
PATIENCE = 60
"""Seconds that a new song waits for the kept ones to be read."""
TRIES = 20
"""Attempts to remove a folder: an ended worker holds its file for a moment longer."""


class SongLibrary:
    def __init__(self, on_change, on_gone):
        """on_change is called when there is something new to say; on_gone with a folder that another page removed."""
        self.on_change, self.on_gone = on_change, on_gone
        self.root = None  # where the songs' folders are, if this browser keeps anything
        self.page, self.count = "", 0
        # Songs that a closed page had not finished, in the order of its work: their folder, the name of their own file,
        # and a function that gives that file, see `Song.find`.
        self.interrupted = []
        self.copying = asyncio.Lock()
        self.has_asked = (
            False  # whether the browser was asked not to delete songs when space runs out
        )
        self.opened = asyncio.Event()
        self.channel = None  # to the site's other pages
        self.box = view.element("keep")
        self.keeps = settings.get("keep", settings.one_of(("on", "off")), "on") == "on"
        self.box.checked = self.keeps
        view.on(self.box, "change", self.changed)

    def changed(self, event):
        self.keeps = self.box.checked
        settings.store("keep", "on" if self.keeps else "off")
        self.on_change()

    async def open(self):
        """Read the finished songs, the newest first. Unfinished ones are removed, unless a page is at work on them, or
        `interrupted` has their own file."""
        try:
            root = await storage.folder(SONGS_FOLDER)
            if not root or not getattr(js.navigator, "locks", None):
                return []
            self.root = root
            self.channel = js.BroadcastChannel.new(SONGS_FOLDER)
            self.channel.onmessage = create_proxy(lambda event: self.on_gone(event.data))
            self.page = await hold()
            # Names first, then pages: a song that is begun or finished in between isn't taken for a lost one.
            names = sorted(await storage.names(self.root), key=lambda name: (len(name), name))
            pages = await pages_at_work()
            songs = []
            for name in names:
                if name == settings.stored(
                    DOOMED
                ):  # the page was closed before the folder was removed
                    self.spare()
                    await self.remove(name)
                    continue
                song = await read(self.root, name)
                if song:
                    songs.append(song)
                elif name.split(SEPARATOR)[0] not in pages and not await is_foreign(root, name):
                    own = await own_file(root, name)
                    if own:
                        self.interrupted.append((name, own.name[len(OWN) :], in_memory(own)))
                    else:
                        await self.remove(name)
            return sorted(songs, key=lambda song: song.finished, reverse=True)
        except RejectedError:
            self.root = None
            return []
        finally:
            self.opened.set()
            self.on_change()

    async def begin(self):
        """A folder for a new song, or "" where nothing is to be kept."""
        if not self.opened.is_set():
            await in_time(self.opened.wait(), PATIENCE)
        if not (self.opened.is_set() and self.root and self.keeps):
            return ""
        self.count += 1
        name = self.page + SEPARATOR + str(self.count)
        made = await in_time(outcome(self.root.getDirectoryHandle(name, CREATE)))
        return name if made else ""

    def is_place(self, folder):
        """Whether this page may keep a song there: its folder is another page's, or nothing is to be kept by now."""
        return self.keeps and folder.split(SEPARATOR)[0] == self.page

    async def keep_own_file(self, song):
        """Write a song's own file into its folder, if that has room for it, after those that were asked for before."""
        async with self.copying:
            try:
                file = song.folder and song.find and await song.find()
            except Exception:
                return  # a file that is gone: what is at work is there
            if not file or file.size > LARGEST:
                return
            place = await outcome(self.root.getDirectoryHandle(song.folder))
            handle = place and await outcome(place.getFileHandle(OWN + file.name, CREATE))
            if handle and hasattr(handle, "createWritable"):
                stream = await outcome(handle.createWritable())
                if stream:
                    await outcome(file.stream().pipeTo(stream))

    async def finish(self, song, pool):
        """Write a song's list, if all of its pieces are on the device, so that the next visit finds it.

        Raises WorkerError or Cancelled.
        """
        if song.folder and all(record.file for record in song.records):
            facts = described(song)
            facts["covers"] = []
            for cover in song.tags.get("images", []):
                facts["covers"].append(await packed(cover))
            text = js.JSON.stringify(to_js(facts))
            if (await pool.run(write, song.folder, text)).written:
                song.kept_bytes = sum(record.size for record in song.records)
                settings.forget(EXCERPT + song.folder)
                self.ask_to_last()
        if song.folder:
            await self.tidy(song)
        self.on_change()

    async def tidy(self, song):
        """Remove files that the list doesn't name: the song's own, and those of a worker that has stopped meanwhile."""
        place = await outcome(self.root.getDirectoryHandle(song.folder))
        wanted = [LIST] + [record.file for record in song.records]
        for name in await storage.names(place) if place else []:
            if name not in wanted:
                await outcome(place.removeEntry(name))

    def ask_to_last(self):
        """Ask the browser to keep the songs, once a visit, since some browsers ask the visitor then."""
        if not self.has_asked:
            self.has_asked = True
            asyncio.create_task(outcome(js.navigator.storage.persist()))

    async def remove(self, name):
        """Remove a song's folder."""
        for _ in range(TRIES):
            if await done(self.root.removeEntry(name, RECURSIVE)):
                break
            if not await outcome(self.root.getDirectoryHandle(name)):
                break
            await asyncio.sleep(0.25)
        settings.forget(MIX + name)
        settings.forget(EXCERPT + name)
        settings.forget(ANALYSIS + name)
        self.channel.postMessage(name)

    def doom(self, folder):
        """Have the next visit remove a song, unless `spare` is called or this visit does it before."""
        settings.store(DOOMED, folder)

    def spare(self):
        settings.forget(DOOMED)

    def keep_settings(self, song, facts):
        """Keep the visitor's settings of a kept song, see `Mixer.facts`."""
        settings.store(MIX + song.folder, json.dumps(facts))

    def settings_of(self, song):
        """Settings from `keep_settings`; None if there are none."""
        return parsed(settings.stored(MIX + song.folder))

    def keep_analysis(self, song):
        """Keep what is known of a kept song's music."""
        settings.store(ANALYSIS + song.folder, json.dumps(song.analysis))

    def analysis_of(self, song):
        """What `keep_analysis` has kept; None if there is nothing."""
        return parsed(settings.stored(ANALYSIS + song.folder))

    def keep_excerpt(self, song):
        """Keep what is wanted of a song that may be interrupted."""
        if song.folder and song.excerpt:
            settings.store(EXCERPT + song.folder, json.dumps(song.excerpt))
        elif song.folder:
            settings.forget(EXCERPT + song.folder)

    def excerpt_of(self, folder):
        """What `keep_excerpt` has kept; None for all of the song."""
        try:
            begin, end = json.loads(settings.stored(EXCERPT + folder) or "null")
            return (begin, end) if 0 <= begin < end else None
        except (TypeError, ValueError):
            return None

    def in_words(self, songs):
        """Say which of these songs are kept, and whether new ones will be."""
        if not self.opened.is_set():
            return ""
        if not self.root:
            return tr(
                "This browser keeps nothing for the page: download your stems before you close it."
            )
        kept = [song.kept_bytes for song in songs if song.kept_bytes]
        said = []
        if kept:
            text = tr("Kept on this device until you remove them: {} songs, {}.")
            if len(kept) == 1:
                text = tr("Kept on this device until you remove it: {} song, {}.")
            said.append(text.format(len(kept), megabytes(sum(kept))))
        if not self.keeps:
            said.append(
                tr("New songs are not kept: download their stems before you close the page.")
            )
        if not said:
            said.append(tr("Finished songs are kept on this device until you remove them."))
        return " ".join(said)


def parsed(text):
    """What a setting holds as JSON; None if it is none of this page's."""
    try:
        return json.loads(text or "null")
    except ValueError:
        return None


CREATE, RECURSIVE = to_js({"create": True}), to_js({"recursive": True})


def megabytes(size):
    return "{:.0f} MB".format(max(1, size / 1e6))


async def done(promise):
    """Whether a promise was fulfilled."""
    try:
        await settle(promise)
    except RejectedError:
        return False
    return True


async def hold():
    """A name for this page. A lock of that name, which goes with the page, shows others that it is open."""
    name = js.crypto.randomUUID()

    def executor(resolve, reject):
        # This promise never settles: the lock goes with the page. It is made here, because MicroPython may free what a
        # callback makes before JavaScript has it.
        gone = js.Promise.new(create_proxy(lambda resolve, reject: None))

        def granted(lock):
            resolve()
            return gone

        # Browsers that allow no lock reject at once.
        held = js.navigator.locks.request(SONGS_FOLDER + SEPARATOR + name, create_proxy(granted))
        held.catch(reject)

    await settle(js.Promise.new(create_proxy(executor)))
    return name


async def pages_at_work():
    held = (await settle(js.navigator.locks.query())).held
    return [lock.name.split(SEPARATOR)[-1] for lock in held]


async def write(worker, name, text):
    return await worker.ask("write", folder=name, name=LIST, text=text)


def described(song):
    return {
        "format": FORMAT,
        "finished": js.Date.new().toISOString(),
        "title": song.title,
        "targets": list(song.targets),
        "kind": song.kind,
        "length": song.length,
        "tags": {name: song.tags[name] for name in TEXTS + NUMBERS if name in song.tags},
        "date": song.tags["date"].toISOString() if "date" in song.tags else "",
        "rate": song.own[0],
        "frames": song.own[1],
        "lanes": song.lanes,
        "model": made_with(song.model),
        "loud": song.loud,
        "pieces": song.records,
    }


def made_with(model):
    return {"name": model.name, "title": model.title, "quality": model.quality}


async def packed(cover):
    """A picture in a form for JSON, its data as a data URL."""
    reader = js.FileReader.new()

    def executor(resolve, reject):
        reader.onload, reader.onerror = resolve, reject
        reader.readAsDataURL(js.Blob.new(to_js([cover["data"]])))

    await settle(js.Promise.new(create_proxy(executor)))
    return {"data": reader.result, "mimeType": cover["mimeType"], "kind": cover["kind"]}


async def unpacked(cover):
    """The picture that `packed` has packed. Raises RejectedError."""
    response = await settle(js.fetch(cover.data))
    data = js.Uint8Array.new(await settle(response.arrayBuffer()))
    return {"data": data, "mimeType": cover.mimeType, "kind": cover.kind}


def as_dict(found):
    return {name: getattr(found, name) for name in js.Object.keys(found)}


async def listed(place):
    """The content of the list in a song's folder, or None."""
    handle = await outcome(place.getFileHandle(LIST))
    file = handle and await outcome(handle.getFile())
    text = file and await outcome(file.text())
    return text and await outcome(attempt(js.JSON.parse, text))


async def is_foreign(root, name):
    """Whether a song was kept by another version of the page, which may come back."""
    place = await outcome(root.getDirectoryHandle(name))
    text = place and await listed(place)
    return (getattr(text, "format", None) or FORMAT) != FORMAT


async def own_file(root, name):
    """The handle of the song's own file that lies in a folder; None where there is none as a whole."""
    place = await outcome(root.getDirectoryHandle(name))
    for entry in await storage.names(place) if place else []:
        if entry.startswith(OWN):
            handle = await outcome(place.getFileHandle(entry))
            file = handle and await outcome(handle.getFile())
            if file and file.size:
                return handle
    return None


def in_memory(handle):
    """What gives a song's own file: read when it is first asked for, it stays in memory, because its folder goes."""
    found = []

    async def find():
        if not found:
            name = handle.name[len(OWN) :]
            try:
                file = await settle(handle.getFile())
                data = await settle(file.arrayBuffer())
            except RejectedError:
                raise refusals.gone(name)
            found.append(js.File.new(to_js([data]), name, to_js({"type": file.type})))
        return found[0]

    return find


async def read(root, name):
    """A kept Song; None if it isn't whole."""
    place = await outcome(root.getDirectoryHandle(name))
    text = place and await listed(place)
    if getattr(text, "format", None) != FORMAT:
        return None
    try:
        song = Song(text.title, None, list(text.targets), text.kind)
        song.folder, song.length, song.lanes = name, text.length, list(text.lanes)
        # Lists of earlier versions of the page don't have all of this.
        song.finished = getattr(text, "finished", "")
        song.own = getattr(text, "rate", SAMPLE_RATE), getattr(text, "frames", text.length)
        song.loud, song.tags = as_dict(text.loud), as_dict(text.tags)
        model = getattr(text, "model", None)
        if model:
            song.model = Model(model.name, model.title, quality=model.quality)
        if getattr(text, "date", ""):
            song.tags["date"] = js.Date.new(text.date)
        for cover in getattr(text, "covers", None) or []:
            song.tags["images"] = song.tags.get("images", []) + [await unpacked(cover)]
        for record in text.pieces:
            piece = await outcome(place.getFileHandle(record.file))
            file = piece and await outcome(piece.getFile())
            if not file or file.size != record.size:
                return None
            song.add(record, file)
            song.kept_bytes += file.size
    except (AttributeError, TypeError, ValueError, RejectedError):
        return None  # another program's file, or half a list
    return song
