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
    error : :py:`Out(error_layout)`
        BAD_READ, for one cycle.
    """
    def __init__(self, config: EIEConfig):
        self._config = config
        self._layouts = layouts = Layouts.of(config)
        super().__init__({
            "i": In(read_layout), "hold": In(1), "refuse": In(1), "drop": In(1),
            "read": Out(stream.Signature(layouts.read)),
            "error": Out(error_layout),
        })

    def elaborate(self, platform):
        m = Module()

        in_range = self._look_up(m)
        code = Signal(Error)
        with m.If(self.read.ready | self.drop):
            m.d.sync += self.read.valid.eq(0)
        with m.If(self.i.valid & ~self.hold):
            with m.If(in_range & ~self.refuse):
                m.d.sync += [
                    self.read.valid.eq(1),
                    self.read.p.memory.eq(self.i.memory),
                    self.read.p.pe.eq(self.i.pe),
                    self.read.p.address.eq(self.i.address),
                    self.read.p.count.eq(self.i.count),
                ]
            with m.Else():
                m.d.comb += code.eq(Error.BAD_READ)
        m.d.comb += [
            self.error.code.eq(code),
            self.error.address.eq(self.i.address),
            self.error.memory.eq(self.i.memory),
            self.error.pe.eq(self.i.pe),
        ]

        return m

    def _look_up(self, m):
        """Return a flag that is set if the requested words exist and are readable."""
        end      = Signal(len(self.i.address) + 1)
        in_range = Signal()
        m.d.comb += end.eq(self.i.address + self.i.count)
        with m.Switch(self.i.memory):
            for memory, image in self._layouts.memories.items():
                if memory is Memory.ACT or self._config.readback:
                    has_pe = memory in (Memory.ACT, Memory.PROGRAM)
                    with m.Case(memory):
                        m.d.comb += in_range.eq(
                            (end <= image.depth) & (self.i.count != 0)
                            & (has_pe | (self.i.pe < self._config.n_pe)))
        return in_range
