"""Recurrences, from the graph of a model to the Verilog: states that stay on the chip."""

import numpy as np
import pytest

from eie_compiler.graph.graph import Graph, Node, Recurrence
from eie_compiler.graph.operations import Concat
from eie_compiler.graph_folder import read_graph_build, write_graph_build
from eie_compiler.lowering import recurrence
from eie_compiler.lowering.graph import compile_graph
from eie_compiler.lowering.step_places import place_step
from eie_driver.accelerator import Accelerator
from eie_driver.network import NetworkDriver
from eie_hdl.extras import install_command
from eie_sim.golden.fake_machine import FakeMachine
from eie_sim.graph_inference import infer_graph
from eie_sim.rtl import verilator_engine
from support.mixed_steps import MIXED, random_mixed_step
from support.recurrences import (
    CONFIG,
    graph_of,
    random_gru,
    random_lstm,
    random_step,
    require_recurrence,
    run_numpy,
    words_of,
)

pytest.importorskip("numba", reason=install_command("bench"))

SCANS = {
    "LSTM with peepholes": random_lstm(peepholes=True),
    "LSTM, reversed": random_lstm(n_inputs=20, n_hidden=7, reverse=True),
    "GRU, reset before": random_gru(is_reset_first=True),
    "GRU, reset after": random_gru(is_reset_first=False, n_hidden=21),
    **{f"random {seed}": random_step(seed) for seed in (1, 2, 5)},
    **{f"mixed {seed}": random_mixed_step(seed) for seed in MIXED[:6]},
}

scans = pytest.mark.parametrize("scan", SCANS.values(), ids=SCANS)


@pytest.fixture
def one_buffer(monkeypatch):
    """Steps for which the activation SRAMs seem to be too small for two input buffers."""
    monkeypatch.setattr(recurrence, "place_step", lambda config, found, mapping, biases: place_step(
        config, found, mapping, config.act_depth))


def build_of(scan, *, steps=4, buffers=2):
    build = compile_graph(graph_of(scan, steps), CONFIG)
    require_recurrence(build)
    assert build.programs["scan"].input_buffers == buffers
    return build


def check(scan, engine_options, *, buffers=2):
    """Compare NumPy, the golden model and the cycle model with Verilog."""
    build, words = build_of(scan, buffers=buffers), words_of(scan, 4, 3)
    expected = run_numpy(build, words).tolist()
    predicted, found = (infer_graph(build, words, engine=engine, words=True, **engine_options)
                        for engine in ("cycle-model", "verilator"))
    assert predicted.outputs["scan"].tolist() == found.outputs["scan"].tolist() == expected
    assert found.ok and found.compared > 0
    for name in ("net_cycles", "cycles", "timed", "counters"):
        assert getattr(predicted.nodes["scan"], name) == getattr(found.nodes["scan"], name), name


@scans
def test_verilog_and_models_agree(scan, verilator, simulators):
    check(scan, {"machines": 1, "cache": simulators})


@scans
def test_a_single_input_buffer_will_do(scan, verilator, simulators, one_buffer):
    check(scan, {"machines": 1, "cache": simulators}, buffers=1)


@pytest.mark.parametrize("name", ["LSTM with peepholes", "GRU, reset before", "mixed 6"])
@pytest.mark.parametrize("pause", [0.3, 0.7])
def test_hosts_that_pause_change_no_state(name, pause, verilator, simulators):
    """Inputs are loaded while the step before writes its states beside them."""
    build, words = build_of(SCANS[name]), words_of(SCANS[name], 4, 6)
    expected = run_numpy(build, words)
    if SCANS[name].reverse:
        words, expected = words[:, ::-1], expected[:, ::-1]
    result = verilator_engine.run(build.programs["scan"], words.reshape(24, -1), cache=simulators,
                                  machines=1, pause=pause, read_counters=False)
    assert result.outputs[0].tolist() == expected.reshape(24, -1).tolist()


@pytest.mark.parametrize("engine", ["golden", "verilator"])
def test_both_directions_are_in_one_load(engine, verilator, simulators):
    """Their vectors share rows: each finds its states as zeros."""
    forth, back = random_gru(is_reset_first=True, n_hidden=9), random_lstm(
        n_inputs=6, n_hidden=9, reverse=True)
    graph = Graph({"x": (4, 6)}, (
        Node("forth", forth, ("x",)), Node("back", back, ("x",)),
        Node("both", Concat(1), ("forth", "back"))), ("both",),
        {"x": 9, "forth": 13, "back": 14, "both": 12})
    build, words = compile_graph(graph, CONFIG), words_of(forth, 4, 3)
    require_recurrence(build)
    assert len(build.loads) == 1 and len(build.programs) == 2
    found = infer_graph(build, words, engine=engine, words=True, cache=simulators, machines=1)
    assert found.ok and found.outputs["both"].tolist() == run_numpy(build, words).tolist()


def test_the_driver_of_a_graph_runs_sequences():
    scan = random_lstm(peepholes=True, reverse=True)
    build, words = build_of(scan), words_of(scan, 4, 3)
    driver = NetworkDriver(Accelerator(FakeMachine(CONFIG), timeout=0.5), build)
    for part in (words, words[1:]):
        assert driver.run(part, words=True).outputs["scan"].tolist() \
            == run_numpy(build, part).tolist()


def test_cocotb_runs_a_recurrence(icarus, simulators):
    scan = random_lstm(peepholes=True)
    build, words = build_of(scan), words_of(scan, 4, 2)
    found = infer_graph(build, words, engine="cocotb", words=True, simulator=icarus,
                        cache=simulators)
    assert found.ok and found.outputs["scan"].tolist() == run_numpy(build, words).tolist()


def test_a_build_is_saved_and_loaded(tmp_path):
    scan = random_gru(is_reset_first=True, reverse=True)
    build, words = build_of(scan), words_of(scan, 4, 2)
    write_graph_build(tmp_path / "build", build)
    read = read_graph_build(tmp_path / "build")
    (node,) = read.graph.nodes
    assert isinstance(node.computation, Recurrence) and node.computation.steps == 4
    program, other = build.programs["scan"], read.programs["scan"]
    assert (other.steps, other.reset) == (program.steps, program.reset)
    assert all((other.images[name] == image).all() for name, image in program.images.items())
    found = infer_graph(read, words, engine="golden", words=True).outputs["scan"]
    np.testing.assert_array_equal(found, run_numpy(build, words))
