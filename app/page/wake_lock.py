"""What a page that works for minutes owes its visitor: the screen stays on, and nothing is lost without a word."""

import asyncio

import js
import settings
import view
from promises import RejectedError, attempt, outcome, settle
from pyscript.ffi import to_js
from texts import tr


class WakeLock:
    """Keeps the screen on while there is work: phones stop a page whose screen goes dark."""

    def __init__(self):
        self.wanted, self.lock = False, None
        view.on(js.document, "visibilitychange", self.asked_again)

    async def keep(self, wanted):
        self.wanted = wanted
        if not wanted and self.lock:
            lock, self.lock = self.lock, None
            await settle(lock.release())
        elif wanted and not self.lock and getattr(js.navigator, "wakeLock", None):
            try:
                lock = await settle(js.navigator.wakeLock.request("screen"))
            except RejectedError:
                return  # a low battery, or the page isn't in front: asked again when it is
            if self.wanted and not self.lock:
                self.lock = lock
                view.on(lock, "release", self.lost)
            else:  # the work was done meanwhile
                await settle(lock.release())

    def lost(self, event):
        self.lock = None

    def asked_again(self, event):
        if js.document.visibilityState == "visible":
            asyncio.create_task(self.keep(self.wanted))


def warn_before_leaving(has_unsaved):
    """Have the browser ask before the page goes, as long as has_unsaved() is true."""

    def leaving(event):
        if has_unsaved():
            event.preventDefault()

    view.on(js.window, "beforeunload", leaving)


class Notice:
    """A notification at the end, where the visitor has asked for it and the browser allows it."""

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
        settings.keep("notify", "on" if self.box.checked else "off")

    async def give(self, title, text):
        if not self.box.checked:
            return
        options = to_js({"body": text, "icon": "app/icon.png"})
        kind = js.Notification
        made = attempt(js.Reflect.construct, kind, to_js([title, options]), kind)
        if not await outcome(made):
            # Phones want the service worker to show it.
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
