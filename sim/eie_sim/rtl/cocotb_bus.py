"""Driver's bus to a machine simulated in cocotb, on the AXI models of cocotbext-axi."""

import collections
import itertools
import logging
import math
import random
import warnings
from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.task import resume
from cocotb.triggers import ClockCycles, First, RisingEdge, SimTimeoutError, Timer, with_timeout
from cocotb.utils import get_sim_time, get_time_from_sim_steps
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiResp,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)
from numpy.typing import NDArray

from eie_driver.bus import Bus, BusError
from eie_hdl.format import BEAT_BYTES
from eie_hdl.registers import REGISTER_WIDTH

from .simulators import CLOCK_PERIOD

__all__ = ["CocotbBus"]

T = TypeVar("T")

_PERIOD_NS = round(CLOCK_PERIOD * 1e9)
_RESET_CYCLES = 4

# cocotbext-axi uses deprecated parts of cocotb and would warn in each run.
warnings.filterwarnings("ignore", category=DeprecationWarning, module="cocotbext")


class CocotbBus(Bus):
    """Bus to a machine simulated in cocotb.

    Create and start it in a coroutine. Call all other methods from a function run by
    ``cocotb.task.bridge``.

    Parameters
    ----------
    dut
        The top module.
    timeout : :class:`float`, seconds
        Limit of a transfer, in simulated time.
    pause : :class:`float`
        Probability per cycle and channel that the host keeps VALID or READY low.
    seed : :class:`int`
        Seed of the pauses.

    Attributes
    ----------
    statistics : :class:`~collections.Counter`
        Bus traffic: ``reads`` and ``writes`` of registers, ``packets`` and ``beats`` sent,
        ``result_packets`` and ``result_beats`` received.
    """

    def __init__(self, dut: Any, *, timeout: float = 1e-3, pause: float = 0.0, seed: int = 1
                 ) -> None:
        # Logging a transfer takes longer than simulating it.
        logging.getLogger(f"cocotb.{dut._name}").setLevel(logging.WARNING)
        self.statistics: collections.Counter[str] = collections.Counter()
        self._dut = dut
        self._timeout_ns = math.ceil(timeout * 1e9)
        self._first_sent = self._last_sent = self._last_taken = 0    # simulated time in steps
        domain = (dut.aclk, dut.aresetn, False)
        self._registers = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), *domain)
        self._source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), *domain)
        results = AxiStreamBus.from_prefix(dut, "m_axis")
        results.tdata = self._data = _UnknownDetector(results.tdata)
        self._sink = _Receiver(results, *domain)
        if pause:
            read, write = self._registers.read_if, self._registers.write_if
            for number, channel in enumerate([
                    write.aw_channel, write.w_channel, write.b_channel, read.ar_channel,
                    read.r_channel, self._source, self._sink]):
                channel.set_pause_generator(_pauses(pause, f"{seed} {number}"))

    async def start(self) -> None:
        """Reset the machine and start the clock."""
        self._dut.aresetn.value = 0
        await Timer(_PERIOD_NS, "ns")
        # A clock in the simulator (GPI) takes half the time of one in Python.
        Clock(self._dut.aclk, _PERIOD_NS, "ns", impl="gpi").start()
        await ClockCycles(self._dut.aclk, _RESET_CYCLES)
        self._dut.aresetn.value = 1
        await ClockCycles(self._dut.aclk, _RESET_CYCLES)

    @property
    def cycles(self) -> int:
        """Clock cycles since the start of the simulation."""
        return int(get_sim_time("ns")) // _PERIOD_NS

    @property
    def latency(self) -> int:
        """Cycles from the last beat sent to the last result beat; 0 if no result has come since."""
        return _count_cycles(self._last_taken - self._last_sent)

    def take_interval(self) -> int:
        """Cycles from the first beat sent to the last result beat since the previous call.

        Both are included; 0 without such beats.
        """
        steps = self._last_taken - self._first_sent if self._first_sent else 0
        self._first_sent = self._last_taken = 0
        return _count_cycles(steps)

    def read(self, address: int) -> int:
        return self.read_all([address])[0]

    @resume
    async def read_all(self, addresses: Sequence[int]) -> list[int]:
        self.statistics["reads"] += len(addresses)
        # Back to back, as fast as the machine can answer.
        reads = [cocotb.start_soon(self._registers.read(address, REGISTER_WIDTH // 8))
                 for address in addresses]
        values = []
        for address, read in zip(addresses, reads):
            answer = await self._access(read, f"Read of 0x{address:X}")
            values.append(int.from_bytes(answer.data, "little"))
        return values

    @resume
    async def write(self, address: int, value: int) -> None:
        self.statistics["writes"] += 1
        data = value.to_bytes(REGISTER_WIDTH // 8, "little")
        await self._access(self._registers.write(address, data),
                           f"Write of 0x{value:X} to 0x{address:X}")

    @resume
    async def send(self, beats: NDArray[np.uint64]) -> None:
        self.statistics["packets"] += 1
        self.statistics["beats"] += len(beats)
        await self._source.send(AxiStreamFrame(beats.astype("<u8").tobytes(),
                                               tx_complete=self._record_sent))
        await self._with_timeout(self._source.wait(), f"Packet of {len(beats)} beats")
        self._last_sent = get_sim_time()

    def expect(self, n_bytes: int) -> None:
        self._sink.expect()

    def receive(self) -> NDArray[np.uint8] | None:
        if (frame := self._sink.take()) is None:
            return None
        self._last_taken = frame.sim_time_end
        self.statistics["result_packets"] += 1
        self.statistics["result_beats"] += len(frame.tkeep) // BEAT_BYTES
        n_bytes = sum(frame.tkeep)
        # A truncated packet ends with an empty beat.
        if not all(frame.tkeep[:n_bytes]) or len(frame.tkeep) - n_bytes > BEAT_BYTES:
            raise BusError("Packet of results must have TKEEP set except at its end, not "
                           f"{''.join(map(str, frame.tkeep))}")
        if self._data.unknown:
            raise BusError(f"Packet of results must have no unknown bits, but one of its beats is "
                           f"{self._data.unknown}")
        return np.frombuffer(frame.tdata, np.uint8)[:n_bytes]

    @resume
    async def wait(self, seconds: float) -> None:
        if self._dut.irq.value != 1 and self._sink.empty():
            await First(RisingEdge(self._dut.irq), self._sink.active_event.wait(),
                        Timer(max(1, round(seconds * 1e9)), "ns"))

    def now(self) -> float:
        return get_sim_time("sec")

    def _record_sent(self, frame: AxiStreamFrame) -> None:
        # VALID rises at the edge at which a frame starts, a cycle before the beat is taken.
        self._first_sent = self._first_sent or frame.sim_time_start

    async def _access(self, transfer: Awaitable[Any], what: str) -> Any:
        answer = await self._with_timeout(transfer, what)
        if answer.resp != AxiResp.OKAY:
            raise BusError(f"{what} was answered with {answer.resp.name}")
        return answer

    async def _with_timeout(self, transfer: Awaitable[T], what: str) -> T:
        try:
            return await with_timeout(transfer, self._timeout_ns, "ns")
        except SimTimeoutError:
            raise BusError(f"{what} must end within {self._timeout_ns // _PERIOD_NS} cycles"
                           ) from None


class _Receiver(AxiStreamSink):
    """Sink that accepts a packet only when one is expected, as a DMA does."""

    def __init__(self, *args: Any) -> None:
        self._expecting = False
        super().__init__(*args)

    def expect(self) -> None:
        self.take()    # drop a packet that was never received
        self._expecting = True
        self.wake_event.set()

    def take(self) -> AxiStreamFrame | None:
        if self.empty():
            return None
        self._expecting = False
        return self.recv_nowait(compact=False)

    def full(self) -> bool:
        return not self._expecting or not self.empty()


class _UnknownDetector:
    """Signal that records X and Z bits, as cocotbext-axi reads plain integers only."""

    def __init__(self, signal: Any) -> None:
        self._signal = signal
        self.unknown = ""

    def __len__(self) -> int:
        return len(self._signal)

    @property
    def value(self) -> int:
        bits = str(self._signal.value)
        if bits.strip("01"):
            self.unknown = bits
            return 0
        return int(bits, 2)


def _count_cycles(steps: int) -> int:
    return max(0, round(get_time_from_sim_steps(steps, "ns")) // _PERIOD_NS)


def _pauses(probability: float, seed: str) -> Any:
    rng = random.Random(seed)
    return (rng.random() < probability for _ in itertools.count())
