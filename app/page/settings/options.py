"""What to make of the songs that come next: which stems, as which files. Kept for the next visit."""

import asyncio

from js import document

from page import view
from page.files.formats import FORMATS, can_encode_opus
from page.settings import settings
from page.text.texts import tr

TARGETS = ("vocals", "drums", "bass", "melody")


def some_targets(text):
    """Stems from their names with commas between; raises ValueError for none."""
    chosen = [target for target in TARGETS if target in text.split(",")]
    if not chosen:
        raise ValueError(text)
    return chosen


def is_switched(box):
    """Whether a box is not as the page has it at first."""
    return box.checked != box.defaultChecked


class Options:
    def __init__(self):
        self.boxes = list(document.querySelectorAll("#options [name=target]"))
        self.format, self.sound = view.element("format"), view.element("chime")
        self.rate = view.element("keep-rate")
        # What the visitor has chosen before this listened counts more than an earlier visit.
        boxes_early = any(is_switched(box) for box in self.boxes)
        format_early = not self.format.selectedOptions[0].defaultSelected
        chosen = settings.get("stems", some_targets, TARGETS)
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
        view.on(self.format, "change", self.changed)
        view.on(self.rate, "change", self.changed)
        view.on(self.sound, "change", self.changed)
        asyncio.create_task(self.offer())
        if not self.targets():
            self.boxes[0].checked = True  # one at least
        if boxes_early or format_early:
            self.store()
        self.explain()

    async def offer(self):
        """Only the formats that this browser can write."""
        if not await can_encode_opus():
            self.format.querySelector("[value=opus]").remove()
            if not self.format.value:
                self.format.value = "16"

    def changed(self, event):
        if event.target.name == "target" and not self.targets():
            event.target.checked = True  # one at least
        self.store()
        self.explain()

    def store(self):
        settings.store("stems", ",".join(self.targets()))
        settings.store("format", self.form())
        settings.store("rate", "own" if self.keeps_rate() else "cd")
        settings.store("chime", "on" if self.chime() else "off")

    def explain(self):
        chosen, text = self.targets(), ""
        if chosen == ["vocals"]:
            text = tr("All but the vocals is the karaoke version.")
        elif len(chosen) < len(TARGETS):
            text = tr("What you leave out of the song comes as one stem more.")
        view.say(view.element("options-note"), text)

    def targets(self):
        return [box.value for box in self.boxes if box.checked]

    def form(self):
        """The format of the files, by its name in `formats`."""
        return self.format.value

    def keeps_rate(self):
        """Whether files have the song's own sample rate rather than 44.1 kHz."""
        return self.rate.checked

    def chime(self):
        return self.sound.checked
