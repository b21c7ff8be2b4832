"""Fixtures of hardware tests: a stream monitor, and a memory that logs its reads."""

import pytest
from amaranth.hdl import Const


@pytest.fixture
def transfers():
    """Make a background bench that logs the transfers of a stream with their cycles."""
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
    """Make a background bench that serves a read port from `words` and logs reads.

    It acts as block RAM: data is valid one cycle later and held until the next read. Rows past the
    end return garbage, as does any row while `taken` is set, when another reader has the memory.
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
