"""Core and CCU with plain sums of the events that they report to the counters."""

from collections.abc import Callable
from typing import Any

from amaranth.hdl import Module, Signal

from eie_hdl.config import EIEConfig
from eie_hdl.format import COUNTERS

__all__ = ["counting"]


def counting(kind: Any, counted: Callable[[Any], Any]) -> Any:
    """Make a class of components with the sums of what they report, by name, as `sums`.

    They are of events since a program started alone, up to the cycle before.

    Parameters
    ----------
    kind
        Class of a component that is created from a configuration.
    counted
        Function that returns the port with the events.
    """
    class Counting(kind):
        def __init__(self, config: EIEConfig) -> None:
            super().__init__(config)
            self.n_pe = config.n_pe
            self.sums = {name: Signal(64, name=f"sum_{name}") for name in COUNTERS}

        def elaborate(self, platform: Any) -> Module:
            m = super().elaborate(platform)
            port = counted(self)
            steps = {name: part[name] for part in (port.events, port.strobes)
                     for name in part.shape().members}
            steps["ptr_reads"] = steps["broadcasts"] * self.n_pe
            with m.If(port.clear):
                m.d.sync += [value.eq(0) for value in self.sums.values()]
            with m.Elif(port.enable):
                m.d.sync += [value.eq(value + steps[name]) for name, value in self.sums.items()]
            return m

    return Counting
