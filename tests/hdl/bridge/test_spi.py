"""Spi."""

import random

import pytest

from eie_hdl.bridge.spi import Spi
from eie_hdl.frames import END
from support.simulation import put

PHASE = 8    # cycles


async def transfer(ctx, dut, byte, n_bits=8):
    """Exchange bits of a byte, as a host in mode 0; return what it samples."""
    seen = 0
    for n in range(7, 7 - n_bits, -1):
        ctx.set(dut.mosi, byte >> n & 1)
        await ctx.tick().repeat(PHASE)
        ctx.set(dut.sck, 1)
        seen = seen << 1 | ctx.get(dut.miso)
        await ctx.tick().repeat(PHASE)
        ctx.set(dut.sck, 0)
    return seen


async def select(ctx, dut, selected):
    ctx.set(dut.cs_n, not selected)
    await ctx.tick().repeat(PHASE)


def watch(dut, expected):
    async def bench(ctx):
        received = []
        while len(received) < len(expected):
            *_, valid, byte = await ctx.tick().sample(dut.received.valid, dut.received.payload)
            received += [byte] * valid
        assert received == expected

    return bench


@pytest.mark.parametrize("n_selected", [1, 5, 40])
def test_bytes_go_both_ways_and_an_idle_line_carries_delimiters(simulate, n_selected):
    """Bytes follow one another while the device is selected, or each is selected alone."""
    rng = random.Random(n_selected)
    given, taken = list(rng.randbytes(40)), list(rng.randbytes(12))
    dut = Spi()

    async def host(ctx):
        seen = []
        await select(ctx, dut, False)
        for start in range(0, len(given), n_selected):
            await select(ctx, dut, True)
            for byte in given[start:start + n_selected]:
                seen.append(await transfer(ctx, dut, byte))
            await select(ctx, dut, False)
        first = seen.index(taken[0])
        assert [byte for byte in seen if byte != END] == taken
        assert seen[first:first + len(taken)] == taken    # without a gap

    async def device(ctx):
        await ctx.tick().repeat(100)
        await put(ctx, dut.sent, taken)

    simulate(dut, host, device, watch(dut, given), deadline=20_000)


def test_an_interrupted_byte_is_dropped(simulate):
    dut = Spi()

    async def host(ctx):
        for n_bits in range(1, 8):
            await select(ctx, dut, True)
            await transfer(ctx, dut, 0xA5, n_bits)
            await select(ctx, dut, False)
        await select(ctx, dut, True)
        assert await transfer(ctx, dut, 0x5A) == END

    simulate(dut, host, watch(dut, [0x5A]))
