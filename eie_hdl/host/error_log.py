from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..registers import REGISTER, Error

__all__ = ["ErrorLog", "error_layout"]

#: Error report: an :class:`~eie_hdl.registers.Error`, or 0 for none; its address; and, for packet
#: errors, memory and PE of the header.
error_layout = data.StructLayout({
    "code": REGISTER["ERROR"].width("code"), "address": REGISTER["ERROR_ADDRESS"].width(),
    "memory": REGISTER["ERROR"].width("memory"), "pe": REGISTER["ERROR"].width("pe")})


class ErrorLog(wiring.Component):
    """Captures the first error and holds it until it is cleared.

    Parameters
    ----------
    n_sources : :class:`int`
        Number of error sources.

    Members
    -------
    i : :py:`In(error_layout).array(n_sources)`
        Errors of this cycle. The source with the lowest index has priority.
    clear : :py:`In(1)`
        Strobe: clear the error. An error of the same cycle is captured.
    error : :py:`Out(error_layout)`
        The first error since the last `clear`.
    pending : :py:`Out(1)`
        The log holds an error. Registered.
    new : :py:`Out(1)`
        Strobe: an error has been captured. Registered.
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

        found    = Signal(error_layout)
        is_found = Signal()
        for error in reversed(self.i):
            with m.If(error.code != Error.NONE):
                m.d.comb += [found.eq(error), is_found.eq(1)]
        m.d.sync += [
            self.new.eq(is_found & (~self.pending | self.clear)),
            self.pending.eq((self.pending & ~self.clear) | is_found),
        ]
        # Without an error, zeros are captured.
        with m.If(~self.pending | self.clear):
            m.d.sync += self.error.eq(found)

        return m
