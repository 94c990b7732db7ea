"""What the visitor sees: the only module that touches the page's elements."""

from js import document
from pyscript.ffi import create_proxy

ENGINES = {
    "simd": "WebAssembly SIMD kernel",
    "openblas": "OpenBLAS (slower: this browser's SIMD can't be used)",
    "numpy": "plain numpy (very slow: neither SIMD nor OpenBLAS can be used here)",
}


def element(name):
    return document.getElementById(name)


def on(target, event, handler):
    target.addEventListener(event, create_proxy(handler))


def state(name):
    """loading, ready, running, done or error: for styles, and for scripts that drive the page."""
    document.documentElement.dataset.state = name


def show(name, shown=True):
    element(name).hidden = not shown


def say(name, text):
    node = element(name)
    if node.textContent != text:
        node.textContent = text


def error(text):
    say("error", text)
    show("error", bool(text))


def progress(fraction, text):
    element("progress").value = fraction
    say("stage", text)


def tab_title(text=""):
    document.title = (text + " · " if text else "") + "umx: separate a song into stems"


def clock(seconds):
    minutes, seconds = divmod(int(seconds), 60)
    return "{}:{:02d}".format(minutes, seconds)


def transport(seconds, playing, waiting):
    say("clock", clock(seconds))
    element("seek").value = seconds
    button = element("play")
    say("play", "❚❚" if playing else "▶")
    button.setAttribute("aria-label", "Pause" if playing else "Play")
    button.classList.toggle("waiting", waiting)


def begin_song(title, seconds):
    """Lay out the work on a song of this length."""
    say("title", title)
    say("length", clock(seconds))
    element("seek").max = seconds
    show("work")
    show("downloads", False)
    show("loud", False)
    show("progress-row")
    show("cancel")
    transport(0, False, False)


def playable(yes):
    element("play").disabled = not yes
    element("seek").disabled = not yes


def lanes(stems):
    """A lane a stem: {stem: Lane}."""
    element("lanes").replaceChildren()
    return {stem: Lane(stem) for stem in stems}


class Lane:
    def __init__(self, stem):
        node = element("lane").content.firstElementChild.cloneNode(True)
        node.dataset.stem = stem
        self.title = node.querySelector("h3")
        self.title.textContent = stem.upper()[0] + stem[1:]
        self.solo, self.mute = node.querySelector(".solo"), node.querySelector(".mute")
        self.volume, self.canvas = node.querySelector(".volume"), node.querySelector("canvas")
        self.solo.setAttribute("aria-label", "Solo " + stem)
        self.mute.setAttribute("aria-label", "Mute " + stem)
        self.volume.setAttribute("aria-label", "Volume of " + stem)
        element("lanes").append(node)
        self.pen = self.canvas.getContext("2d")
        style = document.defaultView.getComputedStyle(node)
        self.pen.fillStyle = style.getPropertyValue("--stem").strip() or "gray"

    def draw(self, begin, end, peaks):
        """Draw the waveform of a stretch, whose ends are fractions of the song."""
        width, height = self.canvas.width, self.canvas.height
        step = (end - begin) * width / len(peaks)
        self.pen.beginPath()
        for index, peak in enumerate(peaks):
            tall = max(1.0, min(1.0, peak) * height)
            self.pen.rect(begin * width + index * step, (height - tall) / 2, max(step, 0.5), tall)
        self.pen.fill()


def pressed(button, yes):
    button.setAttribute("aria-pressed", "true" if yes else "false")


def is_pressed(button):
    return button.getAttribute("aria-pressed") == "true"


def files(links):
    """A download link a file: (stem, file name, URL)."""
    element("files").replaceChildren()
    for stem, name, url in links:
        link = document.createElement("a")
        link.href, link.download, link.textContent = url, name, name
        link.dataset.stem = stem
        item = document.createElement("li")
        item.append(link)
        element("files").append(item)
    show("downloads")


def save(name, url):
    """Have the browser download a URL under a name."""
    link = document.createElement("a")
    link.href, link.download = url, name
    link.click()
