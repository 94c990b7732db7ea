"""One song as the visitor sees it: its title, how far it is and what can be done about it; below, mixer and files."""

import js
import view
from song import CANCELLED, DONE, ENDED, FAILED, WAITING
from texts import tr


class Card:
    def __init__(self, title):
        self.node = view.copy("card")
        find = self.node.querySelector
        self.title, self.status, self.bar = find(".title"), find(".status"), find("progress")
        self.cancel, self.retry, self.remove = find(".cancel"), find(".retry"), find(".remove")
        self.earlier, self.by = find(".earlier"), find(".by")
        self.mixer, self.loud = find(".mixer"), find(".loud")
        self.downloads, self.files = find(".downloads"), find(".files")
        self.zip, self.mix, self.folder = find(".zip"), find(".mix"), find(".folder")
        self.format = find(".format")
        self.folder.hidden = not hasattr(js, "showDirectoryPicker")
        self.title.textContent = title
        for control, label in (
            (self.bar, tr("Progress of {}")),
            (self.cancel, tr("Cancel {}")),
            (self.retry, tr("Retry {}")),
            (self.remove, tr("Remove {}")),
            (self.earlier, tr("Do earlier: {}")),
            (self.format, tr("Format of {}")),
        ):
            control.setAttribute("aria-label", label.format(title))
        self.urls = []
        view.element("songs").append(self.node)

    def say_by(self, tags):
        """Whose song it is and where it is from, as its file says; see `tags`."""
        parts = [tags[name] for name in ("artist", "album") if name in tags]
        view.say(self.by, ", ".join(parts))
        self.by.title = self.by.textContent  # where there is room for some of it only

    def show(self, state, text):
        """Lay out what goes with a song's state, see `song`."""
        self.node.dataset.state = state
        self.text = text
        self.rest()
        self.bar.hidden = state in ENDED or state == WAITING
        self.cancel.hidden = state in ENDED
        self.retry.hidden = state not in (FAILED, CANCELLED)
        self.remove.hidden = state not in ENDED
        self.earlier.hidden = state != WAITING
        self.downloads.hidden = state != DONE
        if state in (FAILED, CANCELLED):
            self.mixer.hidden = True

    def progress(self, fraction, text):
        self.bar.value = fraction
        view.say(self.status, text)

    def rest(self):
        """Say what goes with the song's state, after the progress of something."""
        view.say(self.status, self.text)

    def offer(self, formats):
        """Have the menu of formats hold some of the page's, by their names in `formats`."""
        for option in view.element("format").options:
            if option.value in formats:
                self.format.append(option.cloneNode(True))

    def open(self, yes):
        self.node.classList.toggle("open", yes)
        self.title.setAttribute("aria-expanded", "true" if yes else "false")
        self.mixer.hidden = not yes

    def link(self, stem, name, blob):
        """A link that downloads a file."""
        link = js.document.createElement("a")
        link.href, link.download, link.textContent = self.url(blob), name, view.capital(tr(stem))
        link.title, link.dataset.stem = name, stem
        item = js.document.createElement("li")
        item.append(link)
        self.files.append(item)

    def url(self, blob):
        """A Blob's address, which lasts as long as the card."""
        self.urls.append(js.URL.createObjectURL(blob))
        return self.urls[-1]

    def save(self, name, blob):
        """Have the browser download a Blob under a name."""
        link = js.document.createElement("a")
        link.href, link.download = self.url(blob), name
        link.click()

    def say_loud(self, loud):
        """loud: pairs of how many samples were limited to full scale, and of which stems."""
        parts = [
            tr("{} of {}").format(count, " + ".join([tr(stem) for stem in stems]))
            for count, stems in loud
        ]
        text = tr("Louder than the file can hold, so limited to full scale: {} samples.")
        view.say(self.loud, text.format(", ".join(parts)))
        self.loud.hidden = not parts

    def clear(self):
        """Let go of the files."""
        self.files.replaceChildren()
        for url in self.urls:
            js.URL.revokeObjectURL(url)
        self.urls = []
