"""cocotb bench of the PYNQ bus, on mocks of PYNQ's classes.

The mocks act on the buses of the simulation. Registers are accessed at once. A DMA transfer runs in
the background and is polled for its end.
"""

import sys
import types

import bench_eie
import cocotb
import numpy as np

from eie_driver.pynq import PynqBus

#: Simulated time between two polls of a transfer.
POLL_SECONDS = 1e-7

#: Timeout of the driver in wall-clock time.
REAL_SECONDS = 60


class Channel:
    """Half of a `pynq.lib.dma.DMA`."""

    error = False

    def __init__(self, bus):
        self.bus = bus
        self.waits = False

    def stop(self):
        # PYNQ's blocks until the transfer ends, as the hardware does.
        self._check_ended()

    def transfer(self, array, start=0, nbytes=0):
        self._check_ended()
        if start % 8 or nbytes > array.nbytes:
            raise ValueError("Transfer must be in the array")
        self.array = array.view(np.uint8)[start:][:nbytes or None]
        self.waits = True
        self.initialise()

    def _check_ended(self):
        if self.waits:
            raise RuntimeError("Transfer must have ended")


class SendChannel(Channel):
    idle = True

    def initialise(self):
        self.bus.send(self.array.view(np.uint64))

    def wait(self):
        self.waits = False


class ReceiveChannel(Channel):
    def initialise(self):
        self.bus.expect(self.array.nbytes)
        self.packet = None

    @property
    def idle(self):
        self.bus.wait(POLL_SECONDS)
        if self.packet is None:
            self.packet = self.bus.receive()
        return self.packet is not None

    def wait(self):
        while not self.idle:
            pass
        self.waits = False
        self.transferred = len(self.packet)
        self.array[:len(self.packet)] = self.packet


@cocotb.test()
async def run_job(dut):
    sys.modules["pynq"] = types.SimpleNamespace(allocate=np.zeros)
    await bench_eie.run(dut, lambda bus: PynqBus(
        bus, types.SimpleNamespace(sendchannel=SendChannel(bus),
                                   recvchannel=ReceiveChannel(bus)), poll=0),
        timeout=REAL_SECONDS)
