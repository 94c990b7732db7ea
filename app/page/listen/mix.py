"""The mix: which stems of a song are heard and how, and which part is repeated. Pure Python, on MicroPython too."""

from shared.facts import SAMPLE_RATE

LOUDEST = 1.5
"""The highest volume."""
NEUTRAL = (1, 0)
"""Gain and pan of an unchanged stem."""

SHORTEST_LOOP = int(0.5 * SAMPLE_RATE)  # samples
PRESETS = (
    "everything",
    "karaoke",
    "acapella",
    "drumless",
    "guitarless",
    "bass",
    "piano",
    "original",
)
ONLY = {"acapella": "vocals", "bass": "bass", "piano": "piano"}
WITHOUT = {"karaoke": "vocals", "drumless": "drums", "guitarless": "guitar"}


def heard_in(preset, stems):
    """Stems that are heard with a preset; none with "original", which is heard instead."""
    if preset == "original":
        return []
    only, without = ONLY.get(preset), WITHOUT.get(preset)
    return [stem for stem in stems if stem != without and only in (None, stem)]


def recipe_of(preset, stems):
    """The recipe of a preset's file, see `Mix.recipe`."""
    return dict.fromkeys(heard_in(preset, stems), NEUTRAL)


def presets_with_files(stems):
    """Presets with files of their own, beside stems and karaoke. A preset of one stem has that stem's file."""
    without = [name for name in PRESETS if name in WITHOUT and name != "karaoke"]
    return [name for name in without if WITHOUT[name] in stems and len(stems) > 2]


