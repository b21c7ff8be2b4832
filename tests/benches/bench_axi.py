"""cocotb bench of correct use of a machine through its buses."""

import random

import cocotb
import numpy as np

from benches.axi_buses import CONFIG, seed
from benches.axi_cases import LAYOUTS, program_packet, random_build, random_inputs, random_words
from benches.axi_host import Host
from eie_compiler.vectors import input_packets, packet, scatter
from eie_hdl.format import COUNTERS, Memory, n_beats
from eie_hdl.registers import REGISTER_WIDTH
from eie_sim.golden.model import GoldenModel

#: Cycles of a bus access and a start, which cannot overlap with the program.
_OVERHEAD = 20

#: Cycle counts are the same in all simulators, so only the fast one measures them.
_IS_SLOW = cocotb.SIM_NAME.startswith("Icarus")


def expected_outputs(build, inputs):
    """Return the vectors a build must send for inputs (n,), from its images alone."""
    placed = scatter(build.input, inputs[np.newaxis], CONFIG.n_pe)
    return GoldenModel(CONFIG, build.images).run(placed, build.input.base_word)


async def counters(host):
    """Read the latched counters by name."""
    return {name: await host.value(f"{name.upper()}_LO")
            | await host.value(f"{name.upper()}_HI") << REGISTER_WIDTH for name in COUNTERS}


async def take(host, vectors):
    """Receive the results of an inference and check them."""
    for number, vector in enumerate(vectors):
        await host.expect_result(vector[0], f"Vector {number}")
    host.counts["inferences"] += 1


@cocotb.test()
async def networks_are_loaded_run_read_back_and_replaced(dut):
    host = await Host.start(dut, pause=0.3)
    sizes = [(40, 20, 10), (30, 40, 6), (12, 9)]
    for number, size in enumerate(sizes):
        build = random_build(number, size)
        await host.load(build)
        for buffer, inputs in enumerate(random_inputs(build, build.input_buffers)):
            host.post_input(build, inputs, buffer)
            await host.received()
            await host.write("START", buffer=buffer)
            await take(host, expected_outputs(build, inputs))
            await host.rest()
            host.model.run(0, buffer)    # update the model's memories
        await host.compare_memories(8)
    assert await host.value("PROGRAMS") == sum(
        random_build(number, size).input_buffers for number, size in enumerate(sizes))
    assert await host.fault() is None
    host.finish()


@cocotb.test()
async def both_buffers_give_the_same_results(dut):
    """Hidden vectors and results are in the region of the buffer, or in rows that both share."""
    host = await Host.start(dut, pause=0.3)
    build = random_build(3, (40, 20, 30, 10), outputs="last")

    (inputs,) = random_inputs(build, 1)
    hidden = build.layers[0].base_word
    seen = []
    for in_regions in (True, False):
        await host.load(build)
        if not in_regions:
            await host.send(program_packet(build, share_rows(build)))
        for buffer in (1, 0, 1):
            zeros = np.zeros((build.input_stride + 1, n_beats(LAYOUTS.act_word)), np.uint64)
            await host.send(packet(CONFIG, Memory.ACT, zeros, address=hidden))
            host.post_input(build, inputs, buffer)
            await host.received()
            await host.write("START", buffer=buffer)
            await take(host, expected_outputs(build, inputs))
            await host.rest()
            rows = await host.read_memory(Memory.ACT, 0, hidden, len(zeros))
            is_in_region = in_regions and buffer == 1
            assert not rows[:, 0 if is_in_region else -1].any()
            seen.append(rows[:, -1 if is_in_region else 0].tolist())
    assert np.any(seen[0]) and all(each == seen[0] for each in seen)
    assert await host.fault() is None
    host.finish()


def share_rows(build):
    """Change of the program of a build: hidden vectors and results in rows that programs share."""
    def change(fields):
        fields["offset_source"] &= fields["start"]["source"] == build.input.base_word
        fields["offset_destination"][:] = 0
        fields["alone"][0] = 1
    return change


