"""Writes finished stems as files, a zip of them, a folder of them, and a mix of them."""

import asyncio

import js
from pyscript.ffi import to_js
from pyscript.js_modules import client_zip

from page.files import media_library, tags, wav, wav_tags
from page.files.encode import array, encoded, wav_blob
from page.files.formats import FORMATS
from page.listen import analysis, click, pitch, tuning
from page.promises import RejectedError, outcome, settle
from page.settings import settings
from page.text.texts import tr
from page.workers.pool import Cancelled
from shared.facts import SAMPLE_RATE

FORBIDDEN = '/\\:*?"<>|'
"""Characters that some file system forbids in names."""
LONGEST = 220
"""Bytes of a title in a file's name, at most. Most systems allow 255 for the whole name."""
TEMPO_IN_NAMES = "tempo-in-names"
"""The setting, on or off."""
STRETCH = 10 * SAMPLE_RATE
"""Samples that are added up at once, of sums that are in one Blob each."""


def file_title(title):
    """A song's title as the beginning of a file's name. In times, a dot is in the place of the colon."""
    letters = ["_" if letter in FORBIDDEN or letter < " " else letter for letter in title]
    for place in range(1, len(title) - 1):
        if title[place] == ":" and title[place - 1].isdigit() and title[place + 1].isdigit():
            letters[place] = "."
    while len("".join(letters).encode()) > LONGEST:
        letters.pop()
    return "".join(letters)


def file_name(title, ending):
    """The name of a file: a song's title and an ending."""
    return file_title(title) + " - " + ending


def title_of(song):
    """A song's title for the names of its files, with the tempo if the visitor wants that and it is known."""
    title, tempo = song.full_title(), analysis.tempo(song.analysis)
    if tempo and settings.get(TEMPO_IN_NAMES, settings.one_of(("on", "off")), "off") == "on":
        title += " {:.0f} BPM".format(tempo[0])
    return title


async def prepare(song):
    """Fetch everything that writing a song's files takes. Raises ValueError, before the work, if that can't be done."""
    form = FORMATS[song.format]
    if form.container == "Wav":
        wav.header(max(song.length, song.frames), form.kind)
    if needs_library(song):
        try:
            await media_library.library_for(form)
        except RejectedError:
            text = tr("What writes {} files can't be fetched: try again, or choose WAV.")
            raise ValueError(text.format(form.ending.upper()))


def needs_library(song):
    """Whether its files are more than the kept samples behind a header."""
    return Form(song).needs_library(song.kind)


class Form:
    """The form of a song's files at this moment; it may change while one is written."""

    def __init__(self, song):
        self.name, self.rate = song.format, song.rate
        self.length, self.frames = song.length, song.frames

    def needs_library(self, kind):
        """Whether a file is more than samples of a kind behind a header."""
        return self.name != kind or self.rate != SAMPLE_RATE

    def frames_of(self, length):
        """Samples of a file that has `length` samples at 44.1 kHz."""
        return self.frames if length == self.length else int(length * self.rate / SAMPLE_RATE + 0.5)


async def stem_files(song, on_progress):
    """(stem, file name, Blob) of every stem, in the order that people see.

    on_progress is called with the fraction that is done. An exception that it raises ends the work.
    """
    stems, files, form = song.stems(), [], Form(song)
    for index, stem in enumerate(stems):

        def listen(fraction, index=index):
            on_progress((index + fraction) / len(stems))

        sound = song.parts(stem), song.length, song.kind
        tempo = analysis.tempo(song.analysis)
        files.append((stem,) + await file_of(song, form, stem, sound, listen, tempo))
    return files


