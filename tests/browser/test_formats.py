"""What files say of their songs, and the formats that stems are saved in."""

import io
import re
import zipfile
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from pages import let_through
from playwright.sync_api import Page, expect
from songs import (
    COVER,
    PATIENCE,
    RATE,
    SONG,
    Sound,
    card,
    compose,
    download,
    drop,
    expect_state,
    mp3_with_id3,
    options,
    read,
    snr,
    wav,
)


@pytest.fixture(scope="module")
def address(stand_in: str) -> str:
    return stand_in


def tagged(sound: Sound, kind: str, **said: str) -> bytes:
    """A song as a file of a kind that libsndfile writes, with tags."""
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", RATE, 2, format=kind) as writer:
        for name, text in said.items():
            setattr(writer, name, text)
        writer.write(sound)
    return file.getvalue()


SLOW_ENCODER = """
const post = Worker.prototype.postMessage;
const waiting = [];
window.goOn = () => { Worker.prototype.postMessage = post; waiting.forEach(go => go()); };
Worker.prototype.postMessage = function (message, ...rest) {
  if (message?.command?.type === "encode") waiting.push(() => post.call(this, message, ...rest));
  else post.call(this, message, ...rest);
};
"""
"""Has an encoder wait until goOn() is called."""


HOSTILE = "<img src=x onerror=\"document.title='taken'\">"


@pytest.mark.parametrize("kind", ["FLAC", "OGG", "WAV", "MP3"])
def test_card_says_whose_song_it_is(page: Page, kind: str) -> None:
    artist = "Bjork" if kind == "WAV" else "Björk 東京"  # WAV has no agreed place for other letters
    if kind == "MP3":
        content = mp3_with_id3(compose(1), COVER, TPE1=artist, TALB=HOSTILE)
    else:
        content = tagged(compose(1), kind, artist=artist, album=HOSTILE)
    drop(page, (f"song.{kind.lower()}", content))
    expect_state(page, "done")
    expect(card(page, "song").locator(".by")).to_have_text(f"{artist}, {HOSTILE}")
    assert card(page, "song").locator("img").count() == 0
    assert page.title() != "taken"


def test_song_without_tags(page: Page) -> None:
    drop(page, ("song.flac", tagged(compose(1), "FLAC")))
    expect_state(page, "done")
    expect(card(page, "song").locator(".by")).to_have_text("")


@pytest.fixture(autouse=True)
def default_format(page: Page) -> Iterator[None]:
    yield
    choose(page, "16")


def choose(page: Page, form: str) -> None:
    options(page).get_by_label("File format").select_option(form)


def saved(page: Page, folder: Path, name: str, content: bytes) -> Path:
    """The file of the vocals of a song."""
    drop(page, (name, content))
    expect_state(page, "done")
    song = page.locator(".card").first  # it may have another title by now
    return download(page, song.locator("a[data-stem=vocals]"), folder)


@pytest.fixture(scope="module")
def whole(shared: tuple[Page, list[str]], tmp_path_factory: pytest.TempPathFactory) -> Sound:
    """The vocals of SONG with nothing lost."""
    page, _ = shared
    choose(page, "float")
    sound = read(saved(page, tmp_path_factory.mktemp("whole"), "whole.wav", wav(SONG)))
    card(page, "whole").locator(".remove").click()
    return sound


@pytest.mark.parametrize(("form", "bits"), [("flac", 16), ("flac-24", 24)])
def test_flac_files_hold_every_bit(
    page: Page, whole: Sound, tmp_path: Path, form: str, bits: int
) -> None:
    choose(page, form)
    path = saved(page, tmp_path, "Ünder a title.wav", wav(SONG))
    assert path.name == "Ünder a title - vocals.flac"
    assert soundfile.info(path).subtype == f"PCM_{bits}"
    sound = read(path)
    assert sound.shape == whole.shape
    assert np.abs(sound - whole).max() <= 0.5 / 2 ** (bits - 1)


def test_mp3_files(page: Page, whole: Sound, tmp_path: Path) -> None:
    choose(page, "mp3")
    path = saved(page, tmp_path, "song.wav", wav(SONG))
    assert path.name == "song - vocals.mp3"
    assert soundfile.info(path).subtype == "MPEG_LAYER_III"
    sound = read(path)
    # Encoder and decoder together delay it; some decoders skip their own part.
    delayed = [sound[delay : delay + len(whole)] for delay in (576, 1105)]
    assert max(snr(some, whole[: len(some)]) for some in delayed) > 18
    assert len(whole) <= len(sound) < len(whole) + 3 * 1152


