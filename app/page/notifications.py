"""Tells a visitor who looks elsewhere that the work is done: by a notification, by two notes."""

import asyncio

import js
from pyscript.ffi import to_js

from page import view
from page.promises import attempt, outcome, settle
from page.settings import settings
from page.text.texts import tr


class Notifications:
    """A notification at the end of the work, if the visitor wants it and the browser allows it."""

    def __init__(self):
        self.box, self.note = view.element("notify"), view.element("notify-note")
        self.box.parentElement.hidden = not getattr(js.window, "Notification", None)
        wanted = settings.get("notify", settings.one_of(("on", "off")), "off") == "on"
        self.box.checked = wanted and js.Notification.permission == "granted"
        view.on(self.box, "change", lambda event: asyncio.create_task(self.asked()))

    async def asked(self):
        view.say(self.note, "")
        if self.box.checked and await js.Notification.requestPermission() != "granted":
            self.box.checked = False
            view.say(self.note, tr("Your browser doesn't allow this page notifications."))
        settings.store("notify", "on" if self.box.checked else "off")

    async def give(self, title, text):
        if not self.box.checked:
            return
        options = to_js({"body": text, "icon": "app/look/icon.png"})
        kind = js.Notification
        made = attempt(js.Reflect.construct, kind, to_js([title, options]), kind)
        if not await outcome(made):
            # On phones only the service worker may show it.
            registration = await settle(js.navigator.serviceWorker.getRegistration())
            if registration:
                registration.showNotification(title, options)


def chime():
    """Two soft notes: the work is done."""
    context = js.AudioContext.new()
    for delay, frequency in ((0, 660), (0.15, 880)):
        tone, gain = context.createOscillator(), context.createGain()
        start = context.currentTime + delay
        tone.frequency.value = frequency
        gain.gain.setValueAtTime(0, start)
        gain.gain.linearRampToValueAtTime(0.08, start + 0.02)
        gain.gain.setTargetAtTime(0, start + 0.05, 0.12)
        tone.connect(gain)
        gain.connect(context.destination)
        tone.start(start)
        tone.stop(start + 1)
    view.on(tone, "ended", lambda event: context.close())
