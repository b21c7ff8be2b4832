import zlib

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..frames import CRC_BYTES
from ..host.crc32 import drive_crc

__all__ = ["ByteCrc"]

_CRC_BITS = 8 * CRC_BYTES


class ByteCrc(wiring.Component):
    """CRC-32 of bytes, equal to ``zlib.crc32``.

    Members
    -------
    clear : :py:`In(1)`
        Strobe: restart; a byte of this cycle is ignored.
    valid, byte : :py:`In(1)`, :py:`In(8)`
        Byte to be included.
    checksum : :py:`Out(32)`
        Checksum of the bytes before this cycle.
    is_sound : :py:`Out(1)`
        The last four bytes were the checksum of those before, least significant byte first.
    """
    def __init__(self):
        super().__init__({
            "clear":    In(1),
            "valid":    In(1),
            "byte":     In(8),
            "checksum": Out(_CRC_BITS),
            "is_sound": Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        drive_crc(m, self.checksum, self.byte, clear=self.clear, valid=self.valid)

        # Any bytes followed by their checksum have the same one: that of no bytes and theirs.
        residue = zlib.crc32(zlib.crc32(b"").to_bytes(CRC_BYTES, "little"))
        m.d.comb += self.is_sound.eq(self.checksum == residue)

        return m
