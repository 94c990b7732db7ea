"""Training on a graphics card, on the processor: its mixtures, its loss, its rate."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scripts.train import gpu, loss  # noqa: E402
from scripts.train.dataset import AUDIBLE, LOUDNESS, OTHER, VOCALS, Batch  # noqa: E402
from scripts.train.mix import RATE  # noqa: E402
from scripts.train.model import OpenUnmix  # noqa: E402
from scripts.train.stock import Places, Stock  # noqa: E402
from umx.format.convert import TARGETS  # noqa: E402

SECONDS = 5
ROOM = 20_000_000
FRAMES = 8


def noise(r: np.random.Generator, *shape: int) -> np.ndarray:
    return r.integers(-9000, 9000, (*shape, SECONDS * RATE)).astype(np.int16)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    r = np.random.default_rng(0)
    for name, audio in {
        "songs/1": noise(r, 4, 2),
        "songs/band-00": noise(r, 4, 2),
        "songs/2.part": noise(r, 4, 2),
        "stems/vocals/singer": noise(r, 2),
        "backing/orchestra": noise(r, 2),
    }.items():
        path = folder / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, audio)
    return folder


@pytest.fixture
def stock(work: Path) -> Stock:
    return Stock(work, 0, "cpu", ROOM)


@pytest.fixture
def batch(stock: Stock) -> Batch:
    return stock.batch(16, FRAMES)


def test_whole_songs_are_taken_as_they_come(stock: Stock, work: Path) -> None:
    assert [path.name for path in sorted(stock.seen)] == ["1.npy", "band-00.npy"]
    assert stock.weights[1] > stock.weights[0]  # a recording
    new = work / "songs" / "3.npy"
    (work / "songs" / "2.part.npy").rename(new)
    try:
        stock.look()
        assert new in stock.seen
        begun = stock.firsts[-1][3]
        found = stock.audio[begun : begun + SECONDS * RATE].T.numpy()
        np.testing.assert_array_equal(found, np.load(new)[3])
    finally:
        new.rename(work / "songs" / "2.part.npy")


def test_no_more_songs_are_taken_than_there_is_room_for(work: Path) -> None:
    stems = 2 + 4  # the recorded ones, and those of one song
    stock = Stock(work, 0, "cpu", (stems + 1) * SECONDS * RATE)
    assert len(stock.seen) == 1


def test_folder_without_songs_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="songs has no songs"):
        Stock(tmp_path, 0, "cpu", ROOM)


def test_pieces_are_faster_by_their_speed_and_end_in_silence(stock: Stock) -> None:
    stock.audio[:1000] = torch.arange(1000, dtype=torch.int16)[:, None] * torch.tensor([1, 2])
    audio = stock.cut(
        np.array([100, 100]), np.array([300, 300]), np.array([1.0, 1.5]), np.array([1.0, 2.0]), 250
    )
    assert audio.shape == (2, 2, 250)
    ramp = np.arange(250)
    np.testing.assert_allclose(32767 * audio[0, 0].numpy(), 100 + ramp, atol=1e-2)
    np.testing.assert_allclose(32767 * audio[0, 1].numpy(), 200 + 2 * ramp, atol=1e-2)
    np.testing.assert_allclose(
        32767 * audio[1, 0, :190].numpy(), 2 * (100 + 1.5 * ramp[:190]), atol=1e-2
    )
    assert not audio[1, :, 200:].any()


def test_places_are_where_a_stem_sounds() -> None:
    places = Places()
    places.add(1000, 4 * RATE, np.array([0.2, 0.5 * AUDIBLE, 0.1, 0.0]))
    places.add(9_000_000, RATE, np.array([0.0]))
    assert len(places) == 2
    first, length, level = places.draw(np.random.default_rng(0), 50)
    assert {*first} == {1000, 1000 + 2 * RATE}
    np.testing.assert_array_equal(first + length, 1000 + 4 * RATE)
    assert {*level} == {0.2, 0.1}


def test_stems_add_up_to_the_mixture(batch: Batch) -> None:
    power = batch.mixture.square()
    np.testing.assert_allclose(batch.products.sum(dim=1), power, atol=1e-4 * float(power.max()))
    heard = batch.heard.permute(1, 2, 0, 3)[..., :512]  # of every bin there
    np.testing.assert_allclose(heard, batch.mixture[..., :512], rtol=1e-4)


def test_backing_has_no_drums_and_no_bass_and_only_its_voice_is_judged(batch: Batch) -> None:
    backed = batch.judged[:, OTHER] == 0
    assert 0 < backed.sum() < len(backed)
    assert batch.judged[:, VOCALS].all()
    rest = [i for i in range(len(TARGETS)) if i not in (VOCALS, OTHER)]
    assert not batch.judged[backed][:, rest].any()
    assert not batch.stems[backed][:, rest].any()


def test_recorded_stems_are_brought_to_one_loudness(
    stock: Stock, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut: list[torch.Tensor] = []
    whole = stock.cut
    monkeypatch.setattr(stock, "cut", lambda *args: cut.append(whole(*args)) or cut[0].clone())
    monkeypatch.setattr("scripts.train.stock.RECORDED", dict.fromkeys(TARGETS, 1.0))
    stock.batch(16, FRAMES)
    levels = cut[0][:, VOCALS].square().mean(dim=(1, 2)).sqrt()
    # Linear interpolation takes some of white noise's top away.
    np.testing.assert_allclose(levels, LOUDNESS, rtol=0.3)


def test_errors_and_their_gradient_are_those_of_the_loss(batch: Batch) -> None:
    found = torch.rand(len(batch.mixture), len(TARGETS), *batch.mixture.shape[1:])
    found.requires_grad_()
    errors = gpu.errors(found, batch)
    (torch.log(errors + loss.FLOOR) * batch.judged[:, None]).sum().backward()
    for i, masks in enumerate(found.detach()):
        parts = batch.mixture[i], batch.stems[i], batch.products[i], batch.judged[i]
        expected, gradient = loss.errors(masks.clone(), *parts)
        np.testing.assert_allclose(errors[i].detach(), expected, rtol=1e-4)
        size = float(gradient.abs().max())
        np.testing.assert_allclose(found.grad[i], gradient, atol=1e-4 * size)


def test_masks_are_the_networks(batch: Batch) -> None:
    torch.manual_seed(0)
    network = OpenUnmix(32)
    network.begin(batch.heard)
    masks = gpu.masks(network, batch).detach()
    expected = network(batch.heard)[..., batch.bins].permute(1, 2, 0, 3).detach()
    heard = batch.heard[..., batch.bins].permute(1, 2, 0, 3)
    assert float((masks * heard - expected).norm() / expected.norm()) < 0.02  # bfloat16


def test_learning_rate_rises_stays_and_falls() -> None:
    assert gpu.learning_rate(0.0, 0) < 0.01 * gpu.RATE
    assert gpu.learning_rate(0.1, 5000) == gpu.learning_rate(0.3, 9000) == gpu.RATE
    assert gpu.learning_rate(0.65, 9000) == pytest.approx(0.5 * gpu.RATE)
    assert gpu.learning_rate(1.01, 9000) == 0


def test_what_is_saved_is_the_official_form(tmp_path: Path) -> None:
    networks = [OpenUnmix(16) for _ in TARGETS]
    gpu.save(tmp_path, networks)
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(TARGETS)
    state = torch.load(tmp_path / "bass.pth", weights_only=True)
    assert state["fc3.weight"].shape == (2 * 2049, 16)
    expected = networks[TARGETS.index("bass")].fc1.weight.detach()
    np.testing.assert_allclose(state["fc1.weight"].float(), expected, atol=1e-3)
