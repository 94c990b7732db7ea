"""Songs of more than two channels: each is heard on its side, the centre on both, whatever order a file has them in."""

import io
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from corpus import encoded
from pages import stems
from playwright.sync_api import Page, expect
from songs import PATIENCE, RATE, Sound, compose, drop, expect_state, floats
from test_long_files import DECODE, LONG

from scripts.common.environment import ROOT

SECONDS = 0.5
LEVEL = 0.2
HALF = 0.5**0.5
SIDES = {
    "FL": (1, 0),
    "FR": (0, 1),
    "FC": (HALF, HALF),
    "LFE": (0, 0),
    "BC": (0.5, 0.5),
    **dict.fromkeys(("BL", "SL", "FLC"), (HALF, 0)),
    **dict.fromkeys(("BR", "SR", "FRC"), (0, HALF)),
}
"""How loud a speaker is on the left and on the right: ITU-R BS.775-3, annex 4."""
ORDERS = (
    ("FL FR FC", "FL FC FR"),
    ("FL FR BL BR", "FL FR BL BR"),
    ("FL FR FC BL BR", "FL FC FR BL BR"),
    ("FL FR FC LFE BL BR", "FL FC FR BL BR LFE"),
    ("FL FR FC LFE BC SL SR", "FL FC FR SL SR BC LFE"),
    ("FL FR FC LFE BL BR SL SR", "FL FC FR SL SR BL BR LFE"),
)
"""Of WAV and FLAC, and of Vorbis and Opus."""

DECODE_EACH = """
import asyncio, js
from page.files.decode import decode

async def tell():
    probe = js.document.getElementById("probe")
    for file in list(probe.files):
        sound = await decode(file)
        js.found.push(await sound.cut([0], {length}))
    probe.dataset.state = "done"

asyncio.create_task(tell())
"""


@pytest.fixture(scope="module")
def address(stand_in: str) -> str:
    return stand_in


def tones(channels: int, rate: int = RATE) -> Sound:
    """Another one in each channel."""
    times = np.arange(int(SECONDS * rate)) / rate
    return np.stack([np.sin(2 * np.pi * pitch(i) * times) for i in range(channels)], -1) * LEVEL


def pitch(channel: int) -> int:
    return 400 + 200 * channel


def wavex(sound: Sound, mask: int) -> bytes:
    """A WAV file whose channels' speakers a mask names."""
    count = sound.shape[1]
    samples = np.ascontiguousarray(sound, "<f4").tobytes()
    guid = bytes.fromhex("0300000000001000800000aa00389b71")
    form = struct.pack(
        "<HHIIHHHHI", 0xFFFE, count, RATE, 4 * count * RATE, 4 * count, 32, 22, 32, mask
    )
    body = b"WAVEfmt " + struct.pack("<I", 40) + form + guid
    body += b"data" + struct.pack("<I", len(samples)) + samples
    return b"RIFF" + struct.pack("<I", len(body)) + body


def flac_with_mask(sound: Sound, mask: int) -> bytes:
    """A FLAC file whose comment names the channels' speakers."""
    whole = encoded(sound, "FLAC", "PCM_16")
    frames = 4
    while True:
        last, size = whole[frames] >> 7, int.from_bytes(whole[frames + 1 : frames + 4], "big")
        frames += 4 + size
        if last:
            break
    text = f"WAVEFORMATEXTENSIBLE_CHANNEL_MASK={mask:#x}".encode()
    said = struct.pack("<III", 0, 1, len(text)) + text
    info = whole[4] & 0x7F
    head = b"fLaC" + bytes([info]) + whole[5:42]
    return head + b"\x84" + len(said).to_bytes(3, "big") + said + whole[frames:]


