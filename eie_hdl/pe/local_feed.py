from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EIEConfig, clog2
from ..format import N_SEGMENTS, Kind, Layouts
from ..lib.sram import Sram

__all__ = ["LocalFeed"]


class LocalFeed(wiring.Component):
    """Feeds a PE with the activations that it finds itself: local mode.

    They are added to the messages that are broadcast, which have priority. Before the first tile of
    a descriptor, its end is broadcast as a `LOCAL_END`; until then, what has been found waits. The
    end is repeated for each tile, after the last activation that this PE has found in it, and only
    then the tree gets the end of the scan. What is not of a local tile is passed on to the tree.

    Throughput is one activation per cycle; between an end and the next activation, three cycles
    pass. Latency is two cycles; messages, and what is passed on to the tree, are not delayed.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration, with ``local``.

    Members
    -------
    segment : :py:`In(stream.Signature(layouts.start, always_ready=True))`
        Segments, as the scanner gets them.
    found : :py:`In(stream.Signature(layouts.leaf_scan))`
        What the scanner finds.
    message : :py:`In(stream.Signature(layouts.message, always_ready=True))`
        Messages that are broadcast; no activations and ends while local tiles are computed.
    filling : :py:`In(1)`
        The activation queue is filling.
    tree : :py:`Out(stream.Signature(layouts.scan))`
        Activations to broadcast, and ends of scans.
    o : :py:`Out(stream.Signature(layouts.message, always_ready=True))`
        Messages for the pointer read.
    """
    segment: stream.Interface
    found: stream.Interface
    message: stream.Interface
    filling: Signal
    tree: stream.Interface
    o: stream.Interface

    def __init__(self, config: EIEConfig):
        self._log_n_pe = clog2(config.n_pe)
        self._layouts  = layouts = Layouts.of(config)
        self._origin   = data.StructLayout({"pointer": layouts.start["origin"].shape, "closes": 1})
        self._origins  = Sram(width=self._origin.size, depth=N_SEGMENTS, block=False)
        super().__init__({
            "segment": In(stream.Signature(layouts.start, always_ready=True)),
            "found":   In(stream.Signature(layouts.leaf_scan)),
            "message": In(stream.Signature(layouts.message, always_ready=True)),
            "filling": In(1),
            "tree":    Out(stream.Signature(layouts.scan)),
            "o":       Out(stream.Signature(layouts.message, always_ready=True)),
        })

    def elaborate(self, platform):
        m = Module()

        s1_valid = Signal()
        s1_taken = Signal()
        s2_valid = Signal()
        s1, origin = self._take(m, s1_valid, s1_taken, is_idle=~s1_valid & ~s2_valid)

        # Stage 2: a message, as soon as the end of its tile is known.
        s2_end = Signal(reset_less=True)
        s2     = Signal(data.UnionLayout({"activation": self._layouts.activation,
                                          "end": self._layouts.end}), reset_less=True)
        feeds  = Signal()
        end, is_open = self._keep_end(m, feeds & s2_end, s2.end.ends_loop)
        activation   = Signal(self._layouts.activation)
        m.d.comb += [
            s1_taken.eq(is_open & (~s2_valid | feeds)),
            activation.value.eq(s1.value),
            activation.pointer.eq(origin.pointer + s1.column[self._log_n_pe:]),
        ]
        with m.If(feeds):
            m.d.sync += s2_valid.eq(0)
        with m.If(s1_taken):
            m.d.sync += [s2_valid.eq(s1_valid), s2_end.eq(s1.end),
                         s2.activation.eq(activation)]
            with m.If(s1.end):
                m.d.sync += [s2.end.eq(end), s2.end.ends_loop.eq(origin.closes)]

        m.d.comb += [
            feeds.eq(s2_valid & ~self.filling & ~self.message.valid),
            self.o.valid.eq(feeds),
            self.o.p.kind.eq(Mux(s2_end, Kind.END, Kind.ACTIVATION)),
            self.o.p.body.eq(s2.as_value()),
        ]
        with m.If(self.message.valid):
            m.d.comb += [
                self.o.payload.eq(self.message.payload),
                self.o.valid.eq(self.message.p.kind != Kind.LOCAL_END),
            ]

        return m

    def _take(self, m, s1_valid, s1_taken, is_idle):
        """Take what is found, of local tiles to stage 1, and the rest to the tree.

        The end of a local tile goes to stage 1 and, once the stages are empty (`is_idle`), also to
        the tree. Return stage 1, and where its pointers are.
        """
        m.submodules.origins = origins = self._origins
        number = Signal(clog2(N_SEGMENTS))
        start  = Signal(self._origin)
        with m.If(self.segment.valid):
            m.d.sync += number.eq(number + 1)
        m.d.comb += [
            start.pointer.eq(self.segment.p.origin),
            start.closes.eq(self.segment.p.closes),
            origins.w.addr.eq(number),
            origins.w.data.eq(start),
            origins.w.en.eq(self.segment.valid),
            origins.r.addr.eq(self.found.p.segment),
        ]

        found    = self.found.p
        s1       = Signal.like(found, reset_less=True)
        ends     = Signal()    # what is found is an end that has entered stage 1
        is_local = found["local"]
        takes    = self.found.valid & is_local & ~ends & (~s1_valid | s1_taken)
        m.d.comb += [
            origins.r.en.eq(takes),
            self.tree.payload.eq(Cat(found[name] for name in self.tree.p.shape().members)),
            self.tree.valid.eq(self.found.valid & (~is_local | (ends & is_idle))),
            self.found.ready.eq((takes & ~found.end) | (self.tree.valid & self.tree.ready)),
        ]
        with m.If(s1_taken):
            m.d.sync += s1_valid.eq(0)
        with m.If(takes):
            m.d.sync += [s1_valid.eq(1), s1.eq(found), ends.eq(found.end)]
        with m.If(self.tree.valid & self.tree.ready):
            m.d.sync += ends.eq(0)
        return s1, data.View(self._origin, origins.r.data)

    def _keep_end(self, m, repeats, closes):
        """Keep the end of local tiles until the last one, when it `repeats` and `closes`.

        Return the end, and if there is one. It has `begins_loop` until it has been repeated.
        """
        end     = Signal(self._layouts.end, reset_less=True)
        is_open = Signal()
        with m.If(repeats):
            m.d.sync += [end.begins_loop.eq(0), is_open.eq(~closes)]
        with m.If(self.message.valid & (self.message.p.kind == Kind.LOCAL_END)):
            m.d.sync += [end.eq(self.message.p.body.end), end.begins_loop.eq(1), is_open.eq(1)]
        return end, is_open
