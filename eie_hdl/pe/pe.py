from amaranth.hdl import Module, Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import EIEConfig, clog2
from ..format import Kind, Layouts, Memory, image_file
from ..lib.skewed_sram import make_skewed_sram
from ..lib.sram import Sram
from ..tree.tree import Link, register_broadcast
from .act_scan import ActScan
from .decode import EntryDecode
from .drain import Drain
from .local_feed import LocalFeed
from .mac import Mac
from .memory_access import MemoryAccess
from .ptr_read import PtrRead
from .queue import ActivationQueue
from .segment_scan import SegmentScan
from .spmat_read import SpmatRead
from .vector_sender import VectorSender
from .write_back import WriteBack

__all__ = ["Pe", "PeSignature"]


class PeSignature(wiring.Signature):
    """Interface of a PE.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    index : :py:`In(clog2(n_pe))`
        Number of this PE. Constant.
    link : :py:`Out(Link(config))`
        To the tree. Outputs are driven by registers or by the LUT RAM of a queue; inputs are
        registered.
    """
    def __init__(self, config: EIEConfig) -> None:
        super().__init__({"index": In(clog2(config.n_pe)), "link": Out(Link(config))})


class Pe(wiring.Component):
    """Processing element: stores and computes an interleaved share of a layer's rows.

    (Han et al., ISCA 2016, section 4 and figure 4.) One pipeline keeps the order of the broadcast:
    pointer read, activation queue, spmat read, entry decode, drain, MAC, write-back. In parallel,
    the scanner reads the source vector and sends its nonzero activations to the tree, and the
    vector sender sends results to the host.

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
        self.acc      = make_skewed_sram(widths=config.acc_parts, depth=config.acc_depth)

    def elaborate(self, platform):
        m = Module()

        config, link = self._config, self.link
        m.submodules.scan       = scan       = (SegmentScan if config.loops else ActScan)(config)
        m.submodules.sender     = sender     = VectorSender(config)
        m.submodules.ptr_read   = ptr_read   = PtrRead(config)
        m.submodules.queue      = queue      = ActivationQueue(config)
        m.submodules.spmat_read = spmat_read = SpmatRead(config)
        m.submodules.decode     = decode     = EntryDecode(config)
        m.submodules.drain      = drain      = Drain(config)
        m.submodules.mac        = mac        = Mac(config)
        m.submodules.write_back = write_back = WriteBack(config)
        m.submodules.access     = access     = MemoryAccess(config)

        # Broadcast.
        self._receive(m, scan, sender, self._feed(m, scan, queue, ptr_read))
        connect(m, flipped(link).load, access.i)
        m.d.comb += [user.index.eq(self.index) for user in (scan, sender, access)]

        # Pipeline.
        connect(m, ptr_read.o, queue.i)
        connect(m, queue.o, spmat_read.i)
        connect(m, spmat_read.o, decode.i)
        connect(m, decode.o, drain.i)
        connect(m, drain.o, mac.i)
        connect(m, mac.o, write_back.i)
        connect(m, drain.tile, write_back.tile)

        if config.scales:
            m.d.comb += [
                mac.tile.eq(drain.tile.valid & drain.tile.ready),
                write_back.scale.eq(mac.scale), write_back.quantiser.eq(mac.quantiser),
            ]

        # Memories.
        for name in ("ptr_even", "ptr_odd", "spmat", "act", "codebook"):
            m.submodules[name] = sram = getattr(self, name)
            connect(m, getattr(access, name), sram)
        connect(m, ptr_read.even, access.ptr_even_r)
        connect(m, ptr_read.odd, access.ptr_odd_r)
        connect(m, spmat_read.r, access.spmat_r)
        connect(m, mac.codebook, access.codebook_r)
        connect(m, scan.r, access.scan_r)
        connect(m, sender.r, access.send_r)
        connect(m, drain.bias, access.bias_r)
        connect(m, write_back.w, access.act_w)
        m.d.comb += [
            scan.hold.eq(drain.hold | sender.r.en),
            sender.unwritten.eq(scan.unwritten), mac.bias.eq(access.bias_r.data),
        ]
        m.d.comb += [user.stored.eq(write_back.stored) for user in (scan, sender)]
        m.d.comb += [user.hold.eq(drain.hold) for user in (sender, access)]
        m.submodules.acc = self.acc
        connect(m, mac.acc_r, self.acc.r)
        connect(m, mac.acc_w, self.acc.w)

        # Activations, results, written tiles and events.
        connect(m, sender.o, access.vector)
        connect(m, access.o, flipped(link).result)
        connect(m, write_back.written, flipped(link).written)
        m.d.comb += [link.filling.eq(queue.filling), link.full.eq(queue.full)]
        self._count(m, scan, spmat_read, decode, mac)

        return m

    def _feed(self, m, scan, queue, ptr_read):
        """Connect the scanner to the tree and, in local mode, to the pointer read.

        Return the stream of messages that are broadcast.
        """
        if not self._config.local:
            connect(m, scan.o, flipped(self.link).scan)
            return ptr_read.i
        m.submodules.feed = feed = LocalFeed(self._config)
        connect(m, scan.o, feed.found)
        connect(m, feed.tree, flipped(self.link).scan)
        connect(m, feed.o, ptr_read.i)
        m.d.comb += [
            feed.segment.payload.eq(scan.i.payload),
            feed.segment.valid.eq(scan.i.valid),
            feed.filling.eq(queue.filling),
        ]
        return feed.message

    def _receive(self, m, scan, sender, messages):
        """Register messages and distribute them, those for the pipeline to `messages`.

        A vector is sent without the pipeline, which gets only the first start of a descriptor. The
        scanner has a register of its own for a start, which may wait there.
        """
        message, valid = register_broadcast(m, self.link, "message")
        start = message.body.start
        starts, sends = valid & (message.kind == Kind.START), start.send
        skips = sends | ~start.begins_loop if self._config.loops else sends
        arriving = self.link.message.p
        m.d.comb += [
            scan.i.payload.eq(arriving.body.start),
            scan.i.valid.eq(self.link.message.valid & (arriving.kind == Kind.START)
                            & ~arriving.body.start.send),
            sender.i.payload.eq(start),
            sender.i.valid.eq(starts & sends),
            messages.payload.eq(message),
            messages.valid.eq(valid & ~(starts & skips)),
        ]

    def _count(self, m, scan, spmat_read, decode, mac):
        """Report events to the counters, busy cycles only if this PE is watched."""
        events  = self.link.events
        watched = Signal(reset_less=True)
        with m.If(scan.i.valid):
            m.d.sync += watched.eq(scan.i.p.watched == self.index)
        m.d.sync += [
            events.macs.eq(mac.accumulated),
            events.paddings.eq(decode.padding),
            events.spmat_reads.eq(spmat_read.r.en),
            events.pe_busy.eq(decode.walked & watched),
        ]
