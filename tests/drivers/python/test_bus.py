"""Defaults of a bus."""

from eie_driver.bus import Bus


class OneByOne(Bus):
    """Registers that hold a function of their address."""

    def read(self, address):
        return address ^ 0xFF


def test_several_registers_are_read_in_order_with_single_reads_unless_a_bus_can_do_better():
    assert OneByOne().read_all([8, 0, 8]) == [0xF7, 0xFF, 0xF7]
