"""LoadPath with StartControl: input packets and starts in any order, with a script for the core."""

import collections
import random

import numpy as np
import pytest
from amaranth.hdl import Elaboratable, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import connect

from eie_compiler.vectors import packet
from eie_hdl.config import PRESETS
from eie_hdl.format import BEAT_BYTES, Memory
from eie_hdl.host.load_path import LoadPath
from eie_hdl.host.start_control import StartControl

CONFIG = PRESETS["tiny"]
WHOLE = (1 << BEAT_BYTES) - 1
BASE, STRIDE = 3, 5


class HostLogic(Elaboratable):
    """Load path and start control."""

    signature = wiring.Signature({})

    def __init__(self):
        self.load, self.start = LoadPath(CONFIG), StartControl(CONFIG)

    def elaborate(self, platform):
        m = Module()
        m.submodules.load, m.submodules.start = self.load, self.start
        connect(m, self.load.interlock, self.start.interlock)
        return m


class Core:
    """Programs in flight, of which each frees its input and ends after random times."""

    def __init__(self, dut, rng):
        self._dut, self._rng = dut.start, rng
        self.programs, self.reads = [], set()

    def step(self, ctx, started):
        """Advance by a cycle, in which the program of a buffer may start, and set the outputs."""
        rng, dut = self._rng, self._dut
        if started is not None:
            assert started not in self.programs
            self.programs.append(started)
            self.reads.add(started)
        for buffer in self.programs:
            if rng.random() < 0.1:
                self.reads.discard(buffer)
        if self.programs and rng.random() < 0.08:
            self.reads.discard(self.programs.pop(0))
        for signal, value in [
                (dut.core_running, sum(1 << buffer for buffer in self.programs)),
                (dut.core_reads_input, sum(1 << buffer for buffer in self.reads)),
                (dut.core_busy, bool(self.programs)),
                (dut.core_oldest, self.programs[0] if self.programs else rng.randrange(2))]:
            ctx.set(signal, value)


class Orders:
    """Order in which packets and starts of each buffer arrived, in which they must take effect."""

    def __init__(self):
        self.due = [collections.deque(), collections.deque()]
        self.n_waited = collections.Counter()
        self._is_offered = False

    def arrive(self, waiting, started):
        """Enter a packet that has come to the head of the queue, and a start that was written."""
        if waiting and not self._is_offered:
            self.due[waiting >> 1].append("packet")
        self._is_offered = bool(waiting)
        if started is not None:
            self.n_waited["start"] += "packet" in self.due[started]
            self.due[started].append("start")

    def take(self, what, buffer):
        """Check that a packet or a start is the next one of its buffer."""
        assert self.due[buffer].popleft() == what
        if what == "packet":
            self._is_offered = False


def make_packet(rng, buffer):
    """A packet of an input buffer: mostly of one word, with its header two beats."""
    n_words = rng.choice([0, 1, 1, 1, 2, 6])
    words = np.array([[rng.getrandbits(8)] for _ in range(n_words)], np.uint64).reshape(-1, 1)
    return packet(CONFIG, Memory.INPUT, words, buffer=buffer)


def offer(ctx, axis, beats):
    """Offer the first of some beats, each with its TLAST."""
    ctx.set(axis.tvalid, bool(beats))
    if beats:
        for port, value in zip((axis.tdata, axis.tlast), beats[0]):
            ctx.set(port, value)


@pytest.mark.parametrize("seed", range(2))
def test_packets_and_starts_take_effect_in_the_order_of_their_arrival(simulate, seed):
    """All of them do, in each buffer; and no word is written to a buffer that is read."""
    rng = random.Random(seed)
    dut = HostLogic()
    load, start = dut.load, dut.start
    reader = load.interlock
    n_done = collections.Counter()

    async def bench(ctx):
        for registers in (load.registers, start.registers):
            ctx.set(registers.input_stride_value, STRIDE)
        ctx.set(load.registers.input_base_value, BASE)
        ctx.set(load.registers.input_words_words, STRIDE)
        ctx.set(load.i.tkeep, WHOLE)
        ctx.set(load.o.ready, 1)
        core, orders, beats = Core(dut, rng), Orders(), collections.deque()
        is_offered = False
        for cycle in range(6000):
            if cycle < 5000 and len(beats) < 3 and rng.random() < 0.1:
                data = make_packet(rng, rng.randrange(2))
                beats.extend((int(beat), n == len(data) - 1) for n, beat in enumerate(data))
            is_offered = bool(beats) and (is_offered or rng.random() < 0.8)
            offer(ctx, load.i, beats if is_offered else [])
            pending = ctx.get(start.status.waiting)
            written = None
            if cycle < 5000 and not pending and rng.random() < 0.1:
                written = rng.randrange(2)
                ctx.set(start.registers.start_buffer, written)
            ctx.set(start.registers.start_write, written is not None)

            ctx.set(start.run.ready, ctx.get(start.run.p.buffer) not in core.programs)
            waiting, in_use = ctx.get(reader.waiting_input), ctx.get(reader.buffer_in_use)
            orders.arrive(waiting, written)
            if waiting and not waiting & in_use:
                orders.take("packet", waiting >> 1)
                n_done["packet"] += 1
            started = None
            if ctx.get(start.status.started):
                started = ctx.get(start.run.p.buffer)
                orders.take("start", started)
                n_done["start"] += 1
            if ctx.get(load.o.valid):
                buffer = (ctx.get(load.o.p.address) - BASE) // STRIDE
                assert buffer not in core.reads and buffer != started
            assert ctx.get(start.status.start_error.code) == 0
            assert ctx.get(load.error.code) == 0
            taken = is_offered and ctx.get(load.i.tready)
            await ctx.tick()
            if taken:
                beats.popleft()
                is_offered = False
            core.step(ctx, started)
        assert not any(orders.due) and not beats
        assert not ctx.get(start.status.waiting) and not ctx.get(load.waiting)
        assert min(n_done.values()) > 200 and orders.n_waited["start"] > 20

    simulate(dut, bench, deadline=7000)
