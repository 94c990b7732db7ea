"""Songs in files, on a desktop."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO, NamedTuple, Self, cast

import numpy as np
import soundfile
import soxr

from ..level import Meter
from ..signal.samples import downmix, make_finite
from ..types import Float
from .audio import AudioError
from .headers import Header, Patched, read_headers

BLOCK = 1 << 17
"""Samples of all channels together that are decoded in one go, and about as many are resampled."""
KEPT = 1 << 24
"""Samples of the longest song that is kept in memory, and so decoded only once: 6 minutes, 134 MB."""
UNRECOGNISED = 1  # SF_ERR_UNRECOGNISED_FORMAT


class DamagedError(AudioError):
    """A file that can't be decoded, or not to its end."""


class Measure(NamedTuple):
    """What is known of a song that was read once; see `Song`."""

    samples: int
    level: float
    own_rate: int
    broken: float | None


class Song:
    """A song in a file, in any format that libsndfile knows: stereo, at the sample rate that is asked for.

    It is decoded block by block, first to measure it, and again each time that `blocks` is called; only short songs are
    kept. It ends where the file does, whatever its header says of its length.

    samples: number of samples a channel.
    own_rate: the file's sample rate; that of the first, where songs are joined in one file.
    level: as `level.Meter` measures it.
    broken: the second from which on it is too damaged to be read; None if it isn't.
    """

    def __init__(self, path: Path, rate: int, measure: Measure | None = None) -> None:
        """Read the file once, unless its measure is known. Raises AudioError, naming the file."""
        self.path, self.rate = path, rate
        self.samples = self.own_rate = 0
        self.broken: float | None = None
        self.kept: list[Float] = []
        # libsndfile calls back into Python to read the file. In the main thread, a signal could raise its exception in
        # such a call, where it would be printed and lost.
        self.thread = ThreadPoolExecutor(1)
        self.file = _open(path)
        if measure:
            self.samples, self.level, self.own_rate, self.broken = measure
            return
        meter = Meter()
        try:
            for block in self._blocks(rate):
                self.samples += block.shape[1]
                meter.add(block)
                if self.samples <= KEPT:
                    self.kept.append(block)
                else:
                    self.kept.clear()
            if not self.samples:
                raise AudioError("song.empty", "{song} holds no audio.", song=path)
        except BaseException:
            self.close()
            raise
        self.level = meter.level

    @property
    def measure(self) -> Measure:
        return Measure(self.samples, self.level, self.own_rate, self.broken)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self.thread.shutdown()
        self.file.close()

    def blocks(self) -> Iterator[Float]:
        """float32 (2, n); the n add up to `samples`.

        Raises AudioError if the file has changed since it was measured.
        """
        if self.kept:
            yield from self.kept
            return
        count = 0
        for block in self._blocks(self.rate):
            count += block.shape[1]
            yield block
        if count != self.samples:
            raise AudioError(
                "song.changed", "{song} was changed while it was read.", song=self.path
            )

    def own_blocks(self) -> Iterator[Float]:
        """As `blocks`, but at `own_rate`. May be read by turns with them. Raises AudioError."""
        return self._blocks(self.own_rate)

    def _blocks(self, target: int) -> Iterator[Float]:
        try:
            headers = read_headers(self.file)
        except OSError as error:
            raise unreadable(self.path, reason(error)) from error
        seconds, broken = 0.0, None
        for header in headers:
            resampler = None
            try:
                for rate, stereo in self._decode(header):
                    self.own_rate = self.own_rate or rate
                    seconds += len(stereo) / rate
                    if rate != target:
                        resampler = resampler or soxr.ResampleStream(rate, target, 2)
                        stereo = resampler.resample_chunk(stereo)
                    yield stereo.T
            except DamagedError:
                if not seconds:
                    raise
                broken = seconds
            if resampler:
                yield resampler.resample_chunk(np.zeros((0, 2), np.float32), last=True).T
            if broken:
                break
        self.broken = broken

    def _decode(self, header: Header) -> Iterator[tuple[int, Float]]:
        """Yields the sample rate of the file, and samples (n, 2)."""
        source = Patched(self.file, header)
        try:
            sound = self.thread.submit(_Sound, source).result()
        except soundfile.LibsndfileError as error:
            raise self._failure(source, error) from error
        channels = sound.channels
        mix = np.ascontiguousarray(downmix(header.layout, channels).T)
        size = max(1, min(BLOCK, BLOCK * sound.samplerate // self.rate) // channels)
        last = np.zeros((0, channels), np.float32)  # may be padding
        count, failure = 0, None
        while not failure:
            block, failure = self.thread.submit(sound.next, size).result()
            if source.error:
                raise self._failure(source, failure)
            if not len(block):
                break
            count += len(block)
            if header.padding:
                block = np.concatenate([last, block])
                end = max(0, len(block) - header.padding)
                block, last = block[:end], block[end:]
            make_finite(block)
            yield sound.samplerate, block @ mix
        # Tags may follow the samples that were promised, and FLAC's decoder takes them for damage.
        if failure and not 0 < header.samples <= count:
            raise self._failure(source, failure)

    def _failure(self, source: Patched, error: Any) -> AudioError:
        """Exception to raise for an error of libsndfile's, which may have come from reading the file."""
        if source.error:
            return unreadable(self.path, reason(source.error))
        why = error.error_string
        if error.code == UNRECOGNISED:
            why = "it is none of WAV, AIFF, FLAC, MP3, Ogg Vorbis, Opus and their kind."
        return DamagedError(
            "song.damaged", "{song} can't be read as audio: {reason}", song=self.path, reason=why
        )


class _Sound(soundfile.SoundFile):  # type: ignore[misc]
    """Samples in order, from a file whose end need not be known.

    It closes itself when nothing refers to it any more, and so never while the thread reads from it.
    """

    def seekable(self) -> bool:
        return False  # otherwise soundfile seeks after each block: slow, and it fails where the end isn't known

    def next(self, size: int) -> tuple[Float, Exception | None]:
        """Up to `size` samples, (n, channels), and the error that they end with. No samples at the end."""
        block = np.full((size, self.channels), np.nan, np.float32)
        try:
            return self.read(out=block), None
        except soundfile.LibsndfileError as error:
            # NaN marks samples that weren't written. Decoders that can fail give none themselves.
            return block[: np.count_nonzero(~np.isnan(block[:, 0]))], error


def _open(path: Path) -> BinaryIO:
    """Open a file to be read more than once; a pipe's content is stored first. Raises AudioError, naming the file."""
    try:
        file = path.open("rb")
        if file.seekable():
            return file
        spool = cast(BinaryIO, TemporaryFile())  # noqa: SIM115  # for the caller to close
        with file:
            shutil.copyfileobj(file, spool)
        return spool
    except OSError as error:
        raise unreadable(path, reason(error)) from error


def unreadable(path: Path | str, why: str) -> AudioError:
    return AudioError("song.unreadable", "{song} can't be read: {reason}.", song=path, reason=why)


def reason(error: OSError) -> str:
    """Why a file can't be opened or read, to put into a sentence."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, IsADirectoryError):
        return "that is a folder"
    return error.strerror or str(error)


def read(path: Path, rate: int) -> Float:
    """A whole song in memory: float32 (2, samples). Raises AudioError, naming the file."""
    with Song(path, rate) as song:
        return np.concatenate([*song.blocks()], axis=1)
