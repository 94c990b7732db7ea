import contextlib
import functools
import io
import itertools
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.checkpoints import golden_state, pth, safetensors, th
from tests.memory import MEGABYTE, cheaply
from umx.errors import CheckpointError
from umx.format import checkpoint

REFERENCE = Path(__file__).parent.parent / "parity"
FORMATS = ("zip", "legacy")
EXPECTED = {
    "matrix": np.arange(6, dtype=np.float32).reshape(2, 3),
    "transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "parameter": np.array([1.5, -2.5], np.float32),
    "half": np.array([0.5, 65504], np.float16),
    "double": np.array([1e300, -1e-300]),
    "long": np.array(1 << 62),
    "int": np.array([[-1], [1 << 30]], np.int32),
    "empty": np.zeros((0, 3), np.float32),
    "part": np.arange(3, 9, dtype=np.float32),
    "every second": np.arange(0, 12, 2, dtype=np.float32),
}
"""What scripts/golden.py saves with torch; the last two are parts of one storage."""


def read(data: bytes) -> dict[str, np.ndarray]:
    return checkpoint.read_file(io.BytesIO(data))


def text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def number(number: int) -> bytes:
    size = number.bit_length() // 8 + 1
    return b"\x8a" + bytes([size]) + number.to_bytes(size, "little", signed=True)


def numbers(values: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def tensor(
    shape: tuple[int, ...] = (2,),
    strides: tuple[int, ...] = (1,),
    offset: int = 0,
    key: str = "0",
    length: int = 4,
    kind: str = "FloatStorage",
) -> bytes:
    """The instructions that build a tensor."""
    storage = b"(" + text("storage") + b"ctorch\n" + kind.encode() + b"\n" + text(key)
    storage += text("cpu") + number(length) + b"tQ"
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + (storage + number(offset) + numbers(shape) + numbers(strides))
        + b"\x89ccollections\nOrderedDict\n)RtR"
    )


def state(*tensors: bytes) -> bytes:
    """The program that builds a state dict."""
    entries = (text(f"tensor {i}") + program for i, program in enumerate(tensors))
    return b"\x80\x02}(" + b"".join(entries) + b"u."


def zipped(program: bytes, *storages: bytes, **info: Any) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **info) as archive:
        archive.writestr("archive/data.pkl", program)
        for key, content in enumerate(storages):
            archive.writestr(f"archive/data/{key}", content)
    return file.getvalue()


def legacy(program: bytes, *storages: bytes, width: int = 4) -> bytes:
    head = [checkpoint.LEGACY_MAGIC, checkpoint.LEGACY_PROTOCOL, {"little_endian": True}]
    keys = [str(i) for i in range(len(storages))]
    body = b"".join((len(s) // width).to_bytes(8, "little") + s for s in storages)
    return b"".join(pickle.dumps(part, 2) for part in head) + program + pickle.dumps(keys, 2) + body


WRITERS: dict[str, Callable[..., bytes]] = {"zip": zipped, "legacy": legacy}
FOUR = np.arange(4, dtype="<f4").tobytes()


@pytest.fixture(params=FORMATS)
def write(request: pytest.FixtureRequest) -> Callable[..., bytes]:
    return WRITERS[request.param]


@pytest.mark.parametrize("format", FORMATS)
def test_reads_what_torch_wrote(format: str) -> None:
    found = checkpoint.read(REFERENCE / f"checkpoint.{format}.pth")
    assert found.keys() == EXPECTED.keys()
    for name, value in EXPECTED.items():
        assert found[name].dtype == value.dtype
        np.testing.assert_array_equal(found[name], value)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("release", ["network", "older"])
def test_reads_what_openunmix_saved(format: str, release: str) -> None:
    found = checkpoint.read(REFERENCE / f"{release}.{format}.pth")
    expected = golden_state("vocals")
    more = {f"bn{number}.num_batches_tracked" for number in (1, 2, 3)}
    if release == "older":
        more |= {"stft.window", "transform.0.window", "sample_rate"}
    assert found.keys() == expected.keys() | more
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)


@pytest.mark.parametrize("is_zip", [True, False])
def test_reads_what_torch_writes_here(is_zip: bool) -> None:
    torch = pytest.importorskip("torch")
    network = torch.nn.Sequential(torch.nn.LSTM(3, 4, 2), torch.nn.BatchNorm1d(5))
    file = io.BytesIO()
    content = {
        "epoch": 3,
        "state_dict": network.state_dict(),
        "best": 0.5,
        "more": [None, (1, "a")],
    }
    torch.save(content, file, _use_new_zipfile_serialization=is_zip)
    found = checkpoint.read_file(file)
    assert found.keys() == network.state_dict().keys()
    for name, value in network.state_dict().items():
        np.testing.assert_array_equal(found[name], value.numpy())


def test_reads_hand_made_checkpoints(write: Callable[..., bytes]) -> None:
    programs = tensor((2,), (2,)), tensor((2, 2), (1, 2), key="1"), tensor((), (), 3)
    found = read(write(state(*programs), FOUR, FOUR))
    assert found["tensor 0"].tolist() == [0, 2]
    assert found["tensor 1"].tolist() == [[0, 2], [1, 3]]
    assert found["tensor 2"] == 3


@functools.cache
def whole(format: str) -> bytes:
    return (REFERENCE / f"checkpoint.{format}.pth").read_bytes()


@pytest.mark.parametrize("format", FORMATS)
@given(data=st.data())
def test_a_cut_file_is_refused(format: str, data: st.DataObject) -> None:
    end = data.draw(st.integers(0, len(whole(format)) - 1))
    with cheaply(), pytest.raises(CheckpointError):
        read(whole(format)[:end])


def test_a_cut_download_is_called_so(tmp_path: Path) -> None:
    path = tmp_path / "vocals.pth"
    path.write_bytes(pth(golden_state("vocals"))[:-1000])
    with pytest.raises(CheckpointError, match=r"vocals\.pth: it ends early"):
        checkpoint.read(path)


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=400)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused(format: str, data: st.DataObject) -> None:
    damaged = bytearray(whole(format))
    places = st.integers(0, len(damaged) - 1)
    for place in data.draw(st.lists(places, min_size=1, max_size=4)):
        damaged[place] = data.draw(st.integers(0, 255))
    with cheaply(), contextlib.suppress(CheckpointError):
        assert all(isinstance(tensor, np.ndarray) for tensor in read(bytes(damaged)).values())


