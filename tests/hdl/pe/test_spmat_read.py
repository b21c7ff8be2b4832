"""SpmatRead, against a loop over the entries."""

import random
from dataclasses import replace

import numpy as np
import pytest

from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.format import Kind, Layouts
from eie_hdl.packing import pack
from eie_hdl.pe.spmat_read import SpmatRead
from support.simulation import get, nothing, put

CONFIGS = {
    "tiny": PRESETS["tiny"],
    "default": EIEConfig(spmat_depth=32, acc_depth=64),
    "one entry a word": EIEConfig(n_pe=1, entries_per_word=1, acc_depth=4, spmat_depth=37,
                                  v_width=2, z_width=8, n_codebooks=1),
    "wide": replace(PRESETS["tiny"], v_width=8, z_width=2, entries_per_word=16, spmat_depth=9),
}


class Matrix:
    """Contents of an spmat SRAM, and messages that read it."""

    def __init__(self, config, seed=0):
        self.config, self.rng = config, random.Random(seed)
        numbers = np.random.default_rng(seed)
        shape = (config.spmat_depth, config.entries_per_word)
        self.v = numbers.integers(0, 1 << config.v_width, shape)
        self.z = numbers.integers(0, 1 << config.z_width, shape)
        beats = pack(Layouts.of(config).spmat_word, {"v": self.v, "z": self.z})
        self.words = [sum(int(beat) << 64 * n for n, beat in enumerate(word)) for word in beats]

    def column(self, begin, count, value=1):
        return {"kind": Kind.ACTIVATION,
                "body": {"activation": {"value": value, "begin": begin, "count": count}}}

    def messages(self, count):
        """Random messages: columns of every length, mostly consecutive, with starts and ends."""
        config, rng, begin = self.config, self.rng, 0
        for _ in range(count):
            kind = rng.choice([Kind.ACTIVATION] * 8 + [Kind.START, Kind.END])
            if kind == Kind.START:
                yield start(rng.randrange(config.n_codebooks))
            elif kind == Kind.END:
                yield end(rng.randrange(config.tile_words), rng.randrange(config.max_shift + 1))
            else:
                length = rng.choice([0, 1, 2, 5, rng.randrange(config.acc_depth + 1)])
                if begin + length > config.n_entries or rng.random() < 0.2:
                    begin = rng.randrange(config.n_entries - length + 1)
                half = 1 << config.act_width - 1
                yield self.column(begin, min(length, config.acc_depth), rng.randrange(-half, half))
                begin += min(length, config.acc_depth)

    def walked(self, messages):
        """Return the expected messages, and the words that must be read for them."""
        work, reads, held = [], [], None
        for message in messages:
            kind, (body,) = message["kind"], message["body"].values()
            if kind == Kind.START:
                held = None
            if kind != Kind.ACTIVATION:
                work.append((kind, body))
                continue
            for n in range(body["count"]):
                word, lane = divmod(body["begin"] + n, self.config.entries_per_word)
                if word != held:
                    reads.append(word)
                    held = word
                work.append((kind, {"value": body["value"]}, int(n == 0),
                             {"v": self.v[word, lane], "z": self.z[word, lane]}))
        return work, reads


def start(codebook=0):
    return {"kind": Kind.START, "body": {"start": {"codebook": codebook}}}


def end(last_word=0, shift=0):
    return {"kind": Kind.END, "body": {"end": {"destination": 3, "bias": 2, "last_word": last_word,
                                               "shift": shift, "bias_shift": 1, "relu": 1}}}


def plain(payload):
    """Return kind and fields of a payload, and the entry of an activation."""
    def fields(const):
        return {name: fields(const[name]) if hasattr(const[name], "shape") else const[name]
                for name in const.shape().members}

    message = payload.kind, fields(payload.body[payload.kind.name.lower()])
    if payload.kind is not Kind.ACTIVATION:
        return message
    return *message, payload.first, fields(payload.entry)


def run(simulate, transfers, rows, matrix, sent, *, stalls=(0, 0)):
    """Run and check messages; return the cycles of output and input, and the reads."""
    dut = SpmatRead(matrix.config)
    work, expected_reads = matrix.walked(sent)
    reads, serve = rows(dut.r, matrix.words)
    inputs, note_i = transfers(dut.i)
    outputs, note_o = transfers(dut.o)

    async def producer(ctx):
        await put(ctx, dut.i, sent, stall=stalls[0], rng=random.Random(6))

    async def consumer(ctx):
        received = await get(ctx, dut.o, len(work), stall=stalls[1], rng=random.Random(7))
        assert [plain(payload) for payload in received] == work
        await nothing(ctx, dut.o, cycles=6)

    simulate(dut, producer, consumer, background=[serve, note_i, note_o])
    assert [addr for _, addr in reads] == expected_reads
    return [cycle for cycle, _ in outputs], [cycle for cycle, _ in inputs], reads


