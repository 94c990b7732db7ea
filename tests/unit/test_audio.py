import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from umx.desktop import audio


def test_stems_appear_only_when_whole(tmp_path: Path) -> None:
    path = tmp_path / "song - bass.wav"

    def broken():
        yield {"bass": np.ones((2, 10), np.float32)}
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError):
        audio.write_stems({"bass": path}, broken(), 20, 44100)
    assert list(tmp_path.iterdir()) == []
    loud = audio.write_stems(
        {"bass": path}, [{"bass": np.full((2, 10), 1.5, np.float32)}] * 2, 20, 44100
    )
    assert loud == 40
    written, rate = soundfile.read(path, dtype="int16")
    assert rate == 44100
    assert written.shape == (20, 2)
    assert (written == 32767).all()


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    stretch = {"bass": np.zeros((2, 3000), np.float32)}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limits[1]))
    try:
        with pytest.raises(audio.AudioError, match=f"written to {tmp_path}.*: .*room"):
            audio.write_stems({"bass": tmp_path / "song - bass.wav"}, [stretch] * 9, 27000, 44100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_can_not_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "gone").touch()
    with pytest.raises(audio.AudioError, match=r"gone .*: see that it is there"):
        audio.write_stems({"bass": tmp_path / "gone" / "song - bass.wav"}, [], 0, 44100)


def test_names_may_hold_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"bad\xff\xe9name - bass.wav")
    stretch = {"bass": np.full((2, 10), 0.25, np.float32)}
    audio.write_stems({"bass": path}, [stretch], 10, 44100)
    written, _ = soundfile.read(path.open("rb"), dtype="float32")
    np.testing.assert_array_equal(written, 0.25)


def test_stems_that_are_too_long_for_wav_become_rf64(tmp_path: Path) -> None:
    stretch = {"bass": np.full((2, 10), 0.25, np.float32)}
    for bits, most in (("16", 4), ("24", 6), ("float", 8)):
        for samples, kind in (((1 << 31) // most, "RF64"), (10, "WAV")):
            form = audio.FORMS["wav"][bits]
            audio.write_stems({"bass": tmp_path / "x.wav"}, [stretch], samples, 44100, form)
            info = soundfile.info(tmp_path / "x.wav")
            assert (info.format, info.subtype, info.frames) == (kind, form.subtype, 10)
            np.testing.assert_array_equal(soundfile.read(tmp_path / "x.wav")[0], 0.25)


def song(seconds: float, rate: int) -> np.ndarray:
    """What lossy formats are good at, (2, n): some tones that swell."""
    time = np.arange(int(seconds * rate)) / rate
    tones = [np.sin(2 * np.pi * f * time + f) * np.sin(time * f / 300) for f in (110, 440, 1234.5)]
    return np.stack([sum(tones), sum(tones[:2])]).astype(np.float32) / 4


@pytest.mark.parametrize(
    ("name", "bits", "least"),
    [
        ("wav", "16", 85),
        ("wav", "24", 130),
        ("wav", "float", 300),
        ("flac", "16", 85),
        ("flac", "24", 130),
        ("mp3", None, 35),
        ("opus", None, 25),
    ],
)
def test_every_format_holds_the_samples(
    tmp_path: Path, name: str, bits: str | None, least: float
) -> None:
    form = audio.find_form(name, bits)
    rate = form.rate(44100, 44100)
    sound = song(3, rate)
    path = tmp_path / f"song - bass.{form.ending}"
    stretches = [{"bass": part} for part in np.array_split(sound, 7, axis=1)]
    assert audio.write_stems({"bass": path}, stretches, sound.shape[1], rate, form) == 0
    found, found_rate = soundfile.read(path, dtype="float64")
    assert found_rate == rate
    assert found.shape == sound.T.shape
    noise = np.sum((found - sound.T) ** 2)
    assert 10 * np.log10(np.sum(np.square(sound, dtype=float)) / max(noise, 1e-30)) > least


@pytest.mark.parametrize(
    "form", [f for forms in audio.FORMS.values() for f in forms.values() if not f.holds_all]
)
def test_what_is_too_loud_is_limited_and_counted_but_for_floats(
    tmp_path: Path, form: audio.Form
) -> None:
    rate = form.rate(44100, 44100)
    stretch = {"bass": np.tile(np.float32([[1.5], [-1.5]]), rate)}
    path = tmp_path / f"x.{form.ending}"
    loud = audio.write_stems({"bass": path}, [stretch], rate, rate, form)
    left, right = soundfile.read(path)[0][rate // 2]
    if form.subtype == "FLOAT":
        assert (loud, left, right) == (0, 1.5, -1.5)
    else:
        assert loud == 2 * rate
        if form.bits:
            assert 0.9999 < left < 1
            assert right == -1


@pytest.mark.parametrize(("name", "kilobits"), [("mp3", 256), ("opus", 160)])
def test_lossy_files_have_the_bits_that_the_page_s_have(
    tmp_path: Path, name: str, kilobits: int
) -> None:
    form = audio.find_form(name, None)
    rate = form.rate(44100, 44100)
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, (2, 10 * rate)).astype(np.float32)
    path = tmp_path / "x"
    audio.write_stems({"bass": path}, [{"bass": noise}], 10 * rate, rate, form)
    assert path.stat().st_size == pytest.approx(10 * kilobits * 125, rel=0.1)


def test_bits_that_a_format_can_not_have_are_refused() -> None:
    for name, bits in (("flac", "float"), ("mp3", "16"), ("opus", "24")):
        with pytest.raises(ValueError, match=f"{name.upper()} has "):
            audio.find_form(name, bits)


def test_a_rate_that_a_format_can_not_have_becomes_one_that_it_can() -> None:
    wav, mp3, opus = (audio.find_form(name, None) for name in ("wav", "mp3", "opus"))
    assert [wav.rate(rate, 44100) for rate in (44100, 96000, 11111)] == [44100, 96000, 11111]
    assert [mp3.rate(rate, 44100) for rate in (48000, 96000)] == [48000, 44100]
    assert [opus.rate(rate, 44100) for rate in (44100, 96000)] == [48000, 48000]
