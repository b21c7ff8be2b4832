"""Delay of a value by a number of cycles."""

from amaranth.hdl import Signal

__all__ = ["delayed"]


def delayed(m, value, cycles, name, *, reset_less=True):
    """Return `value` as it was some cycles before; with 0 cycles, `value` itself.

    Parameters
    ----------
    m : :class:`~amaranth.hdl.Module`
        Module to which the registers are added.
    value : :class:`~amaranth.hdl.Value`
        Any value.
    cycles : :class:`int`
        Registers in succession.
    name : :class:`str`
        Name of the registers, to which their number is appended.
    reset_less : :class:`bool`
        False for a flag, which must be clear after a reset.
    """
    for number in range(1, cycles + 1):
        register = Signal.like(value, name=f"{name}_{number}", init=0, reset_less=reset_less)
        m.d.sync += register.eq(value)
        value = register
    return value
