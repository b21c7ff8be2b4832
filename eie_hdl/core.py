from functools import partial

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped

from .ccu.ccu import Ccu, CcuSignature
from .config import EIEConfig
from .lib.shared_module import Shared
from .pe.pe import Pe, PeSignature
from .tree.tree import add_tree_nodes

__all__ = ["Core"]


class Core(wiring.Component):
    """Core of the machine, without buses: CCU, tree and PEs.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    load, run, read, watched, result, result_blocked, busy, done, sending, fault, overflow,
    overflow_tile, counted
        As in :class:`~eie_hdl.ccu.ccu.CcuSignature`.
    """
    def __init__(self, config: EIEConfig):
        self._config = config
        super().__init__(CcuSignature(config))

    def elaborate(self, platform):
        m = Module()

        config = self._config
        m.submodules.ccu = ccu = Ccu(config)
        connect(m, flipped(self), ccu.host)

        for index, link in enumerate(add_tree_nodes(m, ccu.link, config)):
            name = f"pe_{index}"
            m.submodules[name] = pe = Shared(
                name, "eie_pe", PeSignature(config), partial(Pe, config))
            m.d.comb += pe.index.eq(index)
            connect(m, link, pe.link)

        return m
