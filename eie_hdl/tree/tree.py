"""Registered tree between the CCU and the PEs, which keeps wires short for any number of PEs."""

from functools import partial

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import EIEConfig, clog2
from ..format import Layouts
from ..lib.data_register import data_register
from ..lib.register_queue import RegisterQueue
from ..lib.shared_module import Shared
from .lnzd import LnzdNode

__all__ = ["EVENTS", "Link", "TreeNode", "TreeNodeSignature", "add_tree_nodes",
           "register_broadcast"]

#: Events that PEs report and the tree sums.
EVENTS = ("macs", "paddings", "spmat_reads", "pe_busy")


class Link(wiring.Signature):
    """Interface between the CCU and a PE, or a subtree, from the perspective of the PE.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    message : :py:`In(stream.Signature(layouts.message, always_ready=True))`
        Broadcast.
    load : :py:`In(stream.Signature(layouts.pe_load, always_ready=True))`
        Words for the memories, also broadcast, with the latency of `message`. A start must follow a
        word of its source by one cycle or more.
    scan : :py:`Out(stream.Signature(layouts.scan))`
        Activations found in the activation SRAM.
    result : :py:`Out(stream.Signature(layouts.result))`
        Words for the host: of PE 0 to the last PE, then the next row. Then an end.
    written : :py:`Out(stream.Signature(1))`
        One token per tile written back; its payload is set if an accumulator overflowed.
    filling, full : :py:`Out(1)`
        Back-pressure of the activation queues. While `filling` is asserted, no message may be sent
        if more than :data:`~..config.FILLING_LIMIT` are in flight, and none while `full` is.
    events : :py:`Out(data.StructLayout(...))`
        Number of PEs with each event in this cycle, for the performance counters.
    """
    def __init__(self, config: EIEConfig) -> None:
        layouts = Layouts.of(config)
        count = unsigned(clog2(config.n_pe + 1))
        super().__init__({
            "message": In(stream.Signature(layouts.message, always_ready=True)),
            "load":    In(stream.Signature(layouts.pe_load, always_ready=True)),
            "scan":    Out(stream.Signature(layouts.scan)),
            "result":  Out(stream.Signature(layouts.result)),
            "written": Out(stream.Signature(1)),
            "filling": Out(1),
            "full":    Out(1),
            "events":  Out(data.StructLayout(dict.fromkeys(EVENTS, count))),
        })


class TreeNodeSignature(wiring.Signature):
    """Interface of a tree node.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.
    n_children : :class:`int`
        2 or 4.

    Members
    -------
    parent : :py:`Out(Link(config))`
        Towards the CCU.
    child : :py:`In(Link(config)).array(n_children)`
        Towards the PEs.
    """
    def __init__(self, config: EIEConfig, *, n_children: int) -> None:
        super().__init__({
            "parent": Out(Link(config)),
            "child":  In(Link(config)).array(n_children),
        })


