"""A worker that a test asks by itself, without the page's pool."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page
from songs import PATIENCE, expect_state

HEAR = """() => {
  window.messages = [];
  window.hear = ({ data }) => {
    if (!data?.kind) return;  // PyScript talks to its workers too
    messages.push(data);
    if (["answer", "error"].includes(data.kind)) settle();
  };
  window.ask = async (kind, content) => {
    messages.length = 0;
    const settled = new Promise((done) => { window.settle = done; });
    worker.postMessage({ kind, ...content });
    await settled;
    return [...messages];
  };
}"""
"""Lets a test ask the worker that START makes, and hear all that it says."""
START = """
import js
from page.promises import outcome
from page.workers.client import Worker, worker_options

made = Worker(worker_options())
made.worker.addEventListener("message", js.hear)
js.worker = made.worker
await outcome(made.worker.ready)
js.document.documentElement.dataset.first = js.JSON.stringify(js.messages)
"""

ASK = """async ([kind, content]) => (await ask(kind, content)).map(({ heap, ...message }) =>
  message.kind === "progress" ? message : { ...message, hasHeap: heap > 0 })"""


@contextmanager
def asking(browser: Browser, address: str) -> Iterator[Page]:
    """A page that has one more worker, which has loaded nothing."""
    context = browser.new_context(base_url=address, service_workers="block", bypass_csp=True)
    page = context.new_page()
    page.goto("?workers=1")
    expect_state(page, "ready")
    page.evaluate(HEAR)
    page.evaluate(
        """code => document.body.append(Object.assign(
          document.createElement("script"), { type: "mpy", textContent: code }))""",
        START,
    )
    page.locator("html[data-first]").wait_for(timeout=PATIENCE)
    yield page
    context.close()


def ask(page: Page, kind: str, **content: object) -> list[dict[str, Any]]:
    return page.evaluate(ASK, [kind, content])


def load(page: Page, model: str = "umx-mini") -> list[dict[str, Any]]:
    address = page.evaluate("path => new URL(path, document.baseURI).href", f"weights/{model}/")
    return ask(page, "load", url=address, files=None)
