import sys
import types
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("scipy")

from scripts.train import dataset, loss, train  # noqa: E402
from scripts.train.average import average  # noqa: E402
from scripts.train.dataset import (  # noqa: E402
    BACKED,
    BALANCE,
    BASS,
    CLOSE,
    FILLED,
    LEVEL,
    LOUDNESS,
    LOW,
    LOWERED,
    OTHER,
    RECORDED,
    SILENT,
    SPEED,
    TRIES,
    VOCALS,
    Batch,
    Songs,
)
from scripts.train.model import BINS, MAX_BIN, OpenUnmix, official  # noqa: E402
from umx.format.convert import TARGETS, convert  # noqa: E402
from umx.level import REFERENCE  # noqa: E402
from umx.models.openunmix.convert import fold, quantize  # noqa: E402
from umx.models.openunmix.official import SIGNAL  # noqa: E402

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


def test_beginning_from_nothing_standardises_what_the_layers_see() -> None:
    net = network()
    x = 3 + 2 * magnitudes(50)
    net.begin(x)
    scaled = (x + net.input_mean) * net.input_scale
    torch.testing.assert_close(scaled.mean(dim=(0, 1, 2)), torch.zeros(MAX_BIN), atol=1e-4, rtol=0)
    deviation = scaled.std(dim=(0, 1, 2), correction=0)
    torch.testing.assert_close(deviation, torch.ones(MAX_BIN), atol=0.02, rtol=0)
    seen = net.bn1(net.fc1(scaled.flatten(2)).flatten(0, 1))
    torch.testing.assert_close(seen.std(dim=0), torch.ones(HIDDEN), atol=0.01, rtol=0)


def test_beginning_from_a_file_changes_nothing() -> None:
    """A file read back and folded again is the file."""
    state = {key: value.numpy() for key, value in official(network(3).state_dict()).items()}
    layers = quantize(fold(state), "best")
    net = network()
    net.begin(magnitudes(20, 3), layers)
    again = fold({key: value.numpy() for key, value in official(net.state_dict()).items()})
    rows = np.r_[:MAX_BIN, BINS : BINS + MAX_BIN]  # above them, a file may hold anything
    for name in layers:
        if name.endswith(".scale"):
            continue
        found, wanted = again[name], np.asarray(layers[name], np.float32)
        if name.endswith(".weight"):
            scale = name.replace(".weight", ".scale")
            found, wanted = found * again[scale][:, None], wanted * layers[scale][:, None]
        if name.startswith("fc3"):
            found, wanted = found[rows], wanted[rows]
        np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.fixture(autouse=True)
def small_numbers():
    """Training has the processor round the smallest floats to zero; no other test is to see that."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture
def batch() -> Batch:
    """Two examples of five frames, of which the loss sees seven bins."""
    r = torch.Generator().manual_seed(2)
    stems = torch.randn(2, 4, 2, 5, 7, dtype=torch.complex64, generator=r)
    mixture = stems.sum(dim=1)
    products = (stems * mixture.conj()[:, None]).real
    heard = torch.rand(5, 2, 2, MAX_BIN, generator=r).bfloat16()
    return Batch(heard, torch.arange(7), mixture.abs(), stems.abs(), products, torch.ones(2, 4))


def test_errors_are_those_of_the_sounds(batch: Batch) -> None:
    """The second error is that of the complex spectrum, the first of magnitudes, over the mixture's power."""
    mixture, stems, products = batch.mixture[0], batch.stems[0], batch.products[0]
    masks = torch.rand(stems.shape, generator=torch.Generator().manual_seed(3))
    found, _ = loss.errors(masks, mixture, stems, products, torch.ones(4))
    power = mixture.square().sum()
    own = (masks * mixture - stems).square().sum(dim=(1, 2, 3)) / power
    shares = masks.square() / masks.square().sum(dim=0)
    # With the mixture's phase for the real axis, a stem is products / mixture and what is at right angles to it.
    real = products / mixture
    across = stems.square() - real.square()
    weighed = ((shares * mixture - real).square() + across).sum(dim=(1, 2, 3)) / power
    torch.testing.assert_close(found, torch.stack([own, weighed]), rtol=0.01, atol=1e-4)


