"""The version has its only home here. The page reads this file too, on MicroPython."""

VERSION = "0.1.0"
WHEEL = "umx-" + VERSION + "-py3-none-any.whl"
"""The file name of the wheel that scripts/common/wheel.py makes and the page's workers load."""
