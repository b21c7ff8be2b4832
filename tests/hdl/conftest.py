"""Fixtures of the hardware's tests: when a stream gives what, and a memory that can be watched."""

import pytest
from amaranth.hdl import Const


@pytest.fixture
def transfers():
    """Make a background bench that notes what a stream carries, and in which cycle."""
    def make(stream):
        log = []

        async def watch(ctx):
            cycle = 0
            while True:
                *_, payload, valid, ready = await ctx.tick().sample(
                    stream.payload, stream.valid, stream.ready)
                if valid and ready:
                    log.append((cycle, payload))
                cycle += 1

        return log, watch

    return make


@pytest.fixture
def rows():
    """Make a background bench that serves a read port from `words`, and notes what is read.

    Block RAM: data comes a cycle later and stays until the next read. A row that is not there, and
    a row that somebody else reads, when `taken` is set, is of no use; the port has no effect then.
    """
    def make(port, words, *, taken=None):
        reads = []
        mask = (1 << len(port.data)) - 1

        async def serve(ctx):
            cycle = 0
            while True:
                *_, en, addr, other = await ctx.tick().sample(
                    port.en, port.addr, Const(0) if taken is None else taken)
                word = words[addr] if addr < len(words) else cycle & mask
                if other:
                    ctx.set(port.data, ~word & mask)
                elif en:
                    reads.append((cycle, addr))
                    ctx.set(port.data, word)
                cycle += 1

        return reads, serve

    return make
