from amaranth.hdl import Module, Mux, Shape, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import EIEConfig, clog2
from ..format import COUNTER_WIDTH, COUNTERS, Kind, Layouts, Memory, image_file
from ..lib.sram import Sram
from ..registers import REGISTER, Error
from ..tree.tree import Link
from .broadcast_throttle import BroadcastThrottle
from .counters import Counters
from .descriptor_check import DescriptorCheck
from .memory_reader import MemoryReader
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
        address = unsigned(clog2(config.program_depth))
        super().__init__({
            "load":     In(stream.Signature(layouts.load)),
            "run":      In(stream.Signature(layouts.run)),
            "read":     In(stream.Signature(layouts.read)),
            "watched":  In(clog2(config.n_pe)),
            "result":   Out(stream.Signature(layouts.result)),
            "busy":     Out(1),
            "done":     Out(1),
            "fault":    Out(data.StructLayout({"code": REGISTER["ERROR"].width("code"),
                                               "address": address})),
            "overflow": Out(1),
            "overflow_tile": Out(address),
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
        self._layouts = layouts = Layouts.of(config)
        super().__init__({"host": Out(CcuSignature(config)), "link": In(Link(config))})

        program = layouts.memories[Memory.PROGRAM]
        self.program = Sram(width=Shape.cast(program.shape).width, depth=program.depth,
                            image=image_file("ccu.program"))

    def elaborate(self, platform):
        m = Module()

        host, link = self.host, self.link
        m.submodules.program  = program  = self.program
        m.submodules.check    = check    = DescriptorCheck(self._config)
        m.submodules.results  = results  = VectorSender(self._layouts)
        m.submodules.ledger   = ledger   = TileTracker(self._config)
        m.submodules.counters = counters = Counters(self._config)
        m.submodules.throttle = throttle = BroadcastThrottle(self._config)
        connect(m, results.o, flipped(host).result)
        connect(m, flipped(link).written, ledger.written)
        connect(m, counters.counts, flipped(host).counters)

        # The descriptor that is carried out: one of the program, or one made to read activations.
        address    = Signal.like(program.r.addr)
        offset     = Signal.like(host.run.p.offset)
        descriptor = Signal(self._layouts.descriptor)
        reading    = Signal()
        source     = Signal(check.source.shape())
        is_tile    = ~descriptor.start.dense
        must_wait  = descriptor.barrier & ledger.waiting
        start      = host.run.valid & host.run.ready
        strobes    = counters.strobes
        m.d.comb += [
            source.eq(descriptor.start.source + Mux(descriptor.input, offset, 0)),
            check.descriptor.eq(descriptor),
            check.source.eq(source),
            check.last.eq(address == self._config.program_depth - 1),
            counters.events.eq(link.events),
            counters.clear.eq(start),
            ledger.clear.eq(start),
            host.overflow.eq(ledger.overflow),
            host.overflow_tile.eq(ledger.overflow_tile),
        ]

        # What is broadcast is kind, body and valid of the state, or else a word. While a program
        # runs nothing follows a word: a PE may need it for a cycle more. A fault is noticed a cycle
        # late, and stops everything where it is then.
        kind      = Signal(Kind)
        body      = Signal(self._layouts.message.members["body"])
        valid     = Signal()
        has_word  = Signal()    # a word was sent in the cycle before
        is_sound  = host.fault.code == Error.NONE
        can_send  = is_sound & ~throttle.stop & ~has_word

        with m.FSM() as fsm:
            with m.State("IDLE"):
                m.d.comb += host.run.ready.eq(1)
                m.d.sync += reading.eq(0)
                with m.If(start):
                    m.d.sync += [address.eq(host.run.p.descriptor), offset.eq(host.run.p.offset)]
                    m.next = "FETCH"
                with m.Elif(host.read.valid):
                    m.d.sync += reading.eq(1)
                    m.next = "READ"

            with m.State("READ"):
                with m.If(host.read.p.memory == Memory.ACT):
                    m.d.comb += host.read.ready.eq(1)
                    m.d.sync += self._make_scan(descriptor, host.read.payload)
                    m.next = "START"
                if self._config.readback:
                    with m.Else():
                        self._read_memory(m, kind, body, valid, can_send, results.i)
                        with m.If(host.read.ready):
                            m.next = "IDLE"

            with m.State("FETCH"):
                m.d.comb += strobes["phase_control"].eq(1)
                m.next = "DECODE"

            with m.State("DECODE"):
                m.d.comb += strobes["phase_control"].eq(1)
                m.d.sync += descriptor.eq(program.r.data)
                m.next = "START"

            with m.State("START"):
                m.d.comb += [
                    kind.eq(Kind.START),
                    body.start.eq(descriptor.start.as_value()),
                    body.start.source.eq(source),
                    body.start.watched.eq(host.watched),
                    valid.eq(~must_wait & can_send),
                    strobes["stall_barrier"].eq(must_wait),
                    strobes["phase_control"].eq(~must_wait),
                ]
                with m.If(check.code != Error.NONE):
                    m.d.sync += [host.fault.code.eq(check.code), host.fault.address.eq(address)]
                with m.If(valid):
                    m.next = "SCAN"

            with m.State("SCAN"):
                pointer = descriptor.ptr_base + link.scan.p.column
                m.d.comb += [
                    kind.eq(Kind.ACTIVATION),
                    body.activation.pointer.eq(pointer),
                    body.activation.value.eq(link.scan.p.value),
                ]
                self._scan(m, is_tile, is_sound, can_send, throttle.stop, valid, results.i, strobes)
                with m.If(valid & (pointer > self._config.n_pointers - 2)):
                    m.d.sync += [host.fault.code.eq(Error.BAD_POINTER),
                                 host.fault.address.eq(address)]
                with m.If(link.scan.valid & link.scan.ready & link.scan.p.end):
                    m.next = "END"

            with m.State("END"):
                m.d.comb += [
                    kind.eq(Kind.END),
                    body.end.eq(descriptor.end),
                    valid.eq(is_tile & can_send),
                    ledger.sent.eq(valid),
                    strobes["phase_control"].eq(1),
                ]
                with m.If(~is_tile | can_send):
                    m.d.sync += address.eq(address + 1)
                    m.next = "FETCH"
                    with m.If(descriptor.final):
                        m.next = "FINISH"

            with m.State("FINISH"):
                m.d.comb += strobes["stall_barrier"].eq(1)
                with m.If(~ledger.waiting):
                    m.d.comb += host.done.eq(~reading)
                    m.next = "IDLE"

        self._broadcast(m, kind, body, valid, has_word)
        m.d.comb += [
            throttle.filling.eq(link.filling),
            throttle.full.eq(link.full),
            throttle.sent.eq(valid),
        ]
        with m.If(fsm.ongoing("FETCH")):
            m.d.comb += [program.r.en.eq(1), program.r.addr.eq(address)]
        m.d.comb += [
            host.busy.eq(~fsm.ongoing("IDLE")),
            counters.enable.eq(~reading),
            strobes["cycles"].eq(host.busy),
        ]

        return m

    def _broadcast(self, m, kind, body, valid, has_word):
        """Send the message of the state; if there is none, a word of a load packet."""
        words, message = self.host.load, self.link.message
        is_program = words.p.memory == Memory.PROGRAM
        m.d.comb += [
            words.ready.eq(~valid & ~(has_word & self.host.busy)),
            self.program.w.addr.eq(words.p.address),
            self.program.w.data.eq(words.p.data),
            self.program.w.en.eq(words.valid & words.ready & is_program),
        ]
        with m.If(~valid):
            m.d.comb += [kind.eq(Kind.LOAD), body.load.eq(words.payload)]
        m.d.sync += [
            has_word.eq(words.valid & words.ready),
            message.p.kind.eq(kind),
            message.p.body.eq(body),
            message.valid.eq(valid | (words.valid & words.ready & ~is_program)),
        ]

    def _scan(self, m, is_tile, is_sound, can_send, stop, valid, results, strobes):
        """What is found in the source is broadcast or, of a dense scan, goes to the host."""
        found = self.link.scan
        is_activation = found.valid & ~found.p.end
        m.d.comb += results.payload.eq(found.payload)
        with m.If(is_tile):
            m.d.comb += [
                found.ready.eq(can_send),
                valid.eq(is_activation & can_send),
                strobes["phase_compute"].eq(1),
                strobes["broadcasts"].eq(valid),
                strobes["stall_full"].eq(is_activation & stop),
                strobes["stall_scan"].eq(~found.valid),
            ]
        with m.Else():
            m.d.comb += [
                results.valid.eq(found.valid & is_sound),
                found.ready.eq(results.ready & is_sound),
                strobes["phase_output"].eq(1),
                strobes["stall_result"].eq(self.host.result.valid & ~self.host.result.ready),
            ]

    def _make_scan(self, descriptor, request):
        """A descriptor that sends activations to the host."""
        return [
            descriptor.eq(0),
            descriptor.start.source.eq(request.address),
            descriptor.start.last_word.eq(request.count - 1),
            descriptor.start.dense.eq(1),
            descriptor.final.eq(1),
            descriptor.valid.eq(1),
        ]

    def _read_memory(self, m, kind, body, valid, can_send, results):
        """Words of other memories are asked for one by one."""
        m.submodules.memory_read = reader = MemoryReader(self._config)
        connect(m, flipped(self.host).read, reader.i)
        connect(m, flipped(self.link).scan, reader.answer)
        connect(m, reader.program, self.program.r)
        connect(m, reader.o, results)
        m.d.comb += [
            kind.eq(Kind.LOAD),
            body.load.eq(reader.request.payload),
            valid.eq(reader.request.valid & can_send),
            reader.request.ready.eq(can_send),
        ]
