"""The bus of PYNQ, on mock classes."""

import importlib
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from eie_compiler.vectors import memory_packets
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


def test_after_an_interrupted_transfer_nothing_is_sent_until_the_dma_has_ended_it(fake,
                                                                                  monkeypatch):
    bus, dma = pynq(fake, monkeypatch)
    bus._timeout, build = 0, compiled()
    beats = memory_packets(build.config, build.images)[0]
    start = dma.sendchannel.transfer

    def interrupted(*arguments, **options):
        dma.sendchannel.waits, dma.sendchannel.idle = True, False
        raise KeyboardInterrupt

    monkeypatch.setattr(dma.sendchannel, "transfer", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bus.send(beats)
    monkeypatch.setattr(dma.sendchannel, "transfer", start)
    for _ in range(2):
        with pytest.raises(BusError, match=f"^Packet of {len(beats)} beats must be accepted within "
                                           "0 s, but the DMA still holds it: reset the DMA, start "
                                           "both channels, and make a new bus and driver$"):
            bus.send(beats)
    dma.sendchannel.idle = True
    bus.send(beats)


def test_a_longer_packet_cannot_be_expected_while_the_dma_waits(fake, monkeypatch):
    bus, _ = pynq(fake, monkeypatch)
    bus.expect(60)
    bus.expect(64)
    with pytest.raises(BusError, match="^Packet must have at most 64 bytes, the length of the "
                                       "transfer in progress, not 65: expect the longest packet "
                                       "first$"):
        bus.expect(65)