async def file_of(song, form, name, sound, on_progress, tempo=None):
    """The name and the Blob of a file with a part of a song's sound.

    form: a Form; name: the part's; sound: samples in Blobs, their number, and their kind, see wav.FORMATS; on_progress:
    see `stem_files`; tempo: the file's, see `analysis.tempo`.
    """
    parts, length, kind = sound
    said = tags.of_part(song.tags, song.title, name)
    if tempo:
        said["beatsPerMinute"] = tempo[0]
    if not form.needs_library(kind):
        # A song without tags gives files without tags.
        chunks = wav_chunks(said) if song.tags or tempo else []
        if tempo:
            chunks.append(array(wav_tags.tempo(tempo[0], tempo[1], length / SAMPLE_RATE)))
        blob = wav_blob(parts, length, kind, chunks)
    else:
        file = (form.name, form.rate, form.frames_of(length), said)
        blob = await encoded(parts, length, kind, *file, on_progress)
    return file_name(title_of(song), name + "." + FORMATS[form.name].ending), blob


def wav_chunks(said):
    """A song's tags and covers as chunks of a WAV file, in Uint8Arrays."""
    covers = said.get("images", [])
    facts = [(cover["mimeType"], cover["kind"], cover["data"].length) for cover in covers]
    parts = wav_tags.chunks(tags.as_texts(said), facts)
    found = [array(parts[0])]
    for cover, part in zip(covers, parts[1:]):
        found += [cover["data"], array(part)]
    return found


async def zipped(files):
    """All files as one Blob: a zip, which is streamed."""
    entries = [{"name": name, "input": blob} for _, name, blob in files]
    return await settle(client_zip.downloadZip(to_js(entries)).blob())


async def into_folder(make):
    """Write files into a folder that the visitor picks. Returns whether one was picked. Raises RejectedError.

    make: async, gives the files. It is called once the folder is picked: a press allows that for a few seconds.

    Files get a number where their names are taken, as the command line does it.
    """
    try:
        folder = await settle(js.showDirectoryPicker(to_js({"mode": "readwrite"})))
    except RejectedError:
        return False  # the visitor closed the dialog
    files = await make()
    number, names = 1, [name for _, name, _ in files]
    while await is_any_in(folder, names):
        number += 1
        names = [numbered(name, number) for _, name, _ in files]
    for name, (_, _, blob) in zip(names, files):
        file = await settle(folder.getFileHandle(name, to_js({"create": True})))
        stream = await settle(file.createWritable())
        await settle(stream.write(blob))
        await settle(stream.close())
    return True


async def is_any_in(folder, names):
    for name in names:
        if await outcome(folder.getFileHandle(name)):
            return True
    return False


def numbered(name, number):
    """The name of a stem's file with a number behind the song's title."""
    title, ending = name.rsplit(" - ", 1)
    return "{} ({}) - {}".format(title, number, ending)


async def mixed(song, pool, mix, name, on_progress, loop=None, speed=1, key=0, click_volume=0):
    """The sum of some stems, and of the click, as a file: its name, its Blob, and how many samples were too loud.

    mix: by stem its gain, and its pan from -1, left, to 1, right; empty for the click alone. name: the mix's. loop:
    begin and end of a part of the song, in samples. speed, key: 1 and 0 semitones are the song's own. click_volume: 0
    leaves the click out. on_progress: see `stem_files`.
    Raises WorkerError, RejectedError or ValueError.
    """
    form, part = Form(song), loop or (0, song.length)
    length, kind = part[1] - part[0], song.kind
    groups = {}  # by the group of its stems, a part of the mix
    for stem in mix:
        groups.setdefault(tuning.group(stem, key), {})[stem] = mix[stem]
    shifts = tuning.shifts(speed, key)
    if not mix:
        parts, loud = [], 0
    elif any(group in shifts for group in groups):
        parts, loud = await tuned(song, pool, groups, shifts, speed, *part)
        length, kind = pitch.tuned_length(length, speed), "float"
    else:
        parts, loud = await summed(song, pool, mix, *part)
    if click_volume:
        sounds, gains = [click_track(song, part, length, kind, speed)], [click_volume]
        if mix:
            sounds, gains = sounds + [js.Blob.new(to_js(parts))], gains + [1]
        parts, count = await added(pool, sounds, length, kind, gains)
        loud += count
    if form.needs_library(kind):
        await media_library.library_for(FORMATS[form.name])
    tempo = analysis.tempo(song.analysis)
    if tempo:
        tempo = tempo[0] * speed, tempo[1]
    name, blob = await file_of(song, form, name, (parts, length, kind), on_progress, tempo)
    return name, blob, loud


