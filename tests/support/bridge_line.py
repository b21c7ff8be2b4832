"""A bridge in Amaranth's simulator between a line, which the driver uses, and a model of a machine.
"""

import collections
import random
from types import SimpleNamespace

from amaranth.hdl import Module
from amaranth.sim import Simulator

from eie_driver import bridge_link, serial_bus
from support.stream_rules import StreamRules

__all__ = ["REFUSED", "BridgeLine", "Noise"]

#: Address at which the model of the machine has no register.
REFUSED = 0x3FC

_PERIOD = 1e-6


class Noise:
    """Noise on a line: drops, flips and inserts bytes with probability `rate` each."""

    def __init__(self, rate, seed):
        self.rate, self._rng = rate, random.Random(seed)
        self.n_damaged = 0

    def __call__(self, data):
        damaged = bytearray()
        for byte in data:
            kind = self._rng.random() / self.rate if self.rate else 3
            self.n_damaged += kind < 3
            if kind < 1:
                continue
            if kind < 2:
                byte ^= 1 << self._rng.randrange(8)
            elif kind < 3:
                damaged += bytes(self._rng.choices(b"\xc0\xdb\xdc\x55", k=self._rng.randint(1, 9)))
            damaged.append(byte)
        return bytes(damaged)


class BridgeLine:
    """Line to a bridge; the simulation advances while the host reads.

    Parameters
    ----------
    dut
        The bridge.
    noise : :class:`Noise`
        Noise in both directions.
    stall : :class:`float`
        Probability per cycle that the machine and the line wait.

    Attributes
    ----------
    writes : :class:`list`
        Address and value of each write to a register.
    beats : :class:`list`
        Data and TLAST of each beat that the machine has taken.
    results : :class:`~collections.deque`
        Data, TKEEP and TLAST of each beat that it is to send.
    blocked : :class:`bool`
        It takes no beats.
    """

    def __init__(self, dut, *, noise=None, stall=0.0, seed=1):
        self.timeout, self.cycles = 0, 0
        self.noise = noise or Noise(0, seed)
        self.writes, self.beats, self.results, self.blocked = [], [], collections.deque(), False
        self._to, self._from = collections.deque(), collections.deque()
        self._stall, self._rng = stall, random.Random(seed)
        self._dut = dut
        top = Module()
        top.submodules.dut = dut
        top.submodules.rules = rules = StreamRules(dut.sent.signature, name="sent")
        rules.watch(top, dut.sent)
        self._simulator = Simulator(top)
        self._simulator.add_clock(_PERIOD)
        for bench in (self._carry, self._read, self._write, self._take, self._give):
            self._simulator.add_testbench(bench, background=True)

    def patch_time(self, monkeypatch):
        """Have the driver use the time of the simulation."""
        clock = SimpleNamespace(monotonic=lambda: self.cycles * _PERIOD, sleep=self._sleep)
        for module in (bridge_link, serial_bus):
            monkeypatch.setattr(module, "time", clock)

    def write(self, data):
        self._to.extend(self.noise(data))

    @property
    def in_waiting(self):
        return len(self._from)

    def read(self, size):
        end = self.cycles + max(1, round(self.timeout / _PERIOD))
        while not self._from and self.cycles < end:
            self._simulator.advance()
        received = bytes(self._from.popleft() for _ in range(min(size, len(self._from))))
        return self.noise(received)

    def _sleep(self, seconds):
        end = self.cycles + round(seconds / _PERIOD)
        while self.cycles < end:
            self._simulator.advance()

    def _waits(self):
        return self._rng.random() < self._stall

    async def _carry(self, ctx):
        received, sent = self._dut.received, self._dut.sent
        while True:
            gives = bool(self._to) and not self._waits()
            ctx.set(received.valid, gives)
            if gives:
                ctx.set(received.payload, self._to.popleft())
            ctx.set(sent.ready, not self._waits())
            *_, valid, ready, byte = await ctx.tick().sample(sent.valid, sent.ready, sent.payload)
            self.cycles += 1
            if valid and ready:
                self._from.append(byte)

    async def _read(self, ctx):
        bus = self._dut.axil
        while True:
            [address] = await self._accept(ctx, bus.arready, bus.arvalid, bus.araddr)
            ctx.set(bus.rdata, address * 0x01010101 & 0xFFFFFFFF)
            ctx.set(bus.rresp, 2 if address == REFUSED else 0)
            await self._offer(ctx, bus.rvalid, bus.rready)

    async def _write(self, ctx):
        bus = self._dut.axil
        while True:
            # The two channels in either order, or together.
            if self._rng.random() < 0.5:
                [address] = await self._accept(ctx, bus.awready, bus.awvalid, bus.awaddr)
                [value] = await self._accept(ctx, bus.wready, bus.wvalid, bus.wdata)
            else:
                [value] = await self._accept(ctx, bus.wready, bus.wvalid, bus.wdata)
                [address] = await self._accept(ctx, bus.awready, bus.awvalid, bus.awaddr)
            self.writes.append((address, value))
            ctx.set(bus.bresp, 2 if address == REFUSED else 0)
            await self._offer(ctx, bus.bvalid, bus.bready)

    async def _take(self, ctx):
        bus = self._dut.beats
        while True:
            data, keep, last = await self._accept(
                ctx, bus.tready, bus.tvalid, bus.tdata, bus.tkeep, bus.tlast,
                waits=lambda: self.blocked)
            assert keep == 0xFF
            self.beats.append((data, last))

    async def _give(self, ctx):
        bus = self._dut.results
        while True:
            if not self.results:
                await ctx.delay(8 * _PERIOD)
                continue
            data, keep, last = self.results.popleft()
            ctx.set(bus.tdata, data)
            ctx.set(bus.tkeep, keep)
            ctx.set(bus.tlast, last)
            await self._offer(ctx, bus.tvalid, bus.tready)

    async def _accept(self, ctx, ready, valid, *values, waits=lambda: False):
        if not ctx.get(valid):
            await ctx.edge(valid, 1)    # much faster than every clock
        while waits() or self._waits():
            await ctx.tick()
        ctx.set(ready, 1)
        while True:
            _, _, is_given, *sampled = await ctx.tick().sample(valid, *values)
            if is_given:
                ctx.set(ready, 0)
                return sampled

    async def _offer(self, ctx, valid, ready):
        while self._waits():
            await ctx.tick()
        ctx.set(valid, 1)
        await ctx.tick().until(ready)
        ctx.set(valid, 0)
