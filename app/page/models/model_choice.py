"""Which model songs are separated with: the order of models, what a device has room for, whether a song waits for a
better one, how long a song takes. Pure Python, on MicroPython too.
"""

import json

from page.text.texts import tr

WORTH_WAITING = 30
"""Seconds for which a song waits for a better model by itself, about as long as one is at work. To separate it first
with the lesser model and then again would bring the better stems no earlier."""
TELLING, SETTLING = 0.05, 5
"""The fraction of a download, or its seconds, before which its speed says little: the first bytes take longest."""
SAMPLE = 240
"""Seconds of the song by whose time models are compared."""
LONG_ENOUGH = 15
"""Seconds of music below which what goes before and after a song's work says too little of its speed."""
FIXED = 19_000_000
"""Work that a second of music takes whatever the networks' size, in bytes of their weights; as measured."""
NEEDS = {"openunmix": (100_000_000, 3), "htdemucs": (300_000_000, 1)}
"""By architecture, the bytes that a worker takes whatever the model's size, and how often it has the model's weights,
unpacked, at most."""
BESIDE = 100_000_000
"""Bytes that a worker takes for the small model beside another, one segment at a time."""
USUAL_PACE = {"openunmix": 900_000_000, "htdemucs": 130_000_000}
"""By architecture, the work that a worker does in a second on a computer of today; see `work`."""
GIGABYTE = 1_000_000_000
MOST = 1e15
"""What no device does in a second."""


class Model:
    """What there is to know of a model before it is chosen."""

    def __init__(
        self,
        name,
        title,
        licence="",
        quality=None,
        size=0,
        weights=0,
        coming=None,
        left=None,
        architecture="openunmix",
    ):
        """quality: mean SDR in dB of its targets, or None.
        size, weights: bytes as it travels, and unpacked; 0 if that isn't known.
        coming: for a model that the site doesn't have yet, the fraction of it that is there; left: seconds until it is
        there, as far as they are known.
        """
        self.name, self.title, self.licence = name, title, licence
        self.quality, self.size, self.weights = quality, size, weights
        self.coming, self.left = coming, left
        self.architecture = architecture
        self.is_mine = False  # whether it is kept on this device
        self.address = "weights/" + name + "/"


def mean(ratios):
    """The mean of some SDRs; None of none."""
    return sum(ratios) / len(ratios) if ratios else None


def short(title):
    """A title without what describes it: "umx-mini, a small first model". It is the English one, before `tr`."""
    return title.split(",")[0]


def in_order(models):
    """The best first; those of unknown quality last, and as they came."""
    return sorted(models, key=lambda model: (model.quality is None, -(model.quality or 0)))


def is_better(model, other):
    """Whether a model is known to be better than another; one of unknown quality counts as the least."""
    if model.quality is None:
        return False
    return other.quality is None or model.quality > other.quality


def need(model):
    """Bytes that a worker takes with the model."""
    fixed, copies = NEEDS.get(model.architecture, NEEDS["openunmix"])
    return fixed + copies * model.weights


