from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..registers import REGISTER, Error
from .error_log import error_layout

__all__ = ["Watchdog"]


class Watchdog(wiring.Component):
    """Reports programs or a pending start that exceed a time limit.

    Members
    -------
    limit : :py:`In(32)`
        Limit in clock cycles; 0 disables it.
    active : :py:`In(1)`
        A program is running or pending, or its results are leaving.
    restart : :py:`In(1)`
        Strobe: a program starts or has ended; restart the timer.
    blocked : :py:`In(1)`
        The host stalls a result.
    descriptor : :py:`In(16)`
        First descriptor of the program, or of the oldest one.
    error : :py:`Out(error_layout)`
        TIMEOUT or RESULT_BLOCKED, for one cycle.
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

        elapsed   = Signal.like(self.limit, init=1)    # cycles, including this one
        has_limit = Signal()
        m.d.sync += [elapsed.eq(elapsed + 1), has_limit.eq(self.limit != 0)]
        with m.If(self.restart | ~self.active):
            m.d.sync += elapsed.eq(1)

        # Compare one cycle in advance, as the comparison is slow.
        is_over = Signal()
        m.d.sync += is_over.eq(self.active & ~self.restart & has_limit & (elapsed == self.limit))
        m.d.comb += [
            self.error.code.eq(Mux(is_over & self.active & ~self.restart,
                                   Mux(self.blocked, Error.RESULT_BLOCKED, Error.TIMEOUT),
                                   Error.NONE)),
            self.error.address.eq(self.descriptor),
        ]

        return m