def test_gradient_is_that_of_the_errors(batch: Batch) -> None:
    parts = [part[0].double() for part in batch[2:]]
    masks = torch.rand(4, 2, 5, 7, generator=torch.Generator().manual_seed(4)).double()
    _, gradient = loss.errors(masks, *parts)
    for place in ((0, 0, 0, 0), (1, 1, 4, 6), (3, 0, 2, 3)):
        step = torch.zeros_like(masks)
        step[place] = 1e-5
        low, high = (
            (loss.errors(masks + sign * step, *parts)[0] + loss.FLOOR).log().sum()
            for sign in (-1, 1)
        )
        assert gradient[place].item() == pytest.approx((high - low).item() / 2e-5, rel=1e-4)


def test_what_is_not_judged_has_no_part(batch: Batch) -> None:
    """With the vocals alone judged, gradients are those of their errors, whatever the other stems hold."""
    masks = torch.rand(4, 2, 5, 7, generator=torch.Generator().manual_seed(4))
    judged = torch.tensor([1.0, 0, 0, 0])
    mixture, stems, products = batch.mixture[0], batch.stems[0], batch.products[0]
    found, gradient = loss.errors(masks, mixture, stems, products, judged)
    others = torch.tensor([1.0, 5, 5, 5])[:, None, None, None]
    again, same = loss.errors(masks, mixture, stems * others, products * others, judged)
    torch.testing.assert_close(gradient, same)
    assert torch.equal(found, again)
    assert (found[:, 1:] == 1).all()
    assert gradient[0].abs().max() > 0


def test_gradients_reach_every_layer(batch: Batch) -> None:
    """By the last layer's inputs, matrices and biases, as autograd has them."""
    r = torch.Generator().manual_seed(5)
    layers = [
        tuple(torch.randn(shape, generator=r) for shape in ((5, 2, 3), (2, 3, 7), (2, 1, 7)))
        for _ in range(4)
    ]
    layers = [tuple(part.bfloat16().float().requires_grad_() for part in parts) for parts in layers]
    errors, gradients = loss.backward(
        [tuple(p.detach() for p in o) for o in layers], batch, range(2)
    )
    total = torch.zeros(())
    for i in range(2):
        masks = torch.stack([torch.relu(x[:, i] @ weight + bias) for x, weight, bias in layers])
        mixture, stems, products = batch.mixture[i], batch.stems[i], batch.products[i]
        squares = masks.square() + loss.FAINT
        shares = squares / squares.sum(dim=0)
        power = mixture.square().sum()
        axes = (1, 2, 3)
        own = (masks * mixture - stems).square().sum(dim=axes) / power
        weighed = ((shares * mixture).square() - 2 * shares * products + stems.square()).sum(
            dim=axes
        )
        total = total + (own + loss.FLOOR).log().sum() + (weighed / power + loss.FLOOR).log().sum()
        torch.testing.assert_close(errors[i, 0], own, rtol=0.02, atol=0.02)
    total.backward()
    for parts, found in zip(layers, gradients, strict=True):
        for part, gradient in zip(parts, found, strict=True):
            assert part.grad is not None
            limit = 0.05 * float(part.grad.abs().max())
            torch.testing.assert_close(gradient, part.grad, rtol=0.05, atol=limit)


def test_faint_target_counts_as_a_loud_one() -> None:
    errors = torch.tensor([[[1e-1], [1e-1]], [[1e-2], [1e-2]]])
    halved = errors.clone()
    halved[1] /= 2
    assert train.decibels(halved)[0] < train.decibels(errors)[0] - 0.3


