"""The nine layers and both machines match the paper."""

import dataclasses

import numpy as np
import pytest

from eie_bench.paper.nine_layers import LAYERS, MACHINES, make_inputs, make_network
from eie_compiler.lowering.compile import compile_network
from eie_hdl.config import PRESETS, EIEConfig
from eie_sim.inference import infer

SMALL = LAYERS["NT-LSTM"]


def within(found, n, density):
    """Return True if a count of `n` trials is within five standard deviations of its mean."""
    return abs(found - n * density) <= 5 * (n * density * (1 - density)) ** 0.5


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_weights_have_the_density_of_the_paper(layer):
    codes = make_network(layer, seed=1).layers[0].codes
    assert codes.shape == (layer.n_outputs, layer.n_inputs)
    assert within(codes.nnz, codes.shape[0] * codes.shape[1], layer.weight_density)


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_inputs_have_the_density_of_the_paper(layer):
    words = make_inputs(layer, seed=1)
    assert words.shape == (layer.n_inputs,)
    assert np.count_nonzero(words) == round(layer.n_inputs * layer.activation_density)


def test_weights_are_independent_of_each_other():
    """Counts of rows and columns are binomial, and codes are uniform."""
    codes = make_network(SMALL, seed=1).layers[0].codes
    for counts, n in [(np.diff(codes.indptr), SMALL.n_outputs),
                      (np.bincount(codes.indices, minlength=SMALL.n_outputs), SMALL.n_inputs)]:
        variance = n * SMALL.weight_density * (1 - SMALL.weight_density)
        assert counts.var() == pytest.approx(variance, rel=0.2)
    of_code = np.bincount(codes.data, minlength=16)
    assert of_code[0] == 0
    assert all(within(count, codes.nnz, 1 / 15) for count in of_code[1:])


def test_a_seed_always_makes_the_same_layer():
    same, again, other = (make_network(SMALL, seed).layers[0] for seed in (1, 1, 2))
    assert (same.codes != again.codes).nnz == 0 and (same.codes != other.codes).nnz > 0
    assert same.codebook.tolist() == again.codebook.tolist() != other.codebook.tolist()
    assert make_inputs(SMALL, 1).tolist() == make_inputs(SMALL, 1).tolist()
    assert make_inputs(SMALL, 1).tolist() != make_inputs(SMALL, 2).tolist()


@pytest.mark.parametrize("name, preset", [("isca2016", "isca2016"), ("tuned", "default")])
def test_only_the_depths_of_a_machine_are_changed(name, preset):
    config, original = (each.as_dict() for each in (MACHINES[name].config, PRESETS[preset]))
    changed = {parameter for parameter in config if config[parameter] != original[parameter]}
    assert changed - {"n_pe"} <= {"spmat_depth", "ptr_depth", "queue_depth"}
    assert config["n_pe"] == 64


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
def test_a_machine_has_pointers_for_every_layer_and_not_one_more(machine):
    config = machine.config
    needed = max(
        -(-layer.n_outputs // (config.n_pe * config.acc_depth))
        * -(-layer.n_inputs // config.n_pe) * config.n_pe + 1 for layer in LAYERS.values())
    assert config.ptr_depth == -(-needed // 2)


def test_results_use_the_range_and_do_not_saturate():
    machine = MACHINES["tuned"]
    config = dataclasses.replace(EIEConfig(), n_pe=64, spmat_depth=1024)
    build = compile_network(make_network(SMALL, 1), config, mapping=machine.mapping)
    [results] = infer(build, make_inputs(SMALL, 1)[np.newaxis], words=True, engine="golden").outputs
    assert 1000 < results.std() and np.abs(results).max() < 32767
    assert np.count_nonzero(results) > 0.99 * results.size
