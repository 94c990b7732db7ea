"""One song as the visitor sees it: title, progress and controls; below them mixer and files."""

import js
from pyscript.ffi import to_js

from page import view
from page.files import sharing
from page.songs.life import DONE, SILENT, controls
from page.text.texts import tr


class Card:
    def __init__(self, title):
        self.node = view.copy("card")
        find = self.node.querySelector
        self.title, self.status, self.bar = find(".title"), find(".status"), find("progress")
        self.cancel, self.retry, self.remove = find(".cancel"), find(".retry"), find(".remove")
        self.earlier, self.by, self.way = find(".earlier"), find(".by"), find(".way")
        self.choose, self.excerpt = find(".choose"), find(".excerpt")
        self.mixer, self.loud = find(".mixer"), find(".loud")
        self.downloads, self.files = find(".downloads"), find(".files")
        self.analysis = find(".analysis")
        self.zip, self.mix, self.folder = find(".zip"), find(".mix"), find(".folder")
        self.mix_loop, self.stem_file = find(".mix-loop"), find(".stem-file")
        self.format, self.share = find(".format"), find(".share")
        view.on_click(find(".skip"), self.format.focus)
        self.folder.hidden = not hasattr(js, "showDirectoryPicker")
        self.share.hidden = not sharing.is_wanted()
        self.speed, self.limited = find(".speed-reached"), find(".limited")
        self.call(title)
        self.urls, self.links, self.parts = [], {}, {}
        self.last = None  # the address of what was saved last
        view.on(self.remove, "click", self.removed)

    def call(self, title):
        """Show a title, also in what screen readers say of the controls."""
        view.say(self.title, title)
        for control, label in (
            (self.bar, tr("Progress of {}")),
            (self.cancel, tr("Cancel {}")),
            (self.retry, tr("Retry {}")),
            (self.remove, tr("Remove {}")),
            (self.earlier, tr("Do earlier: {}")),
            (self.choose, tr("Only a part of {}")),
            (self.excerpt, tr("The part of {}")),
            (self.zip, tr("All stems (zip): {}")),
            (self.format, tr("Format of {}")),
        ):
            control.setAttribute("aria-label", label.format(title))

    def reveal(self):
        """Scroll to the card, unless its head is in sight.

        The card is painted first. Otherwise the cards that it pushes away would be seen to jump.
        """
        view.after_paint(self.scroll)

    def scroll(self):
        head = self.node.querySelector(".head").getBoundingClientRect()
        if head.top < 0 or head.bottom > js.innerHeight:
            # "nearest" would show the lower edge of a tall card above the window.
            self.node.scrollIntoView(to_js({"block": "start" if head.top < 0 else "nearest"}))

    def say_by(self, tags):
        """Show artist and album, from the file's tags."""
        parts = [tags[name] for name in ("artist", "album") if name in tags]
        view.say(self.by, ", ".join(parts))
        self.by.title = self.by.textContent  # where there is room for some of it only

    def show(self, state, text, can_retry=True):
        """Show the controls of a song's state, see `life`. can_retry: whether another attempt may succeed."""
        focused = js.document.activeElement  # a hidden control loses the focus
        self.node.dataset.state = state
        self.text = text
        self.rest()
        for name, is_shown in controls(state, can_retry).items():
            getattr(self, name).hidden = not is_shown
        self.bar.removeAttribute("value")
        self.way.hidden = True
        self.format.disabled = state != DONE
        if state in SILENT:
            self.open(False)  # there is nothing to hear
        if self.node.contains(focused) and focused.hidden:
            view.focus(self.title)

    def removed(self, event):
        """Before the card is removed, move the focus to the next one."""
        if event.detail > 1:  # the second click of a double one: another card lies here by now
            event.stopImmediatePropagation()
            return
        near = self.node.nextElementSibling or self.node.previousElementSibling
        view.focus(near.querySelector(".title") if near else view.element("file"))

    def progress(self, fraction, text):
        """Show a text, and the fraction of the work that is done, if it is more than nothing."""
        if fraction < 0.01:
            self.bar.removeAttribute("value")  # then it moves by itself
        else:
            self.bar.value = fraction
        view.say(self.status, text)

    def show_text(self, text):
        """Show a text in place of the state's."""
        self.text = text
        self.rest()

    def offer_way(self, label="", name=""):
        """Offer another model for the song by a button, or don't.

        label: what it says; name: what screen readers say, to be filled with the title.
        """
        if not label and self.way.matches(":focus"):
            view.focus(self.title)
        if label:
            view.say(self.way, label)
            self.way.setAttribute("aria-label", name.format(self.title.textContent))
        self.way.hidden = not label

    def rest(self):
        """Show the state's text again, after the progress of something."""
        view.say(self.status, self.text)

    def offer(self, formats):
        """Put some of the page's formats into the menu. formats: their names in `formats`."""
        for option in view.element("format").options:
            if option.value in formats:
                self.format.append(option.cloneNode(True))

    def open(self, yes):
        """Show or hide mixer and files."""
        self.node.classList.toggle("open", yes)
        self.title.setAttribute("aria-expanded", "true" if yes else "false")
        self.mixer.hidden = self.analysis.hidden = self.downloads.hidden = not yes

    def offer_files(self, is_ready, is_mixing, has_mix, has_loop):
        """Enable what saves files.

        is_ready: whether the files are written; is_mixing: whether another is made just now; has_mix: whether something
        is heard that can be saved; has_loop: whether a part of it is repeated.
        """
        self.zip.disabled = self.folder.disabled = not is_ready
        can_mix = is_ready and has_mix
        made = [(self.mix, can_mix), (self.mix_loop, can_mix and has_loop)]
        made += [
            (part, is_ready) for part in [self.stem_file, self.share] + list(self.parts.values())
        ]
        for control, can in made:
            # The one that was pressed keeps the focus.
            control.disabled = not can or (is_mixing and not control.matches(":focus"))

    def expect(self, stems, parts):
        """Lay out places for files that will come, so that nothing moves then.

        parts: presets that have files, too, which are made on demand.
        """
        self.files.replaceChildren()
        self.links = {}
        for stem in stems:
            link = js.document.createElement("a")
            link.textContent, link.dataset.stem = view.capital(tr(stem)), stem
            item = js.document.createElement("li")
            item.append(link)
            self.files.append(item)
            self.links[stem] = link
        self.parts = {}
        for part in parts:
            button = js.document.createElement("button")
            button.type, button.disabled, button.dataset.part = "button", True, part
            button.textContent = tr(view.capital(part))
            item = js.document.createElement("li")
            item.append(button)
            self.files.append(item)
            self.parts[part] = button
        self.clear()

    def link(self, stem, name, blob):
        """Have a stem's link download its file."""
        link = self.links[stem]
        link.href, link.download, link.title = self.url(blob), name, name
        link.removeAttribute("aria-disabled")

    def url(self, blob):
        """A Blob's address, which lasts as long as the card."""
        self.urls.append(view.url(blob))
        return self.urls[-1]

    def save(self, name, blob):
        """Have the browser download a Blob under a name."""
        if self.last in self.urls:
            self.urls.remove(self.last)
            view.let_go(self.last)  # a zip is as large as the song's files
        self.last = self.url(blob)
        view.download(name, self.last)

    def say_loud(self, loud):
        """loud: pairs of how many samples were limited to full scale, and of which stems."""
        parts = [
            tr("{} of {}").format(count, " + ".join([tr(stem) for stem in stems]))
            for count, stems in loud
        ]
        text = tr("Samples limited to full scale: {}.").format(", ".join(parts))
        view.say(self.limited, text if parts else "")
        view.say(self.loud, tr("A little too loud in places; corrected.") if parts else "")

    def say_speed(self, spent, speed):
        """spent: seconds that the work has taken; speed: how many times faster than the song it was."""
        view.say(self.speed, tr("Done in {:.0f} s, {:.1f} × real time.").format(spent, speed))

    def clear(self):
        """Remove the files."""
        for link in self.links.values():
            link.setAttribute("aria-disabled", "true")
            for name in ("href", "download", "title"):
                link.removeAttribute(name)
        for url in self.urls:
            view.let_go(url)
        self.urls = []
