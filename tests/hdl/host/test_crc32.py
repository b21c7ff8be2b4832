"""Crc32, against zlib."""

import random
import zlib

from eie_hdl.host.crc32 import Crc32


def test_checksum_is_that_of_zlib(simulate):
    rng = random.Random(71)
    dut = Crc32()

    async def bench(ctx):
        expected = 0
        for _ in range(300):
            beat, valid, clear = rng.getrandbits(64), rng.random() < 0.7, rng.random() < 0.05
            ctx.set(dut.beat, beat)
            ctx.set(dut.valid, valid)
            ctx.set(dut.clear, clear)
            await ctx.tick()
            if clear:
                expected = 0
            elif valid:
                expected = zlib.crc32(beat.to_bytes(8, "little"), expected)
            assert ctx.get(dut.checksum) == expected

    simulate(dut, bench)
