"""Eie as a whole, in Amaranth's simulator, against the golden model."""

import dataclasses

import numpy as np
import pytest

from eie_compiler.compile import compile_network
from eie_compiler.network import CompressedNetwork
from eie_compiler.testing import make_layer, random_network
from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.format import COUNTERS
from eie_hdl.pe import queue
from eie_hdl.stream import StreamQueue
from eie_hdl.top import Eie
from eie_hdl.tree import n_in_flight
from eie_sim.golden import GoldenModel
from eie_sim.testing import get, nothing, put
from eie_sim.vectors import input_packets, model_packets, scatter

SMALL = dataclasses.replace(PRESETS["tiny"], act_depth=32)


def inference(dut, build, inputs, *, stalls=(0, 0), counts=None):
    """Benches that load, run each of the inputs and compare all outputs by column."""
    placed = scatter(build.input, inputs, build.config.n_pe)
    expected, statistics = GoldenModel(build.config, build.images).run_counted(
        placed, build.input.base_word)

    async def host(ctx):
        await put(ctx, dut.load, model_packets(build.config, build.images).tolist())
        for image in range(len(inputs)):
            beats = input_packets(build.config, build.input, inputs[image:image + 1])
            await put(ctx, dut.load, beats[0].tolist(), stall=stalls[0])
            await put(ctx, dut.run, [0])
            while ctx.get(dut.busy):
                await ctx.tick()
            counters = {name: ctx.get(getattr(dut.counters, name)) for name in COUNTERS}
            for name in ("broadcasts", "macs", "paddings"):
                assert counters[name] == getattr(statistics, name)[image], name
            assert not ctx.get(dut.overflow)

    async def consumer(ctx):
        for image in range(len(inputs)):
            for vectors in expected:
                received = await get(ctx, dut.result, vectors.shape[1], stall=stalls[1])
                assert [got.column for got in received] == list(range(len(received)))
                assert [got.value for got in received] == vectors[image].tolist()
                assert [got.last for got in received] == [0] * (len(received) - 1) + [1]
        await nothing(ctx, dut.result, cycles=8)

    return host, consumer


def random_inputs(rng, batch, n, width=8):
    limit = 1 << width - 1
    return rng.integers(-limit, limit, (batch, n)) * (rng.random((batch, n)) < 0.6)


@pytest.mark.parametrize("n_pe", [1, 2, 4, 8])
def test_network_gives_what_the_golden_model_says(simulate, n_pe):
    rng = np.random.default_rng(n_pe)
    config = dataclasses.replace(SMALL, n_pe=n_pe)
    network = random_network(rng, [13, 18, 5], density=0.3, v_width=config.v_width, frac=4)
    build = compile_network(network, config, outputs="all")
    dut = Eie(config)
    simulate(dut, *inference(dut, build, random_inputs(rng, 1, 13)))


def test_network_gives_the_same_with_a_slow_host(simulate, stalls):
    """Two images, one after the other, in tiles that are more than one in a layer."""
    rng = np.random.default_rng(47)
    config = dataclasses.replace(SMALL, n_pe=2, acc_depth=4, drop_empty_columns=False)
    network = random_network(rng, [6, 19, 3], density=0.4, v_width=config.v_width, frac=4)
    build = compile_network(network, config, outputs="last")
    dut = Eie(config)
    simulate(dut, *inference(dut, build, random_inputs(rng, 2, 6), stalls=stalls))


@pytest.mark.parametrize("config", [
    EIEConfig(n_pe=2, v_width=8, z_width=8, spmat_depth=32, act_depth=64, n_codebooks=2),
    EIEConfig(n_pe=1, v_width=2, z_width=2, entries_per_word=1, acc_depth=4, spmat_depth=256,
              act_depth=64, n_codebooks=1, queue_depth=2),
], ids=["widest", "narrowest"])
def test_network_gives_the_same_at_the_limits_of_widths(simulate, config):
    rng = np.random.default_rng(53)
    # One layer, since the machine may hold one codebook.
    network = random_network(rng, [11, 13], density=0.4, v_width=config.v_width, frac=8)
    build = compile_network(network, config)
    dut = Eie(config)
    simulate(dut, *inference(dut, build, random_inputs(rng, 1, 11, width=16)))


@pytest.mark.parametrize("n_pe", [1, 2, 8])
def test_no_queue_overflows_while_a_pe_that_has_all_the_work_fills_every_slot(
        simulate, monkeypatch, n_pe):
    """All weights are in PE 0, a full column of the tile for every input."""
    config = dataclasses.replace(SMALL, n_pe=n_pe, queue_depth=2)
    codes = np.zeros((16 * n_pe, 16), np.uint8)
    codes[::n_pe] = 1
    layer = make_layer(codes, codebook=[0, 0.25, *[0.5] * 6], output_frac=4)
    build = compile_network(CompressedNetwork((layer,), input_frac=4, v_width=3), config,
                            mapping="interleaved")
    slots, levels = [], []

    def make_slots(*args, **options):
        slots.append(StreamQueue(*args, **options))
        return slots[-1]

    async def observer(ctx):
        async for *_, valid, ready, level in ctx.tick().sample(
                slots[0].i.valid, slots[0].i.ready, slots[0].level):
            assert ready or not valid, "A column is lost"
            levels.append(level)

    monkeypatch.setattr(queue, "StreamQueue", make_slots)
    dut = Eie(config)
    inputs = np.ones((1, 16), np.int64)
    simulate(dut, *inference(dut, build, inputs), background=[observer])
    assert len(slots) == n_pe
    assert max(levels) == config.queue_depth + n_in_flight(config)
