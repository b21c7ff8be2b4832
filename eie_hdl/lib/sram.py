from amaranth.hdl import Assert, Format, MemoryData, Module, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import Out, connect, flipped

from ..config import clog2

__all__ = ["Sram"]


class Sram(wiring.Component):
    """Single-clock memory with one read port and one write port.

    Read data is valid one cycle after `r.addr`. There are two kinds:

    * Block RAM has an output register. Read data is held while `r.en` is deasserted, so that a
      stalled pipeline needs no further register. A row must not be read in the cycle in which it is
      written, which simulations check.
    * A register file, or LUT RAM, has an address register. Read data always reflects the current
      contents of the addressed row, including a simultaneous or later write.

    A row is plain bits, as in a macro; users view it through a layout of
    :class:`~eie_hdl.format.Layouts`.

    In Amaranth's simulator this is a :class:`~amaranth.lib.memory.Memory`. In Verilog, the platform
    of :mod:`eie_hdl.export.verilog` emits an instance of ``eie_sram`` or ``eie_regfile``, which
    can be replaced by a vendor macro.

    Parameters
    ----------
    width, depth : :class:`int`
        Bits per row, and number of rows.
    block : :class:`bool`
        Block RAM, or a macro, if true; a register file if false.
    image : :class:`str`
        File of the initial contents in simulation; if it begins with a dot, it is prefixed by the
        name of the enclosing instance. Empty for none.
    init : iterable of :class:`int`
        Initial contents, for Amaranth's simulator only.

    Attributes
    ----------
    data : :class:`~amaranth.hdl.MemoryData`
        Rows, for access by testbenches: ``ctx.get(dut.data[row])``.

    Members
    -------
    r : :py:`Out(memory.ReadPort.Signature(...))`
        Read port.
    w : :py:`Out(memory.WritePort.Signature(...))`
        Write port.
    """
    r: memory.ReadPort
    w: memory.WritePort

    def __init__(self, *, width, depth, block=True, image="", init=()):
        if not isinstance(width, int) or width <= 0:
            raise TypeError(f"SRAM width must be a positive integer, not {width!r}")
        if not isinstance(depth, int) or depth <= 1:
            raise TypeError(f"SRAM depth must be an integer of at least 2, not {depth!r}")

        self.width = width
        self.depth = depth
        self.block = block
        self.image = image
        self.data = MemoryData(shape=unsigned(width), depth=depth, init=init)

        super().__init__({
            "r": Out(memory.ReadPort.Signature(addr_width=clog2(depth), shape=unsigned(width))),
            "w": Out(memory.WritePort.Signature(addr_width=clog2(depth), shape=unsigned(width))),
        })

    def elaborate(self, platform):
        if hasattr(platform, "get_sram"):
            return platform.get_sram(self)

        m = Module()

        m.submodules.mem = mem = memory.Memory(self.data)
        connect(m, flipped(self.w), mem.write_port())
        if self.block:
            connect(m, flipped(self.r), mem.read_port())
            is_collision = self.r.en & self.w.en & (self.r.addr == self.w.addr)
            m.d.sync += Assert(~is_collision, Format(
                "row {} is read in the cycle in which it is written", self.w.addr))
        else:
            r_port = mem.read_port(domain="comb")
            m.d.comb += self.r.data.eq(r_port.data)
            with m.If(self.r.en):
                m.d.sync += r_port.addr.eq(self.r.addr)

        return m
