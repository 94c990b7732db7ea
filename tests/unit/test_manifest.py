"""What a model's manifest may say, in the present format and in the first one."""

import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.memory import MEGABYTE, cheaply
from tests.tiny import FIELDS, NETWORK, format_1, json_values, refused
from umx import models
from umx.errors import WeightsError
from umx.format import packing
from umx.format.manifest import Manifest, WeightFile

UNUSABLE = "here is not a manifest that can be used"
OLD = """{
  "format": 1,
  "name": "old",
  "title": "An old model",
  "licence": "CC0-1.0",
  "credit": "nobody",
  "source": "",
  "preset": "web",
  "sample_rate": 44100,
  "n_fft": 16,
  "hop": 4,
  "channels": 2,
  "bins": 9,
  "max_bin": 6,
  "hidden_size": 4,
  "layers": 2,
  "bidirectional": true,
  "targets": {
    "vocals": {
      "file": "vocals.safetensors.gz",
      "size": 1700,
      "sha256": "8f166442475b0089bc86077a7cefb1f075e32960d126a7bdb02f02618fa375b9",
      "unpacked_size": 3000,
      "unpacked_sha256": "65679ad515e913ae3c38f6b5075415342a80c845be145bf623644deefe66510c"
    },
    "drums": {
      "file": "drums.safetensors.gz",
      "size": 1600,
      "sha256": "5d04ef42ec34aa9c788f3df470662c488d7162dcc7f0d735bfb22b7545d2ba8d",
      "unpacked_size": 3000,
      "unpacked_sha256": "f2de45d3b12ab2008414e1e94e69b2b28359efcbefc75aa7da76ff1b643f6464"
    }
  },
  "quality": {"vocals": 1.59},
  "quality_note": "measured"
}
"""


@pytest.mark.parametrize(
    ("version", "age"), [(0, "an older umx"), (3, "a newer umx"), ("2", "an older umx")]
)
def test_other_formats_say_whose_they_are(manifest: Manifest, version: object, age: str) -> None:
    content = json.loads(manifest.text()) | {"format": version, "new": "field"}
    said = f"here is of format {version!r}, made for {age}; this one reads formats 1 to 2"
    with refused(said, "manifest.format"):
        Manifest.parse(json.dumps(content), "here")


def test_what_rounding_costs_is_said_where_it_was_measured(manifest: Manifest) -> None:
    assert "snr" not in json.loads(manifest.text())
    assert not manifest.is_rough
    for snr, is_rough in ((51.3, False), (40, False), (39.9, True), (0, True)):
        text = json.dumps(json.loads(manifest.text()) | {"snr": snr})
        measured = Manifest.parse(text, "here")
        assert (measured.snr, measured.is_rough) == (snr, is_rough)
        assert Manifest.parse(measured.text(), "here") == measured
    with refused(UNUSABLE, "manifest.unusable"):
        Manifest.parse(json.dumps(json.loads(manifest.text()) | {"snr": "good"}), "here")


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", "3", '{"a": 1}', "[" * 100_000])
def test_what_is_no_manifest_is_said(text: str) -> None:
    with refused("here is not a model's manifest", "manifest.none"):
        Manifest.parse(text, "here")


def test_a_web_page_in_its_place_is_called_so() -> None:
    with refused("here is not there: a web page came instead", "weights.page"):
        Manifest.parse("\n<!DOCTYPE html><title>404</title>", "here")


TOP = sorted(FIELDS.keys() - {"quality", "quality_note", "network"})


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("name", [*TOP, *asdict(NETWORK)])
def test_a_field_that_lacks_or_is_of_another_type_is_named(
    manifest: Manifest, name: str, version: int
) -> None:
    content = json.loads(manifest.text()) if version == 2 else format_1(manifest)
    if version == 1 and name == "architecture":
        return  # which the first format doesn't have
    place = content["network"] if version == 2 and name not in TOP else content
    for wrong in (None, [], {}, 0.5, -1):
        place[name] = wrong
        with refused(rf"{UNUSABLE}: .*{name}", "manifest.unusable"):
            Manifest.parse(json.dumps(content), "here")
    del place[name]
    with refused(rf"{UNUSABLE}: .*'{name}'", "manifest.unusable"):
        Manifest.parse(json.dumps(content), "here")


@pytest.mark.parametrize("name", ["network", "files"])
def test_a_part_that_lacks_or_is_of_another_type_is_refused(manifest: Manifest, name: str) -> None:
    content = json.loads(manifest.text())
    for wrong in (None, [], {}, 0.5, -1, "no", [None], ["no"], {"no": {}}):
        with refused(UNUSABLE, "manifest.unusable"):
            Manifest.parse(json.dumps(content | {name: wrong}), "here")
    del content[name]
    with refused(f"{UNUSABLE}: '{name}'", "manifest.unusable"):
        Manifest.parse(json.dumps(content), "here")


@pytest.mark.parametrize("version", [1, 2])
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
        {"bidirectional": 1},
        {"more": 1},
    ],
)
def test_a_network_that_can_not_be_is_refused(
    manifest: Manifest, version: int, fields: dict[str, Any]
) -> None:
    content = json.loads(manifest.text()) if version == 2 else format_1(manifest)
    (content["network"] if version == 2 else content).update(fields)
    with refused(UNUSABLE, "manifest.unusable"):
        Manifest.parse(json.dumps(content), "here")


