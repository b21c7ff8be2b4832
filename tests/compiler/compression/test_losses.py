"""Each run has one loss more than its predecessor."""

import numpy as np
import pytest
from scipy.sparse import csc_array

from eie_compiler.compression.compress import compress
from eie_compiler.compression.decompress import decompress
from eie_compiler.compression.losses import count_nonzeros, successive_runs
from eie_compiler.lowering.arithmetic import IntegerNetwork
from eie_compiler.model import Model, ModelLayer
from eie_compiler.preprocessing import Preprocessing
from eie_hdl.config import EIEConfig


@pytest.fixture
def rng():
    return np.random.default_rng(84)


@pytest.fixture
def model(rng):
    return Model((ModelLayer("fc1", rng.normal(size=(12, 8)), relu=True),
                  ModelLayer("fc2", rng.normal(size=(3, 12)))),
                 preprocessing=Preprocessing(rng.normal(size=8), rng.uniform(1, 3, 8)))


def outputs(run, values):
    return list(run(values))[-1]


def test_run_of_a_model_computes_its_outputs(rng, model):
    x = rng.normal(size=(5, 8))
    np.testing.assert_array_equal(outputs(model.vectors, x), model(x))


def test_runs_lead_from_the_pruned_model_to_the_machine(rng, model):
    x = rng.normal(size=(50, 8))
    network = compress(model, density=0.5, calibration=x)
    config = EIEConfig(acc_width=32, n_pe=2)
    runs = successive_runs(model, IntegerNetwork(network, config), retrained=False)
    assert list(runs) == ["pruning", "sharing", "activation_rounding", "activation_clipping",
                          "weight_rounding", "accumulator"]
    kept = [np.where(layer.codes.toarray(), before.weight, 0)
            for before, layer in zip(model.layers, network.layers)]
    pruned = np.maximum(model.preprocessing(x) @ kept[0].T, 0) @ kept[1].T
    np.testing.assert_allclose(outputs(runs["pruning"], x), pruned)
    np.testing.assert_array_equal(outputs(runs["sharing"], x), decompress(network)(x))
    *_, machine = IntegerNetwork(network, config).vectors(x)
    np.testing.assert_array_equal(outputs(runs["accumulator"], x), machine)
    *_, wide = IntegerNetwork(network, EIEConfig(acc_width=60)).vectors(x)
    np.testing.assert_array_equal(outputs(runs["weight_rounding"], x), wide)


def test_losses_that_do_not_occur_have_no_run(rng, model):
    network = compress(model)
    assert list(successive_runs(model, IntegerNetwork(network, EIEConfig()), retrained=False)) == [
        "sharing", "activation_rounding", "activation_clipping", "weight_rounding"]
    pruned = IntegerNetwork(compress(model, density=0.5), EIEConfig())
    assert list(successive_runs(model, pruned, retrained=True)) == [
        "retraining", "activation_rounding", "activation_clipping", "weight_rounding"]


@pytest.mark.parametrize("pins, nonnegative", [
    ({"fc1": 3}, False), ({"fc1": 14}, False), ({"input": 14}, False), ({}, True),
])
def test_rounding_alone_never_saturates(rng, model, pins, nonnegative):
    x = rng.normal(0, 3, (50, 8))
    network = compress(model, v_width=8, calibration=x, pins=pins)
    network = type(network)(**{**vars(network), "nonnegative_inputs": nonnegative})
    runs = successive_runs(model, IntegerNetwork(network, EIEConfig()), retrained=False)
    rounded, clipped = (list(runs[f"activation_{name}"](x)) for name in ("rounding", "clipping"))
    ideal = list(runs["sharing"](x))
    fracs = [network.input_frac, *(layer.output_frac for layer in network.layers)]
    assert np.abs(rounded[0] - ideal[0]).max() <= 0.5 ** (fracs[0] + 1)
    for vector, frac in zip(clipped, fracs):
        words = np.ldexp(vector, frac)
        assert (words == np.rint(words)).all() and np.abs(words).max() <= 1 << 15
    saturates = bool(pins.get("fc1", 14) == 14)
    assert any((one != other).any() for one, other in zip(rounded, clipped)) == saturates
    assert (clipped[0] >= 0).all() == nonnegative


def test_nonzeros_are_counted_in_any_matrix():
    matrix = np.array([[0.0, 1], [2, 0]])
    assert count_nonzeros(matrix) == count_nonzeros(csc_array(matrix)) == 2
    assert count_nonzeros(csc_array(([0.0, 3.0], ([0, 1], [0, 1])), shape=(2, 2))) == 1
