import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.checkpoints import golden_state
from umx import quantize, weights
from umx.errors import ShapeError
from umx.format.manifest import Manifest
from umx.format.quantising import quantize_rows
from umx.models.openunmix.convert import describe, fold

State = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def state() -> State:
    return golden_state("vocals")


@pytest.fixture(scope="module")
def folded(state: State) -> State:
    return fold(state)


def norm(state: State, name: str, x: np.ndarray) -> np.ndarray:
    """torch.nn.BatchNorm1d in evaluation."""
    spread = np.sqrt(state[f"{name}.running_var"] + 1e-5)
    x = (x - state[f"{name}.running_mean"]) / spread
    return x * state[f"{name}.weight"] + state[f"{name}.bias"]


def layer(tensors: State, name: str, x: np.ndarray) -> np.ndarray:
    """One of our linear layers on rows, in double precision."""
    weight = tensors[f"{name}.weight"].astype(float)
    return x @ weight.T * tensors[f"{name}.scale"] + tensors.get(f"{name}.bias", 0.0)


def error(ours: np.ndarray, reference: np.ndarray) -> float:
    return float(np.linalg.norm(ours - reference) / np.linalg.norm(reference))


def test_folded_layers_equal_the_reference_s(state: State, folded: State) -> None:
    exact = {key: value.astype(float) for key, value in state.items()}
    rng = np.random.default_rng(1)
    channels = 2
    x = rng.uniform(0, 30, (5, channels, len(exact["input_mean"])))
    hidden = rng.uniform(-1, 1, (5, exact["fc2.weight"].shape[1]))
    encoded = rng.uniform(0, 1, (5, exact["fc3.weight"].shape[1]))

    shifted = (x + exact["input_mean"]) * exact["input_scale"]
    fc1 = norm(exact, "bn1", shifted.reshape(5, -1) @ exact["fc1.weight"].T)
    fc2 = norm(exact, "bn2", hidden @ exact["fc2.weight"].T)
    fc3 = norm(exact, "bn3", encoded @ exact["fc3.weight"].T).reshape(5, channels, -1)
    fc3 = fc3 * exact["output_scale"] + exact["output_mean"]

    assert error(layer(folded, "fc1", (x * folded["input_scale"]).reshape(5, -1)), fc1) < 1e-6
    assert error(layer(folded, "fc2", hidden), fc2) < 1e-6
    assert error(layer(folded, "fc3", encoded), fc3.reshape(5, -1)) < 1e-6


@pytest.mark.parametrize(("direction", "suffix"), [("forward", ""), ("backward", "_reverse")])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_lstm_keeps_its_matrices_and_one_bias(
    state: State, folded: State, number: int, direction: str, suffix: str
) -> None:
    ours, theirs = f"lstm.{number}.{direction}", f"l{number}{suffix}"
    bias = state[f"lstm.bias_ih_{theirs}"] + state[f"lstm.bias_hh_{theirs}"]
    np.testing.assert_array_equal(folded[f"{ours}.input.weight"], state[f"lstm.weight_ih_{theirs}"])
    np.testing.assert_allclose(folded[f"{ours}.input.bias"], bias, rtol=1e-6)
    recurrent = folded[f"{ours}.recurrent.weight"]
    np.testing.assert_array_equal(recurrent, state[f"lstm.weight_hh_{theirs}"])
    assert f"{ours}.recurrent.bias" not in folded


@pytest.mark.parametrize("bidirectional", [True, False])
def test_names_and_shapes_are_those_of_the_file(state: State, bidirectional: bool) -> None:
    if not bidirectional:
        state = {k: v for k, v in state.items() if not k.endswith("_reverse")}
        # A network of one direction has LSTMs as wide as two directions are together.
        half = state["lstm.weight_hh_l0"].shape[1]
        for key in [key for key in state if key.startswith("lstm.")]:
            tile = (2, 2) if "weight_hh" in key else (2,) + (1,) * (state[key].ndim - 1)
            state[key] = np.tile(state[key], tile)
        assert state["lstm.weight_hh_l0"].shape == (8 * half, 2 * half)
    signal = {"sample_rate": 44100, "n_fft": 128, "hop": 32}
    texts = dict.fromkeys(("name", "title", "licence", "credit", "source", "preset"), "")
    network = Manifest(targets={}, **texts, **signal, **describe(state))
    expected = weights.shapes(network)
    for tensors in (fold(state), quantize.quantize(fold(state), "best")):
        found = {name: tensor.shape for name, tensor in tensors.items()}
        assert found == {name: shape for name, (_, shape) in expected.items()}
    codes = {name: weights.DTYPES[dtype] for name, (dtype, _) in expected.items()}
    assert {name: tensor.dtype for name, tensor in tensors.items()} == codes


