# amaranth: UnusedElaboratable=no
"""Sram, of both kinds, against a list of rows."""

import random
import re

import pytest
from amaranth.hdl import Fragment, Module

from eie_hdl.lib.sram import Sram

KINDS = pytest.mark.parametrize("block", [True, False], ids=["block", "regfile"])


async def step(ctx, dut, *, read=None, write=None):
    """Run one cycle that reads row `read` and writes `write`, a row and its data."""
    ctx.set(dut.r.en, read is not None)
    ctx.set(dut.r.addr, read or 0)
    ctx.set(dut.w.en, write is not None)
    if write is not None:
        ctx.set(dut.w.addr, write[0])
        ctx.set(dut.w.data, write[1])
    await ctx.tick()
    return ctx.get(dut.r.data)


@KINDS
@pytest.mark.parametrize("width, depth", [(1, 2), (5, 3), (64, 8), (80, 100)])
def test_rows_hold_what_was_written(simulate, block, width, depth):
    dut = Sram(width=width, depth=depth, block=block)
    rng = random.Random(depth)
    rows = [0] * depth

    async def bench(ctx):
        for _ in range(300):
            read = rng.randrange(depth)
            write = (rng.randrange(depth), rng.getrandbits(width))
            if rng.random() < 0.3 or (block and write[0] == read):
                write = None
            if write is not None:
                rows[write[0]] = write[1]    # before the read: a register file returns the new row
            assert await step(ctx, dut, read=read, write=write) == rows[read]
        assert [ctx.get(dut.data[n]) for n in range(depth)] == rows

    simulate(dut, bench)


@KINDS
def test_contents_at_power_on_are_those_given(simulate, block):
    dut = Sram(width=8, depth=5, block=block, init=[3, 1, 4])

    async def bench(ctx):
        assert [await step(ctx, dut, read=row) for row in range(5)] == [3, 1, 4, 0, 0]

    simulate(dut, bench)


@KINDS
def test_read_latency_is_one_cycle(simulate, block):
    dut = Sram(width=8, depth=4, block=block, init=[10, 11, 12, 13])

    async def bench(ctx):
        assert await step(ctx, dut, read=2) == 12
        ctx.set(dut.r.addr, 3)
        await ctx.delay(1e-9)
        assert ctx.get(dut.r.data) == 12
        await ctx.tick()
        assert ctx.get(dut.r.data) == 13

    simulate(dut, bench)


def test_block_ram_holds_its_data_while_it_is_not_read(simulate):
    dut = Sram(width=8, depth=4, init=[10, 11, 12, 13])

    async def bench(ctx):
        assert await step(ctx, dut, read=1) == 11
        assert await step(ctx, dut) == 11
        assert await step(ctx, dut, write=(1, 99)) == 11
        assert await step(ctx, dut) == 11
        assert await step(ctx, dut, read=1) == 99

    simulate(dut, bench)


def test_reading_a_row_of_a_block_ram_that_is_written_ends_the_simulation(simulate):
    dut = Sram(width=8, depth=4)

    async def bench(ctx):
        await step(ctx, dut, read=1, write=(2, 99))
        await step(ctx, dut, read=2, write=(2, 99))

    with pytest.raises(AssertionError, match="row 2 is read in the cycle in which it is written"):
        simulate(dut, bench)


def test_register_file_returns_new_contents_of_a_row_that_is_written(simulate):
    dut = Sram(width=8, depth=4, block=False, init=[10, 11, 12, 13])

    async def bench(ctx):
        assert await step(ctx, dut, read=1, write=(1, 50)) == 50
        assert await step(ctx, dut, read=1, write=(2, 60)) == 50
        assert await step(ctx, dut, read=2) == 60

    simulate(dut, bench)


def test_data_of_a_register_file_follows_later_writes(simulate):
    dut = Sram(width=8, depth=4, block=False, init=[10, 11, 12, 13])

    async def bench(ctx):
        assert await step(ctx, dut, read=1) == 11
        assert await step(ctx, dut, write=(2, 50)) == 11
        assert await step(ctx, dut, write=(1, 60)) == 60
        assert await step(ctx, dut) == 60

    simulate(dut, bench)


@KINDS
def test_platform_may_replace_the_memory(block):
    replacement = Module()

    class Platform:
        def get_sram(self, sram):
            self.sram = sram
            return replacement

    platform = Platform()
    dut = Sram(width=7, depth=6, block=block, image=".spmat.hex")
    assert dut.elaborate(platform) is replacement
    assert platform.sram is dut
    assert (dut.width, dut.depth, dut.block, dut.image) == (7, 6, block, ".spmat.hex")


def test_memory_can_be_elaborated_twice():
    dut = Sram(width=7, depth=6)
    assert isinstance(Fragment.get(dut, None), Fragment)
    assert isinstance(Fragment.get(dut, None), Fragment)


@pytest.mark.parametrize("width", [0, -1, 8.0, "8", None])
def test_invalid_width_is_rejected(width):
    message = f"SRAM width must be a positive integer, not {width!r}"
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        Sram(width=width, depth=4)


@pytest.mark.parametrize("depth", [1, 0, -1, 8.0, "8", None])
def test_invalid_depth_is_rejected(depth):
    message = f"SRAM depth must be an integer of at least 2, not {depth!r}"
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        Sram(width=4, depth=depth)
