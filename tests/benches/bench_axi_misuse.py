"""cocotb bench of misuse by the host: each case reports its error and has no other effect."""

import cocotb
import numpy as np
from cocotbext.axi import AxiResp

from benches.axi_buses import CONFIG, seed
from benches.axi_cases import LAYOUTS, WHOLE, bad_packets, random_words, raw_packet
from benches.axi_steps import (
    end_held,
    expect_all,
    let_end,
    nothing_comes,
    nothing_happens,
    nothing_is_received,
    prepare,
    start,
    start_held,
)
from eie_compiler.vectors import input_packets, packet
from eie_hdl.format import Memory
from eie_hdl.registers import REGISTER, Error
from eie_sim.golden.host_model import Fault


@cocotb.test()
async def each_kind_of_bad_packet_has_its_error(dut):
    host, build, inputs = await prepare(dut, pause=0.2)
    good = packet(CONFIG, Memory.CODEBOOK, np.array([[1], [2]], np.uint64), pe=3, address=5)
    for code, beats, keep in bad_packets(np.random.default_rng(seed()), build.input_words):
        fault = host.model.take(beats, keep == WHOLE)
        assert fault is not None and fault.code is code, f"{fault} must have code {code.name}"
        await host.send(beats, keep)
        await host.received()
        await host.expect_fault(fault, f"Packet {[hex(int(beat)) for beat in beats]}")
        await host.send(good)    # dropped
        await host.received()
        await host.clear()
        assert host.model.take(good) is None
        await host.send(good)
        await host.received()
        assert await host.fault() is None
    assert await host.value("CHECKSUM") == host.model.checksum
    await host.compare_memories(16, begin=0)    # nothing was written above
    await host.load(build)
    await host.infer(build, inputs[0])
    host.finish()


@cocotb.test()
async def input_buffers_that_do_not_fit_are_refused(dut):
    host, build, inputs = await prepare(dut, pause=0.2)
    for base, words, stride, buffer in [
            (0, 4, 0, 1), (CONFIG.act_depth - 3, 4, 0, 0), (CONFIG.act_depth - 9, 4, 6, 0),
            (CONFIG.act_depth - 9, 4, 6, 1), (0xFFFF, 0xFFFF, 0xFFFF, 0)]:
        await host.set_input(base, words, stride)
        beats = raw_packet(np.zeros(4, np.uint64), memory=Memory.INPUT.value, count=4,
                           buffer=buffer)
        fault = host.model.take(beats)
        assert fault == Fault(Error.BAD_ADDRESS, 0, Memory.INPUT.value)
        await host.send(beats)
        await host.expect_fault(fault, f"Input at {base}, {words} words")
        await host.clear()
    await host.load(build)
    await host.infer(build, inputs[0])
    host.finish()


@cocotb.test()
async def memory_in_use_is_not_loaded(dut):
    host, build, inputs = await prepare(dut, pause=0.1)
    await start_held(host, build, inputs[0])
    rng = np.random.default_rng(seed())
    for memory in set(Memory) - {Memory.INPUT}:
        beats = raw_packet(random_words(rng, memory, 1), memory=memory.value, count=1)
        fault = host.model.take(beats)
        assert fault == Fault(Error.LOAD_IN_USE, 0, memory.value)
        await host.send(beats)
        await host.expect_fault(fault, f"{memory.name} while a program runs")
        await nothing_happens(host, fault)
        host.model.clear()
        await host.write("CONTROL", clear=1)
        await host.write("IRQ_STATUS", error=1)
    await let_end(host)
    await host.rest()
    await host.infer(build, inputs[1], 1)
    assert await host.value("PROGRAMS") == 2
    host.finish()


@cocotb.test()
async def an_input_waits_for_the_start_that_is_pending_for_its_buffer(dut):
    """And the next start for the input. Two programs are in flight, which cannot end."""
    host, build, inputs = await prepare(dut, pause=0.1)
    host.hold_results(True)
    host.model.running = True
    expected = []
    for number in range(3):
        host.post_input(build, inputs[number % 2], number % 2)
        await host.received()
        expected.append(await start(host, number % 2))
    assert (await host.read("STATUS"))["queued"]
    host.post_input(build, inputs[1])    # to the buffer of the pending start
    await nothing_is_received(host)
    host.hold_results(False)
    await expect_all(host, expected[0])
    await host.received()
    await host.until("The third program in flight", "STATUS", queued=0)
    expected.append(await start(host))
    for outputs in expected[1:]:
        await expect_all(host, outputs)
    await host.rest()
    host.model.running = False
    assert await host.value("PROGRAMS") == 4 and await host.fault() is None
    await host.compare_memories(16)
    host.finish()


