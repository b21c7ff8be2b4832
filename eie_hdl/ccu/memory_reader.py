from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EIEConfig, clog2
from ..format import Layouts, Memory, n_pieces

__all__ = ["MemoryReader", "request_layout"]


def _pieces_by_memory(config):
    """Return the number of pieces of a word of each memory, by its code."""
    return {memory.value: n_pieces(config, image.shape)
            for memory, image in Layouts.of(config).memories.items()}


def request_layout(config: EIEConfig) -> data.StructLayout:
    """Layout of a request to a PE: the number of a piece of the word at an address of a memory."""
    load = Layouts.of(config).load
    return data.StructLayout({
        **{name: load[name].shape for name in ("memory", "pe", "address")},
        "piece": range(max(_pieces_by_memory(config).values()))})


class MemoryReader(wiring.Component):
    """Reads words of a PE memory, or of the program, in pieces of `act_width` bits.

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
    request : :py:`Out(stream.Signature(request_layout(config)))`
        Requests to the PEs, each for one piece.
    answer : :py:`In(stream.Signature(layouts.result))`
        Answers of the PEs: for each request, a value in lane 0, and an end.
    program : :py:`In(memory.ReadPort.Signature(...))`
        The program memory.
    o : :py:`Out(stream.Signature(layouts.result))`
        Pieces, each in lane 0, low ones first, then one end.
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
            "request": Out(stream.Signature(request_layout(config))),
            "answer":  In(stream.Signature(layouts.result)),
            "program": In(memory.ReadPort.Signature(
                addr_width=clog2(config.program_depth), shape=layouts.descriptor.size)),
            "o":       Out(stream.Signature(layouts.result)),
        })

    def elaborate(self, platform):
        m = Module()

        n_pieces_of = _pieces_by_memory(self._config)
        offset   = Signal.like(self.i.p.count)    # words read
        piece    = Signal.like(self.request.p.piece)
        address  = Signal(self._layouts.load.members["address"])
        memory_code   = self.i.p.memory.as_value()
        pieces        = Array(n_pieces_of.get(code, 1) for code in range(1 << len(memory_code)))
        is_last_piece = piece + 1 == pieces[memory_code]
        is_last  = is_last_piece & (offset + 1 == self.i.p.count)
        is_program = self.i.p.memory == Memory.PROGRAM
        m.d.comb += [
            address.eq(self.i.p.address + offset),
            self.request.p.address.eq(address),
            self.request.p.piece.eq(piece),
            self.request.p.pe.eq(self.i.p.pe),
            self.request.p.memory.eq(self.i.p.memory),
            self.program.addr.eq(address),
        ]

        # A piece of the program has the form of a PE's answer: a value, then an end.
        ended         = Signal(reset_less=True)
        program_piece = Signal(self._layouts.result)
        m.d.comb += [
            program_piece.word[0].eq(self.program.data.word_select(piece, self._config.act_width)),
            program_piece.end.eq(ended),
        ]

        with m.FSM():
            with m.State("REQUEST"):
                m.d.comb += [
                    self.request.valid.eq(self.i.valid & ~is_program),
                    self.program.en.eq(self.i.valid & is_program),
                ]
                m.d.sync += ended.eq(0)
                with m.If((self.request.valid & self.request.ready) | self.program.en):
                    m.next = "ANSWER"

            with m.State("ANSWER"):
                found, taken = self._answer(m, is_program, program_piece, is_last)
                with m.If(taken & ~found.end):
                    m.d.sync += ended.eq(1)
                with m.If(taken & found.end):
                    m.d.sync += [
                        piece.eq(Mux(is_last_piece, 0, piece + 1)),
                        offset.eq(Mux(is_last, 0, offset + is_last_piece)),
                    ]
                    m.next = "REQUEST"

        return m

    def _answer(self, m, is_program, program_piece, is_last):
        """Forward an answer of the PEs, or `program_piece`.

        Of all ends, only the last is forwarded.

        Returns
        -------
        found : view of ``layouts.result``
            The answer.
        taken : :class:`~amaranth.hdl.Signal`
            Set in the cycle in which the answer is accepted.
        """
        found = self._layouts.result(Mux(is_program, program_piece, self.answer.payload))
        taken = Signal()
        m.d.comb += [
            self.o.payload.eq(found),
            self.o.valid.eq((is_program | self.answer.valid) & (~found.end | is_last)),
            taken.eq((is_program | self.answer.valid) & ((found.end & ~is_last) | self.o.ready)),
            self.answer.ready.eq(taken & ~is_program),
            self.i.ready.eq(taken & found.end & is_last),
        ]
        return found, taken
