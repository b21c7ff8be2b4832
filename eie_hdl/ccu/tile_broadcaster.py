from amaranth.hdl import Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EIEConfig, clog2
from ..format import N_BUFFERS, Kind, Layouts
from ..registers import Error
from .counters import strobes_layout
from .program_table import fault_layout
from .segment_table import located_layout

__all__ = ["TileBroadcaster", "tile_layout"]


def tile_layout(config: EIEConfig) -> data.StructLayout:
    """Tile that is started: its `descriptor`, the number of this, and the program it is of."""
    return data.StructLayout({
        "descriptor": Layouts.of(config).descriptor, "address": clog2(config.program_depth),
        "program": clog2(N_BUFFERS)})


def _message_layout(config: EIEConfig) -> data.StructLayout:
    """Message of a tile. The body is no wider than needed.

    Undriven bits would become an `always` block without inputs, which simulators never run.
    """
    layouts = Layouts.of(config)
    return data.StructLayout({"kind": Kind, "body": data.UnionLayout({
        "activation": layouts.activation, "end": layouts.end})})


class TileBroadcaster(wiring.Component):
    """Broadcasts the activations that the scanners find in the source of a tile, then its end.

    With ``loops``, a descriptor has a tile for each pixel. In local mode, the end of all of them is
    broadcast first; then the scan delivers only the end of each tile.

    The scan of the next tile may have been started before: its activations wait in the tree. If the
    tile has a `result_barrier`, its end waits until earlier results have been sent.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    i : :py:`In(stream.Signature(tile_layout(config)))`
        Tiles, each accepted when the one before has ended.
    scan : :py:`In(stream.Signature(layouts.scan))`
        Activations, and an end for each tile. With ``loops``, they have pointers already:
        :py:`In(stream.Signature(located_layout(config)))`.
    o : :py:`Out(stream.Signature(...))`
        Messages to broadcast: a `kind` and a `body`, as in ``layouts.message``, without starts.
    sending : :py:`In(1)`
        A vector is being sent.
    sent_region : :py:`In(data.StructLayout({"program": 1, "is_own": 1}))`
        Program of this vector, and if the vector is in the region of its buffer. A tile of another
        program that writes to the region of its own buffer does not wait for it. Exists only with
        ``loops``.
    queues_full : :py:`In(1)`
        Cause of a stalled activation, for the counters.
    busy, program : :py:`Out(1)`
        A tile is being broadcast; its program.
    frees_input : :py:`Out(2)`
        Strobe per program: it does not read its input buffer any more.
    errors : :py:`Out(data.ArrayLayout(fault_layout(config), 2))`
        Error of the activation sent in the cycle before, for one cycle, by program. Registered.
    strobes : :py:`Out(strobes_layout)`
        Events of this cycle, for the counters.
    """
    def __init__(self, config: EIEConfig):
        self._config = config
        layouts = Layouts.of(config)
        super().__init__({
            "i":       In(stream.Signature(tile_layout(config))),
            "scan":    In(stream.Signature(
                located_layout(config) if config.loops else layouts.scan)),
            "o":       Out(stream.Signature(_message_layout(config))),
            "sending": In(1),
            **({"sent_region": In(data.StructLayout(
                {"program": clog2(N_BUFFERS), "is_own": 1}))} if config.loops else {}),
            "queues_full": In(1),
            "busy":    Out(1),
            "program": Out(clog2(N_BUFFERS)),
            "frees_input": Out(N_BUFFERS),
            "errors":  Out(data.ArrayLayout(fault_layout(config), N_BUFFERS)),
            "strobes": Out(strobes_layout),
        })

    def elaborate(self, platform):
        m = Module()

        tile     = Signal(tile_layout(self._config), reset_less=True)
        new      = Signal(reset_less=True)    # nothing of the tile has been found yet
        is_end   = Signal()    # of this tile
        is_found = Signal()    # an activation of this tile
        ends     = Signal()    # of a tile
        closes   = Signal()    # the last one of its descriptor
        m.d.comb += [
            is_end.eq(self.busy & self.scan.valid & self.scan.p.end),
            is_found.eq(self.busy & self.scan.valid & ~self.scan.p.end),
            ends.eq(self.scan.ready & is_end),
            self.i.ready.eq(~self.busy | closes),
            self.program.eq(tile.program),
        ]
        m.d.comb += [bit.eq(closes & tile.descriptor.frees_input & (tile.program == number))
                     for number, bit in enumerate(self.frees_input)]
        with m.If(self.i.ready):
            m.d.sync += [tile.eq(self.i.payload), self.busy.eq(self.i.valid), new.eq(1)]
        with m.Elif(self.scan.valid):
            m.d.sync += new.eq(0)

        must_wait = tile.descriptor.result_barrier & self.sending
        if self._config.loops:
            must_wait &= ~(self.sent_region.is_own & tile.descriptor.offset_destination
                           & (self.sent_region.program != tile.program))
            fails = Const(0)
            self._drive_loop(m, tile, ends, closes)
        else:
            fails = self._drive_message(m, tile)
            m.d.comb += closes.eq(ends)
        sent      = self.o.valid & self.o.ready
        is_late   = self.busy & ~self.scan.valid
        sends_end = at_end = is_end
        takes     = sent
        if self._config.local:
            is_local, announced = self._announce(m, tile, sent)
            announces = self.busy & is_local & ~announced
            sends_end = Mux(is_local, announces, is_end)
            at_end    = is_end | announces
            takes     = Mux(is_local, announced, sent)
            is_late  &= ~is_local    # the PEs compute
        m.d.comb += [
            self.o.valid.eq((is_found | (sends_end & ~must_wait)) & ~fails.any()),
            self.scan.ready.eq(takes),
            self.strobes.broadcasts.eq(is_found & self.scan.ready),
            self.strobes.stall_full.eq(is_found & self.queues_full),
        ]
        for_tiles = new & tile.descriptor.barrier    # its source may still have to be written
        self._count(m, is_late, is_late & for_tiles, at_end, sends_end & must_wait)

        return m

    def _announce(self, m, tile, sent):
        """Broadcast the end of local tiles first. Return if the tile is local, and if that is done.

        It waits for results on behalf of all tiles: a vector that is sent after the first one is in
        the region of another program.
        """
        is_local  = tile.descriptor.loop["local"]
        announced = Signal()
        with m.If(sent):
            m.d.sync += announced.eq(is_local)
        with m.If(self.i.ready):
            m.d.sync += announced.eq(0)
        return is_local, announced

    def _drive_loop(self, m, tile, ends, closes):
        """Drive the payload of a tile of a loop; the scan marks the last one."""
        descriptor, found, end = tile.descriptor, self.scan.p, self.o.p.body.end
        is_first = Signal(reset_less=True)
        m.d.comb += closes.eq(ends & found.closes)
        with m.If(ends):
            m.d.sync += is_first.eq(0)
        with m.If(self.i.ready):
            m.d.sync += is_first.eq(1)
        kind, is_end = Kind.END, found.end
        if self._config.local:
            is_local = descriptor.loop["local"]
            kind, is_end = Mux(is_local, Kind.LOCAL_END, Kind.END), found.end | is_local
        with m.If(is_end):
            m.d.comb += [
                self.o.p.kind.eq(kind),
                *(end[name].eq(descriptor.end[name])
                  for name in descriptor.end.shape().members),
                end.begins_loop.eq(is_first),
                end.ends_loop.eq(found.closes),
            ]
        with m.Else():
            m.d.comb += [
                self.o.p.kind.eq(Kind.ACTIVATION),
                self.o.p.body.activation.pointer.eq(found.pointer),
                self.o.p.body.activation.value.eq(found.value),
            ]

    def _drive_message(self, m, tile):
        """Drive the payload, and report an activation without pointers in the next cycle.

        Its value becomes zero, as entries that are not of the tile could reach accumulators that
        this does not drain, which the next tile of the other program would then find.
        """
        found   = self.scan.p
        pointer = tile.descriptor.ptr_base + found.column
        # Last column that has pointers, negative if there is none; computed with the tile.
        last_column = Signal(signed(1 + clog2(self._config.n_pointers)), reset_less=True)
        with m.If(self.i.ready):
            m.d.sync += last_column.eq(
                self._config.n_pointers - 2 - self.i.p.descriptor.ptr_base)
        is_bad  = found.column > last_column
        fails   = Signal(N_BUFFERS)
        address = Signal.like(tile.address, reset_less=True)
        with m.If(found.end):
            m.d.comb += [
                self.o.p.kind.eq(Kind.END),
                self.o.p.body.end.eq(tile.descriptor.end),
            ]
        with m.Else():
            m.d.comb += [
                self.o.p.kind.eq(Kind.ACTIVATION),
                self.o.p.body.activation.pointer.eq(pointer),
                self.o.p.body.activation.value.eq(Mux(is_bad, 0, found.value)),
            ]
        m.d.sync += address.eq(tile.address)
        for number, error in enumerate(self.errors):
            m.d.sync += fails[number].eq(self.scan.ready & ~found.end & is_bad
                                         & (tile.program == number))
            m.d.comb += [error.code.eq(Mux(fails[number], Error.BAD_POINTER, Error.NONE)),
                         error.address.eq(address)]
        return fails

    def _count(self, m, is_late, at_barrier, at_end, must_wait):
        """Count the cycles of a tile in one phase each."""
        m.d.comb += [
            self.strobes.stall_barrier.eq(at_barrier),
            self.strobes.phase_compute.eq(self.busy & ~at_end & ~at_barrier),
            self.strobes.phase_output.eq(must_wait),
            self.strobes.phase_control.eq(at_end & ~must_wait),
            self.strobes.stall_scan.eq(is_late & ~at_barrier),
        ]