class TreeNode(wiring.Component):
    """Tree node: connects the links of its children to one parent link, through registers.

    Messages and words are repeated to all children. Scans and results are merged by
    :class:`~eie_hdl.tree.lnzd.LnzdNode`; a tile is written when all children have written it;
    back-pressure is asserted if that of any child is; events are summed. Latency is one cycle, and
    two cycles for scans.

    Parameters
    ----------
    config, n_children
        As for :class:`TreeNodeSignature`.

    Members
    -------
    parent, child
        As in :class:`TreeNodeSignature`.
    """
    def __init__(self, config: EIEConfig, *, n_children):
        self._config = config
        super().__init__(TreeNodeSignature(config, n_children=n_children))

    def elaborate(self, platform):
        m = Module()

        parent, children = self.parent, self.child

        # Down: messages and words.
        for name in ("message", "load"):
            payload, valid = register_broadcast(m, parent, name)
            for child in children:
                o = getattr(child, name)
                m.d.comb += [o.payload.eq(payload), o.valid.eq(valid)]

        # Up: scans. Queues on both sides of the arbiter decouple its logic from the wires to
        # neighbouring nodes.
        layouts = Layouts.of(self._config)
        m.submodules.lnzd = lnzd = LnzdNode(layouts.scan, n_children=len(children),
                                            in_order=False)
        for n, child in enumerate(children):
            m.submodules[f"scan_{n}"] = scan = RegisterQueue(layouts.scan)
            connect(m, flipped(child).scan, scan.i)
            connect(m, scan.o, lnzd.i[n])
        connect(m, lnzd.o, flipped(parent).scan)

        # Up: results. They come too seldom from a child to need a queue on its side.
        m.submodules.result = result = LnzdNode(layouts.result, n_children=len(children),
                                                in_order=True)
        for n, child in enumerate(children):
            connect(m, flipped(child).result, result.i[n])
        connect(m, result.o, flipped(parent).result)

        # Up: written tiles. The token of a child is kept until all children have written the tile.
        kept_written  = Signal(len(children))
        kept_overflow = Signal(len(children))
        any_overflow  = data_register(m, parent.written.payload)
        written  = kept_written | Cat(child.written.valid for child in children)
        overflow = kept_overflow | Cat(child.written.valid & child.written.payload & ~kept
                                       for child, kept in zip(children, kept_written))
        m.d.comb += [child.written.ready.eq(~kept) for child, kept in zip(children, kept_written)]
        m.d.sync += [kept_written.eq(written), kept_overflow.eq(overflow)]
        with m.If(parent.written.ready):
            m.d.sync += parent.written.valid.eq(0)
        with m.If(written.all() & (~parent.written.valid | parent.written.ready)):
            m.d.sync += [
                kept_written.eq(0),
                kept_overflow.eq(0),
                parent.written.valid.eq(1),
                any_overflow.eq(overflow.any()),
            ]

        # Up: back-pressure and events.
        m.d.sync += [
            parent.filling.eq(Cat(child.filling for child in children).any()),
            parent.full.eq(Cat(child.full for child in children).any()),
        ]
        m.d.sync += [parent.events[name].eq(sum(child.events[name] for child in children))
                     for name in EVENTS]

        return m


def register_broadcast(m, link, name):
    """Register the stream `name` of a link, ``message`` or ``load``.

    Returns
    -------
    payload, valid : :class:`~amaranth.hdl.Signal`
        The stream, one cycle later.
    """
    i = getattr(link, name)
    payload = Signal.like(i.payload, name=name, reset_less=True)
    valid   = Signal(name=f"{name}_valid")
    m.d.sync += valid.eq(i.valid)
    with m.If(i.valid):
        m.d.sync += payload.eq(i.payload)
    return payload, valid


def add_tree_nodes(m, root, config):
    """Add the tree nodes between the CCU and the PEs to module `m`.

    The numbers of the PEs below a node share their low digits, and the index of a child is the next
    digit. Round-robin arbitration in every node is then round-robin over all PEs.

    Parameters
    ----------
    m : :class:`~amaranth.hdl.Module`
        Module to which nodes are added as ``node_LEVEL_FIRST``.
    root : :class:`Link`
        Link of the CCU.
    config : :class:`EIEConfig`
        Configuration.

    Returns
    -------
    :class:`list` of :class:`Link`
        Links to the PEs, in order of their numbers.
    """
    links = {0: root}
    stride = 1
    for level in range(config.n_levels):
        n_below = config.n_pe // stride
        n_children = 2 if clog2(n_below) % 2 else 4
        children = {}
        for first, link in links.items():
            name = f"node_{level}_{first}"
            m.submodules[name] = node = Shared(
                name, f"eie_node{n_children}", TreeNodeSignature(config, n_children=n_children),
                partial(TreeNode, config, n_children=n_children))
            connect(m, link, node.parent)
            children |= {first + n * stride: child for n, child in enumerate(node.child)}
        links, stride = children, stride * n_children
    return [links[pe] for pe in range(config.n_pe)]
