"""The visitor's language: chosen by the browser's languages, fetched, and put in place of the page's English."""

import json

import js

from page.promises import RejectedError, settle
from page.text.texts import LANGUAGES, tr, translations

ATTRIBUTES = ("aria-label", "title", "content")
TEXT_NODES = 4  # NodeFilter.SHOW_TEXT


def wanted():
    """The first of the visitor's languages that the page speaks; "en" if there is none."""
    for language in js.navigator.languages:
        name = language.split("-")[0]
        if name in ("en",) + LANGUAGES:
            return name
    return "en"


async def speak():
    """Have the page speak the visitor's language, if that can be fetched."""
    name = wanted()
    if name == "en":
        return
    try:
        response = await settle(js.fetch("app/page/text/languages/{}.json".format(name)))
        translations.update(json.loads(await settle(response.text())))
    except (RejectedError, ValueError):
        return  # English it is
    js.document.documentElement.lang = name
    js.document.title = tr(js.document.title)
    js.document.getElementById("about").href = "app/about/{}.html".format(name)
    translate(js.document.head)
    translate(js.document.body)
    for template in js.document.querySelectorAll("template"):
        translate(template.content)


def translate(root):
    """Translate the texts and attributes of an element and of everything in it."""
    walker = js.document.createTreeWalker(root, TEXT_NODES)
    while walker.nextNode():
        node = walker.currentNode
        english = " ".join(node.data.split())
        if english in translations:
            before, after = node.data[:1].isspace(), node.data[-1:].isspace()
            node.data = " " * before + tr(english) + " " * after
    for name in ATTRIBUTES:
        for element in root.querySelectorAll("[{}]".format(name)):
            english = element.getAttribute(name)
            if english in translations:
                element.setAttribute(name, tr(english))
