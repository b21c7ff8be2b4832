"""PacketReader, with eie_hdl.host.word_assembler, against the packet rules in Python."""

import dataclasses
import random
import zlib
from typing import NamedTuple

import numpy as np
import pytest
from amaranth.hdl import Shape

from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.format import BEAT_BYTES, BEAT_WIDTH, Layouts, Memory, n_beats
from eie_hdl.host.packet_reader import PacketReader
from eie_hdl.packing import unpack
from eie_hdl.registers import Error
from support.simulation import STALLS, get, nothing, put

TINY = PRESETS["tiny"]
CONFIGS = {
    "tiny": TINY,
    "default": EIEConfig(),
    "one-pe": dataclasses.replace(TINY, n_pe=1),
    # Words of one beat; and words of up to four beats, with as many PEs as numbers.
    "narrowest": EIEConfig(n_pe=1, v_width=2, z_width=2, entries_per_word=1, act_width=4,
                           codebook_width=4, acc_width=8, acc_depth=4, ptr_depth=16,
                           act_depth=16, n_codebooks=1, program_depth=2),
    "widest": EIEConfig(n_pe=256, v_width=8, z_width=8, entries_per_word=16, act_width=24),
}
UNKNOWN = [value for value in range(8) if value not in {memory.value for memory in Memory}]
WHOLE = (1 << BEAT_BYTES) - 1


class Settings(NamedTuple):
    """Inputs of the reader besides packets."""

    input_base: int = 3
    input_words: int = 5
    input_double: int = 1
    in_use: int = 0
    buffer_in_use: int = 0

    def apply(self, ctx, dut):
        for name, value in self._asdict().items():
            ctx.set(getattr(dut, name), value)


class Outcome(NamedTuple):
    """Words written, (code, address, memory, pe) of the error if any, beats in the checksum."""

    words: list
    error: tuple | None
    summed: list


def word_shape(layouts, memory):
    place = Memory.ACT if memory == Memory.INPUT.value else Memory(memory)
    return Shape.cast(layouts.memories[place].shape)


