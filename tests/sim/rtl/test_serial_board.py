"""SerialBoard: the driver through a pseudo-terminal to the Verilog of a board."""

import dataclasses

import numpy as np
import pytest

from eie_driver.accelerator import Accelerator
from eie_driver.serial_bus import open_serial
from eie_hdl.config import PRESETS
from eie_hdl.format import Memory
from eie_sim.inference import infer
from eie_sim.rtl.serial_board import SerialBoard
from support.driver_builds import compiled, random_words

CONFIG = dataclasses.replace(PRESETS["tiny"], n_pe=1)

#: Probability of damage per byte: a frame of the greatest length is sent about three times.
NOISE = 0.001


@pytest.fixture
def connect(simulators, verilator):
    """Return a function that opens the port of a board; and the board."""
    def make(board):
        # Time for a loaded computer.
        return open_serial(board.port, patience=2)

    return make


@pytest.mark.parametrize("bridge", ["uart", "spi"])
@pytest.mark.parametrize("noise", [0, NOISE])
def test_results_through_the_terminal_are_those_of_the_golden_model(connect, simulators, noise,
                                                                    bridge):
    """Without and with bytes lost, damaged and inserted in both directions."""
    build = compiled(outputs="all", config=CONFIG)
    words = random_words(build, 4)
    with SerialBoard(CONFIG, bridge=bridge, cache=simulators, noise=noise, seed=3) as board:
        bus = connect(board)
        machine = Accelerator(bus, timeout=60)
        assert machine.config == CONFIG
        for read_counters in (True, False):
            machine.load(build)
            run = machine.run(words, words=True, read_counters=read_counters)
            expected = infer(build, words, words=True, engine="golden").outputs
            assert [output.tolist() for output in run.outputs] == [
                output.tolist() for output in expected]
        image = build.images["ccu.program"]
        np.testing.assert_array_equal(machine.read(Memory.PROGRAM, 0, len(image)), image)
        assert (bus.link.repeats > 0) == bool(noise)


def test_a_host_that_follows_another_takes_none_of_its_results(connect, simulators):
    """A host ends in the middle of a packet, and with results that it has not taken."""
    build = compiled(config=CONFIG)
    words = random_words(build, 2)
    with SerialBoard(CONFIG, cache=simulators) as board:
        first = Accelerator(connect(board), timeout=60)
        first.load(build)
        first.bus.send(build.input_packets(words, buffer=0)[0])
        first.registers.write("START", buffer=0, descriptor=build.first_descriptor)
        second = Accelerator(connect(board), timeout=60)
        second.clear()
        second.load(build)
        run = second.run(words, words=True)
        assert run.outputs[0].tolist() == infer(
            build, words, words=True, engine="golden").outputs[0].tolist()
