"""Simulation of an inference of a netlist."""

import pytest

from eie_compiler.errors import CompileError
from eie_flows.asic import inference
from eie_flows.asic.inference import compile_digits, simulate
from eie_hdl.config import PRESETS, EIEConfig
from eie_sim.rtl.toolchain import Tool, ToolError, find_icarus


def test_a_netlist_that_does_not_compile_is_an_error(tmp_path):
    if not find_icarus().ok:
        pytest.skip("Icarus is not installed")
    (tmp_path / "netlist.v").write_text("module eie(aclk); oops", encoding="utf-8")
    (tmp_path / "cells.v").write_text("", encoding="utf-8")
    with pytest.raises(ToolError, match="(?s)^iverilog failed; the end of its output:.*netlist.v"):
        simulate(compile_digits(EIEConfig(n_pe=1)), [], tmp_path)
    probe = (tmp_path / "probe.v").read_text(encoding="utf-8")
    assert "machine.core.pe_0.spmat.ram.rows" in probe
    assert "eie machine (" in (tmp_path / "digits_bench.v").read_text(encoding="utf-8")


def test_a_missing_icarus_is_named(tmp_path, monkeypatch):
    missing = Tool.check("iverilog", "simulation", None, None, "11.0", "apt install iverilog")
    monkeypatch.setattr(inference, "find_icarus", lambda: missing)
    with pytest.raises(ToolError, match="^iverilog must be installed for simulation, but was not "
                                        "found: apt install iverilog$"):
        simulate(compile_digits(EIEConfig(n_pe=1)), [], tmp_path)


def test_a_machine_without_room_for_the_network_is_an_error():
    with pytest.raises(CompileError, match="^for its power the machine must hold the network of "
                                           "the digits, but .*: choose another machine, or leave "
                                           "out --power$"):
        compile_digits(PRESETS["tiny"])
