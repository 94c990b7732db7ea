"""The keyboard: what a key does when no control takes it."""

import js
import settings
import view
from mixer import JUMP

CONTROLS = ("INPUT", "SELECT", "TEXTAREA", "BUTTON", "A", "SUMMARY")


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
        settings.keep("shortcuts", "on" if self.enabled.checked else "off")

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
        # A focused control keeps the keys that it understands itself.
        tag = event.target.tagName
        if tag in ("INPUT", "SELECT") and event.target.type != "checkbox":
            return
        if tag in CONTROLS and key in (" ", "Enter"):
            return
        if key == "?":
            self.help.showModal()
        elif mixer and self.control(mixer, key):
            event.preventDefault()

    def control(self, mixer, key):
        """Whether the key means something to the mixer, which has done it then."""
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
            if number < len(mixer.stems):
                mixer.lanes[mixer.stems[number]].solo.click()
        elif key in mixer.keys:
            if not mixer.keys[key].disabled and not mixer.keys[key].hidden:
                mixer.keys[key].click()
        else:
            return False
        return True
