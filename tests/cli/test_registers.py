"""`eie registers` (`eie_cli.registers`): files and errors."""

import re
import sys

import pytest
from click.testing import CliRunner

from eie_cli.main import main
from eie_hdl.export import peakrdl
from eie_hdl.export.register_reference import describe_registers
from eie_hdl.export.systemrdl import to_systemrdl
from eie_hdl.registers import REGISTERS


@pytest.fixture
def registers(tmp_path):
    """Run `eie registers` into a new folder; return exit code, output and folder."""
    folder = tmp_path / "new" / "folder"

    def run(*arguments):
        result = CliRunner().invoke(main, ["registers", "-o", str(folder), *arguments])
        return result.exit_code, result.output, folder

    return run


def test_systemrdl_and_the_reference_need_no_peakrdl(registers, monkeypatch):
    monkeypatch.setitem(sys.modules, "systemrdl", None)
    code, text, folder = registers("--no-peakrdl")
    assert code == 0
    assert text.splitlines() == [f"{folder / 'eie.rdl'}", f"{folder / 'registers.md'}"]
    assert {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()} == {
        "eie.rdl": to_systemrdl(REGISTERS), "registers.md": describe_registers(REGISTERS)}


def test_what_peakrdl_makes_is_written_and_listed(registers, monkeypatch):
    monkeypatch.setattr(peakrdl, "write_exports", lambda folder: [folder / "one", folder / "more"])
    code, text, folder = registers()
    assert code == 0
    assert text.splitlines() == [f"{folder / name}" for name in ("one", "more")]


def test_without_peakrdl_the_error_gives_the_remedy(registers, monkeypatch):
    monkeypatch.setitem(sys.modules, "systemrdl", None)
    code, text, folder = registers()
    assert code == 2
    assert re.fullmatch(
        r"eie: PeakRDL must be installed to describe the registers in C, IP-XACT and HTML, but "
        r"was not found: pip install .*\[registers\]', or use --no-peakrdl\n", text)
    assert not folder.parent.exists()
