"""Open-Unmix's published models, as the PyPI package `openunmix` 1.3 names them.

These are plain dictionaries, so that scripts can read them without the package and numpy; `models.official` makes them
objects.
"""

CREDIT = "Open-Unmix by F.-R. Stöter, S. Uhlich, A. Liutkus and Y. Mitsufuji (JOSS 2019)."
QUALITY_NOTE = (
    "SDR in dB on MUSDB18-HQ as its makers publish it, before the weights were made 8 bits."
)
SIGNAL = {"n_fft": 4096, "hop": 1024}
"""Transform that the models are made for; their checkpoints don't tell."""
ZENODO = "https://zenodo.org"


def _checkpoints(record: int, files: dict[str, str]) -> list[dict[str, object]]:
    """files: by target. The eight hex digits before ".pth" begin a file's sha256."""
    return [
        {
            "targets": (target,),
            "file": file,
            "sha256": file.removesuffix(".pth").rpartition("-")[2],
            "url": f"{ZENODO}/records/{record}/files/{file}",
            "page_url": f"{ZENODO}/api/records/{record}/files/{file}/content",
        }
        for target, file in files.items()
    ]


MODELS: dict[str, dict[str, object]] = {
    "umxl": {
        "title": "UMX-L",
        "licence": "CC BY-NC-SA 4.0",
        "credit": CREDIT,
        "source": f"{ZENODO}/records/5069601",
        "sample_rate": 44100,
        "known": SIGNAL,
        "checkpoints": _checkpoints(
            5069601,
            {
                "vocals": "vocals-bccbd9aa.pth",
                "drums": "drums-69e0ebd4.pth",
                "bass": "bass-2ca1ce51.pth",
                "other": "other-c8c5b3e6.pth",
            },
        ),
        "size": 42_700_000,
        "unpacked": 113_700_000,
        "quality": {"vocals": 7.21, "drums": 7.15, "bass": 6.02, "other": 4.89},
        "quality_note": QUALITY_NOTE,
    },
    "umxhq": {
        "title": "UMX-HQ",
        "licence": "MIT",
        "credit": CREDIT,
        "source": f"{ZENODO}/records/3370489",
        "sample_rate": 44100,
        "known": SIGNAL,
        "checkpoints": _checkpoints(
            3370489,
            {
                "vocals": "vocals-b62c91ce.pth",
                "drums": "drums-9619578f.pth",
                "bass": "bass-8d85a5bd.pth",
                "other": "other-b52fbbf7.pth",
            },
        ),
        "size": 13_600_000,
        "unpacked": 36_000_000,
        "quality": {"vocals": 6.25, "drums": 6.04, "bass": 5.07, "other": 4.28},
        "quality_note": QUALITY_NOTE,
    },
}