def test_opus_files(page: Page, whole: Sound, tmp_path: Path) -> None:
    choose(page, "opus")
    path = saved(page, tmp_path, "song.wav", wav(SONG))
    assert path.name == "song - vocals.opus"
    sound, rate = soundfile.read(path)
    assert (soundfile.info(path).subtype, rate) == ("OPUS", 48000)
    expected = soxr.resample(whole, RATE, rate)
    assert len(expected) <= len(sound) < len(expected) + 960
    assert snr(sound[: len(expected)], expected) > 18


def test_opus_is_offered_only_where_the_browser_writes_it(visit: Callable) -> None:
    def without(page: Page) -> None:
        page.add_init_script("delete window.AudioEncoder")

    page, _ = visit("?workers=1&format=opus", without)
    menu = page.get_by_label("File format")
    expect(menu.locator("[value=opus]")).to_have_count(0)
    expect(menu).to_have_value("16")


@pytest.mark.parametrize("form", ["flac", "mp3", "opus"])
def test_tags_and_cover_are_kept(page: Page, tmp_path: Path, form: str) -> None:
    choose(page, form)
    said = {"TIT2": "Söng", "TPE1": "Björk 東京", "TALB": HOSTILE, "TRCK": "3/9", "TDRC": "1999"}
    path = saved(page, tmp_path, "song.mp3", mp3_with_id3(compose(1), COVER, **said))
    assert path.name.startswith("Björk 東京 - Söng - vocals.")
    expect(page.locator(".title")).to_have_text("Söng")
    with soundfile.SoundFile(path) as file:
        kept = file.copy_metadata()
    assert (kept["title"], kept["artist"], kept["album"]) == (
        "Söng (vocals)",
        "Björk 東京",
        HOSTILE,
    )
    assert kept["tracknumber"].startswith("3")
    assert kept["date"].startswith("1999")
    content = path.read_bytes()
    if form == "opus":
        content = b64decode(content.partition(b"METADATA_BLOCK_PICTURE=")[2].partition(b"Ogg")[0])
    assert COVER in content


def test_year_is_the_file_s_wherever_the_visitor_is(visit: Callable, tmp_path: Path) -> None:
    page, _ = visit("?workers=1", timezone_id="America/New_York")
    path = saved(page, tmp_path, "song.mp3", mp3_with_id3(compose(1), COVER, TDRC="1999"))
    with soundfile.SoundFile(path) as file:
        assert file.copy_metadata()["date"] == "1999"


def test_song_without_tags_gets_its_title_from_its_name(page: Page, tmp_path: Path) -> None:
    choose(page, "flac")
    with soundfile.SoundFile(saved(page, tmp_path, "My song.wav", wav(compose(1)))) as file:
        assert file.copy_metadata() == {"title": "My song (vocals)"}


def test_zip_and_mix_are_of_the_chosen_format(page: Page, tmp_path: Path) -> None:
    choose(page, "flac")
    drop(page, ("song.wav", wav(compose(2))))
    expect_state(page, "done")
    archive = zipfile.ZipFile(download(page, page.locator(".zip"), tmp_path))
    stems = ["vocals", "drums", "bass", "melody", "karaoke"]
    assert archive.namelist() == [f"song - {stem}.flac" for stem in stems]
    page.locator("[data-preset=karaoke]").click()
    mix = download(page, page.locator(".mix"), tmp_path)
    assert mix.name == "song - karaoke.flac"
    karaoke = soundfile.read(io.BytesIO(archive.read("song - karaoke.flac")))[0]
    assert np.abs(read(mix) - karaoke).max() < 3 / 2**15


