"""Tables of networks."""

import dataclasses
import json
from pathlib import Path

from eie_bench.networks.measure import Row, Score, Verilog
from eie_bench.networks.probes import PROBE
from eie_bench.networks.proof import Proof
from eie_bench.networks.tables import (
    PROBE_COLUMNS,
    find_faults,
    format_rows,
    headline,
    make_tables,
    markdown,
    summarise,
)

DOCS = Path(__file__).parents[3] / "docs"

ROWS = [
    Row("kws", "ARM", "calibrated on clips", 4890, None, 5, 22016,
        Score(0.8885, 1.0, None, 1e-5, 30.0),
        {8: Score(0.885, 0.99, None, 0.2, 30.0), 4: Score(0.8613, 0.95, None, 1.5, 30.0, 2)},
        {8: Verilog(16, 20, 900, 1000, 0, 1234.4, 1, 2.0),
         4: Verilog(16, 20, 900, 1000, 3, 999.6, 1, 2.0)}),
    Row("pictures", "Deep Compression", "", 5, None, 26, 415921,
        Score(None, 1.0, 1.0, 1.1e-5, 21.7), {8: Score(None, 1.0, 0.8, 0.0159, 21.7)}, {}),
    Row("net", "a file", "", 3, "net.onnx: no"),
]


def test_cells_show_accuracy_or_the_largest_difference():
    table = format_rows(summarise(ROWS))
    assert table.rows == [
        ("kws", "5", "22,016", "4,890", "88.85%", "88.50%", "86.13%", "20 / 20", "1,234 / 1,000",
         "2,000", "3"),
        ("pictures", "26", "415,921", "5", "± 1e-05", "top five 80%, ± 0.016 of 21.7", "–", "–",
         "–", "–", "–"),
        ("net", *["–"] * 9, "does not run")]


def test_probes_have_a_table_of_their_own():
    probe = dataclasses.replace(ROWS[1], name="lstm", source=PROBE)
    networks, probes = make_tables(summarise([probe, *ROWS]))
    assert networks.rows == format_rows(summarise(ROWS)).rows
    assert probes.columns == PROBE_COLUMNS
    assert probes.rows == [("lstm", "26", "415,921", "± 1e-05", *["–"] * 7)]
    assert make_tables(summarise(ROWS)) == [networks]


def test_probes_show_their_bounds():
    score = Score(None, 1.0, None, 0.2, 30.0, proof=Proof(0.21, 0.5, 0.00012, 0.00034, 0))
    (row,) = summarise([dataclasses.replace(ROWS[1], source=PROBE, words={4: score})])
    cells = format_rows([row]).rows[0]
    assert cells[4:7] == ("± 0.2 of 30", "≤ 0.5", "± 0.00012 ≤ 0.00034")
    assert find_faults(row, verilog=False) == []
    row["words"]["4"]["proof"]["exceeded"] = 3
    assert find_faults(row, verilog=False) == ["has 3 results beyond their proven bounds"]
    assert headline([row], verilog=False) == \
        "networks: 1 of 1 run, 0 numbers compared, 3 differ"


def test_the_page_shows_the_measured_rows():
    rows = json.loads((DOCS / "networks.json").read_text(encoding="utf-8"))["rows"]
    for table in make_tables(rows):
        for cells in table.rows:
            assert f"| {' | '.join(cells)} |" in (DOCS / "networks.md").read_text(encoding="utf-8")
    assert headline(rows) in (DOCS / "networks.md").read_text(encoding="utf-8")


def test_the_headline_counts_networks_and_numbers():
    assert headline(summarise(ROWS)) == \
        "networks: 1 of 3 run, 2,000 numbers compared, 3 differ"


def test_a_network_that_differs_in_floating_point_counts_as_a_number_that_differs():
    kws, pictures, _ = ROWS
    off, unknown = (dataclasses.replace(kws, real=dataclasses.replace(kws.real, error=error))
                    for error in (0.0031, float("nan")))
    assert headline(summarise([kws, off, unknown])) == \
        "networks: 3 of 3 run, 6,000 numbers compared, 11 differ"
    assert headline(summarise([pictures]), verilog=False) == \
        "networks: 1 of 1 run, 0 numbers compared, 0 differ"


def test_faults_name_what_is_wrong_with_a_network():
    kws, pictures, refused = summarise(ROWS)
    assert find_faults(kws) == ["has 3 results in Verilog that differ"]
    assert find_faults(pictures) == ["has no result that was compared in Verilog"]
    assert find_faults(pictures, verilog=False) == []
    assert find_faults(refused) == ["does not run: net.onnx: no"]
    off = pictures | {"real": pictures["real"] | {"error": 0.0022}}
    assert find_faults(off, verilog=False) == [
        "differs in floating point by 0.0022, of 21.7, from another implementation"]


def test_markdown_lists_origins_and_reasons():
    text = markdown(summarise([*ROWS, ROWS[1]]))
    assert text.startswith("| network | matrices | weights | inputs | floating point |")
    assert text.endswith("\n\n- kws: ARM; calibrated on clips.\n- pictures, pictures: Deep "
                         "Compression.\n- net: a file; net.onnx: no.\n")
