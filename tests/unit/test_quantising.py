"""Matrices of floats as 8-bit integers, whatever network they are of."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from umx.errors import ConvertError
from umx.format.quantising import BLOCK, check, quantize_rows, round_weights

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


def layer(rows: int, columns: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    weight, scale, bias = (rng.standard_normal(shape) for shape in ((rows, columns), rows, rows))
    tensors = {
        "a.weight": weight,
        "a.scale": scale,
        "a.bias": bias,
        "other": rng.standard_normal(3),
    }
    return {name: value.astype(np.float32) for name, value in tensors.items()}


@pytest.mark.parametrize("rows", [1, BLOCK, BLOCK + 1, 2 * BLOCK + 3])
def test_rows_are_rounded_as_if_all_were_at_once(rows: int) -> None:
    folded = layer(rows, 5)
    out = round_weights(folded, {}, {})
    integers, steps = quantize_rows(folded["a.weight"])
    np.testing.assert_array_equal(out["a.weight"], integers)
    np.testing.assert_array_equal(out["a.scale"], folded["a.scale"] * steps)
    assert out["a.weight"].dtype == np.int8


def test_given_steps_are_taken() -> None:
    folded = layer(300, 7)
    steps = np.abs(folded["a.weight"]).max(axis=1) / np.float32(9)
    out = round_weights(folded, {"a": steps}, {})
    assert np.abs(out["a.weight"].astype(int)).max() == 9
    made, exact = (
        t["a.weight"] * t["a.scale"][:, np.newaxis].astype(np.float64) for t in (out, folded)
    )
    half = 0.5 * steps * np.abs(folded["a.scale"])
    assert (np.abs(made - exact) <= 1.0001 * half[:, np.newaxis]).all()


def test_a_bias_makes_up_for_what_rounding_does_to_the_mean_input() -> None:
    folded = layer(300, 7)
    steps = np.abs(folded["a.weight"]).max(axis=1)
    mean = np.linspace(1, 2, 7, dtype=np.float32)
    plain, mended = (round_weights(folded, {"a": steps}, means) for means in ({}, {"a": mean}))

    def output(tensors: dict[str, np.ndarray]) -> np.ndarray:
        return tensors["a.scale"] * (tensors["a.weight"].astype(float) @ mean) + tensors["a.bias"]

    assert np.abs(output(plain) - output(folded)).max() > 0.1
    np.testing.assert_allclose(output(mended), output(folded), atol=1e-4)


def test_what_is_no_matrix_stays_as_it_is() -> None:
    folded = layer(3, 4)
    out = round_weights(folded, {}, {})
    assert out.keys() == folded.keys()
    for name in ("a.bias", "other"):
        np.testing.assert_array_equal(out[name], folded[name])


EXPECTED = {"a.weight": ("I8", (3, 4)), "a.scale": ("F32", (3,)), "a.bias": ("F32", (3,))}


def whole() -> dict[str, np.ndarray]:
    return {name: value for name, value in layer(3, 4).items() if name != "other"}


def refused(tensors: dict[str, np.ndarray], code: str, match: str) -> None:
    with pytest.raises(ConvertError, match=match) as caught:
        check(tensors, EXPECTED)
    assert caught.value.code == code
    assert str(caught.value).endswith(".")


def test_tensors_of_the_right_shapes_pass() -> None:
    check(whole(), EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_tensors_that_lack_are_more_or_other_are_named(name: str) -> None:
    lacking = {n: tensor for n, tensor in whole().items() if n != name}
    refused(lacking, "convert.tensor-shape", f"its {re.escape(name)} has shape None instead of")
    refused(
        whole() | {name: whole()[name][:-1]},
        "convert.tensor-shape",
        f"its {re.escape(name)} has shape",
    )
    more = whole() | {f"{name}.more": whole()[name]}
    refused(
        more, "convert.tensor-shape", rf"its {re.escape(name)}\.more has shape .* instead of None"
    )


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", EXPECTED)
def test_numbers_that_are_not_finite_are_named(name: str, wrong: float) -> None:
    tensors = whole()
    tensors[name].flat[-1] = wrong
    refused(tensors, "convert.not-finite", f"its {re.escape(name)} holds numbers")
