"""Registers by name: no address or bit position is known to a driver."""

from collections.abc import Sequence

from eie_hdl.registers import REGISTERS, Register

from .bus import Bus

__all__ = ["Registers"]


class Registers:
    """Reads and writes the registers of a machine.

    Parameters
    ----------
    bus : :class:`~.bus.Bus`
        Way to the machine.
    """

    _MAP = {register.name: register for register in REGISTERS}

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def read(self, name: str) -> dict[str, int]:
        """Read all fields of a register.

        Raises
        ------
        BusError
            If the bus does not allow it.
        """
        register = self._register(name)
        word = self._bus.read(register.address)
        return {field.name: word >> field.low & (1 << field.width) - 1
                for field in register.fields}

    def value(self, name: str) -> int:
        """Read a register with a single field."""
        (value,) = self.read(name).values()
        return value

    def values(self, names: Sequence[str]) -> list[int]:
        """Read several registers whole."""
        return self._bus.read_all([self._register(name).address for name in names])

    def write(self, name: str, **fields: int) -> None:
        """Write a register; fields that are not given are zero.

        Raises
        ------
        BusError
            If the bus does not allow it.
        ValueError
            If a value does not fit its field, or there is no such field or register.
        """
        register = self._register(name)
        places = {field.name: field for field in register.fields}
        word = 0
        for key, value in fields.items():
            if key not in places:
                raise ValueError(f"Field of {name} must be one of {', '.join(places)}, not {key}")
            if not 0 <= value < 1 << places[key].width:
                raise ValueError(f"{name}.{key} must be from 0 to {(1 << places[key].width) - 1}, "
                                 f"not {value}")
            word |= int(value) << places[key].low
        self._bus.write(register.address, word)

    def _register(self, name: str) -> Register:
        if name not in self._MAP:
            raise ValueError(f"Register must be one of {', '.join(self._MAP)}, not {name}")
        return self._MAP[name]
