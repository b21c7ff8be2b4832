"""Defaults of a bus."""

from eie_driver.bus import Bus


class OneByOne(Bus):
    """Registers that hold a function of their address."""

    def read(self, address):
        return address ^ 0xFF


def test_by_default_registers_are_read_one_by_one_in_order():
    assert OneByOne().read_all([8, 0, 8]) == [0xF7, 0xFF, 0xF7]
