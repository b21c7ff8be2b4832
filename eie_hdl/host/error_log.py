from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..registers import REGISTER, Error

__all__ = ["ErrorLog", "error_layout"]

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
        The first error since the last `clear`.
    pending : :py:`Out(1)`
        The log holds an error.
    new : :py:`Out(1)`
        Strobe: an error is kept.
    """
    i: list[data.View]
    clear: Signal
    error: data.View
    pending: Signal
    new: Signal

    def __init__(self, *, n_sources):
        super().__init__({
            "i":       In(error_layout).array(n_sources),
            "clear":   In(1),
            "error":   Out(error_layout),
            "pending": Out(1),
            "new":     Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        found = Signal(error_layout)
        for error in reversed(self.i):
            with m.If(error.code != Error.NONE):
                m.d.comb += found.eq(error)
        m.d.comb += [
            self.pending.eq(self.error.code != Error.NONE),
            self.new.eq((found.code != Error.NONE) & (~self.pending | self.clear)),
        ]
        with m.If(self.clear):
            m.d.sync += self.error.eq(0)
        with m.If(self.new):
            m.d.sync += self.error.eq(found)

        return m
