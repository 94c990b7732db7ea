"""A song as one file for DJ programs: Native Instruments' Stems, see `umx.stem_atom`. Needs PyAV."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.audio.stream import AudioStream
from av.stream import Disposition

from ..stem_atom import BIT_RATE, STEMS, boxes, description, with_atom
from ..types import Float

TITLES = tuple(title for title, _ in STEMS)
NAMES = tuple(title.capitalize() for title in TITLES)


def side_by_side(stems: Mapping[str, Float]) -> Float:
    """The mix and the stems, in the order of a file's tracks: (10, n). stems: (2, n) by their titles."""
    parts = [stems[title] for title in TITLES]
    return np.concatenate([np.sum(parts, axis=0), *parts])


class StemFile:
    """Writes the tracks while they come in. A context, as soundfile's files are; it makes the file whole at its end.

    Raises OSError where the file can't be written.
    """

    def __init__(self, path: Path, rate: int):
        self._rate, self._written = rate, 0
        # A file of Python's own: PyAV would fail at a name with bytes that are no text.
        self._file = path.open("w+b")
        # Lengths would be rounded to milliseconds otherwise, and up to 44 samples lost.
        options = {"movie_timescale": str(rate)}
        self._container = av.open(self._file, "w", format="mp4", options=options)
        # Players that know no stems play the enabled tracks: the mix alone.
        self._tracks = [self._add("", Disposition.default)]
        self._tracks += [self._add(name, Disposition(0)) for name in NAMES]
        self._container.start_encoding()

    def _add(self, name: str, disposition: Disposition) -> AudioStream:
        track = self._container.add_stream("aac", rate=self._rate, layout="stereo")
        track.bit_rate, track.disposition = BIT_RATE, disposition
        if name:
            track.metadata["title"] = name
        return track

    def write(self, samples: Float) -> None:
        """Append to every track: (n, 10), within full scale, in the order of `side_by_side`."""
        if not len(samples):
            return
        for index, track in enumerate(self._tracks):
            pair = np.ascontiguousarray(samples.T[2 * index : 2 * index + 2], np.float32)
            frame = av.AudioFrame.from_ndarray(pair, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = self._rate, self._written
            self._encode(track, frame)
        self._written += len(samples)

    def _encode(self, track: AudioStream, frame: av.AudioFrame | None) -> None:
        try:
            self._container.mux(track.encode(frame))
        except av.FFmpegError as error:
            raise OSError(error.errno, error.strerror) from error

    def __enter__(self) -> "StemFile":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._file:
            if kind:
                with suppress(Exception):  # the file is given up, and the first error said
                    self._container.close()
                return
            for track in self._tracks:
                self._encode(track, None)
            self._container.close()
            self._add_atom()

    def _add_atom(self) -> None:
        """Rewrite the "moov" box, which ffmpeg puts at the end, with the atom in it."""

        def read(begin: int, end: int) -> bytes:
            self._file.seek(begin)
            return self._file.read(end - begin)

        size = self._file.seek(0, os.SEEK_END)
        (*_, (_, place, _)) = boxes(read, 0, size)
        moov = read(place, size)
        parts = with_atom(lambda begin, end: moov[begin:end], len(moov), description(NAMES))
        self._file.seek(place)
        for part in parts:
            self._file.write(part if isinstance(part, bytes) else moov[slice(*part)])
