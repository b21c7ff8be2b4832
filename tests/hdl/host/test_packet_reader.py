"""PacketReader, with eie_hdl.host.word_assembler, against the packet rules in Python."""

import random

import pytest

from eie_hdl.format import Layouts, Memory
from eie_hdl.host.packet_reader import PacketReader
from eie_hdl.registers import Error
from support.load_packets import (
    CONFIGS,
    TINY,
    Settings,
    beats,
    crc,
    header,
    judge,
    random_packet,
    seen,
    watch_errors,
)
from support.simulation import STALLS, get, nothing, put


@pytest.mark.parametrize(("name", "mixture"), [
    *(("tiny", mixture) for mixture in STALLS),
    *((name, "slow-both") for name in CONFIGS if name != "tiny")])
def test_random_packets_follow_the_rules(simulate, transfers, name, mixture):
    """Many are invalid; each error is cleared at once, so that each of them is checked."""
    config, stalls = CONFIGS[name], STALLS[mixture]
    rng, pauses = random.Random(28), random.Random(30)    # the same packets for all stalls
    occupied = random.Random(33)
    dut = PacketReader(config)
    errors, watch = watch_errors(dut)
    words, watch_words = transfers(dut.o)
    outcomes = []

    async def producer(ctx):
        for _ in range(8):
            settings = Settings(
                rng.choice([0, 3, config.act_depth - 10, config.act_depth]), rng.randint(1, 5),
                rng.randrange(2), rng.random() < 0.2)
            settings.apply(ctx, dut)
            for _ in range(10):
                packet = random_packet(rng, config, settings)
                outcomes.append(judge(config, settings, packet))
                await put(ctx, dut.i, packet, stall=stalls.input, rng=pauses)
                if outcomes[-1].error:    # following beats are dropped
                    n_errors = sum(bool(outcome.error) for outcome in outcomes)
                    await ctx.tick().repeat(4)
                    while len(errors) < n_errors:    # the beat may wait for a word to be taken
                        await ctx.tick().repeat(4)
            while ctx.get(dut.receiving):
                await ctx.tick()
            await ctx.tick().repeat(3)    # until the last error and the checksum
            assert ctx.get(dut.checksum) == crc([
                beat for outcome in outcomes for beat in outcome.summed])

    async def consumer(ctx):
        while True:
            await get(ctx, dut.o, 1, stall=stalls.output, rng=pauses)

    async def users(ctx):
        """Occupy input buffers at times, for which packets wait."""
        while True:
            ctx.set(dut.buffer_in_use, occupied.choice([0, 0, 1, 2, 3]))
            await ctx.tick().repeat(occupied.randint(1, 12))

    simulate(dut, producer, background=[consumer, users, watch, watch_words], deadline=40_000)
    assert errors == [outcome.error for outcome in outcomes if outcome.error]
    assert [seen(Layouts.of(config), word) for _, word in words] == [
        word for outcome in outcomes for word in outcome.words]
    assert {error[0] for error in errors} >= {
        Error.BAD_HEADER, Error.BAD_ADDRESS, Error.TRUNCATED, Error.OVERLONG, Error.PARTIAL_BEAT,
        Error.LOAD_IN_USE, *([Error.BAD_PE] if config.n_pe < 256 else [])}
    assert sum(outcome.error is None and bool(outcome.words) for outcome in outcomes) > 10


