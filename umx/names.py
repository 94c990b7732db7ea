"""Names on which the engine, the page and scripts agree. Pure Python, on MicroPython too."""

MANIFEST = "manifest.json"
"""The file that describes a model, in the model's folder."""
CHECKPOINTS = (".pth", ".th", ".safetensors")
"""How the names of the makers' files end."""
VOCALS, KARAOKE, RESIDUAL = "vocals", "karaoke", "residual"
MIX = "mix"
"""The file that has all stems of a song as its tracks, where others have one each."""
TITLES = {"other": "melody", RESIDUAL: "rest"}
"""What people call a stem where the field uses another word."""


def title_of(target: str) -> str:
    """What people call the stem of a target. A title is returned as it is."""
    return TITLES.get(target, target)


def target_of(title: str) -> str:
    """The target that people call by this title."""
    targets = [target for target in TITLES if TITLES[target] == title]
    return targets[0] if targets else title
