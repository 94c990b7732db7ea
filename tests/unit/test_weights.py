import dataclasses
import gzip
import hashlib
import json
import shutil
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors.numpy import load as load_safetensors

from umx import weights
from umx.errors import WeightsError
from umx.format.manifest import Manifest, WeightFile

FIELDS: dict[str, Any] = {
    "name": "tiny",
    "title": "A tiny model",
    "licence": "CC0-1.0",
    "credit": "nobody",
    "source": "",
    "preset": "best",
    "sample_rate": 44100,
    "n_fft": 16,
    "hop": 4,
    "channels": 2,
    "bins": 9,
    "max_bin": 6,
    "hidden_size": 4,
    "layers": 2,
    "bidirectional": True,
    "quality": {"vocals": 1.5},
}
LITTLE = 1 << 20  # bytes; what refusing a hostile file may cost


def tensors(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        name: rng.integers(-127, 128, shape, np.int8)
        if dtype == "I8"
        else rng.standard_normal(shape).astype(np.float32)
        for name, (dtype, shape) in weights.shapes(Manifest(targets={}, **FIELDS)).items()
    }


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    weights.write_model(folder, {"vocals": tensors(1), "drums": tensors(2)}, **FIELDS)
    return folder


@pytest.fixture(scope="module")
def manifest(tiny: Path) -> Manifest:
    return weights.read_manifest(tiny)


@pytest.fixture(scope="module")
def packed(tiny: Path) -> bytes:
    return (tiny / "vocals.safetensors.gz").read_bytes()


