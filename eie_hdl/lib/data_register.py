"""Registers without reset, for data that a valid bit guards."""

from amaranth.hdl import Signal

__all__ = ["data_register"]


def data_register(m, port):
    """Drive `port` by a register without reset, and return it for assignments in ``m.d.sync``.

    Its contents are undefined until the first assignment. Nothing may depend on them before, so
    that a reset has few flip-flops to reach.
    """
    register = Signal.like(port, reset_less=True, src_loc_at=1)
    m.d.comb += port.eq(register)
    return register
