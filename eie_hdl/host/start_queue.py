from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EIEConfig, clog2
from ..format import N_BUFFERS, Layouts
from ..lib.compare import is_below
from ..registers import REGISTER, Error
from .error_log import error_layout

__all__ = ["StartQueue", "start_layout"]

#: Write to register START.
start_layout = data.StructLayout({
    "valid": 1, "descriptor": REGISTER["START"].width("descriptor"),
    "buffer": REGISTER["START"].width("buffer")})


class StartQueue(wiring.Component):
    """Holds a start until the core accepts it, and tracks the input buffers in use.

    A start is delayed while a packet is being received, unless it is for the other input buffer. A
    packet that waits for the input buffer is received before the start if it came before, and after
    it otherwise.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    i : :py:`In(start_layout)`
        Request to start; `valid` is a strobe.
    drop : :py:`In(1)`
        Strobe: cancel the pending start.
    hold : :py:`In(1)`
        An error is pending: ignore requests, and keep a pending start waiting.
    refuse : :py:`In(1)`
        The core is being reset: reject requests with an error.
    input_stride : :py:`In(16)`
        Register INPUT_STRIDE, which must not change in the cycle before a request.
    receiving_model, receiving_input : :py:`In(1)`, :py:`In(2)`
        A packet is being received: not for an input buffer; for each input buffer.
    waiting_input : :py:`In(2)`
        Per input buffer: a packet for it is offered.
    reading, sending : :py:`In(1)`
        Memory is being read; a vector is being sent, which may be in the rows of the only input
        buffer, but not in those of one of two.
    running, reads_input, oldest : :py:`In(2)`, :py:`In(2)`, :py:`In(1)`
        Programs in flight, as in :class:`~eie_hdl.ccu.ccu.CcuSignature`.
    run : :py:`Out(stream.Signature(layouts.run))`
        Starts of programs. An offered start may be withdrawn before the core accepts it.
    waiting : :py:`Out(1)`
        A start is pending.
    descriptor : :py:`Out(16)`
        First descriptor of the oldest program, or of the pending start if none is in flight.
    buffer_in_use : :py:`Out(2)`
        Input buffers that must not be written. Registered: a buffer is free one cycle late, and in
        use in the cycle after each request.
    error : :py:`Out(error_layout)`
        START_BUSY or START_RANGE, for one cycle, in the cycle after the request.
    """
    def __init__(self, config: EIEConfig):
        self._config = config
        super().__init__({
            "i": In(start_layout), "drop": In(1), "hold": In(1), "refuse": In(1),
            "input_stride": In(REGISTER["INPUT_STRIDE"].width()),
            "receiving_model": In(1), "receiving_input": In(N_BUFFERS),
            "waiting_input": In(N_BUFFERS),
            "reading": In(1), "sending": In(1),
            "running": In(N_BUFFERS), "reads_input": In(N_BUFFERS), "oldest": In(clog2(N_BUFFERS)),
            "run": Out(stream.Signature(Layouts.of(config).run)),
            "waiting": Out(1), "descriptor": Out(start_layout["descriptor"].shape),
            "buffer_in_use": Out(N_BUFFERS),
            "error": Out(error_layout),
        })

    def elaborate(self, platform):
        m = Module()

        # The pending start, and the first descriptor of each program in flight.
        next_ = Signal(start_layout)
        descriptor = next_.descriptor[:clog2(self._config.program_depth)]
        first = Array(Signal.like(descriptor, name=f"first_{n}") for n in range(N_BUFFERS))
        packet_first, is_delayed, comes_after = self._await_packets(m, next_)
        has_two, has_buffer_1 = self._look_up(m)
        with m.If(~next_.valid):
            m.d.sync += [next_.descriptor.eq(self.i.descriptor), next_.buffer.eq(self.i.buffer)]
        m.d.comb += [
            self.waiting.eq(next_.valid),
            self.run.p.descriptor.eq(next_.descriptor),
            self.run.p.buffer.eq(next_.buffer),
            self.run.p.offset.eq(Mux(next_.buffer, self.input_stride, 0)),
            self.run.valid.eq(next_.valid & ~self.hold & ~self.refuse & ~is_delayed),
            self.descriptor.eq(Mux(self.running.any(), first[self.oldest], descriptor)),
        ]
        m.d.sync += self.buffer_in_use.eq(
            self.reads_input | Mux(next_.valid & ~packet_first, 1 << next_.buffer, 0)
            | Mux(self.i.valid, 1 << self.i.buffer, 0)
            | (self.reading | (self.sending & ~has_two)).replicate(N_BUFFERS))
        with m.If(self.run.valid & self.run.ready):
            m.d.sync += next_.valid.eq(0)
        for number, is_running in enumerate(self.running):
            with m.If(~is_running):    # until a program starts
                m.d.sync += first[number].eq(descriptor)

        code = Signal(Error)
        in_range = (is_below(self.i.descriptor, self._config.program_depth)
                    & (has_buffer_1 | ~self.i.buffer))
        m.d.sync += [self.error.code.eq(code), self.error.address.eq(self.i.descriptor)]
        with m.If(self.i.valid & ~self.hold):
            with m.If(next_.valid | self.refuse):
                m.d.comb += code.eq(Error.START_BUSY)
            with m.Elif(~in_range):
                m.d.comb += code.eq(Error.START_RANGE)
            with m.Else():
                m.d.sync += next_.valid.eq(1)
        with m.If(self.i.valid & ~next_.valid):
            m.d.sync += comes_after.eq(self.waiting_input.bit_select(self.i.buffer, 1))
        with m.If(self.drop):
            m.d.sync += next_.valid.eq(0)

        return m

    def _look_up(self, m):
        """Return two flags: there are two input buffers; and programs may read buffer 1."""
        has_two = Signal()
        fits    = Signal()    # the offset of buffer 1 fits the field of the run stream
        m.d.sync += [
            has_two.eq(self.input_stride.any()),
            fits.eq(is_below(self.input_stride, self._config.act_depth)),
        ]
        return has_two, has_two & fits

    def _await_packets(self, m, next_):
        """Order the pending start and the packets for its memories.

        Returns
        -------
        packet_first : value
            A packet waits for the buffer, and comes before the start.
        is_delayed : value
            The start has to wait for a packet.
        comes_after : :class:`~amaranth.hdl.Signal`
            To be set with a start: a packet waits for its buffer.
        """
        comes_after = Signal()
        waiting     = Signal(N_BUFFERS)    # in the cycle before
        m.d.sync += waiting.eq(self.waiting_input)
        receiving   = self.receiving_input.bit_select(next_.buffer, 1)
        is_first    = comes_after & waiting.bit_select(next_.buffer, 1)
        # The packet is received from the cycle on in which it finds the buffer free.
        is_taken    = (self.waiting_input & ~self.buffer_in_use).bit_select(next_.buffer, 1)
        with m.If(~is_first | receiving):
            m.d.sync += comes_after.eq(0)
        return (is_first & ~receiving & ~is_taken, self.receiving_model | receiving | is_first,
                comes_after)
