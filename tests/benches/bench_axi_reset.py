"""cocotb bench of resets in any cycle, which must leave a working machine without residue."""

import random

import cocotb
import numpy as np

from benches.axi_buses import CONFIG, seed
from benches.axi_cases import LAYOUTS, expect_words, random_build, random_inputs, reset_word
from benches.axi_host import Host
from eie_compiler.vectors import input_packets, memory_packets, packet
from eie_hdl.format import Memory, n_beats
from eie_hdl.registers import REGISTER, Error
from eie_sim.golden.host_model import Fault, HostModel

#: Resets of each kind, each in a random cycle.
_N = 3

_PAUSE = 0.1

#: Bits unused by words of this machine. Set, they make a beat of words an invalid header.
_POISON = np.uint64(7 << 61)


class Work:
    """Activity for resets to interrupt: load, run three programs at a time, take results."""

    def __init__(self, host, build):
        self.host = host
        (self.inputs,) = random_inputs(build, 1)
        self._inputs = [input_packets(CONFIG, build.input, self.inputs[np.newaxis],
                                      buffer=buffer)[0] for buffer in range(build.input_buffers)]
        program, *packets = [*memory_packets(CONFIG, build.images), self._inputs[0]]
        if n_beats(LAYOUTS.descriptor) == 1:    # else words use all bits of their first beats
            packets.insert(0, program)
        for beats in (*packets, self._inputs[1]):
            beats[1:] |= _POISON
        self._build, self._packets = build, packets
        self.outputs = []
        self.results = []

    async def once(self):
        """Load the network and run it."""
        host, build = self.host, self._build
        await host.set_input(build.input.base_word, build.input_words, build.input_stride)
        for beats in self._packets:
            host.post(beats)
        await host.received()
        await host.write("START", buffer=0)
        # Another program in flight, and one that is pending.
        for number in (1, 0):
            host.post(self._inputs[number])
            await host.received()
            await host.write("START", buffer=number)
        for _ in 3 * build.outputs:
            self.results.append(await host.receive())
        await host.rest()

    async def interrupted(self, after):
        """Start and cancel after some cycles."""
        self.results.clear()
        task = cocotb.start_soon(self.once())
        await self.host.cycles(after)
        task.cancel()
        self.host.source.clear()    # the packet being sent continues


async def prepare(dut):
    """Return a host, its build, its work, and the work's duration in cycles and results."""
    host = await Host.start(dut, pause=_PAUSE)
    cocotb.start_soon(host.watch_offers())
    build = random_build(1)
    work = Work(host, build)
    await host.load(build)
    begin = host.cycle
    await work.once()
    return host, build, work, host.cycle - begin, list(work.results)


@cocotb.test()
async def a_reset_of_one_cycle_can_come_at_any_time(dut):
    host, build, work, duration, _ = await prepare(dut)
    rng = random.Random(f"{seed()} aresetn")
    for _ in range(_N):
        await work.interrupted(rng.randrange(duration))
        await host.reset(1)
        assert host.dut.m_axis_tvalid.value == 0
        await expect_words(host, {})
        await host.load(build)
        await host.infer(build, work.inputs)
    host.finish()


@cocotb.test()
async def nothing_is_left_by_a_soft_reset(dut):
    host, build, work, duration, expected = await prepare(dut)
    rng = random.Random(f"{seed()} soft reset")
    for number in range(_N):
        # Every other time results are held, so that the reset truncates one.
        is_held = number % 2 == 1
        host.hold_results(is_held)
        await work.interrupted(duration if is_held else rng.randrange(duration))
        await host.soft_reset()
        host.hold_results(False)

        # The rest of an interrupted packet is taken for a packet with an invalid header.
        await host.received()
        fault = await host.fault()
        assert fault is None or fault.code is Error.BAD_HEADER, fault
        await host.clear()
        await check_results(host, work, expected)

        await expect_words(host, {})
        if number == 0:
            host.set_pauses(0)
            await host.compare_memories()
            host.set_pauses(_PAUSE)
        await host.compare_memories(8)
        for descriptor in range(0, CONFIG.program_depth, 5):
            await host.write("START", descriptor=descriptor)
            await host.expect_fault(Fault(Error.NO_END, descriptor), "Start after a soft reset")
            await host.clear()
        await host.load(build)
        await host.infer(build, work.inputs)
    assert host.counts["packets cut"]
    host.finish()


async def check_results(host, work, expected):
    """Check that all results are correct; the last may be cut by the reset."""
    await host.cycles(100)
    results = work.results + [await host.receive() for _ in range(host.sink.count())]
    assert len(results) <= len(expected)
    for number, (result, whole) in enumerate(zip(results, expected)):
        n = len(result.elements)
        assert result.elements.tolist() == whole.elements[:n].tolist()
        assert result.cut == (n < len(whole.elements))
        assert not result.cut or number == len(results) - 1
    host.counts["packets cut"] += sum(result.cut for result in results)


@cocotb.test()
async def the_host_waits_for_the_end_of_a_soft_reset(dut):
    host, build, work, *_ = await prepare(dut)
    await host.write("CONTROL", soft_reset=1)
    assert (await host.read("STATUS"))["resetting"]
    await host.write("START", descriptor=3)
    await host.expect_fault(Fault(Error.START_BUSY, 3), "Start during a soft reset")
    await host.write("CONTROL", clear=1)
    await host.ask(Memory.ACT.value, 5, 1)
    await host.expect_fault(Fault(Error.BAD_READ, 5, Memory.ACT.value), "Read during a soft reset")
    await host.write("CONTROL", clear=1)
    await host.write("IRQ_STATUS", error=1)
    # Packets have to wait, but are not lost.
    words = np.arange(4, dtype=np.uint64).reshape(4, 1)
    host.post(packet(CONFIG, Memory.SPMAT, words))
    await host.cycles(20)
    status = await host.read("STATUS")
    assert status["resetting"] and not status["receiving"] and not status["idle"]
    assert dut.s_axis_tready.value == 0

    await host.write("CONTROL", soft_reset=1)    # once more
    await host.rest()
    await host.received()
    host.model = HostModel(CONFIG)
    host.model.take(packet(CONFIG, Memory.SPMAT, words))
    await host.compare_memories(8, begin=0)
    await host.load(build)
    await host.infer(build, work.inputs)
    host.finish()


@cocotb.test()
async def a_soft_reset_at_the_end_of_a_program_leaves_nothing_of_it(dut):
    host = await Host.start(dut)
    build = random_build(1)
    (inputs,) = random_inputs(build, 1)
    await host.load(build)
    await host.infer(build, inputs)
    n_cycles = await host.value("CYCLES_LO")
    # A write takes a few cycles to get there.
    for delay in range(n_cycles - 7, n_cycles + 1):
        await host.load(build)
        host.post_input(build, inputs)
        await host.received()
        await host.write("START", descriptor=0)
        await host.cycles(delay)
        await host.soft_reset()
        for name in ("STATUS", "ERROR", "IRQ_STATUS", "PROGRAMS", "OVERFLOW", "CYCLES_LO"):
            assert await host.read_word(name) == reset_word(REGISTER[name]), (name, delay)
        while not host.sink.empty():
            await host.receive()
    host.finish()
