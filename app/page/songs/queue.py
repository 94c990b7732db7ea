"""Songs that were dropped, one after the other through the pool, each with a card of its own."""

import asyncio
import gc

import downloads
import js
import view
from card import Card
from clock import seconds
from decode import DecodeError
from formats import FORMATS, possible
from kept import megabytes
from media_keys import MediaKeys
from mixer import Mixer
from model_choice import coming_in_words, is_better, short, waits
from options import TARGETS
from pool import Cancelled, WorkerError
from progress import Progress, spoken
from promises import RejectedError
from song import (
    CANCELLED,
    DECODING,
    DONE,
    ENDED,
    FAILED,
    NAMES,
    RUNNING,
    WAITING,
    Song,
    in_order,
    waveforms,
)
from texts import tr
from wav import SAMPLE_RATE


def in_words(error):
    if isinstance(error, (DecodeError, WorkerError, ValueError)):
        return str(error)
    return tr("Something went wrong: {}: {}").format(type(error).__name__, error)


def files(lanes):
    """The stems that there will be files of: what is heard, and all that isn't the voice as one."""
    return in_order(set(lanes + (["karaoke"] if "vocals" in lanes else [])))


class Job:
    """One song, its card and its mixer."""

    def __init__(self, song, kept, models, on_turn):
        """models: as `Queue` takes it; on_turn: called with the mixer when it begins or stops to play."""
        self.song, self.kept, self.card = song, kept, Card(song.title)
        self.models = models
        self.wish = None  # whether the visitor wants it to wait for a better model
        self.waits = False  # whether it does
        self.before = None  # the job whose song this is to make again, better
        self.mixer = Mixer(song, self.card.mixer, on_turn)
        self.card.offer(possible(song.kind))
        self.is_open = self.saved = self.is_made_again = False
        self.writes = 0  # how often its files were to be written anew
        self.is_undrawn = False  # of an earlier visit, not opened yet: many waveforms take long
        self.fraction, self.progress = 0.0, Progress(1)
        # From the beginning, so that nothing moves later.
        self.lay_out(self.lanes(None))
        self.to(WAITING, tr("Waiting"))

    def to(self, state, text):
        self.song.state = state
        self.card.show(state, text)
        self.offer_mix()

    async def run(self, pool):
        """Decode and separate the song. Whatever goes wrong is told on its card."""
        song, self.fraction, self.saved = self.song, 0.0, False
        js.performance.mark("umx:begin")
        try:
            self.to(DECODING, tr("Decoding…"))
            await song.decode()
            self.card.say_by(song.tags)
            await downloads.prepare(song)
            self.check()
            self.to(RUNNING, tr("Waiting for the engine…"))
            await pool.ready()
            song.folder = await self.kept.begin()
            self.check()
            song.lanes = self.lanes(pool.model)
            self.lay_out(song.lanes)
            if self.is_open:
                self.open()
            song.model = self.models.in_use()
            self.begun = seconds()
            await song.separate(pool, self.planned, self.progressed, self.piece_finished)
            self.models.learn(song, seconds() - self.begun)
            await self.kept.finish(song, pool)
            await self.finish()
        except Exception as error:
            if song.state == WAITING:
                self.discard()  # cancelled, and to be done again
            else:
                self.clear()
                if isinstance(error, Cancelled):
                    self.to(CANCELLED, tr("Cancelled"))
                elif song.state != CANCELLED:
                    self.fail(in_words(error))
        if not self.is_open:
            song.release()
        # Python knows nothing of the size of what it holds in the browser's memory, and would take its time.
        gc.collect()

    def may_go(self):
        """Whether it needn't wait for a better model any longer."""
        awaited = self.models.awaited()
        return not (awaited and waits(self.wish, awaited[1], awaited[2]))

    def say_wait(self):
        """What a song that waits, waits for; and offer the other way."""
        self.waits = not self.may_go()
        model, left, _ = self.models.awaited() or (None, None, 0)
        text = tr("Waiting")
        if model and self.waits:
            # How much there is of it is said elsewhere: two lines of a phone are enough.
            coming = coming_in_words(model.size if left is None else 0, left)
            text = tr("Waiting for {} ({})").format(short(model.title), coming)
            self.card.offer_way(tr("Don't wait"), tr("Don't wait: {}"))
        elif model:
            label = tr("Wait for {}").format(short(model.title))
            self.card.offer_way(label, label + ": {}")
        else:
            self.card.offer_way()
        self.card.show_text(text)

    def offer_again(self, model):
        """Offer to make a song that is done again with a model that is better than its own."""
        song = self.song
        can = song.state == DONE and song.source and song.model and is_better(model, song.model)
        if can and not self.is_made_again:
            self.card.offer_way(tr("Again, better"), tr("Again, better: {}"))
        elif song.state != WAITING:
            self.card.offer_way()

    def check(self):
        """Raise Cancelled if it was cancelled meanwhile, even if it waits again by now."""
        if self.song.state in (CANCELLED, WAITING):
            raise Cancelled()

    def lanes(self, model):
        """The stems that add up to the song; without a model, as the usual ones give them."""
        names = js.Object.keys(model.targets) if model else TARGETS
        targets = in_order([NAMES.get(name, name) for name in names])
        chosen = [target for target in targets if target in self.song.targets]
        if len(chosen) in (0, len(targets)):
            return targets
        return chosen + ["karaoke" if chosen == ["vocals"] else "rest"]

    def lay_out(self, lanes):
        """Show these lanes, and links to the files that there will be."""
        self.mixer.show(lanes)
        self.card.expect(files(lanes))

    def planned(self, batches):
        self.progress = Progress(batches)
        asyncio.create_task(self.count_down())

    async def count_down(self):
        """Between what the workers report, the time left goes by too."""
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
        self.card.progress(self.fraction, tr("{}%, {}").format(percent, left))
        view.tab_title("{}%".format(percent))
        if int(4 * before) < int(4 * self.fraction) < 4:
            view.announce(tr("{}: {}%, {}").format(self.song.title, percent, left))

    def piece_finished(self, start, samples, waveforms):
        if start == 0:
            js.performance.mark("umx:first-stems")
        self.mixer.draw(start, samples, waveforms)

    async def finish(self):
        song, note = self.song, ""
        if song.folder and not song.kept:
            note = tr(". There is no room to keep it on this device: download it before you leave")
        try:
            await self.offer(self.writing)
        except RejectedError as error:
            # Rather another kind of file than none after all that work.
            note += tr("; the files could not be written as chosen ({}), so they are WAV").format(
                error
            )
            song.make_wav()
            await self.offer(self.writing)
        spent = seconds() - self.begun
        speed = song.length / SAMPLE_RATE / max(spent, 0.001)
        text = tr("Done in {:.0f} s, {:.1f} × real time, with {}")
        self.to(DONE, text.format(spent, speed, short(song.model.title)) + note)
        view.announce(tr("{} is done.").format(song.title))
        js.performance.mark("umx:done")

    async def offer(self, on_progress):
        """Lay out the files, to be downloaded."""
        written = await downloads.stem_files(self.song, on_progress)
        on_progress(1)  # the last moment to call it off
        self.saved = self.song.kept > 0
        self.card.clear()
        if self.song.stems() != in_order(self.card.links):
            self.card.expect(self.song.stems())  # of a model with other targets
        self.files, self.form = written, self.song.format
        for stem, name, blob in written:
            self.card.link(stem, name, blob)
        self.card.format.value = self.song.format
        self.say_loud()

    async def restore(self):
        """Show a song that was finished on an earlier visit. Its files are WAV, which need the least time to write."""
        self.is_undrawn = self.saved = True
        self.card.say_by(self.song.tags)
        self.song.write_as(self.song.kind)
        text = tr("Kept on this device, {}").format(megabytes(self.song.kept))
        if self.song.model:
            text += tr(", made with {}").format(short(self.song.model.title))
        self.to(DONE, text)
        try:
            try:
                await self.offer(lambda fraction: None)
            except RejectedError:  # at another sample rate they need the library
                self.song.make_wav()
                await self.offer(lambda fraction: None)
        except ValueError as error:  # longer than WAV files can be: there are other formats
            self.could_not_write(error)

    async def write_as(self, form):
        """Write the files of a finished song again, in another format of its menu."""
        self.writes += 1
        writes = self.writes

        def writing(fraction):
            if writes != self.writes:
                raise Cancelled()
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
                self.card.format.value = self.form
                self.could_not_write(error)

    def could_not_write(self, error):
        self.say(tr("The files could not be written as chosen: {}").format(error))

    def say(self, text):
        """In place of what goes with the song's state, and aloud."""
        view.say(self.card.status, text)
        view.announce(text)

    def offer_mix(self):
        """What is heard can be had as a file, unless that is nothing, or the original."""
        self.card.mix.disabled = self.song.state != DONE or not self.mixer.mix.recipe()

    def say_loud(self, mix=(), samples=0):
        """Say what was limited to full scale: of the files, and of the mix of some stems."""
        loud = [(count, (stem,)) for stem, count in sorted(self.song.loud.items())]
        loud.append((samples, in_order(mix)))
        if FORMATS[self.song.format].kind == "float":
            loud = []
        self.card.say_loud([some for some in loud if some[0]])

    def writing(self, fraction):
        self.check()
        if not fraction:
            self.progress = Progress(1)  # which also ends the count-down of what was before
        self.progress.update(0, fraction, seconds())
        left = spoken(self.progress.seconds_left(seconds()))
        text = tr("Writing the files… {}%, {}").format(int(100 * fraction), left)
        self.card.progress(fraction, text)

    def fail(self, text):
        self.to(FAILED, text)
        view.announce(text)

    def open(self):
        """Show the mixer, unless there will be nothing to hear."""
        self.is_open = True
        self.card.open(self.song.state not in (FAILED, CANCELLED))
        if self.is_undrawn:
            self.is_undrawn = False
            self.mixer.show(self.song.lanes)
            for (start, samples, _), record in zip(self.song.pieces, self.song.records):
                self.mixer.draw(start, samples, waveforms(record))
        if self.song.state == DONE and self.song.source and not self.song.audio:
            asyncio.create_task(self.decode_again())

    async def decode_again(self):
        """For the original beside the stems."""
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
        """Let go of sound and files."""
        self.close()
        self.song.clear()
        self.card.clear()
        self.files = []
        self.writes += 1  # so that what is at it stops
        self.discard()
        gc.collect()

    def discard(self):
        """Have nothing of it on the device."""
        if self.song.folder:
            asyncio.create_task(self.kept.remove(self.song.folder))
        self.song.folder, self.song.kept = "", 0

    def clicked(self, event):
        """Somewhere in the list of files; not beside them."""
        self.saved = self.saved or bool(event.target.closest("a[href]"))

    async def save_zip(self):
        try:
            blob = await downloads.zipped(self.files)
        except RejectedError as error:
            self.say(tr("The file could not be written: {}").format(error))
        else:
            self.saved = True
            self.card.save(downloads.file_name(self.song.title, "stems.zip"), blob)

    async def save_to_folder(self):
        """Write the files into a folder that the visitor picks."""
        try:
            if not await downloads.into_folder(self.files):
                return
            self.saved, text = True, tr("The files are in the folder")
        except RejectedError as error:
            text = tr("The files could not be written there: {}").format(error)
        self.say(text)

    async def save_mix(self, pool):
        """What is heard now as a file."""
        mix = self.mixer.mix.recipe()
        try:
            name, blob, loud = await downloads.mixed(self.song, pool, mix, self.writing)
        except (RejectedError, ValueError, WorkerError) as error:
            self.say(tr("The file could not be written: {}").format(error))
        else:
            self.saved = True
            self.card.save(name, blob)
            self.card.rest()
            self.say_loud(mix, loud)