@given(st.binary(max_size=300), st.sampled_from(FORMATS))
def test_any_program_is_read_or_refused(program: bytes, format: str) -> None:
    with cheaply(), contextlib.suppress(CheckpointError):
        read(WRITERS[format](program, FOUR))
    with cheaply(), contextlib.suppress(CheckpointError):
        read(program)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "damaged or none at all"),
        (b"<!doctype html>", "pickle"),
        (b"RIFF....WAVE", "pickle"),
        (pickle.dumps({"a": 1}), "it is no PyTorch checkpoint"),
        (pickle.dumps(checkpoint.LEGACY_MAGIC, 2) + pickle.dumps(7, 2), "unknown protocol"),
        (zipped(state()), "no tensors"),
        (zipped(pickle.dumps([], 2)), "no tensors"),
        (zipped(pickle.dumps({"a": 1}, 2)), "no tensors"),
        (legacy(pickle.dumps({"a": 1}, 2)), "no tensors"),
        (zipped(state(tensor()), FOUR, compression=zipfile.ZIP_DEFLATED), "compressed"),
        (zipped(state(tensor())), "damaged"),
        (zipped(state(tensor())[:-1], FOUR), "pickle"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "vocals.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"vocals\.pth: .*{message}"):
        checkpoint.read(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nowhere\.pth can't be read"):
        checkpoint.read(tmp_path / "nowhere.pth")


def test_zip_without_a_checkpoint_is_refused() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("song.wav", b"RIFF")
    with pytest.raises(CheckpointError, match="no PyTorch checkpoint"):
        checkpoint.read_file(file)


def test_big_endian_is_refused() -> None:
    file = io.BytesIO(zipped(state(tensor()), FOUR))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("archive/byteorder", "big")
    with pytest.raises(CheckpointError, match="big-endian"):
        checkpoint.read_file(file)
    system = {"little_endian": False}
    data = legacy(state(tensor()), FOUR)
    data = data.replace(pickle.dumps({"little_endian": True}, 2), pickle.dumps(system, 2))
    with pytest.raises(CheckpointError, match="big-endian"):
        read(data)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("where", ["whole", "entry", "name"])
def test_no_code_runs(
    write: Callable[..., bytes], tmp_path: Path, protocol: int, where: str
) -> None:
    trace = tmp_path / "trace"

    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return os.system, (f"echo was here > {trace}",)

    evil: object = Evil()
    if where == "entry":
        evil = {"weight": evil}
    if where == "name":
        evil = {evil: "weight"}
    program = pickle.dumps(evil, protocol)
    with pytest.raises(CheckpointError, match="pickle"):
        read(write(program, FOUR))
    with pytest.raises(CheckpointError, match="pickle"):
        read(program)
    assert not trace.exists()
    pickle.loads(program)
    assert trace.exists()  # the program would have done it


@pytest.mark.parametrize(
    "program",
    [
        b"cos\nsystem\n(X\x04\x00\x00\x00truetR.",
        b"(X\x04\x00\x00\x00trueios\nsystem\n.",
        b"(cos\nsystem\nX\x04\x00\x00\x00trueo.",
        b"\x80\x04X\x02\x00\x00\x00osX\x06\x00\x00\x00system\x93X\x04\x00\x00\x00true\x85R.",
        b"cbuiltins\neval\n(X\x0c\x00\x00\x00__import__(0tR.",
        b"cnumpy\nempty\n(J\xff\xff\xff\x7ftR.",
        b"cbuiltins\nbytearray\n(\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x10tR.",
        b"ctorch._utils\n_rebuild_tensor_v2\n)R.",
        b"ccollections\nOrderedDict\n(cos\nsystem\ntR.",
        b"\x82\x01.",
        b"ccollections\nOrderedDict\n)\x81}b.",
        b"Pos.system\n.",
        b"(X\x02\x00\x00\x00osQ.",
    ],
)
def test_instructions_that_tensors_do_not_need_are_refused(
    write: Callable[..., bytes], program: bytes
) -> None:
    with cheaply(), pytest.raises(CheckpointError, match="its pickle"):
        read(write(program, FOUR))


@pytest.mark.parametrize(
    "program",
    [
        tensor((5,), (1,)),
        tensor((2,), (4,)),
        tensor((2,), (1,), 3),
        tensor((1,), (1,), 1 << 70),
        tensor((1 << 40, 1 << 40), (0, 0)),
        tensor((1000, 1000), (0, 0)),
        tensor((2,), (1 << 70,)),
        tensor((2,), (-1,), 1),
        tensor((-2,), (1,)),
        tensor((2,), (1, 1)),
        tensor((1,) * 100, (1,) * 100),
        tensor((0, 1 << 70), (1, 1)),
        tensor((0,), (1 << 70,)),
        tensor(length=1 << 60),
        tensor(length=-4),
        tensor(length=3, shape=(4,)),
        tensor(kind="DoubleStorage", shape=(4,)),
        tensor(kind="QuantumStorage"),
        tensor(key="1"),
        tensor(key="../data.pkl"),
    ],
)
def test_tensors_stay_in_their_storage(write: Callable[..., bytes], program: bytes) -> None:
    with cheaply(), pytest.raises(CheckpointError):
        read(write(state(program), FOUR))


def test_a_storage_has_one_type(write: Callable[..., bytes]) -> None:
    as_float, as_double = tensor((4,)), tensor((4,), kind="DoubleStorage")
    for programs in itertools.permutations([as_float, as_double]):
        with pytest.raises(CheckpointError):
            read(write(state(*programs), FOUR))


def test_a_storage_holds_whole_numbers() -> None:
    with pytest.raises(CheckpointError):
        read(zipped(state(tensor()), FOUR[:-1]))
    with pytest.raises(CheckpointError):
        read(legacy(state(tensor()), FOUR)[:-1])


def test_tensors_can_not_multiply_their_storage(write: Callable[..., bytes]) -> None:
    storage = bytes(4 * 50_000)
    programs = [tensor((50_000,), length=50_000)] * 1000
    with cheaply(), pytest.raises(CheckpointError, match="more numbers than"):
        read(write(state(*programs), storage))


def test_a_tensor_may_have_two_names(write: Callable[..., bytes]) -> None:
    """As the window has in Open-Unmix's first models."""
    found = read(write(state(tensor((4,)), tensor(key="1"), tensor((4,))), FOUR, FOUR))
    assert found["tensor 0"].tolist() == found["tensor 2"].tolist() == [0, 1, 2, 3]
    with pytest.raises(CheckpointError, match="more numbers than"):
        read(write(state(*[tensor((4,))] * 3), FOUR))


def test_storages_can_not_lie_in_each_other() -> None:
    count, size = 200, MEGABYTE
    file, members = io.BytesIO(), []
    content = bytes(size)
    for key in range(10_000, 10_000 + count):
        member = zipfile.ZipInfo(f"archive/data/{key}")
        member.file_size = member.compress_size = len(content)
        member.CRC = zlib.crc32(content)
        content = member.FileHeader() + content  # which is what the next one holds
        member.header_offset = -len(content)
        members.append(member)
    for member in members:
        member.header_offset += len(content)
    lengths = {m.filename.rpartition("/")[2]: m.file_size // 4 for m in members}
    program = state(*(tensor((length,), key=key, length=length) for key, length in lengths.items()))
    with zipfile.ZipFile(file, "w") as archive:
        file.write(content)
        archive.start_dir = len(content)
        archive.filelist += members
        archive.writestr("archive/data.pkl", program)
    with cheaply(8 * MEGABYTE), pytest.raises(CheckpointError, match="more numbers than"):
        read(file.getvalue())


NESTED = b"\x80\x02)" + b"\x85" * 50_000
LAUGHS = b"\x80\x02)" + b"q\x00h\x00\x86" * 100
"""A tuple that is short to write and endless to walk through."""


@pytest.mark.parametrize(
    "program",
    [
        NESTED + b".",
        NESTED + b"Q.",
        NESTED + b"}" + NESTED[2:] + b"Ns.",
        b"\x80\x02}" + NESTED[2:] + b"Ns.",
        NESTED + NESTED[2:] + b"\x93.",
        NESTED + b")R.",
        LAUGHS + b".",
        LAUGHS + b"Q.",
        LAUGHS + b")R.",
        b"\x80\x02}" + LAUGHS[2:] + b"Ns.",
        LAUGHS + LAUGHS[2:] + b"\x93.",
        b"\x80\x02(" + b"}" * (2 * MEGABYTE),
        b"\x80\x02\x8d" + struct.pack("<Q", 1 << 62),
        b"\x80\x02X" + struct.pack("<I", (1 << 32) - 1),
        b"\x80\x02\x8b" + struct.pack("<i", (1 << 31) - 1),
        b"\x80\x02I" + b"9" * 500_000 + b"\n.",
    ],
)
def test_exhausting_programs_are_refused(write: Callable[..., bytes], program: bytes) -> None:
    with cheaply(128 * MEGABYTE), pytest.raises(CheckpointError):
        read(write(program, FOUR))


def test_list_of_storages_may_be_anything() -> None:
    data = legacy(state(tensor()), FOUR)
    keys = pickle.dumps(["0"], 2)
    for other in (b"\x80\x02](}e.", NESTED + b".", b"\x80\x02]" + NESTED[2:] + b"a.", b"N."):
        with pytest.raises(CheckpointError):
            read(data.replace(keys, other))


ARGUMENTS = {
    "sources": ["a", "b"],
    "segment": Fraction(39, 5),
    "t_layers": 5,
    "cac": True,
    "t_lr": None,
}
TENSORS = {"one": np.arange(6, dtype=np.float32).reshape(2, 3), "two": np.zeros(4, np.float32)}
DEMUCS = {"th": th(TENSORS, ARGUMENTS), "safetensors": safetensors(TENSORS, ARGUMENTS)}


@pytest.mark.parametrize("kind", DEMUCS)
def test_reads_what_demucs_saves(kind: str) -> None:
    found = checkpoint.read_file(io.BytesIO(DEMUCS[kind]))
    assert found.keys() == TENSORS.keys()
    for name, value in TENSORS.items():
        np.testing.assert_array_equal(found[name], value)
    assert (found.maker, found.arguments) == ("demucs.htdemucs.HTDemucs", ARGUMENTS)


def test_other_checkpoints_say_nothing() -> None:
    found = checkpoint.read(REFERENCE / "network.zip.pth")
    assert (found.maker, found.arguments) == ("", {})


@pytest.mark.parametrize("kind", DEMUCS)
@settings(max_examples=400)
@given(data=st.data())
def test_a_damaged_file_of_demucs_is_read_or_refused(kind: str, data: st.DataObject) -> None:
    damaged = bytearray(DEMUCS[kind])
    for place in data.draw(st.lists(st.integers(0, len(damaged) - 1), max_size=4)):
        damaged[place] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(damaged)))
    with cheaply(), contextlib.suppress(CheckpointError):
        found = read(bytes(damaged[:end]))
        assert sum(tensor.nbytes for tensor in found.values()) <= 2 * len(damaged)


@pytest.mark.parametrize(
    "data",
    [
        (3000).to_bytes(8, "little") + b"{" * 3000,
        (2).to_bytes(8, "little") + b"{}more",
        safetensors(TENSORS, ARGUMENTS, kwargs="{"),
        safetensors(TENSORS, {"segment": {"numerator": 1, "denominator": 0}}),
        safetensors(TENSORS, {"segment": {"numerator": 1, "denominator": 1 << 60}}),
        safetensors(TENSORS, ARGUMENTS) + b"more",
        safetensors(TENSORS, ARGUMENTS).replace(b'"F16"', b'"F17"', 1),
        safetensors(TENSORS, ARGUMENTS).replace(b"[2, 3]", b"[2,-3]"),
        safetensors(TENSORS, ARGUMENTS).replace(b"[2, 3]", b"[3, 3]"),
        th(TENSORS, {"segment": Fraction(1, 1 << 21)}),
    ],
)
def test_other_files_of_demucs_are_refused(data: bytes) -> None:
    with cheaply(), pytest.raises(CheckpointError):
        read(data)
