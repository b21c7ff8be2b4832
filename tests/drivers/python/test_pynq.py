"""The bus of PYNQ, on mock classes."""

import importlib
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from eie_driver.accelerator import Accelerator
from eie_driver.bus import BusError
from eie_driver.pynq import PynqBus
from eie_sim.inference import infer
from eie_sim.rtl import cocotb_bench
from support.driver_builds import compiled, random_words


def pynq(fake, monkeypatch):
    """Make a bus to the machine through mock classes of PYNQ; return it and the DMA."""
    monkeypatch.syspath_prepend(cocotb_bench.BENCHES)
    bench = importlib.import_module("benches.bench_pynq")
    monkeypatch.setitem(sys.modules, "pynq", SimpleNamespace(allocate=np.zeros))
    dma = SimpleNamespace(sendchannel=bench.SendChannel(fake),
                          recvchannel=bench.ReceiveChannel(fake))
    return PynqBus(fake, dma, poll=0), dma


def test_a_transfer_of_the_dma_that_waits_is_never_stopped(fake, monkeypatch):
    bus, dma = pynq(fake, monkeypatch)
    machine, build = Accelerator(bus), compiled(outputs="all")
    machine.load(build)
    for words in random_words(build, 2)[:, np.newaxis]:
        machine.registers.write("START")    # without receiving the results
        machine.clear()
        assert [output.tolist() for output in machine.run(words, words=True).outputs] == [
            output.tolist() for output in infer(build, words, words=True, engine="golden").outputs]
    machine.initialise()
    with pytest.raises(RuntimeError, match="^Transfer must have ended$"):
        dma.recvchannel.stop()


def test_a_longer_packet_cannot_be_expected_while_the_dma_waits(fake, monkeypatch):
    bus, _ = pynq(fake, monkeypatch)
    bus.expect(60)
    bus.expect(64)
    with pytest.raises(BusError, match="^Packet must have at most 64 bytes, the length of the "
                                       "transfer in progress, not 65: expect the longest packet "
                                       "first$"):
        bus.expect(65)
