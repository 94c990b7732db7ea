"""What comes out of the speakers, and the files that are made of what the visitor chooses."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from pages import at_work
from playwright.sync_api import Locator, Page, Route, expect
from recordings import BLOCK, RECORD, blocks_that_are_of, listen, showing
from songs import (
    DROP_ENTRY,
    PATIENCE,
    RATE,
    SONG,
    Sound,
    card,
    compose,
    download,
    drop,
    expect_state,
    loudness,
    options,
    read,
    snr,
    wav,
)

import umx


@pytest.fixture(scope="module")
def address(stand_in: str) -> str:
    return stand_in


@pytest.fixture(scope="module")
def recording(browser, address) -> Page:
    """A page that keeps what it plays, with SONG separated."""
    context = browser.new_context(service_workers="block")
    page = context.new_page()
    page.add_init_script(RECORD)
    page.goto(address + "?workers=2")
    expect_state(page, "ready")  # before it listens, it would forget what is set
    page.locator("summary", has_text="Settings").click()
    page.get_by_label("A soft sound").uncheck()
    drop(page, ("song.wav", wav(SONG)))
    expect_state(page, "done")
    yield page
    context.close()


@pytest.fixture(scope="module")
def stems(recording: Page, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Sound]:
    folder = tmp_path_factory.mktemp("stems")
    return {
        str(link.get_attribute("data-stem")): read(download(recording, link, folder))
        for link in recording.locator("a[download]").all()
    }


@pytest.mark.parametrize(
    ("preset", "heard"),
    [
        ("Everything", ["vocals", "drums", "bass", "melody"]),
        ("Karaoke", ["drums", "bass", "melody"]),
        ("Acapella", ["vocals"]),
        ("Drumless", ["vocals", "bass", "melody"]),
        ("Original", []),
    ],
)
def test_stems_are_heard_in_sync(
    recording: Page, stems: dict[str, Sound], preset: str, heard: list[str]
) -> None:
    recording.locator(".presets").get_by_role("button", name=preset, exact=True).click()
    expected = np.sum([stems[stem] for stem in heard], axis=0) if heard else SONG
    heard_right = blocks_that_are_of(expected, listen(card(recording, "song"), 3))
    # All but the fades at both ends, and what a busy machine leaves out.
    assert len(heard_right) >= 3
    assert heard_right == sorted(set(heard_right))


def test_loop_by_dragging_over_a_waveform(recording: Page) -> None:
    recording.locator(".seek").fill("0")
    canvas = recording.locator(".lane canvas").first
    box = canvas.bounding_box()
    assert box
    # Wherever it is by then: what stands above it may have grown.
    begin, end = ({"x": box["width"] * part, "y": box["height"] / 2} for part in (0.11, 0.19))
    canvas.drag_to(canvas, source_position=begin, target_position=end)
    loop = recording.locator(".loop")
    expect(loop).to_have_attribute("aria-pressed", "true")
    expect(recording.locator(".clock")).to_have_text("0:02")
    with showing(recording.locator(".clock"), "0:03", "0:02", "0:03", "0:02"):
        recording.get_by_role("button", name="Play", exact=True).click()
    loop.click()
    expect(loop).to_have_text("Loop from here")
    expect(recording.locator(".clock")).to_have_text("0:04", timeout=PATIENCE)
    recording.get_by_role("button", name="Pause", exact=True).click()


def test_click_on_a_waveform_seeks(recording: Page) -> None:
    box = recording.locator(".lane canvas").first.bounding_box()
    assert box
    recording.mouse.click(box["x"] + box["width"] / 2, box["y"] + 5)
    expect(recording.locator(".clock")).to_have_text("0:10")


def test_scrolling_over_a_waveform_is_no_drag(visit: Callable) -> None:
    page, _ = visit("?workers=1", has_touch=True, viewport={"width": 360, "height": 640})
    drop(page, ("song.wav", wav(compose(8))))
    expect_state(page, "done")
    canvas = page.locator(".lane canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box
    before = page.evaluate("scrollY")
    touch = page.context.new_cdp_session(page)
    for kind, distance in (("Start", 0), ("Move", 20), ("Move", 60), ("Move", 100), ("End", None)):
        points = [] if distance is None else [{"x": box["x"] + 20, "y": box["y"] + 20 - distance}]
        touch.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})
    assert page.evaluate("scrollY") > before
    expect(page.locator(".clock")).to_have_text("0:00")
    canvas.tap(position={"x": box["width"] / 2, "y": 20})
    expect(page.locator(".clock")).to_have_text("0:04")
    expect(page.locator(".loop")).to_have_text("Loop from here")


def test_original_stays_when_a_slider_of_a_stem_is_moved(
    recording: Page, stems: dict[str, Sound]
) -> None:
    recording.locator(".presets").get_by_role("button", name="Everything", exact=True).click()
    original = recording.get_by_role("button", name="Original", exact=True)
    original.click()
    for slider in ("Volume of drums", "Pan of bass"):
        recording.get_by_label(slider).fill("0.5")
        expect(original).to_have_attribute("aria-pressed", "true")
    expect(recording.locator(".mute[aria-pressed=true]")).to_have_count(0)
    assert len(blocks_that_are_of(SONG, listen(card(recording, "song"), 3))) >= 3
    recording.get_by_label("Volume of drums").fill("1")
    recording.get_by_label("Pan of bass").fill("0")
    recording.get_by_role("button", name="Mute drums").click()
    expect(original).to_have_attribute("aria-pressed", "false")


def test_sliders_are_reset(recording: Page) -> None:
    volume, pan = recording.get_by_label("Volume of drums"), recording.get_by_label("Pan of bass")
    everything = recording.get_by_role("button", name="Everything", exact=True)
    everything.click()
    shown = recording.locator(".lane[data-stem=drums] .level output")
    for reset in (lambda slider: slider.dblclick(), lambda slider: slider.press("Delete")):
        for slider, moved, neutral in ((volume, "0.5", "1"), (pan, "-0.6", "0")):
            slider.fill(moved)
            expect(everything).to_have_attribute("aria-pressed", "false")
            reset(slider)
            expect(slider).to_have_value(neutral)
            expect(everything).to_have_attribute("aria-pressed", "true")
    volume.fill("0.5")
    expect(shown).to_have_text("50%")
    everything.click()
    expect(volume).to_have_value("1")
    expect(shown).to_have_text("100%")


def test_bass_only(recording: Page, stems: dict[str, Sound], tmp_path: Path) -> None:
    """By its samples: it repeats itself without noise, so nobody could say where in it a block lies."""
    recording.locator("h1").click()
    recording.keyboard.press("b")
    bass = recording.get_by_role("button", name="Bass only")
    expect(bass).to_have_attribute("aria-pressed", "true")
    blocks = listen(card(recording, "song"), 3)
    path = download(recording, recording.get_by_role("button", name="Save this mix"), tmp_path)
    assert path.name == "song - bass.wav"
    assert np.abs(read(path) - stems["bass"]).max() < 2 / 2**15
    loudest = np.abs(stems["bass"]).max()
    assert 0.5 * loudest < np.abs(blocks).max() < 1.01 * loudest


def test_what_is_heard_as_a_file(recording: Page, stems: dict[str, Sound], tmp_path: Path) -> None:
    recording.get_by_role("button", name="Everything", exact=True).click()
    recording.get_by_role("button", name="Mute vocals").click()
    recording.get_by_label("Volume of drums").fill("0.5")
    path = download(recording, recording.get_by_role("button", name="Save this mix"), tmp_path)
    recording.get_by_label("Volume of drums").fill("1")
    assert path.name == "song - drums + bass + melody.wav"
    expected = stems["drums"] / 2 + stems["bass"] + stems["melody"]
    assert np.abs(read(path) - expected).max() < 2 / 2**15


def test_what_is_not_heard_can_not_be_had(recording: Page) -> None:
    mix = recording.get_by_role("button", name="Save this mix")
    for preset, enabled in (("Original", False), ("Karaoke", True)):
        recording.get_by_role("button", name=preset, exact=True).click()
        expect(mix).to_be_enabled(enabled=enabled)
    for stem in ("drums", "bass"):
        recording.get_by_label(f"Mute {stem}").click()
    recording.get_by_label("Volume of melody").fill("0")
    expect(mix).to_be_disabled()
    recording.get_by_label("Volume of melody").fill("1")
    expect(mix).to_be_enabled()
    recording.get_by_role("button", name="Everything", exact=True).click()


def test_panned_stems_are_heard_so_and_as_a_file(
    recording: Page, stems: dict[str, Sound], tmp_path: Path
) -> None:
    recording.get_by_role("button", name="Everything", exact=True).click()
    recording.get_by_label("Pan of drums").fill("-0.6")
    recording.get_by_label("Pan of vocals").fill("1")
    expect(recording.get_by_label("Pan of drums")).to_have_attribute("aria-valuetext", "60% left")
    mix = recording.get_by_role("button", name="Save this mix")
    file = read(download(recording, mix, tmp_path))
    heard = listen(card(recording, "song"), 3)
    for stem in ("drums", "vocals"):
        recording.get_by_label(f"Pan of {stem}").fill("0")
    drums, vocals = stems["drums"].T, stems["vocals"].T
    angle = 0.4 * np.pi / 2  # of what remains to the left; equal power, as Web Audio has it
    expected = stems["bass"] + stems["melody"]
    expected = expected + np.stack([0 * vocals[0], vocals.sum(axis=0)], axis=-1)
    left, right = drums[0] + drums[1] * np.cos(angle), drums[1] * np.sin(angle)
    expected = expected + np.stack([left, right], axis=-1)
    assert np.abs(file - expected.clip(-1, 1)).max() < 2 / 2**15
    assert len(blocks_that_are_of(expected.astype(np.float32), heard)) >= 3


def test_drumless_is_a_file_like_karaoke(
    recording: Page, stems: dict[str, Sound], tmp_path: Path
) -> None:
    song = card(recording, "song")
    drumless = song.locator(".files").get_by_role("button", name="Drumless")
    path = download(recording, drumless, tmp_path)
    assert path.name == "song - drumless.wav"
    expected = stems["vocals"] + stems["bass"] + stems["melody"]
    assert np.abs(read(path) - expected).max() < 2 / 2**15


WATCH_DISABLED = """button => {
  window.wasDisabled = false;
  const look = () => (window.wasDisabled ||= button.disabled);
  new MutationObserver(look).observe(button, { attributeFilter: ["disabled"] });
}"""


def test_loop_is_saved_alone_as_fast_as_it_is_heard(recording: Page, tmp_path: Path) -> None:
    """Four seconds of a tone that is louder there than elsewhere, at 80 %: five seconds of the same pitch."""
    time = np.arange(12 * RATE) / RATE
    tone = np.where((time >= 4) & (time < 8), 0.4, 0.02) * np.sin(2 * np.pi * 440 * time)
    drop(recording, ("tone.wav", wav(tone.astype(np.float32))))
    song = card(recording, "tone")
    expect(song).to_have_attribute("data-state", "done", timeout=PATIENCE)
    save = song.get_by_role("button", name="Save the loop")
    expect(save).to_be_disabled()
    for second in ("4", "8"):
        song.locator(".seek").fill(second)
        song.locator(".loop").click()
    song.get_by_label("Speed").select_option("0.8")
    song.locator(".mix").evaluate(WATCH_DISABLED)
    path = download(recording, save, tmp_path)
    # One file at a time: what would do nothing couldn't be pressed meanwhile.
    assert recording.evaluate("wasDisabled")
    expect(song.locator(".mix")).to_be_enabled()
    song.get_by_role("button", name="Remove tone").click()
    card(recording, "song").get_by_role("button", name="song", exact=True).click()
    assert path.name == "tone - everything 0.04-0.08 80%.wav"
    sound = read(path)
    assert len(sound) == 5 * RATE
    for second in range(5):
        level = np.sqrt(np.mean(sound[second * RATE : (second + 1) * RATE] ** 2))
        assert level == pytest.approx(0.4 / np.sqrt(2), rel=0.2), second
    spectrum = np.abs(np.fft.rfft(sound[:, 0] * np.hanning(len(sound))))
    assert abs(spectrum.argmax() / 5 - 440) < 1


@pytest.mark.parametrize("speed", [0.5, 1.5])
def test_another_speed_keeps_the_pitch(recording: Page, speed: float) -> None:
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(20 * RATE) / RATE)
    drop(recording, ("tone.wav", wav(tone.astype(np.float32))))
    song = card(recording, "tone")
    expect(song).to_have_attribute("data-state", "done", timeout=PATIENCE)
    song.get_by_role("button", name="Original", exact=True).click()
    song.get_by_label("Speed").select_option(str(speed))
    blocks = listen(song, 4)
    times = recording.evaluate("times")
    song.get_by_role("button", name="Remove tone").click()
    card(recording, "song").get_by_role("button", name="song", exact=True).click()
    # By the clock of the audio, to a block and a half: so far it came.
    assert abs((times[-1] - times[0]) * speed - 4) < 1.5 * BLOCK / RATE * max(1, speed) + 0.3
    steady = np.concatenate(blocks[2:-2])[:, 0]
    spectrum = np.abs(np.fft.rfft(steady * np.hanning(len(steady))))
    assert abs(spectrum.argmax() * RATE / len(steady) - 440) < 3
    # As loud as it was, but for what a busy machine leaves out.
    assert np.sqrt(np.mean(steady**2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.5)


def tone_and_clicks() -> Sound:
    """Four seconds of 440 Hz, then eight of a click each, (samples, 2)."""
    sound = np.zeros(12 * RATE)
    sound[: 4 * RATE] = 0.3 * np.sin(2 * np.pi * 440 * np.arange(4 * RATE) / RATE)
    for second in range(4, 12):
        # The same forwards and backwards: it stays where it is, however short or long its pitch makes it.
        sound[second * RATE + RATE // 2 - 50 :][:101] = (
            0.4 * np.sinc(np.arange(-50, 51) / 5) * np.hanning(101)
        )
    return np.stack([sound, sound], axis=-1).astype(np.float32)


def pitch_of(sound: Sound) -> float:
    """Where the spectrum is loudest, in Hz. sound: of one channel."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 8 * RATE))
    return float(spectrum.argmax()) / 8