def judge(config, settings, packet):
    """Return the expected outcome of a packet."""
    layouts = Layouts.of(config)
    words, first = [], packet[0]
    if first["keep"] != WHOLE:
        return Outcome([], (Error.PARTIAL_BEAT, 0, 0, 0), [])
    header = {name: int(value) for name, value in
              unpack(layouts.load_header, np.array([first["data"]], np.uint64)).items()}
    address, count, memory = header["address"], header["count"], header["memory"]
    is_input = memory == Memory.INPUT.value
    summed = [] if is_input else [first["data"]]

    def fault(code, where):
        return Outcome(words, (code, where, memory, header["pe"]), summed)

    def refuse(code):
        return Outcome([], (code, address, memory, header["pe"]), [])

    if memory in UNKNOWN or header["reserved"]:
        return refuse(Error.BAD_HEADER)
    if is_input:
        rows = settings.input_words * (1 + settings.input_double)
        is_there = (settings.input_base + rows <= config.act_depth
                    and header["buffer"] <= settings.input_double
                    and address * config.n_pe + count <= settings.input_words * config.n_pe)
        is_free = not settings.buffer_in_use >> header["buffer"] & 1
    else:
        if memory != Memory.PROGRAM.value and not header["everyone"] \
                and header["pe"] >= config.n_pe:
            return refuse(Error.BAD_PE)
        is_there = address + count <= layouts.memories[Memory(memory)].depth
        is_free = not settings.in_use
    if not is_there:
        return refuse(Error.BAD_ADDRESS)
    if not is_free:
        return refuse(Error.LOAD_IN_USE)
    if (count == 0) != first["last"]:
        return refuse(Error.OVERLONG if count == 0 else Error.TRUNCATED)

    def place(n):
        if not is_input:
            return memory, address + n, header["everyone"], header["pe"] % config.n_pe
        row, pe = divmod(address * config.n_pe + n, config.n_pe)
        return (Memory.ACT.value,
                settings.input_base + header["buffer"] * settings.input_words + row, 0, pe)

    def where(n):
        return address + (n // config.n_pe if is_input else n)

    shape = word_shape(layouts, memory)
    length = n_beats(shape)
    for n in range(count):
        value = 0
        for part in range(length):
            beat = packet[1 + n * length + part]
            if beat["keep"] != WHOLE:
                return fault(Error.PARTIAL_BEAT, where(n))
            if not is_input:
                summed.append(beat["data"])
            value |= beat["data"] << part * BEAT_WIDTH
            if part < length - 1 and beat["last"]:
                return fault(Error.TRUNCATED, where(n))
        words.append((*place(n), value & (1 << shape.width) - 1))
        if beat["last"] and n < count - 1:
            return fault(Error.TRUNCATED, where(n + 1))
    if count and not beat["last"]:
        return fault(Error.OVERLONG, where(count))
    return Outcome(words, None, summed)


def seen(layouts, word):
    """Convert an offered word to the form of `judge`; bits past its end are don't-care."""
    data = word.data & (1 << word_shape(layouts, word.memory.value).width) - 1
    assert not getattr(word, "read", 0)
    return word.memory.value, word.address, word.everyone, word.pe, data


def header(memory, **fields):
    """Encode a header; `memory` may be an invalid number."""
    layout = Layouts.of(TINY).load_header    # the same in all configurations
    return layout.const(fields).as_value().value | int(getattr(memory, "value", memory)) \
        << layout["memory"].offset


def beats(*data, last=True):
    """Beats, the last of which is marked if `last` is set."""
    return [{"data": value, "keep": WHOLE, "last": int(last and n == len(data) - 1)}
            for n, value in enumerate(data)]


def random_packet(rng, config, settings):
    """Random packet; half of them have a random value in some part."""
    flaw = rng.choice(["", "", "", "", "address", "pe", "reserved", "length", "length", "keep"])

    def choose(part, good, anything):
        return anything if flaw == part else good

    memory = rng.choice([*range(6), *range(6), Memory.INPUT.value, rng.randrange(8)])
    layouts = Layouts.of(config)
    is_input = memory == Memory.INPUT.value
    count = rng.choice([0, 1, 2, rng.randint(1, 7)])
    depth, n_words = 8, 8
    if memory not in UNKNOWN:
        n_words = settings.input_words * config.n_pe if is_input else \
            layouts.memories[Memory(memory)].depth
        depth = n_words // config.n_pe if is_input else n_words
        count = min(count, n_words)
    first = max(0, depth - (-(-count // config.n_pe) if is_input else count))
    beat = header(memory, count=count,
                  address=choose("address", rng.choice([0, first, rng.randint(0, first)]),
                                 rng.choice([first + 1, first + 2, rng.getrandbits(24)])),
                  pe=choose("pe", rng.randrange(config.n_pe), rng.getrandbits(8)),
                  everyone=rng.randrange(2), buffer=rng.randrange(2),
                  reserved=choose("reserved", 0, rng.randrange(8)))
    length = 1 if memory in UNKNOWN else n_beats(word_shape(layouts, memory))
    n_more = count * length + choose("length", 0, rng.choice([-1, 1, -rng.randrange(9), 3]))
    packet = beats(beat, *(rng.getrandbits(BEAT_WIDTH) for _ in range(n_more)))
    rng.choice(packet)["keep"] = choose("keep", WHOLE, rng.randrange(WHOLE))
    return packet


def watch_errors(dut, *, clears=True):
    """Make a background bench that logs errors, and asserts `discard` after one: for one cycle, as
    if the error was cleared at once, or for good.
    """
    log = []

    async def watch(ctx):
        async for *_, error in ctx.tick().sample(dut.error):
            if error.code:
                log.append((error.code, error.address, error.memory, error.pe))
                ctx.set(dut.discard, 1)
            elif clears:
                ctx.set(dut.discard, 0)

    return log, watch


def crc(data):
    return zlib.crc32(np.array(data, "<u8").tobytes())


@pytest.mark.parametrize(("name", "mixture"), [
    *(("tiny", mixture) for mixture in STALLS),
    *((name, "slow-both") for name in CONFIGS if name != "tiny")])
def test_random_packets_follow_the_rules(simulate, transfers, name, mixture):
    """Many are invalid; each error is cleared at once, so that each of them is checked."""
    config, stalls = CONFIGS[name], STALLS[mixture]
    rng, pauses = random.Random(29), random.Random(30)    # the same packets for all stalls
    dut = PacketReader(config)
    errors, watch = watch_errors(dut)
    words, watch_words = transfers(dut.o)
    outcomes = []

    async def producer(ctx):
        for _ in range(8):
            settings = Settings(
                rng.choice([0, 3, config.act_depth - 10, config.act_depth]), rng.randint(1, 5),
                rng.randrange(2), rng.random() < 0.2, rng.choice([0, 0, 1, 2]))
            settings.apply(ctx, dut)
            for _ in range(10):
                packet = random_packet(rng, config, settings)
                outcomes.append(judge(config, settings, packet))
                await put(ctx, dut.i, packet, stall=stalls.input, rng=pauses)
                if outcomes[-1].error:    # following beats are dropped
                    await ctx.tick().repeat(3)
            while ctx.get(dut.receiving):
                await ctx.tick()
            await ctx.tick().repeat(3)    # until the last error and the checksum
            assert ctx.get(dut.checksum) == crc([
                beat for outcome in outcomes for beat in outcome.summed])

    async def consumer(ctx):
        while True:
            await get(ctx, dut.o, 1, stall=stalls.output, rng=pauses)

    simulate(dut, producer, background=[consumer, watch, watch_words], deadline=40_000)
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
                 {"data": 2, "keep": WHOLE >> 1, "last": 0}, *beats(3)], Error.PARTIAL_BEAT, 8),
    "partial-end": ([*beats(header(Memory.PTR, address=7, pe=2, count=1), last=False),
                     {"data": 2, "keep": 0, "last": 1}], Error.PARTIAL_BEAT, 7),
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
    ({"reserved": 1, "keep": 1}, Error.PARTIAL_BEAT),
])
def test_the_first_of_several_errors_of_a_header_is_reported(simulate, fields, code):
    fields = {"count": 1, **fields}
    settings = Settings(in_use=fields.pop("in_use", 0))
    keep = fields.pop("keep", WHOLE)
    packet = beats(header(Memory.SPMAT, **fields), 1)
    packet[0]["keep"] = keep
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


