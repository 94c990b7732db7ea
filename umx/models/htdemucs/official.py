"""HTDemucs's published models, as the PyPI package `demucs` 4.0.1 names them; see `openunmix.official`."""

HOST = "https://dl.fbaipublicfiles.com/demucs/hybrid_transformer"
CREDIT = "HTDemucs by S. Rouard, F. Massa and A. Défossez (ICASSP 2023)."
LICENCE = "provided only for scientific purposes, its makers say (demucs issue 327)"
SOURCE = "https://github.com/facebookresearch/demucs"
FOUR = ("drums", "bass", "other", "vocals")


QUALITY_NOTE = (
    "SDR in dB on MUSDB18-HQ, the mean of four stems, as its makers publish it for such a network "
    "trained with 800 more songs."
)


def _checkpoint(
    targets: tuple[str, ...], file: str, sha256: str = "", also: tuple[str, ...] = ()
) -> dict[str, object]:
    """sha256: its first digits, by default those before ".th". also: the same for the network as safetensors."""
    return {
        "targets": targets,
        "file": file,
        "sha256": sha256 or file.removesuffix(".th").rpartition("-")[2],
        "url": f"{HOST}/{file}",
        "page_url": f"{HOST}/{file}",
        "also": also,
    }


def _model(
    title: str,
    size: int,
    unpacked: int,
    *checkpoints: dict[str, object],
    quality: float | None = None,
) -> dict[str, object]:
    return {
        "title": title,
        "licence": LICENCE,
        "credit": CREDIT,
        "source": SOURCE,
        "sample_rate": 44100,
        "known": {},
        "checkpoints": list(checkpoints),
        "size": size,
        "unpacked": unpacked,
        "quality": {"all": quality} if quality else {},
        "quality_note": QUALITY_NOTE if quality else "",
    }


MODELS: dict[str, dict[str, object]] = {
    "htdemucs": _model(
        "HTDemucs",
        63_800_000,
        84_400_000,
        _checkpoint(
            FOUR,
            "955717e8-8726e21a.th",
            "8726e21a993978c7ba086d3872e7608d7d5bfca646ca4aca459ffda844faa8b4",
            ("d9fa14133cfcc034a6758923bb3a8ca9f8dfd0b582134643bbf83f72c17576dd",),
        ),
        quality=8.8,
    ),
    "htdemucs_6s": _model(
        "HTDemucs, 6 sources",
        41_900_000,
        55_300_000,
        _checkpoint(
            (*FOUR, "guitar", "piano"),
            "5c90dfd2-34c22ccb.th",
            "34c22ccb381c6f9fdbf324f04e1e2fe21aaaf293f5ded163a162697ff9a02ddd",
        ),
    ),
    "htdemucs_ft": _model(
        "HTDemucs, fine-tuned",
        255_000_000,
        337_000_000,
        _checkpoint(("drums",), "f7e0c4bc-ba3fe64a.th"),
        _checkpoint(("bass",), "d12395a8-e57c48e6.th"),
        _checkpoint(("other",), "92cfc3b6-ef3bcb9c.th"),
        _checkpoint(
            ("vocals",),
            "04573f0d-f3cf25b2.th",
            "f3cf25b222c4eed7cd49dd8b2c9597d50c18bd154090f7b919cfa5f93cf22c49",
        ),
        quality=9.0,
    ),
}
