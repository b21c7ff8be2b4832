"""Leading-nonzero detection within a word (Han et al., ISCA 2016, section 4)."""

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["LeadingNonZero"]


class LeadingNonZero(wiring.Component):
    """Finder of the first set bit of a mask, a balanced tree of multiplexers. Combinational.

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
