"""C header, IP-XACT and HTML of the registers, compared with the register map."""

import html
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from eie_hdl.export.peakrdl import C_HEADER, IP_XACT, REFERENCE, SYSTEMRDL, write_exports
from eie_hdl.format import FORMAT_VERSION, Memory
from eie_hdl.registers import (
    PRODUCT_ID,
    REGISTERS,
    VERSION,
    Access,
    Error,
)

ROOT = Path(__file__).parents[3]

FIELDS = [(register, field) for register in REGISTERS for field in register.fields]


@pytest.fixture(scope="module")
def folder(systemrdl, tmp_path_factory):
    """Folder with all descriptions and exports."""
    folder = tmp_path_factory.mktemp("registers")
    for path in write_exports(folder):
        assert path.exists()
    return folder


def defines(header):
    """Return the constants of the C header by name; each must be defined once."""
    found = re.findall(r"^#define (\w+) (\w+)$", header, re.M)
    assert len(dict(found)) == len(found)
    return {name: int(value.removesuffix("u"), 0) for name, value in found}


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


def test_c_header_compiles_and_its_structure_and_codes_are_those_of_the_map(folder, tmp_path,
                                                                                missing):
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


def test_c_header_is_c17_plus_plus(folder, tmp_path, missing):
    compiler = shutil.which("c++") or missing("c++", "install a C++ compiler")
    (tmp_path / "use.cpp").write_text(f'#include "{C_HEADER}"\nint used = EIE_ERROR_TIMEOUT;\n',
                                      encoding="utf-8")
    subprocess.run([compiler, "-std=c++17", "-pedantic", "-Wall", "-Wextra", "-Werror", "-c",
                    "-I", folder, "use.cpp"], cwd=tmp_path, check=True)


def test_structure_of_the_c_header_is_not_packed(folder):
    """Compilers may access members of a packed structure bytewise; commands need whole words."""
    assert "packed" not in (folder / C_HEADER).read_text(encoding="utf-8")


def test_ip_xact_describes_every_register_and_field(folder):
    root = ElementTree.parse(folder / IP_XACT).getroot()
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


def test_ip_xact_is_imported_with_the_registers_of_the_systemrdl(folder, systemrdl):
    from peakrdl_ipxact import IPXACTImporter

    exported, imported = systemrdl.RDLCompiler(), systemrdl.RDLCompiler()
    exported.compile_file(str(folder / SYSTEMRDL))
    IPXACTImporter(imported).import_file(str(folder / IP_XACT))
    (block,) = imported.elaborate().top.children()
    assert block.inst_name == "eie"
    registers = list(exported.elaborate().top.registers())
    assert len(registers) == len(REGISTERS)
    for register, found in zip(registers, block.registers(), strict=True):
        assert describe(found) == describe(register)


def describe(register):
    """Everything about a register that IP-XACT can express."""
    return (register.inst_name, register.absolute_address,
            [register.get_property(name) for name in ("regwidth", "desc")],
            [(field.inst_name, field.low, field.width,
              [field.get_property(name) for name in ("sw", "onwrite", "reset", "desc")],
              [(value.name, value.value, value.rdl_desc)
               for value in field.get_property("encode") or ()])
             for field in register.fields()])


def test_ip_xact_has_a_name_that_ip_xact_allows(folder):
    root = ElementTree.parse(folder / IP_XACT).getroot()
    space = {"x": root.tag[1:].partition("}")[0]}
    names = [node.text for node in root.iterfind(".//x:name", space)]
    assert root.find("x:name", space).text == "eie"
    assert [name for name in names if not re.fullmatch(r"[A-Za-z_][\w.:-]*", name)] == []


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
    write_exports(Path("again"))
    files = [{path.relative_to(root): path.read_bytes() for path in root.rglob("*")
              if path.is_file()} for root in (folder, tmp_path / "again")]
    assert files[0] == files[1]
    assert not any(str(folder).encode() in data for data in files[0].values())


@pytest.mark.parametrize("name, place", [(C_HEADER, "drivers/c"), (REFERENCE, "docs")])
def test_committed_files_are_up_to_date(folder, name, place):
    assert (folder / name).read_bytes() == (ROOT / place / name).read_bytes(), "make registers"