def test_format_of_a_finished_song_can_be_changed(page: Page, tmp_path: Path) -> None:
    choose(page, "float")
    said = {"TIT2": "Song", "TPE1": "Björk 東京", "TALB": HOSTILE, "TRCK": "3/9", "TDRC": "1999"}
    path = saved(page, tmp_path, "song.mp3", mp3_with_id3(compose(3), COVER, **said))
    floats = read(path)
    with soundfile.SoundFile(path) as file:
        assert file.copy_metadata() == {
            "title": "Song (vocals)",
            "artist": "Björk 東京",
            "album": HOSTILE,
            "tracknumber": "3/9",
            "date": "1999",
        }
    assert b"APIC" in path.read_bytes()
    assert COVER in path.read_bytes()

    song = card(page, "Song")
    status = song.locator(".status").text_content()
    menu = song.get_by_label("Format of Song")
    expect(menu).to_have_value("float")
    menu.select_option("flac-24")
    expect(song.locator("a[download$='.flac']")).to_have_count(5, timeout=PATIENCE)
    expect(song.locator(".status")).to_have_text(str(status))
    lossless = download(page, song.locator("a[data-stem=vocals]"), tmp_path)
    assert soundfile.info(lossless).subtype == "PCM_24"
    assert np.abs(read(lossless) - floats).max() < 2**-23

    # Only the last choice counts, and what a mix of it can't hold is told.
    menu.select_option("mp3")
    menu.select_option("16")
    expect(song.locator("a[download$='.wav']")).to_have_count(5, timeout=PATIENCE)
    integers = download(page, song.locator("a[data-stem=vocals]"), tmp_path)
    assert soundfile.info(integers).subtype == "PCM_16"
    assert np.abs(read(integers) - floats).max() < 2**-15
    expect(song.locator(".loud")).to_have_text("")
    for slider in song.locator(".volume").all():
        slider.fill("1.5")
    mixture = np.abs(read(download(page, song.locator(".mix"), tmp_path)))
    expect(song.locator(".loud")).to_have_text("A little too loud in places; corrected.")
    expect(song.locator(".limited")).to_contain_text("of vocals + drums + bass + melody")
    assert mixture.max() > 0.9999


def test_what_is_pressed_gives_what_is_shown(visit: Callable, tmp_path: Path) -> None:
    page, _ = visit("?workers=1", lambda page: page.add_init_script(SLOW_ENCODER))
    drop(page, ("song.wav", wav(compose(2))))
    expect_state(page, "done")
    song = card(page, "song")
    savers = [song.locator(name) for name in (".zip", ".mix", ".folder", "[data-part=drumless]")]
    song.locator(".format").select_option("mp3")
    expect(song.locator(".status")).to_contain_text("Preparing MP3…")
    for saver in savers:
        expect(saver).to_be_disabled()
    expect(song.locator("a[download]")).to_have_count(0)
    page.evaluate("goOn()")
    expect(song.locator("a[download$='.mp3']")).to_have_count(5, timeout=PATIENCE)
    for saver in savers:
        expect(saver).to_be_enabled()
    archive = zipfile.ZipFile(download(page, song.locator(".zip"), tmp_path))
    for name in archive.namelist():
        sound, _ = soundfile.read(io.BytesIO(archive.read(name)))
        assert name.endswith(".mp3") and len(sound) >= 2 * RATE


def test_cancel_while_files_are_written(visit: Callable) -> None:
    def prepare(page: Page) -> None:
        page.add_init_script(SLOW_ENCODER)

    page, _ = visit("?workers=1&format=mp3", prepare)
    drop(page, ("song.wav", wav(compose(2))))
    song = card(page, "song")
    expect(song.locator(".status")).to_contain_text("Preparing ", timeout=PATIENCE)
    song.locator(".cancel").click()
    expect(page.locator("html")).to_have_attribute("data-state", "ready")
    page.evaluate("goOn()")
    choose(page, "16")
    drop(page, ("next.wav", wav(compose(1))))
    expect_state(page, "done")
    expect(song.locator("a[download]")).to_have_count(0)
    expect(song.locator(".status")).to_have_text("Cancelled")


def test_encoder_that_can_not_be_fetched(visit: Callable) -> None:
    def prepare(page: Page) -> None:
        page.route("**/*mp3-encoder*.js", lambda route: route.abort())

    page, complaints = visit("?workers=1&format=mp3", prepare)
    drop(page, ("song.wav", wav(compose(1))))
    expect_state(page, "error")
    expect(card(page, "song").locator(".status")).to_have_text(
        "What writes MP3 files can't be fetched: try again, or choose WAV."
    )
    complaints.clear()  # of the file that isn't there
    let_through(page, "**/*mp3-encoder*.js")
    page.get_by_role("button", name="Retry song").click()
    expect_state(page, "done")
    expect(page.locator("a[download$='.mp3']")).to_have_count(5)


