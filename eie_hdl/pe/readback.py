from amaranth.hdl import Module, Shape, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EIEConfig, clog2
from ..format import Layouts, Memory
from ..lib.data_register import data_register

__all__ = ["Readback"]


class Readback(wiring.Component):
    """Reads one element of a memory word for the host.

    The response is a value in lane 0, if the request addresses this PE, and an end, in the form of
    a vector: it passes the tree and leaves its nodes in their initial state. Latency is two cycles.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    index : :py:`In(clog2(n_pe))`
        Number of this PE. Constant.
    i : :py:`In(stream.Signature(layouts.pe_load, always_ready=True))`
        Requests. Must not arrive before the end of the previous response has been accepted.
    words : :py:`In(data.StructLayout({"spmat": ..., "ptr_even": ..., ...}))`
        Outputs of the memories, one cycle after the request, all at its address.
    o : :py:`Out(stream.Signature(layouts.result))`
        Responses. Registered.
    """
    index: Signal
    i: stream.Interface
    words: data.View
    o: stream.Interface

    def __init__(self, config: EIEConfig):
        layouts = Layouts.of(config)
        super().__init__({
            "index": In(clog2(config.n_pe)),
            "i":     In(stream.Signature(layouts.pe_load, always_ready=True)),
            "words": In(data.StructLayout({
                "spmat": layouts.spmat_word.size, "ptr_even": layouts.ptr,
                "ptr_odd": layouts.ptr, "codebook": Shape.cast(layouts.weight).width})),
            "o":     Out(stream.Signature(layouts.result)),
        })

    def elaborate(self, platform):
        m = Module()

        # The memories return their words in the cycle after the request.
        request = Signal.like(self.i.payload, reset_less=True)
        pending = Signal()
        m.d.sync += pending.eq(self.i.valid)
        with m.If(self.i.valid):
            m.d.sync += request.eq(self.i.payload)

        word = Signal(max(field.width for _, field in self.words.shape()))
        with m.Switch(request.memory):
            with m.Case(Memory.SPMAT):
                m.d.comb += word.eq(self.words.spmat)
            with m.Case(Memory.PTR):
                m.d.comb += word.eq(self.words.ptr_even)
                with m.If(request.address[0]):
                    m.d.comb += word.eq(self.words.ptr_odd)
            with m.Case(Memory.CODEBOOK):
                m.d.comb += word.eq(self.words.codebook)

        # The value is output first, then the end.
        act_width = len(self.o.p.word[0])
        n_pieces  = -(-len(word) // act_width)
        has_value = Signal(reset_less=True)
        value     = data_register(m, self.o.p.word[0])
        m.d.comb += self.o.p.end.eq(~has_value)
        with m.If(pending):
            m.d.sync += [
                has_value.eq(request.pe == self.index),
                self.o.valid.eq(1),
                value.eq(word.word_select(request.data[:clog2(n_pieces)], act_width)),
            ]
        with m.Elif(self.o.valid & self.o.ready):
            m.d.sync += [
                has_value.eq(0),
                self.o.valid.eq(has_value),
            ]

        return m
