from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EIEConfig
from ..format import Layouts
from ..lib.registered_reset import RESET_CYCLES

__all__ = ["MemoryWiper"]


class MemoryWiper(wiring.Component):
    """Addresses all words of all memories, so that zeros can replace an earlier network.

    One word per cycle, of all PEs simultaneously. The first word is offered when the core and its
    PEs are out of the reset that begins with `start`.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    start : :py:`In(1)`
        Strobe: start wiping. Ignored while `busy` is asserted.
    o : :py:`Out(stream.Signature(...))`
        Words, each by its `memory` and `address`.
    busy : :py:`Out(1)`
        Words remain to be accepted.
    """
    start: Signal
    o: stream.Interface
    busy: Signal

    def __init__(self, config: EIEConfig):
        layouts = Layouts.of(config)
        self._memories = layouts.memories
        super().__init__({
            "start": In(1),
            "o": Out(stream.Signature(data.StructLayout(
                {name: layouts.load[name].shape for name in ("memory", "address")}))),
            "busy": Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        address = Signal.like(self.o.p.address)
        number  = Signal(range(len(self._memories)))    # index of the memory
        memory  = Signal.like(self.o.p.memory)
        last_address = Signal.like(address)
        with m.Switch(number):
            for n, (place, image) in enumerate(self._memories.items()):
                with m.Case(n):
                    m.d.comb += [memory.eq(place), last_address.eq(image.depth - 1)]
        in_reset = Signal(RESET_CYCLES + 1)    # one bit per cycle until words reach the PEs
        m.d.sync += in_reset.eq(Mux(self.start & ~self.busy, -1, in_reset >> 1))
        m.d.comb += [
            self.o.p.address.eq(address),
            self.o.p.memory.eq(memory),
            self.o.valid.eq(self.busy & ~in_reset[0]),
        ]

        with m.If(~self.busy):
            m.d.sync += self.busy.eq(self.start)
        with m.Elif(self.o.valid & self.o.ready):
            m.d.sync += address.eq(address + 1)
            with m.If(address == last_address):
                m.d.sync += [address.eq(0), number.eq(number + 1)]
                with m.If(number == len(self._memories) - 1):
                    m.d.sync += [number.eq(0), self.busy.eq(0)]

        return m
