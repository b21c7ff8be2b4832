"""MemoryAccess: loads, stages and requests at the ports of a PE's memories."""

import dataclasses
import random

import pytest

from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.format import Layouts, Memory
from eie_hdl.pe.memory_access import MemoryAccess
from support.simulation import get, nothing, put

CONFIGS = {
    "tiny": PRESETS["tiny"],
    "readback": dataclasses.replace(PRESETS["tiny"], readback=True),
    "one-pe": EIEConfig(n_pe=1),
}
INDEX = 0
LOADED = ("ptr_even", "ptr_odd", "spmat", "codebook")


def place(memory, address):
    """Return the memory instance and row of a word."""
    if memory is Memory.PTR:
        return ("ptr_odd" if address % 2 else "ptr_even"), address // 2
    return memory.name.lower(), address


def memories(dut, rows):
    """Background benches of the memories, as dictionaries of rows."""
    def make(name):
        r, w = getattr(dut, name).r, getattr(dut, name).w

        async def bench(ctx):
            while True:
                *_, r_en, r_addr, w_en, w_addr, w_data = await ctx.tick().sample(
                    r.en, r.addr, w.en, w.addr, w.data)
                if r_en:
                    ctx.set(r.data, rows[name].get(r_addr, 0))
                if w_en:
                    rows[name][w_addr] = w_data

        return bench

    return [make(name) for name in rows]


def random_words(rng, config, count):
    layouts = Layouts.of(config)
    for _ in range(count):
        memory = rng.choice([Memory.SPMAT, Memory.PTR, Memory.ACT, Memory.CODEBOOK])
        yield {"memory": memory, "address": rng.randrange(layouts.memories[memory].depth),
               "data": rng.getrandbits(16), "pe": rng.randrange(config.n_pe),
               "everyone": rng.randrange(2)}


async def load(ctx, dut, word):
    ctx.set(dut.i.payload, word)
    ctx.set(dut.i.valid, 1)
    await ctx.tick()
    ctx.set(dut.i.valid, 0)


@pytest.mark.parametrize("name", CONFIGS)
def test_loads_write_their_memory_if_they_address_this_pe(simulate, name):
    config = CONFIGS[name]
    rng = random.Random(113)
    dut = MemoryAccess(config)
    rows = {name: {} for name in (*LOADED, "act")}
    expected = {name: {} for name in rows}

    async def bench(ctx):
        ctx.set(dut.index, INDEX)
        for word in random_words(rng, config, 200):
            if word["everyone"] or word["pe"] == INDEX:
                instance, row = place(word["memory"], word["address"])
                mask = (1 << len(getattr(dut, instance).w.data)) - 1
                expected[instance][row] = word["data"] & mask
            await load(ctx, dut, word)
        await ctx.tick().repeat(2)
        assert rows == expected
        assert all(expected.values())

    simulate(dut, bench, background=memories(dut, rows))


def test_load_of_activations_waits_for_the_write_back_and_loses_nothing(simulate):
    """Loads arrive in every other cycle, words of the write-back in one of four."""
    rng = random.Random(127)
    dut = MemoryAccess(CONFIGS["tiny"])
    rows, expected = {"act": {}}, {}
    n_together = 0

    async def bench(ctx):
        nonlocal n_together
        for cycle in range(400):
            loads, writes = cycle % 2 == 0, rng.random() < 0.5 and cycle % 4 < 2
            if cycle % 4 == 0:
                written = False
            writes = writes and not written
            written = written or writes
            if loads:
                ctx.set(dut.i.payload, {"memory": Memory.ACT, "everyone": 1,
                                        "address": cycle % 32, "data": cycle})
                expected[cycle % 32] = cycle
            ctx.set(dut.i.valid, loads)
            ctx.set(dut.act_w.en, writes)
            if writes:
                ctx.set(dut.act_w.addr, 32 + cycle % 16)
                ctx.set(dut.act_w.data, 1000 + cycle)
                expected[32 + cycle % 16] = 1000 + cycle
                n_together += loads
            await ctx.tick()
        ctx.set(dut.i.valid, 0)
        ctx.set(dut.act_w.en, 0)
        await ctx.tick().repeat(2)
        assert rows["act"] == expected

    simulate(dut, bench, background=memories(dut, rows))
    assert n_together > 20


@pytest.mark.parametrize("name", CONFIGS)
def test_stages_read_their_memories_the_drain_before_the_sender_before_the_scanner(simulate, name):
    rng = random.Random(131)
    dut = MemoryAccess(CONFIGS[name])
    rows = {name: {row: rng.getrandbits(len(getattr(dut, name).r.data)) for row in range(8)}
            for name in (*LOADED, "act")}

    async def bench(ctx):
        for _ in range(40):
            asked = {name: rng.randrange(8) for name in LOADED}
            scanned, sent, bias = (rng.randrange(8) for _ in range(3))
            scans, sends, drains, hold = (rng.randrange(2) for _ in range(4))
            for name, row in asked.items():
                ctx.set(getattr(dut, f"{name}_r").addr, row)
                ctx.set(getattr(dut, f"{name}_r").en, 1)
            ctx.set(dut.hold, hold)
            for port, row, en in ((dut.scan_r, scanned, scans), (dut.send_r, sent, sends),
                                  (dut.bias_r, bias, drains)):
                ctx.set(port.addr, row)
                ctx.set(port.en, en)
            reader, act_row, reads = (dut.bias_r, bias, drains) if hold else \
                (dut.send_r, sent, 1) if sends else (dut.scan_r, scanned, scans)
            assert ctx.get(dut.act.r.en) == reads
            await ctx.tick().repeat(2)    # latency of the memories
            for name, row in asked.items():
                assert ctx.get(getattr(dut, f"{name}_r").data) == rows[name][row]
            if reads:
                assert ctx.get(reader.data) == rows["act"][act_row]

    simulate(dut, bench, background=memories(dut, rows))


def test_request_reads_in_place_of_a_stage_and_gets_a_response(simulate):
    config = CONFIGS["readback"]
    dut = MemoryAccess(config)
    rows = {"codebook": {3: 5}}

    async def bench(ctx):
        ctx.set(dut.index, INDEX)
        await load(ctx, dut, {"memory": Memory.CODEBOOK, "address": 3, "pe": INDEX, "read": 1,
                              "everyone": 1})
        value, end = await get(ctx, dut.o, 2)
        assert (value.word[0], value.last_lane, value.end, end.end) == (5, 0, 0, 1)
        assert rows == {"codebook": {3: 5}}    # a request writes nothing

    simulate(dut, bench, background=memories(dut, rows))


@pytest.mark.parametrize("name", CONFIGS)
def test_words_of_the_vector_sender_pass(simulate, stalls, name):
    dut = MemoryAccess(CONFIGS[name])
    rng = random.Random(137)
    shape = Layouts.of(CONFIGS[name]).result
    sent = [shape.const({"word": [rng.randrange(-8, 8) for _ in range(4)],
                         "last_lane": rng.randrange(4), "end": n == 19}) for n in range(20)]

    async def producer(ctx):
        await put(ctx, dut.vector, sent, stall=stalls.input, rng=rng)

    async def consumer(ctx):
        assert await get(ctx, dut.o, len(sent), stall=stalls.output) == sent
        await nothing(ctx, dut.o)

    simulate(dut, producer, consumer)
