"""Ccu loading memories: before programs, and while one runs."""

import dataclasses
import random

import pytest

from eie_hdl.ccu.ccu import Ccu
from eie_hdl.config import PRESETS
from eie_hdl.format import Kind, Layouts, Memory
from support.simulation import nothing, put

CONFIG = PRESETS["tiny"]
LAYOUTS = Layouts.of(CONFIG)
PE_MEMORIES = [memory for memory in LAYOUTS.memories if memory is not Memory.PROGRAM]


def random_words(rng, count, memories=PE_MEMORIES):
    """Words as the host offers them, and as they are broadcast."""
    words = [{"address": rng.randrange(LAYOUTS.memories[memory].depth), "memory": memory,
              "pe": rng.randrange(CONFIG.n_pe), "everyone": rng.randrange(2),
              "data": rng.getrandbits(LAYOUTS.pe_load.members["data"])}
             for memory in rng.choices(memories, k=count)]
    return words, [LAYOUTS.pe_load.const(word) for word in words]


def descriptor(layouts=LAYOUTS, address=0, **fields):
    data = layouts.descriptor.const({"end": {"destination": 1}, "valid": 1, **fields})
    return {"memory": Memory.PROGRAM, "address": address, "data": data.as_value().value}


def listener(stream):
    """Payloads of a broadcast by cycle, and the bench that logs them."""
    seen = {}

    async def listen(ctx):
        cycle = 0
        async for *_, given, payload in ctx.tick().sample(stream.valid, stream.payload):
            if given:
                seen[cycle] = payload
            cycle += 1

    return seen, listen


def test_words_are_broadcast_and_descriptors_kept(simulate, stalls):
    rng = random.Random(31)
    program = [rng.getrandbits(LAYOUTS.descriptor.size) for _ in range(CONFIG.program_depth)]
    words, expected = random_words(rng, 20)
    dut = Ccu(CONFIG)
    loads, listen = listener(dut.link.load)

    async def bench(ctx):
        descriptors = [{"memory": Memory.PROGRAM, "address": address, "data": data,
                        "pe": rng.randrange(CONFIG.n_pe)} for address, data in enumerate(program)]
        await put(ctx, dut.host.load, words[:10] + descriptors + words[10:], stall=stalls.input,
                  rng=rng)
        await ctx.tick().repeat(2)
        assert list(loads.values()) == expected
        assert [ctx.get(dut.program.data[row]) for row in range(CONFIG.program_depth)] == program

    simulate(dut, bench, background=[listen])


def test_a_word_is_broadcast_in_the_cycle_in_which_it_is_accepted(simulate):
    dut = Ccu(CONFIG)

    async def bench(ctx):
        ctx.set(dut.link.full, 1)    # words do not go through the queues
        ctx.set(dut.host.load.valid, 1)
        for n in range(9):
            ctx.set(dut.host.load.payload, {"memory": Memory.PTR, "address": 7 + n, "data": n})
            assert ctx.get(dut.host.load.ready) and ctx.get(dut.link.load.valid)
            load = ctx.get(dut.link.load.payload)
            assert (load.address, load.data) == (7 + n, n)
            await ctx.tick()
        ctx.set(dut.host.load.valid, 0)
        assert not ctx.get(dut.link.load.valid)

    simulate(dut, bench)


@pytest.mark.parametrize(("n_pe", "distance"), [(2, 1), (1, 2)])
def test_words_are_taken_at_the_rate_of_a_pe_while_a_program_waits(simulate, n_pe, distance):
    """A PE may need a second cycle to write one; if there are more, the next is for another."""
    layouts = Layouts.of(config := dataclasses.replace(CONFIG, n_pe=n_pe))
    words = [{**word, "pe": number % n_pe}
             for number, word in enumerate(random_words(random.Random(37), 30, [Memory.ACT])[0])]
    expected = [layouts.pe_load.const(word) for word in words]
    dut = Ccu(config)
    loads, listen = listener(dut.link.load)

    async def bench(ctx):
        await put(ctx, dut.host.load, [descriptor(layouts, final=1)])
        await put(ctx, dut.host.run, [{}])
        await ctx.tick().repeat(10)
        await put(ctx, dut.host.load, words)
        await ctx.tick().repeat(2)

    simulate(dut, bench, background=[listen])
    assert list(loads.values()) == expected
    cycles = list(loads)
    assert cycles == [cycles[0] + distance * number for number in range(30)]


