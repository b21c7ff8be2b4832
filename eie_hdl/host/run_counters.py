from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import EIEConfig, clog2
from .register_ports import RegisterPorts

__all__ = ["RunCounters"]


class RunCounters(wiring.Component):
    """Registers of the last program, overflow and the number of programs, and copies of counters.

    They are updated in the second cycle after `done`, when the core's own have settled. Counters
    are also copied on request, with bit `latch` of register CONTROL.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    registers : :py:`In(RegisterPorts(...))`
        Registers CONTROL, PROGRAMS and OVERFLOW.
    copy : :py:`Out(1)`
        Strobe, one cycle after `done` or a request: copy the counters. Registered.
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
        super().__init__({
            "registers":     In(RegisterPorts.of("CONTROL", "PROGRAMS", "OVERFLOW")),
            "copy":          Out(1),
            "overflow":      In(1),
            "overflow_tile": In(clog2(config.program_depth)),
            "done":          In(1),
            "clear":         In(1),
        })

    def elaborate(self, platform):
        m = Module()

        registers = self.registers
        ended = Signal()
        m.d.sync += [
            ended.eq(self.done),
            self.copy.eq(self.done | (registers.control_write & registers.control_latch)),
        ]
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

        return m
