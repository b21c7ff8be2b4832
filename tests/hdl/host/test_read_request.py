"""ReadRequest: readable words, and times when reads are rejected."""

import dataclasses

import pytest

from eie_hdl.config import PRESETS
from eie_hdl.format import Layouts, Memory
from eie_hdl.host.error_log import error_layout
from eie_hdl.host.read_request import ReadRequest, read_layout
from eie_hdl.registers import Error
from support.simulation import Unwatched
from support.strobes import set_inputs, strobe

CONFIG = PRESETS["tiny"]


def read(memory, *, address, count, pe=0):
    return read_layout.const({"valid": 1, "memory": memory, "pe": pe, "address": address,
                              "count": count})


def read_of(request):
    """What registers hold of a request after its cycle."""
    return {"memory": request.memory, "pe": request.pe, "address": request.address}


def requested(ctx, dut):
    """Return the offered request."""
    if not ctx.get(dut.read.valid):
        return None
    payload = ctx.get(dut.read.payload)
    return payload.memory.value, payload.pe, payload.address, payload.count


def cases(config):
    """Requests, each with a flag for words that exist and are readable."""
    images = {memory.value: image for memory, image in Layouts.of(config).memories.items()}
    for memory in range(8):
        image = images.get(memory)
        readable = image is not None and (config.readback or memory == Memory.ACT.value)
        depth = image.depth if image else 16
        for address, count, fits in [
                (0, 1, True), (0, depth, True), (depth - 1, 1, True), (1, depth - 1, True),
                (0, 0, False), (0, depth + 1, False), (depth, 1, False), (depth - 1, 2, False),
                ((1 << 24) - 1, 1, False), (1, (1 << 24) - 1, False)]:
            for pe in (0, config.n_pe - 1, config.n_pe, 255):
                one_pe = memory not in (Memory.ACT.value, Memory.PROGRAM.value)
                yield ((memory, pe, address, count),
                       readable and fits and (pe < config.n_pe or not one_pe), one_pe)


@pytest.mark.parametrize("readback", [True, False])
def test_only_words_that_exist_can_be_read(simulate, readback):
    config = dataclasses.replace(CONFIG, readback=readback)
    dut = ReadRequest(config)

    async def bench(ctx):
        n_good = 0
        for place, is_good, one_pe in cases(config):
            memory, pe, address, count = place
            request = read(memory, address=address, count=count, pe=pe)
            ctx.set(dut.i, request)
            assert ctx.get(dut.error.code) == Error.NONE and not ctx.get(dut.busy)
            await ctx.tick()
            ctx.set(dut.i, read_of(request))
            error = ctx.get(dut.error)
            assert ctx.get(dut.busy)
            assert (error.code == Error.NONE) if is_good else error == error_layout.const({
                "code": Error.BAD_READ, "address": address, "memory": memory, "pe": pe})
            await ctx.tick()
            assert ctx.get(dut.error.code) == Error.NONE
            ctx.set(dut.i, {})
            if is_good:
                n_good += 1
                seen = requested(ctx, dut)
                assert seen == (place if one_pe else (memory, seen[1], address, count))
                await ctx.tick()
                assert requested(ctx, dut) == seen
                ctx.set(dut.read.ready, 1)
                await ctx.tick()
                ctx.set(dut.read.ready, 0)
            assert requested(ctx, dut) is None and not ctx.get(dut.busy)
        # Four ranges, for any PE; only PEs that exist where it matters.
        assert n_good == 4 * (4 * 2 + 2 * 3 if readback else 4)

    simulate(Unwatched(dut), bench)


@pytest.mark.parametrize("hold, refuse, error", [
    (0, 0, None), (0, 1, (Error.BAD_READ, 5)), (1, 0, None), (1, 1, None)])
def test_read_is_rejected_while_busy_and_ignored_while_an_error_is_pending(simulate, hold, refuse,
                                                                           error):
    """In the cycle of the request."""
    dut = ReadRequest(CONFIG)
    request = read(Memory.ACT, address=5, count=2)

    async def bench(ctx):
        ctx.set(dut.i, read_of(request))
        assert await strobe(ctx, dut, i=request, hold=hold, refuse=refuse) == error
        set_inputs(ctx, dut, hold=not hold, refuse=not refuse)
        await ctx.tick()
        assert requested(ctx, dut) == (None if hold or refuse else (Memory.ACT.value, 0, 5, 2))

    simulate(Unwatched(dut), bench)


def test_request_during_another_one_has_no_effect_but_its_error(simulate):
    dut = ReadRequest(CONFIG)

    async def bench(ctx):
        request = read(Memory.ACT, address=5, count=2)
        ctx.set(dut.i, read_of(request))
        await strobe(ctx, dut, i=request)
        await ctx.tick()
        first = requested(ctx, dut)
        second = read(Memory.PTR, address=6, count=1)
        ctx.set(dut.i, read_of(second))
        assert await strobe(ctx, dut, i=second, refuse=1) == (Error.BAD_READ, 6)
        await ctx.tick()
        assert requested(ctx, dut) == first

    simulate(Unwatched(dut), bench)


def test_pending_request_can_be_dropped(simulate):
    dut = ReadRequest(CONFIG)
    request = read(Memory.ACT, address=5, count=2)

    async def bench(ctx):
        ctx.set(dut.i, read_of(request))
        await strobe(ctx, dut, i=request)
        await ctx.tick()
        assert requested(ctx, dut) is not None
        ctx.set(dut.drop, 1)
        await ctx.tick()
        assert requested(ctx, dut) is None

    simulate(Unwatched(dut), bench)
