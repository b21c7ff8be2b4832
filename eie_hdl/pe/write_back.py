from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import ACTS_PER_WORD, EIEConfig, clog2
from ..format import Layouts
from ..numeric import limits
from .mac import Mac

__all__ = ["WriteBack"]


class WriteBack(wiring.Component):
    """Makes activations of drained accumulators: shift, round, ReLU, saturate, four to a word.

    ``saturate(relu(round_shift(acc, shift)))``, as :mod:`eie_hdl.numeric` defines them. One row a
    cycle; a word is written four cycles after its last row.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    tile : :py:`In(stream.Signature(layouts.end))`
        What to do with the rows that follow. Accepted when those of the tile before are written.
    i : :py:`In(stream.Signature(Mac.sum_layout(config), always_ready=True))`
        Rows, a multiple of four.
    written : :py:`Out(stream.Signature(1))`
        The tile is in the SRAM. The payload tells whether an accumulator overflowed.
    w : :py:`In(memory.WritePort.Signature(...))`
        The activation SRAM.
    """
    tile: stream.Interface
    i: stream.Interface
    written: stream.Interface
    w: memory.WritePort

    def __init__(self, config: EIEConfig):
        self._layouts = layouts = Layouts(config)
        self._config = config
        super().__init__({
            "tile":    In(stream.Signature(layouts.end)),
            "i":       In(stream.Signature(Mac.sum_layout(config), always_ready=True)),
            "written": Out(stream.Signature(1)),
            "w":       In(memory.WritePort.Signature(
                addr_width=clog2(config.act_depth), shape=layouts.act_word.size)),
        })

    def elaborate(self, platform):
        m = Module()

        config = self._config
        busy   = Signal()
        shift  = Signal(self._layouts.end.members["shift"])
        relu   = Signal()
        m.d.comb += self.tile.ready.eq(~busy & ~self.written.valid)
        with m.If(self.tile.valid & self.tile.ready):
            m.d.sync += [
                busy.eq(1),
                shift.eq(self.tile.p.shift),
                relu.eq(self.tile.p.relu),
                self.w.addr.eq(self.tile.p.destination - 1),
            ]

        # Two stages of shift, by multiples of eight and by the rest. One bit more is kept below
        # the point, to round by.
        s2_valid = Signal()
        s2_last  = Signal()
        s2_value = Signal(signed(config.acc_width + 1))
        s3_valid = Signal()
        s3_last  = Signal()
        s3_value = Signal(signed(config.acc_width + 1))
        m.d.sync += [
            s2_valid.eq(self.i.valid),
            s2_last.eq(self.i.p.last),
            s2_value.eq(Cat(Const(0, 1), self.i.p.acc).as_signed() >> Cat(Const(0, 3), shift[3:])),
            s3_valid.eq(s2_valid),
            s3_last.eq(s2_last),
            s3_value.eq(s2_value >> shift[:3]),
        ]

        # Then round, and what does not fit is replaced.
        low, high = limits(config.act_width)
        rounded = (s3_value + 1) >> 1
        fits    = rounded[config.act_width - 1:].all() | ~rounded[config.act_width - 1:].any()
        s4_valid = Signal()
        s4_last  = Signal()
        s4_value = Signal(self._layouts.value)
        m.d.sync += [
            s4_valid.eq(s3_valid),
            s4_last.eq(s3_last),
            s4_value.eq(Mux(relu & s3_value[-1], 0,
                            Mux(fits, rounded, Mux(s3_value[-1], low, high)))),
        ]

        # Collect a word; it is written in the cycle after its last row.
        lane = Signal(range(ACTS_PER_WORD))
        done = Signal()
        m.d.sync += self.w.en.eq(0)
        with m.If(s4_valid):
            m.d.sync += [
                lane.eq(lane + 1),
                self.w.data.eq(Cat(self.w.data[config.act_width:], s4_value)),
            ]
            with m.If(lane == ACTS_PER_WORD - 1):
                m.d.sync += [
                    self.w.en.eq(1),
                    self.w.addr.eq(self.w.addr + 1),
                    done.eq(s4_last),
                ]
        with m.If(done):
            m.d.sync += [
                done.eq(0),
                busy.eq(0),
                self.written.valid.eq(1),
            ]
        with m.Elif(self.written.ready):
            m.d.sync += self.written.valid.eq(0)
        with m.If(self.i.valid & self.i.p.last):
            m.d.sync += self.written.payload.eq(self.i.p.overflow)

        return m
