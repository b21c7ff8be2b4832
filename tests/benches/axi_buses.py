"""AXI buses of a machine in a cocotb bench, with random pauses and a deadline on every wait."""

import collections
import json
import logging
import os
import random
from typing import NamedTuple

import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, SimTimeoutError, with_timeout
from cocotb.types import LogicArray
from cocotb.utils import get_sim_time
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiResp,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)

from eie_compiler.vectors import result_type
from eie_hdl.config import EIEConfig
from eie_hdl.format import BEAT_BYTES
from eie_hdl.registers import REGISTER, REGISTER_WIDTH

#: Configuration of the machine.
CONFIG = EIEConfig.from_mapping(json.loads(os.environ["EIE_CONFIG"]))
REGISTER_BYTES = REGISTER_WIDTH // 8

_PERIOD_NS = 10
_DEADLINE = 20_000    # cycles


def seed():
    """Return the seed of all random choices in this run."""
    return int(os.environ["EIE_SEED"])


class Result(NamedTuple):
    """A packet of results; `cut` is true if the machine truncated it."""

    elements: np.ndarray
    cut: bool


class Buses:
    """Registers and streams of a machine, its clock, and its reset.

    Parameters
    ----------
    dut
        The top module.
    pause : :class:`float`
        Probability per cycle and channel that the host keeps VALID or READY low.

    Attributes
    ----------
    counts : :class:`~collections.Counter`
        Activity, for the summary of the tests.
    source, sink
        Ends of the streams.
    """

    def __init__(self, dut, *, pause=0.0):
        logging.getLogger(f"cocotb.{dut._name}").setLevel(logging.ERROR)
        self.dut = dut
        self.counts: collections.Counter[str] = collections.Counter()
        Clock(dut.aclk, _PERIOD_NS, "ns").start()
        self._held = False
        domain = (dut.aclk, dut.aresetn, False)
        self._registers = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), *domain)
        packets = AxiStreamBus.from_prefix(dut, "s_axis")
        self._last = packets.tlast = _Gate(packets.tlast)
        self.source = AxiStreamSource(packets, *domain)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), *domain)
        write, read = self._registers.write_if, self._registers.read_if
        self._channels = [write.aw_channel, write.w_channel, write.b_channel, read.ar_channel,
                          read.r_channel, self.source, self.sink]
        self.set_pauses(pause)

    def set_pauses(self, probability):
        """Set the probability of a pause on each channel."""
        for number, channel in enumerate(self._channels):
            channel.set_pause_generator(
                self._pauses(random.Random(f"{seed()} {number}"), probability,
                             channel is self.sink) if probability else None)
            channel.pause = False
        self.hold_results(self._held)

    def hold_results(self, held):
        """Keep READY of the results low while `held`."""
        self._held = held
        self.sink.pause = held

    def _pauses(self, rng, probability, is_sink):
        while True:
            yield rng.random() < probability or (is_sink and self._held)

    # Time

    @property
    def cycle(self):
        """Clock cycles since the start of the simulation."""
        return int(get_sim_time("ns")) // _PERIOD_NS

    async def cycles(self, n):
        """Wait for `n` clock cycles."""
        for _ in range(n):
            await RisingEdge(self.dut.aclk)

    async def within(self, what, awaitable, cycles=_DEADLINE):
        """Wait for an event that must happen within `cycles`."""
        try:
            return await with_timeout(awaitable, cycles * _PERIOD_NS, "ns")
        except SimTimeoutError:
            raise AssertionError(f"{what} must come within {cycles} cycles; {self.pins()}"
                                 ) from None

    def pins(self):
        """Seed, cycle and handshakes, for messages."""
        pins = [f"{bus}_{channel}{end}={getattr(self.dut, f'{bus}_{channel}{end}').value}"
                for bus, channels in [("s_axil", ["aw", "w", "b", "ar", "r"]),
                                      ("s_axis", ["t"]), ("m_axis", ["t"])]
                for channel in channels for end in ("valid", "ready")]
        return f"seed {seed()}, cycle {self.cycle}: {' '.join(pins)}"

    # Registers

    async def access(self, address, data=None, n_bytes=REGISTER_BYTES):
        """Read `n_bytes` or write `data`; return response and value."""
        self.counts["accesses"] += 1
        what = f"Access to 0x{address:X}"
        if data is None:
            answer = await self.within(what, self._registers.read(address, n_bytes))
            return answer.resp, int.from_bytes(answer.data, "little")
        answer = await self.within(what, self._registers.write(address, data))
        return answer.resp, None

    async def read_word(self, name):
        """Read a register as a word."""
        resp, word = await self.access(REGISTER[name].address)
        assert resp == AxiResp.OKAY, f"{name} must be readable; {self.pins()}"
        return word

    async def read(self, name):
        """Read a register as fields."""
        return REGISTER[name].unpack(await self.read_word(name))

    async def value(self, name):
        """Read the field of a register that has only one."""
        (value,) = (await self.read(name)).values()
        return value

    async def until(self, what, name, **fields):
        """Poll a register until its fields match."""
        begin = self.cycle
        while not fields.items() <= (found := await self.read(name)).items():
            assert self.cycle < begin + _DEADLINE, (
                f"{what} must come within {_DEADLINE} cycles; {name} is {found}, STATUS "
                f"{await self.read('STATUS')}, ERROR {await self.read('ERROR')}; {self.pins()}")

    async def try_write(self, name, **fields):
        """Write a register; return the response."""
        word = REGISTER[name].pack(**fields)
        resp, _ = await self.access(REGISTER[name].address,
                                    word.to_bytes(REGISTER_BYTES, "little"))
        return resp

    async def write(self, name, **fields):
        """Write a register; the response must be OKAY."""
        assert await self.try_write(name, **fields) == AxiResp.OKAY, (
            f"{name} must be writable; {self.pins()}")

    async def reset(self, cycles=1):
        """Assert aresetn at any time."""
        self.counts["resets"] += 1
        self.dut.aresetn.value = 0
        await self.cycles(cycles)
        self.dut.aresetn.value = 1
        self.source.clear()
        self.sink.clear()
        self._last.open = False
        await self.cycles(1)

    async def watch_offers(self):
        """Check that each offered payload stays unchanged until it is taken."""
        channels = {valid: (getattr(self.dut, f"{valid}ready"),
                            [getattr(self.dut, valid + name) for name in payload])
                    for valid, payload in [("s_axil_b", ["resp"]), ("s_axil_r", ["resp", "data"]),
                                           ("m_axis_t", ["data", "keep", "last"])]}
        offered: dict[str, list[LogicArray] | None] = {}
        while True:
            await RisingEdge(self.dut.aclk)
            for name, (ready, payload) in channels.items():
                now = None
                if getattr(self.dut, f"{name}valid").value == 1:
                    now = [signal.value for signal in payload]
                if self.dut.aresetn.value == 1:
                    assert offered.get(name) in (None, now), f"{name} changed; {self.pins()}"
                offered[name] = None if ready.value == 1 or self.dut.aresetn.value == 0 else now

    # Packets

    def post(self, beats, keep=None):
        """Send a packet without waiting; `keep` has TKEEP of each beat."""
        self.counts["packets"] += 1
        frame = AxiStreamFrame(np.asarray(beats, "<u8").tobytes())
        if keep is not None:
            bits = np.unpackbits(np.asarray(keep, np.uint8), bitorder="little")
            frame.tkeep = [int(bit) for bit in bits]
        self.source.send_nowait(frame)

    async def send(self, beats, keep=None):
        """Send a packet and wait until it is taken."""
        self.post(beats, keep)
        await self.within(f"Packet of {len(beats)} beats", self.source.wait())

    async def send_part(self, beats):
        """Send beats without TLAST, so that the next ones continue the packet."""
        self._last.open = True
        await self.send(beats)
        self._last.open = False

    async def take_beat(self):
        """Take a beat of held results, or the few until READY is low; return their number."""
        self.hold_results(False)

        async def beats():
            count = 0
            while count == 0 or self.dut.m_axis_tready.value == 1:
                await RisingEdge(self.dut.aclk)
                if self.dut.m_axis_tvalid.value == 1 == self.dut.m_axis_tready.value:
                    count += 1
                    self.hold_results(True)
            return count
        return await self.within("A beat of results", beats())

    async def receive(self):
        """Receive the next packet of results."""
        frame = await self.within("A packet of results", self.sink.recv(compact=False))
        n_bytes = sum(frame.tkeep)
        assert all(frame.tkeep[:n_bytes]) and len(frame.tkeep) - n_bytes <= BEAT_BYTES, (
            f"TKEEP must be set except at the end, not {frame.tkeep}; {self.pins()}")
        data = np.frombuffer(bytes(frame.tdata)[:n_bytes], result_type(CONFIG))
        return Result(data.astype(np.int64), len(frame.tkeep) - n_bytes == BEAT_BYTES)


class _Gate:
    """TLAST signal that can be suppressed."""

    def __init__(self, signal):
        self._signal = signal
        self.open = False    # suppress TLAST, so that the packet continues

    def __len__(self):
        return len(self._signal)

    @property
    def value(self):
        return self._signal.value

    @value.setter
    def value(self, value):
        self._signal.value = 0 if self.open else value

    def setimmediatevalue(self, value):
        self._signal.setimmediatevalue(value)
