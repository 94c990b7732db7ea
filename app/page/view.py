"""The page's elements: finding, filling and watching them."""

import gc

from js import (
    URL,
    AbortController,
    FinalizationRegistry,
    document,
    requestAnimationFrame,
    setTimeout,
    window,
)
from pyscript.ffi import create_proxy, to_js


def url(blob):
    """A Blob's address, until `let_go`."""
    return URL.createObjectURL(blob)


def let_go(address):
    URL.revokeObjectURL(address)


def download(name, address):
    """Have the browser save what is at an address under a name."""
    link = document.createElement("a")
    link.href, link.download = address, name
    link.click()


def address(path):
    """The URL of a file of the site, by its path."""
    return URL.new(path, document.baseURI).href


def element(name):
    return document.getElementById(name)


def copy(template):
    """A new element from a template's first one."""
    return element(template).content.firstElementChild.cloneNode(True)


def on(target, event, handler):
    """Call a function with every such event.

    The handler must return None: MicroPython may free an object that it returns before JavaScript has it.
    """
    if not getattr(target, "listeners", None):
        target.listeners = AbortController.new()
    listener = create_proxy(handler)
    target.addEventListener(event, listener, to_js({"signal": target.listeners.signal}))
    COLLECTED.register(listener, None)


collecting = False


def listener_collected(_):
    """Collect garbage soon: a dead listener's Python closure still pins DOM nodes, and MicroPython won't collect unless
    told to."""
    global collecting
    if not collecting:
        collecting = True
        for delay in (1000, 5000):  # objects that the first run frees may have held others
            setTimeout(create_proxy(collect), delay)


def collect():
    global collecting
    collecting = False
    gc.collect()


COLLECTED = FinalizationRegistry.new(create_proxy(listener_collected))
"""Tells when JavaScript has freed the listener of a removed element."""


def discard(node):
    """Remove an element with all listeners, its own and those within it.

    A handler that refers to its element makes a cycle through both languages' memories, which neither collector sees.
    """
    for element in [node] + list(node.querySelectorAll("*")):
        remove_listeners(element)
    node.remove()


def remove_listeners(target):
    """Remove every handler that `on` has given an element."""
    if getattr(target, "listeners", None):
        target.listeners.abort()


def on_click(target, handler):
    on(target, "click", lambda event: handler())


def warn_before_leaving(has_unsaved):
    """Have the browser ask before the page goes, as long as has_unsaved() is true."""

    def leaving(event):
        if has_unsaved():
            event.preventDefault()

    on(window, "beforeunload", leaving)


def state(name):
    """Set the page's state (loading, ready, running, done or error), for styles and for scripts that drive the page."""
    document.documentElement.dataset.state = name


def say(node, text):
    if node.textContent != text:
        node.textContent = text


def announce(text):
    """Have screen readers say a text, also when it repeats the last one."""
    element("announcer").textContent = ""
    element("announcer").textContent = text


def error(text):
    say(element("error"), text)
    element("error").hidden = not text


before_title = ""


def tab_title(text=""):
    """Put a text before the page's title, in place of the last one."""
    global before_title
    title = document.title[len(before_title) :]
    before_title = text + " · " if text else ""
    document.title = before_title + title


def clock(seconds):
    minutes, seconds = divmod(int(seconds), 60)
    return "{}:{:02d}".format(minutes, seconds)


def percent(fraction):
    return int(100 * fraction + 0.5)


def fill(slider, begin, end):
    """Fill a slider's track between two of its values."""
    low, high = float(slider.min), float(slider.max)
    for name, value in (("--from", min(begin, end)), ("--to", max(begin, end))):
        slider.style.setProperty(name, "{:.3f}".format((value - low) / (high - low)))


def capital(text):
    return text[0].upper() + text[1:]


def fraction_at(event):
    """Where the pointer is between the left and the right of the element that listens, from 0 to 1."""
    box = event.currentTarget.getBoundingClientRect()
    return max(0, min(1, (event.clientX - box.left) / box.width))


def after_paint(function):
    """Call a function once the page is painted as it is now."""

    def next_frame(time):
        requestAnimationFrame(create_proxy(lambda time: function()))

    requestAnimationFrame(create_proxy(next_frame))


def focus(node):
    """Focus an element without scrolling to it."""
    node.focus(to_js({"preventScroll": True}))


def press(button, yes):
    button.setAttribute("aria-pressed", "true" if yes else "false")
