"""Runs of layers on a small machine, in Verilog and by the cycle model."""

from eie_bench.paper import measure
from eie_bench.paper.nine_layers import Machine
from eie_hdl.config import PRESETS


def test_a_layer_runs_and_every_number_is_compared(verilator, simulators, small):
    machine = Machine(PRESETS["tiny"], "balanced")
    one, predicted = (measure.measure(small, "tiny", machine, seed=1, engine=engine,
                                      cache=simulators)
                      for engine in ("verilator", "cycle-model"))
    assert one.differences == []
    assert (one.outputs, predicted.outputs) == (small.n_outputs, 0)
    assert one.counters["macs"] == one.products > 0
    assert one.counters == predicted.counters
    assert one.stored.tiles == 2 and one.entries.sum() > one.products


def test_a_wrong_prediction_is_a_difference(verilator, simulators, small, monkeypatch):
    def predict(config, steps):
        right = real(config, steps)
        return right._replace(counters=right.counters | {"cycles": right.counters["cycles"] + 1})

    real = measure.predict
    monkeypatch.setattr(measure, "predict", predict)
    one = measure.measure(small, "tiny", Machine(PRESETS["tiny"], "balanced"), seed=1,
                          cache=simulators)
    [difference] = one.differences
    assert difference.layer == "counter cycles, predicted"
    assert difference.expected == difference.got + 1 == one.counters["cycles"] + 1
