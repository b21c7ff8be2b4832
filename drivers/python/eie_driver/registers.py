"""Access to registers by name, without addresses or bit positions."""

from collections.abc import Sequence

from eie_hdl.registers import REGISTER, Register

from .bus import Bus

__all__ = ["Registers"]


class Registers:
    """Registers of a machine by name.

    Parameters
    ----------
    bus : :class:`~.bus.Bus`
        Bus to the machine.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def read(self, name: str) -> dict[str, int]:
        """Read all fields of a register.

        Raises
        ------
        BusError
            If the bus refuses the access.
        """
        register = self._register(name)
        return register.unpack(self._bus.read(register.address))

    def value(self, name: str) -> int:
        """Read a register with a single field."""
        (value,) = self.read(name).values()
        return value

    def values(self, names: Sequence[str]) -> list[int]:
        """Read several registers as integers."""
        return self._bus.read_all([self._register(name).address for name in names])

    def write(self, name: str, **fields: int) -> None:
        """Write a register; omitted fields are zero.

        Raises
        ------
        BusError
            If the bus refuses the access.
        ValueError
            If a value does not fit its field, or the field or register is unknown.
        """
        register = self._register(name)
        self._bus.write(register.address, register.pack(**fields))

    def _register(self, name: str) -> Register:
        if name not in REGISTER:
            raise ValueError(f"Register must be one of {', '.join(REGISTER)}, not {name}")
        return REGISTER[name]
