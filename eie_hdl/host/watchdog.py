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
        TIMEOUT or RESULT_BLOCKED, for one cycle, in the cycle after the one that exceeds the limit,
        if `active` is still set.
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

        goes_on   = self.active & ~self.restart
        is_first  = Signal(init=1)    # this cycle counts as the first one
        elapsed   = Signal.like(self.limit, reset_less=True)    # cycles with this one, if it is not
        has_limit = Signal()
        has_one   = Signal()
        m.d.sync += [
            is_first.eq(~goes_on),
            elapsed.eq(elapsed + 1),
            has_limit.eq(self.limit != 0),
            has_one.eq(self.limit == 1),
        ]
        with m.If(is_first):
            m.d.sync += elapsed.eq(2)

        # Compare one cycle in advance, as the comparison is slow.
        is_over = Signal()
        expired = Signal()
        m.d.sync += [
            is_over.eq(goes_on & Mux(is_first, has_one, has_limit & (elapsed == self.limit))),
            expired.eq(goes_on & is_over),
        ]
        m.d.comb += [
            self.error.code.eq(Mux(expired & self.active,
                                   Mux(self.blocked, Error.RESULT_BLOCKED, Error.TIMEOUT),
                                   Error.NONE)),
            self.error.address.eq(self.descriptor),
        ]

        return m
