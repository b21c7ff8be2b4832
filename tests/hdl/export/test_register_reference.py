"""Register reference in Markdown, compared with the register map."""

import re

from eie_hdl.export.register_reference import describe_registers
from eie_hdl.export.systemrdl import LOCKED
from eie_hdl.format import Memory
from eie_hdl.registers import (
    REGISTERS,
    Access,
    Error,
)


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
