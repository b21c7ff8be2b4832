from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import EIEConfig, clog2
from ..format import N_BUFFERS, Layouts, any_unwritten

__all__ = ["StartOrder"]


class StartOrder(wiring.Component):
    """Decides if the next descriptor of the selected program must wait, and for which tiles.

    A vector waits until its program is the oldest one and its tiles have been broadcast; and for
    the vector that is being sent. A tile whose source is the last one started is not started early
    if the other program could fill the time.

    With ``loops``, a vector that had to wait goes between the tiles of a loop of the other program,
    once it need not wait any more.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    descriptor : :py:`In(layouts.descriptor)`
        The descriptor.
    selected, oldest : :py:`In(1)`
        Its program, and the oldest one, by their input buffers.
    others : :py:`In(1)`
        Another program has descriptors to start.
    offered, buffer : :py:`In(1)`
        A start of a program is offered, for this input buffer.
    unwritten, broadcasting, sending
        As of :class:`~.starter.Starter`.
    tile_started : :py:`In(1)`
        Strobe: a tile of the selected program is started.
    step, puts_aside : :py:`In(1)`
        Strobes: the descriptor has been started; it had to wait, and another program is selected.
    must_wait : :py:`Out(1)`
        The descriptor must wait.
    for_result : :py:`Out(1)`
        A vector waits for the one that is being sent.
    interrupts : :py:`Out(1)`
        A vector of the oldest program, which is not selected, need not wait any more. Registered.
        Exists only with ``loops``.
    since : :py:`Out(range(any_unwritten(config) + 1))`
        Tiles that were started after the last one of the selected program, as far as it matters: a
        tile waits for none of :func:`~eie_hdl.format.any_unwritten` or more. Without ``loops``, a
        vector may wait for a later tile then, all but the last of which have been broadcast.
    """
    descriptor: data.View
    selected: Signal
    oldest: Signal
    others: Signal
    offered: Signal
    buffer: Signal
    unwritten: Signal
    broadcasting: Signal
    sending: Signal
    tile_started: Signal
    step: Signal
    puts_aside: Signal
    must_wait: Signal
    for_result: Signal
    interrupts: Signal
    since: Signal

    def __init__(self, config: EIEConfig):
        self._config = config
        program = clog2(N_BUFFERS)
        super().__init__({
            "descriptor": In(Layouts.of(config).descriptor),
            "selected":   In(program),
            "oldest":     In(program),
            "others":     In(1),
            "offered":    In(1),
            "buffer":     In(program),
            "unwritten":    In(N_BUFFERS),
            "broadcasting": In(N_BUFFERS),
            "sending":      In(1),
            "tile_started": In(1),
            "step":         In(1),
            "puts_aside":   In(1),
            "must_wait":    Out(1),
            "for_result":   Out(1),
            **({"interrupts": Out(1)} if config.loops else {}),
            "since":        Out(range(any_unwritten(config) + 1)),
        })

    def elaborate(self, platform):
        m = Module()

        # Not in this cycle, as starts of programs are offered late.
        offered      = Signal()
        buffer       = Signal.like(self.buffer, reset_less=True)
        waits_too    = Signal()    # since the last start, the younger program had to wait, too
        last_program = Signal.like(self.selected, reset_less=True)    # of the last tile started
        m.d.sync += [
            offered.eq(self.offered),
            buffer.eq(self.buffer),
            waits_too.eq((waits_too | (self.puts_aside & (self.selected != self.oldest)))
                         & ~self.step),
        ]
        with m.If(self.tile_started):
            m.d.sync += last_program.eq(self.selected)

        descriptor = self.descriptor
        send       = descriptor.start.send
        could_fill = (self.others | (offered & (buffer != self.selected))) & ~waits_too
        is_early   = ((self.selected == last_program)
                      & self.unwritten.bit_select(self.selected, 1))
        is_in_work = self.broadcasting.bit_select(self.selected, 1)
        for_tiles  = descriptor.barrier & Mux(send, is_in_work, is_early & could_fill)
        for_turn   = (descriptor.alone | send) & (self.selected != self.oldest)
        m.d.comb += [
            self.for_result.eq(send & self.sending),
            self.must_wait.eq(for_tiles | for_turn | self.for_result),
        ]
        self._count_tiles(m)
        if self._config.loops:
            self._find_interrupt(m)

        return m

    def _find_interrupt(self, m):
        """Find if a vector of the oldest program had to wait, but need not any more."""
        send  = self.descriptor.start.send
        waits = Signal()
        with m.If(self.puts_aside & send):
            m.d.sync += waits.eq(1)
        with m.If(self.step & send):
            m.d.sync += waits.eq(0)
        is_in_work = self.broadcasting.bit_select(self.oldest, 1)
        m.d.sync += self.interrupts.eq(
            waits & ~is_in_work & ~self.sending & (self.selected != self.oldest))

    def _count_tiles(self, m):
        """Count the tiles that are started after the last one of each program."""
        most    = any_unwritten(self._config)
        n_since = Array(Signal(range(most + 1), name=f"n_since_{n}") for n in range(N_BUFFERS))
        for number, count in enumerate(n_since):
            with m.If(self.tile_started):
                with m.If(self.selected == number):
                    m.d.sync += count.eq(0)
                with m.Elif(count != most):
                    m.d.sync += count.eq(count + 1)
        m.d.comb += self.since.eq(n_since[self.selected])
