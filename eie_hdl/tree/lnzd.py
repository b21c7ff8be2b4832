"""Leading-nonzero detection (Han et al., ISCA 2016, section 4), within a word and across PEs."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import clog2
from ..lib.register_queue import RegisterQueue

__all__ = ["LeadingNonZero", "LnzdNode"]


class LeadingNonZero(wiring.Component):
    """Finds the first set bit of a mask by a balanced tree of multiplexers. Combinational.

    Parameters
    ----------
    width : :class:`int`
        Width of the mask.

    Members
    -------
    mask : :py:`In(width)`
        One bit per activation, set if it is nonzero.
    index : :py:`Out(range(width))`
        Lowest `n` for which ``mask[n]`` is set; zero if there is none.
    found : :py:`Out(1)`
        Set if any bit of the mask is set.
    """
    mask: Signal
    index: Signal
    found: Signal

    def __init__(self, width):
        if not isinstance(width, int) or width <= 0:
            raise TypeError(f"Mask width must be a positive integer, not {width!r}")

        super().__init__({
            "mask":  In(width),
            "index": Out(range(width)),
            "found": Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        def first(lo, hi):
            if hi - lo == 1:
                return self.mask[lo], Const(lo, self.index.shape())
            mid = (lo + hi) // 2
            (any_lo, index_lo), (any_hi, index_hi) = first(lo, mid), first(mid, hi)
            return any_lo | any_hi, Mux(any_lo, index_lo, index_hi)

        found, index = first(0, len(self.mask))
        m.d.comb += [
            self.found.eq(found),
            self.index.eq(Mux(found, index, 0)),
        ]

        return m


class LnzdNode(wiring.Component):
    """Node of the LNZD quadtree: merges the scans, or the results, of its children.

    Arbitration is round-robin. Of scans, children that offer nothing are skipped; columns are
    nearly in ascending order, so that neighbours share spmat words. Of results, each child is
    awaited until it has offered its end, in an earlier cycle: the order is exact. One that ends
    before another is skipped, as when a memory of a single PE is read. When all children offer
    their end, a single end is output. Throughput is one item per cycle, but for a turn of a child
    whose end just comes; latency is one cycle.

    Parameters
    ----------
    shape : :class:`~amaranth.lib.data.Layout`
        Payload, with a field `end`.
    n_children : :class:`int`, power of two
        Number of children: 4, or 2 at the root if the number of PEs is not a power of four.
    in_order : :class:`bool`
        Await each child in its turn.

    Members
    -------
    i : :py:`In(stream.Signature(shape)).array(n_children)`
        Children.
    o : :py:`Out(stream.Signature(shape))`
        Parent.
    """
    i: list[stream.Interface]
    o: stream.Interface

    def __init__(self, shape, *, n_children, in_order):
        if n_children not in (2, 4):
            raise ValueError(f"Number of children must be 2 or 4, not {n_children!r}")

        self._shape    = shape
        self._in_order = in_order
        super().__init__({
            "i": In(stream.Signature(shape)).array(n_children),
            "o": Out(stream.Signature(shape)),
        })

    def elaborate(self, platform):
        m = Module()

        n_children = len(self.i)
        m.submodules.output = output = RegisterQueue(self._shape)
        m.submodules.in_turn = in_turn = LeadingNonZero(n_children)
        m.submodules.wrapped = wrapped = LeadingNonZero(n_children)
        connect(m, output.o, flipped(self.o))

        valid = Cat(child.valid for child in self.i)
        end   = Cat(child.valid & child.payload.end for child in self.i)

        # Grant the first candidate from `turn` on, otherwise wrap around to the lowest. An end in
        # order counts a cycle later, so that who is granted depends on registers alone.
        turn       = Signal(clog2(n_children))
        ended      = Signal(n_children)
        candidates = Signal(n_children)
        m.d.sync += ended.eq(end)
        m.d.comb += [
            candidates.eq(~ended if self._in_order else valid & ~end),
            in_turn.mask.eq(candidates & (-1 << turn)),
            wrapped.mask.eq(candidates),
        ]

        granted = Signal(clog2(n_children))
        offers  = Signal()
        all_end = Signal()
        m.d.comb += [
            granted.eq(Mux(in_turn.found, in_turn.index, wrapped.index)),
            offers.eq(wrapped.found & (valid & ~end).bit_select(granted, 1)),
            all_end.eq(end.all()),
            output.i.payload.eq(Array(child.payload for child in self.i)[granted]),
            output.i.valid.eq(offers | all_end),
        ]
        with m.If(output.i.ready):
            with m.If(all_end):
                m.d.comb += [child.ready.eq(1) for child in self.i]
                m.d.sync += [turn.eq(0), ended.eq(0)]
            with m.Elif(offers):
                m.d.comb += Array(child.ready for child in self.i)[granted].eq(1)
                m.d.sync += turn.eq(granted + 1)

        return m
