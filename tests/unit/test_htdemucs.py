"""HTDemucs's conversion, quantising and description; its arithmetic is held to the makers' in tests/parity."""

import zlib
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.checkpoints import th
from tests.htdemucs import ARGUMENTS, FOUR, odd_state, signal, state
from tests.listening import snr
from umx.errors import ConvertError
from umx.format import library
from umx.format.checkpoint import Checkpoint
from umx.format.convert import convert
from umx.kernels import htdemucs as kernels
from umx.kernels.reference import Numpy
from umx.level import Meter, gain
from umx.models.htdemucs.arguments import CLASS, parse
from umx.models.htdemucs.convert import describe, folded_for, recognises, targets, tensors
from umx.models.htdemucs.description import Network, shapes, work
from umx.models.htdemucs.estimate import Estimator
from umx.models.htdemucs.fidelity import music
from umx.models.htdemucs.network import Arena, Forward, joined
from umx.models.htdemucs.quantize import PRESETS, quantize
from umx.separator import Separator

OFFICIAL = Network(4, 48, 512, 5, 8, 2048, 343980, 16)
SIX = Network(6, 48, 0, 5, 8, 1536, 343980, 16)
SMALL = {**ARGUMENTS["four"], "segment": Fraction(1, 5)}
"""A network of 0.2 s."""


def ignore(done: float) -> None:
    pass


def checkpoint(state: dict[str, np.ndarray], **arguments: Any) -> Checkpoint:
    found = Checkpoint(state)
    found.maker, found.arguments = CLASS, SMALL | arguments
    return found


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    return state("four")


@pytest.fixture
def four(weights: dict[str, np.ndarray]) -> Checkpoint:
    return checkpoint(weights)


def estimator(four: Checkpoint, *bags: Sequence[str]) -> Estimator:
    result = None
    for names in bags:
        network = describe(four, names)
        result = result or Estimator(network, Numpy())
        copy = checkpoint(dict(four))
        result.add(names or FOUR, tensors(copy, network, "web", names))
        assert not copy  # to save memory
    assert result
    return result


def test_the_official_networks_are_described() -> None:
    sources, network = parse(
        {
            "sources": ["drums", "bass", "other", "vocals"],
            "bottom_channels": 512,
            "dconv_mode": 3,
            "segment": Fraction(39, 5),
            "t_dropout": 0.02,
        }
    )
    assert (sources, network) == (FOUR, OFFICIAL)
    six = {"sources": list("abcdef"), "dconv_mode": 3, "segment": 7.8}
    assert parse(six)[1] == SIX
    network.check()
    weights = sum(
        np.prod(shape) for name, (_, shape) in shapes(network).items() if name.endswith(".low")
    )
    assert weights == 41_814_528
    assert sum(work(network).values()) == pytest.approx(167.5e9, rel=0.002)
    assert sum(work(SIX).values()) == pytest.approx(128.2e9, rel=0.002)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"growth": 3}, "another growth"),
        ({"dconv_mode": 1}, "another dconv_mode"),
        ({"nfft": [4096]}, "another nfft"),
        ({"multi_freqs": [0.25]}, "multi_freqs"),
        ({"sources": "vocals"}, "no list of names"),
        ({"sources": ["a", "a"]}, "same name"),
        ({"sources": ["../a"]}, "no list of names"),
        ({"sources": []}, "sources should be"),
        ({"channels": 12}, "multiple of 8"),
        ({"channels": 1 << 40}, "channels"),
        ({"channels": True}, "channels"),
        ({"t_layers": "5"}, "t_layers"),
        ({"t_layers": 1000}, "layers should be"),
        ({"t_heads": 3}, "heads should divide"),
        ({"t_hidden_scale": float("nan")}, "t_hidden_scale"),
        ({"segment": Fraction(1, 100000)}, "segment should be"),
        ({"segment": 59}, "shorter"),
        ({"segment": "39/5"}, "segment is no usable number"),
    ],
)
def test_other_networks_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConvertError, match=f"can be used: .*{message}"):
        describe(checkpoint({}, **change))


