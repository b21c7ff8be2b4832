"""`eie verilog` (`eie_cli.verilog`): its files."""

import inspect
import re

import pytest

from eie_hdl.config import PRESETS
from eie_hdl.export import verilog as export
from eie_hdl.export.verilog import Emitted
from eie_sim.rtl.verilator_host import verilog


def test_verilog_is_written_and_always_the_same(tmp_path, eie, simulators):
    code, text = eie("verilog", "--preset", "tiny", "-o", tmp_path)
    assert code == 0
    assert re.search(r"4 PEs, \d+ files, [\d,]+ bytes", text)
    files = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    assert {"eie.v", "eie.f"} <= files.keys()
    assert files == verilog(PRESETS["tiny"], simulators)
    assert str(tmp_path) not in "".join(files.values())


def test_a_name_that_cannot_be_is_an_error(tmp_path, eie):
    assert eie("verilog", "--name", "wire", "-o", tmp_path / "rtl") == (
        2, "eie: --name must not be wire, which is a keyword of Verilog or SystemVerilog: choose "
           "another name\n")
    assert not (tmp_path / "rtl").exists()


def test_a_name_is_that_of_all_files(tmp_path, eie):
    assert eie("verilog", "--preset", "tiny", "--pes", 1, "--name", "left", "-o", tmp_path)[0] == 0
    assert all(path.name.startswith("left") for path in tmp_path.iterdir())


@pytest.mark.parametrize("bridge", [[], ["--bridge", "spi"]])
def test_a_bit_rate_without_a_uart_is_refused(bridge, tmp_path, eie):
    code, text = eie("verilog", *bridge, "--bit-cycles", 25, "-o", tmp_path / "new")
    assert code == 2 and "--bit-cycles needs --bridge uart: leave it out" in text
    assert not (tmp_path / "new").exists()


def test_the_bit_rate_of_the_help_is_that_of_the_verilog(tmp_path, eie, monkeypatch):
    default = inspect.signature(export.emit).parameters["bit_cycles"].default
    described = " ".join(eie("verilog", "--help")[1].split()).split("--bit-cycles")[1]
    assert re.search(r"\[default: (\d+)\]", described)[1] == str(default)
    asked = []
    monkeypatch.setattr(export, "emit", lambda config, name, *, bit_cycles, **others:
                        asked.append(bit_cycles) or Emitted())
    for options in ([], ["--bit-cycles", 25]):
        assert eie("verilog", "--bridge", "uart", *options, "-o", tmp_path)[0] == 0
    assert asked == [default, 25]


@pytest.mark.parametrize("options, expected", [
    ([], ("distributed", True)),
    (["--target", "xilinx7"], ("distributed", True)),
    (["--target", "ice40"], ("auto", True)),
    (["--target", "microchip"], ("auto", False)),
    (["--target", "microchip", "--initial-values", "--ram-style", "registers"],
     ("registers", True)),
    (["--no-initial-values", "--ram-style", "block"], ("block", False))])
def test_a_target_decides_what_the_options_leave_open(options, expected, tmp_path, eie,
                                                      monkeypatch):
    asked = []

    def emit(config, name, *, bridge, bit_cycles, ram_style, initial_values):
        asked.append((ram_style, initial_values))
        return Emitted()

    monkeypatch.setattr("eie_hdl.export.verilog.emit", emit)
    assert eie("verilog", *options, "-o", tmp_path)[0] == 0
    assert asked == [expected]
