"""The examples of integration elaborate, and fit the Verilog that is emitted."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from eie_hdl.config import EIEConfig
from eie_hdl.export.verilog import Emitted
from eie_sim.rtl.toolchain import find_verilator, tool_environment
from eie_sim.rtl.verilator_host import verilog

EXAMPLE = Path(__file__).parents[2] / "examples" / "integration"


@pytest.fixture(scope="module")
def folder(simulators, tmp_path_factory):
    """Folder with the Verilog of a small machine."""
    path = tmp_path_factory.mktemp("rtl")
    Emitted(verilog(EIEConfig(n_pe=4), simulators)).write(path)
    return path


def lint(folder, source, top, *options):
    return subprocess.run(
        [find_verilator().path, "--lint-only", *options, "eie.vlt", "-f", "eie.f", source,
         "--top-module", top], cwd=folder, env=tool_environment(), capture_output=True,
        encoding="utf-8")


def test_verilator_reports_no_warning_on_the_example(folder, verilator):
    run = lint(folder, EXAMPLE / "eie_example.v", "eie_example", "-Wall")
    assert (run.returncode, run.stderr) == (0, "")


def test_icarus_reports_no_warning_on_the_example(folder, icarus):
    run = subprocess.run(
        ["iverilog", "-g2005", "-Wall", "-t", "null", "-s", "eie_example", "-c", "eie.f",
         EXAMPLE / "eie_example.v"], cwd=folder, capture_output=True, encoding="utf-8")
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_yosys_finds_no_problem_and_no_path_from_pin_to_pin(folder):
    pytest.importorskip("pyosys")
    passes = [f"read_verilog eie.v eie_sram.v eie_regfile.v {EXAMPLE / 'eie_example.v'}",
              "hierarchy -check -top eie_example", "proc", "check -assert", "flatten",
              "select -assert-any i:* %coe*", "select -assert-none i:* %coe* o:* %i"]
    script = ("import sys; from pyosys import libyosys as yosys; design = yosys.Design(); "
              "[yosys.run_pass(line, design) for line in sys.argv[1:]]")
    run = subprocess.run([sys.executable, "-c", script, *passes], cwd=folder, capture_output=True,
                         encoding="utf-8")
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr
    assert "Found and reported 0 problems." in run.stdout
    assert "Warning" not in run.stdout


def test_the_constraints_name_ports_of_the_example():
    ports = re.findall(r"^ +(?:in|out)put +wire +(?:\[\S+\] +)?(\w+)",
                       (EXAMPLE / "eie_example.v").read_text(encoding="utf-8"), re.MULTILINE)
    constraints = (EXAMPLE / "eie_example.xdc").read_text(encoding="utf-8")
    named = re.findall(r"get_ports (\w+)", constraints)
    assert named == ["aclk", "aresetn"]
    assert set(named) <= set(ports)


def test_litex_makes_a_soc_in_which_every_port_is_connected(folder, tmp_path, verilator):
    pytest.importorskip("litex")
    made = subprocess.run(
        [sys.executable, EXAMPLE / "eie_litex.py", folder, "-o", tmp_path / "soc.v"],
        # LiteX writes what is not ASCII in the encoding of the locale.
        env={**os.environ, "PYTHONUTF8": "1"},
        cwd=tmp_path, capture_output=True, encoding="utf-8")
    assert made.returncode == 0, made.stdout + made.stderr
    # What LiteX writes is not clean; of the instance in it, every width must be right.
    run = lint(folder, tmp_path / "soc.v", "soc", "-Wno-fatal")
    assert run.returncode == 0, run.stderr
    assert "Verilator: Built from" in run.stdout
    assert re.findall(r"%\w+-PIN\w+.*|%.*port connection.*|%Error.*", run.stderr) == []
