import zlib

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..format import BEAT_WIDTH
from ..registers import REGISTER

__all__ = ["Crc32"]


class Crc32(wiring.Component):
    """CRC-32 of beats, equal to ``zlib.crc32`` of their bytes, least significant first.

    Each bit of the next checksum is the exclusive or of bits of the current one and of the beat,
    which are determined by calling zlib. (The single gates of :mod:`amaranth.lib.crc` would be a
    quarter of all Verilog, and of the time to emit it.) Throughput is one beat per cycle.

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

        def after(checksum, beat):
            return zlib.crc32(beat.to_bytes(BEAT_WIDTH // 8, "little"), checksum)

        # Effect of each bit on the next checksum, relative to that of an all-zero input.
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
