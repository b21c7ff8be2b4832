from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import EIEConfig, clog2
from ..format import Layouts, Memory
from ..registers import REGISTER, Error
from .axi import stream_beat
from .error_log import error_layout

__all__ = ["HeaderCheck"]


class HeaderCheck(wiring.Component):
    """Check of the header of a load packet.

    Latency is two cycles: sums are registered with the beat, the error one cycle later. Errors take
    precedence in the order PARTIAL_BEAT, BAD_HEADER, BAD_PE, BAD_ADDRESS, LOAD_IN_USE,
    TRUNCATED, OVERLONG.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    valid : :py:`In(1)`
        Strobe: `beat` is a header.
    beat : :py:`In(stream_beat)`
        The beat of the header.
    header : :py:`In(layouts.load_header)`
        The same header, in the cycle after `valid`; zero if the beat is partial.
    input_base, input_words, input_stride, in_use
        As in :class:`~eie_hdl.host.packet_reader.PacketReader`, in the cycle after `valid`.
    error : :py:`Out(error_layout)`
        Error of the header, two cycles after `valid`. Registered.
    """
    def __init__(self, config: EIEConfig):
        self._config  = config
        self._layouts = layouts = Layouts.of(config)
        super().__init__({
            "valid":         In(1),
            "beat":          In(stream_beat),
            "header":        In(layouts.load_header),
            "input_base":    In(REGISTER["INPUT_BASE"].width()),
            "input_words":   In(REGISTER["INPUT_WORDS"].width("words")),
            "input_stride":  In(REGISTER["INPUT_STRIDE"].width()),
            "in_use":        In(1),
            "error":         Out(error_layout),
        })

    def elaborate(self, platform):
        m = Module()

        # The sum is registered with the beat, as the comparison that follows is slow.
        arriving = self._layouts.load_header(self.beat.data)
        log_n_pe = clog2(self._config.n_pe)
        last = Signal()
        part = Signal()
        end  = Signal(len(arriving.address) + log_n_pe + 1)    # words up to the end of the packet
        with m.If(self.valid):
            m.d.sync += [
                last.eq(self.beat.last),
                part.eq(~self.beat.keep.all()),
                end.eq((arriving.address << Mux(arriving.memory == Memory.INPUT, log_n_pe, 0))
                       + arriving.count),
            ]

        has_memory, has_pe, has_words, is_free = self._look_up(m, end)
        header = self.header
        code   = Signal.like(self.error.code)
        with m.If(part):
            m.d.comb += code.eq(Error.PARTIAL_BEAT)
        with m.Elif(~has_memory | header.reserved.any()):
            m.d.comb += code.eq(Error.BAD_HEADER)
        with m.Elif(~has_pe):
            m.d.comb += code.eq(Error.BAD_PE)
        with m.Elif(~has_words):
            m.d.comb += code.eq(Error.BAD_ADDRESS)
        with m.Elif(~is_free):
            m.d.comb += code.eq(Error.LOAD_IN_USE)
        with m.Elif(last & header.count.any()):
            m.d.comb += code.eq(Error.TRUNCATED)
        with m.Elif(~last & ~header.count.any()):
            m.d.comb += code.eq(Error.OVERLONG)

        m.d.sync += [
            self.error.code.eq(code),
            self.error.address.eq(header.address),
            self.error.memory.eq(header.memory),
            self.error.pe.eq(header.pe),
        ]

        return m

    def _look_up(self, m, end):
        """Return four bits: memory, PE and words up to `end` exist, and writing is allowed."""
        header     = self.header
        log_n_pe   = clog2(self._config.n_pe)
        limit      = Signal.like(end)    # depth of the memory
        in_sram    = Signal()            # the input buffers fit the SRAM
        has_memory = Signal(init=1)
        has_pe     = Signal(init=1)
        has_buffer = Signal(init=1)
        is_free    = Signal()
        m.d.comb += is_free.eq(~self.in_use)
        # Without a buffer 1, the stride is 0.
        m.d.sync += in_sram.eq(self.input_base + self.input_stride + self.input_words
                               <= self._config.act_depth)
        with m.Switch(header.memory):
            for memory, image in self._layouts.memories.items():
                with m.Case(memory):
                    m.d.comb += limit.eq(image.depth)
                    if memory is not Memory.PROGRAM:
                        m.d.comb += has_pe.eq(header.everyone | ~header.pe[log_n_pe:].any())
            with m.Case(Memory.INPUT):
                m.d.comb += [
                    limit.eq(self.input_words << log_n_pe),
                    has_buffer.eq(in_sram & (self.input_stride.any() | ~header.buffer)),
                    is_free.eq(1),
                ]
            with m.Default():
                m.d.comb += has_memory.eq(0)
        return has_memory, has_pe, has_buffer & (end <= limit), is_free
