from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import EIEConfig, clog2
from ..format import Layouts, Memory
from ..registers import REGISTER, Error
from .interfaces import load_beat

__all__ = ["FAULTS", "HeaderCheck", "max_count"]

#: Errors of load packets, in order of precedence.
FAULTS = (Error.PARTIAL_BEAT, Error.BAD_HEADER, Error.BAD_PE, Error.BAD_ADDRESS,
          Error.LOAD_IN_USE, Error.TRUNCATED, Error.OVERLONG)


def max_count(config: EIEConfig) -> int:
    """Return the greatest number of words of a valid load packet."""
    depths = [image.depth for image in Layouts.of(config).memories.values()]
    return max(*depths, config.act_depth * config.n_pe)


class HeaderCheck(wiring.Component):
    """Check of the header of a load packet.

    Latency is one cycle: what takes long, as sums, is registered with the beat.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    beat : :py:`In(load_beat)`
        The beat of the header.
    header : :py:`In(layouts.load_header)`
        The same header, in the cycle after `beat`.
    input_base, input_words, input_stride, in_use
        As in :class:`~eie_hdl.host.packet_reader.PacketReader`, in the cycle of `beat`.
    faults : :py:`Out(len(FAULTS))`
        Errors of the header, a bit for each of `FAULTS`, in the cycle after `beat`.
    """
    def __init__(self, config: EIEConfig):
        self._config  = config
        self._layouts = layouts = Layouts.of(config)
        super().__init__({
            "beat":          In(load_beat),
            "header":        In(layouts.load_header),
            "input_base":    In(REGISTER["INPUT_BASE"].width()),
            "input_words":   In(REGISTER["INPUT_WORDS"].width("words")),
            "input_stride":  In(REGISTER["INPUT_STRIDE"].width()),
            "in_use":        In(1),
            "faults":        Out(len(FAULTS)),
        })

    def elaborate(self, platform):
        m = Module()

        header   = self.header
        is_last  = Signal()
        is_part  = Signal()
        is_empty = Signal()
        is_used  = Signal()
        m.d.sync += [
            is_used.eq(self.in_use),
            is_last.eq(self.beat.last),
            is_part.eq(~self.beat.whole),
            is_empty.eq(self._layouts.load_header(self.beat.data).count == 0),
        ]
        is_input   = header.memory == Memory.INPUT
        is_program = header.memory == Memory.PROGRAM
        has_pe     = header.everyone | ~header.pe[clog2(self._config.n_pe):].any()
        has_memory = Cat(header.memory == memory for memory in Memory).any()
        m.d.comb += self.faults.eq(Cat(
            is_part,
            ~has_memory | header.reserved.any(),
            ~has_pe & ~is_input & ~is_program,
            ~self._has_words(m) | (is_input & ~self._has_buffer(m)),
            is_used & ~is_input,
            is_last & ~is_empty,
            ~is_last & is_empty))

        return m

    def _has_words(self, m):
        """Return a flag that is set if the memory has the words of the packet."""
        arriving = self._layouts.load_header(self.beat.data)
        is_input = arriving.memory == Memory.INPUT
        log_n_pe = clog2(self._config.n_pe)
        width    = max_count(self._config).bit_length()
        # Rows of an input buffer are counted in words, one of each PE. Greater numbers than fit
        # `end` are out of range in any memory.
        first    = Mux(is_input, arriving.address << log_n_pe, arriving.address)
        is_great = Signal()
        end      = Signal(width + 1)    # words up to the end of the packet
        limit    = Signal(width)        # words of the memory
        m.d.sync += [
            is_great.eq(first[width:].any() | arriving.count[width:].any()),
            end.eq(first[:width] + arriving.count[:width]),
        ]
        with m.Switch(arriving.memory):
            for memory, image in self._layouts.memories.items():
                with m.Case(memory):
                    m.d.sync += limit.eq(image.depth)
            with m.Case(Memory.INPUT):
                m.d.sync += limit.eq(self.input_words << log_n_pe)
        return ~is_great & (end <= limit)

    def _has_buffer(self, m):
        """Return a flag that is set if the input buffers fit the SRAM, and the one is there."""
        in_sram = Signal()
        has_two = Signal()
        # Without a buffer 1, the stride is 0.
        m.d.sync += [
            in_sram.eq(self.input_base + self.input_stride + self.input_words
                       <= self._config.act_depth),
            has_two.eq(self.input_stride.any()),
        ]
        return in_sram & (has_two | ~self.header.buffer)
