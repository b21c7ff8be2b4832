"""A machine in the FPGA of a board that runs PYNQ: registers in memory, streams by AXI DMA.

The DMA needs both channels without scatter-gather, streams 64 bits wide, and a buffer length
register that is wide enough for the largest packet: to the machine it is the largest image of the
build; from the machine all rows of the activation SRAMs of all PEs, or what is longest of the
memories that can be read. So long are all transfers from the machine.
"""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eie_hdl.format import BEAT_WIDTH

from .bus import Bus, BusError

__all__ = ["PynqBus"]


class PynqBus(Bus):
    """Bus to a machine in an FPGA.

    Parameters
    ----------
    registers : ``pynq.MMIO``
        Where the registers are; or the IP of an overlay, which can be read and written as well.
    dma : ``pynq.lib.dma.DMA``
        What feeds `s_axis` and takes from `m_axis`.
    timeout : :class:`float`, seconds
        After which a packet that is not taken is given up.
    poll : :class:`float`, seconds
        Between two looks at the machine.
    """

    def __init__(self, registers: Any, dma: Any, *, timeout: float = 1.0, poll: float = 1e-5
                 ) -> None:
        # There is one on a board only.
        from pynq import allocate

        self._allocate = allocate
        self._registers = registers
        self._sender, self._receiver = dma.sendchannel, dma.recvchannel
        self._timeout, self._poll = timeout, poll
        self._out = self._in = allocate(1, np.uint64)
        self._expecting = False

    def read(self, address: int) -> int:
        return int(self._registers.read(address))

    def write(self, address: int, value: int) -> None:
        self._registers.write(address, value)

    def send(self, beats: NDArray[np.uint64]) -> None:
        """Send one packet to the machine; return when it is taken.

        Raises
        ------
        BusError
            If it is not. The DMA still holds it then, and nothing else can be sent: reset the DMA
            (``Reset`` in its MM2S_DMACR, which is for both channels), start both channels, and
            clear the machine with a new driver on a new bus.
        """
        if len(self._out) < len(beats):
            self._out = self._allocate(len(beats), np.uint64)
        self._out[:len(beats)] = beats
        self._sender.transfer(self._out, nbytes=beats.nbytes)
        deadline = self.now() + self._timeout
        while not _has_ended(self._sender):
            if self.now() > deadline:
                raise BusError(f"Packet of {len(beats)} beats must be taken within "
                               f"{self._timeout:g} s")

    def expect(self, n_bytes: int) -> None:
        # A transfer that waits for data stays: the channel would not stop before it has ended.
        if self._expecting and _has_ended(self._receiver):
            self._expecting = False
        n_beats = -(-n_bytes * 8 // BEAT_WIDTH)
        if len(self._in) < n_beats:
            if self._expecting:
                raise BusError(f"Packet must have at most {self._in.nbytes} bytes, for which the "
                               f"DMA waits already, not {n_bytes}: expect the longest one first")
            self._in = self._allocate(n_beats, np.uint64)
        if not self._expecting:
            self._receiver.transfer(self._in)
            self._expecting = True

    def receive(self) -> NDArray[np.uint8] | None:
        if not self._expecting or not _has_ended(self._receiver):
            return None
        self._expecting = False
        return np.array(self._in.view(np.uint8)[:self._receiver.transferred])

    def wait(self, seconds: float) -> None:
        time.sleep(min(seconds, self._poll))

    def now(self) -> float:
        return time.monotonic()


def _has_ended(channel: Any) -> bool:
    """Whether a transfer of a channel has ended; its buffer is then as the machine left it."""
    if not channel.idle and not channel.error:
        return False
    try:
        channel.wait()
    except RuntimeError as error:
        raise BusError(f"DMA must end its transfer, but: {error}") from error
    return True
