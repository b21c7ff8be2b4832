"""MemoryReader, with a script in place of the PEs."""

import dataclasses
import random

import pytest
from amaranth.hdl import Shape

from eie_hdl.ccu.memory_reader import MemoryReader
from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.format import Layouts, Memory
from eie_hdl.numeric import wrap
from support.simulation import get, nothing, put

CONFIGS = {
    "tiny": PRESETS["tiny"],
    "default": EIEConfig(readback=True),
    # A word of any memory is in one piece; and in many.
    "one piece": EIEConfig(n_pe=1, v_width=2, z_width=2, entries_per_word=1, n_codebooks=1,
                           act_width=24, codebook_width=4, acc_depth=4, program_depth=2,
                           act_depth=2, ptr_depth=2, spmat_depth=16, readback=True),
    "many": EIEConfig(n_pe=4, v_width=8, z_width=8, entries_per_word=16, act_width=4,
                      readback=True),
}
MEMORIES = (Memory.SPMAT, Memory.PTR, Memory.CODEBOOK, Memory.PROGRAM)


class Pes:
    """Random words, and benches that answer as all PEs together do: a value, then one end."""

    def __init__(self, config, dut, stall=0.0):
        self.config, self.dut, self.stall = config, dut, stall
        self.memories = Layouts.of(config).memories
        self.requests = []
        self.words = {}
        self.rng = random.Random(109)

    def width(self, memory):
        return Shape.cast(self.memories[memory].shape).width

    def word(self, memory, pe, address):
        place = memory, pe, address
        if place not in self.words:
            self.words[place] = self.rng.getrandbits(self.width(memory))
        return self.words[place]

    def pieces(self, memory, pe, address, count):
        """Return the expected response to a request."""
        step = self.config.act_width
        return [wrap(self.word(memory, pe, address + n) >> low, step)
                for n in range(count) for low in range(0, self.width(memory), step)]

    async def answer(self, ctx):
        while True:
            [request] = await get(ctx, self.dut.request, 1, stall=self.stall, rng=self.rng)
            memory = Memory(request.memory)
            assert memory in MEMORIES and memory is not Memory.PROGRAM
            self.requests.append(request)
            value = wrap(self.word(memory, request.pe, request.address)
                         >> request.piece * self.config.act_width, self.config.act_width)
            await put(ctx, self.dut.answer, [{"word": [value]}, {"end": 1}], stall=self.stall,
                      rng=self.rng)

    async def serve_program(self, ctx):
        """Block RAM: data stays until the next read."""
        while True:
            *_, en, addr = await ctx.tick().sample(self.dut.program.en, self.dut.program.addr)
            if en:
                ctx.set(self.dut.program.data, self.word(Memory.PROGRAM, 0, addr))


def random_range(rng, config, memory):
    """PE, address and count of a request; the program is in no PE."""
    depth = Layouts.of(config).memories[memory].depth
    count = rng.randint(1, min(3, depth))
    pe = 0 if memory is Memory.PROGRAM else rng.randrange(config.n_pe)
    return pe, rng.choice([0, depth - count, rng.randint(0, depth - count)]), count


@pytest.mark.parametrize("name", CONFIGS)
def test_words_come_in_pieces_and_one_end_follows_the_last(simulate, stalls, name):
    config = CONFIGS[name]
    rng = random.Random(113)
    dut = MemoryReader(config)
    pes = Pes(config, dut, stalls.input)
    places = [(memory, *random_range(rng, config, memory))
              for memory in [*MEMORIES, *rng.choices(MEMORIES, k=4)]]

    async def producer(ctx):
        await put(ctx, dut.i, [{"memory": memory, "pe": pe, "address": address, "count": count}
                               for memory, pe, address, count in places], stall=stalls.input)

    async def consumer(ctx):
        for place in places:
            expected = pes.pieces(*place)
            *found, last = await get(ctx, dut.o, len(expected) + 1, stall=stalls.output, rng=rng)
            assert [piece.word[0] for piece in found] == expected, place
            assert not any(piece.last_lane for piece in found)
            assert [piece.end for piece in (*found, last)] == [0] * len(expected) + [1]
        await nothing(ctx, dut.o)

    simulate(dut, producer, consumer, background=[pes.answer, pes.serve_program])


def test_a_piece_is_asked_for_when_the_one_before_has_been_taken(simulate):
    """For a PE keeps nothing in mind."""
    dut = MemoryReader(PRESETS["tiny"])
    pes = Pes(PRESETS["tiny"], dut)

    async def bench(ctx):
        ctx.set(dut.i.payload, {"memory": Memory.SPMAT, "count": 3})
        ctx.set(dut.i.valid, 1)
        n_pieces = len(pes.pieces(Memory.SPMAT, 0, 0, 3))
        for n in range(n_pieces):
            await ctx.tick().repeat(20)
            assert len(pes.requests) == n + 1
            assert not ctx.get(dut.i.ready)
            await get(ctx, dut.o, 1)
        await nothing(ctx, dut.request, cycles=5)
        ctx.set(dut.o.ready, 1)
        assert ctx.get(dut.o.valid) and ctx.get(dut.o.p.end) and ctx.get(dut.i.ready)

    simulate(dut, bench, background=[pes.answer])


@pytest.mark.parametrize("count", [1, 2])
def test_whole_memory_can_be_read(simulate, count):
    """Its depth needs a bit more than its addresses; and all is ready for the next request."""
    config = dataclasses.replace(PRESETS["tiny"], spmat_depth=8, acc_depth=4, ptr_depth=2,
                                 act_depth=2, n_codebooks=1, program_depth=2)
    depth = 8
    assert Layouts.of(config).memories[Memory.CODEBOOK].depth == depth
    dut = MemoryReader(config)
    pes = Pes(config, dut)
    expected = pes.pieces(Memory.CODEBOOK, 3, 0, depth)

    async def producer(ctx):
        await put(ctx, dut.i, [{"memory": Memory.CODEBOOK, "pe": 3, "count": depth}] * count)

    async def consumer(ctx):
        for _ in range(count):
            found = await get(ctx, dut.o, len(expected) + 1)
            assert [piece.word[0] for piece in found[:-1]] == expected
        await nothing(ctx, dut.o)

    simulate(dut, producer, consumer, background=[pes.answer])