@pytest.mark.parametrize("n_pe", [1, 4])
@pytest.mark.parametrize("buffer", [0, 1])
def test_rows_of_an_input_buffer_go_to_the_pes_in_turn(simulate, n_pe, buffer):
    config = dataclasses.replace(TINY, n_pe=n_pe)
    dut = PacketReader(config)

    async def producer(ctx):
        Settings(input_base=10, input_words=5).apply(ctx, dut)
        for _ in range(2):    # each packet starts with PE 0
            await put(ctx, dut.i, beats(
                header(Memory.INPUT, address=1, count=3 * n_pe - (n_pe > 1), buffer=buffer,
                       everyone=1, pe=3), *range(3 * n_pe - (n_pe > 1))))

    async def consumer(ctx):
        for _ in range(2):
            received = await get(ctx, dut.o, 3 * n_pe - (n_pe > 1))
            assert [seen(Layouts.of(config), word) for word in received] == [
                (Memory.ACT.value, 10 + 5 * buffer + 1 + row, 0, pe, row * n_pe + pe)
                for row in range(3) for pe in range(n_pe)][:len(received)]

    simulate(dut, producer, consumer)


@pytest.mark.parametrize("settings, buffer, code", [
    (Settings(), 1, None),
    (Settings(in_use=1), 1, None),
    (Settings(input_double=0), 1, Error.BAD_ADDRESS),
    (Settings(input_base=TINY.act_depth - 10), 1, None),
    (Settings(input_base=TINY.act_depth - 9), 0, Error.BAD_ADDRESS),
    (Settings(input_base=TINY.act_depth - 5, input_double=0), 0, None),
    (Settings(in_use=1, buffer_in_use=1), 0, Error.LOAD_IN_USE),
    (Settings(in_use=1, buffer_in_use=1), 1, None),
    (Settings(in_use=1, buffer_in_use=2), 1, Error.LOAD_IN_USE),
])
def test_an_input_buffer_must_exist_and_be_free(simulate, settings, buffer, code):
    dut = PacketReader(TINY)
    errors, watch = watch_errors(dut)

    async def bench(ctx):
        settings.apply(ctx, dut)
        ctx.set(dut.o.ready, 1)
        await put(ctx, dut.i, beats(header(Memory.INPUT, count=1, buffer=buffer), 1))
        await ctx.tick()

    simulate(dut, bench, background=[watch])
    assert [error[0] for error in errors] == ([] if code is None else [code])


