"""ByteCrc."""

import random
import zlib

from eie_hdl.bridge.byte_crc import ByteCrc


def test_checksum_is_that_of_zlib_and_a_message_with_its_own_is_sound(simulate):
    rng = random.Random(5)
    dut = ByteCrc()

    async def bench(ctx):
        for length in (0, 1, 2, 30):
            message = rng.randbytes(length)
            checksum = zlib.crc32(message).to_bytes(4, "little")
            for n, byte in enumerate(message + checksum):
                while rng.random() < 0.3:
                    ctx.set(dut.valid, 0)
                    await ctx.tick()
                assert ctx.get(dut.checksum) == zlib.crc32((message + checksum)[:n])
                ctx.set(dut.byte, byte)
                ctx.set(dut.valid, 1)
                await ctx.tick()
                assert ctx.get(dut.is_sound) == (n == length + 3)
            ctx.set(dut.clear, 1)
            await ctx.tick()
            ctx.set(dut.clear, 0)
            assert ctx.get(dut.checksum) == 0

    simulate(dut, bench)
