"""Choices for the next songs: which stems, as which files. They are kept for the next visit."""

import asyncio

from js import document

from page import view
from page.files.downloads import TEMPO_IN_NAMES
from page.files.formats import FORMATS, can_encode
from page.settings import settings
from page.text.texts import tr

USUAL = ("vocals", "drums", "bass", "melody")
MORE = ("guitar", "piano")
"""Stems of some models, beside the usual ones, which all have."""


def some_targets(text):
    """Usual stems in a text with commas between them. Raises ValueError where there are none, except for "none"."""
    chosen = [target for target in USUAL if target in text.split(",")]
    if not chosen and text != "none":
        raise ValueError(text)
    return chosen


def some_more(text):
    """The other stems in such a text."""
    return [target for target in MORE if target in text.split(",")]


def is_switched(box):
    """Whether a box differs from the page's default."""
    return box.checked != box.defaultChecked


class Options:
    def __init__(self):
        self.boxes = list(document.querySelectorAll("#options [name=target]"))
        self.format, self.sound = view.element("format"), view.element("chime")
        self.rate, self.tempo = view.element("keep-rate"), view.element("tempo-in-names")
        # Choices made before this listened count more than those of an earlier visit.
        boxes_early = any(is_switched(box) for box in self.boxes)
        format_early = not self.format.selectedOptions[0].defaultSelected
        chosen = list(settings.get("stems", some_targets, USUAL))
        # A choice that was made when there were no other stems means these alone.
        chosen += settings.get("more-stems", some_more, MORE if len(chosen) == len(USUAL) else ())
        for box in self.boxes:
            if not boxes_early:
                box.checked = box.value in chosen
            view.on(box, "change", self.changed)
        if not format_early:
            self.format.value = settings.get("format", settings.one_of(FORMATS), "16")
        if not is_switched(self.sound):
            self.sound.checked = settings.get("chime", settings.one_of(("on", "off")), "on") == "on"
        if not is_switched(self.rate):
            self.rate.checked = settings.get("rate", settings.one_of(("own", "cd")), "cd") == "own"
        if not is_switched(self.tempo):
            stored = settings.get(TEMPO_IN_NAMES, settings.one_of(("on", "off")), "off")
            self.tempo.checked = stored == "on"
        view.on(self.format, "change", self.changed)
        view.on(self.tempo, "change", self.changed)
        view.on(self.rate, "change", self.changed)
        view.on(self.sound, "change", self.changed)
        asyncio.create_task(self.offer())
        if not self.targets():
            self.boxes[0].checked = True  # one at least
        if boxes_early or format_early:
            self.store()
        self.explain()

    async def offer(self):
        """Offer only formats that this browser can write."""
        if not await can_encode("opus", 48000):
            self.format.querySelector("[value=opus]").remove()
            if not self.format.value:
                self.format.value = "16"

    def offer_stems(self, targets):
        """Show a box for each of a model's stems. The usual ones are always there."""
        for box in self.boxes:
            box.parentElement.hidden = box.value in MORE and box.value not in targets
        self.explain()

    def offered(self):
        return [box for box in self.boxes if not box.parentElement.hidden]

    def changed(self, event):
        if event.target.name == "target" and not self.targets():
            event.target.checked = True  # one at least
        self.store()
        self.explain()

    def store(self):
        checked = [box.value for box in self.boxes if box.checked]
        for key, names in (("stems", USUAL), ("more-stems", MORE)):
            settings.store(key, ",".join([name for name in names if name in checked]) or "none")
        settings.store("format", self.form())
        settings.store("rate", "own" if self.keeps_rate() else "cd")
        settings.store("chime", "on" if self.chime() else "off")
        settings.store(TEMPO_IN_NAMES, "on" if self.tempo.checked else "off")

    def explain(self):
        chosen, text = self.targets(), ""
        if chosen == ["vocals"]:
            text = tr("All but the vocals is the karaoke version.")
        elif len(chosen) < len(self.boxes):
            text = tr("What you leave out of the song comes as one stem more.")
        view.say(view.element("options-note"), text)

    def targets(self):
        """The wanted stems. Where all offered ones are wanted, so are those of other models."""
        offered = self.offered()
        chosen = [box.value for box in offered if box.checked]
        return [box.value for box in self.boxes] if len(chosen) == len(offered) else chosen

    def form(self):
        """The format of the files, by its name in `formats`."""
        return self.format.value

    def keeps_rate(self):
        """Whether files have the song's own sample rate rather than 44.1 kHz."""
        return self.rate.checked

    def chime(self):
        return self.sound.checked
