from amaranth.hdl import Module, Shape, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EIEConfig, clog2
from ..format import Kind, Layouts, Memory
from .sequencer import message_layout

__all__ = ["Broadcaster"]


class Broadcaster(wiring.Component):
    """Broadcast to the PEs: messages of the sequencer, and words of load packets between them.

    Throughput is one message or word per cycle; latency is one cycle. Messages have priority. While
    a program runs, a PE may need two cycles to write a word: words go to the PEs in turn, and if
    there is only one, no other word is sent in the next cycle. Words for the program memory are
    written directly, and not broadcast.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    message : :py:`In(stream.Signature(message_layout(config)))`
        Messages.
    load : :py:`In(stream.Signature(layouts.load))`
        Words.
    stop : :py:`In(1)`
        An activation queue might overflow: send no message.
    busy : :py:`In(1)`
        A program runs.
    o : :py:`Out(stream.Signature(layouts.message, always_ready=True))`
        Messages, including words as kind `Kind.LOAD`. Registered.
    program : :py:`In(memory.WritePort.Signature(...))`
        The program memory.
    """
    message: stream.Interface
    load: stream.Interface
    stop: Signal
    busy: Signal
    o: stream.Interface
    program: memory.WritePort

    def __init__(self, config: EIEConfig):
        self._n_pe = config.n_pe
        layouts = Layouts.of(config)
        program = layouts.memories[Memory.PROGRAM]
        super().__init__({
            "message": In(stream.Signature(message_layout(config))),
            "load":    In(stream.Signature(layouts.load)),
            "stop":    In(1),
            "busy":    In(1),
            "o":       Out(stream.Signature(layouts.message, always_ready=True)),
            "program": In(memory.WritePort.Signature(
                addr_width=clog2(program.depth), shape=Shape.cast(program.shape).width)),
        })

    def elaborate(self, platform):
        m = Module()

        word       = self.load.p
        is_program = word.memory == Memory.PROGRAM
        sends_message = Signal()
        sends_word    = Signal()
        must_pause    = Signal()
        m.d.comb += [
            self.message.ready.eq(~self.stop),
            self.load.ready.eq(~sends_message & ~(must_pause & self.busy)),
            sends_message.eq(self.message.valid & self.message.ready),
            sends_word.eq(self.load.valid & self.load.ready),
            self.program.addr.eq(word.address),
            self.program.data.eq(word.data),
            self.program.en.eq(sends_word & is_program),
        ]

        m.d.sync += [
            self.o.valid.eq(sends_message | (sends_word & ~is_program)),
            self.o.p.kind.eq(Kind.LOAD),
            self.o.p.body.load.eq(word),
        ]
        if self._n_pe == 1:
            m.d.sync += must_pause.eq(sends_word)
        with m.If(sends_message):
            m.d.sync += [self.o.p.kind.eq(self.message.p.kind),
                         self.o.p.body.eq(self.message.p.body.as_value())]

        return m
