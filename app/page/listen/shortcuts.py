"""The keyboard: what each key does, such as Space, if no focused control takes it."""

import js

from page import view
from page.listen.mixer import JUMP
from page.settings import settings

PRESSED = (" ", "Enter")
MOVED = ("ArrowLeft", "ArrowRight", "Home")
KEPT = {"checkbox": PRESSED, "file": PRESSED, "radio": PRESSED + MOVED, "range": MOVED}
"""Keys that inputs handle themselves, by type. Inputs of other types handle all."""


def keeps(control, key):
    """Whether a focused control handles a key itself."""
    if control.tagName == "INPUT" and control.type in KEPT:
        return key in KEPT[control.type]
    if control.tagName in ("INPUT", "SELECT"):
        return True
    return control.tagName in ("BUTTON", "A", "SUMMARY") and key in PRESSED


class Shortcuts:
    def __init__(self, mixer):
        """mixer: gives the mixer that the visitor sees, or None."""
        self.mixer, self.help = mixer, view.element("help")
        self.enabled = view.element("shortcuts-enabled")
        self.enabled.checked = (
            settings.get("shortcuts", settings.one_of(("on", "off")), "on") == "on"
        )
        view.on(self.enabled, "change", self.switched)
        view.on_click(view.element("help-button"), self.help.showModal)
        view.on(js.document, "keydown", self.pressed)

    def switched(self, event):
        settings.store("shortcuts", "on" if self.enabled.checked else "off")

    def pressed(self, event):
        if (
            event.ctrlKey
            or event.altKey
            or event.metaKey
            or self.help.open
            or not self.enabled.checked
        ):
            return
        key, mixer = event.key, self.mixer()
        if keeps(event.target, key):
            return
        if key == "?":
            self.help.showModal()
        elif mixer and self.control(mixer, key):
            event.preventDefault()

    def control(self, mixer, key):
        """Have the mixer do what a key stands for. Returns whether it stands for anything."""
        if key == " ":
            mixer.play_or_pause()
        elif key == "ArrowLeft":
            mixer.jump(-JUMP)
        elif key == "ArrowRight":
            mixer.jump(JUMP)
        elif key == "Home":
            mixer.jump(-mixer.song.length)
        elif key in "123456":
            number = int(key) - 1
            if number < len(mixer.mix.stems):
                mixer.lanes[mixer.mix.stems[number]].solo.click()
        elif key.lower() in mixer.keys:
            button = mixer.keys[key.lower()]
            if not button.disabled and not button.hidden:
                button.click()
        else:
            return False
        return True
