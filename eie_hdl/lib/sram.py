from amaranth.hdl import MemoryData, Module, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import Out, connect, flipped

from ..config import clog2

__all__ = ["Sram"]


class Sram(wiring.Component):
    """Single-clock memory with one read and one write port.

    Read data is valid one cycle after `r.addr`. There are two kinds:

    * Block RAM has a register behind the array. Data is held while `r.en` is low: a stalled
      pipeline needs no register after it. A row must not be read while it is written.
    * A register file, or LUT RAM, has a register before it, for the address. A row read while it is
      written gives its new contents, and its data follows what is written later.

    A row is plain bits, as it is in a macro; who reads it looks at it through a layout of
    :class:`~eie_hdl.format.Layouts`.

    In Amaranth's simulator this is a :class:`~amaranth.lib.memory.Memory`. For Verilog the platform
    of :mod:`eie_hdl.export.verilog` makes it an instance of ``eie_sram`` or ``eie_regfile``,
    which a vendor's macro can replace.

    Parameters
    ----------
    width, depth : :class:`int`
        Bits in a row, and rows.
    block : :class:`bool`
        Whether it is block RAM, or a macro, rather than a register file.
    image : :class:`str`
        File of contents to load in simulation; one that begins with a dot is prefixed by the name
        of the instance around it. Empty if there is none.
    init : iterable of :class:`int`
        Contents at power-on, for Amaranth's simulator only.

    Attributes
    ----------
    data : :class:`~amaranth.hdl.MemoryData`
        The rows, for a testbench to look at: ``ctx.get(dut.data[row])``.

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
        else:
            r_port = mem.read_port(domain="comb")
            m.d.comb += self.r.data.eq(r_port.data)
            with m.If(self.r.en):
                m.d.sync += r_port.addr.eq(self.r.addr)

        return m