def click_in(sound: Sound) -> float:
    """The sample around which the energy of a click lies. sound: of one channel."""
    energy = sound.astype(float) ** 2
    return float((np.arange(len(energy)) * energy).sum() / energy.sum())


@pytest.fixture
def clicks(recording: Page) -> Locator:
    """The card of tone_and_clicks()."""
    drop(recording, ("clicks.wav", wav(tone_and_clicks())))
    song = card(recording, "clicks")
    expect(song).to_have_attribute("data-state", "done", timeout=PATIENCE)
    yield song
    song.get_by_role("button", name="Remove clicks").click()
    card(recording, "song").get_by_role("button", name="song", exact=True).click()


CENT = 2 ** (1 / 1200)
IN_STEP = {"1": 1, "0.8": 8}
"""By speed, samples that clicks may be apart: what shifts them differently smears them differently, see click_in."""


def test_another_key_as_a_file(recording: Page, clicks: Locator, tmp_path: Path) -> None:
    """Three semitones up, drums as high as they were, at 80 % and at the song's own speed; and as it is."""
    save = clicks.get_by_role("button", name="Save this mix")
    key, speed = clicks.get_by_label("Key"), clicks.get_by_label("Speed")

    def saved(*stems: str) -> tuple[str, Sound]:
        for stem in stems:
            clicks.get_by_role("button", name=f"Solo {stem}").click()
        path = download(recording, save, tmp_path)
        for stem in stems:
            clicks.get_by_role("button", name=f"Solo {stem}").click()
        return path.name, read(path)

    plain = {stem: saved(stem)[1] for stem in ("drums", "melody")}
    higher = 440 * 2 ** (3 / 12)
    for at, named in ("0.8", " 80% +3"), ("1", " +3"):
        key.select_option("3")
        speed.select_option(at)
        names, sounds = {}, {}
        for stem in ("drums", "melody", "vocals"):
            names[stem], sounds[stem] = saved(stem)
        assert names["melody"] == f"clicks - melody{named}.wav"
        for stem, expected in ("drums", 440), ("melody", higher), ("vocals", higher):
            assert len(sounds[stem]) == 12 / float(at) * RATE
            tone = sounds[stem][RATE : 3 * RATE, 0]
            assert expected / CENT**5 < pitch_of(tone) < expected * CENT**5, (at, stem)
        for second in range(4, 12):
            begin, end = (int((second + part) / float(at) * RATE) for part in (0.25, 0.75))
            middle = (second + 0.5) / float(at) * RATE - begin
            for stem, sound in sounds.items():
                apart = abs(click_in(sound[begin:end, 0]) - middle)
                assert apart < IN_STEP[at], (at, stem, second)
        both = saved("drums", "melody")[1]
        assert np.abs(both - sounds["drums"] - sounds["melody"]).max() < 3 / 2**15
    assert np.array_equal(sounds["drums"], plain["drums"])  # nothing was in their way
    key.select_option("0")
    for stem, sound in plain.items():
        assert np.array_equal(saved(stem)[1], sound)