@pytest.mark.parametrize(("preset", "least"), [("best", 50), ("web", 50), ("small", 25)])
def test_quantised_weights_estimate_nearly_the_same(
    four: Checkpoint, preset: str, least: float
) -> None:
    network = describe(four, (), preset)
    folded = folded_for(four, network)
    rounded = tensors(four, network, preset)
    types = {"I8": np.int8, "F32": np.float32}
    assert {name: (types[dtype], shape) for name, (dtype, shape) in shapes(network).items()} == {
        name: (tensor.dtype, tensor.shape) for name, tensor in rounded.items()
    }
    engine = Numpy()
    reference, arena = kernels.Reference(engine.product), Arena(network)
    results = [
        Forward(network, form, engine, reference, arena).estimate(signal(network.segment), range(4))
        for form in (folded, rounded)
    ]
    assert snr(results[1], results[0]) > least


def test_conversion_measures_what_rounding_costs(four: Checkpoint) -> None:
    """As what the networks give is measured here, and lower for fewer bits."""
    found = {}
    for preset in ("best", "web", "small"):
        made = tensors(checkpoint(dict(four)), describe(four, (), preset), preset)
        found[preset] = made.snr
    print(found)
    assert found["best"] >= found["web"] > 45 > found["small"] > 20
    network = describe(four)
    forms = folded_for(four, network), tensors(checkpoint(dict(four)), network, "web")
    kernel = kernels.Reference(Numpy().product)
    right, rounded = (
        Forward(network, form, Numpy(), kernel, Arena(network)).estimate(
            music(network.segment), range(4)
        )
        for form in forms
    )
    ratios = [snr(*pair) for pair in zip(rounded, right, strict=True)]
    # Where the kernels are compiled, activations are integers, too.
    assert found["web"] == pytest.approx(np.mean(ratios), abs=0.5)


def test_weights_that_are_spread_oddly_are_told_by_it() -> None:
    odd = checkpoint(odd_state("four"))
    made = tensors(odd, describe(odd), "web")
    assert made.snr is not None
    assert made.snr < 40


def test_networks_that_overflow_are_exact_to_nothing(four: Checkpoint) -> None:
    for name in ("encoder.0.conv.weight", "tdecoder.3.conv_tr.weight"):
        four[name] = np.full_like(four[name], 3e38)
    assert tensors(four, describe(four), "web").snr == 0


def test_music_is_heard_on_both_sides_at_the_level_of_songs() -> None:
    sound = music(44100)
    np.testing.assert_array_equal(sound, music(44100))
    assert gain_of(sound) == pytest.approx(1, rel=1e-3)
    assert (np.square(sound).mean(axis=1) > 1e-3).all()
    assert np.abs(sound[0] - sound[1]).max() > 0.05


