"""Broadcaster: messages and words in, the broadcast out, against rules cycle by cycle."""

import dataclasses
import random

import pytest
from amaranth.hdl import Shape

from eie_hdl.ccu.broadcaster import Broadcaster
from eie_hdl.config import PRESETS
from eie_hdl.format import Kind, Layouts, Memory
from support.simulation import put

CONFIG = PRESETS["tiny"]
ONE_PE = dataclasses.replace(CONFIG, n_pe=1)


def random_word(rng, config):
    return {"memory": rng.choice([Memory.ACT, Memory.SPMAT, Memory.PROGRAM]),
            "address": rng.randrange(16), "data": rng.getrandbits(16),
            "pe": rng.randrange(config.n_pe)}


def random_message(rng, config):
    activation = Layouts.of(config).activation
    bits = rng.getrandbits(Shape.cast(activation).width)
    return {"kind": Kind.ACTIVATION, "body": {"activation": activation.from_bits(bits)}}


async def sample(ctx, dut):
    """Signals of a cycle."""
    names = ("message.valid", "message.ready", "message.payload", "load.valid", "load.ready",
             "load.payload", "stop", "busy", "o.valid", "o.payload", "program.en", "program.addr",
             "program.data")
    signals = []
    for name in names:
        value = dut
        for part in name.split("."):
            value = getattr(value, part)
        signals.append(value)
    values = await ctx.tick().sample(*signals)    # after those of clock and reset
    return dict(zip(names, values[2:]))


@pytest.mark.parametrize("config", [CONFIG, ONE_PE], ids=["tiny", "one PE"])
@pytest.mark.parametrize("busy", [0, 1])
def test_messages_go_first_and_a_single_pe_gets_no_words_in_succession(simulate, stalls, busy,
                                                                       config):
    rng, pauses = random.Random(101), random.Random(102)
    dut, layouts = Broadcaster(config), Layouts.of(config)
    must_pause = busy and config is ONE_PE
    messages = [random_message(rng, config) for _ in range(60)]
    words = [random_word(rng, config) for _ in range(60)]
    sent = {"message": 0, "word": 0, "program": 0, "after a word": 0}

    async def send_messages(ctx):
        ctx.set(dut.busy, busy)
        await put(ctx, dut.message, messages, stall=stalls.input, rng=pauses)
        await ctx.tick()

    async def send_words(ctx):
        await put(ctx, dut.load, words, stall=stalls.output, rng=random.Random(103))
        await ctx.tick()

    async def stop(ctx):
        while True:
            ctx.set(dut.stop, pauses.random() < 0.3)
            await ctx.tick()

    async def check(ctx):
        expected, after_word = None, False
        while True:
            now = await sample(ctx, dut)
            assert (now["o.payload"] if now["o.valid"] else None) == expected
            message_goes = now["message.valid"] and now["message.ready"]
            word_goes = now["load.valid"] and now["load.ready"]
            # Room, priority and distance.
            assert now["message.ready"] == (not now["stop"])
            assert now["load.ready"] == (not message_goes and not (after_word and must_pause))
            is_program = now["load.payload"].memory == Memory.PROGRAM
            assert now["program.en"] == (word_goes and is_program)
            if now["program.en"]:
                assert now["program.addr"] == now["load.payload"].address
                mask = (1 << len(dut.program.data)) - 1
                assert now["program.data"] == now["load.payload"].data & mask
                sent["program"] += 1
            expected = None
            if message_goes:
                body = now["message.payload"].body.activation
                expected = layouts.message.const(
                    {"kind": Kind.ACTIVATION, "body": {"activation": body}})
                sent["message"] += 1
            elif word_goes and not is_program:
                expected = layouts.message.const(
                    {"kind": Kind.LOAD, "body": {"load": now["load.payload"]}})
                sent["word"] += 1
            sent["after a word"] += bool(after_word and word_goes)
            after_word = word_goes

    simulate(dut, send_messages, send_words, background=[stop, check])
    assert sent["message"] == len(messages) and sent["word"] + sent["program"] == len(words)
    assert sent["word"] > 10 and sent["program"] > 10
    if must_pause:
        assert sent["after a word"] == 0
    else:
        assert sent["after a word"] > 5
