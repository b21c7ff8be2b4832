from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import EIEConfig
from ..lib.registered_reset import RESET_CYCLES

__all__ = ["ResetControl"]

#: Cycles from the beginning of a reset until the whole core is out of it: two levels of registers
#: delay it.
_RESTART_CYCLES = RESET_CYCLES + 2


class ResetControl(wiring.Component):
    """Resets the core after a failed program, and in a soft reset, which also wipes the memories.

    After a failure, the reset is delayed until words in flight have been written to the memories
    and, unless the core hangs, until the vector being sent has left it.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    failed, hung : :py:`In(1)`
        A program has failed, or exceeds its time limit: stop the core.
    sending : :py:`In(1)`
        The core sends a vector, which a reset would cut off.
    soft_reset : :py:`In(1)`
        Strobe: start a soft reset. Ignored during another one.
    wiping : :py:`In(1)`
        The memory wiper is busy.
    wipe : :py:`Out(1)`
        Strobe: start wiping, when the core is out of reset.
    reset_core : :py:`Out(1)`
        Reset of the core, for :data:`~eie_hdl.lib.registered_reset.RESET_CYCLES`. `stopping` or
        `resetting` remain set until the core is out of reset.
    stopping : :py:`Out(1)`
        The core is being stopped after a failure. Registered.
    resetting : :py:`Out(1)`
        A soft reset is in progress. Registered.
    """
    failed: Signal
    hung: Signal
    sending: Signal
    soft_reset: Signal
    wiping: Signal
    wipe: Signal
    reset_core: Signal
    stopping: Signal
    resetting: Signal

    def __init__(self, config: EIEConfig):
        # Longer than a message, and a word that follows it, take to reach the memories.
        self._settle_cycles = 2 * config.n_in_flight
        super().__init__({
            "failed": In(1), "hung": In(1), "sending": In(1), "soft_reset": In(1), "wiping": In(1),
            "wipe": Out(1), "reset_core": Out(1), "stopping": Out(1), "resetting": Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        settled  = Signal(range(self._settle_cycles + 1))
        is_quiet = Signal()    # registered, as a comparison is slow
        cuts     = Signal()    # a vector that is being sent is cut off
        elapsed  = Signal(range(_RESTART_CYCLES))    # since the reset began
        m.d.sync += is_quiet.eq(settled == self._settle_cycles)

        with m.FSM():
            with m.State("READY"):
                m.d.sync += [settled.eq(0), is_quiet.eq(0)]
                with m.If(self.soft_reset):
                    m.d.sync += [self.resetting.eq(1), elapsed.eq(0), self.reset_core.eq(1)]
                    m.next = "RESET"
                with m.Elif(self.failed | self.hung):
                    m.d.sync += [self.stopping.eq(1), cuts.eq(self.hung)]
                    m.next = "STOP"

            with m.State("STOP"):
                m.d.sync += settled.eq(settled + (settled != self._settle_cycles))
                with m.If(self.soft_reset | (is_quiet & (cuts | ~self.sending))):
                    m.d.sync += [elapsed.eq(0), self.reset_core.eq(1)]
                    m.next = "RESET"
                with m.If(self.soft_reset):
                    m.d.sync += [self.stopping.eq(0), self.resetting.eq(1)]

            with m.State("RESET"):
                m.d.comb += self.wipe.eq(self.resetting & (elapsed == 0))
                m.d.sync += [
                    elapsed.eq(elapsed + 1),
                    self.reset_core.eq(elapsed < RESET_CYCLES - 1),
                    settled.eq(0),
                    is_quiet.eq(0),
                ]
                with m.If(self.soft_reset & self.stopping):
                    m.d.sync += [self.stopping.eq(0), self.resetting.eq(1),
                                 elapsed.eq(0), self.reset_core.eq(1)]
                with m.Elif(elapsed == _RESTART_CYCLES - 1):
                    m.d.sync += self.stopping.eq(0)
                    m.next = "READY"
                    with m.If(self.resetting):
                        m.next = "WIPE"

            with m.State("WIPE"):
                m.d.sync += settled.eq(settled + (settled != self._settle_cycles))
                with m.If(self.wiping):
                    m.d.sync += [settled.eq(0), is_quiet.eq(0)]
                with m.Elif(is_quiet):
                    m.d.sync += self.resetting.eq(0)
                    m.next = "READY"

        return m
