# amaranth: UnusedElaboratable=no
"""Uart."""

import random

import pytest

from eie_hdl.bridge.uart import Uart
from eie_hdl.frames import MIN_BIT_CYCLES
from support.simulation import get, put

BYTES = [0x00, 0xFF, 0xC0, 0xDB, 0x55, 0xAA, *random.Random(5).randbytes(6)]


def levels(byte):
    """Levels of a byte on the wire."""
    return [0, *(byte >> n & 1 for n in range(8)), 1]


@pytest.mark.parametrize("bit_cycles", [MIN_BIT_CYCLES, 5, 16])
@pytest.mark.parametrize("drift", [-0.03, 0, 0.03])
def test_bytes_are_received_from_a_host_whose_clock_differs(simulate, bit_cycles, drift):
    """At any phase, and back to back."""
    rng = random.Random(bit_cycles)
    dut = Uart(bit_cycles=bit_cycles)
    period = 10e-9

    async def host(ctx):
        for byte in BYTES:
            await ctx.delay(rng.choice([0, rng.random() * 3 * period]))
            for level in levels(byte):
                ctx.set(dut.rx, level)
                await ctx.delay(bit_cycles * period * (1 + drift))
        await ctx.tick().repeat(bit_cycles)

    async def watch(ctx):
        received = []
        while len(received) < len(BYTES):
            *_, valid, byte = await ctx.tick().sample(dut.received.valid, dut.received.payload)
            received += [byte] * valid
        assert received == BYTES

    # With few cycles a bit, sampling alone is off by as much as the drift may be.
    if bit_cycles >= 16 or not drift:
        simulate(dut, host, watch)


@pytest.mark.parametrize("wire", [
    [0] * 2, [0] * 10 * 16 + [1]], ids=["glitch", "no stop bit"])
def test_what_is_no_byte_is_dropped_and_the_next_one_is_received(simulate, wire):
    dut = Uart(bit_cycles=16)

    async def bench(ctx):
        for level in [*wire, *[1] * 200, *(level for level in levels(0x5A) for _ in range(16))]:
            ctx.set(dut.rx, level)
            await ctx.tick()

    async def watch(ctx):
        received = []
        for _ in range(len(wire) + 400):
            *_, valid, byte = await ctx.tick().sample(dut.received.valid, dut.received.payload)
            received += [byte] * valid
        assert received == [0x5A]

    simulate(dut, bench, watch)


@pytest.mark.parametrize("bit_cycles", [MIN_BIT_CYCLES, 7])
def test_bytes_are_sent_at_the_rate_and_back_to_back(simulate, bit_cycles):
    dut = Uart(bit_cycles=bit_cycles)

    async def bench(ctx):
        await put(ctx, dut.sent, BYTES)

    async def watch(ctx):
        wire = []
        for _ in range(len(BYTES) * 10 * bit_cycles + 3):
            *_, level = await ctx.tick().sample(dut.tx)
            wire.append(level)
        start = wire.index(0)
        expected = [level for byte in BYTES for level in levels(byte) for _ in range(bit_cycles)]
        assert wire[start:] == (expected + [1] * 3)[:len(wire) - start] and start < 3

    simulate(dut, bench, watch)


def test_a_receiver_hears_what_a_sender_sends(simulate):
    dut = Uart(bit_cycles=4)

    async def wire(ctx):
        while True:
            *_, level = await ctx.tick().sample(dut.tx)
            ctx.set(dut.rx, level)

    async def bench(ctx):
        await put(ctx, dut.sent, BYTES, stall=0.3)

    async def watch(ctx):
        assert await get(ctx, dut.received, len(BYTES)) == BYTES

    simulate(dut, bench, watch, background=[wire])


def test_bit_cycles_must_be_possible():
    with pytest.raises(TypeError, match="^bit_cycles must be an integer, not '4'$"):
        Uart(bit_cycles="4")
    with pytest.raises(ValueError, match="^bit_cycles must be at least 4, not 3: choose a lower "
                                         "baud rate$"):
        Uart(bit_cycles=3)
