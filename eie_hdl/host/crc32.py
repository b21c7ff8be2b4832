import zlib

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..format import BEAT_WIDTH
from ..registers import REGISTER

__all__ = ["Crc32", "drive_crc"]


def drive_crc(m, checksum, data, *, clear, valid):
    """Drive `checksum` by the ``zlib.crc32`` of whole bytes, least significant first.

    It restarts with `clear`, else includes `data` if that is `valid`. Each bit is the exclusive or
    of bits of the sum of checksum and data, which are determined by calling zlib. (The single gates
    of :mod:`amaranth.lib.crc` would be a quarter of all Verilog, and of the time to emit it.)
    """
    def after(start, number):
        return zlib.crc32(number.to_bytes(len(data) // 8, "little"), start)

    # Effect of each bit on the next checksum, relative to that of an all-zero input. A bit of the
    # checksum has that of the bit of the data with its number, so their sum is shared. It does not
    # wait for `valid`: each bit would have a gate more.
    added   = Signal(max(len(checksum), len(data)))
    m.d.comb += added.eq(checksum ^ data)
    nothing = after(0, 0)
    effects = [nothing ^ after(1 << n, 0) for n in range(len(checksum))]
    effects += [nothing ^ after(0, 1 << n) for n in range(len(checksum), len(data))]
    following = Cat(Cat(bit for bit, effect in zip(added, effects) if effect >> n & 1).xor()
                    ^ (nothing >> n & 1) for n in range(len(checksum)))
    with m.If(clear):
        m.d.sync += checksum.eq(0)
    with m.Elif(valid):
        m.d.sync += checksum.eq(following)


class Crc32(wiring.Component):
    """CRC-32 of beats, equal to ``zlib.crc32`` of their bytes, least significant first.

    Throughput is one beat per cycle.

    Members
    -------
    clear : :py:`In(1)`
        Strobe: restart the checksum; a beat of this cycle is ignored.
    valid, beat : :py:`In(1)`, :py:`In(64)`
        Beat to be included.
    checksum : :py:`Out(32)`
        Checksum, one cycle later.
    """
    clear: Signal
    valid: Signal
    beat: Signal
    checksum: Signal

    def __init__(self):
        super().__init__({
            "clear":    In(1),
            "valid":    In(1),
            "beat":     In(BEAT_WIDTH),
            "checksum": Out(REGISTER["CHECKSUM"].width()),
        })

    def elaborate(self, platform):
        m = Module()

        drive_crc(m, self.checksum, self.beat, clear=self.clear, valid=self.valid)

        return m