def test_another_key_is_heard_in_step(recording: Page, clicks: Locator) -> None:
    """Drums on the left, melody on the right: clicks of both at the same time."""
    for stem, side in ("drums", "-1"), ("melody", "1"):
        clicks.get_by_role("button", name=f"Solo {stem}").click()
        clicks.get_by_label(f"Pan of {stem}").fill(side)
    for key, speed in ("3", "1"), ("3", "0.8"), ("-5", "0.8"):
        clicks.get_by_label("Key").select_option(key)
        clicks.get_by_label("Speed").select_option(speed)
        found = 0
        for block in listen(clicks, 6, begin=5):
            peaks = np.abs(block).max(axis=0)
            edge = np.abs(block[[*range(2048), *range(-2048, 0)]]).max(axis=0)
            if (peaks > 0.05).all() and (edge < 0.01).all():
                apart = abs(click_in(block[:, 0]) - click_in(block[:, 1]))
                assert apart < IN_STEP[speed], (key, speed)
                found += 1
        assert found >= 2  # others lie at a block's edge, or a busy machine has left them out


def middle_of(sound: Sound) -> float:
    """In Hz, of a second of one channel's spectrum up to 6 kHz."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(RATE)))[:6000]
    return float((np.arange(6000) * spectrum).sum() / spectrum.sum())


def test_a_voice_keeps_its_formants_in_another_key(recording: Page, tmp_path: Path) -> None:
    """What is sung seven semitones higher sounds as by the same singer, and what is played doesn't."""
    time = np.arange(3 * RATE) / RATE
    harmonics = 110.0 * np.arange(1, 40)
    waves = np.sin(2 * np.pi * time[:, np.newaxis] * harmonics) @ loudness(harmonics)
    drop(recording, ("ah.wav", wav(0.3 * (waves / np.abs(waves).max()).astype(np.float32))))
    song = card(recording, "ah")
    expect(song).to_have_attribute("data-state", "done", timeout=PATIENCE)
    song.get_by_label("Key").select_option("7")
    middles = {}
    for stem in ("vocals", "melody"):
        song.get_by_role("button", name=f"Solo {stem}").click()
        save = song.get_by_role("button", name="Save this mix")
        middles[stem] = middle_of(read(download(recording, save, tmp_path))[RATE : 2 * RATE, 0])
        song.get_by_role("button", name=f"Solo {stem}").click()
    song.get_by_role("button", name="Remove ah").click()
    card(recording, "song").get_by_role("button", name="song", exact=True).click()
    middle = middle_of(waves[:RATE])
    assert middles["vocals"] == pytest.approx(middle, rel=0.1)
    assert middles["melody"] == pytest.approx(middle * 2 ** (7 / 12), rel=0.1)