def test_words_and_activations_do_not_delay_each_other(simulate):
    """A word and an activation are sent in every cycle."""
    dut = Ccu(CONFIG)
    (messages, listen), (loads, listen_to_loads) = map(listener, (dut.link.message, dut.link.load))
    words, expected = random_words(random.Random(41), 30, [Memory.ACT])

    async def loader(ctx):
        await put(ctx, dut.host.load, [descriptor(final=1)])
        await put(ctx, dut.host.run, [{}])
        await ctx.tick().until(dut.link.scan.valid)
        await put(ctx, dut.host.load, words)
        await ctx.tick().repeat(2)

    async def scanner(ctx):
        await ctx.tick().repeat(20)
        await put(ctx, dut.link.scan, [{"column": n, "value": 1} for n in range(60)])
        await put(ctx, dut.link.scan, [{"end": 1}])
        await put(ctx, dut.link.written, [0])

    simulate(dut, loader, scanner, background=[listen, listen_to_loads])
    assert list(loads.values()) == expected
    activations = [cycle for cycle, message in messages.items()
                   if message.kind is Kind.ACTIVATION]
    first, first_load = activations[0], min(loads)
    assert activations == [*range(first, first + 60)]
    assert list(loads) == [*range(first_load, first_load + 30)]
    assert first <= first_load < activations[-30]


def test_requests_wait_for_words(simulate):
    """A word is sent in every cycle, and then the request for memory."""
    config = dataclasses.replace(CONFIG, readback=True)
    dut = Ccu(config)
    loads, listen = listener(dut.link.load)
    words, expected = random_words(random.Random(48), 10, [Memory.ACT])

    async def loader(ctx):
        await put(ctx, dut.host.load, words)
        await ctx.tick().repeat(4)

    async def reader(ctx):
        await put(ctx, dut.host.read, [{"memory": Memory.SPMAT, "pe": 1, "address": 5,
                                        "count": 1}])

    async def pes(ctx):
        await ctx.tick().until(dut.link.load.valid & dut.link.load.p.read)
        while True:
            await put(ctx, dut.link.result, [{"word": [1]}, {"end": 1}])

    async def host(ctx):
        ctx.set(dut.host.result.ready, 1)

    simulate(dut, loader, reader, host, background=[listen, pes])
    assert list(loads.values())[:10] == expected
    assert list(loads)[:10] == [*range(min(loads), min(loads) + 10)]
    request = list(loads.values())[10]
    assert (request.read, request.memory, request.pe, request.address) == (1, Memory.SPMAT, 1, 5)
    assert expected[-1].pe != 1    # which would remain


def test_start_is_sent_after_a_word_that_is_accepted_with_it(simulate):
    """A PE may need a cycle to write the word."""
    dut = Ccu(CONFIG)
    (messages, listen), (loads, listen_to_loads) = map(listener, (dut.link.message, dut.link.load))

    async def bench(ctx):
        await put(ctx, dut.host.load, [descriptor(final=1)])
        ctx.set(dut.host.run.valid, 1)
        await put(ctx, dut.host.load, random_words(random.Random(53), 1)[0])
        ctx.set(dut.host.run.valid, 0)
        await ctx.tick().repeat(10)

    simulate(dut, bench, background=[listen, listen_to_loads])
    [sent], [start] = loads, messages
    assert start > sent


def test_words_are_accepted_after_the_machine_has_failed(simulate):
    """The rest of a packet that is being received is accepted."""
    words, expected = random_words(random.Random(43), 10)
    dut = Ccu(CONFIG)
    loads, listen = listener(dut.link.load)

    async def bench(ctx):
        await put(ctx, dut.host.load, [descriptor(valid=0)])
        await put(ctx, dut.host.run, [{}])
        await ctx.tick().until(dut.host.fault.code)
        await put(ctx, dut.host.load, words)
        await ctx.tick().repeat(2)

    simulate(dut, bench, background=[listen])
    assert list(loads.values()) == expected


def test_nothing_is_sent_without_a_program_or_a_word(simulate):
    dut = Ccu(CONFIG)
    (messages, listen), (loads, listen_to_loads) = map(listener, (dut.link.message, dut.link.load))

    async def bench(ctx):
        await nothing(ctx, dut.host.result, cycles=20)
        assert not messages and not loads and not ctx.get(dut.host.busy)

    simulate(dut, bench, background=[listen, listen_to_loads])
