"""cocotb bench of failing programs, after each of which the machine must still work."""

import cocotb
import numpy as np

from benches.axi_buses import CONFIG
from benches.axi_cases import LAYOUTS, program_packet, random_build, random_inputs
from benches.axi_host import Host
from benches.axi_steps import drain, end_held, expect_all, nothing_happens, prepare, start
from eie_compiler.vectors import packet, read_words, result_type
from eie_hdl.config import ACTS_PER_WORD
from eie_hdl.format import BEAT_BYTES, Memory, n_beats
from eie_hdl.packing import pack, unpack
from eie_hdl.registers import Error
from eie_sim.golden.host_model import Fault


def bad_programs(build):
    """Yield failing programs: error code, descriptor, and the change of the build's program."""
    depth, last = CONFIG.act_depth, len(build.images["ccu.program"]) - 1

    def put(at, place, name, value):
        def change(fields):
            (fields[place] if place else fields)[name][at] = value
        return change

    def overlap(fields):
        fields["end"]["destination"][0] = fields["start"]["source"][0]

    # Rows of which the second is beyond the memory.
    for place, name in [("start", "source"), ("end", "destination"), ("end", "bias")]:
        def change(fields, place=place, name=name):
            fields[place][name][2], fields[place]["last_word"][2] = depth - 1, 1
        yield Error.BAD_DESCRIPTOR, 2, change
    yield Error.BAD_DESCRIPTOR, 0, put(0, "start", "codebook", CONFIG.n_codebooks)
    yield Error.BAD_DESCRIPTOR, 0, put(0, "end", "bias_shift", CONFIG.max_bias_shift + 1)
    yield Error.BAD_DESCRIPTOR, 0, overlap
    yield Error.BAD_DESCRIPTOR, 1, put(1, "start", "source", depth - 1)
    yield Error.NO_END, 0, put(0, None, "valid", 0)
    yield Error.NO_END, last, put(last, None, "valid", 0)
    yield Error.NO_END, last + 1, put(last, None, "final", 0)
    # The columns of a loop are known before it is started.
    code = Error.BAD_DESCRIPTOR if CONFIG.loops else Error.BAD_POINTER
    yield code, 0, put(0, None, "ptr_base", CONFIG.n_pointers - 1)
    yield code, 0, put(0, None, "ptr_base", CONFIG.n_pointers - 4)


@cocotb.test()
async def programs_that_fail_are_stopped(dut):
    host, build, inputs = await prepare(dut, pause=0.1)
    n_ended = 0
    for code, number, change in bad_programs(build):
        await host.send(program_packet(build, change))
        host.post_input(build, inputs[0])
        await host.received()
        await host.write("START", descriptor=0)
        fault = Fault(code, number)
        await host.expect_fault(fault, "Program")
        await nothing_happens(host, fault)
        await host.clear()
        await host.send(program_packet(build))
        host.post_input(build, inputs[0])
        await drain(host, host.model.run(), may_cut=False)
        await host.infer(build, inputs[1])
        n_ended += 1
        assert await host.value("PROGRAMS") == n_ended

    # Input buffer 1 is beyond the memory.
    await host.set_input(build.input.base_word, build.input_words, CONFIG.act_depth - 1)
    await host.write("START", buffer=1)
    await host.expect_fault(Fault(Error.BAD_DESCRIPTOR, 0), "Program")
    await host.clear()
    await host.load(build)
    await host.infer(build, inputs[0])
    host.finish()


@cocotb.test()
async def a_program_must_end_in_the_memory(dut):
    host = await Host.start(dut, pause=0.1)
    depth = CONFIG.program_depth
    fields = unpack(LAYOUTS.descriptor, np.zeros((depth, n_beats(LAYOUTS.descriptor)), np.uint64))
    fields["start"]["send"][:] = fields["valid"][:] = 1
    fields["start"]["last_lane"][:] = ACTS_PER_WORD - 1
    fields["start"]["last_pe"][:] = CONFIG.n_pe - 1
    await host.send(packet(CONFIG, Memory.PROGRAM, pack(LAYOUTS.descriptor, fields)))
    await host.received()
    await host.write("START", descriptor=depth - 3)
    await host.expect_fault(Fault(Error.NO_END, depth - 1), "Program")
    await host.clear()
    zeros = np.zeros(CONFIG.n_pe * ACTS_PER_WORD, np.int64)
    assert len(await drain(host, [zeros, zeros], may_cut=False)) == 2
    host.finish()


