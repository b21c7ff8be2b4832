from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EIEConfig
from ..format import Layouts, Memory
from ..registers import REGISTER, Error
from .error_log import error_layout

__all__ = ["ReadRequest", "read_layout"]

#: Write to register READ, with the fields that define the request.
read_layout = data.StructLayout({
    "valid": 1, "memory": REGISTER["READ_PLACE"].width("memory"),
    "pe": REGISTER["READ_PLACE"].width("pe"), "address": REGISTER["READ_ADDRESS"].width(),
    "count": REGISTER["READ"].width("count")})


class ReadRequest(wiring.Component):
    """Checks memory read requests before they reach the core.

    A request is checked, and offered or rejected, in the cycle after it. Its memory, PE and address
    must not change until then.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    i : :py:`In(read_layout)`
        Request; `valid` is a strobe.
    hold : :py:`In(1)`
        An error is pending: ignore requests.
    refuse : :py:`In(1)`
        The machine is not idle: reject requests with an error.
    drop : :py:`In(1)`
        Strobe: the core is reset; withdraw the request.
    read : :py:`Out(stream.Signature(layouts.read))`
        Valid requests. Withdrawn by `drop`.
    busy : :py:`Out(1)`
        A request is being checked or offered. Registers.
    error : :py:`Out(error_layout)`
        BAD_READ, for one cycle, in the cycle after the request.
    """
    def __init__(self, config: EIEConfig):
        self._config = config
        self._layouts = layouts = Layouts.of(config)
        super().__init__({
            "i": In(read_layout), "hold": In(1), "refuse": In(1), "drop": In(1),
            "read": Out(stream.Signature(layouts.read)),
            "busy": Out(1), "error": Out(error_layout),
        })

    def elaborate(self, platform):
        m = Module()

        in_range = self._look_up(m)
        checking = Signal()
        refused  = Signal()
        m.d.sync += [checking.eq(self.i.valid & ~self.hold), refused.eq(self.refuse)]
        m.d.comb += [
            self.busy.eq(checking | self.read.valid),
            self.error.address.eq(self.i.address),
            self.error.memory.eq(self.i.memory),
            self.error.pe.eq(self.i.pe),
        ]
        with m.If(self.read.ready | self.drop):
            m.d.sync += self.read.valid.eq(0)
        with m.If(checking):
            with m.If(in_range & ~refused):
                m.d.sync += self.read.valid.eq(1)
            with m.Else():
                m.d.comb += self.error.code.eq(Error.BAD_READ)
        # A request during another one is rejected.
        with m.If(~self.read.valid):
            m.d.sync += [self.read.p[name].eq(self.i[name]) for name in ("memory", "pe", "address")]
            with m.If(~checking):
                m.d.sync += self.read.p.count.eq(self.i.count)

        return m

    def _look_up(self, m):
        """Return a flag that is set if the words of a request, a cycle after it, are readable."""
        memories = self._layouts.memories
        # Greater numbers than fit `end` are out of range in any memory.
        width    = max(image.depth for image in memories.values()).bit_length()
        end      = Signal(width + 1)    # words up to the end of the request
        can_be   = Signal()
        in_range = Signal()
        m.d.sync += [
            end.eq(self.i.address[:width] + self.i.count[:width]),
            can_be.eq(~self.i.address[width:].any() & ~self.i.count[width:].any()
                      & self.i.count.any()),
        ]
        with m.Switch(self.i.memory):
            for memory, image in memories.items():
                if memory is Memory.ACT or self._config.readback:
                    has_pe = memory in (Memory.ACT, Memory.PROGRAM)
                    with m.Case(memory):
                        m.d.comb += in_range.eq(can_be & (end <= image.depth)
                                                & (has_pe | (self.i.pe < self._config.n_pe)))
        return in_range
