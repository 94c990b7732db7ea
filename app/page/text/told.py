"""What workers and models say: English sentences with their places filled. Pure Python, on MicroPython too."""

from page.text.texts import tr, translations

SENTENCES = (
    "{} can't be fetched: the server answered {}.",
    "{} can't be fetched: the network is gone, or the server.",
    "{} is no longer on this device ({}).",
    "{} is not there: a web page came instead; fetch it again.",
    "{} has {} bytes instead of {}; fetch it again.",
    "{} is not the file that the manifest names; fetch it again.",
    "{} is damaged: {}.",
    "{} is damaged: {}; fetch it again.",
    "{} does not unpack to the size that the manifest names.",
    "{} also needs {}, whole and unchanged. Choose all of its files at once.",
    "No file of {}, whole and unchanged, is among these: {}.",
    "This device has no room for {}: free some, and try again.",
    "{} is a model for {} Hz; the page works at {} Hz.",
    "umx-mini, a small first model",
    "Trained by the umx project on music synthesised from freely licensed instruments, drum kits and voices.",
    "SDR in dB on windows of recorded songs, the mean over {} artists; mean {}, mixture as the estimate {}, oracle "
    "ratio mask {}. UMX-L is far better: use it where you can.",
    "Open-Unmix by F.-R. Stöter, S. Uhlich, A. Liutkus and Y. Mitsufuji (JOSS 2019).",
    "SDR in dB on MUSDB18-HQ as its makers publish it, before the weights were made 8 bits.",
)
"""Those that visitors may come to see."""


def told(text):
    """Such a sentence in the visitor's language; any other as it is."""
    if translations:
        # The longest first: what fits a short one may fit another better.
        for sentence in sorted(SENTENCES, key=len, reverse=True):
            found = fields(sentence, text)
            if found is not None:
                return tr(sentence).format(*found)
    return text


def fields(sentence, text):
    """What fills the places of a sentence where it is this text, else None."""
    parts = sentence.split("{}")
    begin, end = parts[0], parts[-1]
    if len(parts) == 1:
        return [] if text == sentence else None
    if not (text.startswith(begin) and text.endswith(end)):
        return None
    rest, found = text[len(begin) : len(text) - len(end)], []
    for part in parts[1:-1]:
        place = rest.find(part)
        if place < 0:
            return None
        found.append(rest[:place])
        rest = rest[place + len(part) :]
    return found + [rest]
