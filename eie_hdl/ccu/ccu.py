from amaranth.hdl import Module, Shape
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import EIEConfig, clog2
from ..format import COUNTER_WIDTH, COUNTERS, Layouts, Memory, image_file
from ..lib.sram import Sram
from ..tree.tree import Link
from .broadcast_throttle import BroadcastThrottle
from .broadcaster import Broadcaster
from .counters import Counters
from .sequencer import Sequencer, fault_layout
from .tile_tracker import TileTracker
from .vector_sender import VectorSender

__all__ = ["Ccu", "CcuSignature"]


class CcuSignature(wiring.Signature):
    """What the machine has to do with the host.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    load : :py:`In(stream.Signature(layouts.load))`
        Words for the memories. While a program runs only activations that it does not use may be
        loaded; they are taken in cycles in which nothing else is broadcast.
    run : :py:`In(stream.Signature(layouts.run))`
        Where to start, taken while the machine is idle.
    read : :py:`In(stream.Signature(layouts.read))`
        Memory to send as a result: at least one word, all of which exist. Taken while the machine
        is idle. Of memories other than `ACT` only with ``readback``.
    watched : :py:`In(clog2(n_pe))`
        PE whose busy cycles are counted, from the next tile on.
    result : :py:`Out(stream.Signature(layouts.result))`
        Vectors that the program sends, and memory that is read.
    busy : :py:`Out(1)`
        A program is running, has failed, or memory is read.
    done : :py:`Out(1)`
        Strobe: a program ends. The counters are right a cycle later.
    fault : :py:`Out(data.StructLayout({"code": 8, "address": clog2(program_depth)}))`
        Why a program has failed, an :class:`~eie_hdl.registers.Error`, and the descriptor that did;
        stays until the machine is reset.
    overflow : :py:`Out(1)`
        An accumulator overflowed in this program, or in the last one when idle.
    overflow_tile : :py:`Out(clog2(program_depth))`
        Number of the first tile of the program, from 0, in which one did.
    counters : :py:`Out(wiring.Signature({name: Out(64) for name in COUNTERS}))`
        Counts of this program, or of the last one when idle.
    """
    def __init__(self, config: EIEConfig) -> None:
        layouts = Layouts.of(config)
        super().__init__({
            "load":     In(stream.Signature(layouts.load)),
            "run":      In(stream.Signature(layouts.run)),
            "read":     In(stream.Signature(layouts.read)),
            "watched":  In(clog2(config.n_pe)),
            "result":   Out(stream.Signature(layouts.result)),
            "busy":     Out(1),
            "done":     Out(1),
            "fault":    Out(fault_layout(config)),
            "overflow": Out(1),
            "overflow_tile": Out(clog2(config.program_depth)),
            "counters": Out(wiring.Signature({name: Out(COUNTER_WIDTH) for name in COUNTERS})),
        })


class Ccu(wiring.Component):
    """Central control unit: loads the memories, and runs programs of descriptors.

    (Han et al., ISCA 2016, section 4, "Central Control Unit": its I/O and computing mode.) For each
    tile it broadcasts a start, the nonzero activations as the scanners find them, one a cycle
    unless a queue fills, and an end. It does not wait for a tile to be written unless the next
    descriptor has its `barrier` set. A descriptor that is wrong stops it.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    host : :py:`Out(CcuSignature(config))`
        To the host.
    link : :py:`In(Link(config))`
        To the PEs. The broadcast is a register.
    """
    def __init__(self, config: EIEConfig):
        self._config = config
        super().__init__({"host": Out(CcuSignature(config)), "link": In(Link(config))})

        program = Layouts.of(config).memories[Memory.PROGRAM]
        self.program = Sram(width=Shape.cast(program.shape).width, depth=program.depth,
                            image=image_file("ccu.program"))

    def elaborate(self, platform):
        m = Module()

        config, host, link = self._config, self.host, self.link
        m.submodules.program   = program   = self.program
        m.submodules.sequencer = sequencer = Sequencer(config)
        m.submodules.broadcast = broadcast = Broadcaster(config)
        m.submodules.throttle  = throttle  = BroadcastThrottle(config)
        m.submodules.results   = results   = VectorSender(Layouts.of(config))
        m.submodules.ledger    = ledger    = TileTracker(config)
        m.submodules.counters  = counters  = Counters(config)

        # From the host to the PEs.
        connect(m, flipped(host).run, sequencer.run)
        connect(m, flipped(host).read, sequencer.read)
        connect(m, flipped(host).load, broadcast.load)
        connect(m, sequencer.program, program.r)
        connect(m, sequencer.message, broadcast.message)
        connect(m, broadcast.program, program.w)
        connect(m, broadcast.o, flipped(link).message)
        m.d.comb += [
            throttle.filling.eq(link.filling),
            throttle.full.eq(link.full),
            throttle.sent.eq(sequencer.message.valid & sequencer.message.ready),
            broadcast.stop.eq(throttle.stop),
            broadcast.busy.eq(sequencer.busy),
            sequencer.watched.eq(host.watched),
        ]

        # From the PEs to the host.
        connect(m, flipped(link).scan, sequencer.scan)
        connect(m, flipped(link).written, ledger.written)
        connect(m, sequencer.results, results.i)
        connect(m, results.o, flipped(host).result)
        m.d.comb += [
            host.busy.eq(sequencer.busy),
            host.done.eq(sequencer.done),
            host.fault.eq(sequencer.fault),
        ]

        # Bookkeeping of a program, from its start.
        start = host.run.valid & host.run.ready
        connect(m, counters.counts, flipped(host).counters)
        m.d.comb += [
            ledger.clear.eq(start),
            ledger.sent.eq(sequencer.tile_sent),
            sequencer.tiles_waiting.eq(ledger.waiting),
            host.overflow.eq(ledger.overflow),
            host.overflow_tile.eq(ledger.overflow_tile),
            counters.clear.eq(start),
            counters.enable.eq(~sequencer.reading),
            counters.events.eq(link.events),
            counters.strobes.eq(sequencer.strobes),
            sequencer.queues_full.eq(throttle.stop),
            sequencer.result_blocked.eq(host.result.valid & ~host.result.ready),
        ]

        return m
