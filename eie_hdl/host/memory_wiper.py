from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EIEConfig
from ..format import Layouts

__all__ = ["MemoryWiper"]


class MemoryWiper(wiring.Component):
    """Writes zero to every word of every memory: nothing of an earlier model can be read.

    One word a cycle, the first one in the cycle after `start`; a word goes to all PEs at once.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Parameters of the accelerator.

    Members
    -------
    start : :py:`In(1)`
        Strobe: begin. Ignored while `busy`.
    o : :py:`Out(stream.Signature(layouts.load))`
        Words.
    busy : :py:`Out(1)`
        Words are still to be taken.
    """
    start: Signal
    o: stream.Interface
    busy: Signal

    def __init__(self, config: EIEConfig):
        layouts = Layouts.of(config)
        self._memories = layouts.memories
        super().__init__({
            "start": In(1),
            "o": Out(stream.Signature(layouts.load)),
            "busy": Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        address = Signal.like(self.o.p.address)
        number  = Signal(range(len(self._memories)))    # of the memory, in their order
        memory  = Signal.like(self.o.p.memory)
        last_address = Signal.like(address)
        with m.Switch(number):
            for n, (place, image) in enumerate(self._memories.items()):
                with m.Case(n):
                    m.d.comb += [memory.eq(place), last_address.eq(image.depth - 1)]
        m.d.comb += [
            self.o.payload.eq(0),
            self.o.p.address.eq(address),
            self.o.p.everyone.eq(1),
            self.o.p.memory.eq(memory),
            self.o.valid.eq(self.busy),
        ]

        with m.If(~self.busy):
            m.d.sync += self.busy.eq(self.start)
        with m.Elif(self.o.ready):
            m.d.sync += address.eq(address + 1)
            with m.If(address == last_address):
                m.d.sync += [address.eq(0), number.eq(number + 1)]
                with m.If(number == len(self._memories) - 1):
                    m.d.sync += [number.eq(0), self.busy.eq(0)]

        return m