def files() -> dict[str, tuple[bytes, list[tuple[float, float]]]]:
    """Content, and how loud each of its channels is on the left and on the right."""
    found = {
        "1.wav": (encoded(tones(1), "WAV", "PCM_16"), [(1, 1)]),
        "2.wav": (encoded(tones(2), "WAV", "PCM_16"), [(1, 0), (0, 1)]),
    }
    for wav, vorbis in ORDERS:
        count = len(wav.split())
        for name, container, subtype, order in (
            ("wav", "WAV", "PCM_16", wav),
            ("flac", "FLAC", "PCM_16", wav),
            ("ogg", "OGG", "VORBIS", vorbis),
            ("opus", "OGG", "OPUS", vorbis),
        ):
            rate = 48000 if subtype == "OPUS" else RATE
            content = encoded(tones(count, rate), container, subtype, rate)
            found[f"{count}.{name}"] = content, sides(order)
    for mask, order in (
        (0x607, "FL FR FC SL SR"),
        (0x707, "FL FR FC BC SL SR"),
        (0xFF, "FL FR FC LFE BL BR FLC FRC"),
        (0xF0B, "FL FR LFE"),  # bits beyond the channels
        (0x107, "FL FR FC BC"),
    ):
        sound = tones(len(order.split()))
        found[f"{mask:x}.wav"] = wavex(sound, mask), sides(order)
        found[f"{mask:x}.flac"] = flac_with_mask(sound, mask), sides(order)
    for name, content, count in (
        ("nothing said.wav", wavex(tones(5), 0), 5),
        ("too little said.wav", wavex(tones(6), 7), 6),
        ("ten.wav", encoded(tones(10), "WAV", "PCM_16"), 10),
    ):
        found[name] = content, [(1 / count, 1 / count)] * count
    return found


def sides(order: str) -> list[tuple[float, float]]:
    return [SIDES[name] for name in order.split()]