def keep_input(fields):
    """Change of a program: one input buffer, which is free when the program has ended."""
    fields["frees_input"][:] = 0


async def take_in_any_timing(host, rng, expected):
    """Receive the results of inferences, and let the machine wait for the host at times."""
    for vectors in expected:
        if rng.random() < 0.5:
            host.hold_results(True)
            await host.cycles(rng.randrange(600))
            host.hold_results(False)
        await take(host, vectors)


@cocotb.test()
async def a_stream_of_inferences_gives_all_results_in_any_timing(dut):
    """Three are under way at most: two programs in flight, and a start that is pending."""
    host = await Host.start(dut, pause=0.2)
    rng = random.Random(f"{seed()} stream")
    n_inputs = 8
    for outputs, rows in [("last", "regions"), ("all", "regions"), ("all", "shared"),
                          ("last", "single")]:
        build = random_build(4, (40, 20, 30, 10), outputs=outputs)
        await host.load(build)
        if rows == "shared":
            await host.send(program_packet(build, share_rows(build)))
        elif rows == "single":
            await host.send(program_packet(build, keep_input))
            await host.received()
            await host.set_input(build.input.base_word, build.input_words, 0)
        inputs = random_inputs(build, n_inputs)
        before = await host.value("PROGRAMS")
        results = cocotb.start_soon(take_in_any_timing(
            host, rng, [expected_outputs(build, each) for each in inputs]))
        n_buffers, ahead = (1, 2) if rows == "single" else (2, 3)
        for number, each in enumerate(inputs):
            host.post_input(build, each, number % n_buffers)
            await host.within("The input", host.source.wait())
            while await host.value("PROGRAMS") < before + number + 1 - ahead:
                pass
            await host.write("START", buffer=number % n_buffers)
            await host.cycles(rng.choice([0, 0, 30, 500]))
        await results
        await host.rest()
        assert await host.value("PROGRAMS") == before + n_inputs
        assert await host.fault() is None
    host.finish()


@cocotb.test()
async def every_word_that_was_loaded_can_be_read(dut):
    host = await Host.start(dut)
    rng = np.random.default_rng(seed())
    for memory, contents in host.model.words.items():
        for pe in range(len(contents)):
            beats = packet(CONFIG, memory, random_words(rng, memory, contents.shape[1]).reshape(
                contents.shape[1:]), pe=pe)
            await host.send(beats)
            assert host.model.take(beats) is None
    await host.received()
    assert await host.value("CHECKSUM") == host.model.checksum
    await host.compare_memories()
    host.finish()


