"""One song on its way through the pool: cut into batches, separated, kept as finished pieces."""

import asyncio

import js
from decode import cut
from pyscript.ffi import to_js

NAMES = {"other": "melody"}
"""What people call a target where the field uses another word."""
STEMS = ("vocals", "drums", "bass", "melody", "karaoke")


class Song:
    def __init__(self, title, audio):
        """audio: the decoded mixture, an AudioBuffer of two channels."""
        self.title, self.audio = title, audio
        self.pieces = []  # (start, samples, {stem: Blob of 16-bit samples}) in the order they came
        self.loud = {}  # samples limited to full scale, by stem

    async def separate(self, pool, on_plan, on_progress, on_piece):
        """Have the pool separate all of it.

        on_plan is called with the number of batches, on_progress with a batch and its fraction, on_piece with the
        start and length of a finished stretch, in samples, and its waveform by stem.
        Raises WorkerError or Cancelled.
        """
        self.on_progress, self.on_piece = on_progress, on_piece
        workers = list(pool.workers)
        plan = await workers[0].ask("plan", samples=self.audio.length, workers=len(workers))
        self.overlap, batches = plan.overlap, list(plan.batches)
        on_plan(len(batches))
        self.ends = [{} for _ in batches]
        self.waiting = [
            (self.separate_batch, (index, batch, len(batches)))
            for index, batch in enumerate(batches)
        ]
        await asyncio.gather(*[self.serve(worker) for worker in workers])

    async def serve(self, worker):
        """Give one worker what is waiting, until nothing is."""
        while self.waiting:
            request, arguments = self.waiting.pop(0)
            await request(worker, *arguments)

    async def separate_batch(self, worker, index, batch, count):
        def listen(message):
            if message.kind == "piece":
                self.keep(message)
            else:
                self.on_progress(index, message.fraction)

        starts = list(batch.starts)
        mixture = cut(self.audio, starts, batch.length)
        answer = await worker.ask(
            "separate",
            listen,
            transfer=[mixture.buffer],
            mixture=mixture,
            starts=starts,
            length=batch.length,
            first=index == 0,
            last=index == count - 1,
        )
        self.on_progress(index, 1)
        self.ends[index] = {"start": starts[0]}
        for end in ("head", "tail"):
            self.ends[index][end] = getattr(answer, end, None)
        self.join_after(index - 1)
        self.join_after(index)

    def join_after(self, index):
        """Have the border of two batches added up as soon as both are there, before anything else."""
        if 0 <= index < len(self.ends) - 1 and self.ends[index] and self.ends[index + 1]:
            self.waiting.insert(0, (self.join, (self.ends[index], self.ends[index + 1])))

    async def join(self, worker, left, right):
        await worker.ask(
            "join", self.keep, tail=left["tail"], head=right["head"], start=right["start"]
        )

    def keep(self, piece):
        # A Blob may lie on disk; arrays would fill the page's memory.
        start, samples = piece.start, min(piece.samples, self.audio.length - piece.start)
        blobs, waveforms = {}, {}
        for target in js.Object.keys(piece.stems):
            stem = NAMES.get(target, target)
            data = getattr(piece.stems, target)
            blobs[stem] = js.Blob.new(to_js([data.subarray(0, 2 * samples)]))
            waveforms[stem] = list(getattr(piece.peaks, target))
            self.loud[stem] = self.loud.get(stem, 0) + getattr(piece.loud, target)
        self.pieces.append((start, samples, blobs))
        self.on_piece(start, samples, waveforms)

    def parts(self, stem):
        """A stem's pieces as Blobs, in the song's order."""
        return [blobs[stem] for _, _, blobs in sorted(self.pieces, key=lambda piece: piece[0])]

    def piece_at(self, sample):
        """The finished piece that holds a sample, or None."""
        for piece in self.pieces:
            if piece[0] <= sample < piece[0] + piece[1]:
                return piece
        return None
