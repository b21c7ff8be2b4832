"""Bus of a machine in the FPGA of a PYNQ board: memory-mapped registers, streams by AXI DMA.

The DMA needs both channels without scatter-gather, streams 64 bits wide, and a buffer length
register wide enough for the largest packet. To the machine this is the largest image of the build;
from the machine, all rows of the activation SRAMs of all PEs, or the longest of the other readable
memories. All transfers from the machine have this length.
"""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eie_hdl.format import BEAT_WIDTH

from .bus import Bus, BusError

__all__ = ["PynqBus"]


class PynqBus(Bus):
    """Bus to a machine on a PYNQ board.

    Parameters
    ----------
    registers : ``pynq.MMIO``
        Access to the registers; alternatively the IP of an overlay.
    dma : ``pynq.lib.dma.DMA``
        DMA connected to `s_axis` and `m_axis`.
    timeout : :class:`float`, seconds
        Longest time to send a packet.
    poll : :class:`float`, seconds
        Longest time between polls of the machine.
    """

    def __init__(self, registers: Any, dma: Any, *, timeout: float = 1.0, poll: float = 1e-5
                 ) -> None:
        # Available on a board only.
        from pynq import allocate

        self._allocate = allocate
        self._registers = registers
        self._sender, self._receiver = dma.sendchannel, dma.recvchannel
        self._timeout, self._poll = timeout, poll
        self._out = self._in = allocate(1, np.uint64)
        self._n_sending = 0    # beats of the packet that the DMA holds
        self._expecting = False

    def read(self, address: int) -> int:
        return int(self._registers.read(address))

    def write(self, address: int, value: int) -> None:
        self._registers.write(address, value)

    def send(self, beats: NDArray[np.uint64]) -> None:
        """Send one packet to the machine; return when it is accepted.

        Raises
        ------
        BusError
            If the packet, or that of an interrupted call, is not accepted in time. The DMA still
            holds it, as PYNQ cannot abort a transfer, and nothing else can be sent: reset the DMA
            (``Reset`` in its MM2S_DMACR, for both channels), start both channels, and clear the
            machine with a new driver on a new bus.
        """
        self._await_sent()    # the packet of an interrupted call, if any
        if len(self._out) < len(beats):
            self._out = self._allocate(len(beats), np.uint64)
        self._out[:len(beats)] = beats
        self._n_sending = len(beats)    # first, as an interruption may follow the start
        self._sender.transfer(self._out, nbytes=beats.nbytes)
        self._await_sent()

    def _await_sent(self) -> None:
        deadline = self.now() + self._timeout
        while self._n_sending and not _has_ended(self._sender):
            if self.now() > deadline:
                raise BusError(f"Packet of {self._n_sending} beats must be accepted within "
                               f"{self._timeout:g} s, but the DMA still holds it: reset the DMA, "
                               f"start both channels, and make a new bus and driver")
        self._n_sending = 0

    def expect(self, n_bytes: int) -> None:
        # Keep a transfer that waits for data: the channel could not stop before its end.
        if self._expecting and _has_ended(self._receiver):
            self._expecting = False
        n_beats = -(-n_bytes * 8 // BEAT_WIDTH)
        if len(self._in) < n_beats:
            if self._expecting:
                raise BusError(f"Packet must have at most {self._in.nbytes} bytes, the length "
                               f"of the transfer in progress, not {n_bytes}: expect the longest "
                               f"packet first")
            self._in = self._allocate(n_beats, np.uint64)
        if not self._expecting:
            self._expecting = True
            self._receiver.transfer(self._in)

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
    """Check if a transfer has ended; its buffer is then up to date."""
    if not channel.idle and not channel.error:
        return False
    try:
        channel.wait()
    except RuntimeError as error:
        raise BusError(f"DMA must end its transfer, but: {error}") from error
    return True
