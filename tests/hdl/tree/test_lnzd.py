# amaranth: UnusedElaboratable=no
"""Leading-nonzero detection in a node of the tree."""

import random
import re
from itertools import zip_longest

import pytest

from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.format import Layouts
from eie_hdl.tree.lnzd import LnzdNode
from support.simulation import get, nothing, put

CONFIGS = pytest.mark.parametrize(
    "config", [PRESETS["tiny"], EIEConfig()], ids=["tiny", "default"])
CHILDREN = pytest.mark.parametrize("n_children", [2, 4])


RESULT = Layouts.of(EIEConfig()).result


def scans(n_children, config=None):
    """Node of the scan path."""
    return LnzdNode(Layouts.of(config or EIEConfig()).scan, n_children=n_children, in_order=False)


def results(n_children):
    """Node of the result path."""
    return LnzdNode(RESULT, n_children=n_children, in_order=True)


def item(child, n):
    """The `n`-th item of a child, unlike any other item of any child."""
    return {"column": 4 * n + child, "value": 1 + 4 * n + child, "end": 0}


def scan(child, count):
    """Items of a scan of a child. Column and value of an end are don't-care."""
    return [*(item(child, n) for n in range(count)),
            {"column": 7 + child, "value": -1 - child, "end": 1}]


def word(child, n):
    """The `n`-th result of a child, unlike any other one of any child."""
    return RESULT.const({"word": [child, n, -child, -n], "last_lane": (child + n) % 4})


def vector(child, count):
    """Results of a vector of a child. Word and last lane of an end are don't-care."""
    return [*(word(child, n) for n in range(count)),
            RESULT.const({"word": [7, child, 0, 0], "last_lane": 2, "end": 1})]


def in_turn(make, counts):
    """Items of children with `counts` of them, one of each child in turn."""
    rounds = zip_longest(*([make(child, n) for n in range(count)]
                           for child, count in enumerate(counts)))
    return [payload for turn in rounds for payload in turn if payload is not None]


def plain(payload):
    if payload.shape() == RESULT:
        return payload
    return {name: int(payload[name]) for name in ("column", "value", "end")}


def split(received):
    """Split items into scans, without the don't-care fields of ends."""
    scans = [[]]
    for payload in map(plain, received):
        if payload["end"]:
            scans.append([])
        else:
            scans[-1].append(payload)
    assert scans.pop() == []
    return scans


def producers(dut, sent, *, stall=0.0):
    """Benches of the children, each of which sends its items in `sent`."""
    def producer(child):
        async def bench(ctx):
            await put(ctx, dut.i[child], sent[child], stall=stall, rng=random.Random(child))
        return bench

    return [producer(child) for child in range(len(sent))]


@pytest.mark.parametrize("n_children", [0, 1, 3, 8, "4", None])
def test_invalid_number_of_children_is_rejected(n_children):
    message = f"Number of children must be 2 or 4, not {n_children!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        results(n_children)


@CONFIGS
@CHILDREN
def test_every_item_is_output_once_then_one_end(simulate, stalls, config, n_children):
    dut = scans(n_children, config)
    rng = random.Random(n_children)
    counts = [[rng.choice([0, 1, 3, 8]) for _ in range(n_children)] for _ in range(5)]
    counts[2] = [0] * n_children
    sent = [[payload for count in counts for payload in scan(child, count[child])]
            for child in range(n_children)]
    received = []

    async def consumer(ctx):
        total = sum(map(sum, counts)) + len(counts)
        received.extend(await get(ctx, dut.o, total, stall=stalls.output, rng=rng))
        await nothing(ctx, dut.o)

    simulate(dut, *producers(dut, sent, stall=stalls.input), consumer)
    assert len(split(received)) == len(counts)
    for found, count in zip(split(received), counts):
        for child in range(n_children):
            assert [payload for payload in found if payload["column"] % 4 == child] == [
                item(child, n) for n in range(count[child])]


