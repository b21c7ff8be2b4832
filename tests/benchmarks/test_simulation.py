"""Speed of the Verilator engine, on one machine and few images.

Tables and files are those of the command `eie_cli.bench.simulation`.
"""

import json

from click.testing import CliRunner

from eie_bench import simulation
from eie_cli.main import main


def test_a_machine_is_built_and_timed(verilator, monkeypatch, tmp_path):
    for name, value in {"PES": (1,), "N_COLS": 16, "ROWS_PER_PE": 4, "IMAGES": 2,
                        "ROUNDS": 1}.items():
        monkeypatch.setattr(simulation, name, value)
    path = tmp_path / "simulation.json"
    result = CliRunner().invoke(main, ["bench", "simulation", "-o", str(path)],
                                catch_exceptions=False)
    assert result.exit_code == 0
    kept = json.loads(path.read_text(encoding="utf-8"))
    (row,) = kept["rows"]
    assert kept["cores"] >= 1 and row["n_pe"] == 1
    assert min(row["emission"], row["build"], row["alone"], row["together"]) > 0
