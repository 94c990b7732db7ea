"""The songs of the page, separated one after the other by the pool."""

import asyncio

import js

from page import view
from page.listen.media_keys import MediaKeys
from page.songs.all_songs import AllSongs
from page.songs.job import Job, in_words
from page.songs.life import (
    AGAIN,
    CANCELLED,
    CHOOSING,
    DONE,
    ENDED,
    GO_ON,
    LIGHTER,
    RUNNING,
    SILENT,
    WAIT,
    WAITING,
)
from page.songs.order import Order, may_replace
from page.songs.song import Song
from page.songs.undo import Undo
from page.text.texts import tr


class Queue(Order):
    """Runs one job at a time, in the order of the list, and has the list on the page follow."""

    def __init__(self, pool, library, models, on_change):
        """models: which model songs are separated with, and which they may wait for, a `Menu`.

        on_change is called after a job's state has changed.
        """
        super().__init__()
        self.pool, self.library, self.models, self.on_change = pool, library, models, on_change
        self.media_keys = MediaKeys(self)
        self.undo, self.all = Undo(self.focus), AllSongs(self)
        self.working = False
        self.folded = False  # whether the visitor has closed the open job, and wants none opened

    def add(self, song):
        job, is_alone = self.job(song), not self.has_work()
        self.insert(job, self.place())
        if is_alone and not self.listening():
            self.open(job)
        asyncio.create_task(job.keep())
        self.start()
        return job

    async def restore(self, song):
        """Add a song that was finished on an earlier visit. Its controls work once its files are written."""
        job = self.job(song)
        view.element("songs").append(job.card.node)  # the card is shown while its files are written
        await job.restore()
        self.insert(job, len(self.jobs))

    def offer(self, song):
        """Add a song that an earlier visit didn't finish, for the visitor to start it again."""
        job = self.job(song)
        job.to(CANCELLED, tr("Interrupted: the page was closed"))
        self.insert(job, self.place())

    def job(self, song):
        job = Job(song, self.library, self.models, self.turned, self.hush)
        job.on_files = self.all.offer
        return job

    def put(self, job, place):
        """Put a job at a place of the list, which is also the order of work."""
        if place < len(self.jobs):
            self.jobs[place].card.node.before(job.card.node)
        else:
            view.element("songs").append(job.card.node)
        self.jobs.insert(place, job)

    def insert(self, job, place):
        """Put a job at a place of the list, and connect its controls."""
        self.put(job, place)
        card = job.card
        view.on_click(card.title, lambda: self.fold(job))
        view.on_click(card.cancel, lambda: self.cancel(job))
        view.on_click(card.retry, lambda: self.retry(job))
        view.on_click(card.earlier, lambda: self.earlier(job))
        view.on_click(card.way, lambda: self.other_way(job))
        view.on(card.choose, "click", lambda event: self.choose(job, not event.detail))
        view.on_click(job.chooser.start, lambda: self.take_excerpt(job))
        view.on(card.remove, "click", lambda event: self.remove(job, not event.detail))
        view.on_click(card.zip, lambda: asyncio.create_task(job.save_zip(self.pool)))
        view.on_click(card.folder, lambda: asyncio.create_task(job.save_to_folder(self.pool)))
        view.on_click(
            card.analysis.querySelector(".analyse"),
            lambda: asyncio.create_task(job.panel.analyse(self.pool.make)),
        )
        view.on_click(card.mix, lambda: asyncio.create_task(job.save_mix(self.pool)))
        view.on_click(
            card.mix_loop,
            lambda: asyncio.create_task(job.save_mix(self.pool, job.mixer.mix.loop)),
        )
        view.on_click(card.share, lambda: asyncio.create_task(job.share()))
        view.on_click(card.stem_file, lambda: asyncio.create_task(job.save_stem_file(self.pool)))
        view.on(card.files, "click", job.clicked)
        view.on(
            card.files,
            "click",
            lambda event: asyncio.create_task(
                job.save_preset(self.pool, getattr(event.target.dataset, "part", None))
            ),
        )
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
            # Any error is told here, so that the songs behind this one still have their turn.
            if job.song.state in ENDED:
                view.error(in_words(error))
            else:
                job.fail(in_words(error))

    def fold(self, job):
        """Open it, or close it if it is open; one that has failed has nothing to show."""
        if job.song.state not in SILENT:
            self.open(None if job.is_open else job)

    def mixer(self):
        """The open job's mixer, if there is something to hear, else None."""
        job = self.opened()
        return job.mixer if job and job.mixer.is_ready() else None

    def turned(self, mixer):
        """A mixer begins or stops to play."""
        if mixer.playing:
            for job in self.in_state(CHOOSING):
                job.chooser.stop()
        self.media_keys.turned(mixer)

    def hush(self):
        """Have nothing be heard any longer."""
        for job in self.jobs:
            job.chooser.stop()
            if job.is_heard():
                job.mixer.player.pause()

    def listening(self):
        """Whether the visitor hears something, which a new song must not interrupt."""
        job = self.opened()
        return bool(job and job.is_heard())

    def open(self, job):
        """Open this one alone; None closes all."""
        for other in self.jobs:
            if other.is_open and other is not job:
                other.close()
        self.folded = not job
        if job:
            job.open()

    def cancel(self, job):
        self.stop(job, CANCELLED, tr("Cancelled"))
        asyncio.create_task(job.put_away())
        self.last = job
        view.announce(tr("{} is cancelled.").format(job.song.title))
        self.on_change()

    def stop(self, job, *state):
        """End the work on it at once; fresh workers take over. state: what it comes to, as `Job.to` takes it."""
        running = job.song.state == RUNNING
        job.forget()
        job.to(*state)
        if running and self.pool.model:
            self.pool.start()

    def choose(self, job, by_key):
        """Have an excerpt of it chosen; meanwhile other songs have their turn. by_key: as `Job.choose` takes it.

        Its folder stays: the song's own file may be there alone. Pieces in there are removed once others are finished.
        """
        self.stop(job, CHOOSING, tr("Decoding…"))
        if job.before:  # stems of all of it, which those of an excerpt don't replace
            job.before.is_made_again, job.before = False, None
        asyncio.create_task(job.keep())
        asyncio.create_task(self.let_choose(job, by_key))
        self.start()

    async def let_choose(self, job, by_key):
        await job.choose(by_key)
        self.on_change()

    def take_excerpt(self, job):
        job.take_excerpt()
        view.focus(job.card.title)
        self.retry(job)

    def retry(self, job):
        job.to(WAITING, tr("Waiting"))
        asyncio.create_task(job.keep())
        self.start()

    def other_way(self, job):
        """Do what the card offers beside its state's controls.

        See `life.other_way`. A song that found no memory is tried again with a smaller model.
        """
        if job.way in (GO_ON, WAIT):
            job.wish = job.way == WAIT
            self.start()
        elif job.way == AGAIN:
            self.again(job)
        elif job.way == LIGHTER:
            self.models.choose(self.models.lighter().name)
            self.retry(job)

    def again(self, job):
        """Separate a song with a better model; the old stems stay until the new ones are there."""
        job.is_made_again = True
        song = job.song
        again = Song(song.file_title, song.source, song.targets, song.format)
        again.excerpt = song.excerpt
        new = self.job(again)
        new.card.call(song.title)
        new.before = job
        self.insert(new, self.jobs.index(job))
        view.focus(new.card.title)
        self.start()

    def replace(self, job):
        """After a song was separated again, remove the older job, unless something would be lost."""
        old = job.before
        if not old or old not in self.jobs:
            return
        old.is_made_again = False
        if may_replace(job, old):
            job.before, was_open = None, old.is_open
            if old.card.node.contains(js.document.activeElement):
                view.focus(job.card.title)
            self.drop(old)
            if was_open:
                self.open(job)

    def offer_ways(self):
        for job in self.jobs:
            job.offer_way()

    def earlier(self, job):
        """Have a waiting job done before the one that waits before it."""
        before = self.move_up(job)
        if before:
            before.card.node.before(job.card.node)
            (job.card.title if self.is_first(job) else job.card.earlier).focus()
            view.announce(tr("{} comes before {}.").format(job.song.title, before.song.title))

    def gone(self, folder):
        """Remove a song that another page has removed, or works at again, unless it is being worked at here."""
        for job in self.in_state(DONE, CANCELLED):
            if job.song.folder == folder:
                job.song.folder = ""
                self.drop(job)

    def remove(self, job, by_key):
        """Take a song off the list. If it has stems, that can be undone for some seconds.

        by_key: whether the visitor uses the keyboard, and needs the focus on the button for that.
        """
        if job.song.state != DONE:
            self.undo.complete()
            self.drop(job)
            return
        node = job.card.node
        after = self.behind(job)

        def take_back():
            self.library.spare()
            self.put(job, self.place_before(after))
            self.all.offer()
            view.focus(job.card.title)
            view.announce(tr("{} is back.").format(job.song.title))
            self.on_change()

        def complete():
            self.library.spare()
            job.clear()
            view.discard(node)

        job.close()
        node.remove()
        self.undo.offer(job.song.title, take_back, complete)
        self.library.doom(job.song.folder)
        self.leave(job)
        if by_key:
            view.focus(self.undo.button)

    def drop(self, job):
        """Remove a song at once, with all that there is of it."""
        job.clear()
        view.discard(job.card.node)
        self.leave(job)

    def leave(self, job):
        self.take_out(job)
        self.all.offer()
        self.on_change()

    def focus(self):
        """Focus the first song, or without songs the file chooser."""
        view.focus(self.jobs[0].card.title if self.jobs else view.element("file"))
