"""A tree node, and whole trees."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from eie_compiler.vectors import result_order
from eie_hdl.config import ACTS_PER_WORD, EIEConfig
from eie_hdl.format import Kind, Memory
from eie_hdl.tree.tree import EVENTS, Link, TreeNode, add_tree_nodes
from support.simulation import get, get_vector, nothing, put

SIZES = {"act_width": 8, "codebook_width": 7, "acc_width": 20, "acc_depth": 16, "spmat_depth": 256,
         "act_depth": 16}
CHILDREN = pytest.mark.parametrize("n_children", [2, 4])
#: Trees of one to three levels, with nodes of two and four children. In short, only results and
#: broadcasts pass three levels.
TREES = pytest.mark.parametrize("n_pe", [2, 4, 8, pytest.param(32, marks=pytest.mark.full)])


class Tree(wiring.Component):
    """The tree of an accelerator, by itself."""

    def __init__(self, config):
        self._config = config
        super().__init__({"parent": Out(Link(config)),
                          "child": In(Link(config)).array(config.n_pe)})

    def elaborate(self, platform):
        m = Module()
        for link, child in zip(add_tree_nodes(m, flipped(self.parent), self._config), self.child):
            connect(m, link, flipped(child))
        return m


def node(n_children):
    """A single node, with as many children as PEs."""
    return TreeNode(EIEConfig(n_pe=n_children, **SIZES), n_children=n_children)


def tree(n_pe):
    return Tree(EIEConfig(n_pe=n_pe, **SIZES))


def messages(rng, count):
    bodies = [
        lambda: (Kind.ACTIVATION, {"activation": {"value": rng.randrange(-128, 128),
                                                  "pointer": rng.randrange(2048)}}),
        lambda: (Kind.START, {"start": {"source": rng.randrange(16), "send": rng.randrange(2),
                                        "watched": rng.randrange(2)}}),
        lambda: (Kind.END, {"end": {"destination": rng.randrange(16), "shift": rng.randrange(8)}}),
    ]
    return [dict(zip(("kind", "body"), rng.choice(bodies)())) for _ in range(count)]


def words(rng, count):
    return [{"address": rng.randrange(256), "data": rng.getrandbits(60), "memory": Memory.SPMAT,
             "pe": rng.randrange(2), "everyone": rng.randrange(2)} for _ in range(count)]


def watch(dut, of, seen):
    """Background bench that logs a value of the parent and of each child in every cycle."""
    async def bench(ctx):
        while True:
            _, _, parent, *children = await ctx.tick().sample(
                of(dut.parent), *(of(child) for child in dut.child))
            seen.append((parent, children))

    return bench


def written(dut, tokens, stalls):
    """Send tokens, an overflow bit per tile and PE, through a tree and return its output."""
    received = []

    def writer(n):
        async def bench(ctx):
            await put(ctx, dut.child[n].written, [tile[n] for tile in tokens], stall=stalls.input,
                      rng=random.Random(n))
        return bench

    async def consumer(ctx):
        received.extend(await get(ctx, dut.parent.written, len(tokens), stall=stalls.output))
        await nothing(ctx, dut.parent.written)

    return received, [*map(writer, range(len(dut.child))), consumer]


# With pauses, there are also payloads in consecutive cycles.
@pytest.mark.parametrize("n_pe", [2, 4, 8, 32])
@pytest.mark.parametrize("stall", [pytest.param(0, marks=pytest.mark.full), 0.5])
@pytest.mark.parametrize("name, payloads", [("message", messages), ("load", words)])
def test_broadcast_arrives_everywhere_one_cycle_later_per_level(simulate, n_pe, stall, name,
                                                                payloads):
    dut, rng, seen = tree(n_pe), random.Random(n_pe), []
    sent = payloads(rng, 25)
    n_levels = EIEConfig(n_pe=n_pe).n_levels

    async def bench(ctx):
        await put(ctx, getattr(dut.parent, name), sent, stall=stall, rng=rng)
        await ctx.tick().repeat(n_levels + 1)

    simulate(dut, bench, background=[
        watch(dut, lambda link: getattr(link, name).valid, valid := []),
        watch(dut, lambda link: getattr(link, name).payload.as_value(), seen)])
    assert sum(parent for parent, _ in valid) == len(sent)
    for cycle in range(len(valid) - n_levels):
        for at_child, payload in zip(valid[cycle + n_levels][1], seen[cycle + n_levels][1]):
            assert at_child == valid[cycle][0]
            if at_child:
                assert payload == seen[cycle][0]
    assert not any(any(children) for _, children in valid[:n_levels])


@TREES
@pytest.mark.parametrize("name", ["filling", "full"])
def test_any_queue_is_reported_one_cycle_later_per_level(simulate, n_pe, name):
    dut, rng, seen = tree(n_pe), random.Random(n_pe), []
    n_levels = EIEConfig(n_pe=n_pe).n_levels

    async def bench(ctx):
        for cycle in range(40 + 4 * n_pe):
            for n, child in enumerate(dut.child):
                # First each of them alone, then random ones.
                ctx.set(getattr(child, name), cycle == 2 * n or (
                    cycle > 2 * n_pe and rng.random() < 0.5 / n_pe))
            await ctx.tick()

    simulate(dut, bench, background=[watch(dut, lambda link: getattr(link, name), seen)])
    fulls = [any(children) for _, children in seen]
    assert n_pe < sum(fulls) < len(fulls) - 5
    assert [parent for parent, _ in seen[n_levels:]] == fulls[:len(seen) - n_levels]


@TREES
def test_events_are_added_up_one_cycle_later_per_level(simulate, n_pe):
    dut, rng, seen = tree(n_pe), random.Random(n_pe), []
    n_levels = EIEConfig(n_pe=n_pe).n_levels

    async def bench(ctx):
        for cycle in range(30):
            for child in dut.child:
                # Each of them alone, all of them, then random ones.
                ctx.set(child.events, {name: cycle in (n, len(EVENTS)) or (
                    cycle > len(EVENTS) and rng.randrange(2)) for n, name in enumerate(EVENTS)})
            await ctx.tick()

    simulate(dut, bench, background=[watch(dut, lambda link: link.events, seen)])
    for name in EVENTS:
        sums = [sum(child[name] for child in children) for _, children in seen]
        assert max(sums) == n_pe    # which needs one bit more than an index of a PE
        assert [parent[name] for parent, _ in seen[n_levels:]] == sums[:len(seen) - n_levels]


@CHILDREN
def test_tile_is_written_when_every_child_has_written_it(simulate, stalls, n_children):
    dut, rng = node(n_children), random.Random(n_children)
    alone = [[int(n == m) for n in range(n_children)] for m in range(n_children)]
    tokens = [[0] * n_children, *alone, *(
        [int(rng.random() < 0.2) for _ in range(n_children)] for _ in range(25))]
    received, benches = written(dut, tokens, stalls)
    simulate(dut, *benches)
    assert received == [int(any(tile)) for tile in tokens]


@CHILDREN
def test_tile_that_one_child_has_not_written_is_not_written(simulate, n_children):
    dut = node(n_children)

    async def bench(ctx):
        for late in range(n_children):
            for n, child in enumerate(dut.child):
                if n != late:
                    await put(ctx, child.written, [0])
            await nothing(ctx, dut.parent.written, cycles=4)
            await put(ctx, dut.child[late].written, [late % 2])
            assert await get(ctx, dut.parent.written, 1) == [late % 2]

    simulate(dut, bench)


def test_tile_is_reported_in_the_cycle_after_the_last_child(simulate, transfers):
    dut = node(4)
    log, note = transfers(dut.parent.written)

    async def bench(ctx):
        ctx.set(dut.parent.written.ready, 1)
        for child in dut.child:
            await ctx.tick().repeat(2)
            ctx.set(child.written.valid, 1)
        await ctx.tick()
        for child in dut.child:
            ctx.set(child.written.valid, 0)
        await ctx.tick().repeat(4)

    simulate(dut, bench, background=[note])
    assert log == [(9, 0)]


def words_of(pe, n, n_pe):
    """Results of a PE for a vector of `n` elements, which are their column numbers, and an end."""
    columns = list(range(pe, n, n_pe))
    return [*({"word": columns[first:first + ACTS_PER_WORD],
               "last_lane": len(columns[first:first + ACTS_PER_WORD]) - 1}
              for first in range(0, len(columns), ACTS_PER_WORD)), {"end": 1}]


def senders(dut, lengths, *, stall=0.0):
    """Benches of the PEs, which send vectors of these lengths."""
    n_pe = len(dut.child)

    def sender(pe):
        async def bench(ctx):
            for n in lengths:
                await put(ctx, dut.child[pe].result, words_of(pe, n, n_pe), stall=stall,
                          rng=random.Random(100 * n + pe))
        return bench

    return [sender(pe) for pe in range(n_pe)]


@pytest.mark.parametrize("n_pe, stall", [
    # In short, one tree of three levels.
    pytest.param(n_pe, stall, marks=[pytest.mark.full] if n_pe == 64 or (n_pe, stall) == (32, 0)
                 else [])
    for n_pe in (1, 2, 4, 8, 16, 32, 64) for stall in (0, 0.3)])
def test_results_come_in_the_order_that_the_compiler_knows(simulate, n_pe, stall):
    """Vectors whose last row has words of all PEs, of some, and of one, back to back."""
    config = EIEConfig(n_pe=n_pe, **{**SIZES, "act_width": 12})
    dut = Tree(config)
    group = ACTS_PER_WORD * n_pe
    lengths = sorted({1, 2, n_pe, group - 1, group, group + 1, group + n_pe - 1, 2 * group})
    random.Random(n_pe).shuffle(lengths)

    async def consumer(ctx):
        for n in lengths:
            assert await get_vector(ctx, dut.parent.result, stall=stall) \
                == result_order(config, n).tolist()
        await nothing(ctx, dut.parent.result)

    simulate(dut, *senders(dut, lengths, stall=stall), consumer)


@TREES
def test_tree_sends_a_result_every_cycle_from_one_cycle_later_per_level_on(simulate, transfers,
                                                                          n_pe):
    dut = Tree(EIEConfig(n_pe=n_pe, **{**SIZES, "act_width": 12}))
    log, note = transfers(dut.parent.result)
    n = 4 * ACTS_PER_WORD * n_pe

    async def ready(ctx):
        ctx.set(dut.parent.result.ready, 1)
        await ctx.tick().repeat(n + 20)

    simulate(dut, *senders(dut, [n]), ready, background=[note])
    first = EIEConfig(n_pe=n_pe).n_levels
    assert [cycle for cycle, _ in log] == list(range(first, first + n // ACTS_PER_WORD + 1))


@TREES
def test_tree_sends_one_activation_every_cycle(simulate, transfers, n_pe):
    dut = tree(n_pe)
    log, note = transfers(dut.parent.scan)

    def scanner(pe):
        async def bench(ctx):
            await put(ctx, dut.child[pe].scan, [*({"column": slot * n_pe + pe, "value": 1}
                                                  for slot in range(5)), {"end": 1}])
        return bench

    async def consumer(ctx):
        await get(ctx, dut.parent.scan, 5 * n_pe + 1)

    simulate(dut, *map(scanner, range(n_pe)), consumer, background=[note])
    first = 2 * EIEConfig(n_pe=n_pe).n_levels    # a queue on each side of a node
    assert [cycle for cycle, _ in log] == list(range(first, first + 5 * n_pe + 1))
    assert [payload.column for _, payload in log[:-1]] == list(range(5 * n_pe))


def test_tile_is_written_when_every_pe_of_a_tree_has(simulate, stalls):
    dut, rng = tree(8), random.Random(8)
    tokens = [[int(rng.random() < 0.1) for _ in range(8)] for _ in range(10)]
    received, benches = written(dut, tokens, stalls)
    simulate(dut, *benches)
    assert received == [int(any(tile)) for tile in tokens]
    assert 0 < sum(received) < len(received)