@cocotb.test()
async def a_program_that_takes_too_long_is_stopped(dut):
    host, build, inputs = await prepare(dut, pause=0.1)
    await host.write("WATCHDOG", value=20)
    for _ in range(2):
        host.post_input(build, inputs[0])
        await host.received()
        await host.write("START", descriptor=0)
        fault = Fault(Error.TIMEOUT, 0)
        await host.expect_fault(fault, "Program")
        await nothing_happens(host, fault)
        await host.clear()
        await drain(host, host.model.run())
    await host.write("WATCHDOG", value=0)
    await host.infer(build, inputs[1])

    # A start queued for a packet that never ends times out too.
    await host.write("WATCHDOG", value=1000)
    beats = packet(CONFIG, Memory.CODEBOOK, np.ones((4, 1), np.uint64))
    await host.send_part(beats[:2])
    await host.write("START", descriptor=1)
    assert (await host.read("STATUS"))["queued"]
    await host.expect_fault(Fault(Error.TIMEOUT, 1), "Queued start")
    await host.send(beats[2:])    # dropped
    await host.received()
    await host.clear()
    await host.load(build)
    await host.infer(build, inputs[0])
    host.finish()


@cocotb.test()
async def the_time_limit_is_that_of_the_oldest_of_two_programs(dut):
    """It begins again when a program starts or ends, and its error has the oldest's descriptor."""
    host, build, inputs = await prepare(dut, pause=0)
    program = build.images["ccu.program"]
    copy = len(program)
    await host.send(packet(CONFIG, Memory.PROGRAM, program, address=copy))
    await host.infer(build, inputs[0])
    n_cycles = await host.value("CYCLES_LO")
    for limit, code in [(2 * n_cycles, None), (n_cycles // 3, Error.TIMEOUT)]:
        for buffer in range(2):
            host.post_input(build, inputs[buffer], buffer)
        await host.received()
        await host.write("WATCHDOG", value=limit)
        for buffer, descriptor in ((1, copy), (0, 0)):
            await host.write("START", descriptor=descriptor, buffer=buffer)
        if code is None:
            for buffer in (1, 0):
                await host.expect_outputs(buffer)
            await host.rest()
            assert await host.fault() is None
        else:
            await host.expect_fault(Fault(code, copy), "Program")
            await host.clear()
            await drain(host, host.model.run(0, 1))
    await host.write("WATCHDOG", value=0)
    await host.infer(build, inputs[0])
    host.finish()


@cocotb.test()
async def two_programs_whose_results_are_not_taken_are_stopped(dut):
    """The pending start waits until the error is cleared, which withdraws it."""
    host = (await prepare(dut, pause=0.1))[0]
    build = random_build(1, (40, 60, 10))
    inputs = random_inputs(build, 2)
    await host.load(build)
    await host.write("WATCHDOG", value=3000)
    host.hold_results(True)
    for buffer in (0, 1, 0):
        host.post_input(build, inputs[buffer], buffer)
        await host.received()
        await host.write("START", buffer=buffer)
    fault = Fault(Error.RESULT_BLOCKED, 0)
    await host.expect_fault(fault, "Programs")
    assert (await host.read("STATUS"))["queued"]
    await host.clear()
    assert len(await drain(host, host.model.run())) == 1
    assert await host.value("PROGRAMS") == 0
    await host.write("WATCHDOG", value=0)
    await host.infer(build, inputs[1])
    host.finish()


@cocotb.test()
async def a_fault_of_the_younger_program_is_reported_after_the_end_of_the_older_one(dut):
    """The results of the older one are whole."""
    host, build, inputs = await prepare(dut, pause=0.1)
    number = CONFIG.program_depth - 1    # without a descriptor
    for buffer in range(2):
        host.hold_results(True)
        host.post_input(build, inputs[0], buffer)
        await host.received()
        outputs = await start(host, buffer)
        await host.write("START", descriptor=number, buffer=1 - buffer)
        await host.cycles(500)
        status = await host.read("STATUS")
        assert status["busy"] and not status["queued"] and not status["error"]
        assert status["buffer"] == buffer
        host.hold_results(False)
        await expect_all(host, outputs)
        await host.expect_fault(Fault(Error.NO_END, number), "The younger program")
        await host.clear()
        assert await host.value("PROGRAMS") == 2 * buffer + 1
        await host.infer(build, inputs[1], 1 - buffer)
    host.finish()


@cocotb.test()
async def a_read_continues_through_clear_and_is_stopped_like_a_program(dut):
    host, build, inputs = await prepare(dut, pause=0.1)
    n_words = 16    # more than fit between core and host
    words = await host.read_memory(Memory.SPMAT, 1, 0, n_words)
    host.hold_results(True)
    await host.ask(Memory.SPMAT.value, 0, n_words, pe=1)
    await host.write("CONTROL", clear=1)
    host.hold_results(False)
    elements = (await host.receive()).elements
    assert (read_words(CONFIG, LAYOUTS.spmat_word, elements) == words).all()
    await host.rest()

    await host.write("WATCHDOG", value=500)
    for memory in (Memory.SPMAT, Memory.PROGRAM, Memory.ACT):
        host.hold_results(True)
        await host.ask(memory.value, 0, n_words, pe=1)
        await host.until("The end of a blocked read", "STATUS", error=1)
        assert (await host.fault()).code is Error.RESULT_BLOCKED
        host.errors[Error.RESULT_BLOCKED.name] += 1
        await host.clear()
        host.hold_results(False)
        assert (await host.receive()).cut
        await host.cycles(1000)
        assert host.sink.empty() and await host.fault() is None
    await host.infer(build, inputs[0])
    host.finish()


@cocotb.test()
async def a_host_that_takes_no_results_does_not_block_the_machine(dut):
    host = (await prepare(dut, pause=0.1))[0]
    build = random_build(1, (40, 60, 10))
    inputs = random_inputs(build, 2)
    await host.load(build)
    for n_takes in (0, 1, 2):
        host.hold_results(True)
        await host.write("WATCHDOG", value=2000)
        host.post_input(build, inputs[0])
        await host.received()
        await host.write("START", descriptor=0)
        n_taken = sum([await host.take_beat() for _ in range(n_takes)])
        fault = Fault(Error.RESULT_BLOCKED, 0)
        await host.expect_fault(fault, "Program")
        await nothing_happens(host, fault)
        await host.clear()
        outputs = host.model.run()
        results = await drain(host, outputs)
        # The beats taken, and two that had left the core.
        assert len(results) == 1
        n_elements = BEAT_BYTES // result_type(CONFIG).itemsize    # of a beat
        assert len(results[0].elements) == (n_taken + 2) * n_elements <= len(outputs[0])
        await host.infer(build, inputs[1])
    host.finish()


@cocotb.test()
async def results_of_a_program_that_has_ended_are_whole_when_the_next_one_fails(dut):
    """The reset waits for the host, but a soft reset does not wait."""
    host = (await prepare(dut, pause=0.1))[0]
    for ends in ("the host", "a soft reset"):
        build, inputs = await end_held(host)
        outputs = host.model.run()
        number = CONFIG.program_depth - 1    # without a descriptor
        fault = Fault(Error.NO_END, number)
        await host.write("START", descriptor=number)
        await host.expect_fault(fault, "Program")
        await nothing_happens(host, fault)
        for _ in range(3):
            await host.cycles(200)
            status = await host.read("STATUS")
            assert status["resetting"] and not status["idle"]
            await host.write("CONTROL", clear=1)    # does not end it
        host.model.running = False
        if ends == "the host":
            host.hold_results(False)
            await host.expect_result(outputs[0], "The result before the fault")
        else:
            await host.soft_reset()
            [result] = await drain(host, outputs)
            assert result.cut
            await host.load(build)
        await host.clear()
        await host.infer(build, inputs[1])
    host.finish()


@cocotb.test()
async def results_that_are_not_taken_after_the_end_of_their_program_have_a_time_limit(dut):
    host = (await prepare(dut, pause=0.1))[0]
    await host.write("WATCHDOG", value=5000)
    for n_takes in (0, 2):
        build, inputs = await end_held(host)
        n_taken = sum([await host.take_beat() for _ in range(n_takes)])
        fault = Fault(Error.RESULT_BLOCKED, 0)
        await host.expect_fault(fault, "Results")
        await nothing_happens(host, fault)
        await host.clear()
        host.model.running = False
        [result] = await drain(host, host.model.run())
        assert len(result.elements) == (n_taken + 2) * BEAT_BYTES // result_type(CONFIG).itemsize
        await host.infer(build, inputs[1])
    host.finish()
