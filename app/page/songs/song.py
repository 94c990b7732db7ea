"""One song on its way through the pool: cut into batches, separated, kept as finished pieces."""

import asyncio

from pyscript.ffi import to_js

from page.files.formats import FORMATS
from page.files.refusals import DecodeError
from page.files.wav import frame_bytes
from page.songs.borders import SIDES, Borders
from page.songs.life import WAITING
from page.songs.preview import as_lanes, at, heard
from page.view import clock
from page.workers.pool import Cancelled, OutOfMemoryError, WorkerError
from shared.facts import SAMPLE_RATE
from umx import planning
from umx.names import target_of, title_of

STEMS = ("vocals", "drums", "bass", "guitar", "piano", "melody", "karaoke", "rest")
"""The order in which people see them; "rest" is what is left of the mixture beside some targets."""
LONGEST_TITLE = 300
"""Letters."""


class Song:
    def __init__(self, title, source, targets, form):
        """source: async, gives the decoded mixture (a Sound or a Stream), the file's tags (see `files.tags`), and the
        sample rate in Hz and the length in samples that files of its stems should have.

        form: the format of the stems' files, by its name in `formats`.
        targets: the stems that the visitor wants, by the names that people use; a model's others make up one residual.
        """
        self.title, self.source, self.targets, self.format = title, source, targets, form
        self.file_title = title  # from the file's name; `title` becomes that of the tags
        self.kind = FORMATS[form].kind  # of the samples, see wav.FORMATS
        self.find = None  # async, gives the visitor's file, if there is one
        self.state = WAITING
        self.audio = None  # the decoded mixture, while it is needed
        self.decoding = asyncio.Lock()
        # Begin and end of what is wanted of the mixture, in samples; None for all of it. Everything else that counts
        # samples of the song counts them from there.
        self.excerpt = None
        self.tags = {}  # what the file says of it, once it is decoded
        self.model = None  # that it was separated with, as far as that is known, see `model_choice`
        self.length = 0  # samples of what is wanted
        self.folder = ""  # where its pieces are written, see `song_library`
        self.finished = ""  # when, as an ISO date, of a song of an earlier visit
        self.kept_bytes = 0  # on the device, until they are removed
        self.rate, self.frames = SAMPLE_RATE, 0  # samples a second, and samples, of the files
        self.own = self.rate, self.frames  # the same, where the files' format has such a rate
        self.clear()

    def clear(self):
        """Forget the separated pieces."""
        self.pieces = []  # (start, samples, {stem: Blob of samples}) in the order they came
        self.records = []  # what a list of them says: their start, stems, waveforms and files
        self.previews = []  # as `pieces`, of the small model, until the song is done
        self.level = None  # see `measure`
        self.loud = {}  # samples limited to full scale, by stem
        self.analysis = None  # see `listen.analysis`

    async def decode(self):
        async with self.decoding:
            if not self.audio:
                self.audio, self.tags, rate, frames = await self.source()
                self.file_facts = rate, frames
                self.choose(self.excerpt)

    def choose(self, excerpt):
        """Have an excerpt of the song: its begin and end, in samples; None for all of it."""
        self.excerpt = excerpt
        self.title = self.tags.get("title", self.file_title)[:LONGEST_TITLE]
        if excerpt:
            times = [clock(sample / SAMPLE_RATE) for sample in excerpt]
            self.title = "{} {}–{}".format(self.title, *times)
        if self.audio:
            begin, end = self.span()
            self.length, (rate, frames) = end - begin, self.file_facts
            self.own = rate, frames if self.length == self.audio.length else self.fitting(rate)
            self.write_as(self.format)

    def span(self):
        """Begin and end of what is wanted of the decoded mixture, in samples."""
        begin, end = self.excerpt or (0, self.audio.length)
        return begin, min(end, self.audio.length)

    def full_title(self):
        """Artist and title, as far as they are known, for files and notifications."""
        return " - ".join(
            [self.tags[name] for name in ("artist",) if name in self.tags] + [self.title]
        )

    def release(self):
        """Let go of the decoded mixture."""
        if self.audio:
            self.audio.close()
        self.audio = None

    def write_as(self, form):
        """Have its files be of a format, by its name in `formats`."""
        rate, frames = self.own
        self.format, self.rate = form, FORMATS[form].rate(rate)
        self.frames = frames if self.rate == rate else self.fitting(self.rate)

    def fitting(self, rate):
        """Samples of the song at another rate."""
        return int(self.length * rate / SAMPLE_RATE + 0.5)

    async def separate(self, pool, on_plan, on_progress, on_piece):
        """Have the pool separate all of it.

        on_plan is called with the number of batches, on_progress with a batch and its fraction, on_piece with the
        start and length of a finished stretch, in samples, and its waveform by stem.
        Raises WorkerError, DecodeError or Cancelled.
        """
        self.small = ""
        await pool.ready()  # if its workers are made anew just now
        how = pool.cutting
        callbacks = on_plan, on_progress, on_piece
        await self.work(pool, self.audio.length, self.span(), how, how.batch_size, *callbacks)
        self.previews = []

    async def preview(self, pool, small, samples, on_piece):
        """Have the pool separate the opening with the small model, before all of it is separated with the pool's own.

        small: its address; samples: of the opening; on_piece: as `separate` takes it.
        A device that can't do it goes on without, or with half of it. Raises DecodeError or Cancelled.
        """
        self.small = small
        try:
            await pool.ready()
            how = await pool.run(self.cutting)
            # One segment a batch: its stems come sooner, and it takes less memory beside the pool's own model.
            callbacks = lambda batches: None, lambda batch, fraction: None, on_piece
            begin, _ = self.span()
            end = begin + samples  # as if the song ended there
            await self.work(pool, end, (begin, end), how, 1, *callbacks)
        except WorkerError:
            pass

    async def work(self, pool, samples, span, how, batch_size, on_plan, on_progress, on_piece):
        """Have the pool separate a span of so many samples, cut as a model wants it; see `separate`."""
        self.on_progress, self.on_piece, self.wanted = on_progress, on_piece, list(span)
        cutting = how.segment, how.overlap, batch_size, how.fixed
        batches = planning.batches(samples, *cutting, pool.size, span)
        on_plan(len(batches))
        if self.level is None:
            self.level = await pool.run(self.measure)
        self.starts = [starts[0] for starts, *_ in batches]
        self.borders = Borders()
        self.is_broken = False  # whether it can't be decoded or separated to its end
        work = [
            self.separated(pool, index, batch, len(batches)) for index, batch in enumerate(batches)
        ]
        results = await asyncio.gather(*work, return_exceptions=True)
        errors = [result for result in results if isinstance(result, Exception)]
        # When one batch fails, the others are cancelled: raise the cause, not the cancelling.
        for error in sorted(errors, key=lambda error: isinstance(error, Cancelled)):
            raise error

    async def ask(self, worker, *request, **content):
        """Ask a worker for a step of the work with the pool's model, or with the small one.

        A worker without memory for both models has enough for the pool's own later. So its error becomes a plain
        WorkerError, after which the pool keeps it.
        """
        try:
            return await worker.ask(*request, preview=self.small, **content)
        except OutOfMemoryError as error:
            if self.small:
                raise WorkerError(str(error))
            raise

    async def cutting(self, worker):
        """How songs are cut for the small model, see `models.Cutting`."""
        return (await self.ask(worker, "cutting")).cutting

    async def measure(self, worker):
        """The level of all of the song, also where an excerpt is wanted, from its windows. Raises DecodeError."""
        samples = self.audio.length
        length = min(planning.WINDOW, samples)
        sound = await self.audio.windows(planning.windows(samples), length)
        answer = await worker.ask("measure", transfer=[sound.buffer], windows=sound, length=length)
        return answer.level

    async def separated(self, pool, *batch):
        """Have a batch separated. If that fails, end what the workers are at, once."""
        try:
            await pool.run(self.separate_batch, *batch)
        except WorkerError as error:
            if self.small:
                self.is_broken = True
            elif not self.is_broken:
                self.is_broken = True
                pool.give_up(error)
            raise

    async def separate_batch(self, worker, index, batch, count):
        def listen(message):
            if message.kind == "piece":
                self.add_posted(message)
            else:
                self.on_progress(index, message.fraction)

        self.on_progress(index, 0)
        starts, length, cuts, span = batch
        mixture = await self.mixture(cuts, span)
        answer = await self.ask(
            worker,
            "separate",
            listen,
            transfer=[mixture.buffer],
            mixture=mixture,
            batch={"starts": starts, "length": length, "cuts": cuts, "span": span},
            first=index == 0,
            last=index == count - 1,
            level=self.level,
            **self.choice(),
        )
        self.on_progress(index, 1)
        for border, side in ((index - 1, "head"), (index, "tail")):
            end = getattr(answer, side, None)
            if end is not None:
                self.borders.add(border, side, end)
                await self.join(worker, border, side)

    async def mixture(self, starts, length):
        """A batch's mixture. Raises DecodeError, after which the batches to come are cancelled."""
        if self.is_broken:
            raise Cancelled()
        try:
            return await self.audio.cut(starts, length)
        except DecodeError:
            self.is_broken = True
            raise

    def choice(self):
        """What the worker needs to know of the visitor's choice: stems by the engine's names, samples, and so on."""
        return {
            "stems": [target_of(stem) for stem in self.targets],
            "excerpt": self.wanted,
            "sample_kind": self.kind,
            "folder": self.folder,
        }

    async def join(self, worker, border, own):
        """Have a border added up, once both of its ends are there.

        own: the side of the batch that the worker has just done. Its end is transferred: if the worker stops, the batch
        is done again. The other one is copied, since nothing would make it again.
        """
        ends = self.borders.take(border)
        if not ends:
            return
        ends, start = dict(zip(SIDES, ends)), self.starts[border + 1]
        transfer = [ends[own].buffer]
        try:
            await self.ask(
                worker, "join", self.add_posted, transfer, start=start, **ends, **self.choice()
            )
        except WorkerError:
            self.borders.failed(border, own)
            raise
        self.borders.done(border)

    def add_posted(self, piece):
        if at(self.previews if self.small else self.pieces, piece.start):
            return  # a worker that stopped has posted it already; its batch is done again
        if self.small:
            start, samples, blobs = self.piece_of(piece, piece.blob)
            self.previews.append((start, samples, as_lanes(blobs, self.lanes)))
            self.on_piece(start, samples, as_lanes(waveforms(piece), self.lanes))
            return
        for target in piece.stems:
            stem = title_of(target)
            self.loud[stem] = self.loud.get(stem, 0) + getattr(piece.loud, target)
        start, samples = self.add(record(piece), piece.blob)
        self.on_piece(start, samples, waveforms(piece))

    def add(self, record, blob):
        """Take a piece, as `record` describes it: a Blob of one stem's samples after the other's."""
        piece = self.piece_of(record, blob)
        self.pieces.append(piece)
        self.records.append(record)
        return piece[:2]

    def piece_of(self, record, blob):
        """A piece's start and samples, and its stems as Blobs."""
        start, samples = record.start, min(record.samples, self.length - record.start)
        targets = list(record.stems)
        each, size = blob.size // len(targets), samples * frame_bytes(self.kind)
        blobs = {}
        for index, target in enumerate(targets):
            # A slice refers to the whole Blob, which the browser keeps on disk where there is room.
            blobs[title_of(target)] = blob.slice(index * each, index * each + size)
        return start, samples, blobs

    def make_wav(self):
        """Have the files hold the samples as they are stored: WAV at 44.1 kHz."""
        self.own = SAMPLE_RATE, self.length
        self.write_as(self.kind)

    async def original(self, start, samples):
        """What `Sound.stretch` gives of the mixture, in samples of what is wanted of it. Raises DecodeError."""
        begin, _ = self.span()
        buffer, first = await self.audio.stretch(begin + start, samples)
        return buffer, first - begin

    def stems(self):
        """Those that were made, in the order that people see."""
        return in_order(self.pieces[0][2]) if self.pieces else []

    def in_song_order(self):
        return sorted(self.pieces, key=lambda piece: piece[0])

    def parts(self, stem):
        """A stem's pieces as Blobs, in the song's order."""
        return [blobs[stem] for _, _, blobs in self.in_song_order()]

    def heard(self, sample):
        """The piece to hear at a sample and where another is to follow, see `preview`; None where there is none."""
        return heard(self.pieces, self.previews, sample)

    def is_preview(self, piece):
        """Whether a piece is the small model's."""
        return any(piece is other for other in self.previews)

    def is_preview_at(self, sample):
        """Whether a piece of the small model is to be heard at a sample."""
        found = self.heard(sample)
        return bool(found) and self.is_preview(found[0])


def record(piece):
    """All about a piece that a worker posted, except its samples, for the list of a stored song."""
    names = ("start", "samples", "stems", "peaks", "file")
    facts = {name: getattr(piece, name) for name in names}
    facts["size"] = piece.blob.size
    return to_js(facts)


def waveforms(record):
    """A piece's waveform by stem."""
    return {title_of(target): list(getattr(record.peaks, target)) for target in record.stems}


def targets_of(model):
    """The stems that a model, as its manifest describes it, estimates, by the names that people use."""
    names = [name for entry in model.files for name in entry.targets]
    return in_order([title_of(name) for name in names])


def in_order(stems):
    """As people see them; MicroPython's dicts keep no order."""
    known = [stem for stem in STEMS if stem in stems]
    return known + sorted(stem for stem in stems if stem not in STEMS)
