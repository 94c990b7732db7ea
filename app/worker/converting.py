"""Makes models of picked or fetched checkpoints, in workers, and keeps them on the visitor's device."""

import asyncio
import io
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

import js
from pyodide.ffi import create_once_callable, to_js

from shared.facts import MODELS_FOLDER, SAMPLE_RATE
from umx.errors import CheckpointError, ConvertError
from umx.format.convert import Converter, undescribed
from umx.format.manifest import Manifest
from umx.models.official import OFFICIAL, recognise
from umx.names import MANIFEST
from worker import storage
from worker.fetching import fetch

UNFINISHED = ".unfinished"
"""Ends the name of the folder in which a model is being made."""
PRESET = "web"
OWN = "own-"
"""Begins the names of models that nobody has published, so that none is taken for one of the site's."""
MUTE = ".pth"
"""Ends the names of checkpoints that don't tell their target. The other kinds may say by themselves what they are."""
LONGEST_NAME = 60
CHUNK = 1 << 20
HASHING = 0.1
"""Share of the work."""
DOWNLOADING = 0.8
"""Share of the work where the files are downloaded first."""


class Picked(io.RawIOBase):
    """A File that the visitor picked, read piece by piece: it may be larger than the memory that is left."""

    def __init__(self, file: Any):
        self.file, self.position, self.reader = file, 0, js.FileReaderSync.new()
        channel = js.MessageChannel.new()
        channel.port2.close()
        self.bin = channel.port1

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base: int = {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.file.size}[
            whence
        ]
        self.position = base + offset
        return self.position

    def readinto(self, buffer: Any) -> int:
        end: int = min(self.position + min(len(buffer), CHUNK), self.file.size)
        piece = self.reader.readAsArrayBuffer(self.file.slice(self.position, end))
        count = max(0, end - self.position)
        if count:
            piece.assign_to(memoryview(buffer).cast("B")[:count])
            # Transferring the buffer to a closed port frees it now; the garbage collector would let hundreds gather.
            self.bin.postMessage(piece, to_js([piece]))
        self.position += count
        return count


async def convert(files: Any, report: Callable[[float], None]) -> dict[str, object]:
    """Convert an official model's checkpoints, or a single other one that says what it is, and keep the result.

    files: Files that the visitor picked, in any order, under any name.
    Answers with the model's name, and with its SNR where rounding costs it much.
    Raises ConvertError or CheckpointError; then nothing has changed.
    """
    converter, checkpoints = await recognised(list(files), report)
    name, title = converter.fields["name"], converter.fields["title"]
    async with turn():
        unfinished = await storage.model_folder(name + UNFINISHED, create=True)
        try:
            for done, (targets, file) in enumerate(checkpoints, 1):
                try:
                    entry, data = converter.add(targets, io.BufferedReader(Picked(file)))
                except (CheckpointError, ConvertError) as error:
                    raise error.within(file.name) from error
                await storage.write(unfinished, entry.file, data)
                del data
                report(HASHING + (1 - HASHING) * done / len(checkpoints))
            manifest = converter.manifest()
            await storage.write(unfinished, MANIFEST + UNFINISHED, manifest.text().encode())
            await put_in_place(unfinished, manifest)
        except OSError as error:
            raise ConvertError(
                "convert.no-room",
                "This device has no room for {model}: free some, and try again.",
                model=title,
            ) from error
        finally:
            await storage.remove_model(name + UNFINISHED)
    return {"name": name} | ({"snr": manifest.snr} if manifest.is_rough else {})


async def put_in_place(unfinished: storage.Folder, manifest: Manifest) -> None:
    """Move a model's files from the folder where it was made to its own, and replace an older one."""
    await storage.remove_model(manifest.name)
    folder = await storage.model_folder(manifest.name, create=True)
    for entry in manifest.files:
        await (await unfinished.getFileHandle(entry.file)).move(folder, entry.file)
    # The manifest comes last: a folder without one is no model.
    await (await unfinished.getFileHandle(MANIFEST + UNFINISHED)).move(folder, MANIFEST)


@asynccontextmanager
async def turn() -> AsyncIterator[None]:
    """Wait for this page's turn. Pages make models one at a time, and meanwhile none deletes unfinished ones."""
    loop = asyncio.get_running_loop()
    begun, over = loop.create_future(), loop.create_future()

    def begin(lock: Any) -> Any:
        begun.set_result(None)
        return over

    js.navigator.locks.request(MODELS_FOLDER, create_once_callable(begin))
    await begun
    try:
        yield
    finally:
        over.set_result(None)


async def download(name: str, report: Callable[[float], None]) -> dict[str, object]:
    """Fetch an official model's checkpoints, and then `convert` them.

    Raises WeightsError where they can't be fetched, and the errors of `convert`.
    """
    official = OFFICIAL[name]
    files = []
    for number, checkpoint in enumerate(official.checkpoints):

        def part(fraction: float, number: int = number) -> None:
            report(DOWNLOADING * (number + fraction) / len(official.checkpoints))

        blob = await fetch(checkpoint.page_url, report=part)
        files.append(js.File.new(to_js([blob]), checkpoint.file))
    return await convert(files, lambda done: report(DOWNLOADING + (1 - DOWNLOADING) * done))


async def recognised(
    files: list[Any], report: Callable[[float], None]
) -> tuple[Converter, list[tuple[tuple[str, ...], Any]]]:
    """A Converter for the files, and pairs of targets and file; official files are known by their hashes.

    Raises ConvertError where they are of none, or not all of one.
    """
    digests = {}
    for number, file in enumerate(files, 1):
        digests[await digest(file)] = file
        report(HASHING * number / len(files))
    found = recognise(digests)
    if found is None:
        (first, file) = next(iter(digests.items()))
        if len(digests) == 1 and not file.name.lower().endswith(MUTE):
            title = file.name.rpartition(".")[0]
            slug = re.sub(r"[^A-Za-z0-9_]+", "-", title)[:LONGEST_NAME].strip("-") or first[:8]
            fields = undescribed(title) | {"sample_rate": SAMPLE_RATE}
            return Converter(PRESET, {}, name=OWN + slug, **fields), [((), file)]
        raise ConvertError(
            "convert.not-official",
            "No whole, unchanged file of {models} is among these: {files}.",
            models=", ".join(dict.fromkeys(o.title.split(",")[0] for o in OFFICIAL.values())),
            files=", ".join(file.name for file in files),
        )
    name, checkpoints = found
    official = OFFICIAL[name]
    lacking = [c.file for c in official.checkpoints if c not in checkpoints]
    if lacking:
        raise ConvertError(
            "convert.lacking",
            "{model} also needs {files}, whole and unchanged. Choose all of its files at once.",
            model=official.title,
            files=", ".join(lacking),
        )
    converter = Converter(PRESET, official.known, name=name, **official.fields())
    return converter, [(c.targets, file) for c, file in checkpoints.items()]


async def digest(file: Any) -> str:
    hashed, picked = sha256(), Picked(file)
    while piece := picked.read(CHUNK):
        hashed.update(piece)
        await asyncio.sleep(0)  # lets the browser free what was read
    return hashed.hexdigest()
