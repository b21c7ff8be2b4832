"""Diffusions and wires of a cell."""

import pytest

from eie_flows.sky130.parasitics import WIRE, add_parasitics

NAND = """.subckt nand2 A B VGND VNB VPB VPWR Y
X0 Y A VPWR VPB sky130_fd_pr__pfet_01v8_hvt w=1e+06u l=150000u
X1 VPWR B Y VPB sky130_fd_pr__pfet_01v8_hvt w=1e+06u l=150000u
X2 VGND B middle VNB sky130_fd_pr__nfet_01v8 w=650000u l=150000u
X3 middle A Y VNB sky130_fd_pr__nfet_01v8 w=650000u l=150000u
.ends
"""


def test_diffusions_are_shared_by_pairs():
    lines = add_parasitics(NAND).splitlines()
    # Y joins both wide transistors: half of 0.27 µm² each. It has one narrow one for itself.
    assert lines[1] == ("X0 VPWR A Y VPB sky130_fd_pr__pfet_01v8_hvt w=1e+06u l=150000u "
                        "ad=0.135 pd=1.27 as=0.135 ps=1.27 m=1")
    assert lines[4] == ("X3 Y A middle VNB sky130_fd_pr__nfet_01v8 w=650000u l=150000u "
                        "ad=0.1755 pd=1.84 as=0.08775 ps=0.92 m=1")


def test_transistors_in_parallel_become_one_whichever_end_is_called_the_drain():
    twice = NAND.replace("X1 VPWR B Y", "X1 Y A VPWR").replace("X0 Y A VPWR", "X0 VPWR A Y")
    lines = add_parasitics(twice).splitlines()
    assert [line for line in lines if "pfet" in line] == [
        "X0 VPWR A Y VPB sky130_fd_pr__pfet_01v8_hvt w=1e+06u l=150000u "
        "ad=0.135 pd=1.27 as=0.135 ps=1.27 m=2"]


def test_wires_are_on_nets_but_not_between_transistors_in_series():
    wires = [line.split() for line in add_parasitics(NAND).splitlines() if line[0] == "C"]
    assert {node: float(value.rstrip("f")) for _, node, _, value in wires} == pytest.approx(
        {"A": 2 * WIRE, "B": 2 * WIRE, "Y": 3 * WIRE})
