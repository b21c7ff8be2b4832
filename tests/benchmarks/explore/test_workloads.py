"""Layers of a sweep, published or of a network."""

import dataclasses

import numpy as np
import pytest
from scipy.sparse import csc_array

from eie_bench.explore import ExploreError
from eie_bench.explore.sweep import fit
from eie_bench.explore.workloads import GivenLayer, network_workloads, paper_workloads
from eie_bench.paper.nine_layers import LAYERS, make_inputs, make_network
from eie_compiler.lowering.compile import compile_network
from eie_compiler.network import CompressedNetwork
from eie_hdl.config import PRESETS
from eie_sim.inference import infer, prepare
from support.dead_inputs import clear_inputs


def test_layers_of_the_paper_come_by_name_in_its_order():
    assert [one.name for one in paper_workloads([], 1)] == list(LAYERS)
    assert [one.name for one in paper_workloads(["NT-We", "Alex-7"], 1)] == ["Alex-7", "NT-We"]
    published, = paper_workloads(["NT-We"], 3)
    given = published.load()
    assert isinstance(given, GivenLayer)
    expected = make_network(LAYERS["NT-We"], 3).layers[0]
    assert (given.layer.codes != expected.codes).nnz == 0
    np.testing.assert_array_equal(given.inputs, [make_inputs(LAYERS["NT-We"], 3)])
    with pytest.raises(ExploreError, match="^layers must be some of Alex-6, .*, not 'fc9'$"):
        paper_workloads(["NT-We", "fc9"], 1)


def test_layers_of_a_network_get_the_results_of_the_ones_before(network):
    rng = np.random.default_rng(4)
    second = dataclasses.replace(network.layers[0], name="fc2", codes=network.layers[0].codes.T
                                 .tocsc(), bias=rng.normal(size=50))
    chain = CompressedNetwork((network.layers[0], second), network.input_frac, network.v_width)
    inputs = rng.uniform(-1, 1, (3, 50))
    config = fit(PRESETS["tiny"])
    build = compile_network(chain, config, outputs="all")
    words = prepare(build, inputs)
    (first, last), inference = network_workloads(chain, inputs, config)
    assert (first.name, last.name) == ("fc1", "fc2")
    np.testing.assert_array_equal(first.inputs, words)
    np.testing.assert_array_equal(last.inputs, infer(build, inputs, engine="golden").outputs[0])
    (only,), _ = network_workloads(chain, inputs, config, ["fc2"])
    np.testing.assert_array_equal(only.inputs, last.inputs)
    assert list(inference.saturation) == ["input", "fc1", "fc2"]
    with pytest.raises(ExploreError, match="^layers must be some of fc1, fc2, not 'fc3'$"):
        network_workloads(chain, inputs, config, ["fc3"])


def test_layers_of_a_network_are_without_its_dead_rows_and_inputs(network):
    codes = network.layers[0].codes.toarray().T
    codes[:, [3, 7]] = 0
    second = dataclasses.replace(network.layers[0], name="fc2", codes=csc_array(codes),
                                 bias=np.zeros(50))
    chain = clear_inputs(CompressedNetwork((network.layers[0], second), network.input_frac,
                                           network.v_width), [0, 9])
    inputs = np.random.default_rng(5).uniform(-1, 1, (3, 50))
    build = compile_network(chain, fit(PRESETS["tiny"]), outputs="all")
    (first, last), _ = network_workloads(chain, inputs, build.config)
    assert (first.layer.codes.shape, last.layer.codes.shape) == ((38, 48), (50, 38))
    np.testing.assert_array_equal(first.inputs, np.delete(prepare(build, inputs), [0, 9], axis=1))
    whole, _ = infer(build, inputs, engine="golden").outputs
    np.testing.assert_array_equal(last.inputs, np.delete(whole, [3, 7], axis=1))