@pytest.mark.parametrize("memory, buffer, model, inputs", [
    (Memory.PTR, 1, 1, 0), (Memory.INPUT, 0, 0, 1), (Memory.INPUT, 1, 0, 2)])
def test_a_packet_is_received_until_its_last_word_is_taken(simulate, memory, buffer, model,
                                                           inputs):
    dut = PacketReader(TINY)

    def state(ctx):
        return tuple(map(ctx.get, (dut.receiving, dut.receiving_model, dut.receiving_input)))

    async def bench(ctx):
        Settings().apply(ctx, dut)
        assert state(ctx) == (0, 0, 0)
        for beat in beats(header(memory, count=1, buffer=buffer), 1):
            await put(ctx, dut.i, [beat])
            assert state(ctx) == (1, model, inputs)
        # The header of the next packet is accepted in the meantime.
        await put(ctx, dut.i, beats(header(Memory.PTR)))
        await ctx.tick().repeat(3)
        assert state(ctx) == (1, model, inputs)
        await get(ctx, dut.o, 1)
        assert state(ctx) == (0, 0, 0)

    simulate(dut, bench)


@pytest.mark.parametrize("memory, model, inputs", [(Memory.PTR, 1, 0), (Memory.INPUT, 0, 1)])
@pytest.mark.parametrize("name, packet", {
    "address": lambda memory: beats(header(memory, address=1 << 20, count=1), 1),
    "truncated-header": lambda memory: beats(header(memory, count=1)),
    "overlong-header": lambda memory: beats(header(memory), 1),
    "truncated": lambda memory: beats(header(memory, count=2), 1),
    "partial": lambda memory: [*beats(header(memory, count=1), last=False),
                               {"data": 1, "keep": 1, "last": 1}],
}.items(), ids=lambda value: value if isinstance(value, str) else "")
def test_a_failed_packet_is_failing_until_its_error_is_pending(simulate, memory, model, inputs,
                                                               name, packet):
    """However long that takes: in between, neither a start nor a word is accepted."""
    dut = PacketReader(TINY)

    def is_received(ctx):
        return (ctx.get(dut.receiving_model), ctx.get(dut.receiving_input)) == (model, inputs)

    async def bench(ctx):
        Settings().apply(ctx, dut)
        ctx.set(dut.o.ready, 1)
        for beat in packet(memory):
            await put(ctx, dut.i, [beat])
            assert ctx.get(dut.receiving) and (is_received(ctx) or ctx.get(dut.failing))
        if not ctx.get(dut.failing):    # the header is being checked
            await ctx.tick()
        for following in beats(header(Memory.SPMAT, count=2), 1, 2):
            assert ctx.get(dut.receiving) and ctx.get(dut.failing)
            await put(ctx, dut.i, [following])
        ctx.set(dut.discard, 1)
        assert ctx.get(dut.failing)
        await ctx.tick()
        assert not ctx.get(dut.receiving) and not ctx.get(dut.failing)

    async def no_spmat(ctx):
        async for *_, valid, word in ctx.tick().sample(dut.o.valid, dut.o.payload):
            assert not valid or word.memory != Memory.SPMAT

    simulate(dut, bench, background=[no_spmat])


