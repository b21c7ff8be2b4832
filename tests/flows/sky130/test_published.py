"""The library beside SkyWater's, of which a few figures are copied here.

They are of google/skywater-pdk-libs-sky130_fd_sc_hd, cells/CELL/sky130_fd_sc_hd__CELL_SIZE__
tt_025C_1v80.lib.json, copyright 2020 The SkyWater PDK Authors, Apache-2.0.
"""

import re
from pathlib import Path

import numpy as np
import pytest

from eie_flows.sky130.cells import PREFIX
from eie_flows.sky130.flipflop import CONSTRAINT_SLEWS
from eie_flows.sky130.liberty import LIBERTY
from eie_flows.sky130.measure import SLEWS

DOCS = Path(__file__).parents[3] / "docs" / "asic.md"

#: Transition time of the input in ns, which both libraries have.
SLEW = 0.0531329

#: Cell, input -> points of load in pF, and delays in ns of rise and fall. These were used to choose
#: the capacitance of wires inside cells, and are therefore no check of it.
FITTED = {
    ("nand2_1", "A"): ((0.00346659, 0.0612167, 0.0504824), (0.0240345, 0.1885427, 0.1551681)),
    ("inv_2", "A"): ((0.00435958, 0.0493056, 0.0324561), (0.0380118, 0.154536, 0.0892794)),
    ("a21oi_1", "A1"): ((0.00264678, 0.1180515, 0.0557225), (0.0140109, 0.2785536, 0.115383)),
    ("mux2_1", "A0"): ((0.00351048, 0.1229261, 0.2856106), (0.0246469, 0.2550509, 0.3946961)),
    ("dfxtp_1", "CLK"): ((0.00343455, 0.3070411, 0.2971512), (0.0235923, 0.4375723, 0.370633)),
}

#: The same of cells that nothing was fitted to.
OTHERS = {
    ("nand3_1", "A"): ((0.00332088, 0.0692896, 0.0648342), (0.0220565, 0.1943795, 0.1958182)),
    ("nor2_1", "B"): ((0.0027814, 0.0837551, 0.0388281), (0.0154724, 0.2402728, 0.0805566)),
    ("o21ai_1", "A1"): ((0.00272092, 0.1261411, 0.0644013), (0.0148068, 0.283355, 0.1334047)),
    ("a22oi_1", "A1"): ((0.00281067, 0.1630377, 0.0737749), (0.0157998, 0.3548954, 0.1429528)),
    ("buf_2", "A"): ((0.00429024, 0.099987, 0.12249), (0.0368123, 0.2100037, 0.1888902)),
    ("and2_1", "A"): ((0.00340849, 0.1174051, 0.1387166), (0.0232356, 0.2499132, 0.2158505)),
    ("and2_1", "B"): ((0.00340849, 0.1217442, 0.1571298), (0.0232356, 0.2536776, 0.2351275)),
    ("maj3_1", "A"): ((0.00338867, 0.1529435, 0.3484217), (0.0229662, 0.2893596, 0.4563768)),
}

#: Cell, input -> capacitance in fF.
CAPACITANCES = {("nand2_1", "A"): 2.315, ("inv_2", "A"): 4.459, ("dfxtp_1", "CLK"): 1.794,
                ("dfxtp_1", "D"): 1.678, ("buf_2", "A"): 1.727, ("nand3_1", "A"): 2.301,
                ("nand3_1", "B"): 2.395, ("nand3_1", "C"): 2.355}

#: Cell -> mean leakage in nW.
LEAKAGES = {"nand2_1": 0.00211796, "inv_2": 0.004247907, "dfxtp_1": 0.008438635,
            "buf_2": 0.003934116, "nand3_1": 0.001027398}

#: Energy in fJ of nand3_1 for a pulse at A and back, at 3.32 fF and without that of the load: that
#: of the output and that of the input. And of dfxtp_1 for a pulse at CLK that leaves Q as it is.
NAND3, CLOCK = 9.327 - 0.7774 + 4.7138 - 3.7124, 22.3385 + 17.4124

#: Setup in ns of dfxtp_1: a row for each transition time of the clock, a column for each of D.
SETUP_SLEWS = (0.01, 0.5)
SETUPS = {"rise": ((0.0508281, 0.1649557), (-0.0181335, 0.0837871)),
          "fall": ((0.1033184, 0.3187643), (-0.0108092, 0.1997539))}

TEXT = LIBERTY.read_text(encoding="utf-8")


