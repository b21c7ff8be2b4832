"""Core and CCU with plain sums of the events that they report to the counters."""

from typing import Any

from amaranth.hdl import Module, Signal

from eie_hdl.ccu.ccu import Ccu
from eie_hdl.config import EIEConfig
from eie_hdl.core import Core
from eie_hdl.format import COUNTERS

__all__ = ["CountingCcu", "CountingCore"]


def _sums() -> dict[str, Signal]:
    return {name: Signal(64, name=f"sum_{name}") for name in COUNTERS}


def _add_sums(m: Module, counted: Any, sums: dict[str, Signal], n_pe: int) -> None:
    """Sum the events of each cycle, visible in the next one."""
    steps = {name: part[name] for part in (counted.events, counted.strobes)
             for name in part.shape().members}
    steps["ptr_reads"] = steps["broadcasts"] * n_pe
    with m.If(counted.clear):
        m.d.sync += [value.eq(0) for value in sums.values()]
    with m.Elif(counted.enable):
        m.d.sync += [value.eq(value + steps[name]) for name, value in sums.items()]


class CountingCore(Core):
    """Core; `sums` are the events since a program started alone, up to the cycle before."""

    def __init__(self, config: EIEConfig) -> None:
        super().__init__(config)
        self.config, self.sums = config, _sums()

    def elaborate(self, platform: Any) -> Module:
        m = super().elaborate(platform)
        _add_sums(m, self.counted, self.sums, self.config.n_pe)
        return m


class CountingCcu(Ccu):
    """CCU; `sums` as of :class:`CountingCore`."""

    def __init__(self, config: EIEConfig) -> None:
        super().__init__(config)
        self.config, self.sums = config, _sums()

    def elaborate(self, platform: Any) -> Module:
        m = super().elaborate(platform)
        _add_sums(m, self.host.counted, self.sums, self.config.n_pe)
        return m
