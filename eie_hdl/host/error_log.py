from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..registers import REGISTER, Error

__all__ = ["ErrorLog", "Watchdog", "error_layout"]

#: What went wrong: an :class:`~eie_hdl.registers.Error`, if it is not 0; its address; and of a
#: packet, the memory and PE of its header.
error_layout = data.StructLayout({
    "code": REGISTER["ERROR"].width("code"), "address": REGISTER["ERROR_ADDRESS"].width(),
    "memory": REGISTER["ERROR"].width("memory"), "pe": REGISTER["ERROR"].width("pe")})


class ErrorLog(wiring.Component):
    """Keeps the first error until it is cleared.

    Parameters
    ----------
    n_sources : :class:`int`
        Places where errors arise.

    Members
    -------
    i : :py:`In(error_layout).array(n_sources)`
        Errors of this cycle. If there are several, that of the lowest number counts.
    clear : :py:`In(1)`
        Strobe: forget the error. One of this very cycle is kept.
    error : :py:`Out(error_layout)`
        The error that stands.
    stands : :py:`Out(1)`
        There is one.
    new : :py:`Out(1)`
        Strobe: an error is kept.
    """
    i: list[data.View]
    clear: Signal
    error: data.View
    stands: Signal
    new: Signal

    def __init__(self, *, n_sources):
        super().__init__({
            "i":      In(error_layout).array(n_sources),
            "clear":  In(1),
            "error":  Out(error_layout),
            "stands": Out(1),
            "new":    Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        found = Signal(error_layout)
        for error in reversed(self.i):
            with m.If(error.code != Error.NONE):
                m.d.comb += found.eq(error)
        m.d.comb += [
            self.stands.eq(self.error.code != Error.NONE),
            self.new.eq((found.code != Error.NONE) & (~self.stands | self.clear)),
        ]
        with m.If(self.clear):
            m.d.sync += self.error.eq(0)
        with m.If(self.new):
            m.d.sync += self.error.eq(found)

        return m


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
