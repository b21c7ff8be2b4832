from amaranth.hdl import Module, Mux, Shape, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import EIEConfig, clog2
from ..format import N_BUFFERS, Layouts, Memory, any_unwritten
from ..registers import Error
from .descriptor_check import DescriptorCheck
from .loop_starter import LoopStarter
from .program_table import ProgramTable, fault_layout
from .segment_table import started_layout
from .start_order import StartOrder
from .tile_broadcaster import tile_layout

__all__ = ["Starter"]


class Starter(wiring.Component):
    """Fetches the descriptors of programs, and starts each as soon as it may be.

    The next tile is started while the one before is being broadcast; with a `barrier`, each PE
    delays its scan until it has written earlier tiles of its program. A vector is started when
    these have been broadcast, and each PE delays it likewise. The oldest program is tried first; if
    it would have to wait, a tile of the other one is started in between. Each descriptor is checked
    before it is started; an error stops its program. A read of activations is a start without a
    program.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    run, read : :py:`In(stream.Signature(...))`
        As in :class:`~eie_hdl.ccu.ccu.CcuSignature`. A read of a memory other than `ACT` is to be
        accepted by another component.
    watched : :py:`In(clog2(n_pe))`
        As in :class:`~eie_hdl.ccu.ccu.CcuSignature`.
    program : :py:`In(memory.ReadPort.Signature(...))`
        The program memory.
    o : :py:`Out(stream.Signature(layouts.start))`
        Starts to broadcast.
    tile : :py:`Out(stream.Signature(tile_layout(config)))`
        Tiles that are started, in order. Must be ready while none is being broadcast.
    tile_started : :py:`Out(stream.Signature(1))`
        One token per tile that is started: its program, by its input buffer.
    closes : :py:`Out(1)`
        The tile is the last one of its descriptor. Exists only with ``loops``.
    segment : :py:`Out(stream.Signature(...))`
        Segments that are started, as of :class:`~.segment_table.SegmentTable`. Exists only with
        ``loops``.
    unwritten, n_unwritten : :py:`In(2)`, :py:`In(range(config.max_tiles + 1))`
        As of :class:`~eie_hdl.ccu.tile_tracker.TileTracker`.
    broadcasting : :py:`In(2)`
        Per program: one of its tiles is being broadcast.
    sending : :py:`In(1)`
        A vector is being sent, from the cycle after its start.
    frees_input, errors
        As of :class:`~eie_hdl.ccu.tile_broadcaster.TileBroadcaster`.
    running, reads_input, oldest, done, fault, failed
        As of :class:`~eie_hdl.ccu.program_table.ProgramTable`.
    reading, reading_memory : :py:`Out(1)`
        Memory is being read; a memory other than `ACT`.
    read_done : :py:`In(1)`
        Strobe: the read of this memory ends.
    for_result : :py:`Out(1)`
        A vector waits for the one that is being sent.
    """
    def __init__(self, config: EIEConfig):
        self._config  = config
        self._layouts = layouts = Layouts.of(config)
        program = layouts.memories[Memory.PROGRAM]
        super().__init__({
            "run":     In(stream.Signature(layouts.run)),
            "read":    In(stream.Signature(layouts.read)),
            "watched": In(clog2(config.n_pe)),
            "program": In(memory.ReadPort.Signature(
                addr_width=clog2(program.depth), shape=Shape.cast(program.shape).width)),
            "o":       Out(stream.Signature(layouts.start)),
            "tile":    Out(stream.Signature(tile_layout(config))),
            "tile_started": Out(stream.Signature(clog2(N_BUFFERS))),
            **({"closes": Out(1), "segment": Out(stream.Signature(started_layout(config)))}
               if config.loops else {}),
            "unwritten":    In(N_BUFFERS),
            "n_unwritten":  In(range(config.max_tiles + 1)),
            "broadcasting": In(N_BUFFERS),
            "sending":      In(1),
            "frees_input":  In(N_BUFFERS),
            "errors":       In(data.ArrayLayout(fault_layout(config), N_BUFFERS)),
            "running":      Out(N_BUFFERS),
            "reads_input":  Out(N_BUFFERS),
            "oldest":       Out(clog2(N_BUFFERS)),
            "done":         Out(1),
            "fault":        Out(fault_layout(config)),
            "failed":       Out(1),
            "reading":        Out(1),
            "reading_memory": Out(1),
            "read_done":      In(1),
            "for_result":     Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        m.submodules.programs = programs = ProgramTable(self._config)
        descriptor = Signal(self._layouts.descriptor, reset_less=True)    # of the selected one
        selected   = Signal.like(programs.selected)
        is_pending = programs.pending.bit_select(selected, 1)
        others     = (programs.pending & ~(1 << selected)).any()
        check      = self._check(m, descriptor, programs)
        error      = Signal.like(check.code, reset_less=True)
        self._share_programs(m, programs, selected)
        order      = self._order(m, descriptor, programs, others)
        self._offer(m, descriptor, check, order.since, programs)
        loops      = (self._offer_segments(m, descriptor, check, order) if self._config.loops
                      else None)
        # Decided a cycle in advance, as it takes long. A descriptor that may start may do so until
        # it does, or its program fails: then no message is sent in the next cycle.
        must_wait  = Signal(reset_less=True)
        may_start  = Signal(reset_less=True)
        m.d.sync += [
            must_wait.eq(order.must_wait),
            may_start.eq(~order.must_wait & (check.code == Error.NONE) & is_pending
                         & (1 if loops else descriptor.start.send | self._has_room(m))),
        ]
        is_read    = self.read.valid & ~self.running.any()    # before any start
        m.d.comb += programs.hold.eq(self.reading | self.failed | is_read)

        with m.If(programs.step):
            m.d.sync += selected.eq(programs.oldest)
            if loops:    # a vector that interrupts a loop is followed by the rest of it
                with m.If(loops.began & descriptor.start.send):
                    m.d.sync += selected.eq(selected + 1)
        if loops:
            with m.If(loops.gives_way):
                m.d.sync += selected.eq(programs.oldest)
        with m.FSM():
            with m.State("FETCH"):
                m.d.comb += [self.program.en.eq(is_pending),
                             self.program.addr.eq(programs.address)]
                with m.If(is_pending):
                    m.next = "DECODE"
                with m.Elif(others):
                    m.d.sync += selected.eq(selected + 1)
                with m.Else():
                    m.d.sync += selected.eq(self.run.p.buffer)    # a program may start now
                    with m.If(is_read & ~self.sending):
                        m.d.sync += self.reading.eq(1)
                        m.next = "READ"
            with m.State("DECODE"):
                m.d.sync += descriptor.eq(self.program.data)
                m.next = "SUM"
            with m.State("SUM"):    # the check adds, then it compares
                if loops:
                    m.d.comb += loops.begin.eq(~loops.began)
                m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += error.eq(check.code)
                m.next = "START"
            with m.State("START"):
                m.d.comb += self.for_result.eq(order.for_result)
                goes_on = loops.began & ~descriptor.start.send if loops else None
                with m.If(may_start | goes_on if loops else may_start):
                    self._start(m, descriptor, programs, loops)
                with m.Elif((error != Error.NONE) | ~is_pending):
                    m.d.comb += programs.error.eq(error)
                    m.next = "FETCH"
                with m.Elif(must_wait & others):
                    m.d.sync += selected.eq(selected + 1)
                    m.d.comb += order.puts_aside.eq(1)
                    m.next = "FETCH"
            if not loops:
                self._hand_over(m, programs)
            self._read(m, descriptor)

        return m

    def _check(self, m, descriptor, programs):
        """Check the descriptor, with the offset of the program's input buffer."""
        m.submodules.check = check = DescriptorCheck(self._config)
        m.d.comb += [
            check.descriptor.eq(descriptor),
            check.source.eq(descriptor.start.source
                            + Mux(descriptor.offset_source, programs.offset, 0)),
            check.destination.eq(descriptor.end.destination
                                 + Mux(descriptor.offset_destination, programs.offset, 0)),
            check.last.eq(programs.address == self._config.program_depth - 1),
        ]
        return check

    def _share_programs(self, m, programs, selected):
        """Connect the table of programs, of which the selected one takes the next step."""
        connect(m, flipped(self).run, programs.run)
        m.d.comb += [
            programs.selected.eq(selected),
            programs.frees_input.eq(self.frees_input),
            programs.unwritten.eq(self.unwritten),
            programs.errors.eq(self.errors),
            self.running.eq(programs.running),
            self.reads_input.eq(programs.reads_input),
            self.oldest.eq(programs.oldest),
            self.done.eq(programs.done),
            self.fault.eq(programs.fault),
            self.failed.eq(programs.failed),
        ]

    def _order(self, m, descriptor, programs, others):
        """Connect what decides whether the descriptor must wait."""
        m.submodules.order = order = StartOrder(self._config)
        m.d.comb += [
            order.descriptor.eq(descriptor),
            order.selected.eq(programs.selected),
            order.oldest.eq(programs.oldest),
            order.others.eq(others),
            order.offered.eq(self.run.valid),
            order.buffer.eq(self.run.p.buffer),
            order.unwritten.eq(self.unwritten),
            order.broadcasting.eq(self.broadcasting),
            order.sending.eq(self.sending),
            order.tile_started.eq(self.tile_started.valid & self.tile_started.ready),
            order.step.eq(programs.step),
        ]
        return order

    def _offer(self, m, descriptor, check, since, programs):
        """Drive the payloads of a start."""
        m.d.comb += [
            self.o.payload.eq(descriptor.start.as_value()),
            self.o.p.source.eq(check.source),
            self.o.p.watched.eq(self.watched),
            self.o.p.unwritten.eq(Mux(descriptor.barrier, since, any_unwritten(self._config))),
            self.tile.p.descriptor.eq(descriptor),
            self.tile.p.descriptor.end.destination.eq(check.destination),
            self.tile.p.address.eq(programs.address),
            self.tile.p.program.eq(programs.selected),
            self.tile_started.payload.eq(programs.selected),
            programs.final.eq(descriptor.final),
        ]

    def _has_room(self, m):
        """Return whether there is room for a tile.

        A PE has room for one start: the scan of the last one must have begun in all PEs.
        """
        last = Signal.like(self.o.p.unwritten)    # tiles that may be unwritten when it begins
        with m.If(self.tile_started.valid):
            m.d.sync += last.eq(self.o.p.unwritten)
        return self.tile_started.ready & (self.n_unwritten <= last + 1)

    def _hand_over(self, m, programs):
        """Hand a tile that has been started over to the broadcaster."""
        with m.State("STARTED"):
            m.d.comb += self.tile.valid.eq(1)
            with m.If(self.tile.ready):    # the tile before ends
                m.d.comb += programs.step.eq(1)
                m.next = "FETCH"

    def _start(self, m, descriptor, programs, loops):
        """Start a descriptor: a tile, or a vector that is sent while further ones are started."""
        if loops:
            self._start_loop(m, descriptor, programs, loops)
            return
        m.d.comb += self.o.valid.eq(1)
        with m.If(self.o.ready):
            with m.If(descriptor.start.send):
                m.d.comb += programs.step.eq(1)
                m.next = "FETCH"
            with m.Else():
                m.d.comb += self.tile_started.valid.eq(1)
                m.next = "STARTED"
                with m.If(~self.broadcasting.any()):    # it is accepted at once
                    m.d.comb += [self.tile.valid.eq(1), programs.step.eq(1)]
                    m.next = "FETCH"

    def _offer_segments(self, m, descriptor, check, order):
        """Offer the segments of a loop instead of whole rows. Return what starts them."""
        m.submodules.loops = loops = LoopStarter(self._config)
        m.d.comb += [
            loops.descriptor.eq(descriptor),
            loops.source.eq(check.source),
            loops.o.ready.eq(self.o.ready),
            self.o.valid.eq(loops.o.valid),
            loops.tile_started.ready.eq(self.tile_started.ready),
            self.tile_started.valid.eq(loops.tile_started.valid),
            loops.tile.ready.eq(self.tile.ready),
            self.tile.valid.eq(loops.tile.valid),
            loops.interrupts.eq(order.interrupts),
            self.closes.eq(loops.closes),
        ]
        connect(m, loops.segment, flipped(self).segment)
        with m.If(~descriptor.start.send):
            m.d.comb += [self.o.p[name].eq(loops.o.p[name])
                         for name in loops.o.p.shape().members if name in self.o.p.shape().members]
            if self._config.local:
                m.d.comb += self.o.p["local"].eq(descriptor.loop["local"])
            with m.If(~loops.o.p.begins_loop):    # later segments and tiles wait for no other tile
                m.d.comb += self.o.p.unwritten.eq(any_unwritten(self._config))
        return loops

    def _start_loop(self, m, descriptor, programs, loops):
        """Start a descriptor, segment by segment, or a vector."""
        with m.If(descriptor.start.send):
            m.d.comb += [self.o.valid.eq(1), programs.step.eq(self.o.ready)]
        with m.Elif(~loops.gives_way):
            m.d.comb += [loops.go.eq(1), programs.step.eq(loops.done)]
        with m.If(programs.step | loops.gives_way):
            m.next = "FETCH"

    def _read(self, m, descriptor):
        """Turn a read of activations into a descriptor that sends them; await any other read."""
        with m.State("READ"):
            with m.If(self.read.p.memory == Memory.ACT):
                m.d.comb += self.read.ready.eq(1)
                m.d.sync += [
                    descriptor.eq(0),
                    descriptor.start.source.eq(self.read.p.address),
                    descriptor.start.last_word.eq(self.read.p.count - 1),
                    descriptor.start.last_lane.eq(-1),
                    descriptor.start.last_pe.eq(-1),
                    descriptor.start.send.eq(1),
                ]
                m.next = "SEND"
            if self._config.readback:
                with m.Else():
                    m.d.comb += self.reading_memory.eq(1)
                    with m.If(self.read_done):
                        m.d.sync += self.reading.eq(0)
                        m.next = "FETCH"
        with m.State("SEND"):
            m.d.comb += self.o.valid.eq(1)
            with m.If(self.o.ready):
                m.next = "SENDING"
        with m.State("SENDING"):
            with m.If(~self.sending):
                m.d.sync += self.reading.eq(0)
                m.next = "FETCH"
