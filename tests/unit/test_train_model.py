import sys
import types
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("scipy")

from scripts.train import train  # noqa: E402
from scripts.train.dataset import Songs  # noqa: E402
from scripts.train.model import BINS, MAX_BIN, OpenUnmix, official, trimmed  # noqa: E402

HIDDEN = 8


def network(seed: int = 0) -> OpenUnmix:
    torch.manual_seed(seed)
    return OpenUnmix(HIDDEN).eval()


def magnitudes(frames: int = 5, batch: int = 2, bins: int = MAX_BIN) -> torch.Tensor:
    return torch.rand(frames, batch, 2, bins, generator=torch.Generator().manual_seed(1))


def test_official_state_is_that_of_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    # openunmix imports torchaudio only to load files.
    monkeypatch.setitem(sys.modules, "torchaudio", types.ModuleType("torchaudio"))
    reference = pytest.importorskip("openunmix.model")
    ours = network()
    with torch.no_grad():
        ours.output_scale.copy_(torch.rand(MAX_BIN))
        ours.bn3.running_mean.copy_(torch.randn(2 * MAX_BIN))
    theirs = reference.OpenUnmix(nb_bins=BINS, nb_channels=2, hidden_size=HIDDEN, max_bin=MAX_BIN)
    theirs.load_state_dict(official(ours.state_dict()), strict=True)
    x = magnitudes(bins=BINS)
    with torch.no_grad():
        wanted = theirs.eval()(x.permute(1, 2, 3, 0)).permute(3, 0, 1, 2)
        found = ours(x[..., :MAX_BIN])
    torch.testing.assert_close(found, wanted[..., :MAX_BIN])
    # Above 16 kHz, the mask of the last bin below.
    masks = wanted / x
    torch.testing.assert_close(masks[..., -1], masks[..., MAX_BIN - 1])


def test_trimming_undoes_the_official_form() -> None:
    state = network().state_dict()
    back = trimmed(official(state))
    assert state.keys() == back.keys()
    for name, value in state.items():
        torch.testing.assert_close(back[name], value)


def test_standardised_input_has_no_mean_and_unit_deviation() -> None:
    net = network()
    x = 3 + 2 * magnitudes(50)
    net.standardise(x)
    scaled = (x + net.input_mean) * net.input_scale
    torch.testing.assert_close(scaled.mean(dim=(0, 1, 2)), torch.zeros(MAX_BIN), atol=1e-4, rtol=0)
    deviation = scaled.std(dim=(0, 1, 2), correction=0)
    torch.testing.assert_close(deviation, torch.ones(MAX_BIN), atol=0.02, rtol=0)


def test_distance_weighs_quiet_examples_as_loud_ones() -> None:
    mixture = torch.ones(3, 2, 2, 4) * torch.tensor([1.0, 100.0]).reshape(1, 2, 1, 1)
    half = train.distance(0.5 * mixture, mixture, mixture)
    assert half.item() == pytest.approx(0.25, rel=1e-3)
    assert train.distance(mixture, mixture, mixture).item() == 0


def test_learning_rate_rises_stays_and_falls_to_nothing() -> None:
    rates = [train.learning_rate(step, 1000) for step in range(1001)]
    assert rates[0] == pytest.approx(train.RATE / train.WARM_UP)
    assert rates[train.WARM_UP : 600] == [train.RATE] * (600 - train.WARM_UP)
    assert rates[800] == pytest.approx(train.RATE / 2)
    assert rates[1000] == 0
    assert all(a >= b for a, b in pairwise(rates[600:]))


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two short songs of noise to train and to validate on, and a training that is soon done."""
    monkeypatch.setattr(train, "BATCH", 2)
    monkeypatch.setattr(train, "FRAMES", 4)
    monkeypatch.setattr(train, "VALIDATION", (1, 2, 8))
    monkeypatch.setattr(train, "FIRST_LOOK", (3, 8))
    monkeypatch.setattr(train, "REPORT", 2)
    r = np.random.default_rng(0)
    for name in ("songs", "validation"):
        (tmp_path / name).mkdir()
        for seed in range(2):
            song = r.integers(-9000, 9000, (4, 2, 40 * 1024)).astype(np.int16)
            np.save(tmp_path / name / f"{seed:06}.npy", song)
    return tmp_path


def curve(work: Path, target: str) -> list[str]:
    return (work / "model" / f"{target}.csv").read_text().splitlines()


def test_training_goes_on_where_it_stopped(work: Path) -> None:
    train.train(work, ["vocals", "bass"], 2, HIDDEN, None)
    first = torch.load(work / "model" / "bass.pth", weights_only=True)
    train.train(work, ["vocals", "bass"], 4, HIDDEN, None)
    for target in ("vocals", "bass"):
        steps = [line.split(",")[0] for line in curve(work, target)]
        assert steps == ["step", "0", "2", "4"]
    second = torch.load(work / "model" / "bass.pth", weights_only=True)
    assert first["fc3.weight"].shape == (2 * BINS, HIDDEN)
    assert not torch.equal(first["fc1.weight"], second["fc1.weight"])
    train.train(work, ["vocals", "bass"], 4, HIDDEN, None)  # nothing left to do
    assert len(curve(work, "bass")) == 4


def test_training_starts_from_checkpoints(work: Path) -> None:
    start = work / "start"
    start.mkdir()
    state = official(network(3).state_dict())
    torch.save(state, start / "drums.pth")
    train.train(work, ["drums"], 1, HIDDEN, start)
    learnt = torch.load(work / "model" / "drums.pth", weights_only=True)
    assert (learnt["fc1.weight"] - state["fc1.weight"]).abs().max() < 0.01
    assert not torch.equal(learnt["fc1.weight"], state["fc1.weight"])


def test_songs_are_found_as_they_come(work: Path) -> None:
    songs = Songs(work / "songs", 0)
    assert len(songs.songs) == 2
    np.save(work / "songs" / "000002.npy", np.zeros((4, 2, 9000), np.int16))
    (work / "songs" / "000003.part.npy").write_bytes(b"half a song")
    songs.look()
    assert len(songs.songs) == 3


def test_folder_without_songs_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        Songs(tmp_path, 0)


@pytest.mark.parametrize("targets", [[1], [0, 2], [0, 1, 2, 3]])
def test_batches_hold_what_they_should(work: Path, targets: list[int]) -> None:
    mixture, wanted = Songs(work / "songs", 5).batch(targets, 3, 6)
    assert mixture.shape == (6, 3, 2, MAX_BIN)
    assert [part.shape for part in wanted] == [mixture.shape] * len(targets)
    assert torch.isfinite(mixture).all()
    if len(targets) == 4:  # |a + b| is at most |a| + |b|
        assert (mixture <= sum(wanted) * 1.001 + 1e-3).all()


def test_seed_decides_the_batches(work: Path) -> None:
    first, second, other = (Songs(work / "songs", seed).batch([0], 2, 4)[0] for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