# For TINY, in which a spmat word and a descriptor are one beat: packets and their errors.
FAULTS = {
    "memory": (beats(header(6, address=7, pe=2, count=1), 1), Error.BAD_HEADER, 7),
    "reserved": (beats(header(Memory.PTR, address=7, pe=2, count=1, reserved=4), 1),
                 Error.BAD_HEADER, 7),
    "pe": (beats(header(Memory.ACT, address=7, pe=4, count=1), 1), Error.BAD_PE, 7),
    "address": (beats(header(Memory.SPMAT, address=255, pe=2, count=2), 1, 2),
                Error.BAD_ADDRESS, 255),
    "input-row": (beats(header(Memory.INPUT, address=4, pe=2, count=5), *range(5)),
                  Error.BAD_ADDRESS, 4),
    "truncated-header": (beats(header(Memory.PTR, address=7, pe=2, count=1)), Error.TRUNCATED, 7),
    "overlong-header": (beats(header(Memory.PTR, address=7, pe=2), 1), Error.OVERLONG, 7),
    "truncated": (beats(header(Memory.PTR, address=7, pe=2, count=3), 1, 2), Error.TRUNCATED, 9),
    "overlong": (beats(header(Memory.PTR, address=7, pe=2, count=2), *range(9)),
                 Error.OVERLONG, 9),
    "partial": ([*beats(header(Memory.PTR, address=7, pe=2, count=3), 1, 2, 3)[:2],
                 {"data": 2, "whole": 0, "last": 0}, *beats(3)], Error.PARTIAL_BEAT, 8),
    "partial-end": ([*beats(header(Memory.PTR, address=7, pe=2, count=1), last=False),
                     {"data": 2, "whole": 0, "last": 1}], Error.PARTIAL_BEAT, 7),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_has_its_code_and_address_and_the_next_packet_is_good(simulate, transfers, name):
    packet, code, address = FAULTS[name]
    good = beats(header(Memory.CODEBOOK, address=1, count=1, everyone=1), 77)
    outcome = judge(TINY, Settings(), packet)
    assert outcome.error[:2] == (code, address)    # rules and table agree
    dut = PacketReader(TINY)
    errors, watch = watch_errors(dut)
    words, watch_words = transfers(dut.o)

    async def bench(ctx):
        Settings().apply(ctx, dut)
        ctx.set(dut.o.ready, 1)
        await put(ctx, dut.i, packet)
        await ctx.tick().repeat(3)    # following beats are dropped
        await put(ctx, dut.i, good)
        await ctx.tick().repeat(3)
        assert not ctx.get(dut.receiving)

    simulate(dut, bench, background=[watch, watch_words])
    assert errors == [(code, address, outcome.error[2], outcome.error[3])]
    assert [seen(Layouts.of(TINY), word) for _, word in words] == [
        *outcome.words, *judge(TINY, Settings(), good).words]


@pytest.mark.parametrize("fields, code", [
    ({}, None),
    ({"count": 0}, Error.OVERLONG),
    ({"count": 0, "in_use": 1}, Error.LOAD_IN_USE),
    ({"address": 256, "in_use": 1}, Error.BAD_ADDRESS),
    ({"pe": 4, "address": 256}, Error.BAD_PE),
    ({"pe": 4, "reserved": 1}, Error.BAD_HEADER),
    ({"reserved": 1, "whole": 0}, Error.PARTIAL_BEAT),
])
def test_the_first_of_several_errors_of_a_header_is_reported(simulate, fields, code):
    fields = {"count": 1, **fields}
    settings = Settings(in_use=fields.pop("in_use", 0))
    whole = fields.pop("whole", 1)
    packet = beats(header(Memory.SPMAT, **fields), 1)
    packet[0]["whole"] = whole
    dut = PacketReader(TINY)
    errors, watch = watch_errors(dut)

    async def bench(ctx):
        settings.apply(ctx, dut)
        ctx.set(dut.o.ready, 1)
        await put(ctx, dut.i, packet)
        await ctx.tick().repeat(2)

    simulate(dut, bench, background=[watch])
    assert [error[0] for error in errors] == ([] if code is None else [code])


def test_a_pending_error_drops_packets_until_it_is_cleared(simulate, transfers, stalls):
    """The error is registered and cleared by `restart`, as in the machine.

    Packets are back to back, so that some begin before an earlier error is pending.
    """
    rng, pauses = random.Random(31), random.Random(32)
    dut = PacketReader(TINY)
    errors, watch = watch_errors(dut, clears=False)
    words, watch_words = transfers(dut.o)
    expected_words, expected_errors, summed = [], [], []

    async def producer(ctx):
        Settings().apply(ctx, dut)
        for _ in range(30):
            pending = None
            for _ in range(rng.randint(1, 8)):
                packet = random_packet(rng, TINY, Settings())
                if not pending:
                    words_of_packet, pending, summed_up = judge(TINY, Settings(), packet)
                    expected_words.extend(words_of_packet)
                    summed.extend(summed_up)
                    if pending:
                        expected_errors.append(pending)
                await put(ctx, dut.i, packet, stall=stalls.input, rng=pauses)
            await ctx.tick().repeat(2)    # until the last error
            # Sometimes, `restart` in the middle of a packet.
            if rng.randrange(2):
                await put(ctx, dut.i, beats(header(Memory.INPUT, count=4), 1)[:1])
            await ctx.tick()
            ctx.set(dut.restart, 1)
            await ctx.tick()
            ctx.set(dut.restart, 0)
            ctx.set(dut.discard, 0)
        await ctx.tick().repeat(30)
        assert ctx.get(dut.checksum) == crc(summed)

    async def consumer(ctx):
        while True:
            await get(ctx, dut.o, 1, stall=stalls.output, rng=pauses)

    simulate(dut, producer, background=[consumer, watch, watch_words], deadline=20_000)
    assert errors == expected_errors and len(errors) > 15
    assert [seen(Layouts.of(TINY), word) for _, word in words] == expected_words


@pytest.mark.parametrize("when", ["restart", "discard"])
def test_restart_abandons_the_packet_but_not_an_offered_word(simulate, when):
    dut = PacketReader(TINY)
    errors, watch = watch_errors(dut, clears=False)

    async def bench(ctx):
        await put(ctx, dut.i, beats(header(Memory.PTR, address=3, count=9), 1, last=False))
        await ctx.tick()
        ctx.set(getattr(dut, when), 1)
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.i.payload, beats(2, last=False)[0])
        assert ctx.get(dut.o.valid) and ctx.get(dut.receiving_model)
        if when == "restart":
            assert not ctx.get(dut.i.ready)
        await ctx.tick()
        ctx.set(dut.restart, 0)
        ctx.set(dut.i.valid, 0)
        assert ctx.get(dut.receiving)
        assert [word.data for word in await get(ctx, dut.o, 1)] == [1]
        assert ctx.get(dut.receiving) == (when == "discard") and not ctx.get(dut.receiving_model)
        if when == "discard":
            await put(ctx, dut.i, beats(5, 6))
            ctx.set(dut.discard, 0)
        assert not ctx.get(dut.receiving)
        await put(ctx, dut.i, beats(header(Memory.PTR, address=4, count=1), 8))
        assert [(word.address, word.data) for word in await get(ctx, dut.o, 1)] == [(4, 8)]
        await nothing(ctx, dut.o)

    simulate(dut, bench, background=[watch])
    assert not errors