@pytest.mark.parametrize(
    "fields",
    [
        {"architecture": "elsewhere"},
        {"architecture": "official"},
        {"architecture": "..separator"},
        {"quality": [1]},
        {"quality": {"vocals": "good"}},
        {"quality_note": 3},
        {"more": 1},
    ],
)
def test_other_fields_that_can_not_be_are_refused(
    manifest: Manifest, fields: dict[str, Any]
) -> None:
    content = json.loads(manifest.text()) | fields
    with refused(UNUSABLE, "manifest.unusable"):
        Manifest.parse(json.dumps(content), "here")


def test_an_unknown_architecture_is_named_with_those_that_are_known(manifest: Manifest) -> None:
    content = json.loads(manifest.text()) | {"architecture": "elsewhere"}
    with refused("its architecture 'elsewhere' isn't known, only openunmix"):
        Manifest.parse(json.dumps(content), "here")


@pytest.mark.parametrize("targets", [{}, [], {"vocals": 3}, {"vocals": {}}, None, 3, "vocals"])
def test_targets_of_the_first_format_that_can_not_be_are_refused(
    manifest: Manifest, targets: object
) -> None:
    content = format_1(manifest) | {"targets": targets}
    with refused(UNUSABLE, "manifest.unusable"):
        Manifest.parse(json.dumps(content), "here")


@pytest.mark.parametrize("version", [1, 2])
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
def test_a_hostile_entry_is_refused(
    manifest: Manifest, version: int, field: str, value: object
) -> None:
    content = json.loads(manifest.text()) if version == 2 else format_1(manifest)
    entry = content["files"][0] if version == 2 else content["targets"]["vocals"]
    entry[field] = value
    with refused(UNUSABLE, "manifest.unusable"):
        Manifest.parse(json.dumps(content), "here")


def test_sizes_are_whole_numbers(manifest: Manifest) -> None:
    content = json.loads(manifest.text())
    entry = content["files"][0]
    entry["unpacked_size"] = float(entry["unpacked_size"])
    with refused(UNUSABLE):
        Manifest.parse(json.dumps(content), "here")


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("target", ["", "../drums", "a b", "x" * 65, "vocals\n", "karaoke", "rest"])
def test_a_hostile_target_is_refused(manifest: Manifest, version: int, target: str) -> None:
    if version == 2:
        content = json.loads(manifest.text())
        content["files"][0]["targets"] = [target]
    else:
        content = format_1(manifest)
        content["targets"][target] = content["targets"].pop("vocals")
    with refused("can't be the name of a target"):
        Manifest.parse(json.dumps(content), "here")


@pytest.mark.parametrize("targets", [[], ["drums"], ["a", "b"], [3], [["a"]], None, 3, "vocals"])
def test_targets_of_a_file_that_can_not_be_are_refused(manifest: Manifest, targets: object) -> None:
    """None, one of another file's, one named twice; and what is no list of names."""
    content = json.loads(manifest.text())
    content["files"][0]["targets"] = targets
    with refused(UNUSABLE, "manifest.unusable"):
        Manifest.parse(json.dumps(content), "here")


def test_the_first_format_is_read_as_the_present_one(manifest: Manifest) -> None:
    assert Manifest.parse(json.dumps(format_1(manifest)), "here") == manifest


def test_a_manifest_that_an_older_version_wrote_is_read() -> None:
    found = Manifest.parse(OLD, "here")
    assert (found.name, found.preset, found.sample_rate) == ("old", "web", 44100)
    assert (found.architecture, found.network) == ("openunmix", NETWORK)
    assert found.targets == ("vocals", "drums")
    assert found.files[1] == WeightFile(
        ("drums",),
        "drums.safetensors.gz",
        1600,
        "5d04ef42ec34aa9c788f3df470662c488d7162dcc7f0d735bfb22b7545d2ba8d",
        3000,
        "f2de45d3b12ab2008414e1e94e69b2b28359efcbefc75aa7da76ff1b643f6464",
    )
    assert (found.quality, found.quality_note) == ({"vocals": 1.59}, "measured")
    written = json.loads(found.text())
    assert written["format"] == 2
    assert written["files"][0]["targets"] == ["vocals"]
    assert Manifest.parse(found.text(), "here") == found


@pytest.mark.parametrize("version", [1, 2])
@given(data=st.data(), value=json_values)
def test_any_manifest_is_right_or_refused(
    manifest: Manifest, packed: bytes, version: int, data: st.DataObject, value: object
) -> None:
    if version == 2:
        content = json.loads(manifest.text())
        places = [content, content["network"], content["files"][0]]
    else:
        content = format_1(manifest)
        places = [content, content["targets"], content["targets"]["vocals"]]
    place = data.draw(st.sampled_from(places))
    place[data.draw(st.sampled_from(sorted(place)))] = value
    with cheaply(MEGABYTE):
        try:
            parsed = Manifest.parse(json.dumps(content), "here")
            assert Manifest.parse(parsed.text(), "here").text() == parsed.text()
            for entry in parsed.files:
                packing.read_weights(packed, entry, parsed)
        except WeightsError as error:
            assert str(error).endswith(".")


def test_a_manifest_survives_its_own_text(manifest: Manifest) -> None:
    again = Manifest.parse(manifest.text(), "here")
    assert again == manifest
    assert again.text() == manifest.text()


def test_shapes_are_the_architecture_s(manifest: Manifest) -> None:
    assert manifest.shapes == models.find("openunmix").shapes(NETWORK)
