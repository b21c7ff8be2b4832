"""Ccu loading memories: before programs, and in the gaps of one."""

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
              "data": rng.getrandbits(LAYOUTS.load.members["data"])}
             for memory in rng.choices(memories, k=count)]
    return words, [LAYOUTS.load.const(word) for word in words]


def descriptor(layouts=LAYOUTS, address=0, **fields):
    data = layouts.descriptor.const({"end": {"destination": 1}, "valid": 1, **fields})
    return {"memory": Memory.PROGRAM, "address": address, "data": data.as_value().value}


def listener(dut):
    """Messages by cycle, and the bench that logs them."""
    messages = {}

    async def listen(ctx):
        cycle = 0
        async for *_, given, message in ctx.tick().sample(
                dut.link.message.valid, dut.link.message.payload):
            if given:
                messages[cycle] = message
            cycle += 1

    return messages, listen


def loads(messages):
    return [message.body.load for message in messages.values() if message.kind is Kind.LOAD]


def test_words_are_broadcast_and_descriptors_kept(simulate, stalls):
    rng = random.Random(31)
    program = [rng.getrandbits(LAYOUTS.descriptor.size) for _ in range(CONFIG.program_depth)]
    words, expected = random_words(rng, 20)
    dut = Ccu(CONFIG)
    messages, listen = listener(dut)

    async def bench(ctx):
        descriptors = [{"memory": Memory.PROGRAM, "address": address, "data": data,
                        "pe": rng.randrange(CONFIG.n_pe)} for address, data in enumerate(program)]
        await put(ctx, dut.host.load, words[:10] + descriptors + words[10:], stall=stalls.input,
                  rng=rng)
        await ctx.tick().repeat(2)
        assert loads(messages) == expected
        assert [ctx.get(dut.program.data[row]) for row in range(CONFIG.program_depth)] == program

    simulate(dut, bench, background=[listen])


def test_a_word_is_broadcast_in_every_cycle_one_cycle_later_while_nothing_runs(simulate):
    dut = Ccu(CONFIG)

    async def bench(ctx):
        ctx.set(dut.link.full, 1)    # words do not go through the queues
        ctx.set(dut.host.load.valid, 1)
        for n in range(9):
            ctx.set(dut.host.load.payload, {"memory": Memory.PTR, "address": 7 + n, "data": n})
            assert ctx.get(dut.host.load.ready)
            await ctx.tick()
            assert ctx.get(dut.link.message.valid)
            load = ctx.get(dut.link.message.p.body.load)
            assert (load.address, load.data) == (7 + n, n)
        ctx.set(dut.host.load.valid, 0)
        await ctx.tick()
        assert not ctx.get(dut.link.message.valid)

    simulate(dut, bench)


@pytest.mark.parametrize(("n_pe", "distance"), [(2, 1), (1, 2)])
def test_words_are_taken_at_the_rate_of_a_pe_while_a_program_waits(simulate, n_pe, distance):
    """A PE may need a second cycle to write one; if there are more, the next is for another."""
    layouts = Layouts.of(config := dataclasses.replace(CONFIG, n_pe=n_pe))
    words = [{**word, "pe": number % n_pe}
             for number, word in enumerate(random_words(random.Random(37), 30, [Memory.ACT])[0])]
    expected = [layouts.load.const(word) for word in words]
    dut = Ccu(config)
    messages, listen = listener(dut)

    async def bench(ctx):
        await put(ctx, dut.host.load, [descriptor(layouts, final=1)])
        await put(ctx, dut.host.run, [{}])
        await ctx.tick().repeat(10)
        await put(ctx, dut.host.load, words)
        await ctx.tick().repeat(2)

    simulate(dut, bench, background=[listen])
    assert loads(messages) == expected
    cycles = [cycle for cycle, message in messages.items() if message.kind is Kind.LOAD]
    assert cycles == [cycles[0] + distance * number for number in range(30)]


def test_words_do_not_keep_activations_waiting(simulate):
    """No word is taken while activations are sent; the first gap of one cycle takes one."""
    dut = Ccu(CONFIG)
    messages, listen = listener(dut)
    words, expected = random_words(random.Random(41), 10, [Memory.ACT])
    n_taken = 0

    async def loader(ctx):
        nonlocal n_taken
        await put(ctx, dut.host.load, [descriptor(final=1)])
        await put(ctx, dut.host.run, [{}])
        await ctx.tick().until(dut.link.scan.valid)
        for word in words:
            await put(ctx, dut.host.load, [word])
            n_taken += 1
        await ctx.tick().repeat(2)

    async def scanner(ctx):
        await ctx.tick().repeat(20)
        for n_columns, n_before in [(30, 0), (30, 1)]:
            # A scanner that has something in every cycle, then nothing for one.
            await put(ctx, dut.link.scan, [{"column": n, "value": 1} for n in range(n_columns)])
            assert n_taken == n_before
            await ctx.tick()
        await put(ctx, dut.link.scan, [{"end": 1}])
        await put(ctx, dut.link.written, [0])

    simulate(dut, loader, scanner, background=[listen])
    assert loads(messages) == expected
    activations = [cycle for cycle, message in messages.items()
                   if message.kind is Kind.ACTIVATION]
    first = activations[0]
    # The gap, in which a word was sent.
    assert activations == [*range(first, first + 30), *range(first + 31, first + 61)]


def test_words_are_accepted_after_the_machine_has_failed(simulate):
    """The rest of a packet that is being received is accepted."""
    words, expected = random_words(random.Random(43), 10)
    dut = Ccu(CONFIG)
    messages, listen = listener(dut)

    async def bench(ctx):
        await put(ctx, dut.host.load, [descriptor(valid=0)])
        await put(ctx, dut.host.run, [{}])
        await ctx.tick().until(dut.host.fault.code)
        await put(ctx, dut.host.load, words)
        await ctx.tick().repeat(2)

    simulate(dut, bench, background=[listen])
    assert loads(messages) == expected


def test_nothing_is_sent_without_a_program_or_a_word(simulate):
    dut = Ccu(CONFIG)
    messages, listen = listener(dut)

    async def bench(ctx):
        await nothing(ctx, dut.host.result, cycles=20)
        assert not messages and not ctx.get(dut.host.busy)

    simulate(dut, bench, background=[listen])
