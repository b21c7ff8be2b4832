"""Time and memory of the compiler, on a layer small enough for a test.

Tables and files are those of the command `eie_cli.bench.compile`.
"""

import json

import pytest
from click.testing import CliRunner

from eie_bench import compile as module
from eie_cli.main import main
from eie_hdl.config import EIEConfig


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(module, "N_ROWS", 60)
    monkeypatch.setattr(module, "N_COLS", 50)
    monkeypatch.setattr(module, "CONFIGS", {"tiny": EIEConfig(n_pe=4)})


def test_the_layer_has_its_size_and_density(small):
    (layer,) = module.make_network().layers
    assert (layer.n_rows, layer.n_cols) == (60, 50)
    assert 0.02 < layer.n_nonzeros / (60 * 50) < 0.06
    assert set(layer.codes.data) <= set(range(1, 16))


def test_each_configuration_is_compiled_with_each_mapping(small, tmp_path):
    path = tmp_path / "sub" / "compile.json"
    result = CliRunner().invoke(main, ["bench", "compile", "-o", str(path)], catch_exceptions=False)
    assert result.exit_code == 0
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    assert [(row["configuration"], row["mapping"]) for row in rows] == [
        ("tiny", "balanced"), ("tiny", "interleaved")]
    assert all(row["entries"] > 0 and 0 < row["entry_balance"] <= 1 for row in rows)
    assert "entry balance" in result.output
