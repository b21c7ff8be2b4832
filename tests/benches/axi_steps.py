"""Steps shared by bus benches."""

import cocotb
import numpy as np

from benches.axi_buses import CONFIG, seed
from benches.axi_cases import random_build, random_inputs, random_words, raw_packet
from benches.axi_host import Host, in_order_sent
from eie_compiler.vectors import packet
from eie_hdl.format import Memory

#: Cycles after which the output is empty despite pauses of the sink.
_DRAINED = 100


async def prepare(dut, *, pause):
    """Return a host, a build loaded on its machine, and inputs for it."""
    host = await Host.start(dut, pause=pause)
    cocotb.start_soon(host.watch_offers())
    build = random_build(1)
    await host.load(build)
    return host, build, random_inputs(build, 2)


async def start_held(host, build, inputs, buffer=0):
    """Start a program of two vectors that cannot end, as its results are not taken."""
    host.hold_results(True)
    host.post_input(build, inputs, buffer)
    await host.received()
    await host.write("START", buffer=buffer)
    host.model.running = True


async def start(host, buffer=0, descriptor=0):
    """Start a program; return the vectors that it must send, and update the model's memories."""
    await host.write("START", buffer=buffer, descriptor=descriptor)
    return host.model.run(descriptor, buffer)


async def expect_all(host, outputs):
    """Receive the vectors of a program that was started by :func:`start`."""
    for number, output in enumerate(outputs):
        await host.expect_result(output, f"Vector {number}")
    host.counts["inferences"] += 1


async def nothing_is_received(host):
    """Check that a packet that has been posted waits, and that the machine is not idle."""
    await host.cycles(_DRAINED)
    status = await host.read("STATUS")
    assert not status["idle"] and not status["receiving"] and not status["error"]


async def end_held(host, double=True):
    """Run a program of one vector to its end, without taking its result.

    Return its build, and inputs for it, of which the first is used.
    """
    build = random_build(2, (16, 60))
    await host.load(build)
    if not double:
        await host.set_input(build.input.base_word, build.input_words, 0)
    inputs = random_inputs(build, 2)
    n_ended = await host.value("PROGRAMS")
    await start_held(host, build, inputs[0])
    await host.until("The end of the program", "PROGRAMS", value=n_ended + 1)
    status = await host.read("STATUS")
    assert not status["busy"] and not status["idle"] and not status["resetting"]
    return build, inputs


async def let_end(host, buffer=0):
    """Take the results of a program started by :func:`start_held`."""
    host.hold_results(False)
    await host.expect_outputs(buffer)
    host.model.running = False


async def drain(host, outputs, *, may_cut=True):
    """Receive results of a failed program: the first of `outputs`, of which the last may be cut."""
    host.hold_results(False)
    await host.cycles(_DRAINED)
    results = [await host.receive() for _ in range(host.sink.count())]
    assert len(results) <= len(outputs)
    for number, (result, output) in enumerate(zip(results, outputs)):
        assert result.elements.tolist() == in_order_sent(output)[:len(result.elements)]
        assert result.cut == (len(result.elements) < len(output))
        assert not result.cut or (may_cut and number == len(results) - 1)
    return results


async def nothing_happens(host, fault):
    """Check that packets, starts and reads have no effect while an error is pending."""
    words = random_words(np.random.default_rng(seed()), Memory.ACT, 2)
    await host.send(packet(CONFIG, Memory.ACT, words.reshape(2, -1)))
    await host.send(raw_packet(words, reserved=1))
    await host.write("START", descriptor=0)
    await host.write("START", descriptor=CONFIG.program_depth)
    await host.ask(Memory.INPUT.value, 0, 0)
    await host.received()
    status = await host.read("STATUS")
    assert not status["queued"] and await host.fault() == fault


async def nothing_comes(host):
    """Check that the machine sends no results."""
    await host.cycles(_DRAINED)
    assert host.sink.empty()
