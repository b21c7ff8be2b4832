"""PtrRead, against two lines of CSC."""

import random
from dataclasses import replace

import pytest

from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.format import Kind, Layouts
from eie_hdl.pe.ptr_read import PtrRead
from support.simulation import put

CONFIGS = {
    "tiny": PRESETS["tiny"],
    "default": EIEConfig(ptr_depth=64),
    "one entry a word": EIEConfig(n_pe=1, entries_per_word=1, acc_depth=4, spmat_depth=5,
                                  ptr_depth=33, n_codebooks=1),
    "no power of two": replace(PRESETS["tiny"], spmat_depth=100, ptr_depth=37, n_codebooks=5),
}

DROP = pytest.mark.parametrize("drop", [True, False], ids=["drop", "keep"])


def machine(name, drop):
    return replace(CONFIGS[name], drop_empty_columns=drop)


def random_pointers(config, rng):
    """Pointers of columns of every length, which pass the whole SRAM many times."""
    pointers, width = [0], Layouts.of(config).ptr.width
    while len(pointers) < config.n_pointers:
        count = rng.choice([0, 0, 1, 2, rng.randrange(config.acc_depth), config.acc_depth])
        pointers.append((pointers[-1] + count) % (1 << width))
    return pointers


def random_message(config, rng, *, n_columns):
    kind = rng.choice([Kind.ACTIVATION] * 6 + [Kind.START, Kind.END])
    if kind == Kind.ACTIVATION:
        half = 1 << config.act_width - 1
        return {"kind": kind, "body": {"activation": {
            "value": rng.randrange(-half, half), "pointer": rng.randrange(n_columns)}}}
    if kind == Kind.START:
        return {"kind": kind, "body": {"start": {
            "codebook": rng.randrange(config.n_codebooks), "source": rng.randrange(4),
            "last_word": rng.randrange(4), "last_lane": rng.randrange(4)}}}
    fields = Layouts.of(config).end.members
    return {"kind": kind, "body": {"end": {
        name: rng.getrandbits(Layouts.of(config).end[name].width) for name in fields}}}


def looked_up(message, pointers, config):
    """Return the expected output for a message, or `None`."""
    body, = message["body"].values()
    if message["kind"] == Kind.START:
        return {"codebook": body["codebook"]}
    if message["kind"] == Kind.END:
        return body
    begin, end = pointers[body["pointer"]:][:2]
    count = (end - begin) % (1 << Layouts.of(config).ptr.width)
    if count == 0 and config.drop_empty_columns:
        return None
    return {"value": body["value"], "begin": begin, "count": count}


def plain(column):
    """Return kind and fields of a payload."""
    body = column.body[column.kind.name.lower()]
    return column.kind, {name: body[name] for name in body.shape().members}


def run(simulate, transfers, rows, config, pointers, sent, *, stall=0.0):
    """Run messages; return those output and accepted, with their cycles."""
    dut = PtrRead(config)
    inputs, note_i = transfers(dut.i)
    outputs, note_o = transfers(dut.o)
    reads_even, serve_even = rows(dut.even, pointers[0::2])
    reads_odd, serve_odd = rows(dut.odd, pointers[1::2])

    async def bench(ctx):
        await put(ctx, dut.i, sent, stall=stall)
        await ctx.tick().repeat(4)

    simulate(dut, bench, background=[note_i, note_o, serve_even, serve_odd])
    assert len(inputs) == len(sent)
    # A bank is read only for a valid message.
    assert {cycle for cycle, _ in reads_even + reads_odd} <= {cycle for cycle, _ in inputs}
    return [cycle for cycle, _ in inputs], [(cycle, *plain(payload)) for cycle, payload in outputs]


@DROP
@pytest.mark.parametrize("stall", [0, 0.5], ids=["flowing", "slow-input"])
@pytest.mark.parametrize("name", CONFIGS)
def test_messages_leave_two_cycles_later_with_their_entries(
        simulate, transfers, rows, name, stall, drop):
    config, rng = machine(name, drop), random.Random(len(name))
    pointers = random_pointers(config, rng)
    sent = [random_message(config, rng, n_columns=len(pointers) - 1) for _ in range(120)]
    cycles, received = run(simulate, transfers, rows, config, pointers, sent, stall=stall)
    expected = [(cycle + 2, message["kind"], looked_up(message, pointers, config))
                for cycle, message in zip(cycles, sent)]
    assert received == [message for message in expected if message[-1] is not None]
    assert len(received) < len(sent) or not drop


@DROP
def test_every_column_is_looked_up(simulate, transfers, rows, drop):
    config = machine("no power of two", drop)
    pointers = random_pointers(config, random.Random(5))
    sent = [{"kind": Kind.ACTIVATION, "body": {"activation": {"value": -1, "pointer": column}}}
            for column in range(len(pointers) - 1)]
    _, received = run(simulate, transfers, rows, config, pointers, sent)
    found = [looked_up(message, pointers, config) for message in sent]
    assert [body for *_, body in received] == [body for body in found if body is not None]


def test_pointer_after_a_full_sram_is_zero(simulate, transfers, rows):
    config = machine("tiny", True)
    assert config.n_entries == 512
    pointers = [500, 0, 0, 12] + [0] * (config.n_pointers - 4)
    sent = [{"kind": Kind.ACTIVATION, "body": {"activation": {"value": 3, "pointer": column}}}
            for column in range(3)]
    _, received = run(simulate, transfers, rows, config, pointers, sent)
    assert received == [(2, Kind.ACTIVATION, {"value": 3, "begin": 500, "count": 12}),
                        (4, Kind.ACTIVATION, {"value": 3, "begin": 0, "count": 12})]


def test_full_column_is_not_mistaken_for_an_empty_one(simulate, transfers, rows):
    config = EIEConfig(ptr_depth=2, acc_depth=64)
    sent = [{"kind": Kind.ACTIVATION, "body": {"activation": {"value": 1, "pointer": column}}}
            for column in range(3)]
    _, received = run(simulate, transfers, rows, config, [7, 71, 135, 135], sent)
    assert [body["count"] for *_, body in received] == [64, 64]