SOURCES = """
window.rates = [];
const { start } = AudioBufferSourceNode.prototype;
AudioBufferSourceNode.prototype.start = function (...when) {
  rates.push(this.playbackRate.value);
  return start.apply(this, when);
};
const { addModule } = AudioWorklet.prototype;
AudioWorklet.prototype.addModule = function (url) {
  document.body.dataset.worklet = url;
  return addModule.call(this, url);
};
window.shifters = 0;
const Node = AudioWorkletNode;
window.AudioWorkletNode = class extends Node {
  constructor(...options) {
    super(...options);
    shifters++;
  }
};
"""
"""Has the page keep at which speed sources play, count shifters, and tell where the shifter comes from."""


def test_the_last_choice_of_speed_counts(visit: Callable) -> None:
    """Also while what the first needs is still being fetched."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        if held:
            route.continue_()
        held.append(route)

    def prepare(page: Page) -> None:
        page.add_init_script(SOURCES)
        page.route("**/SignalsmithStretch.mjs", hold)

    page, _ = visit("?workers=1", prepare)
    drop(page, ("song.wav", wav(compose(6))))
    expect_state(page, "done")
    song = card(page, "song")
    song.get_by_role("button", name="Play", exact=True).click()
    with page.expect_request("**/SignalsmithStretch.mjs"):
        song.get_by_label("Speed").select_option("0.9")
    song.get_by_label("Speed").select_option("1")
    held[0].continue_()
    # Not a Blob, of which every song would leave one.
    expect(page.locator("body")).to_have_attribute(
        "data-worklet", re.compile(r"^http.*/SignalsmithStretch\.mjs$")
    )
    expect(song.locator(".clock")).to_have_text("0:06", timeout=PATIENCE)
    expect(song.get_by_role("button", name="Play", exact=True)).to_be_visible()
    assert set(page.evaluate("rates")) == {1}


def test_two_quick_changes_of_speed_leave_one_shifter(visit: Callable) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        if held:
            route.continue_()
        held.append(route)

    def prepare(page: Page) -> None:
        page.add_init_script(SOURCES)
        page.route("**/SignalsmithStretch.mjs", hold)

    page, _ = visit("?workers=1", prepare)
    drop(page, ("song.wav", wav(compose(6))))
    expect_state(page, "done")
    song = card(page, "song")
    song.get_by_role("button", name="Play", exact=True).click()
    with page.expect_request("**/SignalsmithStretch.mjs"):
        song.get_by_label("Speed").select_option("0.9")
    song.get_by_label("Speed").select_option("0.8")
    held[0].continue_()
    page.wait_for_function("rates.some((rate) => Math.abs(rate - 0.8) < 1e-6)", timeout=PATIENCE)
    assert page.evaluate("shifters") == 1
    assert not page.evaluate("rates.some((rate) => Math.abs(rate - 0.9) < 1e-6)")


CONTEXTS = """
window.contexts = [];
const Context = AudioContext;
window.AudioContext = class extends Context {
  constructor(options) {
    super(options);
    contexts.push(this);
  }
};
"""
"""Has the page keep its audio contexts."""


def test_one_press_plays_on_after_an_interruption(visit: Callable) -> None:
    """As a phone call is one: the browser stops the sound, and the page isn't asked."""
    page, _ = visit("?workers=1", lambda page: page.add_init_script(CONTEXTS))
    drop(page, ("song.wav", wav(compose(20))))
    expect_state(page, "done")
    song = card(page, "song")
    play = song.get_by_role("button", name="Play", exact=True)
    play.click()
    expect(song.locator(".clock")).to_have_text("0:01", timeout=PATIENCE)
    page.evaluate("contexts.at(-1).suspend()")
    expect(play).to_be_visible()
    position = float(song.locator(".seek").input_value())
    play.click()
    expect(song.get_by_role("button", name="Pause", exact=True)).to_be_visible()
    page.wait_for_function(
        "([seek, time]) => seek.value > time",
        arg=[song.locator(".seek").element_handle(), position + 1],
        timeout=PATIENCE,
    )
    assert page.evaluate("contexts.at(-1).state") == "running"


