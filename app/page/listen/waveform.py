"""A waveform on a canvas."""

from page import view


class Waveform:
    def __init__(self, canvas):
        """canvas: has the waveform's colour in --stem."""
        self.canvas, self.pen = canvas, canvas.getContext("2d")

    def clear(self, begin=0, end=1):
        """begin, end: of a stretch, as fractions of the song."""
        width, height = self.canvas.width, self.canvas.height
        self.pen.clearRect(begin * width, 0, (end - begin) * width, height)

    def draw(self, begin, end, peaks, opacity=1):
        """Draw a stretch, whose ends are fractions of the song."""
        style = view.document.defaultView.getComputedStyle(self.canvas)
        self.pen.fillStyle = style.getPropertyValue("--stem").strip() or "gray"
        self.pen.globalAlpha = opacity
        width, height = self.canvas.width, self.canvas.height
        step = (end - begin) * width / len(peaks)
        self.pen.beginPath()
        for index, peak in enumerate(peaks):
            # Not linear: quiet parts would be invisible.
            tall = max(1.0, max(0.0, min(1.0, peak)) ** 0.6 * height)
            # At least half a pixel wide, also at the right edge, or it isn't drawn.
            wide = max(step, 0.5)
            left = min(begin * width + index * step, width - wide)
            self.pen.rect(left, (height - tall) / 2, wide, tall)
        self.pen.fill()
