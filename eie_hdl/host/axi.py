"""External bus interfaces, with the port names from which tools infer them."""

from amaranth.hdl import unsigned
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from ..format import BEAT_BYTES, BEAT_WIDTH
from ..registers import REGISTER_WIDTH

__all__ = ["AxiLiteSignature", "AxiStreamSignature", "Response", "stream_beat"]

#: Payload of an AXI4-Stream as a `lib.stream`. Fields are named as on the bus, without the `t`;
#: each byte has a bit of `keep`.
stream_beat = data.StructLayout({"data": BEAT_WIDTH, "keep": BEAT_BYTES, "last": 1})


class Response(enum.Enum, shape=2):
    """Response to an access (AMBA AXI, A3.4.5)."""

    OKAY = 0
    #: The register does not exist, or does not allow this access.
    SLVERR = 2


class AxiLiteSignature(wiring.Signature):
    """AXI4-Lite with 32-bit data, from the perspective of the manager.

    Parameters
    ----------
    addr_width : :class:`int`
        Width of a byte address.
    """
    def __init__(self, addr_width: int) -> None:
        protection = unsigned(3)
        super().__init__({
            "awaddr": Out(addr_width), "awprot": Out(protection),
            "awvalid": Out(1), "awready": In(1),
            "wdata": Out(REGISTER_WIDTH), "wstrb": Out(REGISTER_WIDTH // 8),
            "wvalid": Out(1), "wready": In(1),
            "bresp": In(Response), "bvalid": In(1), "bready": Out(1),
            "araddr": Out(addr_width), "arprot": Out(protection),
            "arvalid": Out(1), "arready": In(1),
            "rdata": In(REGISTER_WIDTH), "rresp": In(Response),
            "rvalid": In(1), "rready": Out(1),
        })


class AxiStreamSignature(wiring.Signature):
    """AXI4-Stream with 64-bit data, from the perspective of the transmitter."""

    def __init__(self) -> None:
        super().__init__({
            "tdata": Out(BEAT_WIDTH), "tkeep": Out(BEAT_BYTES), "tlast": Out(1),
            "tvalid": Out(1), "tready": In(1),
        })
