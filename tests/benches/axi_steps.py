"""What several benches of the buses do, step by step."""

import cocotb
import numpy as np

from benches.axi_buses import CONFIG, seed
from benches.axi_cases import random_build, random_inputs, random_words, raw_packet
from benches.axi_host import Host
from eie_compiler.vectors import packet
from eie_hdl.format import Memory

#: Cycles after which the output is empty, however the sink pauses.
_DRAINED = 100


async def prepare(dut, *, pause):
    """A host, a build that is loaded, and inputs for it."""
    host = await Host.start(dut, pause=pause)
    cocotb.start_soon(host.watch_offers())
    build = random_build(1)
    await host.load(build)
    return host, build, random_inputs(build, 2)


async def start_held(host, build, inputs, buffer=0):
    """Start a program that cannot end, because nobody takes its results."""
    host.hold_results(True)
    host.post_input(build, inputs, buffer)
    await host.received()
    await host.write("START", buffer=buffer)
    host.model.running, host.model.buffers_in_use = True, {buffer}


async def let_end(host, buffer=0):
    """Take the results of the program that was held."""
    host.hold_results(False)
    await host.expect_outputs(buffer)
    host.model.running, host.model.buffers_in_use = False, set()


async def drain(host, outputs):
    """Take what came of a program that failed: the first of `outputs`, the last of them cut."""
    host.hold_results(False)
    await host.cycles(_DRAINED)
    results = [await host.receive() for _ in range(host.sink.count())]
    assert len(results) <= len(outputs)
    for number, (result, output) in enumerate(zip(results, outputs)):
        assert result.elements.tolist() == output[:len(result.elements)].tolist()
        assert result.cut == (len(result.elements) < len(output))
        assert not result.cut or number == len(results) - 1
    return results


async def nothing_happens(host, fault):
    """While an error stands, packets, starts and reads come to nothing, right or wrong."""
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
    """No results have been sent."""
    await host.cycles(_DRAINED)
    assert host.sink.empty()
