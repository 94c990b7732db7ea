"""Tensors in a safetensors file, and what hostile ones would have us believe."""

import gzip
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load as load_safetensors

from tests.tiny import NETWORK, entry_of, json_values, refused, tensors
from umx.format import packing, safetensors
from umx.format.manifest import Manifest
from umx.models.openunmix.network import shapes


def split(data: bytes) -> tuple[dict[str, Any], bytes]:
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def joined(header: bytes, body: bytes, length: int | None = None) -> bytes:
    return (len(header) if length is None else length).to_bytes(8, "little") + header + body


def test_the_safetensors_package_reads_our_files() -> None:
    written = tensors(1)
    loaded = load_safetensors(safetensors.serialise(written))
    assert loaded.keys() == written.keys()
    for name, tensor in loaded.items():
        np.testing.assert_array_equal(tensor, written[name])


def test_metadata_is_passed_over() -> None:
    written = tensors(1)
    header, body = split(safetensors.serialise(written))
    data = joined(json.dumps({"__metadata__": {"by": "someone"}, **header}).encode(), body)
    found = safetensors.parse(data, shapes(NETWORK), "here")
    assert found.keys() == written.keys()
    for name, tensor in found.items():
        np.testing.assert_array_equal(tensor, written[name])


def test_size_is_that_of_the_tensors() -> None:
    assert safetensors.size(shapes(NETWORK)) == sum(t.nbytes for t in tensors(1).values())


def change(name: str, **fields: object) -> Callable[[dict[str, Any], bytes], bytes]:
    """A forger that changes fields of one tensor's header entry."""

    def forge(header: dict[str, Any], body: bytes) -> bytes:
        header[name] = header[name] | fields
        return joined(json.dumps(header).encode(), body)

    return forge


def drop(header: dict[str, Any], body: bytes) -> bytes:
    del header["fc2.bias"]
    return joined(json.dumps(header).encode(), body)


def add(header: dict[str, Any], body: bytes) -> bytes:
    header["fc9.bias"] = header["fc2.bias"]
    return joined(json.dumps(header).encode(), body)


FORGERIES = {
    "length past the end": lambda h, b: joined(json.dumps(h).encode(), b, len(b) << 10),
    "length of exabytes": lambda h, b: joined(json.dumps(h).encode(), b, (1 << 64) - 1),
    "length of a part": lambda h, b: joined(json.dumps(h).encode(), b, 20),
    "length of nothing": lambda h, b: joined(b"", b),
    "seven bytes": lambda h, b: bytes(7),
    "a list": lambda h, b: joined(b"[]", b),
    "no text": lambda h, b: joined(b"\xff\xfe\xfd", b),
    "nested deeply": lambda h, b: joined(b"[" * 50_000, b),
    "nested deeply in a tensor": lambda h, b: joined(b'{"a":' * 10_000, b),
    "long number": lambda h, b: joined(b"9" * 50_000, b),
    "entries of no kind": lambda h, b: joined(json.dumps(dict.fromkeys(h, 3)).encode(), b),
    "a tensor missing": drop,
    "a tensor too many": add,
    "other type": change("fc1.weight", dtype="F32"),
    "huge type": change("fc1.weight", dtype="F64"),
    "huge shape": change("fc1.weight", shape=[1 << 40, 12]),
    "negative shape": change("fc1.weight", shape=[-4, -12]),
    "flat shape": change("fc1.weight", shape=[48]),
    "offsets past the end": change("fc1.weight", data_offsets=[0, 1 << 60]),
    "negative offsets": change("fc1.weight", data_offsets=[-48, 0]),
    "offsets that are no numbers": change("fc1.weight", data_offsets=["0", "48"]),
    "offsets into another tensor": change("fc1.weight", data_offsets=[0, 48]),
    "one more field": change("fc1.weight", code="import os"),
    "body too long": lambda h, b: joined(json.dumps(h).encode(), b + b"\0"),
    "body too short": lambda h, b: joined(json.dumps(h).encode(), b[:-1]),
}


@pytest.mark.parametrize("forgery", FORGERIES)
@pytest.mark.parametrize("compress", [True, False])
def test_a_lying_header_is_refused(
    manifest: Manifest, packed: bytes, forgery: str, compress: bool
) -> None:
    forged = FORGERIES[forgery](*split(gzip.decompress(packed)))
    data = gzip.compress(forged) if compress else forged
    with refused(r"evil\.gz"):
        packing.read_weights(data, entry_of(data, forged), manifest)


@given(st.data(), json_values)
def test_any_header_entry_is_right_or_refused(
    manifest: Manifest, packed: bytes, data: st.DataObject, value: object
) -> None:
    header, body = split(gzip.decompress(packed))
    name = data.draw(st.sampled_from(sorted(header)))
    place: Any = header
    if data.draw(st.booleans()):
        place, name = header[name], data.draw(st.sampled_from(sorted(header[name])))
    if place[name] == value:
        return
    place[name] = value
    forged = joined(json.dumps(header).encode(), body)
    with refused(r"evil\.gz"):
        packing.read_weights(forged, entry_of(forged, forged), manifest)
