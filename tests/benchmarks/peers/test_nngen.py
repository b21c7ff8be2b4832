"""Runs of NNgen's designs; none of these tests needs NNgen."""

import numpy as np
import pytest

from eie_bench.peers import nngen
from eie_bench.peers.nngen_design import Generated
from eie_hdl.extras import install_command
from eie_sim.rtl.simulators import SimulationError
from eie_sim.rtl.toolchain import ToolError

#: Output of a bench for each image.
BLOCK = "cycles        2145\nword          -9\nword         247\nword           3\n"


def test_output_of_a_bench_is_read():
    found = nngen.parse(f"{BLOCK * nngen.N_IMAGES}- bench.v:9: Verilog $finish\n")
    assert found.cycles.tolist() == [2145] * nngen.N_IMAGES
    assert found.scores.tolist() == [[-9, -9, 3]] * nngen.N_IMAGES    # 247 is -9 without a sign


def test_a_bench_that_ends_early_is_an_error():
    with pytest.raises(SimulationError, match="must print the cycles of 8 images, not 1: its "
                                              "output ends\ncycles"):
        nngen.parse(BLOCK)


def test_a_missing_nngen_is_named(monkeypatch):
    monkeypatch.setattr(nngen, "find_spec", lambda name: None)
    with pytest.raises(ToolError) as found:
        nngen.require_nngen()
    assert str(found.value) == (f"NNgen must be installed to generate its designs, but was not "
                                f"found: {install_command('peers')}")


def test_results_of_verilog_are_compared_with_the_model_of_nngen(task, tmp_path, monkeypatch):
    pytest.importorskip("onnx", reason=install_command("peers"))
    scores = np.round(10 * task.model(task.images)).astype(np.int64)

    def generate(onnx, setting, calibration, images, folder):
        assert onnx.exists() and len(images) == nngen.N_IMAGES
        folder.mkdir()
        (folder / nngen.DESIGN).write_text("module peer; endmodule\n", encoding="utf-8")
        return Generated(100 * setting.par, scores[:nngen.N_IMAGES])

    def simulate(folder, cache):
        wrong = scores[:nngen.N_IMAGES].copy()
        wrong[3, 1] += folder.name == "8-128"
        return nngen.Simulated(np.arange(100, 100 + nngen.N_IMAGES), wrong)

    for name, function in {"require_nngen": lambda: None, "generate": generate,
                           "_simulate": simulate, "evaluate": lambda *given: scores}.items():
        monkeypatch.setattr(nngen, name, function)
    counted, steps = [], []

    def count(files, top, memories):
        counted.append((files, top, memories))
        return {"lut4": 5}

    rows = list(nngen.measure_nngen(task, tmp_path, count_cells=count, progress=steps.append))
    assert steps == ["small: NNgen's software model", *(f"small: {row.design}" for row in rows)]
    assert [row.design for row in rows] == [setting.name for setting in nngen.SETTINGS]
    assert [row.differences for row in rows] == [0, 1, 0]
    assert [row.external_bits for row in rows] == [3200, 6400, 12800]
    assert [row.multipliers for row in rows] == [16, 64, 256]
    assert [row.cells for row in rows] == [{"lut4": 5}, {"lut4": 5}, None]
    assert counted == 2 * [({"design.v": "module peer; endmodule\n"}, "peer", "ram_*")]
    for row in rows:
        assert (row.cycles, row.latency, row.net) == (103.5, 103.5, None)
        assert (row.products, row.compared) == (72, 24)
        assert row.accuracy == row.dense_accuracy == task.accuracy(scores)
