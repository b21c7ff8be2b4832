"""The driver's way to an FPGA, on imitations of PYNQ's classes: cocotb runs this in a simulator.

The imitations do what PYNQ's do, with the buses of the simulation behind them: registers are read
and written at once; a transfer of the DMA goes on while the program does, and is asked whether it
has ended.
"""

import sys
import types

import bench_eie
import cocotb
import numpy as np

from eie_driver.pynq import PynqBus

#: Simulated time between two looks at a transfer.
SECONDS_BETWEEN_LOOKS = 1e-7

#: Time on the clock on the wall in which the simulation does anything that is asked for.
REAL_SECONDS = 60


class Channel:
    """Half of a `pynq.lib.dma.DMA`."""

    error = False

    def __init__(self, bus):
        self.bus = bus
        self.waits = False

    def stop(self):
        # PYNQ's would wait for ever, as the hardware does.
        self._check_ended()

    def transfer(self, array, start=0, nbytes=0):
        self._check_ended()
        if start % 8 or nbytes > array.nbytes:
            raise ValueError("Transfer must be in the array")
        self.array = array.view(np.uint8)[start:][:nbytes or None]
        self.waits = True
        self.begin()

    def _check_ended(self):
        if self.waits:
            raise RuntimeError("Transfer must have ended")


class SendChannel(Channel):
    idle = True

    def begin(self):
        self.bus.send(self.array.view(np.uint64))

    def wait(self):
        self.waits = False


class ReceiveChannel(Channel):
    def begin(self):
        self.bus.expect(self.array.nbytes)
        self.packet = None

    @property
    def idle(self):
        self.bus.wait(SECONDS_BETWEEN_LOOKS)
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
