from amaranth.hdl import Module, Shape, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .config import EIEConfig, clog2
from .counters import Counters
from .format import BEAT_WIDTH, COUNTER_WIDTH, COUNTERS, Kind, Layouts, Memory
from .host.loader import Loader
from .host.result import ResultReader
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
                            image="ccu.program.hex")

    def elaborate(self, platform):
        m = Module()

        host, link, layouts = self.host, self.link, self._layouts
        m.submodules.program  = program  = self.program
        m.submodules.loader   = loader   = Loader(layouts)
        m.submodules.results  = results  = ResultReader(layouts)
        m.submodules.counters = counters = Counters(link.events.shape())
        connect(m, flipped(host).load, loader.i)
        connect(m, results.o, flipped(host).result)
        connect(m, counters.counts, flipped(host).counters)
        m.d.comb += [
            counters.events.eq(link.events),
            results.i.payload.eq(link.scan.payload),
        ]

        descriptor = Signal(layouts.descriptor)
        address    = Signal.like(program.r.addr)
        message    = link.message.p
        found      = link.scan
        m.d.comb += [program.r.addr.eq(address), program.r.en.eq(0)]
        m.d.sync += link.message.valid.eq(0)

        # Tiles that not all PEs have written yet.
        n_unwritten  = Signal(range(self._config.program_depth + 1))
        tile         = Signal.like(address)
        ended        = Signal()
        m.d.comb += link.written.ready.eq(1)
        m.d.sync += n_unwritten.eq(n_unwritten + ended - link.written.valid)
        with m.If(link.written.valid):
            m.d.sync += tile.eq(tile + 1)
            with m.If(link.written.payload & ~host.overflow):
                m.d.sync += [host.overflow.eq(1), host.overflow_tile.eq(tile)]

        with m.FSM() as fsm:
            with m.State("IDLE"):
                load = loader.o.p
                is_program = load.memory == Memory.PROGRAM
                m.d.comb += [
                    program.w.addr.eq(load.address),
                    program.w.data.eq(load.data),
                    program.w.en.eq(loader.o.valid & is_program),
                    loader.o.ready.eq(1),
                ]
                m.d.sync += [
                    message.kind.eq(Kind.LOAD),
                    message.body.load.eq(load),
                    link.message.valid.eq(loader.o.valid & ~is_program),
                ]
                m.d.comb += host.run.ready.eq(loader.idle)
                with m.If(host.run.valid & host.run.ready):
                    m.d.comb += counters.clear.eq(1)
                    m.d.sync += [
                        address.eq(host.run.payload),
                        host.overflow.eq(0),
                        tile.eq(0),
                    ]
                    m.next = "FETCH"

            with m.State("FETCH"):
                m.d.comb += program.r.en.eq(1)
                m.next = "DECODE"

            with m.State("DECODE"):
                m.d.sync += descriptor.eq(layouts.descriptor(program.r.data))
                m.next = "START"

            with m.State("START"):
                must_wait = descriptor.barrier & (n_unwritten != 0)
                m.d.comb += counters.strobes["stall_barrier"].eq(must_wait)
                m.d.sync += [
                    message.kind.eq(Kind.START),
                    message.body.start.eq(descriptor.start),
                ]
                with m.If(~must_wait & ~link.full):
                    m.d.sync += link.message.valid.eq(1)
                    m.next = "SCAN"

            with m.State("SCAN"):
                is_activation = found.valid & ~found.p.end
                m.d.sync += [
                    message.kind.eq(Kind.ACTIVATION),
                    message.body.activation.pointer.eq(descriptor.ptr_base + found.p.column),
                    message.body.activation.value.eq(found.p.value),
                ]
                with m.If(descriptor.start.dense):
                    m.d.comb += [
                        results.i.valid.eq(found.valid),
                        found.ready.eq(results.i.ready),
                    ]
                with m.Else():
                    m.d.comb += [
                        found.ready.eq(~link.full),
                        counters.strobes["broadcasts"].eq(is_activation & ~link.full),
                        counters.strobes["stall_full"].eq(is_activation & link.full),
                        counters.strobes["stall_scan"].eq(~found.valid),
                    ]
                    m.d.sync += link.message.valid.eq(is_activation & ~link.full)
                with m.If(found.valid & found.ready & found.p.end):
                    m.next = "END"

            with m.State("END"):
                m.d.sync += [
                    message.kind.eq(Kind.END),
                    message.body.end.eq(descriptor.end),
                ]
                with m.If(descriptor.start.dense | ~link.full):
                    m.d.comb += ended.eq(~descriptor.start.dense)
                    m.d.sync += [
                        link.message.valid.eq(ended),
                        address.eq(address + 1),
                    ]
                    m.next = "FETCH"
                    with m.If(descriptor.final | (address == self._config.program_depth - 1)):
                        m.next = "FINISH"

            with m.State("FINISH"):
                m.d.comb += counters.strobes["stall_barrier"].eq(n_unwritten != 0)
                with m.If(n_unwritten == 0):
                    m.next = "IDLE"

        m.d.comb += [
            host.busy.eq(~fsm.ongoing("IDLE")),
            counters.strobes["cycles"].eq(host.busy),
        ]

        return m