def test_what_the_device_stops_is_paused_and_goes_on_when_played(visit: Callable) -> None:
    """As phones do when headphones are pulled: they stop the element that gets media keys."""
    page, _ = visit("?workers=1", lambda page: page.add_init_script(KEYS))
    drop(page, ("song.wav", wav(compose(20))))
    expect_state(page, "done")
    song = card(page, "song")
    play = song.get_by_role("button", name="Play", exact=True)
    play.click()
    expect(song.locator(".clock")).to_have_text("0:01", timeout=PATIENCE)
    page.wait_for_function("!element.paused")
    page.evaluate("element.pause()")
    expect(play).to_be_visible()
    play.click()
    expect(song.locator(".clock")).to_have_text("0:02", timeout=PATIENCE)
    # A jump stops the element, too, and begins it again.
    song.locator(".seek").fill("10")
    expect(song.locator(".clock")).to_have_text("0:11", timeout=PATIENCE)
    expect(song.get_by_role("button", name="Pause", exact=True)).to_be_visible()


def test_sound_goes_on_by_another_device(visit: Callable) -> None:
    """Where it goes is the browser's choice, which it makes when the sound begins."""
    page, _ = visit("?workers=1", lambda page: page.add_init_script(CONTEXTS))
    drop(page, ("song.wav", wav(compose(20))))
    expect_state(page, "done")
    song = card(page, "song")
    song.get_by_role("button", name="Play", exact=True).click()
    expect(song.locator(".clock")).to_have_text("0:01", timeout=PATIENCE)
    page.evaluate(
        """() => {
          const context = contexts.at(-1);
          window.states = [];
          context.addEventListener("statechange", () => states.push(context.state));
          navigator.mediaDevices.dispatchEvent(new Event("devicechange"));
        }"""
    )
    expect(song.locator(".clock")).to_have_text("0:03", timeout=PATIENCE)
    assert page.evaluate("states") == ["suspended", "running"]