def cell(name):
    return re.search(rf"^  cell \({PREFIX}{name}\)[\s\S]*?^  }}", TEXT, re.MULTILINE)[0]


def numbers(text):
    return [float(value) for value in text.split(",")]


def table(name, group, kind):
    """Return loads and values of a table in the first group that matches."""
    found = re.search(rf"{group}[\s\S]*?{kind} \(\w+\) {{\s+(?:index_2 \(\"([^\"]*)\"\);\s+)?"
                      r"values \(([^)]*)\)", cell(name))
    return numbers(found[1] or "0"), [numbers(row) for row in re.findall(r'"([^"]*)"', found[2])]


def interpolate(name, pin, kind, load, group="timing"):
    """Interpolate a table of the output at the usual slew."""
    extra = r'(?!\s+timing_type : (?:setup|hold))' if group == "timing" else ""
    loads, rows = table(name, rf'{group} \(\) {{\s+related_pin : "{pin}";{extra}', kind)
    return float(np.interp(load, loads, rows[SLEWS.index(SLEW)]))


def deviations(points, name, pin):
    """Return the deviation of each delay as a share, by edge."""
    return {edge: [interpolate(name, pin, f"cell_{edge}", point[0]) / point[at] - 1
                   for point in points] for at, edge in enumerate(("rise", "fall"), 1)}


def percent(share):
    return f"{100 * share:+.0f} %".replace("-", "−")


def rows():
    """Return the rows of the table in the documentation."""
    for group in (FITTED, OTHERS):
        for (name, pin), points in group.items():
            yield (f"| `{name}` | {pin} | "
                   + " | ".join(", ".join(map(percent, edge))
                                for edge in deviations(points, name, pin).values())
                   + f" | {'yes' if group is FITTED else 'no'} |")


@pytest.mark.parametrize("name, pin", OTHERS)
def test_delays_are_near_the_published_ones(name, pin):
    for edge in deviations(OTHERS[name, pin], name, pin).values():
        assert np.abs(edge).max() < 0.25


def test_delays_are_neither_slow_nor_fast_on_average():
    found = [deviations(points, *key) for key, points in OTHERS.items()]
    assert abs(np.mean([[*each.values()] for each in found])) < 0.05


@pytest.mark.parametrize("name, pin", FITTED)
def test_the_cells_that_were_fitted_are_near_too(name, pin):
    for edge in deviations(FITTED[name, pin], name, pin).values():
        assert np.abs(edge).max() < 0.2


@pytest.mark.parametrize("name, pin", CAPACITANCES)
def test_capacitances_are_near_the_published_ones(name, pin):
    ours = re.search(rf"pin \({pin}\) {{[^}}]*? capacitance : (\S+);", cell(name))[1]
    assert float(ours) * 1000 == pytest.approx(CAPACITANCES[name, pin], rel=0.25)


@pytest.mark.parametrize("name", LEAKAGES)
def test_leakage_is_of_the_published_order(name):
    ours = float(re.search(r"cell_leakage_power : (\S+);", cell(name))[1])
    assert 1 / 4 < ours / LEAKAGES[name] < 4


def test_energies_are_near_the_published_ones():
    output = sum(interpolate("nand3_1", "A", f"{edge}_power", 0.00332088, "internal_power")
                 for edge in ("rise", "fall"))
    assert output * 1000 == pytest.approx(NAND3, rel=0.2)
    clock = cell("dfxtp_1").partition("pin (CLK)")[2].partition("pin (D)")[0]
    energies = map(float, re.findall(r'_power \(scalar\) { values \("([^"]*)"\)', clock))
    assert sum(energies) * 1000 == pytest.approx(CLOCK, rel=0.2)


@pytest.mark.parametrize("edge", SETUPS)
def test_setup_is_at_most_50_ps_longer_than_the_published_one(edge):
    _, ours = table("dfxtp_1", r"timing_type : setup_rising", f"{edge}_constraint")
    for row, data in zip(ours, CONSTRAINT_SLEWS):
        for time, clock in zip(row, CONSTRAINT_SLEWS):
            columns = [np.interp(data, SETUP_SLEWS, values) for values in SETUPS[edge]]
            assert 0 < time - np.interp(clock, SETUP_SLEWS, columns) < 0.05


def test_the_documentation_has_the_comparison():
    text = DOCS.read_text(encoding="utf-8")
    assert [row for row in rows() if row not in text] == []
