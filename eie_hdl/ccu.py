from amaranth.hdl import Module, Shape, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .config import EIEConfig, clog2
from .counters import Counters
from .format import BEAT_WIDTH, COUNTER_WIDTH, COUNTERS, Kind, Layouts, Memory, image_file
from .host.loader import Loader
from .host.result import ResultReader
from .ledger import TileLedger
from .sram import Sram
from .tree import Link

__all__ = ["Ccu", "CcuSignature"]


class CcuSignature(wiring.Signature):
    """What the machine has to do with the host.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    load : :py:`In(stream.Signature(64))`
        Load packets, taken while no program runs.
    run : :py:`In(stream.Signature(clog2(program_depth)))`
        Number of the descriptor to start at, taken between packets while no program runs.
    result : :py:`Out(stream.Signature(layouts.result))`
        Vectors that the program sends.
    busy : :py:`Out(1)`
        A program is running.
    overflow : :py:`Out(1)`
        An accumulator overflowed in this program, or in the last one when idle.
    overflow_tile : :py:`Out(clog2(program_depth))`
        Number of the first tile of the program, from 0, in which one did.
    counters : :py:`Out(wiring.Signature({name: Out(48) for name in COUNTERS}))`
        Counts of this program, or of the last one when idle.
    """
    def __init__(self, config: EIEConfig) -> None:
        address = clog2(config.program_depth)
        super().__init__({
            "load":     In(stream.Signature(BEAT_WIDTH)),
            "run":      In(stream.Signature(address)),
            "result":   Out(stream.Signature(Layouts(config).result)),
            "busy":     Out(1),
            "overflow": Out(1),
            "overflow_tile": Out(address),
            "counters": Out(wiring.Signature({name: Out(COUNTER_WIDTH) for name in COUNTERS})),
        })


class Ccu(wiring.Component):
    """Central control unit: loads the memories, then runs programs of descriptors.

    (Han et al., ISCA 2016, section 4, "Central Control Unit": its I/O and computing mode.) For each
    tile it broadcasts a start, the nonzero activations as the scanners find them, one a cycle
    unless a queue is full, and an end. It does not wait for a tile to be written unless the next
    descriptor has its `barrier` set. The last descriptor of the memory is always final.

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
        self._layouts = layouts = Layouts(config)
        super().__init__({"host": Out(CcuSignature(config)), "link": In(Link(config))})

        program = layouts.memories[Memory.PROGRAM]
        self.program = Sram(width=Shape.cast(program.shape).width, depth=program.depth,
                            image=image_file("ccu.program"))

    def elaborate(self, platform):
        m = Module()

        host, link, layouts = self.host, self.link, self._layouts
        m.submodules.program  = program  = self.program
        m.submodules.loader   = loader   = Loader(layouts)
        m.submodules.results  = results  = ResultReader(layouts)
        m.submodules.ledger   = ledger   = TileLedger(self._config)
        m.submodules.counters = counters = Counters(link.events.shape())
        connect(m, flipped(host).load, loader.i)
        connect(m, results.o, flipped(host).result)
        connect(m, flipped(link).written, ledger.written)
        connect(m, counters.counts, flipped(host).counters)

        # The next descriptor, and the one that is being carried out.
        address    = Signal.like(program.r.addr)
        descriptor = Signal(layouts.descriptor)
        is_tile    = ~descriptor.start.dense
        is_final   = descriptor.final | (address == self._config.program_depth - 1)
        must_wait  = descriptor.barrier & ledger.waiting
        can_send   = ~link.full
        start      = host.run.valid & host.run.ready
        m.d.comb += [
            program.r.addr.eq(address),
            program.r.en.eq(0),
            counters.events.eq(link.events),
            counters.clear.eq(start),
            ledger.clear.eq(start),
            host.overflow.eq(ledger.overflow),
            host.overflow_tile.eq(ledger.overflow_tile),
        ]

        # What is broadcast is kind, body and valid of the state.
        kind  = Signal(Kind)
        body  = Signal(layouts.message.members["body"])
        valid = Signal()
        m.d.sync += [
            link.message.p.kind.eq(kind),
            link.message.p.body.eq(body),
            link.message.valid.eq(valid),
        ]

        with m.FSM() as fsm:
            with m.State("IDLE"):
                self._load(m, loader.o, kind, body, valid)
                m.d.comb += host.run.ready.eq(loader.idle)
                with m.If(start):
                    m.d.sync += address.eq(host.run.payload)
                    m.next = "FETCH"

            with m.State("FETCH"):
                m.d.comb += program.r.en.eq(1)
                m.next = "DECODE"

            with m.State("DECODE"):
                m.d.sync += descriptor.eq(program.r.data)
                m.next = "START"

            with m.State("START"):
                m.d.comb += [
                    kind.eq(Kind.START),
                    body.start.eq(descriptor.start),
                    valid.eq(~must_wait & can_send),
                    counters.strobes["stall_barrier"].eq(must_wait),
                ]
                with m.If(valid):
                    m.next = "SCAN"

            with m.State("SCAN"):
                m.d.comb += [
                    kind.eq(Kind.ACTIVATION),
                    body.activation.pointer.eq(descriptor.ptr_base + link.scan.p.column),
                    body.activation.value.eq(link.scan.p.value),
                ]
                self._scan(m, is_tile, can_send, valid, results.i, counters.strobes)
                with m.If(link.scan.valid & link.scan.ready & link.scan.p.end):
                    m.next = "END"

            with m.State("END"):
                m.d.comb += [
                    kind.eq(Kind.END),
                    body.end.eq(descriptor.end),
                    valid.eq(is_tile & can_send),
                    ledger.sent.eq(valid),
                ]
                with m.If(~is_tile | can_send):
                    m.d.sync += address.eq(address + 1)
                    m.next = "FETCH"
                    with m.If(is_final):
                        m.next = "FINISH"

            with m.State("FINISH"):
                m.d.comb += counters.strobes["stall_barrier"].eq(ledger.waiting)
                with m.If(~ledger.waiting):
                    m.next = "IDLE"

        m.d.comb += [
            host.busy.eq(~fsm.ongoing("IDLE")),
            counters.strobes["cycles"].eq(host.busy),
        ]

        return m

    def _load(self, m, words, kind, body, valid):
        """Words of load packets go into the program or, by broadcast, to the PEs."""
        load = words.p
        is_program = load.memory == Memory.PROGRAM
        m.d.comb += [
            self.program.w.addr.eq(load.address),
            self.program.w.data.eq(load.data),
            self.program.w.en.eq(words.valid & is_program),
            words.ready.eq(1),
            kind.eq(Kind.LOAD),
            body.load.eq(load),
            valid.eq(words.valid & ~is_program),
        ]

    def _scan(self, m, is_tile, can_send, valid, results, strobes):
        """What is found in the source is broadcast or, of a dense scan, goes to the host."""
        found = self.link.scan
        is_activation = found.valid & ~found.p.end
        m.d.comb += results.payload.eq(found.payload)
        with m.If(is_tile):
            m.d.comb += [
                found.ready.eq(can_send),
                valid.eq(is_activation & can_send),
                strobes["broadcasts"].eq(valid),
                strobes["stall_full"].eq(is_activation & ~can_send),
                strobes["stall_scan"].eq(~found.valid),
            ]
        with m.Else():
            m.d.comb += [
                results.valid.eq(found.valid),
                found.ready.eq(results.ready),
            ]