DRAW = """
import js
from page.listen import mixer

lane = mixer.Lane("vocals")
js.document.body.append(lane.node)
lane.waveform.canvas.id = "probe"
for begin, peaks in ((0, [0.0] * 20), (3599.9 / 3600, [1.0, 1.0])):
    lane.draw(begin, begin + 0.05 * len(peaks) / 3600, peaks)
lane.waveform.canvas.dataset.state = "done"
"""
# How much of the height of each of the last columns is drawn on.
DRAWN = """canvas => [2, 1].map((back) => {
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(width - back, 0, 1, height);
  return data.filter((value, index) => index % 4 === 3 && value > 60).length / height;
})"""


def test_last_tenth_of_a_second_of_an_hour_is_seen(page: Page) -> None:
    page.evaluate(
        """code => document.body.append(Object.assign(
          document.createElement("script"), { type: "mpy", textContent: code }))""",
        DRAW,
    )
    canvas = page.locator("#probe")
    expect(canvas).to_have_attribute("data-state", "done")
    before, last = canvas.evaluate(DRAWN)
    assert before == 0
    assert last > 0.9
    page.evaluate("document.querySelector('#probe').closest('[data-stem]').remove()")


def test_what_is_gone_of_a_song_is_silent(page: Page) -> None:
    drop(page, ("song.wav", wav(compose(3))))
    expect_state(page, "done")
    song = card(page, "song")
    page.evaluate(
        """() => {
          window.arrayBuffer = Blob.prototype.arrayBuffer;
          Blob.prototype.arrayBuffer = () => Promise.reject(new DOMException("", "NotFoundError"));
        }"""
    )
    try:
        song.get_by_role("button", name="Play", exact=True).click()
        expect(song.locator(".clock")).to_have_text("0:02", timeout=PATIENCE)
        expect(song.get_by_role("button", name="Play", exact=True)).to_be_visible()
    finally:
        page.evaluate("() => { Blob.prototype.arrayBuffer = arrayBuffer }")


def test_what_is_set_while_a_song_waits_stays(visit: Callable) -> None:
    held: list[Route] = []
    weights = "**/vocals.safetensors.gz"
    page, _ = visit(
        "?workers=1", lambda page: page.route(weights, lambda route: held.append(route))
    )
    volume, mute = page.get_by_label("Volume of drums"), page.get_by_label("Mute bass")
    with page.expect_request(weights, timeout=PATIENCE):
        drop(page, ("song.wav", wav(compose(2))))
        volume.fill("0.5")
        mute.click()
    while not held:
        page.evaluate("0")
    held.pop().continue_()
    expect_state(page, "done")
    expect(volume).to_have_value("0.5")
    expect(mute).to_have_attribute("aria-pressed", "true")


def test_playback_starts_before_the_work_is_done(page: Page) -> None:
    with at_work(page):
        drop(page, ("long.wav", wav(np.tile(SONG, (4, 1)))))
        song = card(page, "long")
        # At once: it begins to be heard as soon as the first stems are there.
        song.get_by_role("button", name="Play", exact=True).click(timeout=PATIENCE)
        expect(song.get_by_role("button", name="Pause", exact=True)).to_be_visible()
        expect(song.locator(".clock")).not_to_have_text("0:00", timeout=PATIENCE)
        expect(page.locator("html")).to_have_attribute("data-state", "running")


def test_playback_waits_at_the_edge_of_what_is_there_and_goes_on(page: Page) -> None:
    with at_work(page) as work:
        drop(page, ("long.wav", wav(np.tile(SONG, (4, 1)))))
        song = card(page, "long")
        expect(song.locator(".play")).to_be_enabled(timeout=PATIENCE)
        song.locator(".seek").fill("70")
        song.locator(".play").click()
        waiting = re.compile("waiting")
        expect(song.locator(".play")).to_have_class(waiting)
        expect(song.get_by_role("button", name="Pause")).to_be_visible()
        expect(song.locator(".clock")).to_have_text("1:10")
        work.release()
        expect(song.locator(".play")).not_to_have_class(waiting, timeout=PATIENCE)
        expect(song.locator(".clock")).to_have_text("1:11", timeout=PATIENCE)


