"""LSTM with peepholes and a projection, against its formula step by step."""

import re

import numpy as np
import pytest

from eie_bench.networks.projected_lstm import make_projected_lstm
from eie_bench.sharing import DataError
from eie_compiler.graph.evaluation import evaluate_real

N_INPUTS, N_CELLS, N_OUTPUTS, N_STEPS = 4, 5, 3, 6


@pytest.fixture
def arrays():
    rng = np.random.default_rng(1)
    shapes = {"kernel": (N_INPUTS + N_OUTPUTS, 4 * N_CELLS), "bias": (4 * N_CELLS,),
              "forget_bias": (), "w_i": (N_CELLS,), "w_f": (N_CELLS,), "w_o": (N_CELLS,),
              "projection": (N_CELLS, N_OUTPUTS), "out_kernel": (N_OUTPUTS, 2), "out_bias": (2,)}
    return {name: np.asarray(rng.normal(size=shape), np.float32) for name, shape in shapes.items()}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_a_sequence_gives_what_the_formula_gives(arrays):
    x = np.random.default_rng(2).normal(size=(2, N_STEPS, N_INPUTS))
    w = {name: array.astype(np.float64) for name, array in arrays.items()}
    c, h = np.zeros((2, N_CELLS)), np.zeros((2, N_OUTPUTS))
    for step in range(N_STEPS):
        gates = np.concatenate([x[:, step], h], axis=1) @ w["kernel"] + w["bias"]
        i, j, f, o = np.split(gates, 4, axis=1)
        c = sigmoid(f + w["forget_bias"] + w["w_f"] * c) * c \
            + sigmoid(i + w["w_i"] * c) * np.tanh(j)
        h = (sigmoid(o + w["w_o"] * c) * np.tanh(c)) @ w["projection"]
    graph = make_projected_lstm(arrays, N_STEPS)
    np.testing.assert_allclose(evaluate_real(graph, {"features": x})["logits"],
                               h @ w["out_kernel"] + w["out_bias"])


@pytest.mark.parametrize("change, message", [
    ({"bias": None}, "bias must be floating-point numbers of 1 axes, not missing"),
    ({"w_i": np.zeros((5, 1))}, "w_i must be floating-point numbers of 1 axes, not float64 of "
                                "(5, 1)"),
    ({"kernel": np.zeros((7, 16))}, "kernel must be of inputs and 3 outputs × 20, and out_kernel "
                                    "× 3, not (7, 16) and (3, 2)"),
])
def test_wrong_arrays_are_refused(arrays, change, message):
    arrays = {name: array for name, array in (arrays | change).items() if array is not None}
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        make_projected_lstm(arrays, N_STEPS)