def moment(sample):
    """A time in the song for a file's name: 1.05 is a minute and five seconds."""
    minutes, seconds = divmod(sample // SAMPLE_RATE, 60)
    return "{}.{:02d}".format(minutes, seconds)


def is_loop(one, other):
    """Whether two samples are far enough apart for a loop."""
    return abs(other - one) >= SHORTEST_LOOP


def number(value, low, high, otherwise):
    """A kept value, if it is a number in a range."""
    fits = isinstance(value, (int, float)) and low <= value <= high
    return value if fits else otherwise


class Mix:
    """Solo, mute, volume and pan of each stem, or the original instead of them; and the loop.

    The original leaves the stems as they are set, for when they are heard again.
    """

    def __init__(self):
        self.stems = []
        self.has_original = self.is_original = (
            False  # whether the original can be heard, and whether it is
        )
        self.solos, self.mutes = set(), set()
        self.volumes, self.pans = {}, {}  # 1 is as loud as it is; from -1, left, to 1, right
        self.loop = None  # begin and end, in samples
        self.loop_begin = None  # begin of a loop whose end isn't chosen yet, in samples

    # What is heard

    def lay_out(self, stems, has_original):
        """Take these stems. Those that were there keep their settings; a preset stays chosen if it is offered."""
        chosen = self.chosen()[:1]
        self.stems, self.has_original = list(stems), has_original
        self.solos = {stem for stem in self.stems if stem in self.solos}
        self.mutes = {stem for stem in self.stems if stem in self.mutes}
        self.volumes = {stem: self.volumes.get(stem, 1.0) for stem in self.stems}
        self.pans = {stem: self.pans.get(stem, 0.0) for stem in self.stems}
        self.is_original = False
        self.loop = self.loop_begin = None
        for preset in chosen:
            if self.is_offered(preset):
                self.hear(preset)
        if not (self.is_original or self.heard()):
            self.choose("everything")

    def is_offered(self, preset):
        """Whether a preset makes sense for these stems, and sounds different from everything."""
        if preset == "original":
            return self.has_original
        heard = heard_in(preset, self.stems)
        return preset == "everything" or 0 < len(heard) < len(self.stems)

    def choose(self, preset):
        """Hear a preset. "everything" resets volumes and pans, too."""
        self.hear(preset)
        if preset == "everything":
            for stem in self.stems:
                self.volumes[stem], self.pans[stem] = NEUTRAL

    def hear(self, preset):
        self.is_original = preset == "original"
        if not self.is_original:
            heard = heard_in(preset, self.stems)
            self.solos, self.mutes = set(), {stem for stem in self.stems if stem not in heard}

    def chosen(self):
        """Presets that sound like the mix now. "everything" is one of them only with neutral volumes and pans."""
        if self.is_original:
            return ["original"]
        heard, is_neutral = self.heard(), self.is_neutral()
        offered = [name for name in PRESETS[:-1] if self.is_offered(name)]
        names = [name for name in offered if heard_in(name, self.stems) == heard]
        return [name for name in names if is_neutral or name != "everything"]

    def is_neutral(self):
        """Whether the stems that are heard have neutral volumes and pans."""
        return all(some == NEUTRAL for some in self.recipe().values())

    def toggle_solo(self, stem):
        self.solos = self.solos ^ {stem}
        self.is_original = False

    def toggle_mute(self, stem):
        self.mutes = self.mutes ^ {stem}
        self.is_original = False

    def gains(self):
        """Gains by stem; 0 for silent ones, which all are with the original."""
        gains = {}
        for stem in self.stems:
            heard = stem in self.solos if self.solos else stem not in self.mutes
            heard = heard and not self.is_original
            gains[stem] = self.volumes[stem] if heard else 0
        return gains

    def heard(self):
        gains = self.gains()
        return [stem for stem in self.stems if gains[stem]]

    def recipe(self):
        """Ingredients of the mix's file: gain and pan by stem. Empty for the original."""
        gains = self.gains()
        return {stem: (gains[stem], self.pans[stem]) for stem in self.heard()}

    def file_part(self, loop=None, speed=1, key=0):
        """The part of the song in the mix's file, for its name: "karaoke", "drums + bass 0.42-1.07 80% +3".

        It is a preset's name only with neutral volumes and pans.
        """
        chosen = self.chosen()
        parts = [chosen[0] if chosen and self.is_neutral() else " + ".join(self.heard())]
        if loop:
            parts.append("-".join([moment(sample) for sample in loop]))
        if speed != 1:
            parts.append("{:.0f}%".format(100 * speed))
        if key:
            parts.append("{:+d}".format(key))
        return " ".join(parts)

    # What is repeated

    def mark(self, sample):
        """Begin a loop at a sample, or end it there. If there is a loop, remove it."""
        if self.loop:
            self.loop = None
        elif self.loop_begin is None:
            self.loop_begin = sample
        else:
            self.repeat(self.loop_begin, sample)

    def repeat(self, one, other):
        """Loop between two samples, in either order. Samples that are too close make no loop."""
        self.loop = (min(one, other), max(one, other)) if is_loop(one, other) else None
        self.loop_begin = None

    def with_edge(self, edge, sample):
        """The loop with its begin (0) or its end (1) moved to a sample, but no shorter than SHORTEST_LOOP."""
        begin, end = self.loop
        if edge:
            return begin, max(sample, begin + SHORTEST_LOOP)
        return min(sample, end - SHORTEST_LOOP), end

    def dragged(self, begun, sample, edge=None):
        """The loop that is meant when a waveform is pressed at one sample and released at another, or None.

        edge: that of the loop which is pressed, see `with_edge`; None beside the edges.
        """
        if edge is not None:
            return self.with_edge(edge, sample)
        return (min(begun, sample), max(begun, sample)) if is_loop(begun, sample) else None

    # What is kept with a song

    def facts(self):
        """The visitor's settings, in a form for JSON."""
        return {
            "solos": sorted(self.solos),
            "mutes": sorted(self.mutes),
            "volumes": self.volumes,
            "pans": self.pans,
            "loop": self.loop and list(self.loop),
        }

    def restore(self, facts, length):
        """Take over settings from `facts`, as far as they make sense. length: the song's, in samples."""

        def found(name, kind):
            value = facts.get(name) if isinstance(facts, dict) else None
            return value if isinstance(value, kind) else kind()

        self.solos = {stem for stem in self.stems if stem in found("solos", list)}
        self.mutes = {stem for stem in self.stems if stem in found("mutes", list)}
        for stem in self.stems:
            self.volumes[stem] = number(found("volumes", dict).get(stem), 0, LOUDEST, NEUTRAL[0])
            self.pans[stem] = number(found("pans", dict).get(stem), -1, 1, NEUTRAL[1])
        ends = [number(sample, 0, length, None) for sample in found("loop", list)]
        if len(ends) == 2 and None not in ends:
            self.repeat(*[int(sample) for sample in ends])
