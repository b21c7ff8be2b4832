from amaranth.hdl import Array, Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EIEConfig, clog2
from ..format import N_BUFFERS, Layouts
from ..registers import REGISTER, Error

__all__ = ["ProgramTable", "fault_layout"]


def fault_layout(config: EIEConfig) -> data.StructLayout:
    """Fault of a program: an :class:`~eie_hdl.registers.Error`, and the number of the descriptor.
    """
    return data.StructLayout({"code": REGISTER["ERROR"].width("code"),
                              "address": unsigned(clog2(config.program_depth))})


class ProgramTable(wiring.Component):
    """Programs in flight, at most one for each input buffer, in the order of their starts.

    The oldest program is the next to end, and the only one whose fault is reported: until then, a
    younger program with a fault only takes no further step.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    run : :py:`In(stream.Signature(layouts.run))`
        Starts of programs, accepted if no program with this input buffer is in flight.
    hold : :py:`In(1)`
        Accept no start.
    selected : :py:`In(1)`
        Program that takes the next step, by its input buffer.
    step, final : :py:`In(1)`
        Strobe: the selected program has started its next descriptor; this is its last one.
    frees_input : :py:`In(2)`
        Strobe per program: it does not read its input buffer any more.
    unwritten : :py:`In(2)`
        Per program: tiles have been started but not yet written.
    error : :py:`In(8)`
        Error of the selected program's next descriptor, for one cycle.
    errors : :py:`In(data.ArrayLayout(fault_layout(config), 2))`
        Per program: an error of an earlier descriptor, for one cycle.
    running : :py:`Out(2)`
        Per program: it is in flight.
    pending : :py:`Out(2)`
        Per program: it has descriptors to start, and no fault. Registered.
    reads_input : :py:`Out(2)`
        Per program: it may read its input buffer.
    oldest : :py:`Out(1)`
        Oldest program, by its input buffer.
    address : :py:`Out(clog2(program_depth))`
        Number of the next descriptor of the selected program.
    offset : :py:`Out(clog2(act_depth))`
        Offset of the selected program's input buffer.
    started, done : :py:`Out(1)`
        Strobes: a program starts; the oldest program ends.
    fault : :py:`Out(fault_layout(config))`
        Fault of the oldest program. Held until a reset.
    failed : :py:`Out(1)`
        The oldest program has a fault.
    """
    def __init__(self, config: EIEConfig):
        self._config = config
        layouts = Layouts.of(config)
        super().__init__({
            "run":         In(stream.Signature(layouts.run)),
            "hold":        In(1),
            "selected":    In(clog2(N_BUFFERS)),
            "step":        In(1),
            "final":       In(1),
            "frees_input": In(N_BUFFERS),
            "unwritten":   In(N_BUFFERS),
            "error":       In(fault_layout(config)["code"].shape),
            "errors":      In(data.ArrayLayout(fault_layout(config), N_BUFFERS)),
            "running":     Out(N_BUFFERS),
            "pending":     Out(N_BUFFERS),
            "reads_input": Out(N_BUFFERS),
            "oldest":      Out(clog2(N_BUFFERS)),
            "address":     Out(clog2(config.program_depth)),
            "offset":      Out(layouts.run.members["offset"]),
            "started":     Out(1),
            "done":        Out(1),
            "fault":       Out(fault_layout(config)),
            "failed":      Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        programs = range(N_BUFFERS)
        addresses = Array(Signal.like(self.address, name=f"address_{n}", reset_less=True)
                          for n in programs)
        offsets   = Array(Signal.like(self.offset, name=f"offset_{n}", reset_less=True)
                          for n in programs)
        faults    = Array(Signal(fault_layout(self._config), name=f"fault_{n}") for n in programs)
        failed    = Signal(N_BUFFERS)    # a fault is held: registers, as comparing codes is slow
        uses      = Signal(N_BUFFERS, reset_less=True)    # the input buffer has not been freed
        m.d.comb += [
            self.started.eq(self.run.valid & self.run.ready),
            self.run.ready.eq(~self.hold & ~self.running.bit_select(self.run.p.buffer, 1)),
            self.address.eq(addresses[self.selected]),
            self.offset.eq(offsets[self.selected]),
            self.reads_input.eq(self.running & uses),
            self.fault.eq(faults[self.oldest]),
            self.done.eq((self.running & ~self.pending & ~failed & ~self.unwritten)
                         .bit_select(self.oldest, 1)),
            self.failed.eq(failed.bit_select(self.oldest, 1)),
        ]

        for number in programs:
            fault, error = faults[number], self.errors[number]
            with m.If(self.frees_input[number]):
                m.d.sync += uses[number].eq(0)
            with m.If(self.step & (self.selected == number)):
                m.d.sync += addresses[number].eq(addresses[number] + 1)
                with m.If(self.final):
                    m.d.sync += self.pending[number].eq(0)
            with m.If(~failed[number]):
                with m.If(error.code != Error.NONE):
                    m.d.sync += [fault.eq(error), failed[number].eq(1), self.pending[number].eq(0)]
                with m.Elif(self.selected == number):
                    m.d.sync += [fault.code.eq(self.error), fault.address.eq(self.address)]
                    with m.If(self.error != Error.NONE):
                        m.d.sync += [failed[number].eq(1), self.pending[number].eq(0)]
            with m.If(self.done & (self.oldest == number)):
                m.d.sync += self.running[number].eq(0)
            with m.If(~self.running[number]):    # until a program starts
                m.d.sync += [
                    addresses[number].eq(self.run.p.descriptor),
                    offsets[number].eq(self.run.p.offset),
                ]
            with m.If(self.started & (self.run.p.buffer == number)):
                m.d.sync += [
                    self.running[number].eq(1),
                    self.pending[number].eq(1),
                    uses[number].eq(1),
                ]

        with m.If(self.done):
            m.d.sync += self.oldest.eq(self.oldest + 1)
        with m.If(self.started & ~self.running.any()):
            m.d.sync += self.oldest.eq(self.run.p.buffer)

        return m