@contextmanager
def cheaply() -> Iterator[None]:
    """Fail where the block takes much memory."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < LITTLE
    finally:
        tracemalloc.stop()


@contextmanager
def refused(match: str) -> Iterator[None]:
    """Expect a WeightsError of one plain sentence."""
    with cheaply(), pytest.raises(WeightsError, match=match) as caught:
        yield
    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message


def entry_of(data: bytes, unpacked: bytes) -> WeightFile:
    """The entry that a hostile manifest would have for a file: everything in it is true."""
    return WeightFile(
        "evil.gz",
        len(data),
        hashlib.sha256(data).hexdigest(),
        len(unpacked),
        hashlib.sha256(unpacked).hexdigest(),
    )


def split(data: bytes) -> tuple[dict[str, Any], bytes]:
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def joined(header: bytes, body: bytes, length: int | None = None) -> bytes:
    return (len(header) if length is None else length).to_bytes(8, "little") + header + body


def test_what_is_written_is_read(tiny: Path) -> None:
    model = weights.load_model(tiny)
    assert list(model.targets) == ["vocals", "drums"]
    assert {name: getattr(model.manifest, name) for name in FIELDS} == FIELDS
    for seed, target in [(1, "vocals"), (2, "drums")]:
        written = tensors(seed)
        assert model.targets[target].keys() == written.keys()
        for name, tensor in model.targets[target].items():
            assert tensor.dtype == written[name].dtype
            np.testing.assert_array_equal(tensor, written[name])


def test_same_tensors_give_the_same_bytes(tiny: Path, tmp_path: Path) -> None:
    backwards = {t: dict(reversed(tensors(s).items())) for s, t in [(1, "vocals"), (2, "drums")]}
    weights.write_model(tmp_path, backwards, **FIELDS)
    for path in tiny.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_the_safetensors_package_reads_our_files(packed: bytes) -> None:
    loaded = load_safetensors(gzip.decompress(packed))
    written = tensors(1)
    assert loaded.keys() == written.keys()
    for name, tensor in loaded.items():
        np.testing.assert_array_equal(tensor, written[name])


def test_a_file_that_the_server_has_unpacked_is_as_good(manifest: Manifest, packed: bytes) -> None:
    entry = manifest.targets["vocals"]
    plain = weights.read_target(gzip.decompress(packed), entry, manifest)
    for name, tensor in weights.read_target(packed, entry, manifest).items():
        np.testing.assert_array_equal(plain[name], tensor)


@given(st.data())
def test_a_cut_file_is_refused(manifest: Manifest, packed: bytes, data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([packed, gzip.decompress(packed)]))
    end = data.draw(st.integers(0, len(whole) - 1))
    with refused(r"vocals\.safetensors\.gz"):
        weights.read_target(whole[:end], manifest.targets["vocals"], manifest)


@given(st.data())
def test_a_changed_byte_is_noticed(manifest: Manifest, packed: bytes, data: st.DataObject) -> None:
    whole = bytearray(data.draw(st.sampled_from([packed, gzip.decompress(packed)])))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    with refused(r"vocals\.safetensors\.gz"):
        weights.read_target(bytes(whole), manifest.targets["vocals"], manifest)


@given(st.binary(max_size=2000))
@example(b"")
@example(b"<!doctype html><title>404</title>")
@example(weights.GZIP_MAGIC)
def test_what_never_was_a_weight_file_is_refused(manifest: Manifest, data: bytes) -> None:
    entry = manifest.targets["vocals"]
    with refused("fetch it again"):
        weights.read_target(data, entry, manifest)
    with refused(r"evil\.gz"):
        weights.read_target(data, entry_of(data, data), manifest)


def test_a_web_page_in_a_file_s_place_is_called_so(manifest: Manifest) -> None:
    page = "\n<!DOCTYPE html><title>404</title>"
    with refused(r"vocals\.safetensors\.gz is not there: a web page came instead"):
        weights.read_target(page.encode(), manifest.targets["vocals"], manifest)
    with refused("here is not there: a web page came instead"):
        Manifest.parse(page, "here")


def test_files_in_each_other_s_place_are_noticed(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "swapped"
    shutil.copytree(tiny, folder)
    vocals, drums = folder / "vocals.safetensors.gz", folder / "drums.safetensors.gz"
    content = vocals.read_bytes()
    vocals.write_bytes(drums.read_bytes())
    drums.write_bytes(content)
    with refused(r"vocals\.safetensors\.gz .*fetch it again"):
        weights.load_model(folder)


@pytest.mark.parametrize("name", ["vocals.safetensors.gz", weights.MANIFEST])
def test_a_missing_file_is_named(tiny: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "lacking"
    shutil.copytree(tiny, folder)
    (folder / name).unlink()
    with refused(f"{name} can't be read"):
        weights.load_model(folder)


def test_a_bomb_is_not_unpacked(manifest: Manifest) -> None:
    bomb = gzip.compress(bytes(64 << 20))
    with refused("does not unpack to the size"):
        weights.read_target(bomb, entry_of(bomb, b"small"), manifest)


def test_nothing_may_follow_the_compressed_file(manifest: Manifest, packed: bytes) -> None:
    plain = gzip.decompress(packed)
    for more in (gzip.compress(b"more"), b"more"):
        with refused("does not unpack to the size"):
            weights.read_target(packed + more, entry_of(packed + more, plain), manifest)


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
        weights.read_target(data, entry_of(data, forged), manifest)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


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
        weights.read_target(forged, entry_of(forged, forged), manifest)


@pytest.mark.parametrize(("version", "age"), [(0, "an older umx"), (2, "a newer umx")])
def test_other_formats_say_whose_they_are(manifest: Manifest, version: int, age: str) -> None:
    content = json.loads(manifest.text()) | {"format": version, "new": "field"}
    with refused(f"here is of format {version}, made for {age}; this one reads format 1"):
        Manifest.parse(json.dumps(content), "here")


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", "3", '{"a": 1}', "[" * 100_000])
def test_what_is_no_manifest_is_said(text: str) -> None:
    with refused("here is not a model's manifest"):
        Manifest.parse(text, "here")


def test_a_manifest_that_is_no_text_is_said(tmp_path: Path) -> None:
    (tmp_path / weights.MANIFEST).write_bytes(b"\xff\xfe\xfd")
    with refused(r"manifest\.json can't be read"):
        weights.read_manifest(tmp_path)


@pytest.mark.parametrize("name", sorted(FIELDS.keys() - {"quality"}))
def test_a_field_that_lacks_or_is_of_another_type_is_named(manifest: Manifest, name: str) -> None:
    content = json.loads(manifest.text())
    for wrong in (None, [], {}, 0.5, -1):
        with refused(rf"here is not a manifest that can be used: .*{name}"):
            Manifest.parse(json.dumps(content | {name: wrong}), "here")
    del content[name]
    with refused(rf"here is not a manifest that can be used: .*'{name}'"):
        Manifest.parse(json.dumps(content), "here")


@pytest.mark.parametrize(
    "fields",
    [
        {"hidden_size": 1 << 20},
        {"layers": 1 << 20},
        {"channels": 1 << 20},
        {"channels": 1},
        {"channels": 3},
        {"n_fft": 1 << 20, "bins": (1 << 19) + 1, "max_bin": 1 << 19, "hidden_size": 1 << 12},
        {"hidden_size": 5},
        {"hop": 5},
        {"hop": 16},
        {"bins": 10},
        {"max_bin": 10},
        {"targets": {}},
        {"targets": []},
        {"targets": {"vocals": 3}},
        {"quality": [1]},
        {"quality": {"vocals": "good"}},
        {"bidirectional": 1},
        {"more": 1},
    ],
)
def test_a_network_that_can_not_be_is_refused(manifest: Manifest, fields: dict[str, Any]) -> None:
    content = json.loads(manifest.text()) | fields
    with refused("here is not a manifest that can be used"):
        Manifest.parse(json.dumps(content), "here")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("file", "../../../etc/passwd"),
        ("file", "/etc/passwd"),
        ("file", "https://elsewhere/vocals.gz"),
        ("file", "a\\b"),
        ("file", ""),
        ("file", ".."),
        ("file", "vocals\n"),
        ("file", 3),
        ("size", 0),
        ("size", -1),
        ("size", 1 << 40),
        ("size", 100.0),
        ("size", "100"),
        ("unpacked_size", 1 << 30),
        ("unpacked_size", 10),
        ("unpacked_size", None),
        ("sha256", "0" * 63),
        ("sha256", "G" * 64),
        ("unpacked_sha256", ""),
        ("unpacked_sha256", None),
        ("more", 1),
    ],
)
def test_a_hostile_entry_is_refused(manifest: Manifest, field: str, value: object) -> None:
    content = json.loads(manifest.text())
    content["targets"]["vocals"][field] = value
    with refused("here is not a manifest that can be used"):
        Manifest.parse(json.dumps(content), "here")


def test_sizes_are_whole_numbers(manifest: Manifest) -> None:
    content = json.loads(manifest.text())
    entry = content["targets"]["vocals"]
    entry["unpacked_size"] = float(entry["unpacked_size"])
    with refused("here is not a manifest that can be used"):
        Manifest.parse(json.dumps(content), "here")


@pytest.mark.parametrize("target", ["", "../drums", "a b", "x" * 65, "vocals\n", "karaoke", "rest"])
def test_a_hostile_target_is_refused(manifest: Manifest, target: str) -> None:
    content = json.loads(manifest.text())
    content["targets"][target] = content["targets"].pop("vocals")
    with refused("can't be the name of a target"):
        Manifest.parse(json.dumps(content), "here")


@given(st.data(), json_values)
def test_any_manifest_is_right_or_refused(
    manifest: Manifest, packed: bytes, data: st.DataObject, value: object
) -> None:
    content = json.loads(manifest.text())
    place = data.draw(st.sampled_from([content, content["targets"], content["targets"]["vocals"]]))
    place[data.draw(st.sampled_from(sorted(place)))] = value
    with cheaply():
        try:
            parsed = Manifest.parse(json.dumps(content), "here")
            for entry in parsed.targets.values():
                weights.read_target(packed, entry, parsed)
        except WeightsError as error:
            assert str(error).endswith(".")


def test_a_manifest_survives_its_own_text(manifest: Manifest) -> None:
    again = Manifest.parse(manifest.text(), "here")
    assert dataclasses.asdict(again) == dataclasses.asdict(manifest)


def test_models_are_found_by_path_and_by_name(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert weights.find_model(tiny) == tiny
    assert weights.find_model("umx-mini").name == "umx-mini"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=f"no model 'tiny' in any of .*{tmp_path / 'umx'}"):
        weights.find_model("tiny")
    shutil.copytree(tiny, weights.user_models() / "tiny")
    assert weights.find_model("tiny") == tmp_path / "umx" / "tiny"


def test_user_models_are_at_home_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/someone")
    assert weights.user_models() == Path("/home/someone/.local/share/umx")
