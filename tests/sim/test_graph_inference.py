"""Inferences of graphs on all engines, of which cocotb's is `eie_sim.rtl.cocotb_network` with
`eie_sim.rtl.benches.bench_network`.
"""

import dataclasses
import json

import numpy as np
import pytest

from eie_compiler.graph.graph import Graph, Node
from eie_compiler.graph.operations import Affine
from eie_compiler.lowering.graph import compile_graph
from eie_hdl.config import PRESETS, EIEConfig
from eie_sim import graph_inference
from eie_sim.golden_runner import GoldenRunner
from eie_sim.graph_inference import infer_graph
from eie_sim.inference import EngineError
from support.graphs import (
    branched_network,
    pooled_network,
    recurrent_network,
    residual_network,
    scaled_inputs,
    scaled_network,
    separable_network,
)

TINY = PRESETS["tiny"]

#: Machine on which :func:`support.graphs.pooled_network` is one program, and so is
#: :func:`support.graphs.branched_network`.
ON_CHIP = EIEConfig(n_pe=2, act_depth=1024, ptr_depth=2048, n_codebooks=16, loops=True,
                    local=True, maximum=True)


def build_and_inputs(kind, batch=2, side=6):
    if kind == "scaled":
        return compile_graph(scaled_network(TINY), TINY), scaled_inputs(batch)
    graph, shape = {"residual": (residual_network(TINY, side=side), (2, side, side)),
                    "recurrent": (recurrent_network(TINY), (3, 3))}[kind]
    return compile_graph(graph, TINY), np.random.default_rng(7).normal(size=(batch, *shape))


def flip_bit(build, path, memory, word, bit):
    """Build with one bit of the images of a load changed, as after a fault."""
    former = build.programs[path].images
    images = former | {memory: former[memory].copy()}
    images[memory][word, 0] ^= np.uint64(1 << bit)
    return dataclasses.replace(build, programs={
        path: dataclasses.replace(program, images=images) if program.images is former else program
        for path, program in build.programs.items()})


@pytest.mark.parametrize("kind", ["residual", "recurrent", "scaled"])
@pytest.mark.parametrize("engine", ["golden", "verilator"])
def test_all_nodes_run_and_agree(kind, engine, request, simulators):
    if engine == "verilator":
        request.getfixturevalue("verilator")
    build, inputs = build_and_inputs(kind)
    steps = []
    inference = infer_graph(build, inputs, engine=engine, cache=simulators,
                            progress=lambda *step: steps.append(step))
    assert inference.ok and inference.batch == 2 and steps[-1][1] == steps[-1][2]
    assert list(inference.nodes) == [path for path, _ in build.graph.walk()]
    hardware = engine != "golden"
    for run in inference.nodes.values():
        assert run.elements > 0 or run.operation.startswith("scan")
        if run.on_accelerator:    # samples are compared twice
            assert hardware <= run.compared / run.elements <= hardware * 2
        else:
            assert run.compared == hardware * run.elements
    assert inference.total["loads"] == hardware * len(build.loads)
    assert (inference.total["net_cycles"] or 0) > 0 if hardware else \
        inference.total["net_cycles"] is None
    assert json.loads(json.dumps(inference.summary()))["total"]["differences"] == 0


def test_loops_run_and_agree(verilator, simulators):
    config = dataclasses.replace(TINY, loops=True)
    build = compile_graph(residual_network(TINY), config)
    images = np.random.default_rng(7).normal(size=(3, 2, 6, 6))
    inference = infer_graph(build, images, engine="verilator", cache=simulators)
    assert inference.ok
    assert {run.path: run.vectors for run in inference.nodes.values() if run.on_accelerator} \
        == {"conv1": 3, "conv2": 3, "fc": 3}
    expected = infer_graph(compile_graph(residual_network(TINY), TINY), images, engine="golden")
    for name, words in inference.outputs.items():
        assert words.tolist() == expected.outputs[name].tolist()


