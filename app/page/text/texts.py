"""The page's texts in the visitor's language. The sources have them in English, which stands in for a missing one.

Translations are in languages/, one file a language: by the English text, and for errors by their codes. Pure Python, on
MicroPython too.
"""

LANGUAGES = ("de", "es", "fr", "ja", "pt")
translations = {}


def tr(text):
    """A text of the page in the visitor's language. text: the English one, which may hold {}."""
    return translations.get(text, text)


def said(code, fields, english):
    """An error of a worker in the visitor's language, by its code and fields; in English where it isn't translated.

    A field "place" is the file of which it is said, see `CodedError.within`.
    """
    text = translations.get(code)
    if not text:
        return english
    place = fields.get("place")
    return (place + ": " if place else "") + text.format(**fields)
