"""Machines proposed for networks."""

import numpy as np
import pytest

from eie_compiler.graph.graph import Graph, Node, Scan
from eie_compiler.lowering.compile import compile_network
from eie_compiler.lowering.graph import compile_graph
from eie_compiler.random_networks import random_network
from eie_hdl.config import PRESETS
from eie_hdl.extras import install_command
from eie_sim.graph_inference import infer_graph
from eie_sim.inference import infer
from support.graphs import residual_network

pytest.importorskip("numba", reason=install_command("bench"))
from eie_flows.fit import FitError, choose, fit  # noqa: E402


def network_of(*sizes, seed=3, **options):
    return random_network(np.random.default_rng(seed), sizes, **options)


@pytest.fixture(scope="module")
def network():
    return network_of(60, 90, 20)


@pytest.fixture(scope="module")
def proposals(network):
    return fit(network, "ecp5-25")


def test_the_network_compiles_for_each_machine_that_fits(network, proposals):
    assert [one.config.n_pe for one in proposals] == [1 << number for number in range(9)]
    fitting = [one for one in proposals if not one.lacking]
    assert 2 < len(fitting) < 9
    for one in fitting:
        build = compile_network(network, one.config)
        used = build.report["memory"]
        assert used["codebook"]["words_used"] == used["codebook"]["words"]
        assert one.rams <= 56 and one.luts < 24288 and one.multipliers == one.config.n_pe


def test_more_pes_take_fewer_cycles_and_more_of_the_device(proposals):
    fitting = [one for one in proposals if not one.lacking]
    assert sorted((one.cycles for one in fitting), reverse=True) == [
        one.cycles for one in fitting]
    assert sorted(one.luts for one in proposals) == [one.luts for one in proposals]
    smallest, fastest = choose(proposals, "ecp5-25")
    assert smallest is fitting[0] and fastest is fitting[-1]
    limit = fitting[1].cycles
    assert choose(proposals, "ecp5-25", max_cycles=limit)[0] is fitting[1]
    with pytest.raises(FitError, match="^max_cycles must be [0-9,]+ or more on ecp5-25, not 10$"):
        choose(proposals, "ecp5-25", max_cycles=10)


def test_cycles_for_given_inputs_are_those_of_the_cycle_model(network, proposals):
    inputs = np.random.default_rng(1).normal(size=(8, 60)) * (np.arange(60) % 2)
    sparse = fit(network, "ecp5-25", inputs=inputs)
    for one, dense in zip(sparse, proposals, strict=True):
        assert one.cycles is None or one.cycles < dense.cycles
    one = sparse[2]
    build = compile_network(network, one.config)
    predicted = infer(build, inputs, engine="cycle-model", end_to_end=True).end_to_end.cycles
    assert one.cycles == pytest.approx(predicted, rel=0.01)


def test_a_device_that_is_too_small_is_an_error_with_what_it_lacks():
    proposals = fit(network_of(800, 600, density=0.5), "ecp5-25")
    with pytest.raises(FitError, match=r"^device must hold the network, but ecp5-25 does not: the "
                                       r"machine that is nearest, with n_pe = \d+, needs \d+\.\d "
                                       r"times the block RAMs.*: choose a larger device, or "):
        choose(proposals, "ecp5-25")


def test_all_programs_of_a_graph_are_in_the_memories_together():
    """And those in a scan are counted for each step."""
    def graph(steps):
        fracs = {"x": 8, "h": 8, "cell": 8}
        cell = Graph({"x": (16,)}, (Node("cell", network_of(16, 16, seed=1), ("x",)),), ("cell",),
                     fracs={"x": 8, "cell": 8})
        return Graph({"x": (steps, 16)}, (Node("h", network_of(16, 16), ("x",)),
                                          Node("cell", Scan(cell, ()), ("h",))), ("cell",),
                     fracs=fracs)

    few, many = (fit(graph(steps), "ecp5-25") for steps in (2, 20))
    build = compile_graph(graph(2), few[0].config)
    assert len(build.programs) == 2 and len(build.loads) == 1
    # Steps of a scan cannot overlap, vectors of a layer can.
    assert 8 * few[0].cycles < many[0].cycles < 10 * few[0].cycles


def test_cycles_of_a_graph_are_those_of_the_cycle_model_on_its_strips():
    graph = residual_network(PRESETS["tiny"])
    images = np.random.default_rng(1).normal(size=(5, *graph.inputs["image"]))
    for one in fit(graph, "ecp5-25", inputs=images)[:4]:
        build = compile_graph(graph, one.config)
        assert any(program.patches and program.patches.pixels > 1
                   for program in build.programs.values()) == (one.config.n_pe > 1)
        predicted = infer_graph(build, images, engine="cycle-model")
        assert one.cycles == pytest.approx(predicted.total["cycles"] / 5)