@cocotb.test()
async def an_error_or_a_clear_lets_an_input_go_on_that_waits(dut):
    """An error drops it, and a clear withdraws the start that it waited for."""
    host, build, inputs = await prepare(dut, pause=0.1)
    for is_error in (True, False):
        expected = []
        for number in range(2):
            host.post_input(build, inputs[number], number)
            await host.received()
        host.hold_results(True)
        for number in range(2):
            expected.append(await start(host, number))
        host.post_input(build, inputs[1])    # buffer 0 is free when its program has read it
        await host.received()
        await host.write("START", buffer=0)
        (beats,) = input_packets(CONFIG, build.input, inputs[:1])
        host.post(beats)
        await nothing_is_received(host)
        if is_error:
            await host.write("START", descriptor=7)
            await host.received()
            await host.expect_fault(Fault(Error.START_BUSY, 7), "The fourth start")
        else:
            await host.write("CONTROL", clear=1)
            assert host.model.take(beats) is None
            await host.received()
        host.hold_results(False)
        for outputs in expected:
            await expect_all(host, outputs)
        assert (await host.read("STATUS"))["queued"] == is_error
        await host.clear()
        await expect_all(host, await start(host))    # with the input that is in the buffer
        await host.rest()
    assert await host.value("PROGRAMS") == 6
    host.finish()


@cocotb.test()
async def memory_in_use_is_neither_loaded_nor_read_while_results_are_sent(dut):
    """Of a program that has ended: of the input buffers, a single one is in use."""
    host = (await prepare(dut, pause=0.1))[0]
    rng = np.random.default_rng(seed())
    for double in (True, False):
        build, inputs = await end_held(host, double)
        (first,) = host.model.run()
        for memory in Memory:
            if memory is Memory.INPUT and not double:
                continue    # it waits
            n = CONFIG.n_pe if memory is Memory.INPUT else 1
            beats = raw_packet(random_words(rng, memory, n), memory=memory.value, count=n)
            fault = host.model.take(beats)
            assert (fault is None) == (memory is Memory.INPUT)
            await host.send(beats)
            await host.received()
            if fault is None:
                assert await host.fault() is None
                continue
            await host.expect_fault(fault, f"{memory.name} while results are sent")
            host.model.clear()
            await host.write("CONTROL", clear=1)
        await host.ask(Memory.ACT.value, 2, 1)
        await host.expect_fault(Fault(Error.BAD_READ, 2, Memory.ACT.value), "Read of activations")
        await host.write("CONTROL", clear=1)
        assert await host.try_write("INPUT_BASE", value=1) == AxiResp.SLVERR

        # A program may run, although its vector has to wait.
        (second,) = await start(host)
        await host.cycles(1000)
        assert (await host.read("STATUS"))["busy"] and await host.fault() is None
        if not double:
            host.post_input(build, inputs[1])
            await nothing_is_received(host)
        host.hold_results(False)
        await host.expect_result(first, "The vector of the first program")
        await host.expect_result(second, "The vector of the second program")
        await host.received()
        await host.rest()
        host.model.running = False
        await expect_all(host, await start(host))
        await host.rest()
    host.finish()


@cocotb.test()
async def wrong_starts_are_refused(dut):
    host, build, inputs = await prepare(dut, pause=0.2)
    for descriptor in (CONFIG.program_depth, 0xFFFF):
        fault = Fault(Error.START_RANGE, descriptor)
        await host.write("START", descriptor=descriptor)
        await host.expect_fault(fault, "Start")
        await nothing_happens(host, fault)
        await host.clear()
    for stride in (0, CONFIG.act_depth, 0xFFFF):
        await host.set_input(build.input.base_word, build.input_words, stride)
        await host.write("START", descriptor=2, buffer=1)
        await host.expect_fault(Fault(Error.START_RANGE, 2), f"Start of buffer 1, stride {stride}")
        await host.clear()
    await host.set_input(build.input.base_word, build.input_words, build.input_stride)

    await start_held(host, build, inputs[0])
    first = host.model.run()
    host.post_input(build, inputs[1], 1)
    await host.received()
    second = await start(host, 1)
    await host.write("START", descriptor=3)
    assert (await host.read("STATUS"))["queued"]
    await host.write("START", descriptor=7)
    await host.expect_fault(Fault(Error.START_BUSY, 7), "The fourth start")
    await host.write("START", descriptor=CONFIG.program_depth)    # the first error stays
    assert await host.fault() == Fault(Error.START_BUSY, 7)
    host.hold_results(False)
    await expect_all(host, first)
    await expect_all(host, second)
    await host.clear()
    host.model.running = False
    assert await host.value("PROGRAMS") == 2
    await host.infer(build, inputs[1])
    host.finish()


