"""Weight files as they travel: gzip-compressed, of known size and sha256."""

import hashlib
import zlib
from collections.abc import Sequence

from ..errors import WeightsError
from .manifest import Manifest, WeightFile, refuse_page
from .safetensors import Bytes, Tensors, parse, serialise

GZIP_MAGIC = b"\x1f\x8b"
CHUNK = 1 << 20
"""Bytes that are unpacked together."""


def pack(targets: Sequence[str], tensors: Tensors) -> tuple[WeightFile, bytes]:
    """One network as it travels: its entry in the manifest, and the content of the file that it names."""
    plain = serialise(tensors)
    # Huffman codes only: repetitions among weights are chance, and a match costs more than it saves.
    packer = zlib.compressobj(9, wbits=31, strategy=zlib.Z_HUFFMAN_ONLY)
    packed = packer.compress(plain) + packer.flush()
    name = f"{'-'.join(targets)}.safetensors.gz"
    return WeightFile(
        tuple(targets), name, len(packed), _hash(packed), len(plain), _hash(plain)
    ), packed


def read_weights(data: bytes | bytearray, entry: WeightFile, manifest: Manifest) -> Tensors:
    """Unpack and check one file.

    data: as it travels, or already decompressed, as some servers and browsers leave it.
    Returns arrays by name; they are views of one buffer.
    Raises WeightsError; never allocates more than the network that the manifest describes.
    """
    refuse_page(data, entry.file)
    if data[:2] == GZIP_MAGIC:
        if len(data) != entry.size:
            raise WeightsError(
                "weights.size", "{file} has {found} bytes instead of {size}; fetch it again.",
                file=entry.file, found=len(data), size=entry.size,
            )  # fmt: skip
        if _hash(data) != entry.sha256:
            raise WeightsError(
                "weights.hash",
                "{file} is not the file that the manifest names; fetch it again.",
                file=entry.file,
            )
        data = _unpack(data, entry)
    return read_unpacked(data, _hash(data), entry, manifest)


def read_unpacked(data: Bytes, sha256: str, entry: WeightFile, manifest: Manifest) -> Tensors:
    """As `read_weights`, of decompressed data whose sha256 is known already, in hex."""
    if len(data) != entry.unpacked_size:
        raise _unpacked_size(entry)
    if sha256 != entry.unpacked_sha256:
        raise WeightsError(
            "weights.unpacked-hash",
            "{file} does not unpack to the file that the manifest names; fetch it again.",
            file=entry.file,
        )
    return parse(data, manifest.shapes, entry.file)


def damaged(entry: WeightFile, reason: Exception) -> WeightsError:
    """The error for a file that can't be unpacked."""
    return WeightsError(
        "weights.damaged",
        "{file} is damaged: {reason}; fetch it again.",
        file=entry.file,
        reason=reason,
    )


def _unpack(data: bytes | bytearray, entry: WeightFile) -> bytearray:
    """Decompress a file into memory of the size that the manifest names.

    Pieces are unpacked one after the other: all at once would take twice the memory for a moment.
    """
    unpacker, out, end = zlib.decompressobj(wbits=31), bytearray(entry.unpacked_size), 0
    try:
        for begin in range(0, len(data), CHUNK):
            packed = memoryview(data)[begin : begin + CHUNK]
            piece = unpacker.decompress(packed, len(out) - end + 1)
            out[end : end + len(piece)] = piece  # a file that is too long makes it grow by one byte
            end += len(piece)
            if end > entry.unpacked_size:
                break
    except zlib.error as error:
        raise damaged(entry, error) from error
    if end != entry.unpacked_size or not unpacker.eof or unpacker.unused_data:
        raise _unpacked_size(entry)
    return out


def _unpacked_size(entry: WeightFile) -> WeightsError:
    return WeightsError(
        "weights.unpacked-size",
        "{file} does not unpack to the size that the manifest names; fetch it again.",
        file=entry.file,
    )


def _hash(data: bytes | bytearray) -> str:
    return hashlib.sha256(data).hexdigest()
