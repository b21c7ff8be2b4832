from amaranth.hdl import Module, ResetInserter
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import EIEConfig
from ..format import Layouts
from ..lib.stream_queue import StreamQueue
from .axi import AxiStreamSignature, stream_beat
from .packet_terminator import PacketTerminator
from .result_packer import ResultPacker

__all__ = ["ResultPath"]


class ResultPath(wiring.Component):
    """Path from the results of the core to the host, in packets that always end.

    A packet that a reset of the core cuts off ends with a beat without bytes; a beat that has left
    the packer is not lost. Latency from the word or end that follows a beat is one cycle.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    i : :py:`In(stream.Signature(layouts.result))`
        Words of vectors.
    core_reset : :py:`In(1)`
        The core is being reset; words that were taken but not sent are dropped.
    o : :py:`Out(AxiStreamSignature())`
        Packets, one for each vector.
    """
    def __init__(self, config: EIEConfig):
        self._config = config
        super().__init__({
            "i":          In(stream.Signature(Layouts.of(config).result)),
            "core_reset": In(1),
            "o":          Out(AxiStreamSignature()),
        })

    def elaborate(self, platform):
        m = Module()

        packer = ResultPacker(self._config)
        m.submodules.packer = ResetInserter(self.core_reset)(packer)
        m.submodules.terminator = terminator = PacketTerminator()
        m.submodules.output = output = StreamQueue(stream_beat, depth=2)
        connect(m, flipped(self.i), packer.i)
        connect(m, packer.o, terminator.i)
        connect(m, terminator.o, output.i)
        m.d.comb += [
            terminator.cut.eq(self.core_reset),
            self.o.tdata.eq(output.o.p.data),
            self.o.tkeep.eq(output.o.p.keep),
            self.o.tlast.eq(output.o.p.last),
            self.o.tvalid.eq(output.o.valid),
            output.o.ready.eq(self.o.tready),
        ]

        return m
