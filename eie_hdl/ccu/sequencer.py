from amaranth.hdl import Cat, Module, Shape, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import EIEConfig, clog2
from ..format import N_BUFFERS, Kind, Layouts, Memory
from ..lib.data_register import data_register
from ..registers import Error
from .counters import strobes_layout
from .memory_reader import MemoryReader, request_layout
from .program_table import fault_layout
from .segment_table import SegmentTable
from .starter import Starter
from .tile_broadcaster import TileBroadcaster

__all__ = ["Sequencer"]


class Sequencer(wiring.Component):
    """Sequencer of programs: executes their descriptors, with up to two programs in flight.

    A descriptor of a tile is a start message, a message for each activation that the scanners find,
    and an end message. The start of the next tile comes as early as possible, so that its
    activations follow without a pause; it may be one of the other program. A descriptor with
    `start.send` is a start message alone: the PEs send the vector while further descriptors are
    executed. One vector is sent at a time, in the order of the programs. A fault of the oldest
    program stops the sequencer until a reset, but not a vector that is being sent.

    A read of activations is executed as a descriptor that sends them; a read of another memory by a
    :class:`~eie_hdl.ccu.memory_reader.MemoryReader`, if the configuration has ``readback``.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    run, read, watched, busy, running, reads_input, oldest, done, sending, fault
        As in :class:`~eie_hdl.ccu.ccu.CcuSignature`.
    program : :py:`In(memory.ReadPort.Signature(...))`
        The program memory.
    message : :py:`Out(stream.Signature(layouts.message))`
        Messages to broadcast. An offered message is withdrawn after a fault, and may be replaced by
        a start.
    request : :py:`Out(stream.Signature(request_layout(config)))`
        Requests for memory. Exists only with ``readback``.
    scan : :py:`In(stream.Signature(layouts.scan))`
        Activations that the scanners find.
    answer : :py:`In(stream.Signature(layouts.result))`
        Vectors of the PEs, and answers to requests for memory.
    results : :py:`Out(stream.Signature(layouts.result))`
        Vectors and memory contents for the host.
    tile_started : :py:`Out(stream.Signature(1))`
        One token per tile that is started: its program, by its input buffer.
    closes : :py:`Out(1)`
        The tile is the last one of its descriptor. Exists only with ``loops``.
    unwritten, n_unwritten : :py:`In(2)`, :py:`In(range(config.max_tiles + 1))`
        As of :class:`~eie_hdl.ccu.tile_tracker.TileTracker`.
    reading : :py:`Out(1)`
        A memory is being read; no program is running.
    queues_full, result_blocked : :py:`In(1)`
        Cause of a stalled activation or result, for the counters.
    strobes : :py:`Out(strobes_layout)`
        Events of this cycle, for the counters.
    """
    def __init__(self, config: EIEConfig):
        self._config  = config
        layouts = Layouts.of(config)
        program = layouts.memories[Memory.PROGRAM]
        super().__init__({
            "run":     In(stream.Signature(layouts.run)),
            "read":    In(stream.Signature(layouts.read)),
            "watched": In(clog2(config.n_pe)),
            "busy":    Out(1),
            "running": Out(N_BUFFERS),
            "reads_input": Out(N_BUFFERS),
            "oldest":  Out(clog2(N_BUFFERS)),
            "done":    Out(1),
            "sending": Out(1),
            "fault":   Out(fault_layout(config)),
            "program": In(memory.ReadPort.Signature(
                addr_width=clog2(program.depth), shape=Shape.cast(program.shape).width)),
            "message": Out(stream.Signature(layouts.message)),
            **({"request": Out(stream.Signature(request_layout(config)))}
               if config.readback else {}),
            "scan":    In(stream.Signature(layouts.scan)),
            "answer":  In(stream.Signature(layouts.result)),
            "results": Out(stream.Signature(layouts.result)),
            "tile_started": Out(stream.Signature(clog2(N_BUFFERS))),
            **({"closes": Out(1)} if config.loops else {}),
            "unwritten":    In(N_BUFFERS),
            "n_unwritten":  In(range(config.max_tiles + 1)),
            "reading":      Out(1),
            "queues_full":    In(1),
            "result_blocked": In(1),
            "strobes":        Out(strobes_layout),
        })

    def elaborate(self, platform):
        m = Module()

        m.submodules.starter = starter = Starter(self._config)
        m.submodules.tiles   = tiles   = TileBroadcaster(self._config)
        connect(m, flipped(self).run, starter.run)
        connect(m, flipped(self).read, starter.read)
        connect(m, starter.program, flipped(self).program)
        connect(m, starter.tile_started, flipped(self).tile_started)
        connect(m, starter.tile, tiles.i)
        self._connect_scan(m, starter, tiles)
        m.d.comb += [
            starter.watched.eq(self.watched),
            starter.unwritten.eq(self.unwritten),
            starter.n_unwritten.eq(self.n_unwritten),
            starter.frees_input.eq(tiles.frees_input),
            starter.errors.eq(tiles.errors),
            *(user.sending.eq(self.sending) for user in (starter, tiles)),
            *(getattr(self, name).eq(getattr(starter, name)) for name in (
                "running", "reads_input", "oldest", "done", "fault", "reading")),
            self.busy.eq(self.running.any() | self.reading),
        ]
        for number, bit in enumerate(starter.broadcasting):
            m.d.comb += bit.eq(tiles.busy & (tiles.program == number))
        self._merge(m, starter, tiles)
        self._pass_results(m, starter, tiles)
        if self._config.readback:
            self._read_memory(m, starter)
        self._count(m, starter, tiles)

        return m

    def _connect_scan(self, m, starter, tiles):
        """Connect what the scanners find; with ``loops``, through a table of the segments."""
        if not self._config.loops:
            connect(m, flipped(self).scan, tiles.scan)
            return
        m.submodules.segments = segments = SegmentTable(self._config)
        connect(m, starter.segment, segments.start)
        connect(m, flipped(self).scan, segments.i)
        connect(m, segments.o, tiles.scan)
        m.d.comb += self.closes.eq(starter.closes)

    def _merge(self, m, starter, tiles):
        """Merge starts and messages of tiles; starts have priority."""
        message  = self.message
        # A fault of the younger program stops the messages too, for a cycle, which does no harm.
        is_fault = starter.failed | Cat(error.code != Error.NONE for error in tiles.errors).any()
        no_fault = Signal(init=1)
        m.d.sync += no_fault.eq(~is_fault)
        m.d.comb += [
            message.valid.eq((starter.o.valid | tiles.o.valid) & no_fault),
            starter.o.ready.eq(message.ready & no_fault),
            tiles.o.ready.eq(message.ready & no_fault & ~starter.o.valid),
        ]
        with m.If(starter.o.valid):
            m.d.comb += [
                message.p.kind.eq(Kind.START),
                message.p.body.start.eq(starter.o.payload),
            ]
        with m.Else():
            m.d.comb += [
                message.p.kind.eq(tiles.o.p.kind),
                message.p.body.eq(tiles.o.p.body.as_value()),
            ]

    def _pass_results(self, m, starter, tiles):
        """Pass results to the host while a vector is being sent."""
        m.d.comb += [
            self.results.payload.eq(self.answer.payload),
            self.results.valid.eq(self.answer.valid & self.sending),
            self.answer.ready.eq(self.results.ready & self.sending),
        ]
        with m.If(self.results.valid & self.results.ready & self.results.p.end):
            m.d.sync += self.sending.eq(0)
        with m.If(starter.o.valid & starter.o.ready & starter.o.p.send):
            m.d.sync += self.sending.eq(1)
        if self._config.loops:
            region = data_register(m, tiles.sent_region)
            with m.If(~self.sending):
                m.d.sync += [
                    region.program.eq(starter.tile.p.program),
                    region.is_own.eq(starter.tile.p.descriptor.offset_source),
                ]

    def _read_memory(self, m, starter):
        """Read a memory word by word: broadcast requests, and send the answers to the host."""
        m.submodules.memory_read = reader = MemoryReader(self._config)
        with m.If(starter.reading_memory):
            connect(m, flipped(self.read), reader.i)
            connect(m, flipped(self.answer), reader.answer)
            connect(m, reader.program, flipped(self.program))
            connect(m, reader.o, flipped(self.results))
            connect(m, reader.request, flipped(self.request))
            m.d.comb += starter.read_done.eq(self.read.valid & self.read.ready)

    def _count(self, m, starter, tiles):
        """Count the cycles in which a tile is broadcast, and others by what they wait for."""
        runs     = self.running.any()
        is_idle  = runs & ~tiles.busy
        for_tile = self.unwritten.any()
        m.d.comb += [
            tiles.queues_full.eq(self.queues_full),
            self.strobes.eq(tiles.strobes.as_value()),
            self.strobes.cycles.eq(runs),
            self.strobes.stall_result.eq(runs & self.result_blocked),
        ]
        with m.If(is_idle):
            m.d.comb += [
                self.strobes.stall_barrier.eq(for_tile),
                self.strobes.phase_output.eq(~for_tile & starter.for_result),
                self.strobes.phase_control.eq(~for_tile & ~starter.for_result),
            ]