async def summed(song, pool, mix, begin, end):
    """The sum of some stems from one sample to another: Blobs of its samples, and how many were too loud."""
    gains, pans = [mix[stem][0] for stem in mix], [mix[stem][1] for stem in mix]
    work = []
    for start, samples, blobs in song.in_song_order():
        first, last = max(begin - start, 0), min(end - start, samples)
        if first < last:
            some = [part_of(blobs[stem], first, last, song.kind) for stem in mix]
            work.append(mixed_piece(pool, some, gains, pans, song.kind))
    return await in_turn(work)


async def tuned(song, pool, groups, shifts, speed, begin, end):
    """As `summed`, at a speed and each group of stems after its shift: 32-bit floats.

    groups: by name, what of the mix belongs to it; shifts: as `tuning` has them.
    """
    length, sounds, loud = end - begin, [], 0
    new_length = pitch.tuned_length(length, speed)  # before the work
    library = await media_library.library()
    for group in groups:  # one after the other takes less memory
        parts, count = await summed(song, pool, groups[group], begin, end)
        shift = shifts.get(group)
        sounds.append(await pitch.tuned(library, parts, length, song.kind, speed, shift))
        loud += count
    parts, count = await added(pool, sounds, new_length, "float", [1] * len(sounds))
    return parts, loud + count


async def added(pool, sounds, length, kind, gains):
    """The sum of Blobs of `length` samples of a kind, each times its gain, as `summed` gives it.

    One alone is looked through for what is too loud.
    """
    work, pans = [], [0] * len(sounds)
    for first in range(0, length, STRETCH):
        some = [part_of(sound, first, min(first + STRETCH, length), kind) for sound in sounds]
        work.append(mixed_piece(pool, some, gains, pans, kind))
    return await in_turn(work)


async def in_turn(work):
    """What `mixed_piece` gives of pieces, as Blobs and a number."""
    # All pieces are asked for at once, so that they get ahead of the next batch of a song at work.
    answers = await asyncio.gather(*work, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return [part for part, _ in answers], sum([count for _, count in answers])


def click_track(song, part, length, kind, speed):
    """The click of a part of a song: a Blob of `length` samples of a kind, at a speed."""
    size, begin = wav.frame_bytes(kind), part[0]
    sounds = [array(click.as_bytes(click.sound(begins_bar), kind)) for begins_bar in (False, True)]
    samples = js.Uint8Array.new(length * size)
    for sample, begins_bar in click.clicks(song.analysis, *part):
        place = int((sample - begin) / speed + 0.5)
        if place < length:
            sound = sounds[begins_bar]
            samples.set(sound.subarray(0, (length - place) * size), place * size)
    return js.Blob.new(to_js([samples]))


def part_of(blob, first, last, kind):
    """The samples from `first` to `last` in a Blob, as a Blob."""
    size = wav.frame_bytes(kind)
    return blob.slice(first * size, last * size)


async def mixed_piece(pool, *mix):
    """The sum's samples as a Blob, and how many were too loud. Asks again where workers are made anew."""
    while True:
        await pool.ready()
        try:
            answer = await pool.run(mix_piece, *mix, urgent=True)
        except Cancelled:
            continue  # the workers were made anew: ask them again
        return js.Blob.new(to_js([answer.samples])), answer.loud


async def mix_piece(worker, blobs, gains, pans, kind):
    return await worker.ask("mix", blobs=blobs, gains=gains, pans=pans, sample_kind=kind)
