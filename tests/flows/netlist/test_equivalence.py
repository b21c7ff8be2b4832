"""Proofs of modules, their refusal if a netlist is altered, and the command `eie_cli.equiv`."""

import json
import re

import pytest
from click.testing import CliRunner

from eie_cli.main import main
from eie_flows.netlist import equivalence
from eie_flows.netlist.equivalence import Proof, list_modules, map_module, prove, prove_module
from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.export import verilog
from eie_hdl.lib.carry_save import CarrySaveMultiplier

#: Changes of the netlist of a module, by name: pattern, replacement.
ALTERED = {
    "a gate": ("eie_sum", r"\b(?:XOR2X1|sky130_fd_sc_hd__nand2_1)\b",
               lambda match: {"XOR2X1": "XNOR2X1"}.get(match[0], "sky130_fd_sc_hd__nor2_1")),
    "a LUT": ("eie_sum", r"(LUT4 #\(\s*\.INIT\(16'h)([0-9a-f])",
              lambda match: f"{match[1]}{int(match[2], 16) ^ 8:x}"),
    "the input of a memory": ("eie", r"\.w_en\(\w+\)", ".w_en(1'h0)"),
    "the output of a module": ("eie", r"\.sum\(part\)", ".sum({part[6:0], part[7]})"),
}


def test_every_module_is_proven(library, machine, tmp_path):
    progress = []
    proofs = {proof.module: proof for proof in prove(
        machine, library, tmp_path, advance=lambda *step: progress.append(step))}
    assert list(proofs) == ["eie_sum", "eie", "signed_8_times_signed_8_to_16"]
    assert progress == [("eie_sum", 1, 2), ("eie", 2, 2)]
    assert all(proof.proven for proof in proofs.values())
    assert proofs["eie"].cut == 4    # two memories, a module and a multiplication
    # The register that nothing reads is not compared, and what is one port in both is trivial.
    assert proofs["eie_sum"].points == 8
    assert proofs["eie"].points > 36 + 16 + 8 + 2 * 8


def prove_alone(name, text, library, folder):
    """Synthesise a module without others, and prove it."""
    map_module({name: text}, name, library, folder)
    return prove_module(name, library, folder)


def test_a_table_that_yosys_takes_for_a_memory_is_proven(library, tmp_path):
    entries = "\n".join(f"    {row}: value = {row * row % 13};" for row in range(16))
    table = ("module eie_table(input clk, input [3:0] row, output reg [3:0] out);\n"
             "  reg [3:0] value;\n  always @* case (row)\n"
             f"{entries}\n  endcase\n  always @(posedge clk) out <= value;\nendmodule\n")
    proof = prove_alone("eie_table", table, library, tmp_path)
    assert proof.proven and proof.points == 4


def test_a_register_with_names_for_its_fields_is_compared(library, tmp_path):
    fields = ("module eie_fields(input clk, input en, input [7:0] in, output reg out);\n"
              "  reg [7:0] word;\n  wire [3:0] low;\n  assign low = word[3:0];\n"
              "  always @(posedge clk) begin\n    if (en) word <= in;\n"
              "    out <= low == 4'd5;\n  end\nendmodule\n")
    proof = prove_alone("eie_fields", fields, library, tmp_path)
    assert proof.proven and proof.points == 1 + 4


def test_an_output_that_synthesis_finds_to_be_a_register_is_proven(library, tmp_path):
    """The Verilog selects one of two words, whose lower halves are the same register."""
    word = ("module eie_word(input clk, input en, input upper, input [7:0] in, output [7:0] out);\n"
            "  reg [7:0] word;\n  assign out = upper ? {4'd9, word[3:0]} : word;\n"
            "  always @(posedge clk) if (en) word <= in;\nendmodule\n")
    proof = prove_alone("eie_word", word, library, tmp_path)
    assert proof.proven and proof.points == 8 + 8


def test_a_multiplier_up_to_the_last_addition_is_proven(library, tmp_path):
    """Some of its columns have a single bit: the other is constant."""
    name = "eie_carry_save"
    multiplier = verilog.to_verilog(CarrySaveMultiplier(4, 5), name)
    proof = prove_alone(name, multiplier, library, tmp_path)
    assert proof.proven and proof.points == 2 * 10


@pytest.mark.parametrize("what", ALTERED)
def test_an_altered_netlist_is_not_proven(library, machine, tmp_path, what):
    module, pattern, replacement = ALTERED[what]
    map_module(list_modules(machine), module, library, tmp_path)
    netlist = tmp_path / "netlist.v"
    text, count = re.subn(pattern, replacement, netlist.read_text(encoding="utf-8"), count=1)
    if not count:
        pytest.skip(f"{library.title} has no such cell")
    netlist.write_text(text, encoding="utf-8")
    proof = prove_module(module, library, tmp_path)
    assert not proof.proven and proof.unproven


def test_the_command_refuses_a_module_that_is_not_there_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(verilog, "emit", lambda config: pytest.fail("emitted"))
    result = CliRunner().invoke(main, ["equiv", "--preset", "tiny", "--module", "eie_pe_decode",
                                       "--module", "eie_pe_macs", "-o", str(tmp_path / "new")])
    assert result.exit_code == 2
    assert "--module must be a module of the machine, not eie_pe_macs: the nearest names, of " \
        in result.stderr
    assert "are eie_pe_mac, " in result.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.usefixtures("tools")
def test_a_module_and_a_library_that_are_given_twice_are_proven_once(tmp_path, monkeypatch):
    monkeypatch.setattr(verilog, "emit", lambda config: verilog.Emitted({"eie.v": "".join(
        f"module {name}();\nendmodule\n" for name in ("eie_pe_mac", "eie_pe_decode"))}))
    asked = []
    monkeypatch.setattr(equivalence, "prove", lambda files, library, folder, *, modules, advance:
                        asked.append((folder.name, modules)) or [])
    twice = ["--module", "eie_pe_mac", "--module", "eie_pe_decode", "--module", "eie_pe_mac",
             "--cells", "ecp5", "--cells", "ecp5"]
    result = CliRunner().invoke(main, ["equiv", "--preset", "tiny", *twice, "-o", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert asked == [("ecp5", ("eie_pe_mac", "eie_pe_decode"))]


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize("proven", [True, False])
def test_the_exit_code_tells_of_modules_that_are_not_proven(tmp_path, monkeypatch, proven):
    proof = Proof("eie_pe_decode", 99, 1, 62, "registers", proven, () if proven else ("x",), 1.5)
    monkeypatch.setattr(verilog, "emit", lambda config: verilog.Emitted(
        {"eie.v": "module eie_pe_decode();\nendmodule\n"}))
    monkeypatch.setattr(equivalence, "prove", lambda *arguments, **options: [proof])
    result = CliRunner().invoke(main, ["equiv", "--preset", "tiny", "--cells", "ecp5", "--json",
                                       "--module", "eie_pe_decode", "-o", str(tmp_path)])
    assert result.exit_code == int(not proven)
    record = json.loads(result.stdout)
    assert record == json.loads((tmp_path / "equiv.json").read_text(encoding="utf-8"))
    assert EIEConfig.from_mapping(record["config"]) == PRESETS["tiny"]
    assert "sources" in record and record["tools"] == {"pyosys": "1.2"}
    assert result.stderr == ("" if proven else "not proven: eie_pe_decode as ecp5: x; see "
                             f"{tmp_path / 'ecp5' / 'eie_pe_decode' / 'proof.log'}\n")
