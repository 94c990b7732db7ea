"""Weight files as they travel."""

import gzip

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.tiny import entry_of, refused, tensors
from umx.format import packing
from umx.format.manifest import Manifest


def test_what_is_packed_is_read(manifest: Manifest) -> None:
    entry, data = packing.pack(("vocals",), tensors(1))
    assert entry == manifest.files[0]
    found = packing.read_weights(data, entry, manifest)
    assert found.keys() == tensors(1).keys()
    for name, tensor in tensors(1).items():
        assert found[name].dtype == tensor.dtype
        np.testing.assert_array_equal(found[name], tensor)


@pytest.mark.parametrize(
    ("targets", "file"),
    [(("bass",), "bass.safetensors.gz"), (("bass", "drums"), "bass-drums.safetensors.gz")],
)
def test_a_file_is_named_after_its_targets(targets: tuple[str, ...], file: str) -> None:
    entry, _ = packing.pack(list(targets), tensors(1))
    assert (entry.targets, entry.file) == (targets, file)


def test_a_file_that_the_server_has_unpacked_is_as_good(manifest: Manifest, packed: bytes) -> None:
    entry = manifest.files[0]
    plain = packing.read_weights(gzip.decompress(packed), entry, manifest)
    for name, tensor in packing.read_weights(packed, entry, manifest).items():
        np.testing.assert_array_equal(plain[name], tensor)


def test_what_is_unpacked_and_hashed_already_is_read_and_checked(
    manifest: Manifest, packed: bytes
) -> None:
    entry, plain = manifest.files[0], gzip.decompress(packed)
    found = packing.read_unpacked(plain, entry.unpacked_sha256, entry, manifest)
    for name, tensor in tensors(1).items():
        np.testing.assert_array_equal(found[name], tensor)
    with refused("does not unpack to the file that the manifest names", "weights.unpacked-hash"):
        packing.read_unpacked(plain, "0" * 64, entry, manifest)
    with refused("does not unpack to the size", "weights.unpacked-size"):
        packing.read_unpacked(plain[:-1], entry.unpacked_sha256, entry, manifest)


@given(st.data())
def test_a_cut_file_is_refused(manifest: Manifest, packed: bytes, data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([packed, gzip.decompress(packed)]))
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    is_packed = cut[:2] == packing.GZIP_MAGIC
    with refused(
        r"vocals\.safetensors\.gz", "weights.size" if is_packed else "weights.unpacked-size"
    ):
        packing.read_weights(cut, manifest.files[0], manifest)


@given(st.data())
def test_a_changed_byte_is_noticed(manifest: Manifest, packed: bytes, data: st.DataObject) -> None:
    whole = bytearray(data.draw(st.sampled_from([packed, gzip.decompress(packed)])))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    with refused(r"vocals\.safetensors\.gz"):
        packing.read_weights(bytes(whole), manifest.files[0], manifest)


@given(st.binary(max_size=2000))
@example(b"")
@example(b"<!doctype html><title>404</title>")
@example(packing.GZIP_MAGIC)
def test_what_never_was_a_weight_file_is_refused(manifest: Manifest, data: bytes) -> None:
    with refused("fetch it again"):
        packing.read_weights(data, manifest.files[0], manifest)
    with refused(r"evil\.gz"):
        packing.read_weights(data, entry_of(data, data), manifest)


def test_a_web_page_in_a_file_s_place_is_called_so(manifest: Manifest) -> None:
    page = b"\n<!DOCTYPE html><title>404</title>"
    match = r"vocals\.safetensors\.gz is not there: a web page came instead"
    with refused(match, "weights.page"):
        packing.read_weights(page, manifest.files[0], manifest)


def test_a_bomb_is_not_unpacked(manifest: Manifest) -> None:
    bomb = gzip.compress(bytes(64 << 20))
    with refused("does not unpack to the size", "weights.unpacked-size"):
        packing.read_weights(bomb, entry_of(bomb, b"small"), manifest)


def test_a_damaged_stream_is_said(manifest: Manifest, packed: bytes) -> None:
    plain, damaged = gzip.decompress(packed), packed[:10] + b"\xff" * 20 + packed[30:]
    with refused(r"evil\.gz is damaged", "weights.damaged"):
        packing.read_weights(damaged, entry_of(damaged, plain), manifest)


def test_nothing_may_follow_the_compressed_file(manifest: Manifest, packed: bytes) -> None:
    plain = gzip.decompress(packed)
    for more in (gzip.compress(b"more"), b"more"):
        with refused("does not unpack to the size", "weights.unpacked-size"):
            packing.read_weights(packed + more, entry_of(packed + more, plain), manifest)