@pytest.mark.parametrize("n_pe", [2, pytest.param(8, marks=pytest.mark.full)])
def test_loops_in_local_mode_run_and_agree(n_pe, verilator, simulators):
    config = EIEConfig(n_pe=n_pe, loops=True, local=True)
    build = compile_graph(separable_network(), config)
    # On two PEs, seven channels would cost the layer before the second one more than they save.
    assert [node.get("local") for node in build.report["nodes"]] == [None, True, n_pe > 2]
    images = np.random.default_rng(7).normal(size=(3, 5, 6, 7))
    inference = infer_graph(build, images, engine="verilator", cache=simulators, machines=1)
    assert inference.ok
    plain = infer_graph(compile_graph(separable_network(), EIEConfig(n_pe=n_pe)), images,
                        engine="golden")
    assert inference.outputs["conv1"].tolist() == plain.outputs["conv1"].tolist()
    pytest.importorskip("numba")
    predicted = infer_graph(build, images, engine="cycle-model")
    for path, run in predicted.nodes.items():
        assert (run.cycles, run.net_cycles) == (
            inference.nodes[path].cycles, inference.nodes[path].net_cycles)


def joined_build(graph, batch=3):
    """Build of one program, images, and the results of a machine without loops."""
    build = compile_graph(graph, ON_CHIP)
    assert list(build.programs) == ["fc"] and len(build.graph.nodes) == 1
    images = np.random.default_rng(7).normal(size=(batch, *graph.inputs["image"]))
    plain = infer_graph(compile_graph(graph, EIEConfig(n_pe=2, n_codebooks=16)), images,
                        engine="golden")
    return build, images, plain.outputs["fc"].tolist()


@pytest.mark.parametrize("graph, n_nodes", [
    (pooled_network(relu=False), 6), (pooled_network(relu=True), 6), (branched_network(), 12)],
    ids=["pooled", "pooled with ReLU", "branched"])
def test_subgraphs_run_and_agree(graph, n_nodes, verilator, simulators):
    build, images, expected = joined_build(graph)
    inference = infer_graph(build, images, engine="verilator", cache=simulators, machines=1)
    assert inference.ok and inference.outputs["fc"].tolist() == expected
    assert list(inference.nodes) == ["fc"]
    run = inference.nodes["fc"]
    assert (run.operation, run.vectors) == (f"subgraph of {n_nodes} nodes", 3)
    assert inference.total["host_elements"] == 0
    pytest.importorskip("numba")
    predicted = infer_graph(build, images, engine="cycle-model").nodes["fc"]
    assert (predicted.cycles, predicted.net_cycles) == (run.cycles, run.net_cycles)


def test_a_flipped_bit_in_a_subgraph_is_noticed(verilator, simulators, monkeypatch):
    build, images, expected = joined_build(pooled_network(relu=False))
    # Of the codebook of the second convolution.
    with_hardware(monkeypatch, flip_bit(build, "fc", "pe_0.codebook", word=18, bit=12))
    inference = infer_graph(build, images, engine="verilator", cache=simulators, machines=1)
    assert not inference.ok and inference.nodes["fc"].differences
    assert inference.outputs["fc"].tolist() != expected


def test_one_simulation_in_cocotb_runs_a_subgraph(icarus, simulators):
    build, images, expected = joined_build(pooled_network(relu=False), batch=1)
    inference = infer_graph(build, images, engine="cocotb", simulator=icarus, cache=simulators)
    assert inference.ok and inference.outputs["fc"].tolist() == expected


@pytest.mark.parametrize("kind", ["residual", "recurrent"])
def test_cycles_of_one_machine_are_as_predicted(kind, verilator, simulators):
    pytest.importorskip("numba")
    build, inputs = build_and_inputs(kind, side=4)
    predicted = infer_graph(build, inputs, engine="cycle-model")
    one, two = (infer_graph(build, inputs, engine="verilator", cache=simulators, machines=machines)
                for machines in (1, 2))
    assert predicted.machines == one.machines == 1 and two.machines == 2
    for path, run in predicted.nodes.items():
        assert run.cycles == one.nodes[path].cycles <= two.nodes[path].cycles
        assert run.net_cycles == one.nodes[path].net_cycles == two.nodes[path].net_cycles