def most_workers(model, memory):
    """How many workers take no more than half of the device's memory, in GB."""
    return int(memory * GIGABYTE / 2 // need(model))


def can_preview(model, workers, memory):
    """Whether so many workers with the model and the small one take no more than half of the device's memory, in GB."""
    return workers * (need(model) + BESIDE) <= memory * GIGABYTE / 2


def fits(model, memory):
    """Whether one worker with the model takes no more than half of the device's memory, in GB.

    One worker is enough to ask for: by default there are no more than fit, and a pool that finds no memory for all of
    them goes on with fewer.
    """
    return most_workers(model, memory) > 0


def best(models, memory):
    """The best of those that the device has room for, or None."""
    fitting = in_order([model for model in models if fits(model, memory)])
    return fitting[0] if fitting else None


def seconds_left(fraction, spent):
    """Seconds until all is here of which a fraction came in so many seconds; None as long as that can't be told."""
    if not fraction or (fraction < TELLING and spent < SETTLING):
        return None
    return spent * (1 - fraction) / fraction


def waits(wish, left, spent):
    """Whether a song waits for a model that is on its way.

    wish: what the visitor said, None for nothing; left: seconds until it is here, None if that isn't known; spent:
    seconds since it began to come.
    """
    if wish is not None:
        return wish
    return (spent if left is None else left) <= WORTH_WAITING


def work(model):
    """What a second of music takes, in a unit of the architecture's own."""
    return FIXED + model.weights


def pool_of(model, engine, workers):
    """What speeds are told apart by: a second of music takes one architecture far longer than another."""
    return "{} {} {}".format(model.architecture, engine, workers)


class Speeds:
    """How fast this device was, by engine and number of workers; kept as text between visits."""

    def __init__(self, text=""):
        try:
            found = json.loads(text).items()
            self.found = {key: float(value) for key, value in found if 0 < float(value) < MOST}
        except (ValueError, TypeError, AttributeError):
            self.found = {}

    def text(self):
        return json.dumps(self.found)

    def add(self, model, engine, workers, seconds, is_trial=False):
        """A second of music took these seconds with a model; of noise, if it was a trial."""
        pool = pool_of(model, engine, workers)
        self.found[pool] = work(model) / seconds
        if not is_trial:
            self.found[pool + " " + model.name] = seconds

    def add_song(self, model, engine, workers, seconds, spent):
        """A song of so many seconds took so many, unless it is too short to say much."""
        if seconds >= LONG_ENOUGH and spent > 0:
            self.add(model, engine, workers, spent / seconds)

    def knows(self, model, engine, workers):
        return pool_of(model, engine, workers) in self.found

    def of(self, model, engine, workers):
        """Seconds for `SAMPLE` seconds of music, and whether they were measured with that model; None if nothing was
        measured, or the model's size isn't known."""
        pool = pool_of(model, engine, workers)
        measured = self.found.get(pool + " " + model.name)
        if measured:
            return SAMPLE * measured, True
        if pool in self.found and model.weights:
            return SAMPLE * work(model) / self.found[pool], False
        return None

    def pace(self, model, engine, workers):
        """Seconds that a second of music takes, a guess where nothing was measured."""
        found = self.of(model, engine, workers)
        if found:
            return found[0] / SAMPLE
        return work(model) / (workers * USUAL_PACE.get(model.architecture, USUAL_PACE["openunmix"]))


def in_words(quality):
    """A mean SDR as people judge what they hear."""
    if quality is None:
        return tr("quality unknown")
    if quality >= 6:
        return tr("very good")
    if quality >= 5:
        return tr("good")
    if quality >= 4:
        return tr("fair")
    return tr("basic")


def judged(quality):
    """The same with the figure: "very good · 6.3 dB"."""
    if quality is None:
        return in_words(quality)
    return in_words(quality) + " · " + "{:.1f} dB".format(quality)


def duration(seconds):
    """As people say it: "17 s", "2 min 5 s"."""
    seconds = max(1, int(seconds + 0.5))
    if seconds < 60:
        return tr("{} s").format(seconds)
    minutes, seconds = divmod(seconds, 60)
    return tr("{} min {} s").format(minutes, seconds - seconds % 5)


def time_taken(found):
    """What `Speeds.of` found, in words; "" for None."""
    if not found:
        return ""
    seconds, is_measured = found
    text = (
        tr("4 minutes take {} here") if is_measured else tr("4 minutes take an estimated {} here")
    )
    return text.format(duration(seconds))


def coming_in_words(size, left):
    """How much of a model is on its way, in bytes, and for how many seconds yet, as far as that is known."""
    parts = [megabytes(size)] if size else []
    if left is not None:
        parts.append(tr("{} left").format(duration(left)))
    return ", ".join(parts)


def megabytes(size):
    text = "{:.0f} MB" if size >= 10_000_000 else "{:.1f} MB"
    return text.format(size / 1_000_000)


def about(model, found, memory):
    """A line of facts before choosing; found: as `Speeds.of` gives it; memory: the device's, in GB."""
    parts = [judged(model.quality)]
    if model.size:
        parts.append(megabytes(model.size))
    parts += [model.licence, time_taken(found)]
    if not fits(model, memory):
        parts.append(tr("may need more memory than this device has"))
    return " · ".join([part for part in parts if part])
