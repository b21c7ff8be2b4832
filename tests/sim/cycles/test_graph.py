"""Cycles of graphs (`eie_sim.cycles.graph`), compared with the engine `cycle-model`."""

import dataclasses

import numpy as np
import pytest

from eie_compiler.lowering.graph import compile_graph
from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.extras import install_command
from eie_sim.graph_inference import infer_graph
from eie_sim.node_runs import SAMPLE
from support.graphs import pooled_network, recurrent_network, residual_network

pytest.importorskip("numba", reason=install_command("bench"))
from eie_sim.cycles.graph import predict_graph  # noqa: E402

TINY = PRESETS["tiny"]
ALL = EIEConfig(n_pe=4, loops=True, local=True, maximum=True)
LOOPS = dataclasses.replace(TINY, loops=True, act_depth=256, ptr_depth=1024, spmat_depth=1024)


@pytest.mark.parametrize("config, graph, strips, batch", [
    (TINY, residual_network(TINY), None, 2), (TINY, residual_network(TINY), {"conv1": 2}, 1),
    (TINY, residual_network(TINY), {}, 8), (TINY, recurrent_network(TINY, steps=5), None, 3),
    (LOOPS, residual_network(LOOPS), None, 3), (ALL, pooled_network(), None, 3)])
def test_cycles_are_those_of_the_engine(config, graph, strips, batch):
    build = compile_graph(graph, config, strips=strips)
    assert any(node.get("loop") for node in build.report["nodes"]) == config.loops
    (shape,) = graph.inputs.values()
    words = build.to_words(np.random.default_rng(1).normal(size=(batch, *shape))).words
    nodes = infer_graph(build, words, words=True, engine="cycle-model").nodes
    assert predict_graph(build, words, SAMPLE) == pytest.approx({
        path: node.scaled(node.cycles, node.timed) for path, node in nodes.items()
        if node.on_accelerator})


def test_some_steps_of_a_long_sequence_are_predicted():
    build = compile_graph(recurrent_network(TINY, steps=50), TINY)
    (shape,) = build.graph.inputs.values()
    words = build.to_words(np.random.default_rng(1).normal(size=(1, *shape))).words
    (cycles,) = predict_graph(build, words, SAMPLE).values()
    node = infer_graph(build, words, words=True, engine="cycle-model").nodes["lstm/gates"]
    assert cycles == pytest.approx(node.cycles, rel=0.1)