@CHILDREN
def test_order_of_results_is_exact(simulate, stalls, n_children):
    """Children with as many words, with one more or less, with all or none; and only ends."""
    dut = results(n_children)
    rng = random.Random(157 + n_children)
    counts = [[count] * n_children for count in (1, 2, 7, 0)]
    counts += [[3 + (child <= last) for child in range(n_children)] for last in range(n_children)]
    counts += [[5 * (child == only) for child in range(n_children)] for only in range(n_children)]
    counts += [[rng.choice([0, 1, 2, 6]) for _ in range(n_children)] for _ in range(6)]
    sent = [[payload for count in counts for payload in vector(child, count[child])]
            for child in range(n_children)]
    received = []

    async def consumer(ctx):
        total = sum(map(sum, counts)) + len(counts)
        received.extend(await get(ctx, dut.o, total, stall=stalls.output))
        await nothing(ctx, dut.o)

    simulate(dut, *producers(dut, sent, stall=stalls.input), consumer)
    assert split(received) == [in_turn(word, count) for count in counts]


def test_late_child_is_awaited_for_its_result_or_its_end(simulate, transfers):
    dut = results(4)
    log, watch = transfers(dut.o)

    async def late(ctx):
        await ctx.tick().repeat(10)
        await put(ctx, dut.i[0], [word(0, 0)])
        await ctx.tick().repeat(9)
        await put(ctx, dut.i[0], vector(0, 0))

    async def consumer(ctx):
        await get(ctx, dut.o, 5)

    others = producers(dut, [[], vector(1, 1), vector(2, 2), vector(3, 0)])[1:]
    simulate(dut, late, *others, consumer, background=[watch])
    # Child 3 has ended, so the turn passes it. That child 0 ends is known a cycle later.
    assert [cycle for cycle, _ in log] == [11, 12, 13, 22, 23]
    assert split([payload for _, payload in log]) == [
        [word(0, 0), word(1, 0), word(2, 0), word(2, 1)]]


def test_late_child_is_not_awaited_for_its_scan(simulate):
    dut = scans(4)

    async def bench(ctx):
        ctx.set(dut.i[2].payload, item(2, 5))
        ctx.set(dut.i[2].valid, 1)
        assert plain((await get(ctx, dut.o, 1))[0]) == item(2, 5)

    simulate(dut, bench)


@CHILDREN
def test_children_take_turns(simulate, transfers, n_children):
    dut = scans(n_children)
    log, watch = transfers(dut.o)
    counts = [6, 2, 9, 0][:n_children]

    async def consumer(ctx):
        await get(ctx, dut.o, 2 * (sum(counts) + 1))

    simulate(dut, *producers(dut, [2 * scan(child, counts[child])
                                   for child in range(n_children)]), consumer, background=[watch])
    # Arbitration starts with child 0 and skips children without items.
    assert split([payload for _, payload in log]) == 2 * [in_turn(item, counts)]


@CHILDREN
@pytest.mark.parametrize("make, sent", [(scans, scan), (results, vector)], ids=["scan", "result"])
def test_one_item_comes_every_cycle_from_the_next_on(simulate, transfers, n_children, make, sent):
    dut = make(n_children)
    log, watch = transfers(dut.o)

    async def consumer(ctx):
        await get(ctx, dut.o, 3 * (8 * n_children + 1))

    simulate(dut, *producers(dut, [3 * sent(child, 8) for child in range(n_children)]),
             consumer, background=[watch])
    assert [cycle for cycle, _ in log] == list(range(1, 3 * (8 * n_children + 1) + 1))


@pytest.mark.parametrize("make, sent, begin", [(scans, scan, 1), (results, vector, 2)],
                         ids=["scan", "result"])
def test_one_child_alone_sends_every_cycle(simulate, transfers, make, sent, begin):
    """Of results from the second cycle on: that the others have ended is known a cycle later."""
    dut = make(4)
    log, watch = transfers(dut.o)

    async def consumer(ctx):
        await get(ctx, dut.o, 21)

    simulate(dut, *producers(dut, [sent(child, 20 * (child == 2)) for child in range(4)]),
             consumer, background=[watch])
    assert [cycle for cycle, _ in log] == list(range(begin, begin + 21))
