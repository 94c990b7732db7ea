"""All finished songs as one zip, a folder a song, once there are two."""

import asyncio

from page import view
from page.files import downloads
from page.promises import RejectedError
from page.songs.life import DONE
from page.text.texts import tr


class AllSongs:
    def __init__(self, queue):
        self.queue, self.button = queue, view.element("all-songs")
        self.url = None  # of the last zip
        view.on_click(self.button, lambda: asyncio.create_task(self.save()))

    def offer(self):
        """Offer what there is by now; not while files are written again: what is pressed gives what is shown."""
        jobs = self.queue.in_state(DONE)
        self.button.hidden = len(jobs) < 2
        self.button.disabled = any(job.is_writing or not job.files for job in jobs)

    async def save(self):
        jobs = self.queue.in_state(DONE)
        try:
            blob = await downloads.zipped(in_folders(jobs))
        except RejectedError as error:
            view.error(tr("The file could not be written: {}").format(error))
            return
        for job in jobs:
            job.saved = True
        if self.url:
            view.let_go(self.url)  # it is as large as all files
        self.url = view.url(blob)
        view.download(tr("Stems of {} songs").format(len(jobs)) + ".zip", self.url)


def in_folders(jobs):
    """The files of all, as `downloads.stem_files` gives them: each song's in a folder of its title."""
    files, taken = [], []
    for job in jobs:
        title = downloads.file_title(downloads.title_of(job.song))
        folder, number = title, 1
        while folder.lower() in taken:  # some file systems don't tell cases apart
            number += 1
            folder = "{} ({})".format(title, number)
        taken.append(folder.lower())
        files += [(stem, folder + "/" + name, blob) for stem, name, blob in job.files]
    return files
