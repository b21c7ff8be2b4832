from amaranth.hdl import Module, Mux, Shape, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import EIEConfig, clog2
from ..format import Kind, Layouts, Memory, image_file
from ..lib.sram import Sram
from ..tree.tree import Link
from .act_scan import ActScan
from .decode import EntryDecode
from .drain import Drain
from .mac import Mac
from .ptr_read import PtrRead
from .queue import ActivationQueue
from .readback import Readback
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
        self._layouts = layouts = Layouts.of(config)
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
        load = message.body.load
        readers = [(ptr_read.even, self.ptr_even.r, load.address >> 1),
                   (ptr_read.odd, self.ptr_odd.r, load.address >> 1),
                   (spmat_read.r, self.spmat.r, load.address),
                   (mac.codebook, self.codebook.r, load.address)]
        if config.readback:
            is_request = Signal()
            m.d.comb += is_request.eq(valid & (message.kind == Kind.LOAD) & load.read)
            scanned = self._read_back(m, is_request, load, readers, scan.o)
        else:
            is_request = 0
            scanned = scan.o
            for reader, port, _ in readers:
                connect(m, reader, port)
        connect(m, mac.acc_r, self.acc.r)
        m.d.comb += [
            scan.hold.eq(drain.hold),
            scan.r.data.eq(self.act.r.data),
            drain.bias.data.eq(self.act.r.data),
            self.act.r.addr.eq(Mux(drain.hold, drain.bias.addr, scan.r.addr)),
            self.act.r.en.eq(Mux(drain.hold, drain.bias.en, scan.r.en)),
        ]

        # And written: accumulators by the MAC, activations by the write-back, all by loads. An
        # activation that is loaded waits if the write-back has a word: it has one in four cycles at
        # most, and behind a load that is sent while a program runs nothing follows for a cycle.
        loading     = Signal()
        loading_act = Signal()
        act_waits   = Signal()
        is_odd      = load.address[0]
        m.d.comb += [
            loading.eq(valid & (message.kind == Kind.LOAD) & ~is_request
                       & (load.everyone | (load.pe == self.index))),
            loading_act.eq(loading & (load.memory == Memory.ACT)),
        ]
        m.d.sync += act_waits.eq(loading_act & write_back.w.en)
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
            self.act.w.en.eq(write_back.w.en | loading_act | act_waits),
        ]

        # What is found, what is written and what is counted leaves.
        connect(m, scanned, flipped(link).scan)
        connect(m, write_back.written, flipped(link).written)
        m.d.comb += [link.filling.eq(queue.filling), link.full.eq(queue.full)]
        watched = Signal()
        with m.If(scan.i.valid):
            m.d.sync += watched.eq(message.body.start.watched == self.index)
        m.d.sync += [
            link.events.macs.eq(mac.accumulated),
            link.events.paddings.eq(decode.padding),
            link.events.spmat_reads.eq(spmat_read.r.en),
            link.events.pe_busy.eq(decode.walked & watched),
        ]

        return m

    def _read_back(self, m, is_request, load, readers, scanned):
        """Let requests read the memories, and their answers go where the scanner's do."""
        m.submodules.readback = readback = Readback(self._config)
        m.d.comb += [
            readback.index.eq(self.index),
            readback.i.payload.eq(load),
            readback.i.valid.eq(is_request),
            *(word.eq(port.data) for word, port in [
                (readback.words.spmat, self.spmat.r), (readback.words.ptr_even, self.ptr_even.r),
                (readback.words.ptr_odd, self.ptr_odd.r),
                (readback.words.codebook, self.codebook.r)]),
        ]
        for reader, port, address in readers:
            m.d.comb += [
                port.addr.eq(Mux(is_request, address, reader.addr)),
                port.en.eq(is_request | reader.en),
                reader.data.eq(port.data),
            ]

        # No program runs while memory is read: the scanner is silent.
        merged = stream.Signature(self._layouts.scan).create(path=("scanned",))
        m.d.comb += [
            merged.payload.eq(Mux(readback.o.valid, readback.o.payload, scanned.payload)),
            merged.valid.eq(readback.o.valid | scanned.valid),
            readback.o.ready.eq(merged.ready),
            scanned.ready.eq(merged.ready),
        ]
        return merged