def levels(sound: Sound, channels: int) -> list[tuple[float, float]]:
    """How loud each channel's tone is on either side, of LEVEL."""
    middle = sound[len(sound) // 4 : 3 * len(sound) // 4]
    window = np.hanning(len(middle))[:, np.newaxis]
    waves = np.exp(
        -2j * np.pi * np.outer([pitch(i) for i in range(channels)], np.arange(len(middle))) / RATE
    )
    found = 2 * np.abs(waves @ (middle * window)) / window.sum() / LEVEL
    return [(float(left), float(right)) for left, right in found]


def decoded(page: Page, folder: Path, contents: Mapping[str, bytes]) -> list[Sound]:
    """What the page makes of files, (samples, 2), without an engine."""
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    page.evaluate("""() => {
      window.found = [];
      document.body.append(Object.assign(
        document.createElement("input"), { type: "file", multiple: true, id: "probe" }));
    }""")
    page.locator("#probe").set_input_files([folder / name for name in contents])
    page.evaluate(
        """code => document.body.append(Object.assign(
          document.createElement("script"), { type: "mpy", textContent: code }))""",
        DECODE_EACH.format(length=int(SECONDS * RATE)),
    )
    expect(page.locator("#probe")).to_have_attribute("data-state", "done", timeout=PATIENCE)
    sizes = page.evaluate("found.map(array => array.length)")
    arrays = np.split(floats(page, "found"), np.cumsum(sizes)[:-1])
    return [array.reshape(2, -1).T for array in arrays]


def idle(page: Page) -> None:
    page.route("**/interpreter.mjs", lambda route: None)


def streaming(page: Page) -> None:
    idle(page)
    page.route("**/app/page/files/decode.py", lambda route: route.fulfill(body=LONG))


@pytest.mark.parametrize("prepare", [idle, streaming], ids=["whole", "piece by piece"])
def test_every_channel_is_on_its_side(
    prepare: Callable[[Page], None], visit: Callable, tmp_path: Path
) -> None:
    assert LONG != DECODE
    page, _ = visit("?workers=1", prepare)
    cases = files()
    found = decoded(page, tmp_path, {name: content for name, (content, _) in cases.items()})
    for (name, (_, expected)), sound in zip(cases.items(), found, strict=True):
        np.testing.assert_allclose(levels(sound, len(expected)), expected, atol=0.03, err_msg=name)


def centre_only() -> dict[str, bytes]:
    """The sound is in the centre alone."""
    found = {}
    for wav, vorbis in ORDERS:
        count = len(wav.split())
        for name, container, subtype, order in (
            ("flac", "FLAC", "PCM_16", wav),
            ("ogg", "OGG", "VORBIS", vorbis),
            ("opus", "OGG", "OPUS", vorbis),
        ):
            if "FC" in order:
                rate = 48000 if subtype == "OPUS" else RATE
                centre = soxr.resample(CENTRE, RATE, rate)
                sound = np.zeros((len(centre), count), np.float32)
                sound[:, order.split().index("FC")] = centre
                found[f"{count}.{name}"] = encoded(sound, container, subtype, rate)
    found["6.aac"] = (ROOT / "app" / "page" / "files" / "centre" / "aac.aac").read_bytes()
    return found


CENTRE = compose(2).mean(axis=1)


def test_stems_of_a_sound_in_the_centre_are_alike_on_both_sides(page: Page) -> None:
    songs = centre_only()
    drop(page, *songs.items())
    expect_state(page, "done")
    loudness = {}
    for name, song in zip(songs, page.locator(".card").all(), strict=True):
        files = {stem: samples(content) for stem, content in stems(song).items()}
        total = files["vocals"] + files["karaoke"]
        for stem, (left, right) in ((stem, sound.T) for stem, sound in files.items()):
            # The network has weights of its own for each side.
            assert np.linalg.norm(left - right) < 0.1 * np.linalg.norm(total), (name, stem)
        loudness[name] = np.sqrt(np.mean(total[:, 0] ** 2))
    expected = HALF * np.sqrt(np.mean(CENTRE**2))
    for name, level in loudness.items():
        if name != "6.aac":
            assert level == pytest.approx(expected, rel=0.1), name
    assert loudness["6.aac"] > 0.05


def samples(content: bytes) -> Sound:
    return soundfile.read(io.BytesIO(content), dtype="float32")[0]


KEEP_OWN_ORDER = """
const decode = BaseAudioContext.prototype.decodeAudioData;
OfflineAudioContext.prototype.decodeAudioData = async function (data) {
  const head = String.fromCharCode(...new Uint8Array(data, 0, 60));
  const own = head.startsWith("\\xff") ? [2, 0, 1, 4, 5, 3] : [0, 2, 1, 4, 5, 3];
  const order = head.startsWith("\\xff") || head.includes("vorbis") ? own : own.keys();
  const audio = await decode.call(this, data);
  const channels = Array.from(order, (channel) => audio.getChannelData(channel).slice());
  channels.forEach((samples, place) => audio.copyToChannel(samples, place));
  return audio;
};
"""
"""Makes of this browser one whose decoders leave AAC's and Vorbis's 5.1 channels in their own order."""


def test_browser_that_keeps_a_codec_s_own_order(visit: Callable, tmp_path: Path) -> None:
    def prepare(page: Page) -> None:
        idle(page)
        page.add_init_script(KEEP_OWN_ORDER)

    page, _ = visit("?workers=1", prepare)
    wav, vorbis = ORDERS[3]
    contents = {
        "6.ogg": encoded(tones(6), "OGG", "VORBIS"),
        "6.opus": encoded(tones(6, 48000), "OGG", "OPUS", 48000),
        "6.flac": encoded(tones(6), "FLAC", "PCM_16"),
        "6.aac": (ROOT / "app" / "page" / "files" / "centre" / "aac.aac").read_bytes(),
    }
    *found, aac = decoded(page, tmp_path, contents)
    for name, sound, order in zip(contents, found, (vorbis, vorbis, wav), strict=False):
        np.testing.assert_allclose(levels(sound, 6), sides(order), atol=0.03, err_msg=name)
    assert np.abs(aac).max() > 0.1
    np.testing.assert_allclose(aac[:, 0], aac[:, 1], atol=1e-6)
