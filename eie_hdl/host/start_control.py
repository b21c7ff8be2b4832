from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import EIEConfig, clog2
from ..format import N_BUFFERS, Layouts
from .interfaces import Interlock, StartStatus, Supervision
from .read_request import ReadRequest
from .register_ports import RegisterPorts
from .start_queue import StartQueue

__all__ = ["StartControl"]


class StartControl(wiring.Component):
    """Starts of programs and reads of memory, which the host requests through registers.

    The core is busy with programs or with a read, never with both.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    registers : :py:`In(RegisterPorts(...))`
        Registers START, INPUT_STRIDE, READ, READ_PLACE and READ_ADDRESS.
    supervision : :py:`In(Supervision())`
        Errors and resets.
    interlock : :py:`In(Interlock())`
        To the load path.
    core_busy, core_sending : :py:`In(1)`
        The core runs a program, or reads memory; it sends a vector.
    core_running, core_reads_input, core_oldest : :py:`In(2)`, :py:`In(2)`, :py:`In(1)`
        Programs in flight, as in :class:`~eie_hdl.ccu.ccu.CcuSignature`.
    run : :py:`Out(stream.Signature(layouts.run))`
        Starts of programs. An offered start may be withdrawn.
    read : :py:`Out(stream.Signature(layouts.read))`
        Reads of memory. An offered read is withdrawn when the core is reset.
    status : :py:`Out(StartStatus())`
        Programs that run and wait, and errors of requests.
    """
    def __init__(self, config: EIEConfig):
        self._config = config
        layouts = Layouts.of(config)
        super().__init__({
            "registers":   In(RegisterPorts.of("START", "INPUT_STRIDE", "READ", "READ_PLACE",
                                               "READ_ADDRESS")),
            "supervision": In(Supervision()),
            "interlock":   In(Interlock()),
            "core_busy":   In(1),
            "core_sending": In(1),
            "core_running": In(N_BUFFERS),
            "core_reads_input": In(N_BUFFERS),
            "core_oldest":  In(clog2(N_BUFFERS)),
            "run":         Out(stream.Signature(layouts.run)),
            "read":        Out(stream.Signature(layouts.read)),
            "status":      Out(StartStatus()),
        })

    def elaborate(self, platform):
        m = Module()

        m.submodules.starts = starts = StartQueue(self._config)
        m.submodules.reads  = reads  = ReadRequest(self._config)
        connect(m, starts.run, flipped(self.run))
        connect(m, reads.read, flipped(self.read))
        self._start(m, starts)
        self._read(m, reads)
        is_error = self.supervision.error_pending | self.interlock.failing
        m.d.comb += [starts.hold.eq(is_error), reads.hold.eq(is_error)]

        m.d.comb += [
            self.status.started.eq(self.run.valid & self.run.ready),
            starts.running.eq(self.core_running),
            starts.reads_input.eq(self.core_reads_input),
            starts.oldest.eq(self.core_oldest),
            starts.reading.eq(self.registers.read_write | reads.busy
                              | (self.core_busy & ~self.core_running.any())),
            starts.sending.eq(self.core_sending),
            self.interlock.in_use.eq(starts.waiting | self.core_busy | self.core_sending
                                     | reads.busy),
            self.interlock.read_requested.eq(self.registers.read_write),
            self.interlock.buffer_in_use.eq(starts.buffer_in_use),
        ]

        return m

    def _start(self, m, starts):
        """Connect the queue of starts to registers, supervision and interlock."""
        registers, supervision, interlock = self.registers, self.supervision, self.interlock
        m.d.comb += [
            starts.i.valid.eq(registers.start_write),
            starts.i.descriptor.eq(registers.start_descriptor),
            starts.i.buffer.eq(registers.start_buffer),
            starts.input_stride.eq(registers.input_stride_value),
            starts.drop.eq(supervision.clear_request),
            starts.refuse.eq(supervision.core_resetting),
            starts.receiving_model.eq(interlock.receiving_model),
            starts.receiving_input.eq(interlock.receiving_input),
            starts.waiting_input.eq(interlock.waiting_input),
            self.status.waiting.eq(starts.waiting),
            self.status.buffer.eq(self.core_oldest),
            self.status.descriptor.eq(starts.descriptor),
            self.status.start_error.eq(starts.error),
        ]

    def _read(self, m, reads):
        """Connect the check of reads to registers, supervision and interlock."""
        registers, supervision, interlock = self.registers, self.supervision, self.interlock
        m.d.comb += [
            reads.i.valid.eq(registers.read_write),
            reads.i.memory.eq(registers.read_place_memory),
            reads.i.pe.eq(registers.read_place_pe),
            reads.i.address.eq(registers.read_address_value),
            reads.i.count.eq(registers.read_count),
            reads.drop.eq(supervision.core_reset),
            reads.refuse.eq(interlock.in_use | interlock.receiving | interlock.waiting_input.any()
                            | supervision.core_resetting),
            self.status.read_error.eq(reads.error),
        ]
