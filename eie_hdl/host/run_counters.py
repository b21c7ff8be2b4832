from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import EIEConfig, clog2
from ..format import COUNTER_WIDTH, COUNTERS
from ..registers import REGISTER_WIDTH
from .register_ports import RegisterPorts

__all__ = ["RunCounters"]


class RunCounters(wiring.Component):
    """Registers of the last program: counters, overflow, and the number of programs.

    They are updated in the second cycle after `done`, when the core's own have settled. The
    counters are also updated on request, with bit `latch` of register CONTROL.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    registers : :py:`In(RegisterPorts(...))`
        Registers CONTROL, PROGRAMS, OVERFLOW and of each counter.
    counters : :py:`In(wiring.Signature({name: Out(64) for name in COUNTERS}))`
        Counters of the core.
    overflow : :py:`In(1)`
        An accumulator overflowed in the program.
    overflow_tile : :py:`In(clog2(program_depth))`
        Number of the first tile in which one did.
    done : :py:`In(1)`
        Strobe: a program has ended.
    clear : :py:`In(1)`
        Strobe: set all registers to zero.
    """
    def __init__(self, config: EIEConfig):
        names = [f"{name.upper()}_{half}" for name in COUNTERS for half in ("LO", "HI")]
        super().__init__({
            "registers":     In(RegisterPorts.of("CONTROL", "PROGRAMS", "OVERFLOW", *names)),
            "counters":      In(wiring.Signature({name: Out(COUNTER_WIDTH) for name in COUNTERS})),
            "overflow":      In(1),
            "overflow_tile": In(clog2(config.program_depth)),
            "done":          In(1),
            "clear":         In(1),
        })

    def elaborate(self, platform):
        m = Module()

        registers = self.registers
        ended = Signal()
        latch = Signal()
        m.d.sync += ended.eq(self.done)
        m.d.comb += latch.eq(ended | (registers.control_write & registers.control_latch))
        with m.If(ended):
            m.d.sync += [
                registers.programs_value.eq(registers.programs_value + 1),
                registers.overflow_any.eq(self.overflow),
                registers.overflow_tile.eq(self.overflow_tile),
            ]
        with m.If(self.clear):
            m.d.sync += [
                registers.programs_value.eq(0),
                registers.overflow_any.eq(0),
                registers.overflow_tile.eq(0),
            ]

        self._latch_counters(m, latch)

        return m

    def _latch_counters(self, m, latch):
        """Copy the counters of the core; the two halves of one are then of the same cycle."""
        for name in COUNTERS:
            latched = Signal(COUNTER_WIDTH, name=f"latched_{name}")
            with m.If(latch):
                m.d.sync += latched.eq(getattr(self.counters, name))
            with m.If(self.clear):
                m.d.sync += latched.eq(0)
            m.d.comb += [
                getattr(self.registers, f"{name}_lo_value").eq(latched[:REGISTER_WIDTH]),
                getattr(self.registers, f"{name}_hi_value").eq(latched[REGISTER_WIDTH:]),
            ]
