"""Programs that keep states from start to start, on all engines."""

import numpy as np
import pytest

from eie_driver.accelerator import Accelerator
from eie_driver.network import NetworkDriver
from eie_hdl.extras import install_command
from eie_sim.cycles.graph import predict_graph
from eie_sim.cycles.model import predict_back_to_back, predict_build
from eie_sim.golden.fake_machine import FakeMachine
from eie_sim.graph_inference import infer_graph
from eie_sim.inference import infer
from eie_sim.rtl import cocotb_engine, verilator_engine, verilator_machines
from support.sequences import CONFIG, N, draw_words, make_graph, make_layer

pytest.importorskip("numba", reason=install_command("bench"))

buffers = pytest.mark.parametrize("buffers", [1, 2])
shapes = pytest.mark.parametrize("n_sequences, steps", [(3, 1), (1, 5), (3, 5), (2, 8)])


def draw(kind, n_sequences, steps):
    """Random inputs, or the same in all steps, as a model could take for one program."""
    words = draw_words(n_sequences, steps)
    return words if kind == "random" else np.tile(words[:1], (len(words), 1))


@buffers
@shapes
@pytest.mark.parametrize("kind", ["random", "equal"])
def test_results_and_counters_are_those_of_verilog(n_sequences, steps, buffers, kind, verilator,
                                                   simulators):
    layer, words = make_layer(steps=steps, buffers=buffers), draw(kind, n_sequences, steps)
    expected = layer.compute(words).tolist()
    counted = verilator_engine.run(layer.build, words, cache=simulators, machines=1)
    assert counted.outputs[0].tolist() == expected
    assert counted.counters == [one.counters for one in predict_build(layer.build, words)]
    for chosen in (words[:steps], words):
        timed = verilator_engine.run(layer.build, chosen, cache=simulators, machines=1,
                                     read_counters=False)
        assert timed.outputs[0].tolist() == expected[:len(chosen)]
        assert timed.interval == predict_back_to_back(layer.build, chosen).interval


@buffers
def test_hosts_that_pause_change_no_state(buffers, verilator, simulators):
    layer, words = make_layer(steps=6, buffers=buffers), draw_words(4, 6)
    for seed in range(3):
        result = verilator_engine.run(layer.build, words, cache=simulators, machines=1, pause=0.6,
                                      read_counters=False, seed=seed)
        assert result.outputs[0].tolist() == layer.compute(words).tolist()


@pytest.mark.parametrize("machines", [1, 2, 3, 5])
def test_machines_share_whole_sequences(machines, verilator, simulators, monkeypatch):
    monkeypatch.setattr(verilator_engine, "_BATCH", 6)
    layer, words = make_layer(steps=5), draw_words(4, 5)
    result = verilator_engine.run(layer.build, words, cache=simulators, machines=machines)
    assert result.outputs[0].tolist() == layer.compute(words).tolist()
    with pytest.raises(ValueError, match="^n must be a multiple of 5, not 19$"):
        verilator_engine.run(layer.build, words[1:], cache=simulators, machines=machines)


@buffers
def test_cocotb_runs_sequences(buffers, icarus, simulators):
    layer, words = make_layer(steps=3, buffers=buffers), draw_words(2, 3)
    expected = layer.compute(words)
    result = cocotb_engine.run(layer.build, words, simulator=icarus, cache=simulators, alone=True)
    assert result.outputs[0].tolist() == [*expected.tolist(), *expected[:3].tolist()]
    assert result.counters[:6] == [one.counters for one in predict_build(layer.build, words)]


@pytest.mark.parametrize("engine", ["golden", "cycle-model", "verilator"])
def test_inferences_of_a_build_are_those_of_its_sequences(engine, verilator, simulators):
    layer, words = make_layer(steps=5, buffers=2), draw_words(3, 5)
    found = infer(layer.build, words, words=True, engine=engine, cache=simulators, end_to_end=True)
    assert found.ok and found.outputs[0].tolist() == layer.compute(words).tolist()
    if engine != "golden":    # 32 are not whole sequences
        assert found.end_to_end.inferences == 35
        chosen = np.arange(35) % 15
        assert found.end_to_end.cycles == predict_back_to_back(
            layer.build, words[chosen]).interval / 35
        assert found.end_to_end.latency == predict_back_to_back(layer.build, words[:5]).latency


@pytest.mark.parametrize("engine, machines", [
    ("golden", 1), ("cycle-model", 1), ("verilator", 1), ("verilator", 3)])
def test_a_graph_runs_whole_sequences(engine, machines, verilator, simulators, monkeypatch):
    """Each inference has two sequences. A few of all are sampled, more than a machine's batch."""
    monkeypatch.setattr(verilator_machines, "BATCH", 7)
    monkeypatch.setattr("eie_sim.node_runs.SAMPLE", 16)
    monkeypatch.setattr("eie_sim.golden_runner.SAMPLE", 16)
    layer, words = make_layer(steps=5, buffers=2), draw_words(10, 5)
    build = make_graph(layer, 10)
    once = layer.compute(words)
    expected = layer.compute(once)
    inputs = words.reshape(5, 10, N)
    found = infer_graph(build, inputs, words=True, engine=engine, machines=machines,
                        cache=simulators)
    assert found.ok and found.outputs["twice"].reshape(-1, N).tolist() == expected.tolist()
    node = found.nodes["twice"]
    assert node.vectors == 50 and node.sampled == (0 if engine == "golden" else 15)
    assert node.counters["macs"] == infer(
        layer.build, once, words=True, engine="golden").counters["macs"].sum()
    if engine == "cycle-model":
        assert node.timed == 15
        assert node.scaled(node.cycles, 15) == pytest.approx(
            predict_graph(build, {"x": inputs}, 16)["twice"])
    if engine == "verilator":
        # Sequences 0, 4, 8.
        sampled = once.reshape(10, 5, N)[::4].reshape(15, N)
        assert node.net_cycles == sum(
            one.counters["cycles"] - one.counters["phase_output"]
            for one in predict_build(layer.build, sampled))
        assert machines > 1 or node.timed == 50


def test_the_driver_of_a_graph_runs_sequences():
    layer, words = make_layer(steps=5), draw_words(4, 5)
    driver = NetworkDriver(Accelerator(FakeMachine(CONFIG), timeout=0.5), make_graph(layer, 10))
    results = driver.run(words.reshape(2, 10, N), words=True).outputs["twice"]
    assert results.reshape(-1, N).tolist() == layer.compute(layer.compute(words)).tolist()
