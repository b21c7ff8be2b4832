from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..registers import REGISTER, Error
from .error_log import error_layout

__all__ = ["Watchdog"]


class Watchdog(wiring.Component):
    """Notices that a program, or its start, takes longer than allowed.

    Members
    -------
    limit : :py:`In(32)`
        Cycles allowed; 0 if any number is.
    active : :py:`In(1)`
        Something runs, or waits to.
    restart : :py:`In(1)`
        Strobe: a program starts, or has ended; what follows has all the time for itself.
    blocked : :py:`In(1)`
        The host does not take a result.
    descriptor : :py:`In(16)`
        Where the program started.
    error : :py:`Out(error_layout)`
        For one cycle, TIMEOUT or RESULT_BLOCKED.
    """
    limit: Signal
    active: Signal
    restart: Signal
    blocked: Signal
    descriptor: Signal
    error: data.View

    def __init__(self):
        super().__init__({
            "limit": In(REGISTER["WATCHDOG"].width()),
            "active": In(1), "restart": In(1), "blocked": In(1),
            "descriptor": In(REGISTER["START"].width("descriptor")), "error": Out(error_layout),
        })

    def elaborate(self, platform):
        m = Module()

        elapsed = Signal.like(self.limit)
        m.d.sync += elapsed.eq(elapsed + 1)
        with m.If(self.restart | ~self.active):
            m.d.sync += elapsed.eq(0)

        # Compared a cycle before, since the comparison is long.
        is_over = Signal()
        m.d.sync += is_over.eq(self.active & ~self.restart & (self.limit != 0)
                               & (elapsed == self.limit - 1))
        m.d.comb += [
            self.error.code.eq(Mux(is_over & self.active & ~self.restart,
                                   Mux(self.blocked, Error.RESULT_BLOCKED, Error.TIMEOUT),
                                   Error.NONE)),
            self.error.address.eq(self.descriptor),
        ]

        return m
