"""ResultPath: vectors to packets on an AXI4-Stream."""

import random

import numpy as np
import pytest

from eie_compiler.vectors import result_type
from eie_hdl.config import ACTS_PER_WORD, PRESETS, EIEConfig
from eie_hdl.format import BEAT_BYTES
from eie_hdl.host.result_path import ResultPath
from eie_hdl.numeric import limits
from support.simulation import put


def random_vector(rng, config):
    low, high = limits(config.act_width)
    return [rng.randint(low, high) for _ in range(rng.randint(1, 20))]


def tokens(vector):
    """Words of a vector, all but the last one full, and the end."""
    chunks = [vector[n:n + ACTS_PER_WORD] for n in range(0, len(vector), ACTS_PER_WORD)]
    return [*({"word": chunk + [0] * (ACTS_PER_WORD - len(chunk)), "last_lane": len(chunk) - 1}
              for chunk in chunks), {"end": 1}]


def packet(config, vector):
    """Return the bytes of each beat, and a flag for the last one."""
    content = np.array(vector, result_type(config)).tobytes()
    beats = [content[n:n + BEAT_BYTES] for n in range(0, len(content), BEAT_BYTES)]
    return [(beat, n == len(beats) - 1) for n, beat in enumerate(beats)]


def receiver(axis, received, *, stall, rng):
    """Background bench that logs beats, and checks that they remain offered until accepted."""
    async def bench(ctx):
        offered = None
        while True:
            ctx.set(axis.tready, rng.random() >= stall)
            *_, valid, ready, data, keep, last = await ctx.tick().sample(
                axis.tvalid, axis.tready, axis.tdata, axis.tkeep, axis.tlast)
            if offered is not None:
                assert (valid, data, keep, last) == (1, *offered)
            offered = (data, keep, last) if valid and not ready else None
            if valid and ready:
                content = data.to_bytes(BEAT_BYTES, "little")[:keep.bit_count()]
                assert keep == (1 << len(content)) - 1
                received.append((content, bool(last)))

    return bench


@pytest.mark.parametrize("config", [PRESETS["tiny"], EIEConfig(act_width=12)],
                         ids=["bytes", "words"])
def test_a_vector_is_a_packet_of_its_elements(simulate, stalls, config):
    rng, pauses = random.Random(11), random.Random(12)
    dut = ResultPath(config)
    vectors = [random_vector(rng, config) for _ in range(12)]
    received = []

    async def producer(ctx):
        for vector in vectors:
            await put(ctx, dut.i, tokens(vector), stall=stalls.input, rng=pauses)
        await ctx.tick().repeat(20)
        assert received == [beat for vector in vectors for beat in packet(config, vector)]

    simulate(dut, producer, background=[receiver(dut.o, received, stall=stalls.output, rng=rng)])


async def reset(ctx, dut):
    ctx.set(dut.core_reset, 1)
    await ctx.tick()
    ctx.set(dut.core_reset, 0)


@pytest.mark.parametrize("delay", range(4))
@pytest.mark.parametrize("n_tokens", range(6))
def test_a_packet_that_a_reset_cuts_off_ends_without_bytes(simulate, n_tokens, delay):
    """Or has not begun, or has ended. A beat that something has followed is not lost."""
    config = PRESETS["tiny"]    # a beat of two words
    rng = random.Random(13)
    dut = ResultPath(config)
    vector, received = list(range(1, 17)), []
    beats = packet(config, vector)
    cut = [[], [], [], [*beats[:1], (b"", True)], [*beats[:1], (b"", True)], beats]

    async def producer(ctx):
        await put(ctx, dut.i, tokens(vector)[:n_tokens])
        for _ in range(delay):
            await ctx.tick()
        await reset(ctx, dut)
        await put(ctx, dut.i, tokens(vector[:5]))
        await ctx.tick().repeat(6)
        assert received == [*cut[n_tokens], (bytes(vector[:5]), True)]

    simulate(dut, producer, background=[receiver(dut.o, received, stall=0.0, rng=rng)])


def test_a_reset_leaves_vectors_that_have_ended_whole(simulate):
    """The host accepts a beat in four; the reset is in the cycle after the end."""
    config = PRESETS["tiny"]
    rng = random.Random(17)
    dut = ResultPath(config)
    vectors = [random_vector(rng, config) for _ in range(20)]
    received = []

    async def producer(ctx):
        for vector in vectors:
            await put(ctx, dut.i, tokens(vector))
            await reset(ctx, dut)
        await ctx.tick().repeat(50)
        assert received == [beat for vector in vectors for beat in packet(config, vector)]

    simulate(dut, producer, background=[receiver(dut.o, received, stall=0.75, rng=rng)])
