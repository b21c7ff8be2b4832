"""Fixtures of hardware tests: a stream monitor, a memory that logs its reads, configurations."""

import pytest
from amaranth.hdl import Const

from eie_hdl.config import PRESETS, EIEConfig


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


#: Presets, and configurations with the least, the greatest and odd widths and depths.
CONFIGS = {
    **PRESETS,
    "one of all": EIEConfig(n_pe=1, v_width=2, z_width=2, entries_per_word=1, acc_depth=4,
                            n_codebooks=1, act_depth=2, spmat_depth=5, ptr_depth=2,
                            program_depth=2),
    "widest": EIEConfig(n_pe=256, v_width=8, z_width=8, entries_per_word=16, act_width=24,
                        codebook_width=24, acc_width=60, acc_depth=1024, n_codebooks=256),
    "no power of two": EIEConfig(spmat_depth=1000, act_depth=300, ptr_depth=77, z_width=7,
                                 v_width=5, act_width=11, n_codebooks=3, readback=True),
}


@pytest.fixture(params=CONFIGS)
def config(request):
    """Configuration with which words are checked."""
    return CONFIGS[request.param]
