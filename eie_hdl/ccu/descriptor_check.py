from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import ACTS_PER_WORD, EIEConfig, clog2
from ..format import LOCAL_MULTIPLES, N_SEGMENTS, Layouts, Table, reads_factors
from ..registers import REGISTER, Error

__all__ = ["DescriptorCheck"]


class DescriptorCheck(wiring.Component):
    """Checks a descriptor before it is executed. Latency is one cycle.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    descriptor : :py:`In(layouts.descriptor)`
        The descriptor. It must be kept, like the other inputs, until `code` is used.
    source : :py:`In(layouts.start.source + 1 bit)`
        First row of its source, including the offset of the program's buffer.
    destination : :py:`In(layouts.end.destination + 1 bit)`
        First row of its destination, including this offset.
    last : :py:`In(1)`
        The descriptor is the last word of the program memory.
    code : :py:`Out(8)`
        Error of the descriptor, an :class:`~eie_hdl.registers.Error`.
    """
    def __init__(self, config: EIEConfig):
        self._config = config
        layouts = Layouts.of(config)
        row = layouts.start.members["source"]
        super().__init__({
            "descriptor":  In(layouts.descriptor),
            "source":      In(unsigned(row.width + 1)),
            "destination": In(unsigned(row.width + 1)),
            "last":        In(1),
            "code":        Out(REGISTER["ERROR"].width("code")),
        })

    def elaborate(self, platform):
        m = Module()

        config, start, end = self._config, self.descriptor.start, self.descriptor.end
        source          = self._register(m, "source", self.source)
        destination     = self._register(m, "destination", self.destination)
        # Sums keep their carry: a tile may be larger than the memory.
        source_end      = self._register(m, "source_end", self.source + start.last_word)
        last_written    = self.descriptor.loop.last_slot >> clog2(ACTS_PER_WORD) \
            if config.loops else end.last_word
        destination_end = self._register(m, "destination_end", self.destination + last_written)
        bias_end        = self._register(m, "bias_end", end.bias + end.last_word)
        overlaps        = Signal()
        bad_source      = Signal()
        bad_tile        = Signal()
        m.d.comb += [
            overlaps.eq((destination <= source_end) & (source <= destination_end)),
            bad_source.eq(source_end >= config.act_depth),
            bad_tile.eq(~start.send & (
                overlaps | (destination_end >= config.act_depth) | (bias_end >= config.act_depth)
                | (start.codebook >= config.n_codebooks)
                | (end.bias_shift > config.max_bias_shift)
                | (self._find_bad_loop(m) if config.loops else 0))),
        ]
        with m.If(~self.descriptor.valid | (self.last & ~self.descriptor.final)):
            m.d.comb += self.code.eq(Error.NO_END)
        with m.Elif(bad_source | bad_tile):
            m.d.comb += self.code.eq(Error.BAD_DESCRIPTOR)

        return m

    def _find_bad_loop(self, m):
        """Return if the loop has no columns, or bad segments, pointers, slots or multiples.

        The same for a bad table, factors out of range, and a product that is scaled.
        """
        config, end = self._config, self.descriptor.end
        loop, ptr_base = self.descriptor.loop, self.descriptor.ptr_base
        last_row    = Cat(end.last_lane, end.last_word)
        n_pointers  = loop.columns
        is_bad      = ((loop.width == 0) | (loop.length == 0) | (loop.length > loop.columns)
                       | (loop.columns > loop.length * N_SEGMENTS) | (loop.last_slot < last_row))
        if config.local:
            log_n_pe   = clog2(config.n_pe)
            n_pointers = Mux(loop.local, loop.columns >> log_n_pe, loop.columns)
            is_bad |= loop.local & Cat(loop[name][:log_n_pe] for name in LOCAL_MULTIPLES).any()
        pointer_end = self._register(m, "pointer_end", ptr_base + n_pointers)
        bad_loop    = Signal(reset_less=True)
        if config.tables:
            is_bad |= end.table > max(table.value for table in Table)
        if config.products and config.scales:
            is_bad |= end.multiply & end.scale
        m.d.sync += bad_loop.eq(is_bad)
        exceeds     = pointer_end >= config.n_pointers
        if config.products or config.scales:
            last_factors = end.last_word
            if config.scales:    # two words for each
                last_factors = Mux(end.scale, Cat(1, end.last_word), end.last_word)
            factor_end = self._register(m, "factor_end", end.factor + last_factors)
            exceeds |= reads_factors(config, end) & (factor_end >= config.act_depth)
        return bad_loop | exceeds

    def _register(self, m, name, row):
        """Register a row, as its comparison with others is slow."""
        register = Signal(row.shape(), name=name, reset_less=True)
        m.d.sync += register.eq(row)
        return register
