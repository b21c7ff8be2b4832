from collections.abc import Mapping
from functools import partial

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Member, Out, connect

from .bridge.bridge import Bridge
from .bridge.spi import Spi
from .bridge.uart import Uart
from .config import EIEConfig
from .lib.registered_reset import drive_domain
from .lib.shared_module import Shared
from .top import Eie, EieSignature

__all__ = ["LINES", "BridgedEie", "BridgedSignature"]

#: Name of a byte layer -> its pins.
LINES: Mapping[str, Mapping[str, Member]] = {"uart": Uart.WIRES, "spi": Spi.WIRES}


class BridgedSignature(wiring.Signature):
    """Ports of an accelerator with a serial line, which are the same for every configuration.

    Parameters
    ----------
    wires : mapping of :class:`str` to :class:`~amaranth.lib.wiring.Member`
        Pins of the line, of :data:`LINES`.

    Members
    -------
    aclk, aresetn : :py:`In(1)`
        Clock, and synchronous reset, active low.
    irq : :py:`Out(1)`
        Interrupt request of the machine.
    connected, bad_frame : :py:`Out(1)`
        As in :class:`~.bridge.executor.Executor`.
    rx, tx; or sck, cs_n, mosi, miso
        As in the byte layer.
    """
    def __init__(self, wires: Mapping[str, Member]) -> None:
        super().__init__({
            "aclk":      In(1),
            "aresetn":   In(1),
            **wires,
            "irq":       Out(1),
            "connected": Out(1),
            "bad_frame": Out(1),
        })


class BridgedEie(wiring.Component):
    """Accelerator with few pins: a serial line takes the place of its buses.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.
    line : :class:`~.bridge.uart.Uart` or :class:`~.bridge.spi.Spi`
        Byte layer.
    """
    def __init__(self, config: EIEConfig, line: Uart | Spi):
        self._config = config
        self._line = line
        super().__init__(BridgedSignature(line.WIRES))

    def elaborate(self, platform):
        m = Module()

        m.submodules.line    = line    = self._line
        m.submodules.bridge  = bridge  = Bridge()
        m.submodules.machine = machine = Shared("machine", "eie", EieSignature(),
                                                partial(Eie, self._config))

        drive_domain(m, self.aclk, self.aresetn)    # as the machine does
        m.d.comb += [
            machine.aclk.eq(self.aclk),
            machine.aresetn.eq(self.aresetn),
        ]

        connect(m, line.received, bridge.received)
        connect(m, bridge.sent, line.sent)
        connect(m, bridge.beats, machine.s_axis)
        connect(m, machine.m_axis, bridge.results)
        m.d.comb += [
            *(_connect_registers(bridge.axil, machine.s_axil)),
            bridge.irq.eq(machine.irq),
            self.irq.eq(machine.irq),
            self.connected.eq(bridge.connected),
            self.bad_frame.eq(bridge.bad_frame),
        ]
        for name, member in self._line.WIRES.items():
            inner, outer = getattr(line, name), getattr(self, name)
            m.d.comb += inner.eq(outer) if member.flow == In else outer.eq(inner)

        return m


def _connect_registers(manager, subordinate):
    """Connect AXI4-Lite; responses are plain bits on the shared module, and an enumeration here."""
    for name, member in manager.signature.members.items():
        outer, inner = getattr(manager, name), getattr(subordinate, name)
        yield inner.eq(outer) if member.flow == Out else outer.eq(inner)