@cocotb.test(skip=_IS_SLOW)
async def loading_takes_a_beat_a_cycle(dut):
    host = await Host.start(dut)
    rng = np.random.default_rng(seed())
    for memory in Memory:
        n = {Memory.INPUT: CONFIG.act_depth * CONFIG.n_pe // 2}.get(memory) \
            or host.model.words[memory].shape[1]
        await host.set_input(0, CONFIG.act_depth // 2, True)
        # Packets are back to back.
        beats = packet(CONFIG, memory, random_words(rng, memory, n).reshape(n, -1))
        await host.cycles(1)
        begin, n_packets = host.cycle, 3
        for _ in range(n_packets):
            host.post(beats)
        await host.within("Packets", host.source.wait())
        assert host.cycle - begin <= n_packets * len(beats) + 4, (
            f"{n_packets * len(beats)} beats for {memory.name} took {host.cycle - begin} cycles")
        await host.received()    # then the registers of the input are no longer locked
    assert await host.fault() is None
    host.finish()


@cocotb.test(skip=_IS_SLOW)
async def inferences_follow_each_other_without_a_gap(dut):
    """With two input buffers, inputs load while the previous inference runs."""
    n = 12
    host = await Host.start(dut)
    for density in (0.3, 1.0):
        build = random_build(0, density=density)
        assert build.input_buffers == 2
        await host.load(build)
        inputs = random_inputs(build, n)
        expected = [expected_outputs(build, each) for each in inputs]

        # One after another: load, start, wait for the results.
        begin = host.cycle
        for number in range(n):
            host.post_input(build, inputs[number])
            await host.received()
            await host.write("START", buffer=0)
            await take(host, expected[number])
            await host.rest()
        single = (host.cycle - begin) / n
        program = (await counters(host))["cycles"]

        # The host's work overlaps with the programs, and they with each other.
        before = await host.value("PROGRAMS")
        begin = host.cycle
        for number in range(n):
            host.post_input(build, inputs[number], number % 2)
            await host.within("The input", host.source.wait())
            await host.write("START", buffer=number % 2)
            if number > 1:
                await take(host, expected[number - 2])
        for number in (n - 2, n - 1):
            await take(host, expected[number])
        await host.rest()
        together = (host.cycle - begin) / n
        assert await host.value("PROGRAMS") == before + n
        assert together < program < program + _OVERHEAD < single, (single, together, program)
        for what, number in [("program", program), ("inference, one after another", single),
                             ("inference, back to back", together)]:
            host.cycle_counts[f"cycles, {density:.0%} of weights: {what}"] = number
    host.finish()


@cocotb.test()
async def a_start_waits_for_a_packet_being_received(dut):
    host = await Host.start(dut, pause=0.2)
    build = random_build(1)
    await host.load(build)
    inputs = random_inputs(build, 2)
    first, second = (input_packets(CONFIG, build.input, each[np.newaxis], buffer=buffer)[0]
                     for buffer, each in enumerate(inputs))

    for split in (1, len(first) // 2):
        await host.send_part(first[:split])
        await host.write("START", buffer=0)
        await host.cycles(50)
        status = await host.read("STATUS")
        assert status["queued"] and status["receiving"] and not status["busy"]
        await host.send(first[split:])
        assert host.model.take(first) is None
        await host.expect_outputs()
        await host.rest()

        # It does not wait for a packet to the other buffer.
        host.post_input(build, inputs[0])
        await host.received()
        await host.send_part(second[:split])
        await host.write("START", buffer=0)
        await host.expect_outputs()
        assert (await host.read("STATUS"))["receiving"]
        await host.send(second[split:])
        assert host.model.take(second) is None
        await host.received()
        await host.write("START", buffer=1)
        await host.expect_outputs(1)
        await host.rest()
    host.finish()


@cocotb.test()
async def counters_are_copied_together(dut):
    host = await Host.start(dut, pause=0.1)
    build = random_build(1)
    await host.load(build)
    (inputs,) = random_inputs(build, 1)
    await host.infer(build, inputs)
    ended = await counters(host)
    (_, statistics) = GoldenModel(CONFIG, build.images).run_counted(
        scatter(build.input, inputs[np.newaxis], CONFIG.n_pe), build.input.base_word)
    assert (ended["broadcasts"], ended["macs"], ended["paddings"]) == (
        statistics.broadcasts[0], statistics.macs[0], statistics.paddings[0])
    phases = ("phase_control", "phase_compute", "phase_output", "stall_barrier")
    assert ended["cycles"] == sum(ended[name] for name in phases)

    # Counters of a running program are visible only once latched.
    host.hold_results(True)
    host.post_input(build, inputs)
    await host.received()
    await host.write("START", buffer=0)
    await host.cycles(2000)
    assert await counters(host) == ended
    now = []
    for _ in range(2):
        await host.write("CONTROL", latch=1)
        now.append(await counters(host))
    assert all(each["cycles"] == sum(each[name] for name in phases) for each in now)
    assert ended["cycles"] < now[0]["cycles"] < now[1]["cycles"]
    assert ended["stall_result"] < now[0]["stall_result"]
    host.hold_results(False)
    await host.expect_outputs()
    await host.rest()
    host.finish()