def choose(page: Page, stems: list[str], kind: str) -> None:
    for stem in ("Vocals", "Drums", "Bass", "Melody"):
        options(page).get_by_label(stem).set_checked(stem in stems)
    options(page).get_by_label("File format").select_option(kind)


def files(song: Locator) -> list[str]:
    return [str(link.get_attribute("data-stem")) for link in song.locator("a[download]").all()]


@pytest.mark.engine
@pytest.mark.parametrize(
    ("chosen", "made", "lanes", "kind", "subtype"),
    [
        (["Vocals"], ["vocals", "karaoke"], ["Vocals", "Karaoke"], "float", "FLOAT"),
        (["Bass"], ["bass", "rest"], ["Bass", "Rest"], "24", "PCM_24"),
        (
            *(["Vocals", "Drums"], ["vocals", "drums", "karaoke", "rest"]),
            *(["Vocals", "Drums", "Rest"], "float", "FLOAT"),
        ),
    ],
)
def test_some_stems_and_what_they_leave(
    page: Page,
    tmp_path: Path,
    chosen: list[str],
    made: list[str],
    lanes: list[str],
    kind: str,
    subtype: str,
) -> None:
    choose(page, chosen, kind)
    drop(page, ("song.wav", wav(SONG)))
    choose(page, ["Vocals", "Drums", "Bass", "Melody"], "16")
    expect_state(page, "done")
    song = card(page, "song")
    assert files(song) == made
    assert song.locator(".lane h3").all_inner_texts() == lanes
    paths = {stem: download(page, song.locator(f"a[data-stem={stem}]"), tmp_path) for stem in made}
    assert {soundfile.info(path).subtype for path in paths.values()} == {subtype}
    sounds = {stem: read(path) for stem, path in paths.items()}
    mixture = np.rint(SONG * 2**15) / 2**15
    native = umx.separate(mixture.T, RATE)
    for stem in set(made) - {"rest"}:
        assert snr(sounds[stem], native[stem].T) > 50, stem
    total = np.sum([sounds[lane.lower()] for lane in lanes], axis=0)
    assert np.abs(total - mixture).max() < 1e-4
    if "karaoke" in made:
        assert np.abs(sounds["vocals"] + sounds["karaoke"] - mixture).max() < 1e-4


@pytest.mark.engine
def test_demo_song_kept_awake_with_a_sound_and_a_warning(visit: Callable, tmp_path: Path) -> None:
    def prepare(page: Page) -> None:
        page.add_init_script(RECORD)
        page.add_init_script(
            """
            const request = WakeLock.prototype.request;
            window.locks = [];
            WakeLock.prototype.request = function (kind) {
              const lock = request.call(this, kind);
              lock.then((it) => window.locks.push(it));
              return lock;
            };
            """
        )

    page, _ = visit("?workers=1", prepare)
    page.get_by_role("button", name="Try a demo song").click()
    expect(page.locator(".status")).to_contain_text("%", timeout=PATIENCE)
    assert page.evaluate("locks.map((lock) => lock.released)") == [False]
    expect_state(page, "done")
    vocals = read(download(page, page.locator("a[data-stem=vocals]"), tmp_path))
    assert len(vocals) == 24 * RATE
    sung, unsung = vocals[16 * RATE : 19 * RATE], vocals[20 * RATE : 23 * RATE]
    assert 20 * np.log10(np.std(sung) / np.std(unsung)) > 15  # see tests/unit/test_demo.py
    assert page.evaluate("locks.every((lock) => lock.released)")
    page.wait_for_function("recorded.length", timeout=PATIENCE)

    page.locator("summary", has_text="Settings").click()
    page.locator("#keep").uncheck()
    page.get_by_role("button", name="Try a demo song").click()
    expect(page.locator(".card[data-state=done]")).to_have_count(2, timeout=PATIENCE)
    with page.expect_event("dialog") as warning:
        page.close(run_before_unload=True)
    assert warning.value.type == "beforeunload"
    warning.value.accept()


LATE_LOCK = """
const request = WakeLock.prototype.request;
WakeLock.prototype.request = function (kind) {
  return request.call(this, kind).then((lock) => new Promise((done) => {
    document.body.dataset.lock = "asked for";
    lock.onrelease = () => (document.body.dataset.lock = "released");
    window.grant = () => done(lock);
  }));
};
"""
"""Has the page wait for its wake lock until grant() is called."""


def test_the_screen_goes_dark_although_the_work_was_done_at_once(visit: Callable) -> None:
    page, _ = visit("?workers=1", lambda page: page.add_init_script(LATE_LOCK))
    drop(page, ("odd.wav", b"no song"))
    expect_state(page, "error")
    expect(page.locator("body")).to_have_attribute("data-lock", "asked for")
    page.evaluate("grant()")
    expect(page.locator("body")).to_have_attribute("data-lock", "released")


