"""Register map: the properties that its users rely on."""

import itertools
import re

import pytest

from eie_hdl.config import EIEConfig
from eie_hdl.format import COUNTER_WIDTH, COUNTERS, Layouts, Memory
from eie_hdl.host.register_ports import member_name
from eie_hdl.registers import (
    ADDRESS_WIDTH,
    PRODUCT_ID,
    REGISTER,
    REGISTER_WIDTH,
    REGISTERS,
    Access,
    Error,
)

FIELDS = [(register, field) for register in REGISTERS for field in register.fields]


def test_every_register_has_a_name_of_its_own_that_is_an_identifier():
    assert len(REGISTER) == len(REGISTERS)
    assert all(name.isidentifier() and name == name.upper() for name in REGISTER)


def test_every_register_has_a_word_of_its_own_within_the_range_in_order():
    addresses = [register.address for register in REGISTERS]
    assert addresses == sorted(set(addresses))
    assert all(address % (REGISTER_WIDTH // 8) == 0 for address in addresses)
    assert 0 <= addresses[0] and addresses[-1] < 1 << ADDRESS_WIDTH


def test_fields_do_not_overlap_and_are_in_order():
    for register in REGISTERS:
        assert register.fields
        ends = [0, *(field.low + field.width for field in register.fields)]
        assert all(end <= field.low for end, field in zip(ends, register.fields)), register.name
        assert ends[-1] <= REGISTER_WIDTH
        assert all(field.width > 0 for field in register.fields)


def test_fields_have_names_of_their_own_that_are_identifiers():
    for register in REGISTERS:
        names = [field.name for field in register.fields]
        assert len(set(names)) == len(names)
        assert all(name.isidentifier() and name == name.lower() for name in names)


def test_no_two_members_of_the_bank_share_a_name():
    names = [member_name(register, field) for register, field in FIELDS]
    names += [f"{member_name(register, field)}_set" for register, field in FIELDS
              if field.access == Access.STICKY]
    names += [f"{register.name.lower()}_write" for register in REGISTERS
              if register.access == Access.COMMAND]
    names += ["bus", "lock", "restore"]
    assert len(set(names)) == len(names)


def test_all_fields_of_a_register_have_the_same_access():
    for register in REGISTERS:
        assert {field.access for field in register.fields} == {register.access}


def test_every_kind_of_access_occurs():
    assert {register.access for register in REGISTERS} == set(Access)


def test_reset_values_fit_and_are_for_fields_that_are_written():
    for register, field in FIELDS:
        assert 0 <= field.reset < 1 << field.width
        assert field.reset == 0 or field.access == Access.WRITE, register.name


def test_only_writable_registers_are_locked():
    locked = [register for register in REGISTERS if register.locked]
    assert locked
    assert all(register.access in (Access.WRITE, Access.COMMAND) for register in locked)


def test_every_register_and_field_is_described():
    for register, field in FIELDS:
        assert register.doc.endswith("."), register.name
        assert field.doc and not field.doc.endswith("."), f"{register.name}.{field.name}"


def test_every_parameter_of_the_interface_has_a_register_in_their_order():
    fields = [EIEConfig.__dataclass_fields__[name] for name in EIEConfig().interface]
    names = [f"CONFIG_{field.name.upper()}" for field in fields]
    assert [name for name in REGISTER if name.startswith("CONFIG_")] == names
    for field in fields:
        register = REGISTER[f"CONFIG_{field.name.upper()}"]
        assert register.access == Access.READ
        if "range" in field.metadata:
            assert field.metadata["range"].high < 1 << register.fields[0].width


def test_every_counter_has_its_halves_one_after_the_other():
    for name in COUNTERS:
        low, high = (REGISTER[f"{name.upper()}_{half}"] for half in ("LO", "HI"))
        assert high.address == low.address + REGISTER_WIDTH // 8
        assert low.access == high.access == Access.READ
        assert low.fields[0].width + high.fields[0].width == COUNTER_WIDTH


def test_words_of_the_greatest_machines_fit_their_fields():
    header = Layouts.of(EIEConfig()).load_header
    widths = {(register.name, field.name): field.width for register, field in FIELDS}
    assert widths["ERROR", "memory"] == widths["READ_PLACE", "memory"] == header["memory"].width
    assert max(memory.value for memory in Memory) < 1 << header["memory"].width
    assert widths["ERROR", "pe"] == widths["READ_PLACE", "pe"] == header["pe"].width
    assert widths["ERROR_ADDRESS", "value"] == widths["READ_ADDRESS", "value"] \
        == header["address"].width
    assert widths["READ", "count"] == header["count"].width


def test_error_codes_are_numbered_without_gaps_and_fit_their_field():
    assert [error.value for error in Error] == list(range(len(Error)))
    assert Error.NONE == 0
    (code,) = [field for register, field in FIELDS
               if (register.name, field.name) == ("ERROR", "code")]
    assert max(Error) < 1 << code.width


def test_every_error_code_has_its_own_description():
    docs = [error.doc for error in Error]
    assert all(docs)
    for one, other in itertools.combinations(docs, 2):
        assert one != other


def test_first_register_identifies_the_machine():
    assert REGISTERS[0].name == "ID" and REGISTERS[0].address == 0
    assert PRODUCT_ID.to_bytes(REGISTER_WIDTH // 8)[:3] == b"EIE"


@pytest.mark.parametrize("register", REGISTERS, ids=lambda register: register.name)
def test_a_word_has_the_values_of_its_fields(register):
    values = {field.name: (1 << field.width) - 1 - number
              for number, field in enumerate(register.fields) if field.width > number}
    word = register.pack(**values)
    assert register.unpack(word) == {field.name: values.get(field.name, 0)
                                     for field in register.fields}
    assert all(word >> field.low & (1 << field.width) - 1 == values.get(field.name, 0)
               for field in register.fields)


@pytest.mark.parametrize(("values", "message"), [
    ({"half": 1}, "Field of START must be one of descriptor, buffer, not half"),
    ({"buffer": 2}, "START.buffer must be from 0 to 1, not 2"),
    ({"descriptor": -1}, "START.descriptor must be from 0 to 65535, not -1"),
])
def test_invalid_field_value_is_rejected(values, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        REGISTER["START"].pack(**values)