class Queue:
    """Runs one job at a time, in the order in which they came."""

    def __init__(self, pool, kept, models, on_change):
        """models: which model songs are separated with, and which they may wait for, a `Menu`.

        on_change is called after a job's state has changed.
        """
        self.pool, self.kept, self.models, self.on_change = pool, kept, models, on_change
        self.on_turn = MediaKeys(self).turned
        self.jobs = []
        self.last = None  # the job that ended last
        self.working = False
        self.folded = False  # whether the visitor has closed the open one, and wants to see none

    def add(self, song):
        job = self.job(song)
        self.insert(job)
        if not self.working and not self.listening():
            self.open(job)
        self.start()
        return job

    async def restore(self, song):
        """Add one that is done since an earlier visit. Until its files are there, nothing can be done about it."""
        job = self.job(song)
        await job.restore()
        self.insert(job)

    def job(self, song):
        return Job(song, self.kept, self.models, self.on_turn)

    def insert(self, job):
        """Let all be done about a job that can be."""
        self.jobs.append(job)
        card = job.card
        view.on_click(card.title, lambda: self.fold(job))
        for event in ("click", "input"):  # of any of its controls
            view.on(card.mixer, event, lambda event: job.offer_mix())
        view.on_click(card.cancel, lambda: self.cancel(job))
        view.on_click(card.retry, lambda: self.retry(job))
        view.on_click(card.earlier, lambda: self.earlier(job))
        view.on_click(card.way, lambda: self.other_way(job))
        view.on_click(card.remove, lambda: self.remove(job))
        view.on_click(card.zip, lambda: asyncio.create_task(job.save_zip()))
        view.on_click(card.folder, lambda: asyncio.create_task(job.save_to_folder()))
        view.on_click(card.mix, lambda: asyncio.create_task(job.save_mix(self.pool)))
        view.on(card.files, "click", job.clicked)
        view.on(
            card.format,
            "change",
            lambda event: asyncio.create_task(job.write_as(event.target.value)),
        )

    def start(self):
        self.on_change()
        for job in self.in_state(WAITING):
            job.say_wait()
        if not self.working and self.next():
            self.working = True
            asyncio.create_task(self.work())

    async def work(self):
        try:
            while True:
                job = self.next()
                if not job:
                    break
                await self.work_at(job)
        finally:
            self.working = False

    async def work_at(self, job):
        try:
            if not self.opened() and not self.folded:
                self.open(job)
            await job.run(self.pool)
            if job in self.jobs:
                self.last = job
            self.replace(job)
            self.pool.renew()
            self.on_change()
        except Exception as error:
            # Whatever it was: the songs behind this one still have their turn.
            if job.song.state in ENDED:
                view.error(in_words(error))
            else:
                job.fail(in_words(error))

    def next(self):
        """The first job that waits for nothing but its turn, or None."""
        return next(iter([job for job in self.in_state(WAITING) if job.may_go()]), None)

    def in_state(self, *states):
        return [job for job in self.jobs if job.song.state in states]

    def fold(self, job):
        """Open it, or close it if it is open; one that has failed has nothing to show."""
        if job.song.state not in (FAILED, CANCELLED):
            self.open(None if job.is_open else job)

    def opened(self):
        """The job whose mixer the visitor sees, or None."""
        for job in self.jobs:
            if job.is_open and job.song.state not in (FAILED, CANCELLED):
                return job
        return None

    def mixer(self):
        """That of the open job, if there is something to hear, else None."""
        job = self.opened()
        return job.mixer if job and job.mixer.is_ready() else None

    def listening(self):
        """Whether the visitor hears something, which a new song is not to interrupt."""
        mixer = self.mixer()
        return bool(mixer and mixer.player and mixer.player.playing)

    def unsaved(self):
        """Whether work would be lost with the page."""
        lost = [job for job in self.in_state(DONE) if not job.saved]
        return bool(lost or self.in_state(WAITING, DECODING, RUNNING))

    def open(self, job):
        """Open this one alone; None closes all."""
        for other in self.jobs:
            if other.is_open and other is not job:
                other.close()
        self.folded = not job
        if job:
            job.open()

    def cancel(self, job):
        """End the work on it at once; fresh workers take over."""
        running = job.song.state == RUNNING
        job.clear()
        job.to(CANCELLED, tr("Cancelled"))
        self.last = job
        if running and self.pool.model:
            self.pool.start()
        view.announce(tr("{} is cancelled.").format(job.song.title))
        self.on_change()

    def retry(self, job):
        job.to(WAITING, tr("Waiting"))
        self.start()

    def other_way(self, job):
        """One that waits for a better model goes at once, or the other way round; one that is done is made again."""
        if job.song.state == WAITING:
            job.wish = not job.waits
            self.start()
        elif job.song.state == DONE:
            self.again(job)

    def again(self, job):
        """Separate a song with a better model than before; its stems stay until the new ones are there."""
        job.is_made_again = True
        song = job.song
        new = self.job(Song(song.title, song.source, song.targets, song.format))
        new.before = job
        self.insert(new)
        job.card.node.before(new.card.node)
        view.focus(new.card.title)
        self.start()

    def replace(self, job):
        """Once a song that was to be made again has ended: remove the one before, unless something would be lost."""
        old = job.before
        if not old or old not in self.jobs:
            return
        old.is_made_again = False
        is_heard = old.mixer.player and old.mixer.player.playing
        if job.song.state == DONE and not is_heard and (job.song.kept or not old.song.kept):
            job.before, was_open = None, old.is_open
            if old.card.node.contains(js.document.activeElement):
                view.focus(job.card.title)
            self.remove(old)
            if was_open:
                self.open(job)

    def offer_again(self, model):
        for job in self.jobs:
            job.offer_again(model)

    def earlier(self, job):
        """Let it change places with the one that waits before it."""
        waiting = self.in_state(WAITING)
        place = waiting.index(job)
        if place:
            before = waiting[place - 1]
            one, other = self.jobs.index(before), self.jobs.index(job)
            self.jobs[one], self.jobs[other] = job, before
            before.card.node.before(job.card.node)
            (job.card.earlier if place > 1 else job.card.title).focus()
            view.announce(tr("{} comes before {}.").format(job.song.title, before.song.title))

    def gone(self, folder):
        """Another page has removed a song: so does this one, unless it is at work on it."""
        for job in self.in_state(DONE):
            if job.song.folder == folder:
                job.song.folder = ""
                self.remove(job)

    def remove(self, job):
        job.clear()
        view.discard(job.card.node)
        self.jobs.remove(job)
        if self.last is job:
            self.last = None
        self.on_change()
