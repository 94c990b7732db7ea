"""What the page and its workers must agree on. Pure Python, on MicroPython and on Pyodide."""

MODEL_SCHEME = "opfs:"
"""An address of a model on the device is this, the model's name and a slash."""
MODELS_FOLDER = "umx models"
"""The folder in the origin's private file system that has a folder for each model. Other pages may share the origin."""
SONGS_FOLDER = "umx songs"
"""The folder beside it that has a folder for each finished song."""
SAMPLE_RATE = 44100
"""Samples a second of every song while the page works at it."""
