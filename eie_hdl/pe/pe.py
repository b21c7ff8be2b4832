from amaranth.hdl import Module, Mux, Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import EIEConfig, clog2
from ..format import Kind, Layouts, Memory, image_file
from ..sram import Sram
from ..tree import Link
from .act_scan import ActScan
from .decode import EntryDecode
from .drain import Drain
from .mac import Mac
from .ptr_read import PtrRead
from .queue import ActivationQueue
from .spmat_read import SpmatRead
from .write_back import WriteBack

__all__ = ["Pe", "PeSignature"]


class PeSignature(wiring.Signature):
    """What a PE has to do with the rest.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    index : :py:`In(clog2(n_pe))`
        Number of this PE. Constant.
    link : :py:`Out(Link(config))`
        To the tree. All its outputs come from registers, or from the LUT RAM of a queue, and all
        its inputs end in some.
    """
    def __init__(self, config: EIEConfig) -> None:
        super().__init__({"index": In(clog2(config.n_pe)), "link": Out(Link(config))})


class Pe(wiring.Component):
    """Processing element: the rows of the layer that live here, and all that is done with them.

    (Han et al., ISCA 2016, section 4 and figure 4.) There is one path, and it keeps the order of
    the broadcast: pointer read, activation queue, spmat read, entry decode, drain, MAC, write-back.
    Beside it the scanner reads the source vector and sends it to the tree.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    index, link
        As in :class:`PeSignature`.
    """
    def __init__(self, config: EIEConfig):
        self._config = config
        self._layouts = layouts = Layouts(config)
        super().__init__(PeSignature(config))

        def sram(memory: Memory, depth=None, **options):
            image = layouts.memories[memory]
            return Sram(width=Shape.cast(image.shape).width, depth=depth or image.depth, **options)

        self.ptr_even = sram(Memory.PTR, config.ptr_depth, image=image_file(".ptr_even"))
        self.ptr_odd  = sram(Memory.PTR, config.ptr_depth, image=image_file(".ptr_odd"))
        self.spmat    = sram(Memory.SPMAT, image=image_file(".spmat"))
        self.act      = sram(Memory.ACT, image=image_file(".act"))
        self.codebook = sram(Memory.CODEBOOK, image=image_file(".codebook"))
        self.acc      = Sram(width=config.acc_width, depth=config.acc_depth, block=False)

    def elaborate(self, platform):
        m = Module()

        config, layouts, link = self._config, self._layouts, self.link
        for name in ("ptr_even", "ptr_odd", "spmat", "act", "codebook", "acc"):
            m.submodules[name] = getattr(self, name)
        m.submodules.scan       = scan       = ActScan(config)
        m.submodules.ptr_read   = ptr_read   = PtrRead(config)
        m.submodules.queue      = queue      = ActivationQueue(config)
        m.submodules.spmat_read = spmat_read = SpmatRead(config)
        m.submodules.decode     = decode     = EntryDecode(config)
        m.submodules.drain      = drain      = Drain(config)
        m.submodules.mac        = mac        = Mac(config)
        m.submodules.write_back = write_back = WriteBack(config)

        # The broadcast arrives.
        message = Signal(layouts.message)
        valid   = Signal()
        m.d.sync += valid.eq(link.message.valid)
        with m.If(link.message.valid):
            m.d.sync += message.eq(link.message.payload)
        m.d.comb += [
            scan.index.eq(self.index),
            scan.i.payload.eq(message.body.start),
            scan.i.valid.eq(valid & (message.kind == Kind.START)),
            ptr_read.i.payload.eq(message),
            ptr_read.i.valid.eq(valid & (message.kind != Kind.LOAD)),
        ]

        # The one path.
        connect(m, ptr_read.o, queue.i)
        connect(m, queue.o, spmat_read.i)
        connect(m, spmat_read.o, decode.i)
        connect(m, decode.o, drain.i)
        connect(m, drain.o, mac.i)
        connect(m, mac.o, write_back.i)
        connect(m, drain.tile, write_back.tile)

        # The memories are read.
        connect(m, ptr_read.even, self.ptr_even.r)
        connect(m, ptr_read.odd, self.ptr_odd.r)
        connect(m, spmat_read.r, self.spmat.r)
        connect(m, mac.codebook, self.codebook.r)
        connect(m, mac.acc_r, self.acc.r)
        m.d.comb += [
            scan.hold.eq(drain.hold),
            scan.r.data.eq(self.act.r.data),
            drain.bias.data.eq(self.act.r.data),
            self.act.r.addr.eq(Mux(drain.hold, drain.bias.addr, scan.r.addr)),
            self.act.r.en.eq(Mux(drain.hold, drain.bias.en, scan.r.en)),
        ]

        # And written: accumulators by the MAC, activations by the write-back, all by loads.
        load    = message.body.load
        loading = Signal()
        is_odd  = load.address[0]
        is_act  = load.memory == Memory.ACT
        m.d.comb += loading.eq(valid & (message.kind == Kind.LOAD)
                               & (load.everyone | (load.pe == self.index)))
        connect(m, mac.acc_w, self.acc.w)
        for port, address, selected in [
            (self.ptr_even.w, load.address >> 1, (load.memory == Memory.PTR) & ~is_odd),
            (self.ptr_odd.w, load.address >> 1, (load.memory == Memory.PTR) & is_odd),
            (self.spmat.w, load.address, load.memory == Memory.SPMAT),
            (self.codebook.w, load.address, load.memory == Memory.CODEBOOK),
        ]:
            m.d.comb += [port.addr.eq(address), port.data.eq(load.data),
                         port.en.eq(loading & selected)]
        m.d.comb += [
            self.act.w.addr.eq(Mux(write_back.w.en, write_back.w.addr, load.address)),
            self.act.w.data.eq(Mux(write_back.w.en, write_back.w.data, load.data)),
            self.act.w.en.eq(write_back.w.en | (loading & is_act)),
        ]

        # What is found, what is written and what is counted leaves.
        connect(m, scan.o, flipped(link).scan)
        connect(m, write_back.written, flipped(link).written)
        m.d.comb += link.full.eq(queue.full)
        m.d.sync += [
            link.events.macs.eq(mac.accumulated),
            link.events.paddings.eq(decode.padding),
            link.events.spmat_reads.eq(spmat_read.r.en),
        ]

        return m
