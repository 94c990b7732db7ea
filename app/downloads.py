"""Finished stems as files: WAV Blobs with links, and all of them as one zip."""

import js
import wav
from pyscript.ffi import to_js
from pyscript.js_modules import client_zip
from song import STEMS


def wav_blob(parts, frames):
    """A WAV file of 16-bit samples that lie in Blobs."""
    header = js.Uint8Array.new(to_js(list(wav.header(frames))))
    return js.Blob.new(to_js([header] + parts), to_js({"type": "audio/wav"}))


class Downloads:
    """One song's files, with URLs that last until `release`."""

    def __init__(self, song):
        self.files = [
            (stem, song.title + " - " + stem + ".wav", wav_blob(song.parts(stem), song.audio.length))
            for stem in STEMS
            if stem in song.pieces[0][2]
        ]
        self.urls = []
        self.zip_name = song.title + " - stems.zip"

    def links(self):
        """(stem, file name, URL) of each."""
        for stem, name, blob in self.files:
            self.urls.append(js.URL.createObjectURL(blob))
            yield stem, name, self.urls[-1]

    async def zip(self):
        """The name and URL of all files in one zip, streamed into a Blob."""
        entries = [{"name": name, "input": blob} for _, name, blob in self.files]
        blob = await client_zip.downloadZip(to_js(entries)).blob()
        self.urls.append(js.URL.createObjectURL(blob))
        return self.zip_name, self.urls[-1]

    def release(self):
        for url in self.urls:
            js.URL.revokeObjectURL(url)
        self.urls = []
