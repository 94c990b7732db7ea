"""Facts on which the page, its workers and scripts must agree. Pure Python, on MicroPython and on Pyodide."""

MODEL_SCHEME = "opfs:"
"""Addresses of models on the device: this scheme, the model's name and a slash."""
MODELS_FOLDER = "umx models"
"""Folder of the origin's private file system with a folder for each model. Other pages may share the origin."""
SONGS_FOLDER = "umx songs"
"""Folder beside it with a folder for each song."""
SITE_CACHE = "umx at "
"""Name of the cache that holds the site, before the site's address: other sites may share the origin."""
SHARED_CACHE = "umx shared with "
"""The same of the cache with songs that other programs have shared with the page, until it takes them."""
SAMPLE_RATE = 44100
"""Samples a second of every song while the page works on it."""
