from amaranth.hdl import Array, Module, Shape, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import EIEConfig, clog2
from ..format import N_BUFFERS, Layouts, Memory, image_file
from ..lib.data_register import data_register
from ..lib.sram import Sram
from ..tree.tree import Link
from .broadcast_throttle import BroadcastThrottle
from .counters import counted_layout
from .program_table import fault_layout
from .sequencer import Sequencer
from .tile_tracker import TileTracker

__all__ = ["Ccu", "CcuSignature"]


class CcuSignature(wiring.Signature):
    """Interface between the core and the host logic.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    load : :py:`In(stream.Signature(layouts.load))`
        Words for the memories, accepted in every cycle. While a program runs, only activations that
        it does not use may be loaded, to each PE in turn; if there is only one PE, they are
        accepted in every other cycle, as it may need two cycles to write a word. A program must not
        be started in the cycle in which its first descriptor is loaded.
    run : :py:`In(stream.Signature(layouts.run))`
        Starts of programs, accepted if no program with this input buffer is in flight, and no
        memory is being read.
    read : :py:`In(stream.Signature(layouts.read))`
        Requests to send memory contents as a result, accepted while the core is idle. At least one
        word, all of which must exist. Memories other than `ACT` require ``readback``, and must not
        be requested while a vector is being sent.
    watched : :py:`In(clog2(n_pe))`
        PE whose busy cycles are counted. Sampled at the start of each tile.
    result : :py:`Out(stream.Signature(layouts.result))`
        Vectors that programs send, and memory contents.
    result_blocked : :py:`In(1)`
        The host stalls a result.
    busy : :py:`Out(1)`
        A program is in flight or has failed, or memory is being read.
    running, reads_input : :py:`Out(2)`
        Per input buffer: its program is in flight; it may still read the buffer.
    oldest : :py:`Out(1)`
        Program in flight that ends next, by its input buffer.
    done : :py:`Out(1)`
        Strobe: the oldest program ends. This is the last cycle whose events are of it.
    sending : :py:`Out(1)`
        A vector is being sent, of a program in flight, of an earlier one, or of a read.
    fault : :py:`Out(data.StructLayout({"code": 8, "address": clog2(program_depth)}))`
        Error of the oldest program, an :class:`~eie_hdl.registers.Error`, and the number of the
        descriptor. Held until the core is reset. Registered.
    overflow : :py:`Out(1)`
        An accumulator overflowed in the program that ended last. Valid one cycle after `done`.
    overflow_tile : :py:`Out(clog2(program_depth))`
        Number of the first tile of this program, from 0, in which an accumulator overflowed.
    counted : :py:`Out(counted_layout(config))`
        Events of this cycle. Counters are cleared when a program starts while none is in flight.
    """
    def __init__(self, config: EIEConfig) -> None:
        layouts = Layouts.of(config)
        super().__init__({
            "load":     In(stream.Signature(layouts.load)),
            "run":      In(stream.Signature(layouts.run)),
            "read":     In(stream.Signature(layouts.read)),
            "watched":  In(clog2(config.n_pe)),
            "result":   Out(stream.Signature(layouts.result)),
            "result_blocked": In(1),
            "busy":     Out(1),
            "running":  Out(N_BUFFERS),
            "reads_input": Out(N_BUFFERS),
            "oldest":   Out(clog2(N_BUFFERS)),
            "done":     Out(1),
            "sending":  Out(1),
            "fault":    Out(fault_layout(config)),
            "overflow": Out(1),
            "overflow_tile": Out(clog2(config.program_depth)),
            "counted":  Out(counted_layout(config)),
        })


