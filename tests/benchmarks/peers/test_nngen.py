"""Runs of NNgen's designs; none of these tests needs NNgen."""

import numpy as np
import pytest

from eie_bench.peers import nngen
from eie_bench.peers.nngen_design import Generated, Setting
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


@pytest.mark.parametrize("par, synthesised", [(8, True), (16, False)])
def test_results_of_verilog_are_compared_with_the_model_of_nngen(
        task, tmp_path, monkeypatch, par, synthesised):
    pytest.importorskip("onnx", reason=install_command("peers"))
    scores = np.round(10 * task.model(task.images)).astype(np.int64)

    def generate(onnx, setting, calibration, images, folder):
        assert onnx.exists() and len(images) == nngen.N_IMAGES
        (folder / nngen.DESIGN).write_text("module peer; endmodule\n", encoding="utf-8")
        return Generated(100, scores[:nngen.N_IMAGES])

    def simulate(folder, cache):
        wrong = scores[:nngen.N_IMAGES].copy()
        wrong[3, 1] += 1
        return nngen.Simulated(np.arange(100, 100 + nngen.N_IMAGES), wrong)

    for name, function in {"require_nngen": lambda: None, "generate": generate,
                           "_simulate": simulate, "evaluate": lambda *given: scores}.items():
        monkeypatch.setattr(nngen, name, function)
    counted = []

    def count(files, top, memories):
        counted.append((files, top, memories))
        return {"lut4": 5}

    row = nngen.measure_nngen(task, Setting(par, 128), tmp_path, count_cells=count)
    assert row.design == f"NNgen, {par} × {par}, 128-bit bus"
    assert (row.cycles, row.latency, row.net) == (103.5, 103.5, None)
    assert (row.multipliers, row.products, row.external_bits) == (par ** 2, 72, 800)
    assert (row.compared, row.differences) == (24, 1)
    assert row.accuracy == row.dense_accuracy == task.accuracy(scores)
    assert row.cells == ({"lut4": 5} if synthesised else None)
    assert counted == [({"design.v": "module peer; endmodule\n"}, "peer", "ram_*")] * synthesised
