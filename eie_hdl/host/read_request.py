from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EIEConfig
from ..format import Layouts, Memory
from ..registers import REGISTER, Error
from .error_log import error_layout

__all__ = ["ReadRequest", "read_layout"]

#: Write to register READ, with what it reads.
read_layout = data.StructLayout({
    "valid": 1, "memory": REGISTER["READ_PLACE"].width("memory"),
    "pe": REGISTER["READ_PLACE"].width("pe"), "address": REGISTER["READ_ADDRESS"].width(),
    "count": REGISTER["READ"].width("count")})


class ReadRequest(wiring.Component):
    """Checks a request for memory before the core sees it.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    i : :py:`In(read_layout)`
        Strobe: memory is to be read.
    hold : :py:`In(1)`
        An error stands: requests are ignored.
    refuse : :py:`In(1)`
        The machine is not idle: a request is an error.
    drop : :py:`In(1)`
        Strobe: the core is reset; forget the request.
    read : :py:`Out(stream.Signature(layouts.read))`
        Requests for words that exist. `drop` withdraws one.
    error : :py:`Out(error_layout)`
        For one cycle, BAD_READ.
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

        is_there = self._look_up(m)
        code = Signal(Error)
        with m.If(self.read.ready | self.drop):
            m.d.sync += self.read.valid.eq(0)
        with m.If(self.i.valid & ~self.hold):
            with m.If(is_there & ~self.refuse):
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
        """Return whether the requested words exist, and can be read."""
        end      = Signal(len(self.i.address) + 1)
        is_there = Signal()
        m.d.comb += end.eq(self.i.address + self.i.count)
        with m.Switch(self.i.memory):
            for memory, image in self._layouts.memories.items():
                if memory is Memory.ACT or self._config.readback:
                    has_pe = memory in (Memory.ACT, Memory.PROGRAM)
                    with m.Case(memory):
                        m.d.comb += is_there.eq(
                            (end <= image.depth) & (self.i.count != 0)
                            & (has_pe | (self.i.pe < self._config.n_pe)))
        return is_there
