"""Registers by name."""

import pytest

from eie_driver.bus import BusError
from eie_driver.registers import Registers


@pytest.mark.parametrize(("name", "fields", "message"), [
    ("NOTHING", {}, r"Register must be one of ID, VERSION, .*, not NOTHING"),
    ("START", {"speed": 1}, "Field of START must be one of descriptor, buffer, not speed"),
    ("START", {"buffer": 2}, "START.buffer must be from 0 to 1, not 2"),
    ("WATCHDOG", {"value": -1}, "WATCHDOG.value must be from 0 to 4294967295, not -1"),
])
def test_values_that_no_register_can_hold_are_refused(fake, name, fields, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        Registers(fake).write(name, **fields)


def test_registers_are_read_and_written_by_name(fake):
    registers = Registers(fake)
    registers.write("IRQ_ENABLE", done=1, error=1)
    assert registers.read("IRQ_ENABLE") == {"done": 1, "error": 1}
    registers.write("IRQ_ENABLE", error=1)
    assert registers.read("IRQ_ENABLE") == {"done": 0, "error": 1}


def test_refusals_of_the_bus_are_reported(fake):
    with pytest.raises(BusError, match="^Write to 0x0 was answered with SLVERR$"):
        Registers(fake).write("ID", value=1)