@pytest.mark.parametrize("kind", ["residual", "recurrent"])
def test_one_simulation_in_cocotb_runs_the_whole_network(kind, icarus, simulators, monkeypatch):
    monkeypatch.setattr("eie_sim.node_runs.SAMPLE", 1)
    build, inputs = build_and_inputs(kind, batch=1, side=2)
    one = infer_graph(build, inputs, engine="cocotb", simulator=icarus, cache=simulators)
    assert one.ok and one.simulator == "icarus" and one.total["loads"] == len(build.loads)
    golden = infer_graph(build, inputs, engine="golden")
    assert all((one.outputs[name] == words).all() for name, words in golden.outputs.items())
    assert {path for path, run in one.nodes.items() if run.compared} == {
        path for path, run in one.nodes.items() if not run.operation.startswith("scan")}


def test_parts_of_a_batch_give_the_same(monkeypatch):
    build, inputs = build_and_inputs("residual", batch=5)
    whole = infer_graph(build, inputs, engine="golden")
    monkeypatch.setattr("eie_compiler.graph_build._PART", 1200)
    small = dataclasses.replace(build)
    assert small.part < 5
    parts = infer_graph(small, inputs, engine="golden")
    assert all((parts.outputs[name] == words).all() for name, words in whole.outputs.items())
    assert parts.total == whole.total


def with_hardware(monkeypatch, build):
    """Run this build in place of the hardware."""
    class Hardware(graph_inference.VerilatorMachines):
        def __init__(self, _build, **options):
            super().__init__(build, **options)
    monkeypatch.setattr(graph_inference, "VerilatorMachines", Hardware)


def test_a_flipped_bit_of_an_image_is_noticed(verilator, simulators, monkeypatch):
    build, inputs = build_and_inputs("residual")
    with_hardware(monkeypatch, flip_bit(build, "conv2", "pe_0.codebook", word=10, bit=5))
    inference = infer_graph(build, inputs, engine="verilator", cache=simulators, machines=1)
    assert not inference.ok
    different = [path for path, run in inference.nodes.items() if run.differences]
    assert different[0] == "conv2" and {"sum", "mean"} <= set(different)
    first = inference.nodes["conv2"].first
    assert first.got != first.expected and inference.differences > 1


def test_a_flipped_constant_of_an_operation_is_noticed(verilator, simulators, monkeypatch):
    build, inputs = build_and_inputs("residual")
    real = Affine.words
    runs = iter([real, lambda self, *words, **options: real(self, *words, **options) ^ 1])
    monkeypatch.setattr(Affine, "words", lambda self, *words, **options: next(runs)(
        self, *words, **options))
    inference = infer_graph(build, inputs, engine="verilator", cache=simulators, machines=1)
    assert inference.nodes["scaled"].differences == inputs.size and not inference.ok


def test_a_flipped_expectation_is_noticed(verilator, simulators, monkeypatch):
    build, inputs = build_and_inputs("recurrent")
    compute = GoldenRunner._compute

    def flipped(self, path, words):
        results, statistics = compute(self, path, words)
        results[0, 0] ^= 1
        return results, statistics
    monkeypatch.setattr(GoldenRunner, "_compute", flipped)
    inference = infer_graph(build, inputs, engine="verilator", cache=simulators, machines=1)
    assert not inference.ok and inference.nodes["lstm/gates"].differences


def test_saturation_is_counted_on_the_accelerator_the_host_and_the_inputs():
    graph = residual_network(TINY)
    scaled = Node("scaled", Affine(np.full((2, 1, 1), 9.0), np.zeros((2, 1, 1))), ("image",))
    loud = Graph(graph.inputs, (scaled, *graph.nodes[1:]), graph.outputs, graph.fracs)
    build = compile_graph(loud, TINY)
    inference = infer_graph(build, np.full((1, 2, 6, 6), 9.0), engine="golden")
    assert inference.saturated_inputs == {"image": 72}
    assert inference.nodes["scaled"].saturated == 72
    assert inference.nodes["conv1"].saturated > 0


def test_engines_are_checked():
    build, inputs = build_and_inputs("recurrent")
    with pytest.raises(EngineError, match="^engine must be golden, cycle-model, cocotb or "
                                          "verilator, not 'rtl'$"):
        infer_graph(build, inputs, engine="rtl")
