import numpy as np
import pytest

from umx.kernels.layers import Linear, LstmLayer
from umx.kernels.reference import Numpy
from umx.models.openunmix.lstm import Lstm

INPUTS, WIDTH, LAYERS = 5, 7, 3
RNG = np.random.default_rng(2)


def matrix(rows: int, columns: int) -> Linear:
    weight, bias = RNG.uniform(-0.5, 0.5, (rows, columns)), RNG.uniform(-0.5, 0.5, rows)
    return Linear(weight.astype(np.float32), np.ones(rows, np.float32), bias.astype(np.float32))


def stack(directions: int) -> Lstm:
    layers = [
        [
            LstmLayer(
                matrix(4 * WIDTH, INPUTS if layer == 0 else directions * WIDTH),
                matrix(4 * WIDTH, WIDTH)._replace(bias=np.zeros(4 * WIDTH, np.float32)),
            )
            for _ in range(directions)
        ]
        for layer in range(LAYERS)
    ]
    return Lstm(layers, WIDTH, Numpy())


def sequences(count: int, frames: int) -> np.ndarray:
    return RNG.uniform(-1, 1, (count, frames, INPUTS)).astype(np.float32)


def test_many_chunks_forward_equal_one() -> None:
    lstm, x = stack(directions=1), sequences(3, 40)
    whole, final = lstm(x)
    state, chunks = None, []
    for a, b in [(0, 1), (1, 17), (17, 17), (17, 40)]:
        chunk, state = lstm(x[:, a:b], state)
        chunks.append(chunk)
    np.testing.assert_allclose(np.concatenate(chunks, axis=1), whole, atol=1e-6)
    assert state is not None
    for layer, expected in zip(state, final, strict=True):
        np.testing.assert_allclose(layer, expected, atol=1e-6)


def test_sequences_in_lockstep_equal_one_by_one() -> None:
    lstm, x = stack(directions=2), sequences(4, 20)
    together, _ = lstm(x)
    for lane, sequence in enumerate(x):
        np.testing.assert_allclose(lstm(sequence[np.newaxis])[0][0], together[lane], atol=1e-6)


@pytest.mark.parametrize("directions", [1, 2])
def test_equals_torch(directions: int) -> None:
    torch = pytest.importorskip("torch")
    lstm, x = stack(directions), sequences(2, 30)
    theirs = torch.nn.LSTM(INPUTS, WIDTH, LAYERS, batch_first=True, bidirectional=directions == 2)
    state = {}
    for i, layer in enumerate(lstm.layers):
        for suffix, direction in zip(("", "_reverse"), layer, strict=False):
            state[f"weight_ih_l{i}{suffix}"] = torch.from_numpy(direction.input.weight)
            state[f"weight_hh_l{i}{suffix}"] = torch.from_numpy(direction.recurrent.weight)
            state[f"bias_ih_l{i}{suffix}"] = torch.from_numpy(direction.input.bias)
            state[f"bias_hh_l{i}{suffix}"] = torch.zeros(4 * WIDTH)
    theirs.load_state_dict(state)
    with torch.no_grad():
        expected, (h, c) = theirs(torch.from_numpy(x))
    out, after = lstm(x)
    np.testing.assert_allclose(out, expected.numpy(), atol=1e-5)
    ours = [direction for layer in after for direction in layer]
    np.testing.assert_allclose([d[0] for d in ours], h.numpy(), atol=1e-5)
    np.testing.assert_allclose([d[1] for d in ours], c.numpy(), atol=1e-5)
