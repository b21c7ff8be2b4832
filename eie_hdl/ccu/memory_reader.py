from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EIEConfig, clog2
from ..format import Layouts, Memory, n_pieces

__all__ = ["MemoryReader"]


class MemoryReader(wiring.Component):
    """Memory readback: words of a PE, or of the program, in pieces of `act_width` bits.

    Each piece is requested separately, because a PE keeps no state of a read. A piece takes the
    round trip of a message to the PEs and back.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    i : :py:`In(stream.Signature(layouts.read))`
        Requests: at least one word, of any memory but `ACT` and `INPUT`. Accepted with the last
        piece.
    request : :py:`Out(stream.Signature(layouts.load))`
        Requests to the PEs, each for one piece.
    answer : :py:`In(stream.Signature(layouts.scan))`
        Answers of the PEs: for each request, a value and an end.
    program : :py:`In(memory.ReadPort.Signature(...))`
        The program memory.
    o : :py:`Out(stream.Signature(layouts.scan))`
        Pieces, low ones first, then one end.
    """
    i: stream.Interface
    request: stream.Interface
    answer: stream.Interface
    program: memory.ReadPort
    o: stream.Interface

    def __init__(self, config: EIEConfig):
        self._config = config
        self._layouts = layouts = Layouts.of(config)
        super().__init__({
            "i":       In(stream.Signature(layouts.read)),
            "request": Out(stream.Signature(layouts.load)),
            "answer":  In(stream.Signature(layouts.scan)),
            "program": In(memory.ReadPort.Signature(
                addr_width=clog2(config.program_depth), shape=layouts.descriptor.size)),
            "o":       Out(stream.Signature(layouts.scan)),
        })

    def elaborate(self, platform):
        m = Module()

        counts   = {place.value: n_pieces(self._config, image.shape)
                    for place, image in self._layouts.memories.items()}
        offset   = Signal.like(self.i.p.count)    # words read
        piece    = Signal(range(max(counts.values())))
        address  = Signal(self._layouts.load.members["address"])
        which    = self.i.p.memory.as_value()
        pieces   = Array(counts.get(place, 1) for place in range(1 << len(which)))
        is_last_piece = piece + 1 == pieces[which]
        is_last  = is_last_piece & (offset + 1 == self.i.p.count)
        is_program = self.i.p.memory == Memory.PROGRAM
        m.d.comb += [
            address.eq(self.i.p.address + offset),
            self.request.p.address.eq(address),
            self.request.p.data.eq(piece),
            self.request.p.pe.eq(self.i.p.pe),
            self.request.p.memory.eq(self.i.p.memory),
            self.request.p.read.eq(1),
            self.program.addr.eq(address),
        ]

        # Pieces of the program are formed here, as a PE would: a value and an end.
        ended = Signal()
        here  = Signal(self._layouts.scan)
        m.d.comb += [
            here.value.eq(self.program.data.word_select(piece, self._config.act_width)),
            here.end.eq(ended),
        ]

        with m.FSM():
            with m.State("ASK"):
                m.d.comb += [
                    self.request.valid.eq(self.i.valid & ~is_program),
                    self.program.en.eq(self.i.valid & is_program),
                ]
                m.d.sync += ended.eq(0)
                with m.If((self.request.valid & self.request.ready) | self.program.en):
                    m.next = "ANSWER"

            with m.State("ANSWER"):
                found, taken = self._answer(m, is_program, here, is_last)
                with m.If(taken & ~found.end):
                    m.d.sync += ended.eq(1)
                with m.If(taken & found.end):
                    m.d.sync += [
                        piece.eq(Mux(is_last_piece, 0, piece + 1)),
                        offset.eq(Mux(is_last, 0, offset + is_last_piece)),
                    ]
                    m.next = "ASK"

        return m

    def _answer(self, m, is_program, here, is_last):
        """Forward an answer, from `here` or from the PEs. Return it, and whether it is accepted.

        Of all ends, only the last is forwarded.
        """
        found = self._layouts.scan(Mux(is_program, here, self.answer.payload))
        taken = Signal()
        m.d.comb += [
            self.o.payload.eq(found),
            self.o.valid.eq((is_program | self.answer.valid) & (~found.end | is_last)),
            taken.eq((is_program | self.answer.valid) & ((found.end & ~is_last) | self.o.ready)),
            self.answer.ready.eq(taken & ~is_program),
            self.i.ready.eq(taken & found.end & is_last),
        ]
        return found, taken
