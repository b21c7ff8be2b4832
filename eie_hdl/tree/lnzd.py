"""Leading-nonzero detection across PEs (Han et al., ISCA 2016, section 4)."""

from functools import reduce
from operator import or_

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import clog2
from ..lib.register_queue import RegisterQueue

__all__ = ["LnzdNode"]


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
        connect(m, output.o, flipped(self.o))

        item    = Signal(n_children)
        end     = Signal(n_children)
        all_end = Signal()
        m.d.comb += [
            item.eq(Cat(child.valid & ~child.payload.end for child in self.i)),
            end.eq(Cat(child.valid & child.payload.end for child in self.i)),
            all_end.eq(end.all()),
        ]

        candidates = Signal(n_children)
        if self._in_order:
            # An end counts a cycle later, so that who is granted depends on registers alone.
            ended = Signal(n_children)
            m.d.comb += candidates.eq(~ended)
            m.d.sync += ended.eq(Mux(output.i.ready & all_end, 0, end))
        else:
            m.d.comb += candidates.eq(item)

        # Grant the first candidate from `turn` on, around all children. Each child has a bit of its
        # own, which takes fewer levels of logic than an index.
        turn    = Signal(clog2(n_children))
        granted = Signal(n_children)
        for child in range(n_children):
            before = Array(sum(1 << (first + n) % n_children
                               for n in range((child - first) % n_children))
                           for first in range(n_children))
            m.d.comb += granted[child].eq(candidates[child] & ~(candidates & before[turn]).any())

        def of_granted(values):
            """Return the value of the granted child, zero if there is none."""
            return reduce(or_, (Mux(grant, value, 0) for grant, value in zip(granted, values)))

        taken = Signal(n_children)
        m.d.comb += [
            taken.eq(granted & item),
            output.i.payload.eq(of_granted(child.payload.as_value() for child in self.i)),
            output.i.payload.end.eq(all_end),
            output.i.valid.eq(taken.any() | all_end),
        ]
        m.d.comb += [child.ready.eq(output.i.ready & (all_end | takes))
                     for child, takes in zip(self.i, taken)]
        with m.If(output.i.ready):
            with m.If(all_end):
                m.d.sync += turn.eq(0)
            with m.Elif(taken.any()):
                m.d.sync += turn.eq(of_granted((n + 1) % n_children for n in range(n_children)))

        return m
