"""The page's logic: wires the file chooser, the pool, the player and the downloads to what the visitor sees."""

import asyncio
import json

import js
import player
import view
from decode import DecodeError, decode
from downloads import Downloads
from pool import Cancelled, Pool, WorkerError, default_size
from progress import Progress, spoken
from song import NAMES, Song

PRESETS = {
    "karaoke": ("drums", "bass", "melody"),
    "acapella": ("vocals",),
    "drumless": ("vocals", "bass", "melody"),
}


def address(path):
    return js.URL.new(path, js.document.baseURI).href


def parameter(name, otherwise):
    """A choice in the page's address, such as ?model=umxl&workers=4, or the one kept from another visit."""
    value = js.URLSearchParams.new(js.location.search).get(name)
    return value or js.localStorage.getItem(name) or otherwise


def seconds():
    return js.performance.now() / 1000


class Page:
    """One song at a time; a song that is dropped while the engine loads waits for it."""

    def __init__(self):
        self.song = self.player = self.downloads = self.manifest = None
        self.engine_fraction = 0.0
        config = {
            "packages": ["numpy", address("app/vendor/umx/umx-0.1.0-py3-none-any.whl")],
            "packages_cache": "passthrough",  # straight to Pyodide, without micropip
            "sync_main_only": True,  # no SharedArrayBuffer, so no special headers
        }
        interpreter = address("app/vendor/pyodide/pyodide.mjs")
        options = {"type": "pyodide", "version": interpreter, "config": config}
        size = int(parameter("workers", default_size()))
        view.element("workers").value = size
        url = address("weights/" + parameter("model", "umx-mini") + "/")
        self.pool = Pool(size, options, url, self.engine_progress)
        self.task = None

    def listen(self):
        view.on(view.element("file"), "change", self.chosen)
        drop = view.element("drop")
        for event in ("dragover", "dragleave", "drop"):
            view.on(js.document, event, self.dragged)
        view.on(view.element("cancel"), "click", lambda event: self.cancel())
        view.on(view.element("play"), "click", self.play_or_pause)
        view.on(view.element("seek"), "input", self.sought)
        view.on(view.element("zip"), "click", lambda event: asyncio.create_task(self.zip()))
        view.on(view.element("workers"), "change", self.resized)
        for button in js.document.querySelectorAll("[data-preset]"):
            view.on(button, "click", self.preset_clicked)

    # The engine

    async def load(self):
        self.pool.start()
        await self.loaded()

    async def loaded(self):
        """Wait for the pool, and say what came of it."""
        try:
            answers = await self.pool.loaded
        except Cancelled:
            return
        except Exception as error:
            view.state("error")
            view.say("engine", "")
            view.error("The engine could not start: {}".format(error))
            return
        self.manifest = json.loads(answers[0].manifest)
        self.introduce(answers[0].engine)
        if not self.song:
            view.state("ready")
        js.performance.mark("umx:ready")

    def engine_progress(self, fraction):
        view.say("engine", "Getting the engine ready… {}%".format(int(100 * fraction)))

    def introduce(self, engine):
        view.say("engine", "Ready." if not self.song else "")
        model = self.manifest
        view.say("model", "Model: {}. {} Licence: {}.".format(model["title"], model["credit"], model["licence"]))
        quality = ", ".join(
            "{} {:.1f}".format(NAMES.get(target, target), value)
            for target, value in model["quality"].items()
        )
        view.say(
            "details",
            "Engine: {}, {} workers. Quality: {}. {}".format(
                view.ENGINES[engine], self.pool.size, quality, model["quality_note"]
            ),
        )

    def resized(self, event):
        size = max(1, min(32, int(event.target.value or 1)))
        js.localStorage.setItem("workers", str(size))
        self.pool.size = size
        if not self.running():
            self.pool.restart()
            asyncio.create_task(self.loaded())

    # Songs

    def chosen(self, event):
        if event.target.files.length:
            self.begin(event.target.files.item(0))
            event.target.value = ""  # so that the same file can be chosen again

    def dragged(self, event):
        event.preventDefault()
        view.element("drop").classList.toggle("over", event.type == "dragover")
        if event.type == "drop" and event.dataTransfer.files.length:
            self.begin(event.dataTransfer.files.item(0))

    def running(self):
        return self.task is not None

    def begin(self, file):
        if self.running():
            self.cancel()
        self.task = asyncio.create_task(self.separate(file))

    def leave_song(self):
        """Let go of the last song's files and sound."""
        for thing, release in ((self.downloads, "release"), (self.player, "close")):
            if thing:
                getattr(thing, release)()
        self.song = self.downloads = self.player = None

    async def separate(self, file):
        self.leave_song()
        view.error("")
        view.state("running")
        title = file.name.rsplit(".", 1)[0] or file.name
        view.begin_song(title, 0)
        view.playable(False)
        view.lanes(())
        try:
            view.progress(0, "Decoding…")
            audio = await decode(file)
            self.song = Song(title, audio)
            view.begin_song(title, audio.duration)
            view.progress(0, "Waiting for the engine…")
            await self.pool.loaded
            view.say("engine", "")
            self.open_mixer()
            await self.song.separate(
                self.pool, self.planned, self.progressed, self.piece_finished
            )
            self.finish()
        except Cancelled:
            pass
        except (DecodeError, WorkerError) as error:
            self.fail(str(error))
        except Exception as error:
            self.fail("Something went wrong: {}: {}".format(type(error).__name__, error))
        self.task = None

    def open_mixer(self):
        stems = [NAMES.get(target, target) for target in self.manifest["targets"]]
        self.player = player.Player(self.song, stems, view.transport)
        self.lanes = view.lanes(stems)
        for lane in self.lanes.values():
            for control, event in ((lane.solo, "click"), (lane.mute, "click"), (lane.volume, "input")):
                view.on(control, event, self.mix_changed)
        self.preset("everything")

    def planned(self, batches):
        self.progress = Progress(batches, seconds())

    def progressed(self, batch, fraction):
        self.progress.update(batch, fraction)
        done = self.progress.fraction()
        percent = "{}%".format(int(100 * done))
        view.progress(done, "Separating: {}, {}".format(percent, spoken(self.progress.seconds_left(seconds()))))
        view.tab_title(percent)

    def piece_finished(self, start, samples, waveforms):
        if start == 0:
            js.performance.mark("umx:first-stems")
            view.playable(True)
        length = self.song.audio.length
        for stem, lane in self.lanes.items():
            lane.draw(start / length, (start + samples) / length, waveforms[stem])

    def finish(self):
        self.downloads = Downloads(self.song)
        view.files(self.downloads.links())
        loud = ", ".join(
            "{} of {}".format(count, stem) for stem, count in self.song.loud.items() if count
        )
        view.say("loud", "Louder than 16 bits can hold, so limited to full scale: {} samples.".format(loud))
        view.show("loud", bool(loud))
        view.show("progress-row", False)
        view.show("cancel", False)
        view.tab_title()
        view.state("done")
        js.performance.mark("umx:done")

    def fail(self, text):
        self.leave_song()
        view.show("work", False)
        view.error(text)
        view.tab_title()
        view.state("error")

    def cancel(self):
        """End the work at once. Fresh workers take over behind the page, which is ready again now."""
        if not self.running():
            return
        self.task = None
        self.pool.restart()
        self.leave_song()
        view.show("work", False)
        view.say("engine", "Cancelled. Getting the engine ready again…")
        view.tab_title()
        view.state("ready")
        asyncio.create_task(self.loaded())

    # Listening

    def play_or_pause(self, event):
        if self.player.playing:
            self.player.pause()
        else:
            asyncio.create_task(self.player.play())

    def sought(self, event):
        self.player.seek(float(event.target.value))

    def mix_changed(self, event):
        button = event.target
        if button.tagName == "BUTTON":
            view.pressed(button, not view.is_pressed(button))
        self.apply_mix()

    def apply_mix(self):
        original = self.chosen_preset == "original"
        solos = [stem for stem, lane in self.lanes.items() if view.is_pressed(lane.solo)]
        for stem, lane in self.lanes.items():
            heard = stem in solos if solos else not view.is_pressed(lane.mute)
            self.player.set_gain(stem, float(lane.volume.value) if heard and not original else 0)
        self.player.set_gain(player.ORIGINAL, 1 if original else 0)

    def preset_clicked(self, event):
        if self.player:
            self.preset(event.target.dataset.preset)

    def preset(self, name):
        self.chosen_preset = name
        heard = PRESETS.get(name, tuple(self.lanes))
        for stem, lane in self.lanes.items():
            view.pressed(lane.solo, False)
            view.pressed(lane.mute, stem not in heard)
        for button in js.document.querySelectorAll("[data-preset]"):
            view.pressed(button, button.dataset.preset == name)
        self.apply_mix()

    async def zip(self):
        view.save(*await self.downloads.zip())


page = Page()
page.listen()
await page.load()
