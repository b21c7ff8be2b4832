"""Files of a sweep."""

import csv
import json

from eie_bench.explore.measure import Measurement
from eie_bench.explore.tables import write_csv, write_sweeps


def test_json_has_every_point_with_figures_or_reason(tmp_path, table, machine):
    write_sweeps(tmp_path / "e.json", [table], {"tiny": machine}, {"seed": 7})
    content = json.loads((tmp_path / "e.json").read_text(encoding="utf-8"))
    assert (content["kind"], content["schema_version"], content["seed"]) == ("eie-explore", 1, 7)
    assert content["machines"] == {"tiny": {"config": machine.config.as_dict(),
                                            "mapping": "balanced"}}
    sweep, = content["sweeps"]
    assert sweep["axes"] == {"queue_depth": [2, 1, 8], "drop_empty_columns": [True, False]}
    for point, row in zip(sweep["points"], table.rows, strict=True):
        values = point.pop("values")
        assert (point.pop("machine"), point.pop("layer")) == ("tiny", "fc1")
        assert values == row.point.values
        if values["queue_depth"] == 1:
            assert point == {"error": "queue_depth must be an integer from 2 to 256, not 1"}
        else:
            assert point == row.measurement._asdict()


def test_csv_has_a_row_for_every_point(tmp_path, table):
    write_csv(tmp_path / "s.csv", table)
    with (tmp_path / "s.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["machine", "layer", "queue_depth", "drop_empty_columns",
                             *Measurement._fields, "error"]
    assert [(row["queue_depth"], row["drop_empty_columns"]) for row in rows] == [
        (depth, drop) for depth in ("2", "1", "8") for drop in ("true", "false")]
    for row, expected in zip(rows, table.rows, strict=True):
        assert row["error"] == expected.error
        assert row["cycles"] == ("" if expected.error else str(expected.measurement.cycles))
