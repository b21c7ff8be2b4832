from amaranth.hdl import Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import EIEConfig
from ..registers import Error
from .error_log import ErrorLog, error_layout
from .interfaces import StartStatus, Supervision
from .register_ports import RegisterPorts
from .reset_control import ResetControl
from .watchdog import Watchdog

__all__ = ["Supervisor"]


class Supervisor(wiring.Component):
    """Fault handling: watchdog, error log and resets of the core.

    The first error is held in registers ERROR and ERROR_ADDRESS. The order of precedence in a cycle
    is: fault of the core, timeout, start, read, packet; but a start that waits for a packet does
    not time out in the cycle in which a packet fails. A fault of the core or a timeout resets the
    core; a fault is reported until this reset begins.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    registers : :py:`In(RegisterPorts(...))`
        Registers CONTROL, ERROR, ERROR_ADDRESS and WATCHDOG.
    busy, sending : :py:`In(1)`
        The core runs a program, or reads memory; it sends a vector.
    done : :py:`In(1)`
        Strobe: a program has ended.
    fault : :py:`In(error_layout)`
        Error of a failed program, held until the core is reset.
    blocked : :py:`In(1)`
        The host does not accept a result.
    starts : :py:`In(StartStatus())`
        Programs, and errors of requests.
    packet_error : :py:`In(error_layout)`
        Error of a packet, until it is pending.
    wipe, wiping
        To the memory wiper, as in :class:`~eie_hdl.host.reset_control.ResetControl`.
    new_error : :py:`Out(1)`
        Strobe: an error has been logged. Registered.
    supervision : :py:`Out(Supervision())`
        State for the rest of the host logic.
    """
    def __init__(self, config: EIEConfig):
        self._config = config
        super().__init__({
            "registers":    In(RegisterPorts.of("CONTROL", "ERROR", "ERROR_ADDRESS", "WATCHDOG")),
            "busy":         In(1),
            "sending":      In(1),
            "done":         In(1),
            "fault":        In(error_layout),
            "blocked":      In(1),
            "starts":       In(StartStatus()),
            "packet_error": In(error_layout),
            "wipe":         Out(1),
            "wiping":       In(1),
            "new_error":    Out(1),
            "supervision":  Out(Supervision()),
        })

    def elaborate(self, platform):
        m = Module()

        m.submodules.watchdog = watchdog = Watchdog()
        m.submodules.errors   = errors   = ErrorLog(n_sources=5)
        m.submodules.resets   = resets   = ResetControl(self._config)
        registers, supervision = self.registers, self.supervision

        # Events, the most severe first. A fault persists until the core is reset.
        m.d.comb += [
            watchdog.limit.eq(registers.watchdog_value),
            watchdog.active.eq(~supervision.core_aborting
                               & (self.busy | self.sending
                                  | (self.starts.waiting & ~errors.pending
                                     & (self.packet_error.code == Error.NONE)
                                     & ~supervision.clear_request))),
            watchdog.restart.eq(self.starts.started | self.done),
            watchdog.blocked.eq(self.blocked),
            watchdog.descriptor.eq(self.starts.descriptor),
            errors.i[0].eq(self.fault),
            errors.i[0].code.eq(Mux(supervision.core_aborting, Error.NONE, self.fault.code)),
            errors.i[1].eq(watchdog.error),
            errors.i[2].eq(self.starts.start_error),
            errors.i[3].eq(self.starts.read_error),
            errors.i[4].eq(self.packet_error),
            errors.clear.eq(supervision.clear_request),
        ]

        # Reactions.
        m.d.comb += [
            resets.failed.eq(self.fault.code != Error.NONE),
            resets.hung.eq(watchdog.error.code != Error.NONE),
            resets.sending.eq(self.sending),
            resets.soft_reset.eq(supervision.soft_reset),
            resets.wiping.eq(self.wiping),
            self.wipe.eq(resets.wipe),
            self.new_error.eq(errors.new),
            registers.error_code.eq(errors.error.code),
            registers.error_memory.eq(errors.error.memory),
            registers.error_pe.eq(errors.error.pe),
            registers.error_address_value.eq(errors.error.address),
            supervision.error_pending.eq(errors.pending),
            supervision.core_reset.eq(resets.reset_core),
            supervision.core_resetting.eq(resets.stopping | resets.resetting),
            supervision.core_aborting.eq(supervision.core_resetting | supervision.soft_reset),
        ]
        # They go to much of the host logic.
        m.d.sync += [
            supervision.soft_reset.eq(registers.control_write & registers.control_soft_reset),
            supervision.clear_request.eq(
                registers.control_write
                & (registers.control_clear | registers.control_soft_reset)),
        ]

        return m