def test_encoder_that_fails_leaves_wav_files(visit: Callable) -> None:
    def prepare(page: Page) -> None:
        page.add_init_script("AudioEncoder.prototype.configure = () => { throw Error('broken') }")

    page, complaints = visit("?workers=1&format=opus", prepare)
    drop(page, ("song.wav", wav(compose(1))))
    expect_state(page, "done")
    expect(card(page, "song").locator(".status")).to_contain_text("so they are WAV")
    expect(page.locator("a[download$='.wav']")).to_have_count(5)
    complaints.clear()


@pytest.mark.parametrize(("rate", "samples"), [(48000, 5 * 48000 + 123), (22050, 5 * 22050 + 1)])
def test_files_at_the_song_s_own_rate(page: Page, tmp_path: Path, rate: int, samples: int) -> None:
    # Nothing above 4 kHz, where one change of rate differs from another.
    dull = soxr.resample(compose(6), RATE, 8000)
    song = soxr.resample(dull, 8000, rate)[:samples]
    choose(page, "float")
    usual = read(saved(page, tmp_path, "usual.wav", wav(song, rate)))
    settings = page.locator("summary", has_text="Settings")
    settings.click()
    page.locator("#keep-rate").check()
    try:
        path = saved(page, tmp_path, "own.wav", wav(song, rate))
        own, found = soundfile.read(path, dtype="float32")
        assert (found, soundfile.info(path).subtype) == (rate, "FLOAT")
        assert own.shape == (samples, 2)
        expected = soxr.resample(usual, RATE, rate)
        error = own[100:-100] - expected[100 : samples - 100]
        assert np.abs(error).max() < 2e-4  # also where one stretch meets the next
        choose(page, "flac")
        path = saved(page, tmp_path, "lossless.wav", wav(song, rate))
        assert soundfile.info(path).frames == samples
    finally:
        page.locator("#keep-rate").uncheck()
        settings.click()


PICKED = """
window.showDirectoryPicker = async () => {
  return (await navigator.storage.getDirectory()).getDirectoryHandle("picked", { create: true });
};
"""
"""Stands in for the browser's dialogue, which a test can't press."""
LISTED = """async () => {
  const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle("picked");
  const found = {};
  for await (const [name, file] of folder.entries()) found[name] = (await file.getFile()).size;
  return found;
}"""


def test_all_files_into_a_folder(visit: Callable) -> None:
    page, _ = visit("?workers=1", lambda page: page.add_init_script(PICKED))
    drop(page, ("song: one.wav", wav(compose(1))))
    expect_state(page, "done")
    song = card(page, "song: one")
    song.get_by_role("button", name="All into a folder").click()
    expect(song.locator(".status")).to_have_text("The files are in the folder")
    stems = ["vocals", "drums", "bass", "melody", "karaoke"]
    size = 44 + 4 * RATE
    assert page.evaluate(LISTED) == {f"song_ one - {stem}.wav": size for stem in stems}


VOCALS = """async () => {
  const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle("picked");
  const levels = {};
  for (const name of ["song - vocals.wav", "song (2) - vocals.wav", "song (3) - vocals.wav"]) {
    const file = await (await folder.getFileHandle(name)).getFile();
    levels[name] = new Int16Array((await file.arrayBuffer()).slice(44)).some((sample) => sample);
  }
  return levels;
}"""


def test_songs_of_one_name_are_numbered_in_a_folder(visit: Callable) -> None:
    """Nothing that is there is written over."""
    page, _ = visit("?workers=1", lambda page: page.add_init_script(PICKED))
    for sound in (compose(1), 0 * compose(1), compose(1)):
        drop(page, ("song.wav", wav(sound)))
        expect_state(page, "done")
        song = page.locator(".card").first
        song.get_by_role("button", name="All into a folder").click()
        expect(song.locator(".status")).to_have_text("The files are in the folder")
    stems = ["vocals", "drums", "bass", "melody", "karaoke"]
    names = [f"song{number} - {stem}.wav" for number in ("", " (2)", " (3)") for stem in stems]
    assert sorted(page.evaluate(LISTED)) == sorted(names)
    assert list(page.evaluate(VOCALS).values()) == [True, False, True]


