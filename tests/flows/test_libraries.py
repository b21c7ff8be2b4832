"""Standard-cell libraries."""

import dataclasses
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from eie_flows import osu018
from eie_flows.libraries import LIBRARIES
from eie_sim.rtl.toolchain import ToolError

#: Smallest inverter of each library.
INVERTERS = {"osu018": "INVX1", "sky130_fd_sc_hd": "sky130_fd_sc_hd__inv_1"}

#: Inverters of a chain, enough for the edges to become those of any such chain.
STAGES = 12


def test_a_library_that_is_not_installed_is_named_with_its_package():
    library = dataclasses.replace(LIBRARIES["osu018"], file=Path("/nowhere/osu018.lib"))
    with pytest.raises(ToolError, match="^the library osu018 must be installed for synthesis, but "
                                        "was not found in /nowhere/osu018.lib: apt install "
                                        "qflow-tech-osu018$"):
        library.find()
    found = library.check()
    assert (found.ok, found.failed) == (False, False)
    assert found.advice == "not found: apt install qflow-tech-osu018"


def test_a_library_that_is_installed_passes_the_check_without_a_version():
    found = LIBRARIES["sky130_fd_sc_hd"].check()
    assert (found.ok, found.version, found.advice) == (True, None, "")


@pytest.mark.parametrize("name", LIBRARIES)
def test_the_delay_of_an_inverter_with_four_loads_is_that_of_the_library(name, tmp_path):
    library, inverter = LIBRARIES[name], INVERTERS[name]
    if not shutil.which("sta") or not library.file.exists():
        pytest.skip(f"opensta and {name} are not installed")
    stages = "".join(
        f"  wire n{number + 1};\n  {inverter} s{number} (.A(n{number}), .Y(n{number + 1}));\n"
        + "".join(f"  {inverter} l{number}_{load} (.A(n{number}));\n" for load in range(3))
        for number in range(STAGES))
    (tmp_path / "chain.v").write_text(
        f"module chain(n0, n{STAGES});\n  input n0;\n  output n{STAGES};\n{stages}endmodule\n",
        encoding="utf-8")
    (tmp_path / "chain.tcl").write_text(
        f"read_liberty {{{library.file}}}\nread_verilog chain.v\nlink_design chain\n"
        "create_clock -name clock -period 10\nset_input_delay 0 -clock clock [all_inputs]\n"
        "set_output_delay 0 -clock clock [all_outputs]\nset_input_transition 0.05 [all_inputs]\n"
        "report_checks -digits 5\n", encoding="utf-8")
    text = subprocess.run(["sta", "-exit", "chain.tcl"], cwd=tmp_path, check=True,
                          capture_output=True, encoding="utf-8").stdout
    arrival = {int(number): float(time)
               for time, number in re.findall(r"([\d.]+) [v^] s(\d+)/Y", text)}
    # An even number of stages: as many rises as falls.
    delay = (arrival[STAGES - 2] - arrival[STAGES - 6]) / 4
    assert library.process.fo4 == pytest.approx(delay, abs=0.0005)


@pytest.mark.skipif(not osu018.LEF.exists(), reason="qflow-tech-osu018 is not installed")
def test_areas_that_a_library_lacks_are_those_of_its_outlines():
    outlines = {name: float(width) * float(height) for name, width, height in re.findall(
        r"MACRO (\w+)\n(?:(?!END).*\n)*?\s*SIZE ([\d.]+) BY ([\d.]+)",
        osu018.LEF.read_text(encoding="utf-8"))}
    assert LIBRARIES["osu018"].areas == {"LATCH": pytest.approx(outlines["LATCH"])}
    # Outlines are the areas of the others: of a flip-flop, too.
    assert outlines["DFFPOSX1"] == pytest.approx(96)
