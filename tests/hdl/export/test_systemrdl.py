"""Register descriptions for other tools, parsed and compared with the register map."""

import html
import importlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from eie_hdl.export.peakrdl import C_HEADER, REFERENCE, write_descriptions, write_exports
from eie_hdl.export.register_reference import describe_registers
from eie_hdl.export.systemrdl import LOCKED, to_systemrdl
from eie_hdl.extras import install_command
from eie_hdl.format import FORMAT_VERSION, Memory
from eie_hdl.registers import (
    PRODUCT_ID,
    REGISTER_WIDTH,
    REGISTERS,
    VERSION,
    Access,
    Error,
    Field,
    Register,
)

ROOT = Path(__file__).parents[3]

FIELDS = [(register, field) for register in REGISTERS for field in register.fields]

#: SystemRDL properties of each access type: software access, and effect of writing a one.
SOFTWARE = {Access.READ: (True, False, None), Access.WRITE: (True, True, None),
            Access.COMMAND: (False, True, None), Access.STICKY: (True, True, "woclr")}


def missing(what, advice):
    """Skip a test for the lack of a tool, but fail in CI."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{what} is missing: {advice}")


@pytest.fixture(scope="module")
def systemrdl():
    try:
        for name in ("peakrdl_cheader", "peakrdl_html", "peakrdl_ipxact"):
            importlib.import_module(name)
        import systemrdl
    except ImportError as error:
        missing(error.name, install_command("registers"))
    return systemrdl


@pytest.fixture(scope="module")
def folder(systemrdl, tmp_path_factory):
    """Folder with all descriptions and exports."""
    folder = tmp_path_factory.mktemp("registers")
    for path in write_descriptions(folder) + write_exports(folder):
        assert path.exists()
    return folder


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


def defines(header):
    """Return the constants of the C header by name; each must be defined once."""
    found = re.findall(r"^#define (\w+) (\w+)$", header, re.M)
    assert len(dict(found)) == len(found)
    return {name: int(value.removesuffix("u"), 0) for name, value in found}


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


def test_constants_of_the_c_header_are_those_of_the_map(folder):
    constants = defines((folder / C_HEADER).read_text(encoding="utf-8"))
    expected = {f"EIE_{register.name}": register.address for register in REGISTERS}
    for register, field in FIELDS:
        name = f"EIE_{register.name}_{field.name.upper()}"
        expected |= {f"{name}_MASK": (1 << field.width) - 1 << field.low,
                     f"{name}_SHIFT": field.low, f"{name}_WIDTH": field.width}
        if field.access != Access.READ:
            expected[f"{name}_RESET"] = field.reset
    expected |= {f"EIE_MEMORY_{memory.name}": memory.value for memory in Memory}
    expected |= dict(zip(("EIE_VERSION_MAJOR", "EIE_VERSION_MINOR", "EIE_VERSION_PATCH"), VERSION))
    expected |= {"EIE_PRODUCT_ID": PRODUCT_ID, "EIE_FORMAT_VERSION": FORMAT_VERSION}
    assert constants == expected


def test_c_header_compiles_and_its_structure_and_codes_are_those_of_the_map(folder, tmp_path):
    compiler = shutil.which("cc") or missing("cc", "install a C compiler")
    codes = " && ".join(f"EIE_ERROR_{error.name} == {error.value}" for error in Error)
    offsets = " && ".join(f"offsetof(eie_t, {register.name}) == EIE_{register.name}"
                          for register in REGISTERS)
    (tmp_path / "use.c").write_text("\n".join([
        "#include <stddef.h>", f'#include "{C_HEADER}"',
        f"typedef char codes_are_right[{codes} ? 1 : -1];",
        f"typedef char offsets_are_right[{offsets} ? 1 : -1];",
        "#define TEXT(name, code, text) [EIE_ERROR_##name] = #code \" \" text,",
        "extern const char *const texts[];",
        "const char *const texts[] = {EIE_ERROR_CODES(TEXT)};", ""]), encoding="utf-8")
    subprocess.run([compiler, "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-c",
                    "-I", folder, "use.c"], cwd=tmp_path, check=True)
    binary = (tmp_path / "use.o").read_bytes()
    for error in Error:
        assert f"{error.value} {error.doc}\0".encode() in binary


def test_structure_of_the_c_header_is_not_packed(folder):
    """Compilers may access members of a packed structure bytewise; commands need whole words."""
    assert "packed" not in (folder / C_HEADER).read_text(encoding="utf-8")


def test_ip_xact_describes_every_register_and_field(folder):
    root = ElementTree.parse(folder / "eie.ipxact.xml").getroot()
    space = {"x": root.tag[1:].partition("}")[0]}

    def text(node, tag):
        return node.find(f"x:{tag}", space).text

    found = [(text(node, "name"), int(text(node, "addressOffset").replace("'h", "0x"), 0),
              [(text(field, "name"), int(text(field, "bitOffset")), int(text(field, "bitWidth")))
               for field in node.findall("x:field", space)])
             for node in root.iterfind(".//x:register", space)]
    assert text(root, "version") == ".".join(map(str, VERSION))
    assert found == [(register.name, register.address,
                      [(field.name, field.low, field.width) for field in register.fields])
                     for register in REGISTERS]


def test_html_describes_every_register(folder):
    pages = {}
    for path in (folder / "html" / "content").glob("*.html"):
        page = path.read_text(encoding="utf-8")
        pages[re.search(r"<h1[^>]*>(.*?)</h1>", page)[1]] = page
    for register in REGISTERS:
        assert html.escape(register.doc) in pages[register.name]
        for field in register.fields:
            assert f'id="{field.name}"' in pages[register.name]


def test_files_are_the_same_wherever_and_whenever_they_are_written(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 0.0)
    monkeypatch.chdir(tmp_path)
    write_descriptions(Path("again"))
    write_exports(Path("again"))
    files = [{path.relative_to(root): path.read_bytes() for path in root.rglob("*")
              if path.is_file()} for root in (folder, tmp_path / "again")]
    assert files[0] == files[1]
    assert not any(str(folder).encode() in data for data in files[0].values())


@pytest.mark.parametrize("name, place", [(C_HEADER, "drivers/c"), (REFERENCE, "docs")])
def test_committed_files_are_up_to_date(folder, name, place):
    assert (folder / name).read_bytes() == (ROOT / place / name).read_bytes(), "make registers"


def rows_of(page):
    """Return the cells of all tables, including titles, by the heading that precedes them."""
    rows, heading = {}, ""
    for line in page.splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif line.startswith("|"):
            rows.setdefault(heading, []).append(line.strip("| ").split(" | "))
    return rows


def test_reference_has_every_register_field_and_code():
    page = describe_registers(REGISTERS)
    rows = rows_of(page)
    for register, cells in zip(REGISTERS, rows["All registers"][2:], strict=True):
        assert cells[0] == f"`0x{register.address:03X}`"
        assert re.search(r"`(\w+)`", cells[1])[1] == register.name
        assert cells[2:4] == [f"`{register.access.value}`", register.doc]
        if register.name not in rows:    # its only field is described here
            assert cells[4] == register.fields[0].doc
            continue
        assert f"(#{register.name.lower()})" in cells[1]
        for field, cells in zip(register.fields, rows[register.name][2:], strict=True):
            high, low = (cells[0].split(":") * 2)[:2]
            assert (int(low), int(high)) == (field.low, field.low + field.width - 1)
            assert cells[1] == f"`{field.name}`"
            assert cells[2].strip() == (f"0x{field.reset:X}" if field.access == Access.WRITE
                                        else "")
            assert cells[3] == field.doc
    assert rows["Error codes"][2:] == [[str(error.value), f"`{error.name}`", error.doc]
                                       for error in Error]
    assert [int(cells[0]) for cells in rows["Memory numbers"][2:]] == [
        memory.value for memory in Memory]


def test_reference_marks_locked_registers():
    sections = describe_registers(REGISTERS).split("\n## ")
    locked = {section.split("\n")[0] for section in sections if LOCKED in section}
    assert locked == {register.name for register in REGISTERS if register.locked}