@pytest.mark.parametrize("when", ["restart", "discard"])
def test_an_abandoned_header_is_not_checked(simulate, when):
    dut = PacketReader(TINY)
    errors, watch = watch_errors(dut, clears=False)

    async def bench(ctx):
        await put(ctx, dut.i, beats(header(6)))
        ctx.set(getattr(dut, when), 1)
        await ctx.tick()
        ctx.set(getattr(dut, when), 0)
        assert not ctx.get(dut.receiving)
        await put(ctx, dut.i, beats(header(Memory.PTR, count=1), last=False))
        ctx.set(getattr(dut, when), 1)
        await ctx.tick()
        ctx.set(getattr(dut, when), 0)
        assert ctx.get(dut.receiving) == (when == "discard")
        await ctx.tick().repeat(3)
        assert ctx.get(dut.checksum) == 0

    simulate(dut, bench, background=[watch])
    assert not errors


def test_a_packet_that_began_while_an_error_was_pending_is_dropped_to_its_end(simulate):
    """Its header, which is invalid, is not checked."""
    dut = PacketReader(TINY)
    errors, watch = watch_errors(dut)

    async def bench(ctx):
        ctx.set(dut.discard, 1)
        await put(ctx, dut.i, beats(header(Memory.PTR, count=2, reserved=1), last=False))
        ctx.set(dut.discard, 0)
        assert ctx.get(dut.receiving) and not ctx.get(dut.receiving_model)
        await put(ctx, dut.i, beats(header(Memory.PTR, count=1), 2))
        assert not ctx.get(dut.receiving)
        await nothing(ctx, dut.o)
        assert ctx.get(dut.checksum) == 0

    simulate(dut, bench, background=[watch])
    assert not errors


def test_hold_stalls_the_input(simulate):
    dut = PacketReader(TINY)

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.i.valid, 1)
        for beat in beats(header(Memory.PTR, count=2), 1, 2):
            ctx.set(dut.i.payload, beat)
            ctx.set(dut.hold, 1)
            for _ in range(3):
                assert not ctx.get(dut.i.ready)
                await ctx.tick()
            ctx.set(dut.hold, 0)
            assert ctx.get(dut.i.ready)
            await ctx.tick()
        assert crc([header(Memory.PTR, count=2), 1]) == ctx.get(dut.checksum)

    simulate(dut, bench)
