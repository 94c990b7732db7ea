"""One song on the page: its way through the pool, its card, its mixer and its files."""

import asyncio
import gc

import js

from page import view
from page.clock import seconds
from page.files import downloads, sharing, stem_file
from page.files.formats import FORMATS, possible
from page.files.refusals import DecodeError
from page.listen.analysis import tempo
from page.listen.analysis_panel import AnalysisPanel
from page.listen.click import has_beats
from page.listen.mix import presets_with_files, recipe_of
from page.listen.mixer import Mixer
from page.models.model_choice import coming_in_words, is_better, short, waits
from page.promises import RejectedError
from page.settings.options import USUAL
from page.songs.card import Card
from page.songs.chooser import Chooser
from page.songs.life import (
    AGAIN,
    CANCELLED,
    CHOOSING,
    DECODING,
    DONE,
    ENDED,
    FAILED,
    GO_ON,
    LIGHTER,
    RUNNING,
    SILENT,
    WAIT,
    WAITING,
    other_way,
)
from page.songs.progress import Progress, spoken
from page.songs.song import in_order, targets_of, waveforms
from page.songs.song_library import megabytes
from page.text.texts import tr
from page.workers.pool import Cancelled, OutOfMemoryError, WorkerError
from shared.facts import SAMPLE_RATE

NOT_WRITTEN = RejectedError, ValueError, WorkerError
"""Why a file isn't written."""
CLICK = {}, "click", None, 1, 0, 1
"""The click alone, as loud as it is, as `downloads.mixed` takes it."""


def in_words(error):
    if isinstance(error, (DecodeError, WorkerError, ValueError)):
        return str(error)
    return tr("Something went wrong: {}: {}").format(type(error).__name__, error)


def stems_with_files(lanes):
    """The stems that files are written of: each lane, and karaoke where vocals are a lane."""
    return in_order(set(lanes + (["karaoke"] if "vocals" in lanes else [])))


