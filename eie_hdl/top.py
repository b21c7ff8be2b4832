from functools import partial

from amaranth.hdl import ClockDomain, ClockSignal, Module, Mux, ResetInserter, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .ccu.ccu import CcuSignature
from .config import EIEConfig
from .core import Core
from .format import COUNTER_WIDTH, COUNTERS, FORMAT_VERSION
from .host.axi import AxiLiteSignature, AxiStreamSignature, stream_beat
from .host.error_log import ErrorLog
from .host.memory_wiper import MemoryWiper
from .host.packet_reader import PacketReader
from .host.packet_terminator import PacketTerminator
from .host.read_request import ReadRequest
from .host.register_bank import RegisterBank
from .host.reset_control import ResetControl
from .host.result_packer import ResultPacker
from .host.start_queue import StartQueue
from .host.watchdog import Watchdog
from .lib.shared_module import Shared
from .lib.stream_queue import StreamQueue
from .registers import ADDRESS_WIDTH, PRODUCT_ID, REGISTER_WIDTH, REGISTERS, VERSION

__all__ = ["Eie"]


class Eie(wiring.Component):
    """The accelerator as an IP core: the machine, its registers and its streams of packets.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    aclk, aresetn : :py:`In(1)`
        Clock, and synchronous reset, active low. It is taken into a register first, which has a
        whole cycle to reach every flip-flop; until it has, nothing is taken or offered on a bus.
    s_axil : :py:`In(AxiLiteSignature(ADDRESS_WIDTH))`
        Registers.
    s_axis : :py:`In(AxiStreamSignature())`
        Load packets.
    m_axis : :py:`Out(AxiStreamSignature())`
        Vectors and memory contents.
    irq : :py:`Out(1)`
        Interrupt, a level.
    """
    def __init__(self, config: EIEConfig):
        self._config = config
        super().__init__({
            "aclk":    In(1),
            "aresetn": In(1),
            "s_axil":  In(AxiLiteSignature(ADDRESS_WIDTH)),
            "s_axis":  In(AxiStreamSignature()),
            "m_axis":  Out(AxiStreamSignature()),
            "irq":     Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        in_reset = Signal(init=1)
        m.domains += [ClockDomain("sync", local=True),
                      ClockDomain("always", local=True, reset_less=True)]
        m.d.always += in_reset.eq(~self.aresetn)
        m.d.comb += [ClockSignal().eq(self.aclk), ClockSignal("always").eq(self.aclk),
                     ResetSignal().eq(in_reset)]

        config = self._config
        reset_core = Signal()
        m.submodules.bank   = bank   = RegisterBank(REGISTERS, addr_width=ADDRESS_WIDTH)
        m.submodules.resets = resets = ResetControl(config)
        m.submodules.errors = errors = ErrorLog(n_sources=5)
        m.submodules.core   = core   = Shared("core", "eie_core", CcuSignature(config),
                                              partial(Core, config), reset=reset_core)
        clear_request = Signal()    # the host clears the error, or resets the machine
        is_resetting  = Signal()
        core_aborting = Signal()    # events of the core no longer count
        packets = self._receive(m, bank, clear_request, is_resetting, resets, errors, core)
        starts, reads = self._start(m, bank, clear_request, is_resetting, resets, errors, packets,
                                    core)
        self._send(m, reset_core, core)
        connect(m, flipped(self).s_axil, bank.bus)

        # What goes wrong, the gravest first. The fault of a core is one until it is being stopped.
        m.submodules.watchdog = watchdog = Watchdog()
        fault = CcuSignature(config).members["fault"].shape(core.fault)
        m.d.comb += [
            watchdog.limit.eq(bank.watchdog_value),
            watchdog.active.eq(~core_aborting
                               & (core.busy
                                  | (starts.waiting & ~errors.pending & ~clear_request))),
            watchdog.restart.eq((core.run.valid & core.run.ready) | core.done),
            watchdog.blocked.eq(self.m_axis.tvalid & ~self.m_axis.tready),
            watchdog.descriptor.eq(starts.descriptor),
            errors.i[0].code.eq(Mux(core_aborting, 0, fault.code)),
            errors.i[0].address.eq(fault.address),
            errors.i[1].eq(watchdog.error),
            errors.i[2].eq(starts.error),
            errors.i[3].eq(reads.error),
            errors.i[4].eq(packets.error),
            errors.clear.eq(clear_request),
            resets.failed.eq((fault.code | watchdog.error.code) != 0),
            resets.soft_reset.eq(bank.control_write & bank.control_soft_reset),
            reset_core.eq(resets.reset_core),
            is_resetting.eq(resets.stopping | resets.resetting),
            core_aborting.eq(is_resetting | resets.soft_reset),
            clear_request.eq(bank.control_write & (bank.control_clear | bank.control_soft_reset)),
        ]

        # What the host reads.
        self._identify(m, bank)
        done = core.done & ~core_aborting
        self._count(m, bank, core, done)
        is_idle = ~core.busy & ~starts.waiting & ~packets.receiving & ~reads.read.valid
        m.d.comb += [
            bank.lock.eq(~bank.status_idle | packets.i.valid),
            bank.restore.eq(resets.soft_reset),
            bank.status_idle.eq(is_idle & ~is_resetting),
            bank.status_busy.eq(core.busy),
            bank.status_queued.eq(starts.waiting),
            bank.status_receiving.eq(packets.receiving),
            bank.status_resetting.eq(is_resetting),
            bank.status_error.eq(errors.pending),
            bank.status_buffer.eq(starts.buffer & core.busy),
            bank.error_code.eq(errors.error.code),
            bank.error_memory.eq(errors.error.memory),
            bank.error_pe.eq(errors.error.pe),
            bank.error_address_value.eq(errors.error.address),
            bank.checksum_value.eq(packets.checksum),
            bank.irq_status_done_set.eq(done),
            bank.irq_status_error_set.eq(errors.new),
        ]
        m.d.sync += self.irq.eq((bank.irq_status_done & bank.irq_enable_done)
                                | (bank.irq_status_error & bank.irq_enable_error))

        # A host may begin in the cycle in which aresetn rises, one before what is in here can.
        with m.If(in_reset):
            m.d.comb += [port.eq(0) for port in (
                self.s_axil.awready, self.s_axil.wready, self.s_axil.bvalid, self.s_axil.arready,
                self.s_axil.rvalid, self.s_axis.tready, self.m_axis.tvalid)]

        return m

    def _receive(self, m, bank, clear_request, is_resetting, resets, errors, core):
        """Packets, and the zeros of a soft reset, go to the core as words."""
        m.submodules.input   = queue   = StreamQueue(stream_beat, depth=2)
        m.submodules.packets = packets = PacketReader(self._config)
        m.submodules.wiper   = wiper   = MemoryWiper(self._config)
        connect(m, queue.o, packets.i)
        m.d.comb += [
            queue.i.p.data.eq(self.s_axis.tdata),
            queue.i.p.keep.eq(self.s_axis.tkeep),
            queue.i.p.last.eq(self.s_axis.tlast),
            queue.i.valid.eq(self.s_axis.tvalid),
            self.s_axis.tready.eq(queue.i.ready),
            packets.input_base.eq(bank.input_base_value),
            packets.input_words.eq(bank.input_words_words),
            packets.input_double.eq(bank.input_words_double),
            packets.restart.eq(clear_request),
            packets.discard.eq(errors.pending),
            packets.hold.eq(is_resetting),
            packets.checksum_clear.eq(bank.control_write & (bank.control_new_model
                                                            | bank.control_soft_reset)),
            wiper.start.eq(resets.wipe),
            resets.wiping.eq(wiper.busy),
            core.load.payload.eq(Mux(wiper.busy, wiper.o.payload, packets.o.payload)),
            core.load.valid.eq(wiper.o.valid | packets.o.valid),
            wiper.o.ready.eq(core.load.ready),
            packets.o.ready.eq(core.load.ready),
        ]
        return packets

    def _start(self, m, bank, clear_request, is_resetting, resets, errors, packets, core):
        """Programs, and reads of memory, are started by the host."""
        m.submodules.starts = starts = StartQueue(self._config)
        m.submodules.reads  = reads  = ReadRequest(self._config)
        connect(m, starts.run, core.run)
        connect(m, reads.read, core.read)

        # The core is busy with the one or the other.
        running = Signal()
        with m.If(core.run.valid & core.run.ready):
            m.d.sync += running.eq(1)
        with m.Elif(~core.busy):
            m.d.sync += running.eq(0)

        m.d.comb += [
            starts.i.valid.eq(bank.start_write),
            starts.i.descriptor.eq(bank.start_descriptor),
            starts.i.buffer.eq(bank.start_buffer),
            starts.drop.eq(clear_request),
            starts.hold.eq(errors.pending),
            starts.refuse.eq(is_resetting),
            starts.input_words.eq(bank.input_words_words),
            starts.input_double.eq(bank.input_words_double),
            starts.receiving_model.eq(packets.receiving_model),
            starts.receiving_input.eq(packets.receiving_input),
            starts.running.eq(running),
            starts.reading.eq(reads.read.valid | (core.busy & ~running)),
            packets.in_use.eq(starts.waiting | core.busy | reads.read.valid),
            packets.buffer_in_use.eq(starts.buffer_in_use),
            reads.i.valid.eq(bank.read_write),
            reads.i.memory.eq(bank.read_place_memory),
            reads.i.pe.eq(bank.read_place_pe),
            reads.i.address.eq(bank.read_address_value),
            reads.i.count.eq(bank.read_count),
            reads.drop.eq(resets.reset_core),
            reads.hold.eq(errors.pending),
            reads.refuse.eq(packets.in_use | packets.receiving | is_resetting),
            core.watched.eq(bank.pe_index_value),
        ]
        return starts, reads

    def _send(self, m, reset_core, core):
        """Results go to the host in packets that have an end whatever happens to the core."""
        packer = ResultPacker(self._config)
        m.submodules.packer = ResetInserter(reset_core)(packer)
        m.submodules.output = output = PacketTerminator()
        connect(m, packer.o, output.i)
        m.d.comb += [
            packer.i.payload.eq(core.result.payload),
            packer.i.valid.eq(core.result.valid),
            core.result.ready.eq(packer.i.ready),
            output.cut.eq(reset_core),
            self.m_axis.tdata.eq(output.o.p.data),
            self.m_axis.tkeep.eq(output.o.p.keep),
            self.m_axis.tlast.eq(output.o.p.last),
            self.m_axis.tvalid.eq(output.o.valid),
            output.o.ready.eq(self.m_axis.tready),
        ]

    def _identify(self, m, bank):
        """What this is, and how it was configured."""
        major, minor, patch = VERSION
        m.d.comb += [
            bank.id_value.eq(PRODUCT_ID),
            bank.version_major.eq(major),
            bank.version_minor.eq(minor),
            bank.version_patch.eq(patch),
            bank.format_value.eq(FORMAT_VERSION),
            *(getattr(bank, f"config_{name}_value").eq(int(value))
              for name, value in self._config.as_dict().items()),
        ]

    def _count(self, m, bank, core, done):
        """Counters and overflow are those of the last program, but for a latch in between."""
        latch = Signal()
        ended = Signal()
        m.d.sync += ended.eq(done)
        m.d.comb += latch.eq(ended | (bank.control_write & bank.control_latch))
        for name in COUNTERS:
            latched = Signal(COUNTER_WIDTH, name=f"latched_{name}")
            with m.If(latch):
                m.d.sync += latched.eq(getattr(core.counters, name))
            with m.If(bank.restore):
                m.d.sync += latched.eq(0)
            m.d.comb += [
                getattr(bank, f"{name}_lo_value").eq(latched[:REGISTER_WIDTH]),
                getattr(bank, f"{name}_hi_value").eq(latched[REGISTER_WIDTH:]),
            ]

        with m.If(ended):
            m.d.sync += [
                bank.programs_value.eq(bank.programs_value + 1),
                bank.overflow_any.eq(core.overflow),
                bank.overflow_tile.eq(core.overflow_tile),
            ]
        with m.If(bank.restore):
            m.d.sync += [
                bank.programs_value.eq(0),
                bank.overflow_any.eq(0),
                bank.overflow_tile.eq(0),
            ]
        m.d.comb += bank.status_overflow.eq(bank.overflow_any)
