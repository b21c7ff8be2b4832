from itertools import accumulate, pairwise

from amaranth.hdl import Cat, Module, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import Out

from ..config import clog2
from .delayed import delayed
from .sram import Sram

__all__ = ["SkewedSram", "make_skewed_sram"]


class SkewedSram(wiring.Component):
    """Register file whose rows are in parts, each a cycle later than the one of the lower bits.

    Part `n` of a row is at `r.data` 1 + `n` cycles after `r.addr`, and is expected at `w.data` `n`
    cycles after `w.addr` and `w.en`. Each part is otherwise as a register file of
    :class:`~.sram.Sram`.

    Parameters
    ----------
    widths : sequence of :class:`int`
        Bits of the parts of a row, the lowest first.
    depth : :class:`int`
        Number of rows.
    init : iterable of :class:`int`
        Initial contents, for Amaranth's simulator only.

    Members
    -------
    r : :py:`Out(memory.ReadPort.Signature(...))`
        Read port.
    w : :py:`Out(memory.WritePort.Signature(...))`
        Write port.
    """
    r: memory.ReadPort
    w: memory.WritePort

    def __init__(self, *, widths, depth, init=()):
        self._places = tuple(pairwise(accumulate(widths, initial=0)))
        rows = list(init)
        self._parts = tuple(
            Sram(width=high - low, depth=depth, block=False,
                 init=[row >> low & (1 << high - low) - 1 for row in rows])
            for low, high in self._places)
        shape = unsigned(sum(widths))
        super().__init__({
            "r": Out(memory.ReadPort.Signature(addr_width=clog2(depth), shape=shape)),
            "w": Out(memory.WritePort.Signature(addr_width=clog2(depth), shape=shape)),
        })

    def elaborate(self, platform):
        m = Module()

        m.d.comb += self.r.data.eq(Cat(part.r.data for part in self._parts))
        for n, (part, (low, high)) in enumerate(zip(self._parts, self._places)):
            m.submodules[f"part_{n}"] = part
            m.d.comb += [
                part.r.addr.eq(delayed(m, self.r.addr, n, f"part_{n}_r_addr")),
                part.r.en.eq(delayed(m, self.r.en, n, f"part_{n}_r_en")),
                part.w.addr.eq(delayed(m, self.w.addr, n, f"part_{n}_w_addr")),
                part.w.en.eq(delayed(m, self.w.en, n, f"part_{n}_w_en", reset_less=False)),
                part.w.data.eq(self.w.data[low:high]),
            ]

        return m


def make_skewed_sram(*, widths, depth, init=()):
    """Create a :class:`SkewedSram`, or a plain register file for a row of one part."""
    if len(widths) == 1:
        return Sram(width=widths[0], depth=depth, block=False, init=init)
    return SkewedSram(widths=widths, depth=depth, init=init)