@settings(max_examples=30)
@given(
    st.sampled_from(["normal", "uniform", "cauchy", "sparse", "zeros"]), st.sampled_from(sorted(PRESETS)),
    st.floats(1e-20, 1e20), st.integers(0, 99),
)  # fmt: skip
def test_any_weights_travel_in_a_known_size(kind: str, preset: str, gain: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (16, 4096)
    weight = {
        "normal": rng.standard_normal,
        "uniform": lambda size: rng.uniform(-1, 1, size),
        "cauchy": lambda size: np.clip(rng.standard_cauchy(size), -1e6, 1e6),
        "sparse": lambda size: rng.standard_normal(size) * (rng.random(size) < 0.01),
        "zeros": np.zeros,
    }[kind](shape)
    weight = (gain * weight).astype(np.float32)
    made = quantize({"a.weight": weight}, preset)
    whole = joined(made["a.weight"], made.get("a.low"))
    assert np.abs(whole).max() <= PRESETS[preset].largest
    error = np.abs(whole * made["a.scale"][:, np.newaxis] - weight)
    assert (error <= 0.501 * made["a.scale"][:, np.newaxis]).all()
    packer = zlib.compressobj(9, strategy=zlib.Z_HUFFMAN_ONLY)
    planes = [tensor for name, tensor in made.items() if name != "a.scale"]
    packed = b"".join(map(packer.compress, planes)) + packer.flush()
    bits = 8 * len(packed) / weight.size
    assert bits < {"best": 13.1, "web": 12.1, "small": 7.15}[preset]


@pytest.fixture
def unshared(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network's own estimates, of which random weights leave most of the mixture."""
    monkeypatch.setattr("umx.models.htdemucs.estimate.share_out", lambda estimates, mixture: None)


@pytest.mark.usefixtures("unshared")
def test_a_short_mixture_is_in_the_middle_of_a_segment(four: Checkpoint) -> None:
    bag = estimator(four, ())
    segment, names = bag.network.segment, ["bass", "vocals"]
    short = signal(5000)
    (estimates,) = bag.estimate(short[np.newaxis], names, ignore)
    before = (segment - 5000) // 2
    whole = np.zeros((1, 2, segment), np.float32)
    whole[0, :, before : before + 5000] = short
    (expected,) = bag.estimate(whole, names, ignore)
    np.testing.assert_array_equal(estimates, expected[..., before : before + 5000])


def test_all_stems_are_the_mixture_and_a_choice_of_them_is_the_same(four: Checkpoint) -> None:
    together, bag = estimator(four, ()), estimator(four, *((name,) for name in FOUR))
    mixture = signal(bag.network.segment)[np.newaxis]
    for whole in (together, bag):
        (estimates,) = whole.estimate(mixture, FOUR, ignore)
        np.testing.assert_allclose(estimates.sum(axis=0), mixture[0], atol=1e-6)
    (two,) = together.estimate(mixture, ["vocals", "drums"], ignore)
    chosen = estimates[[FOUR.index("vocals"), FOUR.index("drums")]]
    # Products of matrices of other sizes may be rounded otherwise.
    np.testing.assert_allclose(two, chosen, atol=1e-6)


@pytest.mark.usefixtures("unshared")
def test_a_bag_runs_only_the_networks_that_are_wanted(
    four: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    together, bag = estimator(four, ()), estimator(four, ("drums",), ("bass",), ("vocals",))
    assert bag.network.sources == 1
    mixture = signal(bag.network.segment)[np.newaxis]
    (expected,) = together.estimate(mixture, ["vocals", "drums"], ignore)
    runs = []
    whole = Forward.estimate
    monkeypatch.setattr(Forward, "estimate", lambda *args: runs.append(args) or whole(*args))
    (estimates,) = bag.estimate(mixture, ["vocals", "drums"], ignore)
    np.testing.assert_allclose(estimates, expected, atol=1e-6)
    assert len(runs) == 2


def test_progress_comes_in_small_steps_and_ends(four: Checkpoint) -> None:
    bag = estimator(four, ())
    done: list[float] = []
    mixture = np.stack([signal(bag.network.segment)] * 2)
    assert len(list(bag.estimate(mixture, ["bass"], done.append))) == 2
    assert done[-1] == pytest.approx(1)
    assert max(np.diff([0, *done])) < 0.1
    assert min(np.diff(done)) > 0


def test_a_checkpoint_tells_its_targets(four: Checkpoint) -> None:
    assert recognises(four)
    assert targets(four) == FOUR
    assert recognises(dict(four))  # but what is not said can't be known
    with pytest.raises(ConvertError, match="doesn't say"):
        describe(dict(four))
    with pytest.raises(ConvertError, match="doesn't estimate piano"):
        describe(four, ["piano"])
    with pytest.raises(ConvertError, match="no preset"):
        describe(four, (), "worst")


def test_checkpoints_that_do_not_fit_are_refused(four: Checkpoint) -> None:
    name = "encoder.0.conv.weight"
    for value, message in [
        (None, "no 'encoder.0.conv.weight'"),
        (four[name][0, 0, 0, 0], "fit together"),
        (four[name][:-1], "has shape"),
        (four[name] * np.nan, "not finite"),
    ]:
        broken = checkpoint({key: tensor for key, tensor in four.items() if key != name})
        if value is not None:
            broken[name] = value
        with pytest.raises(ConvertError, match=message):
            tensors(broken, describe(broken), "web")


@pytest.mark.parametrize(("network", "most"), [(OFFICIAL, 150e6), (SIX, 172e6)])
def test_memory_of_the_official_networks(network: Network, most: float) -> None:
    assert Arena(network).size < most


def test_self_test_notices_a_wrong_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = kernels.Reference(Numpy().product)
    assert kernels.agree(reference, reference)

    class Wrong(kernels.Reference):
        def attend(self, *arguments: Any) -> None:
            super().attend(*arguments)
            arguments[-1][:] *= 1.02

    assert not kernels.agree(Wrong(Numpy().product), reference)


@pytest.fixture(scope="module")
def model(
    weights: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> library.Model:
    """A tiny HTDemucs, from the makers' file on."""
    folder = tmp_path_factory.mktemp("htdemucs")
    path = folder / "955717e8.th"
    path.write_bytes(th(weights, {**SMALL, "segment": Fraction(1, 2)}))
    names = ("name", "title", "licence", "credit", "source")
    convert({(): path}, folder / "tiny", "web", {}, sample_rate=44100, **dict.fromkeys(names, "x"))
    return library.load_model(folder / "tiny")


def test_from_the_makers_file_to_a_model(
    model: library.Model, weights: dict[str, np.ndarray]
) -> None:
    manifest = model.manifest
    assert (manifest.architecture, manifest.targets) == ("htdemucs", FOUR)
    network = describe(checkpoint(weights, segment=Fraction(1, 2)))
    assert manifest.network == network
    assert manifest.snr is not None
    assert not manifest.is_rough
    expected = tensors(checkpoint(dict(weights), segment=Fraction(1, 2)), network, "web")
    (found,) = model.networks.values()
    for name, tensor in expected.items():
        np.testing.assert_array_equal(found[name], tensor)


def test_stems_of_a_song_of_many_segments(model: library.Model) -> None:
    """Far from every join, a stem is what the network makes of the segment that it lies in."""
    separator = Separator(model, Numpy(), residual=True)
    segment, overlap = separator.cutting.segment, separator.cutting.overlap
    song = signal(3 * (segment - overlap) + overlap, 5)
    song *= gain_of(song)
    told: list[float] = []
    stems = separator.separate(song, told.append)
    assert separator.targets == (*FOUR, "residual")
    np.testing.assert_allclose(stems.sum(axis=0), song, atol=1e-5)
    stride = segment - overlap
    for start in (0, stride, 2 * stride):
        piece = song[:, start : start + segment]
        (direct,) = separator.estimator.estimate(piece[np.newaxis], FOUR, ignore)
        inner = slice(overlap, segment - overlap)
        assert snr(stems[:4, :, start : start + segment][..., inner], direct[..., inner]) > 60
    assert told == sorted(told)
    assert told[-1] == 1


def test_shorter_stretches_are_heard_among_their_neighbours(model: library.Model) -> None:
    """Two segments that need not be whole: what is beside a stretch is the song, and no silence."""
    separator = Separator(model, Numpy())
    segment, overlap = separator.cutting.segment, separator.cutting.overlap
    length = 3 * segment // 4
    samples = 2 * length - overlap
    song = signal(samples, 8)
    song *= gain_of(song)
    stems = separator.separate(song)
    for start, inner in (
        (0, slice(0, length - overlap)),
        (samples - segment, slice(segment - length + overlap, segment)),
    ):
        piece = song[np.newaxis, :, start : start + segment]
        (direct,) = separator.estimator.estimate(piece, FOUR, ignore)
        assert snr(stems[..., start : start + segment][..., inner], direct[..., inner]) > 60


def test_a_song_shorter_than_a_segment_has_silence_on_both_sides(model: library.Model) -> None:
    separator = Separator(model, Numpy())
    segment = separator.cutting.segment
    before = (segment - 5000) // 2
    song = signal(5000, 9)
    song *= gain_of(song)
    padded = np.pad(song, ((0, 0), (before, segment - 5000 - before)))
    (direct,) = separator.estimator.estimate(padded[np.newaxis], FOUR, ignore)
    stems = separator.separate(song)
    assert snr(stems, direct[..., before : before + 5000]) > 60


def gain_of(song: np.ndarray) -> np.float32:
    """What brings a song to the level that networks are given, so that a `Separator` leaves it as it is."""
    meter = Meter()
    meter.add(song)
    return np.float32(gain(meter.level))


def test_a_choice_of_stems_is_the_same(model: library.Model) -> None:
    song = signal(30_000, 6)
    every = Separator(model, Numpy()).separate(song)
    some = Separator(model, Numpy(), targets=["vocals", "bass"], residual=True)
    stems = some.separate(song)
    assert some.targets == ("vocals", "bass", "residual")
    np.testing.assert_allclose(stems[0], every[3], atol=1e-6)
    np.testing.assert_allclose(stems[1], every[1], atol=1e-6)
    np.testing.assert_allclose(stems.sum(axis=0), song, atol=1e-5)


def test_work_can_be_ended_between_layers(model: library.Model) -> None:
    class EnoughError(Exception):
        pass

    def stop(done: float) -> None:
        raise EnoughError

    separator = Separator(model, Numpy())
    with pytest.raises(EnoughError):
        separator.separate(signal(30_000), stop)
    np.testing.assert_array_equal(
        separator.separate(signal(30_000)), Separator(model, Numpy()).separate(signal(30_000))
    )
