from amaranth.hdl import Module, ResetInserter
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect

from ..config import EIEConfig
from ..format import Layouts
from ..lib.stream_queue import StreamQueue
from .axi import AxiStreamSignature
from .error_log import error_layout
from .interfaces import Interlock, Supervision, load_beat
from .memory_wiper import MemoryWiper
from .packet_reader import PacketReader
from .register_ports import RegisterPorts

__all__ = ["LoadPath"]


class LoadPath(wiring.Component):
    """Path from the load packets of the host, or the zeros of a soft reset, to the core's memories.

    Throughput is one beat per cycle. While memories are being wiped, the input is stalled. Beats
    that were accepted before are dropped, but not a word that is already offered, which the core
    must take within two cycles.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    i : :py:`In(AxiStreamSignature())`
        Load packets.
    o : :py:`Out(stream.Signature(layouts.load))`
        Words for the core.
    registers : :py:`In(RegisterPorts(...))`
        Registers CONTROL, INPUT_BASE, INPUT_WORDS, INPUT_STRIDE and CHECKSUM.
    supervision : :py:`In(Supervision())`
        Errors and resets.
    interlock : :py:`Out(Interlock())`
        To the start control.
    wipe : :py:`In(1)`
        Strobe: write zeros to all memories.
    wiping : :py:`Out(1)`
        The memories are being wiped.
    waiting : :py:`Out(1)`
        The input queue holds a beat.
    error : :py:`Out(error_layout)`
        Error of a packet, until it is pending.
    """
    def __init__(self, config: EIEConfig):
        self._config = config
        super().__init__({
            "i":           In(AxiStreamSignature()),
            "o":           Out(stream.Signature(Layouts.of(config).load)),
            "registers":   In(RegisterPorts.of("CONTROL", "INPUT_BASE", "INPUT_WORDS",
                                               "INPUT_STRIDE", "CHECKSUM")),
            "supervision": In(Supervision()),
            "interlock":   Out(Interlock()),
            "wipe":        In(1),
            "wiping":      Out(1),
            "waiting":     Out(1),
            "error":       Out(error_layout),
        })

    def elaborate(self, platform):
        m = Module()

        queue = StreamQueue(load_beat, depth=2)
        m.submodules.input   = ResetInserter(self.wipe)(queue)
        m.submodules.packets = packets = PacketReader(self._config)
        m.submodules.wiper   = wiper   = MemoryWiper(self._config)
        m.d.comb += [
            queue.i.p.data.eq(self.i.tdata),
            queue.i.p.whole.eq(self.i.tkeep.all()),
            queue.i.p.last.eq(self.i.tlast),
            queue.i.valid.eq(self.i.tvalid),
            self.i.tready.eq(queue.i.ready),
        ]
        connect(m, queue.o, packets.i)
        self._control(m, packets)

        # The wiper works while the packet reader is held, once its last word has been taken. The
        # reader drives the zeros, by a reset of its register: bits of data need no multiplexer.
        m.d.comb += [
            wiper.start.eq(self.wipe),
            self.wiping.eq(wiper.busy),
            self.waiting.eq(queue.o.valid),
            packets.blank.eq(wiper.busy),
            self.o.payload.eq(packets.o.payload),
            self.o.valid.eq(wiper.o.valid | packets.o.valid),
            wiper.o.ready.eq(self.o.ready),
            packets.o.ready.eq(self.o.ready),
        ]
        with m.If(wiper.busy):
            m.d.comb += [
                self.o.p.address.eq(wiper.o.p.address),
                self.o.p.memory.eq(wiper.o.p.memory),
                self.o.p.everyone.eq(1),
            ]

        return m

    def _control(self, m, packets):
        """Connect the packet reader to registers, supervision and interlock."""
        registers, supervision, interlock = self.registers, self.supervision, self.interlock
        m.d.comb += [
            packets.input_base.eq(registers.input_base_value),
            packets.input_words.eq(registers.input_words_words),
            packets.input_stride.eq(registers.input_stride_value),
            packets.checksum_clear.eq(registers.control_write & (registers.control_new_model
                                                                 | registers.control_soft_reset)),
            registers.checksum_value.eq(packets.checksum),
            packets.restart.eq(supervision.clear_request),
            packets.discard.eq(supervision.error_pending),
            packets.in_use.eq(interlock.in_use | interlock.read_requested),
            packets.buffer_in_use.eq(interlock.buffer_in_use),
            interlock.failing.eq(packets.failing),
            interlock.receiving.eq(packets.receiving),
            interlock.receiving_model.eq(packets.receiving_model),
            interlock.receiving_input.eq(packets.receiving_input),
            interlock.waiting_input.eq(packets.waiting_input),
            self.error.eq(packets.error),
        ]
        # The reset may wait for a host that first sends a packet, which is then dropped.
        m.d.sync += packets.hold.eq(
            (supervision.core_resetting | supervision.soft_reset)
            & (~supervision.error_pending | supervision.clear_request))
