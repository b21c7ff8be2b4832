# amaranth: UnusedElaboratable=no
"""Leading-nonzero detection within a word, and in a node of the tree."""

import random
import re
from itertools import zip_longest

import pytest

from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.format import Layouts
from eie_hdl.tree.lnzd import LeadingNonZero, LnzdNode
from support.simulation import get, nothing, put

CONFIGS = pytest.mark.parametrize(
    "config", [PRESETS["tiny"], EIEConfig()], ids=["tiny", "default"])
CHILDREN = pytest.mark.parametrize("n_children", [2, 4])


def item(child, n, *, dense=0):
    """The `n`-th item of a child, unlike any other item of any child."""
    return {"column": 4 * n + child, "value": 1 + 4 * n + child, "dense": dense, "end": 0}


def scan(child, count, *, dense=0):
    """Items of a scan of a child. Column and value of an end are don't-care."""
    return [*(item(child, n, dense=dense) for n in range(count)),
            {"column": 7 + child, "value": -1 - child, "dense": dense, "end": 1}]


def plain(payload):
    return {name: int(payload[name]) for name in ("column", "value", "dense", "end")}


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


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 8])
def test_first_set_bit_of_every_mask_is_found(simulate, width):
    dut = LeadingNonZero(width)

    async def bench(ctx):
        for mask in range(2 ** width):
            ctx.set(dut.mask, mask)
            await ctx.delay(1e-9)
            assert ctx.get(dut.found) == (mask != 0)
            assert ctx.get(dut.index) == next((n for n in range(width) if mask >> n & 1), 0)

    simulate(dut, bench)


@pytest.mark.parametrize("width", [0, -1, 4.0, "4", None])
def test_invalid_mask_width_is_rejected(width):
    message = f"Mask width must be a positive integer, not {width!r}"
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        LeadingNonZero(width)


@pytest.mark.parametrize("n_children", [0, 1, 3, 8, "4", None])
def test_invalid_number_of_children_is_rejected(n_children):
    message = f"Number of children must be 2 or 4, not {n_children!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        LnzdNode(Layouts.of(EIEConfig()), n_children=n_children)


@CONFIGS
@CHILDREN
def test_every_item_is_output_once_then_one_end(simulate, stalls, config, n_children):
    dut = LnzdNode(Layouts.of(config), n_children=n_children)
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
    scans = split(received)
    assert len(scans) == len(counts)
    for found, count in zip(scans, counts):
        for child in range(n_children):
            assert [payload for payload in found if payload["column"] % 4 == child] == [
                item(child, n) for n in range(count[child])]


@CHILDREN
@pytest.mark.parametrize("count", [1, 2, 7])
def test_order_of_a_dense_scan_is_exact(simulate, stalls, n_children, count):
    dut = LnzdNode(Layouts.of(EIEConfig()), n_children=n_children)
    sent = [3 * scan(child, count, dense=1) for child in range(n_children)]
    received = []

    async def consumer(ctx):
        received.extend(await get(ctx, dut.o, 3 * (n_children * count + 1), stall=stalls.output))
        await nothing(ctx, dut.o)

    simulate(dut, *producers(dut, sent, stall=stalls.input), consumer)
    assert split(received) == 3 * [
        [item(child, n, dense=1) for n in range(count) for child in range(n_children)]]


def test_late_child_is_awaited_in_a_dense_scan_only(simulate):
    dut = LnzdNode(Layouts.of(EIEConfig()), n_children=4)

    async def bench(ctx):
        for dense in (1, 0):
            ctx.set(dut.i[2].payload, item(2, 5, dense=dense))
            ctx.set(dut.i[2].valid, 1)
            if dense:
                await nothing(ctx, dut.o, cycles=6)
        assert plain((await get(ctx, dut.o, 1))[0]) == item(2, 5)

    simulate(dut, bench)


@CHILDREN
def test_children_take_turns(simulate, transfers, n_children):
    dut = LnzdNode(Layouts.of(EIEConfig()), n_children=n_children)
    log, watch = transfers(dut.o)
    counts = [6, 2, 9, 0][:n_children]

    async def consumer(ctx):
        await get(ctx, dut.o, 2 * (sum(counts) + 1))

    simulate(dut, *producers(dut, [2 * scan(child, counts[child])
                                   for child in range(n_children)]), consumer, background=[watch])
    # Arbitration starts with child 0 and skips children without items.
    rounds = zip_longest(*([item(child, n) for n in range(counts[child])]
                           for child in range(n_children)))
    expected = [payload for turn in rounds for payload in turn if payload is not None]
    assert split([payload for _, payload in log]) == [expected, expected]


@CHILDREN
@pytest.mark.parametrize("dense", [0, 1])
def test_one_item_comes_every_cycle_from_the_next_on(simulate, transfers, n_children, dense):
    dut = LnzdNode(Layouts.of(EIEConfig()), n_children=n_children)
    log, watch = transfers(dut.o)

    async def consumer(ctx):
        await get(ctx, dut.o, 3 * (8 * n_children + 1))

    simulate(dut, *producers(dut, [3 * scan(child, 8, dense=dense) for child in range(n_children)]),
             consumer, background=[watch])
    assert [cycle for cycle, _ in log] == list(range(1, 3 * (8 * n_children + 1) + 1))


def test_one_child_alone_sends_every_cycle(simulate, transfers):
    dut = LnzdNode(Layouts.of(EIEConfig()), n_children=4)
    log, watch = transfers(dut.o)

    async def consumer(ctx):
        await get(ctx, dut.o, 21)

    simulate(dut, *producers(dut, [scan(child, 20 * (child == 2)) for child in range(4)]),
             consumer, background=[watch])
    assert [cycle for cycle, _ in log] == list(range(1, 22))
