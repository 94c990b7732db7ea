"""What comes out of the speakers, recorded by the page itself."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from playwright.sync_api import Locator, Page
from songs import PATIENCE, Sound, floats, snr

BLOCK = 16384
RECORD = """
(() => {
  const connect = AudioNode.prototype.connect;
  window.recorded = [];
  window.times = [];
  AudioNode.prototype.connect = function (target, ...rest) {
    const context = target.context;
    if (target instanceof AudioDestinationNode && context instanceof AudioContext) {
      if (!context.tap) {
        context.tap = context.createScriptProcessor(16384, 2, 2);
        context.tap.onaudioprocess = (event) => {
          // As quickly as can be: what is played while this runs is not recorded.
          const sides = [0, 1].map((side) => event.inputBuffer.getChannelData(side));
          if (!sides.some((side) => side.some((sample) => sample))) return;
          window.recorded.push(sides.map((side) => side.slice()));
          window.times.push(event.playbackTime);
        };
        connect.call(context.tap, target);
      }
      connect.call(this, context.tap, ...rest);
    }
    return connect.call(this, target, ...rest);
  };
})();
"""
"""Has the page keep a copy of all blocks that go to the speakers and aren't silent, and their times."""
WATCH = """
(clock, times) => {
  window.awaited = times;
  const look = () => clock.textContent === times[0] && times.shift();
  new MutationObserver(look).observe(clock, { childList: true, characterData: true, subtree: true });
}
"""
"""Has the page strike times out of a list when its clock has come to show them."""


@contextmanager
def showing(clock: Locator, *times: str) -> Iterator[None]:
    """During and after this, a clock shows times one after another, each however short."""
    clock.evaluate(WATCH, times)
    yield
    clock.page.wait_for_function("!awaited.length", timeout=PATIENCE)


def listen(song: Locator, seconds: int, begin: int = 0) -> list[Sound]:
    """Play some of a card's song, and give the blocks (samples, 2) that were heard."""
    page = song.page
    page.evaluate("recorded.length = times.length = 0")
    song.locator(".seek").fill(str(begin))
    song.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function(
        "([clock, time]) => clock.textContent >= time",
        arg=[song.locator(".clock").element_handle(), f"0:{begin + seconds:02}"],
        timeout=PATIENCE,
    )
    song.get_by_role("button", name="Pause", exact=True).click()
    return blocks_of(page)


def blocks_of(page: Page) -> list[Sound]:
    """The blocks (samples, 2) that the page has recorded."""
    return [block.T for block in floats(page, "recorded.flat()").reshape(-1, 2, BLOCK)]


def blocks_that_are_of(sound: Sound, blocks: list[Sound]) -> list[int]:
    """Where the blocks lie in a sound; those that are not of it are left out."""
    places = [place(block, sound) for block in blocks]
    return [
        start
        for block, start in zip(blocks, places, strict=True)
        if snr(block, sound[start : start + BLOCK]) > 45
    ]


def place(block: Sound, song: Sound) -> int:
    """Where in the song a block lies, if it does: where the two differ least."""
    size = 1 << (len(song) + len(block)).bit_length()
    whole, part = (np.fft.rfft(sound.astype(float), size, axis=0) for sound in (song, block))
    product = whole * part.conj()
    places = len(song) - len(block) + 1
    correlation = np.fft.irfft(product.sum(axis=1), size)[:places]
    energy = np.cumsum(np.append(0, np.sum(song.astype(float) ** 2, axis=1)))
    return int((energy[-places:] - energy[:places] - 2 * correlation).argmin())
