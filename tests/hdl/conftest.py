"""Fixtures of the hardware's tests: when a stream gives what, and a memory that can be watched."""

from types import SimpleNamespace

import pytest


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

    Block RAM as in a netlist: data comes a cycle later and stays until the next read. While
    somebody else reads, as `taken` tells, the port has no effect and its data is of no use.
    """
    def make(port, words, *, taken=None):
        reads = []
        use = SimpleNamespace(cycle=0)

        async def serve(ctx):
            while True:
                *_, en, addr, other = await ctx.tick().sample(
                    port.en, port.addr, port.en & 0 if taken is None else taken)
                if other:
                    ctx.set(port.data, ~words[addr] & ((1 << len(port.data)) - 1))
                elif en:
                    reads.append((use.cycle, addr))
                    ctx.set(port.data, words[addr])
                use.cycle += 1

        return reads, serve

    return make
