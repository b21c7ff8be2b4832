"""Register descriptions for other tools, parsed and compared with the register map."""

from pathlib import Path

import pytest

from eie_hdl.export.systemrdl import LOCKED, to_systemrdl
from eie_hdl.format import Memory
from eie_hdl.registers import (
    REGISTER_WIDTH,
    REGISTERS,
    Access,
    Error,
    Field,
    Register,
)

ROOT = Path(__file__).parents[3]

#: SystemRDL properties of each access type: software access, and effect of writing a one.
SOFTWARE = {Access.READ: (True, False, None), Access.WRITE: (True, True, None),
            Access.COMMAND: (False, True, None), Access.STICKY: (True, True, "woclr")}


@pytest.fixture
def elaborate(systemrdl, tmp_path):
    """Return a function that elaborates SystemRDL without messages and returns the address map."""
    class Strict(systemrdl.messages.MessagePrinter):
        def print_message(self, severity, text, source):
            raise AssertionError(f"{severity.name}: {text}")

    def run(text):
        (tmp_path / "map.rdl").write_text(text, encoding="utf-8")
        compiler = systemrdl.RDLCompiler(
            message_printer=Strict(), warning_flags=systemrdl.warnings.ALL)
        compiler.compile_file(str(tmp_path / "map.rdl"))
        return compiler.elaborate().top

    return run


def test_systemrdl_describes_every_register_and_field(elaborate):
    top = elaborate(to_systemrdl(REGISTERS))
    assert top.inst_name == "eie"
    nodes = list(top.registers())
    assert [(node.inst_name, node.absolute_address, node.get_property("regwidth"))
            for node in nodes] == [(register.name, register.address, REGISTER_WIDTH)
                                   for register in REGISTERS]
    for register, node in zip(REGISTERS, nodes):
        assert node.get_property("desc") == register.doc + f" {LOCKED}" * register.locked
        fields = list(node.fields())
        assert [(field.inst_name, field.low, field.width, field.get_property("desc"))
                for field in fields] == [(field.name, field.low, field.width, field.doc)
                                         for field in register.fields]
        for field, inner in zip(register.fields, fields):
            onwrite = inner.get_property("onwrite")
            assert (inner.is_sw_readable, inner.is_sw_writable, onwrite and onwrite.name) \
                == SOFTWARE[field.access]
            assert inner.get_property("reset") == (
                None if field.access == Access.READ else field.reset)
            assert inner.get_property("singlepulse") == (
                field.access == Access.COMMAND and field.width == 1)


def test_systemrdl_names_the_values_of_fields(elaborate):
    top = elaborate(to_systemrdl(REGISTERS))
    encoded = {}
    for node in top.registers():
        for field in node.fields():
            if encode := field.get_property("encode"):
                encoded[node.inst_name, field.inst_name] = [
                    (member.name, member.value, member.rdl_desc) for member in encode]
    errors = [(error.name, error.value, error.doc) for error in Error]
    memories = [(memory.name, memory.value, None) for memory in Memory]
    assert encoded == {("ERROR", "code"): errors, ("ERROR", "memory"): memories,
                       ("READ_PLACE", "memory"): memories}


def test_text_is_escaped_in_systemrdl(elaborate):
    doc = 'says "so", \\ or \\" and // this'
    top = elaborate(to_systemrdl([
        Register("ONE", 4, doc, (Field("two", 3, 4, Access.WRITE, doc, 9),))]))
    (node,) = top.registers()
    (field,) = node.fields()
    assert node.get_property("desc") == field.get_property("desc") == doc
    assert (node.absolute_address, field.low, field.high, field.get_property("reset")) \
        == (4, 3, 6, 9)