def test_learning_rate_rises_stays_and_falls_to_nothing() -> None:
    rates = [train.learning_rate(step, 1000) for step in range(1001)]
    assert rates[0] == pytest.approx(train.RATE / train.WARM_UP)
    level = round(1000 * train.LEVEL)
    assert rates[train.WARM_UP : level] == [train.RATE] * (level - train.WARM_UP)
    assert rates[(1000 + level) // 2] == pytest.approx(train.RATE / 2)
    assert rates[1000] == 0
    assert all(a >= b for a, b in pairwise(rates[level:]))


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
    train.train(work, 2, HIDDEN, None)
    first = torch.load(work / "model" / "bass.pth", weights_only=True)
    train.train(work, 4, HIDDEN, None)
    for target in TARGETS:
        steps = [line.split(",")[0] for line in curve(work, target)]
        assert steps == ["step", "0", "2", "4"]
    second = torch.load(work / "model" / "bass.pth", weights_only=True)
    assert first["fc3.weight"].shape == (2 * BINS, HIDDEN)
    assert not torch.equal(first["fc1.weight"], second["fc1.weight"])
    train.train(work, 4, HIDDEN, None)  # nothing left to do
    assert len(curve(work, "bass")) == 4


def test_training_lowers_the_error(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "WARM_UP", 1)
    monkeypatch.setattr(train, "RATE", 5e-3)
    train.train(work, 40, HIDDEN, None)
    for target in TARGETS:
        lines = curve(work, target)
        first, last = (float(lines[i].split(",")[-1]) for i in (1, -1))
        assert last < first - 0.5


def test_training_starts_from_a_model(work: Path) -> None:
    start = work / "start"
    states = {target: official(network(i).state_dict()) for i, target in enumerate(TARGETS)}
    for target, state in states.items():
        torch.save(state, work / f"{target}.pth")
    paths = {(target,): work / f"{target}.pth" for target in TARGETS}
    card = dict.fromkeys(("name", "title", "licence", "credit", "source"), "")
    convert(paths, start, "best", SIGNAL, **card, sample_rate=44100)
    train.train(work, 1, 2 * HIDDEN, start)  # the model knows its size
    for target, state in states.items():
        learnt = torch.load(work / "model" / f"{target}.pth", weights_only=True)
        name = "lstm.weight_hh_l1"
        assert (learnt[name] - state[name]).abs().max() < 0.01
        assert not torch.equal(learnt[name], state[name])


def test_average_lies_between_checkpoints_of_a_training(work: Path) -> None:
    train.train(work, 0, HIDDEN, None)
    first = torch.load(work / "model" / "bass.pth", weights_only=True)
    train.train(work, 3, HIDDEN, None)
    second = torch.load(work / "model" / "bass.pth", weights_only=True)
    middle = average([first, second])
    name = "fc3.weight"
    torch.testing.assert_close(middle[name], (first[name] + second[name]) / 2)
    assert not torch.equal(first[name], second[name])
    other = official(network().state_dict()) | {"bn1.running_mean": torch.ones(HIDDEN)}
    with pytest.raises(ValueError, match="different trainings"):
        average([first, other])


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


def test_batches_hold_what_they_should(work: Path) -> None:
    """As they were mixed and shuffled, in turn; stems add up to their mixture."""
    for batch in islice(Songs(work / "songs", 5).batches(3, 6), 2):
        assert batch.heard.shape == (6, 3, 2, MAX_BIN)
        bins = len(batch.bins)
        assert CLOSE < bins < MAX_BIN / 2 + CLOSE
        assert batch.mixture.shape == (3, 2, 6, bins)
        assert batch.stems.shape == batch.products.shape == (3, 4, 2, 6, bins)
        power = batch.mixture.square()
        torch.testing.assert_close(batch.products.sum(dim=1), power, rtol=1e-3, atol=0.1)
        heard = batch.heard[..., batch.bins].permute(1, 2, 0, 3)
        ratio = batch.mixture[heard > 1] / heard[heard > 1]
        assert set(ratio.mul(50).round().div(50).tolist()) <= {0.98, 1.0, 1.02, 1.98, 2.0, 2.02}


def test_crops_are_faster_or_slower_than_their_song(tmp_path: Path) -> None:
    """A tone of 64 samples a period keeps its level and gets another pitch each time."""
    tone = 9000 * np.sin(2 * np.pi * np.arange(60000) / 64)
    np.save(tmp_path / "0.npy", np.broadcast_to(tone, (4, 2, 60000)).astype(np.int16))
    songs = Songs(tmp_path, 0)
    crops = [songs.crop(songs.songs, 8192) for _ in range(20)]
    assert all(crop.shape == (4, 2, 8192) and crop.dtype == np.float32 for crop in crops)
    assert all(np.abs(crop).max() == pytest.approx(9000 / 32767, rel=0.02) for crop in crops)
    pitches = [64 / 8192 * np.abs(np.fft.rfft(crop[0, 0])).argmax() for crop in crops]
    low, high = np.exp(SPEED)
    assert low - 0.02 < min(pitches) < 0.95
    assert 1.05 < max(pitches) < high + 0.02


def test_basses_go_down_to_an_octave_lower(tmp_path: Path) -> None:
    """A bass of 64 samples a period beside silence."""
    song = np.zeros((4, 2, 60000), np.int16)
    song[BASS] = 9000 * np.sin(2 * np.pi * np.arange(60000) / 64)
    np.save(tmp_path / "0.npy", song)
    songs = Songs(tmp_path, 0)
    found = [songs.example(8192)[0] for _ in range(200)]
    pitches = np.array([64 / 8192 * np.abs(np.fft.rfft(s[BASS, 0])).argmax() for s in found])
    lowest, unchanged = np.exp(LOW[0]), np.exp(SPEED[0])
    assert lowest - 0.02 < pitches.min() < lowest + 0.1
    below = LOWERED * (SPEED[0] - LOW[0]) / (LOW[1] - LOW[0])
    assert (pitches < unchanged - 0.01).mean() == pytest.approx(below, abs=0.08)


def test_mixtures_have_the_level_that_the_engine_gives_networks(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the songs' own: noise at -12 and at -52 dBFS; what is quieter than LOUDER makes up for stays quiet."""
    for name in ("FILLED", "LOWERED"):
        monkeypatch.setattr(dataset, name, 0.0)
    quiet = np.load(work / "songs" / "000000.npy") // 100
    np.save(work / "songs" / "000000.npy", quiet)
    found = []
    for batch in islice(Songs(work / "songs", 5).batches(16, 30), 4):
        power = batch.heard.float().square().sum(dim=(0, 2, 3)) / (2 * 30)
        found += (2 * power / (0.375 * 4096 * 4096)).sqrt().tolist()
    logarithms = np.log(np.array(found) / REFERENCE)
    loud = logarithms[logarithms > -1]
    assert len(loud) < len(logarithms)
    assert loud.mean() == pytest.approx(0, abs=0.2)
    assert loud.std() == pytest.approx(LEVEL, rel=0.3)


def test_rests_are_filled(tmp_path: Path) -> None:
    """Of two songs, one has a voice: where the other is drawn, so is that voice, FILLED of the time."""
    for seed, voice in enumerate((0, 9000)):
        song = np.zeros((4, 2, 60000), np.int16)
        song[VOCALS] = voice
        np.save(tmp_path / f"{seed}.npy", song)
    songs = Songs(tmp_path, 0)
    sung = [songs.example(8192)[0][VOCALS].any() for _ in range(300)]
    once_in_tries = 1 - 0.5**TRIES
    assert np.mean(sung) == pytest.approx(0.5 + 0.5 * FILLED * once_in_tries, abs=0.08)


def test_bass_is_far_louder_than_the_others_now_and_then(work: Path) -> None:
    decibels = 20 * np.log10(Songs(work / "songs", 5).levels(4000, 4)[..., 0].numpy() + 1e-9)
    assert (decibels < -150).mean() == pytest.approx(SILENT, abs=0.01)
    decibels = np.where(decibels < -150, np.nan, decibels)
    assert np.nanstd(decibels[:, OTHER]) == pytest.approx(BALANCE, rel=0.1)
    assert (decibels > 12).mean(axis=0)[BASS] > 4 * (decibels > 12).mean(axis=0)[OTHER]


def test_other_is_two_songs_where_it_is_layered(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two songs that play in one place of the other instruments alone, each at another pitch."""
    monkeypatch.setattr(dataset, "LAYERED", 1.0)
    for seed, period in enumerate((64, 16)):
        song = np.zeros((4, 2, 40 * 1024), np.int16)
        song[OTHER] = 9000 * np.sin(2 * np.pi * np.arange(40 * 1024) / period)
        np.save(work / "songs" / f"{seed:06}.npy", song)
    mixed, shuffled = islice(Songs(work / "songs", 3).batches(16, 8), 2)

    def both(batch: Batch) -> float:
        """The share of mixtures in which both pitches sound."""
        heard = batch.heard.float().square().sum(dim=(0, 2))
        parts = torch.stack([heard[:, 40:90].sum(dim=1), heard[:, 200:330].sum(dim=1)])
        return float((parts.min(dim=0).values > 1e-3 * parts.max(dim=0).values).float().mean())

    assert both(mixed) == 0
    assert 0.2 < both(shuffled) < 0.9


def test_mixture_in_some_bins_counts_for_all(work: Path) -> None:
    batch = next(Songs(work / "songs", 5).batches(4, 30))
    everything = batch.heard.float().square().sum().item()
    assert batch.mixture.square().sum().item() == pytest.approx(everything, rel=0.05)


def test_seed_decides_the_batches(work: Path) -> None:
    first, second, other = (next(Songs(work / "songs", seed).batches(2, 4)) for seed in (1, 1, 2))
    assert torch.equal(first.heard, second.heard)
    assert not torch.equal(first.heard, other.heard)


def recorded(folder: Path) -> Path:
    """Songs of silence, a recorded voice of ones, and backing that is louder on the left."""
    arrays = {
        "songs/0": np.zeros((4, 2, 60000)),
        "stems/vocals/a": np.full((2, 60000), 9000),
        "backing/b": np.stack([np.full(60000, 9000), np.full(60000, 3000)]),
    }
    for name, array in arrays.items():
        path = folder / f"{name}.npy"
        path.parent.mkdir(parents=True)
        np.save(path, array.astype(np.int16))
    return folder


def test_recorded_stems_take_the_place_of_others(tmp_path: Path) -> None:
    songs = Songs(recorded(tmp_path) / "songs", 0, recorded=tmp_path)
    found = [songs.example(8192) for _ in range(300)]
    sung = [stems[VOCALS].any() for stems, _ in found]
    assert np.mean(sung) == pytest.approx(RECORDED, abs=0.1)
    levels = [float(stems[VOCALS].mean()) for stems, _ in found if stems[VOCALS].any()]
    assert levels == pytest.approx([LOUDNESS] * len(levels), rel=0.01)
    assert not any(stems[1:3].any() for stems, _ in found)


def test_backing_takes_the_place_of_all_but_the_voice(tmp_path: Path) -> None:
    songs = Songs(recorded(tmp_path) / "songs", 0, recorded=tmp_path)
    found = [songs.example(8192) for _ in range(300)]
    assert np.mean([backed for _, backed in found]) == pytest.approx(BACKED, abs=0.07)
    assert all(stems[OTHER].any() == backed for stems, backed in found)
    left, right = next(stems[OTHER].mean(axis=-1) for stems, backed in found if backed)
    assert max(left / right, right / left) == pytest.approx(3, rel=0.01)


def test_only_the_voice_over_backing_is_judged(tmp_path: Path) -> None:
    """Also where stems are shuffled: what is judged goes with the backing, beside which there are no drums and bass."""
    recorded(tmp_path)
    noise = np.random.default_rng(0).integers(-9000, 9000, (4, 2, 60000))
    np.save(tmp_path / "songs" / "0.npy", noise.astype(np.int16))
    np.save(tmp_path / "backing" / "b.npy", np.full((2, 60000), 9000, np.int16))
    batches = Songs(tmp_path / "songs", 0, recorded=tmp_path).batches(40, 4)
    for batch in islice(batches, 2):
        assert (batch.judged[:, VOCALS] == 1).all()
        known = batch.judged[:, OTHER] == 1
        assert 0 < (~known).sum() < 20
        assert (batch.judged[:, 1:] == known[:, None]).all()
        energy = batch.stems.square().sum(dim=(2, 3, 4))
        assert (energy[~known][:, 1:3] == 0).all()
        assert (energy[known][:, 1:3] > 0).any()


def test_short_recordings_are_followed_by_silence(tmp_path: Path) -> None:
    songs = Songs(recorded(tmp_path) / "songs", 0)
    crop = songs.crop([np.full((2, 1000), 9000, np.int16)], 8192)
    assert crop.shape == (2, 8192)
    assert crop[:, :800].min() > 0.2
    assert not crop[:, 1300:].any()