def test_folder_is_offered_only_where_the_browser_has_it(visit: Callable) -> None:
    page, _ = visit("?workers=1", lambda page: page.add_init_script("delete showDirectoryPicker"))
    drop(page, ("song.wav", wav(compose(1))))
    expect_state(page, "done")
    expect(page.get_by_role("button", name="All into a folder")).to_be_hidden()
    expect(page.get_by_role("button", name="All stems (zip): song")).to_be_visible()


def test_all_songs_as_one_zip_with_a_folder_a_song(page: Page, tmp_path: Path) -> None:
    control = page.get_by_role("button", name="All songs (zip)")
    sounds = {"first": compose(1), "Song": -compose(1), "song": 0 * compose(1)}
    titles = {"first": {"title": "a/b"}}
    for number, (name, sound) in enumerate(sounds.items()):
        drop(page, (f"{name}.wav", tagged(sound, "WAV", **titles.get(name, {}))))
        expect_state(page, "done")
        expect(control).to_be_visible(visible=number > 0)
    archive = zipfile.ZipFile(download(page, control, tmp_path))
    stems = ["vocals", "drums", "bass", "melody", "karaoke"]
    songs = {"song": "song", "Song (2)": "Song", "a_b": "a_b"}
    names = [f"{folder}/{name} - {stem}.wav" for folder, name in songs.items() for stem in stems]
    assert archive.filename and archive.filename.endswith("Stems of 3 songs.zip")
    assert archive.namelist() == names

    def mix(folder: str) -> Sound:
        some = [name for name in names if name.startswith(folder + "/") and "karaoke" not in name]
        return sum(read(io.BytesIO(archive.read(name))) for name in some)

    for folder, sound in zip(songs, reversed(sounds.values()), strict=True):
        assert np.abs(mix(folder) - sound).max() < 4 / 2**15
    for _ in range(2):
        page.locator(".remove").first.click()
    expect(control).to_be_hidden()


def test_files_say_the_tempo_once_it_is_known(visit: Callable, tmp_path: Path) -> None:
    """The stand-in finds 120 beats a minute in every song."""
    page, _ = visit("?workers=1")
    drop(page, ("song.wav", wav(compose(16))))
    expect_state(page, "done")
    song = card(page, "song")
    vocals = song.locator("a[data-stem=vocals]")
    before = download(page, vocals, tmp_path)
    assert b"acid" not in before.read_bytes()
    page.locator("summary", has_text="Settings").click()
    page.get_by_label("The tempo in the names of files").check()
    song.get_by_role("button", name="Analyse").click()
    expect(vocals).to_have_attribute("download", "song 120 BPM - vocals.wav", timeout=PATIENCE)
    expect(page.locator("#announcer")).to_contain_text("120 BPM")
    sounds = []
    for stem in ("vocals", "drums", "bass", "melody"):
        path = download(page, song.locator(f"a[data-stem={stem}]"), tmp_path)
        with soundfile.SoundFile(path) as file:
            assert re.search(r"Tempo *: *120\b", file.extra_info)
            assert re.search(r"Meter *: *4/4", file.extra_info)
            sounds.append(file.read(dtype="float32"))
        assert b"TBPM" in path.read_bytes()
    # Of one length, from one start.
    assert {len(sound) for sound in sounds} == {16 * RATE}
    assert np.abs(sum(sounds) - compose(16)).max() < 4 / 2**15
    assert np.array_equal(sounds[0], read(before))
    song.get_by_role("button", name="Half the tempo").click()
    expect(vocals).to_have_attribute("download", "song 60 BPM - vocals.wav")
    # Files of a tempo that is changed once more before they are begun aren't written.
    vocals.evaluate(
        """link => {
          globalThis.names = [];
          new MutationObserver(() => names.push(link.download)).observe(link, { attributeFilter: ["href"] });
          for (const name of [".double", ".half"]) document.querySelector(name).click();
        }"""
    )
    song.locator(".format").select_option("flac")
    expect(song.locator("a[download$='.flac']")).to_have_count(5, timeout=PATIENCE)
    path = download(page, vocals, tmp_path)
    assert path.name == "song 60 BPM - vocals.flac"
    assert b"BPM=60" in path.read_bytes()
    assert set(page.evaluate("names.filter(name => name)")) == {path.name}
    page.reload()
    expect(page.get_by_label("The tempo in the names of files")).to_be_checked()
    archive = zipfile.ZipFile(download(page, page.locator(".zip"), tmp_path))
    assert "song 60 BPM - vocals.wav" in archive.namelist()
