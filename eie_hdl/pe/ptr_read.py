from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EIEConfig, clog2
from ..format import Kind, Layouts

__all__ = ["PtrRead"]


class PtrRead(wiring.Component):
    """Looks up the entries of the column of a broadcast activation.

    Pointers `p` and `p + 1` are read in the same cycle, as even and odd pointers are in separate
    banks (Han et al., ISCA 2016, section 4, "Pointer Read Unit"). With ``drop_empty_columns``, an
    activation whose column has no entries in this PE is dropped. Throughput is one message per
    cycle; latency is two cycles. There are no stalls: the activation queue has a slot for every
    message in flight.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    i : :py:`In(stream.Signature(layouts.message, always_ready=True))`
        Messages other than starts that send a vector.
    o : :py:`Out(stream.Signature(layouts.column, always_ready=True))`
        The messages, with activations as columns.
    even, odd : :py:`In(memory.ReadPort.Signature(...))`
        Read ports of the pointer banks.
    """
    i: stream.Interface
    o: stream.Interface
    even: memory.ReadPort
    odd: memory.ReadPort

    def __init__(self, config: EIEConfig):
        self._layouts = layouts = Layouts.of(config)
        self._drop_empty_columns = config.drop_empty_columns
        port = memory.ReadPort.Signature(addr_width=clog2(config.ptr_depth), shape=layouts.ptr)
        super().__init__({
            "i":    In(stream.Signature(layouts.message, always_ready=True)),
            "o":    Out(stream.Signature(layouts.column, always_ready=True)),
            "even": In(port),
            "odd":  In(port),
        })

    def elaborate(self, platform):
        m = Module()

        s2_valid, s2_is_odd, s2_kind, s2_body = self._look_up(m)

        # Stage 3: count the entries of registered pointers, as block RAM output is late.
        body      = s2_body.shape()
        s3_valid  = Signal()
        s3_is_odd = Signal(reset_less=True)
        s3_kind   = Signal(Kind, reset_less=True)
        s3_body   = Signal(body, reset_less=True)
        s3_even   = Signal(self._layouts.ptr, reset_less=True)
        s3_odd    = Signal(self._layouts.ptr, reset_less=True)
        s3_begin  = Signal(self._layouts.ptr)
        s3_end    = Signal(self._layouts.count)    # low bits: enough to count
        m.d.sync += s3_valid.eq(s2_valid)
        with m.If(s2_valid):
            m.d.sync += [
                s3_is_odd.eq(s2_is_odd),
                s3_kind.eq(s2_kind),
                s3_body.eq(s2_body),
                s3_even.eq(self.even.data),
                s3_odd.eq(self.odd.data),
            ]
        m.d.comb += [
            s3_begin.eq(Mux(s3_is_odd, s3_odd, s3_even)),
            s3_end.eq(Mux(s3_is_odd, s3_even, s3_odd)),
        ]
        is_activation = s3_kind == Kind.ACTIVATION
        count         = (s3_end - s3_begin)[:len(s3_end)]
        # Beside the subtraction, not after it.
        is_empty      = is_activation & (s3_end == s3_begin[:len(s3_end)])
        # Bits above the bodies of other messages belong to activations only.
        column   = Cat(s3_body.activation.value, s3_begin, count)
        n_shared = max(each.size for kind, each in body.members.items() if kind != "activation")
        m.d.comb += [
            self.o.valid.eq(s3_valid & ~is_empty if self._drop_empty_columns else s3_valid),
            self.o.p.kind.eq(s3_kind),
            self.o.p.body.eq(Cat(
                Mux(is_activation, column[:n_shared], s3_body.as_value()[:n_shared]),
                column[n_shared:])),
        ]

        return m

    def _look_up(self, m):
        """Address both banks, and return the valid, parity, kind and body of the message beside."""
        # Stage 1: address both banks. The successor of an odd pointer is in the next even row.
        pointer = self.i.p.body.activation.pointer
        m.d.comb += [
            self.odd.addr.eq(pointer >> 1),
            self.even.addr.eq((pointer + 1) >> 1),
            self.odd.en.eq(self.i.valid),
            self.even.en.eq(self.i.valid),
        ]

        # Stage 2: pointers at the outputs of the banks.
        body      = self._layouts.column.members["body"]
        s2_valid  = Signal()
        s2_is_odd = Signal(reset_less=True)
        s2_kind   = Signal(Kind, reset_less=True)
        s2_body   = Signal(body, reset_less=True)
        m.d.sync += s2_valid.eq(self.i.valid)
        with m.If(self.i.valid):
            m.d.sync += [
                s2_is_odd.eq(pointer[0]),
                s2_kind.eq(self.i.p.kind),
                s2_body.eq(self.i.p.body.as_value()[:body.size]),
            ]
        return s2_valid, s2_is_odd, s2_kind, s2_body