@pytest.mark.parametrize("name", CONFIGS)
def test_columns_are_walked_in_order_and_words_read_once(
        simulate, transfers, rows, stalls, name):
    matrix = Matrix(CONFIGS[name], seed=len(name))
    run(simulate, transfers, rows, matrix, list(matrix.messages(45)), stalls=stalls)


@pytest.mark.parametrize("message", [start(1), end(), Matrix(PRESETS["tiny"]).column(5, 1)],
                         ids=["start", "end", "column"])
def test_message_leaves_four_cycles_later(simulate, transfers, rows, message):
    outputs, inputs, _ = run(simulate, transfers, rows, Matrix(PRESETS["tiny"]), [message])
    assert (inputs, outputs) == ([0], [4])


def test_message_is_offered_without_waiting_for_ready(simulate):
    dut = SpmatRead(PRESETS["tiny"])

    async def bench(ctx):
        await put(ctx, dut.i, [start(2)])
        await ctx.tick().repeat(3)
        assert ctx.get(dut.o.valid)
        await ctx.tick().repeat(3)
        assert plain(ctx.get(dut.o.payload)) == (Kind.START, {"codebook": 2})

    simulate(dut, bench)


@pytest.mark.parametrize("name", CONFIGS)
def test_throughput_is_one_entry_per_cycle_for_any_columns(simulate, transfers, rows, name):
    matrix = Matrix(CONFIGS[name])
    lengths = [1, 3, 1, 1, 4, 2, 4, 1, 3]
    sent = [start(), *(matrix.column(sum(lengths[:n]), length)
                       for n, length in enumerate(lengths)), end(), start(),
            matrix.column(30, 4), matrix.column(3, 2), end()]
    outputs, _, _ = run(simulate, transfers, rows, matrix, sent)
    assert outputs == list(range(4, 4 + 30))


def test_column_without_entries_takes_one_cycle(simulate, transfers, rows):
    matrix = Matrix(replace(PRESETS["tiny"], drop_empty_columns=False))
    sent = [matrix.column(0, 2), *3 * [matrix.column(2, 0)], matrix.column(2, 1),
            matrix.column(3, 0), end()]
    outputs, inputs, _ = run(simulate, transfers, rows, matrix, sent)
    assert inputs == [0, 2, 3, 4, 5, 6, 7]
    assert outputs == [4, 5, 9, 11]


def test_word_is_reused_for_columns_that_share_it(simulate, transfers, rows):
    matrix = Matrix(CONFIGS["default"])    # eight entries per word
    sent = [matrix.column(0, 3), matrix.column(3, 0), matrix.column(3, 5), end(),
            matrix.column(6, 4), matrix.column(0, 1)]
    _, _, reads = run(simulate, transfers, rows, matrix, sent)
    assert [addr for _, addr in reads] == [0, 1, 0]


def test_start_invalidates_the_held_word(simulate, transfers, rows):
    matrix = Matrix(CONFIGS["default"])
    sent = [matrix.column(0, 3), start(), matrix.column(3, 2), end(), matrix.column(5, 1)]
    _, _, reads = run(simulate, transfers, rows, matrix, sent)
    assert [addr for _, addr in reads] == [0, 0]


def test_reloaded_word_is_read_after_a_start(simulate, rows):
    matrix = Matrix(CONFIGS["default"])
    dut = SpmatRead(matrix.config)
    _, serve = rows(dut.r, matrix.words)

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        await put(ctx, dut.i, [start(), matrix.column(0, 2), end()])
        await ctx.tick().repeat(8)
        matrix.words[0] = 0
        await put(ctx, dut.i, [start(), matrix.column(1, 1)])
        (work,) = await get(ctx, dut.o, 1)
        assert plain(work) == (Kind.START, {"codebook": 0})
        (work,) = await get(ctx, dut.o, 1)
        assert work.entry.v == work.entry.z == 0

    assert matrix.words[0] != 0
    simulate(dut, bench, background=[serve])


def test_word_is_held_while_the_output_is_stalled(simulate, transfers, rows):
    matrix = Matrix(CONFIGS["one entry a word"])
    sent = [matrix.column(2 * n, 2) for n in range(12)]
    run(simulate, transfers, rows, matrix, sent, stalls=(0, 0.8))
