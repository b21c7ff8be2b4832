"""Host times: product and golden model agree, and slow layers are reported.

Tables and files are those of the command `eie_cli.bench.host`.
"""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from eie_bench import host as module
from eie_bench.paper import nine_layers
from eie_bench.paper.nine_layers import Machine, PaperLayer, make_inputs, make_network
from eie_cli.main import main
from eie_compiler.lowering.compile import compile_network
from eie_compiler.vectors import scatter
from eie_hdl.config import EIEConfig
from eie_sim.golden.model import GoldenModel

LAYER = PaperLayer("small", 60, 40, 0.3, 0.5, 1.0, 1.0, 1.0, 1.0)
MACHINE = Machine(EIEConfig(n_pe=4), "balanced")


@pytest.fixture
def host(monkeypatch):
    """The module, reduced to one small layer and single timings."""
    for name, value in {"LAYERS": {"small": LAYER}, "MACHINES": {"tuned": MACHINE}, "ROUNDS": 1,
                        "AT_LEAST": 0, "BATCH": 3}.items():
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(nine_layers, "LAYERS", {"small": LAYER})
    return module


def test_the_product_is_of_the_matrix_that_the_golden_model_reads(host):
    network = make_network(LAYER, 1)
    build = compile_network(network, MACHINE.config, mapping=MACHINE.mapping)
    words = make_inputs(LAYER, 1)
    matrix = host.make_matrix(network, build)
    assert matrix.dtype == np.int32
    (output,), statistics = GoldenModel(MACHINE.config, build.images).run_counted(
        scatter(build.input, words[np.newaxis], MACHINE.config.n_pe), build.input.base_word)
    assert statistics.macs[0] == ((matrix != 0).astype(np.int64) @ (words != 0)).sum()
    # Rounding takes less than one unit, the biases little: both see the same sums.
    sums = matrix.astype(np.float64) @ words
    assert np.corrcoef(sums, output[0, build.outputs[0].columns])[0, 1] > 0.9


def test_the_table_is_kept_as_json(host, tmp_path):
    path = tmp_path / "sub" / "host.json"
    result = CliRunner().invoke(main, ["bench", "host", "-o", str(path)], catch_exceptions=False)
    assert result.exit_code == 0
    kept = json.loads(path.read_text(encoding="utf-8"))
    (row,) = kept["layers"]
    assert kept["schema_version"] == 1
    assert kept["batch"] == 3 and row["layer"] == "small"
    assert row["ratio"] == row["golden"] / row["product"] > 0
    assert row["batch_ratio"] == row["golden_batch"] / row["product"] > 0


@pytest.mark.parametrize("golden, verdict", [
    (2.9, "The golden model takes no more than 3 times as long as the product on any layer."),
    (3.1, "The golden model takes more than 3 times as long as the product on one, two."),
])
def test_a_golden_model_that_is_too_slow_is_reported(host, monkeypatch, tmp_path, golden, verdict):
    rows = [host.Row(name, 9, 1, 1, product=1, golden=alone, product_batch=1, golden_batch=batch,
                     cycle_model=1)
            for name, alone, batch in [("one", golden, 1), ("two", 1, golden), ("three", 1, 1)]]
    monkeypatch.setattr(host, "measure_all", lambda machine, seed: iter(rows))
    result = CliRunner().invoke(main, ["bench", "host", "-o", str(tmp_path / "host.json")])
    assert result.output.splitlines()[-1] == verdict
