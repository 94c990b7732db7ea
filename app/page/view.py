"""The page's elements: finding, filling and watching them."""

import gc

from js import AbortController, FinalizationRegistry, document, setTimeout
from pyscript.ffi import create_proxy, to_js
from texts import tr


def element(name):
    return document.getElementById(name)


def copy(template):
    """A new element from a template's first one."""
    return element(template).content.firstElementChild.cloneNode(True)


def on(target, event, handler):
    """Have a function called with every such event.

    It returns nothing that it has made, a coroutine least of all: MicroPython may free it before JavaScript has it.
    """
    if not getattr(target, "deafen", None):
        target.deafen = AbortController.new()
    listener = create_proxy(handler)
    target.addEventListener(event, listener, to_js({"signal": target.deafen.signal}))
    COLLECTED.register(listener, None)


collecting = False


def listener_collected(_):
    """What it has held in Python's memory holds elements in JavaScript's; Python's collector doesn't run by itself."""
    global collecting
    if not collecting:
        collecting = True
        for delay in (1000, 5000):  # what the first finds may hold more
            setTimeout(create_proxy(collect), delay)


def collect():
    global collecting
    collecting = False
    gc.collect()


COLLECTED = FinalizationRegistry.new(create_proxy(listener_collected))
"""Tells of listeners of removed elements that are gone from JavaScript's memory."""


def discard(node):
    """Remove an element with all that listens to it and to those within.

    A handler that knows the element it listens to is held by it and holds it, one in JavaScript's memory and one in
    Python's, so that neither would ever be collected.
    """
    for element in [node] + list(node.querySelectorAll("*")):
        deafen(element)
    node.remove()


def deafen(target):
    """End all that listens to it."""
    if getattr(target, "deafen", None):
        target.deafen.abort()


def on_click(target, handler):
    on(target, "click", lambda event: handler())


def state(name):
    """loading, ready, running, done or error: for styles, and for scripts that drive the page."""
    document.documentElement.dataset.state = name


def get_state():
    return document.documentElement.dataset.state


def say(node, text):
    if node.textContent != text:
        node.textContent = text


def announce(text):
    """Have a screen reader say it, also if it is what was said last."""
    element("announcer").textContent = ""
    element("announcer").textContent = text


def error(text):
    say(element("error"), text)
    element("error").hidden = not text


def tab_title(text=""):
    document.title = (text + " · " if text else "") + tr("umx: separate a song into stems")


def clock(seconds):
    minutes, seconds = divmod(int(seconds), 60)
    return "{}:{:02d}".format(minutes, seconds)


def capital(text):
    return text[0].upper() + text[1:]


def focus(node):
    """Where the visitor is from now on; the page doesn't scroll there."""
    node.focus(to_js({"preventScroll": True}))


def press(button, yes):
    button.setAttribute("aria-pressed", "true" if yes else "false")
