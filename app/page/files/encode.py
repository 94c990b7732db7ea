"""Encodes samples in Blobs as files of any format, a stretch at a time, so that the page stays responsive."""

import js
from pyscript.ffi import to_js

from page.files import media_library, wav
from page.files.formats import FORMATS
from page.files.wav import CHANNELS
from page.promises import settle
from shared.facts import SAMPLE_RATE

STRETCH = 2 * SAMPLE_RATE
"""Samples that are read together, approximately."""
MARGIN = 1024
"""Samples before and behind a stretch that resampling may take into account."""


def wav_blob(parts, frames, kind, tags=()):
    """A WAV file of samples that lie in Blobs; tags: their chunks, in Uint8Arrays."""
    header = wav.header(frames, kind, sum([part.length for part in tags]))
    before, data = array(header[: -wav.DATA]), array(header[-wav.DATA :])
    return js.Blob.new(to_js([before] + list(tags) + [data] + parts), to_js({"type": "audio/wav"}))


def array(some):
    """Bytes as a Uint8Array."""
    return js.Uint8Array.new(to_js(list(some)))


async def encoded(parts, length, kind, name, rate, frames, tags, on_progress):
    """A file of a format by its name in `formats`, as a Blob.

    parts: `length` samples of every channel in Blobs, of a kind in wav.FORMATS. rate, frames: the file's sample rate
    and number of samples. tags: as `tags` reads them. on_progress is called with the fraction that is done; an
    exception that it raises ends the work.
    """
    form = FORMATS[name]
    on_progress(0)
    library = await media_library.library_for(form)
    # The library writes two kinds of tags into WAV files; only ID3 has all letters.
    options = {"metadataFormat": "id3"} if form.container == "Wav" else {}
    container = getattr(library, form.container + "OutputFormat").new(to_js(options))
    tracks, size = [(parts, {})], (rate, frames)
    data = await content(library, container, form, tracks, length, kind, *size, tags, on_progress)
    return js.Blob.new(to_js([data]), to_js({"type": container.mimeType}))


async def content(library, container, form, tracks, length, kind, rate, frames, tags, on_progress):
    """A file's bytes, an ArrayBuffer.

    container: the library's output format. form: a Format. tracks: of each, its parts as `encoded` takes them and its
    metadata as the library does. The rest: see `encoded`.
    """
    target = library.BufferTarget.new()
    output = library.Output.new(to_js({"format": container, "target": target}))
    config = {"codec": form.codec}
    if form.bitrate:
        config["bitrate"] = form.bitrate
    sources = []
    for parts, facts in tracks:
        source = library.AudioSampleSource.new(to_js(config))
        output.addAudioTrack(source, to_js(facts))
        sources.append((source, js.Blob.new(to_js(parts))))
    output.setMetadataTags(to_js(tags))
    try:
        await settle(output.start())
        for begin, first, count in stretches(rate, frames):
            on_progress(first / frames)
            for source, samples in sources:
                if rate == SAMPLE_RATE and kind == form.kind == "16":
                    some = await as_kept(library, samples, first, count)
                else:
                    planes = await resampled(samples, length, kind, begin, rate, count)
                    some = sample(library, planes, first, rate, form.kind)
                await settle(source.add(some))
                some.close()
        await settle(output.finalize())
    except Exception:
        await settle(output.cancel())
        raise
    return target.buffer


def steps(rate):
    """The fewest samples at 44.1 kHz that last as long as a whole number at another rate, and that number."""
    one, other = SAMPLE_RATE, rate
    while other:
        one, other = other, one % other
    return SAMPLE_RATE // one, rate // one


def stretches(rate, frames):
    """Where to read, where to write, and how many samples to write, until `frames` are written."""
    step, new_step = steps(rate)
    many = max(1, STRETCH // step)
    for index in range(-(-frames // (many * new_step))):
        first = index * many * new_step
        yield index * many * step, first, min(many * new_step, frames - first)


async def as_kept(library, samples, first, count):
    """A stretch of 16-bit samples, undecoded, for the library: Firefox's decoder would change some by one step."""
    size = wav.frame_bytes("16")
    stretch = samples.slice(float(first * size), float((first + count) * size))
    integers = js.Int16Array.new(await settle(stretch.arrayBuffer()))
    return library.AudioSample.new(described("s16", integers, first, SAMPLE_RATE))


async def resampled(samples, length, kind, begin, rate, count):
    """`count` samples of each channel at another rate, from the one at 44.1 kHz numbered `begin` on: a Float32Array.

    The browser's decoder resamples, faster than a Python loop, and as it does when it decodes songs.
    """
    step, new_step = steps(rate)
    margin = 0 if rate == SAMPLE_RATE else -(-MARGIN // step)
    before = min(margin, begin // step)
    start = begin - before * step
    end = min(length, begin - (-count * step // new_step) + margin * step)
    size = wav.frame_bytes(kind)
    # Floats, because MicroPython truncates integers above 2³¹ on the way to JavaScript.
    stretch = samples.slice(float(start * size), float(end * size))
    some = wav_blob([stretch], end - start, kind)
    context = js.OfflineAudioContext.new(CHANNELS, 1, rate)
    audio = await settle(context.decodeAudioData(await settle(some.arrayBuffer())))
    skip = before * new_step
    planes = js.Float32Array.new(CHANNELS * count)
    for channel in range(CHANNELS):
        # At the song's end the decoder may give one sample less, which stays silent.
        planes.set(audio.getChannelData(channel).subarray(skip, skip + count), channel * count)
    return planes


def sample(library, planes, first, rate, kind):
    """A stretch in the library's form, with as many bits as the file has."""
    floats = library.AudioSample.new(described("f32-planar", planes, first, rate))
    if kind != "16":
        return floats
    integers = js.Int16Array.new(planes.length)
    floats.copyTo(integers, to_js({"format": "s16", "planeIndex": 0}))
    floats.close()
    return library.AudioSample.new(described("s16", integers, first, rate))


def interleaved(library, planes, count):
    """A Blob of interleaved 32-bit floats. planes: a Float32Array for each channel."""
    joined = js.Float32Array.new(CHANNELS * count)
    for channel, plane in enumerate(planes):
        joined.set(plane, channel * count)
    floats = library.AudioSample.new(described("f32-planar", joined, 0, SAMPLE_RATE))
    in_turn = js.Float32Array.new(
        joined.length
    )  # a separate array: the library reads `joined` meanwhile
    floats.copyTo(in_turn, to_js({"format": "f32", "planeIndex": 0}))
    floats.close()
    return js.Blob.new(to_js([in_turn]))


def described(form, data, first, rate):
    return to_js(
        {
            "format": form,
            "data": data,
            "numberOfChannels": CHANNELS,
            "sampleRate": rate,
            "timestamp": first / rate,
        }
    )