def test_notification_only_if_asked_for(visit: Callable) -> None:
    def prepare(page: Page) -> None:
        page.add_init_script(
            """
            window.shown = [];
            window.Notification = class {
              static permission = "default";
              static async requestPermission() {
                return (Notification.permission = window.answer);
              }
              constructor(title, { body }) {
                shown.push([title, body]);
              }
            };
            """
        )

    page, _ = visit("?workers=1", prepare)
    box = page.get_by_label("A notification when")
    expect_state(page, "ready")
    page.locator("summary", has_text="Settings").click()
    expect(box).not_to_be_checked()
    page.evaluate("window.answer = 'denied'")
    box.click()
    expect(page.locator("#notify-note")).to_contain_text("doesn't allow")
    expect(box).not_to_be_checked()
    drop(page, ("first.wav", wav(compose(1))))
    expect_state(page, "done")
    page.evaluate("window.answer = 'granted'")
    box.click()
    expect(page.locator("#notify-note")).to_have_text("")
    expect(box).to_be_checked()
    drop(page, ("b.flac", tagged(compose(1), title="second", artist="Björk")))
    expect(card(page, "second")).to_have_attribute("data-state", "done", timeout=PATIENCE)
    drop(page, ("third.wav", b"no song"))
    expect(card(page, "third")).to_have_attribute("data-state", "failed", timeout=PATIENCE)
    shown = page.evaluate("shown")
    assert [title for title, _ in shown] == ["Björk - second", "third"]
    assert shown[0][1] == "Ready, made with umx-mini"


def test_dropped_folder(page: Page) -> None:
    """Its songs in order, and what is no song left out."""
    songs = {"b.wav": wav(compose(0.2)), "a.wav": wav(compose(0.2)), "cover.jpg": b""}
    page.evaluate(DROP_ENTRY)
    page.evaluate(
        """(songs) => {
          const entry = (name, bytes) => {
            const type = name.endsWith("wav") ? "audio/wav" : "image/jpeg";
            const file = new File([new Uint8Array(bytes)], name, { type });
            return { name, isFile: true, isDirectory: false, file: (done) => done(file) };
          };
          const inside = songs.map(([name, bytes]) => entry(name, bytes));
          const readEntries = (done) => done(inside.splice(0, 2));
          const folder = { name: "album", isDirectory: true, createReader: () => ({ readEntries }) };
          dropEntry(folder);
        }""",
        [[name, list(content)] for name, content in songs.items()],
    )
    expect(page.locator(".card[data-state=done]")).to_have_count(2, timeout=PATIENCE)
    assert page.locator(".card .title").all_inner_texts() == ["a", "b"]


KEYS = """
(() => {
  const { setActionHandler } = MediaSession.prototype;
  window.keys = {};
  MediaSession.prototype.setActionHandler = function (action, handler) {
    window.keys[action] = handler;
    return setActionHandler.call(this, action, handler);
  };
  const { play } = HTMLMediaElement.prototype;
  HTMLMediaElement.prototype.play = function () {
    window.element = this;
    return play.call(this);
  };
})();
"""
"""Has the page's handlers of media keys be `keys[action]`, and the audio element that gets them `element`."""


def tagged(sound: Sound, **tags: str) -> bytes:
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", RATE, 2, format="FLAC") as writer:
        for name, text in tags.items():
            setattr(writer, name, text)
        writer.write(sound)
    return file.getvalue()


def test_media_keys(visit: Callable) -> None:
    page, _ = visit("?workers=1", lambda page: page.add_init_script(KEYS))

    def press(key: str, **details: float) -> None:
        page.evaluate("([key, details]) => keys[key](details)", [key, details])

    one, two = card(page, "The One"), card(page, "two")
    sound = tagged(compose(12), title="The One", artist="Björk")
    drop(page, ("one.flac", sound), ("two.wav", wav(compose(8))))
    expect(page.locator(".card[data-state=done]")).to_have_count(2, timeout=PATIENCE)
    press("play")
    expect(one.get_by_role("button", name="Pause")).to_be_visible()
    said = "(({ title, artist }) => [title, artist])(navigator.mediaSession.metadata)"
    assert page.evaluate(said) == ["The One", "Björk"]
    assert page.evaluate("navigator.mediaSession.playbackState") == "playing"
    assert page.evaluate("!element.paused && !element.muted && element.loop")
    press("pause")
    expect(one.get_by_role("button", name="Play")).to_be_visible()
    assert page.evaluate("navigator.mediaSession.playbackState") == "paused"
    press("seekto", seekTime=2)
    expect(one.locator(".clock")).to_have_text("0:02")
    press("seekforward", seekOffset=6)
    expect(one.locator(".clock")).to_have_text("0:08")
    press("seekbackward")
    expect(one.locator(".clock")).to_have_text("0:03")
    press("seekforward")
    press("previoustrack")
    expect(one.locator(".clock")).to_have_text("0:00")
    press("nexttrack")
    expect(two.get_by_role("button", name="Pause")).to_be_visible()
    assert page.evaluate(said) == ["two", ""]
    press("nexttrack")  # there is none
    expect(two.get_by_role("button", name="Pause")).to_be_visible()
    press("previoustrack")
    expect(one.get_by_role("button", name="Pause")).to_be_visible()
    press("pause")
    page.wait_for_function("element.paused", timeout=PATIENCE)