def test_what_lacks_is_named(state: State) -> None:
    needed = [k for k in state if "num_batches" not in k and not k.startswith("lstm.weight_ih")]
    for key in needed:
        with pytest.raises(ShapeError, match=f"it has no '{key}'"):
            fold({k: v for k, v in state.items() if k != key})


@pytest.mark.parametrize("key", ["fc1.weight", "bn1.weight", "bn3.bias", "output_scale"])
def test_what_does_not_fit_is_said(state: State, key: str) -> None:
    with pytest.raises(ShapeError, match="don't fit together"):
        fold(state | {key: state[key][:-1]})


finite = st.floats(-(2.0**20), 2.0**20, width=32)
matrices = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 5), st.integers(1, 9)), elements=finite
)


@given(matrices)
def test_quantised_rows_are_no_farther_than_plain_rounding_leaves_them(matrix: np.ndarray) -> None:
    integers, steps = quantize_rows(matrix)
    assert (integers.dtype, steps.dtype) == (np.int8, np.float32)
    assert (integers.shape, steps.shape) == (matrix.shape, (len(matrix),))
    assert integers.min() >= -127
    assert (steps > 0).all()
    error = integers.astype(float) * steps[:, np.newaxis] - matrix
    half_step = np.abs(matrix).max(axis=1) / 127 / 2
    bound = matrix.shape[1] * half_step.astype(float) ** 2
    assert (np.square(error).sum(axis=1) <= 1.001 * bound + 1e-30).all()


@given(matrices)
def test_steps_follow_the_matrix(matrix: np.ndarray) -> None:
    # Powers of two change nothing but exponents, as long as these stay in range.
    matrix = np.where(np.abs(matrix) < 2.0**-20, np.float32(0), matrix)
    integers, steps = quantize_rows(matrix)
    again, doubled = quantize_rows(2 * matrix)
    np.testing.assert_array_equal(again, integers)
    rows = matrix.any(axis=1)
    np.testing.assert_array_equal(doubled[rows], 2 * steps[rows])
    assert not integers[~rows].any()


@given(arrays.arrays(np.int8, (3, 7), elements=st.integers(-127, 127)), st.integers(-20, 10))
def test_what_8_bits_can_hold_is_held(integers: np.ndarray, exponent: int) -> None:
    integers[:, 0] = 127
    matrix = integers * np.float32(2.0**exponent)
    found, steps = quantize_rows(matrix)
    np.testing.assert_array_equal(found, integers)
    np.testing.assert_allclose(steps, np.float32(2.0**exponent), rtol=1e-6)


def test_one_outlier_is_cut_off_where_that_serves_the_others() -> None:
    row = np.random.default_rng(2).uniform(-0.8, 0.8, (1, 40_000)).astype(np.float32)
    row[0, 0] = 1
    integers, steps = quantize_rows(row)
    assert integers[0, 0] == 127
    assert steps[0] < np.float32(0.95 / 127)


def test_quantised_layers_stay_close(folded: State) -> None:
    quantised = quantize.quantize(folded, "best")
    rng = np.random.default_rng(3)
    for key in folded:
        if key.endswith(".weight"):
            name = key.removesuffix(".weight")
            x = rng.standard_normal((20, folded[key].shape[1]))
            assert 0 < error(layer(quantised, name, x), layer(folded, name, x)) < 0.01


@pytest.mark.parametrize("preset", quantize.PRESETS)
def test_only_matrices_and_their_scales_are_touched(folded: State, preset: str) -> None:
    quantised = quantize.quantize(folded, preset)
    assert quantised.keys() == folded.keys()
    for key, value in quantised.items():
        if key.endswith(".weight"):
            assert value.dtype == np.int8
            assert np.abs(value.astype(int)).max() <= 127
        elif not key.endswith(".scale"):
            np.testing.assert_array_equal(value, folded[key])
