import zlib

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..format import BEAT_WIDTH
from ..registers import REGISTER

__all__ = ["Crc32"]


class Crc32(wiring.Component):
    """CRC-32 of beats, as ``zlib.crc32`` of their bytes, lowest first.

    A bit of the next checksum is the exclusive or of some bits of the last one and of the beat,
    which zlib itself tells. (As single gates, of which :mod:`amaranth.lib.crc` makes its unrolled
    form, they would be a quarter of all Verilog, and of the time to write it.) One beat a cycle.

    Members
    -------
    clear : :py:`In(1)`
        Strobe. Begin anew; the beat of this cycle does not count.
    valid, beat : :py:`In(1)`, :py:`In(64)`
        A beat that counts.
    checksum : :py:`Out(32)`
        Crc32, one cycle later.
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

        def after(checksum, beat):
            return zlib.crc32(beat.to_bytes(BEAT_WIDTH // 8, "little"), checksum)

        # What each bit changes in the checksum after a beat; and the checksum if none is set.
        inputs  = Cat(self.checksum, self.beat)
        nothing = after(0, 0)
        effects = [nothing ^ after(1 << n, 0) for n in range(len(self.checksum))]
        effects += [nothing ^ after(0, 1 << n) for n in range(len(self.beat))]
        following = [
            Cat(bit for bit, effect in zip(inputs, effects) if effect >> n & 1).xor()
            ^ (nothing >> n & 1) for n in range(len(self.checksum))]

        with m.If(self.clear):
            m.d.sync += self.checksum.eq(0)
        with m.Elif(self.valid):
            m.d.sync += self.checksum.eq(Cat(following))

        return m
