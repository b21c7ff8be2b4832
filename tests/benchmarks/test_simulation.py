"""Speed of the Verilator engine, on one machine and few images.

Tables and files are those of the command `eie_cli.bench.simulation`.
"""

import contextlib
import json
import types

import pytest
from click.testing import CliRunner

from eie_bench import simulation
from eie_cli.main import main
from eie_hdl.config import EIEConfig


@pytest.mark.full
def test_a_machine_is_built_and_timed(verilator, simulators, monkeypatch, tmp_path):
    """In the folder of compiled simulators instead of an empty one, as others compile the same."""
    for name, value in {"PES": (4,), "N_COLS": 16, "ROWS_PER_PE": 4, "IMAGES": 8, "ROUNDS": 1,
                        "CONFIG": EIEConfig(), "tempfile": types.SimpleNamespace(
                            TemporaryDirectory=lambda prefix: contextlib.nullcontext(simulators)),
                        }.items():
        monkeypatch.setattr(simulation, name, value)
    path = tmp_path / "simulation.json"
    result = CliRunner().invoke(main, ["bench", "simulation", "-o", str(path)],
                                catch_exceptions=False)
    assert result.exit_code == 0, result.output
    kept = json.loads(path.read_text(encoding="utf-8"))
    (row,) = kept["rows"]
    assert kept["cores"] >= 1 and row["n_pe"] == 4
    assert min(row["emission"], row["build"], row["alone"], row["together"]) > 0
