from functools import partial

from amaranth.hdl import Module, ResetInserter
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .ccu.ccu import CcuSignature
from .ccu.counters import Counters, counted_layout
from .config import EIEConfig
from .core import Core
from .host.axi import AxiLiteSignature, AxiStreamSignature
from .host.identification import Identification
from .host.load_path import LoadPath
from .host.register_bank import RegisterBank
from .host.register_ports import connect_registers
from .host.result_path import ResultPath
from .host.run_counters import RunCounters
from .host.start_control import StartControl
from .host.supervisor import Supervisor
from .lib.registered_reset import drive_domain
from .lib.shared_module import Shared
from .registers import ADDRESS_WIDTH, COUNTER_REGISTERS, REGISTERS

__all__ = ["Eie", "EieSignature"]


class EieSignature(wiring.Signature):
    """Ports of an accelerator, which are the same for every configuration.

    Members
    -------
    aclk, aresetn : :py:`In(1)`
        Clock, and synchronous reset, active low. The reset is registered, so that it has a whole
        cycle to reach every flip-flop. Until it has, no transfer is accepted or offered on a bus.
    s_axil : :py:`In(AxiLiteSignature(ADDRESS_WIDTH))`
        Registers.
    s_axis : :py:`In(AxiStreamSignature())`
        Load packets.
    m_axis : :py:`Out(AxiStreamSignature())`
        Vectors and memory contents.
    irq : :py:`Out(1)`
        Interrupt request, level-sensitive. Registered.
    """
    def __init__(self) -> None:
        super().__init__({
            "aclk":    In(1),
            "aresetn": In(1),
            "s_axil":  In(AxiLiteSignature(ADDRESS_WIDTH)),
            "s_axis":  In(AxiStreamSignature()),
            "m_axis":  Out(AxiStreamSignature()),
            "irq":     Out(1),
        })


class Eie(wiring.Component):
    """Accelerator as an IP core: the core, its registers and its packet streams.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    aclk, aresetn, s_axil, s_axis, m_axis, irq
        As in :class:`EieSignature`.
    """
    def __init__(self, config: EIEConfig):
        self._config = config
        super().__init__(EieSignature())

    def elaborate(self, platform):
        m = Module()

        config = self._config
        # `faults` keeps its name in the Verilog, to which constraints and waveforms may refer.
        m.submodules.bank     = bank     = RegisterBank(
            [register for register in REGISTERS if register not in COUNTER_REGISTERS],
            addr_width=ADDRESS_WIDTH, stored=COUNTER_REGISTERS)
        m.submodules.faults   = faults   = Supervisor(config)
        m.submodules.load     = load     = LoadPath(config)
        m.submodules.start    = start    = StartControl(config)
        m.submodules.core     = core     = Shared(
            "core", "eie_core", CcuSignature(config), partial(Core, config),
            reset=faults.supervision.core_reset)
        m.submodules.result   = result   = ResultPath(config)
        m.submodules.counts   = counts   = RunCounters(config)
        m.submodules.identity = identity = Identification(config)

        # From the buses through the core and back.
        connect(m, flipped(self).s_axil, bank.bus)
        connect(m, flipped(self).s_axis, load.i)
        connect(m, load.o, core.load)
        connect(m, start.run, core.run)
        connect(m, start.read, core.read)
        connect(m, core.result, result.i)
        connect(m, result.o, flipped(self).m_axis)
        self._reset_buses(m)

        # Requests, errors and resets.
        connect(m, load.interlock, start.interlock)
        connect(m, start.status, faults.starts)
        connect(m, faults.supervision, load.supervision, start.supervision)
        self._supervise(m, core, faults, start)
        m.d.comb += [
            faults.packet_error.eq(load.error),
            faults.wiping.eq(load.wiping),
            load.wipe.eq(faults.wipe),
            result.core_reset.eq(faults.supervision.core_reset),
        ]

        # Registers.
        done = core.done & ~faults.supervision.core_aborting
        self._count(m, core, bank, counts, faults.supervision)
        m.d.comb += [
            counts.overflow.eq(core.overflow),
            counts.overflow_tile.eq(core.overflow_tile),
            counts.done.eq(done),
            counts.clear.eq(faults.supervision.soft_reset),
            core.watched.eq(bank.pe_index_value),
            bank.status_busy.eq(core.busy),
            bank.restore.eq(bank.control_write & bank.control_soft_reset),
            bank.irq_status_done_set.eq(done),
            # An error of the cycle before a soft reset is forgotten.
            bank.irq_status_error_set.eq(faults.new_error & ~faults.supervision.soft_reset),
        ]
        for user in (load, start, faults, counts, identity):
            connect_registers(m, bank, user)
        self._report_status(m, bank, load, start, faults.supervision)

        return m

    def _count(self, m, core, bank, counts, supervision):
        """Count the events of the core for the host."""
        counters = Counters(self._config)
        m.submodules.counters = ResetInserter(supervision.soft_reset)(counters)
        counted = counted_layout(self._config)(core.counted)
        connect(m, bank.stored, counters.r)
        m.d.comb += [
            counters.counted.eq(counted),
            counters.counted.clear.eq(counted.clear | supervision.core_reset),
            counters.copy.eq(counts.copy),
            bank.wait.eq(counters.copying),
        ]

    def _supervise(self, m, core, faults, start):
        """Report the state of the core, and whether the host takes its results."""
        fault = CcuSignature(self._config).members["fault"].shape(core.fault)
        is_blocked = self.m_axis.tvalid & ~self.m_axis.tready
        m.d.comb += [
            start.core_busy.eq(core.busy),
            start.core_sending.eq(core.sending),
            start.core_running.eq(core.running),
            start.core_reads_input.eq(core.reads_input),
            start.core_oldest.eq(core.oldest),
            faults.busy.eq(core.busy),
            faults.sending.eq(core.sending),
            faults.done.eq(core.done),
            faults.fault.code.eq(fault.code),
            faults.fault.address.eq(fault.address),
            faults.blocked.eq(is_blocked),
            core.result_blocked.eq(is_blocked),
        ]

    def _reset_buses(self, m):
        """Reset the machine a cycle after `aresetn`, and keep its buses silent until it is ready.

        The reset lasts long enough for the core, which is ready when a word or a start can reach
        it. A host may start in the cycle in which `aresetn` is deasserted.
        """
        with m.If(drive_domain(m, self.aclk, self.aresetn)):
            m.d.comb += [port.eq(0) for port in (
                self.s_axil.awready, self.s_axil.wready, self.s_axil.bvalid, self.s_axil.arready,
                self.s_axil.rvalid, self.s_axis.tready, self.m_axis.tvalid)]

    def _report_status(self, m, bank, load, start, supervision):
        """Drive register STATUS and the interrupt."""
        receiving = load.interlock.receiving
        is_idle = (~bank.status_busy & ~start.interlock.in_use & ~receiving & ~load.waiting)
        m.d.comb += [
            bank.status_idle.eq(is_idle & ~supervision.core_resetting),
            bank.status_queued.eq(start.status.waiting),
            bank.status_receiving.eq(receiving),
            bank.status_resetting.eq(supervision.core_resetting),
            bank.status_error.eq(supervision.error_pending),
            bank.status_overflow.eq(bank.overflow_any),
            bank.status_buffer.eq(start.status.buffer & bank.status_busy),
            # A header that is accepted in this cycle is in use before the next write takes effect.
            bank.lock.eq(~bank.status_idle | self.s_axis.tvalid),
        ]
        m.d.sync += self.irq.eq((bank.irq_status_done & bank.irq_enable_done)
                                | (bank.irq_status_error & bank.irq_enable_error))
