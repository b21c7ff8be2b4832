"""Names of machines: identifiers, keywords, and the text that bears them."""

import re
import subprocess

import pytest

from eie_hdl.export.names import VerilogNameError, check_name, prefix_text, source_files
from eie_sim.rtl.toolchain import find_verilator, tool_environment


@pytest.mark.parametrize("name", ["", "2nd", "Left", "a-b", "a.b", "../a", "_a", "ä", "a\n", "a$"])
def test_a_name_that_verilog_or_a_file_cannot_have_is_refused(name):
    with pytest.raises(VerilogNameError, match=(
            "^name must be a Verilog identifier of lower-case letters, digits and underscores that "
            f"begins with a letter, not {re.escape(repr(name))}$")):
        check_name(name)


@pytest.mark.parametrize("name", ["module", "wire", "int", "logic", "class", "std"])
def test_a_keyword_is_refused(name):
    with pytest.raises(VerilogNameError, match=f"^name must not be {name}, which is a keyword of "
                                               "Verilog or SystemVerilog: choose another name$"):
        check_name(name)


def test_a_name_has_at_most_63_characters():
    check_name("n" * 63)
    with pytest.raises(VerilogNameError,
                       match="^name must have at most 63 characters, not 64: 'n+'$"):
        check_name("n" * 64)


def test_names_that_are_accepted_are_modules_in_both_simulators(tmp_path, icarus, verilator):
    names = ["left", "core", "pe", "top", "work", "main", "yes", "null_", "option", "step", "new_",
             "template", "this_", "n" * 63]
    for name in names:
        check_name(name)
    (tmp_path / "all.v").write_text("".join(f"module {name}; endmodule\n" for name in names)
                                    + "module whole;\n" + "".join(
        f"    {name} i{number} ();\n" for number, name in enumerate(names)) + "endmodule\n",
        encoding="utf-8")
    for command in (["iverilog", "-g2012", "-s", "whole", "-t", "null"],
                    [find_verilator().path, "--lint-only", "--top-module", "whole"]):
        subprocess.run([*command, "all.v"], cwd=tmp_path, check=True, env=tool_environment())


def test_sources_are_those_of_the_list_or_all_of_verilog():
    files = {"b.v": "b", "a.v": "a", "bench.v": "c", "words.md": "d"}
    assert list(source_files(files)) == ["a.v", "b.v", "bench.v"]
    assert source_files({**files, "x.f": "b.v\na.v\n"}) == {"b.v": "b", "a.v": "a"}


def test_only_whole_prefixes_are_replaced():
    text = ("eie_sram EIE_IMAGES +eie_images=x *eie.v `EIE_X my_eie_x MY_EIE_X eie eier EIE "
            "accelerator")
    assert prefix_text(text, "left") == (
        "left_sram LEFT_IMAGES +left_images=x *left.v `LEFT_X my_eie_x MY_EIE_X eie eier EIE "
        "accelerator")
    assert prefix_text(text, "eie") == text
