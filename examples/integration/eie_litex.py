"""The accelerator in a LiteX SoC: registers on the bus, one DMA each way, an interrupt.

``python eie_litex.py RTL -o soc.v`` writes the Verilog of a small SoC with the accelerator; RTL is
the output folder of ``eie verilog``.
"""

import argparse
from pathlib import Path

from litex.build.generic_platform import Pins
from litex.build.io import CRG
from litex.build.sim import SimPlatform
from litex.gen import LiteXModule
from litex.soc.cores.dma import WishboneDMAReader, WishboneDMAWriter
from litex.soc.integration.soc import SoCRegion
from litex.soc.integration.soc_core import SoCMini
from litex.soc.interconnect import stream, wishbone
from litex.soc.interconnect.axi import AXILiteInterface
from litex.soc.interconnect.csr_eventmanager import EventManager, EventSourceLevel
from migen import ClockSignal, Instance, ResetSignal, Signal

__all__ = ["EIE", "add_eie"]

#: Width of a register address and of a beat of the streams in bits.
ADDRESS_WIDTH, BEAT_WIDTH = 10, 64


class EIE(LiteXModule):
    """Accelerator core.

    Parameters
    ----------
    platform
        Platform to which the Verilog files are added.
    folder : :class:`str`
        Output folder of ``eie verilog``.

    Attributes
    ----------
    bus
        AXI4-Lite: registers.
    sink, source
        Streams of 64 bits: load packets and results. All beats are full: missing elements in the
        last beat of a result are zero.
    ev
        Interrupt, pending while an interrupt status of the core is set.
    """
    def __init__(self, platform, folder):
        self.bus    = bus    = AXILiteInterface(data_width=32, address_width=32)
        self.sink   = sink   = stream.Endpoint([("data", BEAT_WIDTH)])
        self.source = source = stream.Endpoint([("data", BEAT_WIDTH)])
        self.ev     = EventManager()
        self.ev.event = EventSourceLevel()
        self.ev.finalize()

        wires = {}
        for name, to_core, to_bus in [("aw", "i", "o"), ("w", "i", "o"), ("b", "o", "i"),
                                      ("ar", "i", "o"), ("r", "o", "i")]:
            channel = getattr(bus, name)
            wires[f"{to_core}_s_axil_{name}valid"] = channel.valid
            wires[f"{to_bus}_s_axil_{name}ready"] = channel.ready
            for field, *_ in channel.description.payload_layout:
                signal = getattr(channel, field)
                if field == "addr":
                    signal = signal[:ADDRESS_WIDTH]
                wires[f"{to_core}_s_axil_{name}{field}"] = signal
        self.specials += Instance(
            "eie", i_aclk=ClockSignal(), i_aresetn=~ResetSignal(), **wires,
            i_s_axis_tdata=sink.data, i_s_axis_tkeep=(1 << BEAT_WIDTH // 8) - 1,
            i_s_axis_tlast=sink.last, i_s_axis_tvalid=sink.valid, o_s_axis_tready=sink.ready,
            o_m_axis_tdata=source.data, o_m_axis_tkeep=Signal(BEAT_WIDTH // 8),
            o_m_axis_tlast=source.last, o_m_axis_tvalid=source.valid,
            i_m_axis_tready=source.ready, o_irq=self.ev.event.trigger)

        for name in (Path(folder) / "eie.f").read_text(encoding="utf-8").split():
            platform.add_source(str(Path(folder) / name))


def add_eie(soc, folder, origin=0x3000_0000):
    """Add the core to `soc`, with registers at `origin` and a DMA each way as bus masters.

    The DMAs have registers ``eie_reader_base`` and so on in the SoC. Each transfer of the reader
    is a load packet; a transfer of the writer ends with a result, or when its memory is full.
    """
    soc.eie = EIE(soc.platform, folder)
    soc.bus.add_slave("eie", soc.eie.bus, SoCRegion(origin=origin, size=1 << ADDRESS_WIDTH,
                                                    cached=False))
    if soc.irq.enabled:
        soc.irq.add("eie")

    # The first byte in memory is the lowest byte of a beat, which LiteX calls big-endian here.
    reader = WishboneDMAReader(_add_master(soc, "eie_reader"), endianness="big", with_csr=True)
    writer = WishboneDMAWriter(_add_master(soc, "eie_writer"), endianness="big")
    writer.add_ctrl(ready_on_idle=0)    # results wait for the writer
    writer.add_csr()
    widen  = stream.Converter(reader.bus.data_width, BEAT_WIDTH)
    narrow = stream.Converter(BEAT_WIDTH, writer.bus.data_width)
    soc.eie_reader, soc.eie_widen, soc.eie_narrow, soc.eie_writer = reader, widen, narrow, writer
    soc.comb += [
        reader.source.connect(widen.sink),
        widen.source.connect(soc.eie.sink),
        soc.eie.source.connect(narrow.sink),
        narrow.source.connect(writer.sink),
    ]


def _add_master(soc, name):
    handler = getattr(soc, "dma_bus", soc.bus)    # cache-coherent port of some CPUs
    bus = wishbone.Interface(data_width=handler.data_width, adr_width=handler.get_address_width(
        "wishbone"), addressing="word")
    handler.add_master(name, bus)
    return bus


def main():
    parser = argparse.ArgumentParser(description="Write a small SoC with the accelerator.")
    parser.add_argument("rtl", help="output folder of `eie verilog`")
    parser.add_argument("-o", "--output", default="soc.v", help="Verilog file to write")
    arguments = parser.parse_args()

    platform = SimPlatform("SIM", [("sys_clk", 0, Pins(1))])
    soc = SoCMini(platform, clk_freq=100_000_000)
    soc.crg = CRG(platform.request("sys_clk"))
    soc.add_ram("packets", origin=0x1000_0000, size=8192)
    add_eie(soc, arguments.rtl)
    soc.finalize()
    platform.get_verilog(soc, name="soc").write(arguments.output)


if __name__ == "__main__":
    main()
