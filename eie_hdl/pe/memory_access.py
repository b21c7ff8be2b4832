from amaranth.hdl import Const, Module, Mux, Shape, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import EIEConfig, clog2
from ..format import Layouts, Memory
from .readback import Readback

__all__ = ["MemoryAccess"]

#: Memories written only by loads, each read by a single pipeline stage.
_LOADED = {"ptr_even": Memory.PTR, "ptr_odd": Memory.PTR, "spmat": Memory.SPMAT,
           "codebook": Memory.CODEBOOK}


def _row(name, load):
    """Return the row of memory `name` that a load or a request addresses."""
    return load.address >> (_LOADED[name] is Memory.PTR)


class MemoryAccess(wiring.Component):
    """Shares the ports of a PE's memories between pipeline stages, loads and read requests.

    Loads write all memories. The pointer, spmat and codebook memories are each read by one stage.
    With ``readback``, a request reads them too and has priority, as no program runs meanwhile.

    The activation SRAM is read by the drain while `hold` is set, else by the vector sender when it
    asks for a word, else by the scanner. It is written by the write-back and by loads.

    Loads and requests of this PE are registered. A load is written one cycle after it has arrived,
    or two if it is for the activation SRAM and the write-back has a word, which happens in at most
    one of four cycles. While a program runs, no PE gets loads in successive cycles.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    index : :py:`In(clog2(n_pe))`
        Number of this PE. Constant.
    i : :py:`In(stream.Signature(layouts.pe_load, always_ready=True))`
        Words to load, and requests.
    ptr_even, ptr_odd, spmat, codebook, act : :py:`In(...)`
        Memories, each with a read port `r` and a write port `w`.
    ptr_even_r, ptr_odd_r, spmat_r, codebook_r : :py:`Out(memory.ReadPort.Signature(...))`
        Read ports for the pipeline stages.
    scan_r, send_r, bias_r : :py:`Out(memory.ReadPort.Signature(...))`
        Read ports of the activation SRAM, for the scanner, the vector sender and the drain.
    hold : :py:`In(1)`
        The drain reads the activation SRAM, and no other component must.
    act_w : :py:`Out(memory.WritePort.Signature(...))`
        Write port of the activation SRAM, for the write-back.
    vector : :py:`In(stream.Signature(layouts.result))`
        Words of the vector sender.
    o : :py:`Out(stream.Signature(layouts.result))`
        Words of vectors, and responses to requests while the sender is idle.
    """
    def __init__(self, config: EIEConfig):
        self._config  = config
        self._layouts = layouts = Layouts.of(config)
        ports = {}
        for name, kind in [*_LOADED.items(), ("act", Memory.ACT)]:
            image = layouts.memories[kind]
            depth = config.ptr_depth if kind is Memory.PTR else image.depth
            options = {"addr_width": clog2(depth), "shape": Shape.cast(image.shape).width}
            ports[name] = (memory.ReadPort.Signature(**options),
                           memory.WritePort.Signature(**options))
        act_r, act_w = ports["act"]
        super().__init__({
            "index":  In(clog2(config.n_pe)),
            "i":      In(stream.Signature(layouts.pe_load, always_ready=True)),
            **{name: In(wiring.Signature({"r": Out(r), "w": Out(w)}))
               for name, (r, w) in ports.items()},
            **{f"{name}_r": Out(ports[name][0]) for name in _LOADED},
            "scan_r": Out(act_r),
            "send_r": Out(act_r),
            "bias_r": Out(act_r),
            "hold":   In(1),
            "act_w":  Out(act_w),
            "vector": In(stream.Signature(layouts.result)),
            "o":      Out(stream.Signature(layouts.result)),
        })

    def elaborate(self, platform):
        m = Module()

        load, loading, waits = self._register(m)
        if self._config.readback:
            self._read_back(m, load)
        else:
            connect(m, flipped(self.vector), flipped(self.o))
            for name in _LOADED:
                connect(m, flipped(getattr(self, f"{name}_r")), flipped(getattr(self, name).r))

        is_pointer = load.memory == Memory.PTR
        is_odd     = load.address[0]
        for name, selected in {
            "ptr_even": is_pointer & ~is_odd, "ptr_odd": is_pointer & is_odd,
            "spmat": load.memory == Memory.SPMAT, "codebook": load.memory == Memory.CODEBOOK,
        }.items():
            port = getattr(self, name).w
            m.d.comb += [port.addr.eq(_row(name, load)), port.data.eq(load.data)]
            m.d.comb += port.en.eq(loading & selected)
        self._share_act(m, load, waits)

        return m

    def _register(self, m):
        """Register loads of this PE and requests, which every PE answers.

        Returns
        -------
        load : :class:`~amaranth.hdl.Signal`
            The last of them.
        loading, waits : :class:`~amaranth.hdl.Signal`
            It is a load that arrived in the last cycle; it is to be written to the activation SRAM.
        """
        i       = self.i
        load    = Signal(self._layouts.pe_load, reset_less=True)
        loading = Signal()
        waits   = Signal()
        is_request = i.p.read if self._config.readback else Const(0)
        is_load    = ~is_request & (i.p.everyone | (i.p.pe == self.index))
        m.d.sync += [
            loading.eq(i.valid & is_load),
            waits.eq((i.valid & is_load & (i.p.memory == Memory.ACT)) | (waits & self.act_w.en)),
        ]
        with m.If(i.valid & (is_load | is_request)):
            m.d.sync += load.eq(i.payload)
        return load, loading, waits

    def _share_act(self, m, load, waits):
        """Connect the activation SRAM to its readers, the write-back and loads."""
        r, w = self.act.r, self.act.w
        m.d.comb += [
            r.addr.eq(Mux(self.hold, self.bias_r.addr,
                          Mux(self.send_r.en, self.send_r.addr, self.scan_r.addr))),
            r.en.eq(Mux(self.hold, self.bias_r.en, self.send_r.en | self.scan_r.en)),
            *(reader.data.eq(r.data) for reader in (self.scan_r, self.send_r, self.bias_r)),
            w.addr.eq(Mux(self.act_w.en, self.act_w.addr, load.address)),
            w.data.eq(Mux(self.act_w.en, self.act_w.data, load.data)),
            w.en.eq(self.act_w.en | waits),
        ]

    def _read_back(self, m, request):
        """Answer requests: read in place of the stages, and send in place of the vector sender."""
        m.submodules.readback = readback = Readback(self._config)
        is_request = Signal()
        m.d.sync += is_request.eq(self.i.valid & self.i.p.read)
        m.d.comb += [
            readback.index.eq(self.index),
            readback.i.payload.eq(request),
            readback.i.valid.eq(is_request),
        ]
        for name in _LOADED:
            port, reader = getattr(self, name).r, getattr(self, f"{name}_r")
            m.d.comb += [
                port.addr.eq(Mux(is_request, _row(name, request), reader.addr)),
                port.en.eq(is_request | reader.en),
                reader.data.eq(port.data),
                readback.words[name].eq(port.data),
            ]
        m.d.comb += [
            self.o.payload.eq(Mux(readback.o.valid, readback.o.payload, self.vector.payload)),
            self.o.valid.eq(readback.o.valid | self.vector.valid),
            readback.o.ready.eq(self.o.ready),
            self.vector.ready.eq(self.o.ready),
        ]
