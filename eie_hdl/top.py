from functools import partial
from operator import itemgetter

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped

from .ccu import Ccu, CcuSignature
from .config import EIEConfig
from .pe.pe import Pe, PeSignature
from .shared import Shared
from .tree import TreeNode, TreeNodeSignature

__all__ = ["Eie"]


class Eie(wiring.Component):
    """The accelerator: CCU, tree and PEs.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    load, run, result, busy, overflow, overflow_tile, counters
        As in :class:`~eie_hdl.ccu.CcuSignature`.
    """
    def __init__(self, config: EIEConfig):
        self._config = config
        super().__init__(CcuSignature(config))

    def elaborate(self, platform):
        m = Module()

        config = self._config
        m.submodules.ccu = ccu = Ccu(config)
        for name in self.signature.members:
            member = getattr(ccu.host, name)
            if self.signature.members[name].is_signature:
                connect(m, member, flipped(getattr(self, name)))
            else:
                m.d.comb += getattr(self, name).eq(member)

        # Grow the tree from the root. A child's number is the next digit of the numbers of the PEs
        # below it, lowest first: then taking turns at every node is taking turns over all PEs.
        links = [(0, ccu.link)]
        stride, level = 1, 0
        while stride < config.n_pe:
            n_children = 2 if (config.n_pe // stride).bit_length() % 2 == 0 else 4
            children = []
            for first, link in links:
                place = f"node_{level}_{first}"
                m.submodules[place] = node = Shared(
                    place, f"eie_node{n_children}",
                    TreeNodeSignature(config, n_children=n_children),
                    partial(TreeNode, config, n_children=n_children))
                connect(m, link, node.parent)
                children += [(first + n * stride, child) for n, child in enumerate(node.child)]
            links, stride, level = children, stride * n_children, level + 1

        for index, link in sorted(links, key=itemgetter(0)):
            place = f"pe_{index}"
            m.submodules[place] = pe = Shared(
                place, "eie_pe", PeSignature(config), partial(Pe, config))
            m.d.comb += pe.index.eq(index)
            connect(m, link, pe.link)

        return m