@cocotb.test()
async def words_that_cannot_be_read_are_not_sent(dut):
    host, build, inputs = await prepare(dut, pause=0.1)
    depths = {memory.value: image.depth for memory, image in LAYOUTS.memories.items()}
    far = (1 << 24) - 1
    requests = [request for memory, depth in depths.items() for request in [
        (memory, depth, 1, 0), (memory, depth - 1, 2, 0), (memory, 0, depth + 1, 0),
        (memory, 0, 0, 0), (memory, far, 1, 0), (memory, 1, far, 0)]]
    requests += [(memory, 0, 1, CONFIG.n_pe) for memory in depths
                 if memory not in (Memory.ACT.value, Memory.PROGRAM.value)]
    requests += [(memory, 0, 1, 0) for memory in range(8) if memory not in depths]
    for memory, address, count, pe in requests:
        await host.ask(memory, address, count, pe)
        fault = Fault(Error.BAD_READ, address, memory, pe)
        await host.expect_fault(fault, f"Read of {count} words")
        await host.clear()
    await nothing_comes(host)

    # Nor may they be read while a program runs or a packet is being received.
    await start_held(host, build, inputs[0])
    await host.ask(Memory.ACT.value, 2, 1)
    await host.expect_fault(Fault(Error.BAD_READ, 2, Memory.ACT.value), "Read during a program")
    await let_end(host)
    await host.clear()
    beats = packet(CONFIG, Memory.CODEBOOK, build.images["pe_0.codebook"])
    await host.send_part(beats[:2])
    await host.ask(Memory.PTR.value, 7, 1, 1)
    await host.expect_fault(Fault(Error.BAD_READ, 7, Memory.PTR.value, 1), "Read during a packet")
    await host.send(beats[2:])
    await host.received()
    await host.clear()
    await nothing_comes(host)
    await host.load(build)
    await host.infer(build, inputs[1])
    host.finish()


@cocotb.test()
async def the_interrupt_is_the_events_that_are_enabled(dut):
    host, build, inputs = await prepare(dut, pause=0.2)

    async def expect(irq, **events):
        await host.cycles(2)
        assert host.dut.irq.value == irq
        assert await host.read("IRQ_STATUS") == {"done": 0, "error": 0} | events

    await expect(0)
    await host.write("START", descriptor=CONFIG.program_depth)
    await expect(0, error=1)
    for error in (1, 0, 1):
        await host.write("IRQ_ENABLE", error=error, done=1 - error)
        await expect(error, error=1)
    await host.write("IRQ_STATUS", done=1)
    await expect(1, error=1)
    await host.access(REGISTER["IRQ_STATUS"].address + 1, b"\xFF" * 3)
    await expect(1, error=1)
    await host.write("IRQ_STATUS", error=1)    # while the error is still pending
    await expect(0)
    assert (await host.read("STATUS"))["error"]
    await host.clear()

    await host.infer(build, inputs[0])
    await expect(0, done=1)
    await host.write("IRQ_ENABLE", done=1)
    await expect(1, done=1)
    await host.write("IRQ_STATUS", error=1)
    await expect(1, done=1)
    await host.write("IRQ_STATUS", done=1)
    await expect(0)
    host.finish()


@cocotb.test()
async def clear_in_a_packet_makes_the_rest_a_packet(dut):
    host, build, inputs = await prepare(dut, pause=0.2)
    inner = packet(CONFIG, Memory.CODEBOOK, np.arange(6, dtype=np.uint64).reshape(6, 1), pe=1)
    outer = raw_packet(inner, memory=Memory.SPMAT.value, count=len(inner) + 2)
    await host.send_part(outer[:1])
    assert (await host.read("STATUS"))["receiving"]
    await host.write("CONTROL", clear=1)
    assert not (await host.read("STATUS"))["receiving"]
    assert host.model.take(inner) is None
    await host.send(inner)
    await host.received()
    assert await host.fault() is None
    await host.compare_memories(8, begin=0)
    await host.load(build)
    await host.infer(build, inputs[0])
    host.finish()
