"""A device's media keys and panels, which control playback and show it; and what becomes of its sound."""

import asyncio

import js
from pyscript.ffi import create_proxy, to_js

from page import view
from page.files.encode import wav_blob
from page.files.wav import frame_bytes
from page.listen.mixer import JUMP
from page.promises import attempt, outcome
from page.songs.life import DONE, RUNNING
from shared.facts import SAMPLE_RATE

BEGINNING = 3  # seconds of a song in which "previous" means the song before
SILENCE = 10  # seconds; browsers take shorter sounds for mere signals


def offset(details):
    """Seconds to jump; devices may leave the choice to the page."""
    return getattr(details, "seekOffset", None) or JUMP


class MediaKeys:
    def __init__(self, queue):
        self.queue, self.silence = queue, None
        self.holds = False  # whether the silence is to be heard
        self.session = getattr(js.navigator, "mediaSession", None)
        handlers = {
            "play": lambda details: self.turn(True),
            "pause": lambda details: self.turn(False),
            "seekbackward": lambda details: self.jump(-offset(details)),
            "seekforward": lambda details: self.jump(offset(details)),
            "seekto": lambda details: self.seek(details.seekTime),
            "previoustrack": lambda details: self.previous(),
            "nexttrack": lambda details: self.step(1),
        }
        for action in handlers if self.session else ():
            handler = create_proxy(handlers[action])
            # Some browsers throw for actions that they don't know.
            asyncio.create_task(outcome(attempt(self.session.setActionHandler, action, handler)))
        if getattr(js.navigator, "mediaDevices", None):  # as it is over https
            view.on(js.navigator.mediaDevices, "devicechange", self.device_changed)

    def turned(self, mixer):
        """Update the device's panel. Called when a mixer begins or stops to play, which a jump does too."""
        if not self.session:
            return
        if mixer.playing:
            about = {"title": mixer.song.title}
            for name in ("title", "artist", "album"):
                if name in mixer.song.tags:
                    about[name] = mixer.song.tags[name]
            self.session.metadata = js.MediaMetadata.new(to_js(about))
        length = mixer.song.length / SAMPLE_RATE
        if length:
            position = {
                "duration": length,
                "position": min(float(mixer.position.value), length),
                "playbackRate": float(mixer.speed.value),
            }
            self.session.setPositionState(to_js(position))
        self.session.playbackState = "playing" if mixer.playing else "paused"
        asyncio.create_task(self.hold(mixer.playing))

    async def hold(self, playing):
        """Play silence in an audio element beside the mixer: browsers give media keys to such elements alone."""
        if not self.silence:
            frames = SILENCE * SAMPLE_RATE
            nothing = js.ArrayBuffer.new(frames * frame_bytes("16"))
            self.silence = js.Audio.new(js.URL.createObjectURL(wav_blob([nothing], frames, "16")))
            self.silence.loop = True
            view.on(self.silence, "pause", self.silenced)
        self.holds = playing
        if playing:
            await js.Promise.allSettled(to_js([self.silence.play()]))
        else:
            self.silence.pause()

    def silenced(self, event):
        """Pause where the device has stopped the element: for a call, or because headphones were pulled."""
        if self.holds and self.silence.paused:
            self.turn(False)

    def device_changed(self, event):
        mixer = self.queue.mixer()
        if mixer and mixer.player:
            mixer.player.change_device()

    def turn(self, on):
        mixer = self.queue.mixer()
        if mixer and mixer.playing != on:
            mixer.play_or_pause()

    def jump(self, seconds):
        mixer = self.queue.mixer()
        if mixer:
            mixer.jump(seconds)

    def seek(self, seconds):
        mixer = self.queue.mixer()
        if mixer:
            mixer.seek(seconds)

    def previous(self):
        mixer = self.queue.mixer()
        if mixer and float(mixer.position.value) > BEGINNING:
            mixer.seek(0)
        else:
            self.step(-1)

    def step(self, by):
        """Play the song before or after the open one, among those that can be heard."""
        songs = [job for job in self.queue.in_state(RUNNING, DONE) if job.mixer.is_ready()]
        opened = self.queue.opened()
        place = songs.index(opened) + by if opened in songs else -1
        if 0 <= place < len(songs):
            self.queue.open(songs[place])
            songs[place].mixer.seek(0)
            self.turn(True)