def test_in_use_is_sampled_in_the_cycle_after_the_header(simulate):
    """If a start and a header occur in the same cycle, one of them thus sees the other."""
    dut = PacketReader(TINY)
    errors, watch = watch_errors(dut)

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        packet = beats(header(Memory.PTR, count=1), 1)
        for used in ([1, 0, 0], [0, 0, 1], [0, 1, 0]):
            for in_use, beat in zip(used, packet):
                ctx.set(dut.in_use, in_use)
                await put(ctx, dut.i, [beat])
            ctx.set(dut.in_use, used[2])
            await ctx.tick()

    simulate(dut, bench, background=[watch])
    assert [error[0] for error in errors] == [Error.LOAD_IN_USE]


def test_checksum_clear_includes_the_beat_of_its_cycle(simulate):
    dut = PacketReader(TINY)
    packet = beats(header(Memory.SPMAT, count=4), *range(10, 14))

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        for cleared in range(5):
            for n, beat in enumerate(packet):
                ctx.set(dut.checksum_clear, n == cleared)
                await put(ctx, dut.i, [beat])
            ctx.set(dut.checksum_clear, 0)
            await ctx.tick().repeat(2)
            assert ctx.get(dut.checksum) == crc([beat["data"] for beat in packet[cleared:]])

    simulate(dut, bench)


def test_a_beat_is_accepted_in_every_cycle_across_packets(simulate):
    """Packets for all memories, also empty and invalid ones; a word follows its beat by a cycle."""
    config = CONFIGS["widest"]
    assert n_beats(Layouts.of(config).memories[Memory.SPMAT].shape) == 4
    rng = random.Random(5)
    packets = [random_packet(rng, config, Settings()) for _ in range(100)]
    dut = PacketReader(config)
    _, watch = watch_errors(dut)

    async def bench(ctx):
        Settings().apply(ctx, dut)
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.i.valid, 1)
        for packet in packets:
            for beat in packet:
                ctx.set(dut.i.payload, beat)
                assert ctx.get(dut.i.ready)
                await ctx.tick()
        ctx.set(dut.i.valid, 0)
        await ctx.tick().repeat(3)
        ctx.set(dut.i.valid, 1)
        for n, beat in enumerate(beats(header(Memory.SPMAT, count=1), 1, 2, 3, 4)):
            ctx.set(dut.i.payload, beat)
            assert ctx.get(dut.i.ready)
            await ctx.tick()
            assert ctx.get(dut.o.valid) == (n == 4)

    simulate(dut, bench, background=[watch])


def test_only_the_last_beat_of_a_word_waits_for_the_word_before_it(simulate):
    config = EIEConfig()
    assert n_beats(Layouts.of(config).memories[Memory.SPMAT].shape) == 2
    dut = PacketReader(config)

    async def bench(ctx):
        await put(ctx, dut.i, beats(header(Memory.SPMAT, count=2), 1, 2, 3, last=False))
        ctx.set(dut.i.payload, beats(4)[0])
        ctx.set(dut.i.valid, 1)
        for _ in range(3):
            assert not ctx.get(dut.i.ready)
            await ctx.tick()
        ctx.set(dut.o.ready, 1)
        assert ctx.get(dut.i.ready)

    simulate(dut, bench)