class Job:
    """One song, its card and its mixer."""

    def __init__(self, song, library, models, on_turn, on_play):
        """models: as `Queue` takes it; on_turn: called with the mixer when it begins or stops to play.

        on_play: called before something else of the song is heard.
        """
        self.song, self.library, self.card = song, library, Card(song.title)
        self.models = models
        self.wish = None  # whether the visitor wants it to wait for a better model
        self.waits = False  # whether it does
        self.way = None  # that the card offers, see `life.other_way`
        self.files, self.on_files = [], lambda: None  # called when they are there, or not yet
        self.found_no_memory = False  # whether the last attempt failed for that
        self.origin = None  # the control by which the keyboard has started it
        self.copied = None  # the task that writes the song's own file to the device
        self.before = None  # the job that this one replaces once it is done, with a better model
        # A song of an earlier visit, not opened yet: its waveforms take long to draw.
        self.is_undrawn = song.kept_bytes > 0
        self.mixer = Mixer(
            song, self.card.mixer, on_turn, self.mixer_changed, self.analysis_changed
        )
        self.chooser = Chooser(self.card.excerpt, on_play)
        self.panel = AnalysisPanel(song, self.card.analysis, self.analysis_changed)
        self.card.offer(possible(song.kind))
        self.is_open = self.saved = self.is_made_again = False
        self.tempo_in_files = None  # as `analysis.tempo` gives it
        self.is_writing = False  # whether the files are written again, in another format
        self.is_mixing = False  # whether a file is made that was asked for
        self.writes = 0  # requests to write the files, so that an older one notices that it is over
        self.fraction, self.progress = 0.0, Progress(1)
        # Lanes and links are there from the beginning, so that nothing moves later.
        self.lay_out(self.lanes(None))
        self.to(WAITING, tr("Waiting"))

    def started_by(self, control):
        """Remember the focused control by which it was started, if that was done by keyboard."""
        if control.id in ("file", "demo") and control.matches(":focus-visible"):
            self.origin = control

    def go_to_play(self):
        """Go on from the control that has started it, if the visitor is there still."""
        if self.origin and self.origin.matches(":focus") and self.is_open:
            self.card.mixer.querySelector(".play").focus()
        self.origin = None

    def to(self, state, text, can_retry=True):
        if self.song.state == CHOOSING:
            self.chooser.close()
            if state in ENDED:
                self.song.release()
        self.song.state = state
        self.card.show(state, text, can_retry)
        self.offer_files()

    async def run(self, pool):
        """Decode and separate the song. Whatever goes wrong is told on its card."""
        song, self.fraction, self.saved = self.song, 0.0, False
        js.performance.mark("umx:begin")
        try:
            self.to(DECODING, tr("Decoding…"))
            await song.decode()
            self.card.call(song.title)
            self.card.say_by(song.tags)
            await downloads.prepare(song)
            self.check()
            estimating = view.capital(spoken(None))
            self.to(RUNNING, estimating if pool.has_started else tr("Waiting for the engine…"))
            await pool.ready()
            if not self.library.is_place(song.folder):
                self.discard()  # what an interrupted visit has left
            await self.keep()
            self.check()
            song.lanes = self.lanes(pool.model)
            self.lay_out(song.lanes)
            if self.is_open:
                self.open()
            song.model = self.models.in_use()
            self.begun = seconds()
            song.clear()
            await self.preview(pool)
            self.check()
            begun = seconds()
            await song.separate(pool, self.planned, self.progressed, self.piece_finished)
            self.mixer.say_kind()  # there is no preview any longer
            # Segments reach beyond an excerpt, so its time says too little of a whole song's.
            if not song.excerpt:
                self.models.learn(song, seconds() - begun)
            # `finish` removes the song's own file, which must not be written any longer then.
            await self.copied
            await self.library.finish(song, pool)
            self.mixer_changed()
            await self.finish()
        except Exception as error:
            if song.state not in (WAITING, CHOOSING):  # else cancelled, and to be done again
                self.clear()
                if isinstance(error, Cancelled):
                    self.to(CANCELLED, tr("Cancelled"))
                elif song.state != CANCELLED:
                    # What can't be decoded won't be another time.
                    self.fail(in_words(error), not isinstance(error, DecodeError))
                    self.found_no_memory = isinstance(error, OutOfMemoryError)
                    self.offer_way()
        if not self.is_open and song.state != CHOOSING:
            song.release()
        # Python doesn't know how much browser memory its proxies hold, so it would collect late.
        gc.collect()

    async def choose(self, by_key):
        """Show what an excerpt is chosen by. by_key: whether that is done by keyboard, which then goes on there."""
        song = self.song
        try:
            await song.decode()
        except Exception as error:
            if song.state == CHOOSING:
                self.fail(in_words(error), not isinstance(error, DecodeError))
            return
        if song.state in ENDED:  # cancelled meanwhile
            song.release()
        if song.state != CHOOSING:
            return
        self.card.call(song.title)
        self.card.say_by(song.tags)
        self.card.show_text(tr("Which part? Drag over the waveform, or type."))
        view.announce(self.card.text)
        self.chooser.open(song.audio, song.excerpt)
        if by_key and self.card.title.matches(":focus"):
            self.chooser.focus()

    def take_excerpt(self):
        """Have what was chosen separated."""
        self.song.choose(self.chooser.excerpt.chosen())
        self.card.call(self.song.title)
        self.library.keep_excerpt(self.song)

    def is_heard(self):
        player = self.mixer.player
        return bool(player and player.head.playing)

    async def keep(self):
        """Give the song a folder, and its own file there, for the next visit to offer it if this one ends."""
        song = self.song
        if song.folder:
            return
        folder = await self.library.begin()
        if song.folder or song.state in ENDED:  # asked for twice, or cancelled meanwhile
            if folder:
                asyncio.create_task(self.library.remove(folder))
            return
        song.folder = folder
        self.library.keep_excerpt(song)
        self.copied = asyncio.create_task(self.library.keep_own_file(song))

    async def preview(self, pool):
        """Have the stems of a small model heard first, where the better ones take long."""
        address, reach = self.models.preview(self.song)
        if reach:
            self.card.progress(0, tr("Making a preview…"))
            samples = min(self.song.length, int(reach * SAMPLE_RATE))
            await self.song.preview(pool, view.address(address), samples, self.preview_finished)

    def may_go(self):
        """Whether it needn't wait for a better model any longer."""
        awaited = self.models.awaited()
        return not (awaited and waits(self.wish, awaited[1], awaited[2]))

    def say_wait(self):
        """Say what a waiting song waits for, and offer the other way."""
        self.waits = not self.may_go()
        model, left, _ = self.models.awaited() or (None, None, 0)
        text = tr("Waiting")
        if model and self.waits:
            # The fraction is shown elsewhere; a phone has two lines for this.
            coming = coming_in_words(model.size if left is None else 0, left)
            text = tr("Waiting for {} ({})").format(short(model.title), coming)
        self.card.show_text(text)
        self.offer_way()

    def offer_way(self):
        """Offer another way to separate the song, if there is one, see `life.other_way`."""
        song, models = self.song, self.models
        coming = (models.awaited() or (None,))[0]
        lighter = models.lighter() if self.found_no_memory else None
        can_be_better = (
            song.source
            and song.model
            and not self.is_made_again
            and is_better(models.in_use(), song.model)
        )
        self.way = other_way(
            song.state, bool(coming), self.waits, bool(can_be_better), bool(lighter)
        )
        if self.way == GO_ON:
            self.card.offer_way(tr("Don't wait"), tr("Don't wait: {}"))
        elif self.way == WAIT:
            label = tr("Wait for {}").format(short(coming.title))
            self.card.offer_way(label, label + ": {}")
        elif self.way == AGAIN:
            self.card.offer_way(tr("Again, better"), tr("Again, better: {}"))
        elif self.way == LIGHTER:
            label = tr("Again with {}").format(short(lighter.title))
            self.card.offer_way(label, label + ": {}")
        else:
            self.card.offer_way()

    def check(self):
        """Raise Cancelled if the song was cancelled meanwhile, even if it waits again by now."""
        if self.song.state in (CANCELLED, CHOOSING, WAITING):
            raise Cancelled()

    def lanes(self, model):
        """The stems that add up to the song; without a model (None), those of the usual models."""
        targets = targets_of(model) if model else list(USUAL)
        chosen = [target for target in targets if target in self.song.targets]
        if len(chosen) in (0, len(targets)):
            return targets
        return chosen + ["karaoke" if chosen == ["vocals"] else "rest"]

    def lay_out(self, lanes):
        """Show these lanes; keep the chosen preset if it still applies. Show links to the files that will come."""
        self.mixer.show(lanes)
        self.card.expect(stems_with_files(lanes), self.parts(lanes))
        asyncio.create_task(self.offer_stem_file())

    async def offer_stem_file(self):
        can = await stem_file.can_be_written()
        lanes = getattr(self.song, "lanes", None) or self.lanes(None)
        self.card.stem_file.hidden = not (can and sorted(lanes) == sorted(stem_file.STEMS))

    def parts(self, lanes):
        """What has a file beside the stems, made when it is asked for."""
        return presets_with_files(lanes) + (["click"] if has_beats(self.song.analysis) else [])

    def planned(self, batches):
        self.progress = Progress(batches)
        asyncio.create_task(self.count_down())

    async def count_down(self):
        """Update the time left once a second, also between the workers' reports."""
        progress = self.progress
        while self.song.state == RUNNING and self.progress is progress:
            self.tell_progress()
            await asyncio.sleep(1)

    def progressed(self, batch, fraction):
        self.progress.update(batch, fraction, seconds())
        self.tell_progress()

    def tell_progress(self):
        before, self.fraction = self.fraction, self.progress.fraction()
        left = spoken(self.progress.seconds_left(seconds()))
        if downloads.needs_library(self.song):
            left = tr("{}, then the files are written").format(left)
        percent = int(100 * self.fraction)
        text = tr("{}%, {}").format(percent, left) if percent else view.capital(left)
        self.card.progress(self.fraction, text)
        view.tab_title("{}%".format(percent) if percent else "")
        if int(4 * before) < int(4 * self.fraction) < 4:
            view.announce(tr("{}: {}%, {}").format(self.song.title, percent, left))

    def piece_finished(self, start, samples, waveforms):
        if start == 0:
            js.performance.mark("umx:first-stems")
        self.mixer.draw(start, samples, waveforms)

    def preview_finished(self, start, samples, waveforms):
        if start == 0:
            js.performance.mark("umx:preview")
        self.mixer.draw(start, samples, waveforms, True)

    async def finish(self):
        song, note = self.song, ""
        if song.folder and not song.kept_bytes:
            note = tr(". There is no room to keep it on this device: download it before you leave")
        try:
            await self.offer(self.writing)
        except RejectedError as error:
            # After all that work, another format is better than no file.
            note += tr("; the files could not be written as chosen ({}), so they are WAV").format(
                error
            )
            song.make_wav()
            await self.offer(self.writing)
        spent = seconds() - self.begun
        speed = song.length / SAMPLE_RATE / max(spent, 0.001)
        self.card.say_speed(spent, speed)
        text = tr("Ready") + tr(", made with {}").format(short(song.model.title))
        self.to(DONE, text + note)
        self.go_to_play()
        view.announce(tr("{} is done.").format(song.title))
        js.performance.mark("umx:done")

    async def offer(self, on_progress):
        """Write the files and link them. on_progress: gets the fraction written, and may raise Cancelled."""
        self.tempo_in_files = tempo(self.song.analysis)
        written = await downloads.stem_files(self.song, on_progress)
        on_progress(1)  # the last moment to call it off
        self.saved = self.song.kept_bytes > 0
        self.files, self.form = written, self.song.format
        self.link_files()

    def link_files(self):
        """Have the card give the files that are written."""
        self.card.clear()
        parts = self.parts(self.song.lanes)
        if self.song.stems() != in_order(self.card.links) or len(parts) != len(self.card.parts):
            # The model has other targets than the usual ones, or the song's beats are known by now.
            self.card.expect(self.song.stems(), parts)
        for stem, name, blob in self.files:
            self.card.link(stem, name, blob)
        self.card.format.value = self.form
        self.say_loud()

    async def write_tempo(self):
        """Write the files again with a tempo that has become known, where that takes no encoding."""
        song, writes = self.song, self.writes
        if song.state != DONE or self.is_writing or downloads.needs_library(song):
            return
        self.is_writing = True
        try:
            while tempo(song.analysis) != self.tempo_in_files:
                await self.offer(lambda fraction: self.check_writes(writes))
        except Cancelled:
            return  # they are written in another format, or gone
        except NOT_WRITTEN as error:
            self.could_not_write(error)
        self.is_writing = False
        self.offer_files()

    async def restore(self):
        """Show a song that was finished on an earlier visit. Its files are WAV, the fastest to write."""
        self.saved = True
        self.panel.restore(self.library.analysis_of(self.song))
        self.card.say_by(self.song.tags)
        self.song.write_as(self.song.kind)
        text = tr("Kept on this device, {}").format(megabytes(self.song.kept_bytes))
        if self.song.model:
            text += tr(", made with {}").format(short(self.song.model.title))
        self.is_writing = True
        self.to(DONE, text)
        try:
            try:
                await self.offer(lambda fraction: None)
            except RejectedError:  # another sample rate needs the media library
                self.song.make_wav()
                await self.offer(lambda fraction: None)
        except ValueError as error:  # longer than a WAV file can be; other formats are in the menu
            self.could_not_write(error)
        self.is_writing = False
        self.offer_files()

    async def write_as(self, form):
        """Write the files of a finished song again, in another format of its menu; meanwhile there are none."""
        self.writes += 1
        writes, self.is_writing = self.writes, True
        self.card.clear()
        self.offer_files()

        def writing(fraction):
            self.check_writes(writes)
            self.writing(fraction)

        self.song.write_as(form)
        try:
            await downloads.prepare(self.song)
            await self.offer(writing)
            self.card.rest()
            view.announce(tr("{} is done.").format(self.song.title))
        except Cancelled:
            pass
        except (RejectedError, ValueError) as error:
            if writes == self.writes:
                self.song.write_as(self.form)
                self.link_files()
                self.could_not_write(error)
        if writes == self.writes:
            self.is_writing = False
            self.offer_files()
            await self.write_tempo()  # if it has become known meanwhile

    def check_writes(self, writes):
        """Raise Cancelled if the files were asked for otherwise since, or are gone. writes: their number before."""
        if writes != self.writes:
            raise Cancelled()

    def could_not_write(self, error):
        self.say(tr("The files could not be written as chosen: {}").format(error))

    def say(self, text):
        """Show a text in place of the state's, and have screen readers say it."""
        view.say(self.card.status, text)
        view.announce(text)

    def mixer_changed(self):
        """Follow what the visitor has set, and keep it with a song that is kept."""
        self.offer_files()
        if self.song.kept_bytes and not self.is_undrawn:
            self.library.keep_settings(self.song, self.mixer.facts())

    def analysis_changed(self):
        """Follow and keep what was found of the song's music, or corrected by the visitor."""
        if self.song.kept_bytes:
            self.library.keep_analysis(self.song)
        self.panel.show()
        self.mixer.follow_beats()
        if self.files and len(self.parts(self.song.lanes)) != len(self.card.parts):
            self.link_files()
            self.offer_files()
        asyncio.create_task(self.write_tempo())

    def offer_files(self):
        """Enable what saves files, once they are written: what is heard, unless that is nothing, or the original.

        The analysis needs the stems alone.
        """
        is_done, mix = self.song.state == DONE, self.mixer.mix
        is_ready = is_done and not self.is_writing
        self.panel.offer(is_done)
        self.card.offer_files(is_ready, self.is_mixing, bool(mix.recipe()), bool(mix.loop))
        self.on_files()

    def say_loud(self, mix=(), samples=0):
        """Say what was limited to full scale: of the files, and of the mix of some stems."""
        loud = [(count, (stem,)) for stem, count in sorted(self.song.loud.items())]
        loud.append((samples, in_order(mix)))
        if FORMATS[self.song.format].kind == "float":
            loud = []
        self.card.say_loud([some for some in loud if some[0]])

    def writing(self, fraction, ending=""):
        """Tell how far a file is. ending: its, if it isn't of the song's format. Raises Cancelled."""
        self.check()
        if not fraction:
            self.progress = Progress(1)  # a new object also ends the count-down before
        self.progress.update(0, fraction, seconds())
        left = spoken(self.progress.seconds_left(seconds()))
        ending = ending or FORMATS[self.song.format].ending.upper()
        text = tr("Preparing {}… {}").format(ending, left)
        self.card.progress(fraction, text)

    def fail(self, text, can_retry=True):
        self.to(FAILED, text, can_retry)
        view.announce(text)

    def open(self):
        """Show the mixer, unless there will be nothing to hear."""
        self.is_open = True
        self.card.open(self.song.state not in SILENT)
        if self.is_undrawn:
            self.mixer.show(self.song.lanes)
            self.mixer.restore(self.library.settings_of(self.song))
            self.is_undrawn = False
            for (start, samples, _), record in zip(self.song.pieces, self.song.records):
                self.mixer.draw(start, samples, waveforms(record))
        if self.song.state == DONE and self.song.source and not self.song.audio:
            asyncio.create_task(self.decode_again())

    async def decode_again(self):
        """Decode the song for playing the original beside the stems."""
        try:
            await self.song.decode()
        except Exception as error:
            self.say(in_words(error))
        if not self.is_open:
            self.song.release()

    def close(self):
        self.is_open = False
        self.card.open(False)
        self.mixer.close()
        if self.song.state in ENDED:
            self.song.release()

    def clear(self):
        """Let go of sound and files, also on the device."""
        self.forget()
        self.discard()

    def forget(self):
        """Let go of stems and files in memory."""
        self.close()
        self.panel.cancel()
        self.song.clear()
        self.panel.show()
        self.card.clear()
        self.files, self.is_writing = [], False
        self.writes += 1  # an unfinished write notices and stops
        gc.collect()

    def discard(self):
        """Remove the song from the device."""
        if self.song.folder:
            asyncio.create_task(self.library.remove(self.song.folder))
        self.song.folder, self.song.kept_bytes = "", 0

    async def put_away(self):
        """Remove the song from the device, but for a file that is there alone: that comes into memory, for a retry."""
        find, folder = self.song.find, self.song.folder
        self.song.folder, self.song.kept_bytes = "", 0
        if folder and find:
            try:  # noqa: SIM105 (MicroPython has no contextlib)
                await find()
            except DecodeError:
                pass  # it is gone already
        if folder:
            await self.library.remove(folder)

    def clicked(self, event):
        """Handle a click in the list of files: a link to a file counts as saved."""
        self.saved = self.saved or bool(event.target.closest("a[href]"))

    async def with_click(self, pool):
        """The files of the stems, and that of the click if it is heard. Raises as `downloads.mixed` does."""
        if not self.mixer.click_heard():
            return self.files
        name, blob, _ = await self.write_part(pool, *CLICK)
        self.card.rest()
        return self.files + [("click", name, blob)]

    async def save_zip(self, pool):
        try:
            blob = await downloads.zipped(await self.with_click(pool))
        except NOT_WRITTEN as error:
            self.say(tr("The file could not be written: {}").format(error))
        else:
            self.saved = True
            self.card.save(downloads.file_name(downloads.title_of(self.song), "stems.zip"), blob)

    async def save_to_folder(self, pool):
        """Write the files into a folder that the visitor picks."""
        try:
            if not await downloads.into_folder(lambda: self.with_click(pool)):
                return
            self.saved, text = True, tr("The files are in the folder")
        except NOT_WRITTEN as error:
            text = tr("The files could not be written there: {}").format(error)
        self.say(text)

    async def share(self):
        """Hand the files to another program."""
        try:
            self.saved = await sharing.shared(self.files) or self.saved
        except RejectedError as error:
            self.say(tr("The files could not be shared: {}").format(error))

    async def save_mix(self, pool, loop=None):
        """Save what is heard now as a file, as fast and in the key. loop: as Mix has it, to save that part alone."""
        mix, tuning = self.mixer.mix, self.mixer.chosen_tuning()
        name = mix.file_part(loop, *tuning)
        await self.save_part(pool, mix.recipe(), name, loop, *tuning, self.mixer.click_heard())

    async def save_preset(self, pool, preset):
        """Save a preset of the stems as they are."""
        if preset == "click":
            await self.save_part(pool, *CLICK)
        elif preset:
            await self.save_part(pool, recipe_of(preset, self.mixer.mix.stems), preset)

    async def save_part(self, pool, recipe, *part):
        """Save the sum of some stems as a file. recipe, part: as `downloads.mixed` takes them."""
        await self.save(recipe, lambda: self.write_part(pool, recipe, *part))

    async def save_stem_file(self, pool):
        await self.save(stem_file.STEMS, lambda: self.write_stem_file(pool))

    async def save(self, stems, write):
        """Save a file with some stems, one at a time. write: async, gives what `downloads.mixed` does."""
        if self.is_mixing:
            return
        self.is_mixing = True
        self.offer_files()
        try:
            name, blob, loud = await write()
        except NOT_WRITTEN as error:
            self.say(tr("The file could not be written: {}").format(error))
        except Cancelled:
            pass  # the song was removed
        else:
            self.saved = True
            self.card.save(name, blob)
            self.card.rest()
            self.say_loud(stems, loud)
        finally:
            self.is_mixing = False
            self.offer_files()

    async def write_part(self, pool, recipe, name, *part):
        self.writing(0)
        return await downloads.mixed(self.song, pool, recipe, name, self.writing, *part)

    async def write_stem_file(self, pool):
        ending = stem_file.FORM.ending
        self.writing(0, ending)
        return await stem_file.written(self.song, pool, lambda done: self.writing(done, ending))