class Ccu(wiring.Component):
    """Central control unit: loads the memories, and runs programs of descriptors.

    (Han et al., ISCA 2016, section 4, "Central Control Unit": its I/O and computing mode.) For each
    tile it broadcasts a start, the nonzero activations as the scanners find them, and an end.
    Throughput is one activation per cycle unless a queue fills. The next descriptor does not wait
    until a tile is written unless its `barrier` is set. An invalid descriptor stops the program. Up
    to two programs are in flight.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    host : :py:`Out(CcuSignature(config))`
        To the host.
    link : :py:`In(Link(config))`
        To the PEs. Messages are registered.
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
        # `ledger` keeps its name in the Verilog, to which constraints and waveforms may refer.
        m.submodules.program   = program   = self.program
        m.submodules.sequencer = sequencer = Sequencer(config)
        m.submodules.throttle  = throttle  = BroadcastThrottle(config)
        m.submodules.ledger    = ledger    = TileTracker(config)

        # From the host to the PEs.
        connect(m, flipped(host).run, sequencer.run)
        connect(m, flipped(host).read, sequencer.read)
        connect(m, sequencer.program, program.r)
        m.d.comb += [
            sequencer.queues_full.eq(throttle.stop),
            sequencer.watched.eq(host.watched),
        ]
        self._broadcast_messages(m, sequencer, throttle)
        self._broadcast_words(m, sequencer)

        # From the PEs to the host.
        connect(m, flipped(link).scan, sequencer.scan)
        connect(m, flipped(link).written, ledger.written)
        connect(m, flipped(link).result, sequencer.answer)
        connect(m, sequencer.results, flipped(host).result)
        m.d.comb += [
            host.busy.eq(sequencer.busy),
            host.running.eq(sequencer.running),
            host.reads_input.eq(sequencer.reads_input),
            host.oldest.eq(sequencer.oldest),
            host.done.eq(sequencer.done),
            host.sending.eq(sequencer.sending),
        ]
        m.d.sync += host.fault.eq(sequencer.fault)
        self._keep_books(m, sequencer, ledger)

        return m

    def _keep_books(self, m, sequencer, ledger):
        """Track tiles and report events of the programs in flight."""
        host, link = self.host, self.link
        connect(m, sequencer.tile_started, ledger.started)
        if self._config.loops:
            m.d.comb += ledger.closes.eq(sequencer.closes)
        starts = host.run.valid & host.run.ready
        m.d.comb += [
            sequencer.unwritten.eq(ledger.unwritten),
            sequencer.n_unwritten.eq(ledger.n_unwritten),
            sequencer.result_blocked.eq(host.result_blocked),
            host.counted.clear.eq(starts & ~sequencer.running.any()),
            host.counted.enable.eq(~sequencer.reading),
            host.counted.events.eq(link.events),
            host.counted.strobes.eq(sequencer.strobes),
        ]
        m.d.sync += ledger.clear.eq(starts << host.run.p.buffer)    # before its first tile
        overflow      = data_register(m, host.overflow)
        overflow_tile = data_register(m, host.overflow_tile)
        with m.If(sequencer.done):
            m.d.sync += [
                overflow.eq(ledger.overflow.bit_select(sequencer.oldest, 1)),
                overflow_tile.eq(Array(ledger.overflow_tiles)[sequencer.oldest]),
            ]

    def _broadcast_messages(self, m, sequencer, throttle):
        """Broadcast the messages of the sequencer unless an activation queue might overflow."""
        message, link = sequencer.message, self.link
        sent = data_register(m, link.message.payload)
        m.d.comb += [
            throttle.filling.eq(link.filling),
            throttle.full.eq(link.full),
            message.ready.eq(~throttle.stop),
            throttle.sent.eq(message.valid & message.ready),
        ]
        m.d.sync += [
            link.message.valid.eq(throttle.sent),
            sent.eq(message.payload),
        ]

    def _broadcast_words(self, m, sequencer):
        """Broadcast words except those of the program memory, which are written."""
        load, link, program = self.host.load, self.link.load, self.program.w
        is_program = load.p.memory == Memory.PROGRAM
        accepted = load.valid & load.ready
        m.d.comb += [
            load.ready.eq(1),
            program.addr.eq(load.p.address),
            program.data.eq(load.p.data),
            program.en.eq(accepted & is_program),
            link.valid.eq(accepted & ~is_program),
            *(link.p[name].eq(load.p[name]) for name in Layouts.of(self._config).pe_load.members),
        ]
        if self._config.n_pe == 1:    # it may take a cycle more to write a word
            was_sent = Signal()
            m.d.sync += was_sent.eq(link.valid)
            m.d.comb += load.ready.eq(~(sequencer.busy & was_sent))
        if self._config.readback:
            request = sequencer.request
            m.d.comb += request.ready.eq(~load.valid)
            with m.If(request.valid & request.ready):
                m.d.comb += [
                    link.valid.eq(1),
                    link.p.read.eq(1),
                    link.p.memory.eq(request.p.memory),
                    link.p.pe.eq(request.p.pe),
                    link.p.address.eq(request.p.address),
                    link.p.data[:len(request.p.piece)].eq(request.p.piece),
                ]
