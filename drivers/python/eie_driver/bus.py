"""Interface of a driver to a machine: registers, and a stream in each direction."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bus", "BusError"]


class BusError(RuntimeError):
    """Refused, unfinished or invalid transfer; the message describes it."""


class Bus(Protocol):
    """Bus to a machine. All calls block until they complete, for a bounded time."""

    def read(self, address: int) -> int:
        """Read the 32-bit register at a byte address.

        Raises
        ------
        BusError
            If the machine does not respond, or refuses and the bus reports it.
        """

    def read_all(self, addresses: Sequence[int]) -> list[int]:
        """Read several registers at once, for buses where a call is slower than an access."""
        return [self.read(address) for address in addresses]

    def write(self, address: int, value: int) -> None:
        """Write the 32-bit register at a byte address.

        Raises
        ------
        BusError
            As for :meth:`read`.
        """

    def send(self, beats: NDArray[np.uint64]) -> None:
        """Send one packet to the machine; return when it is accepted.

        Raises
        ------
        BusError
            If it is not accepted.
        """

    def expect(self, n_bytes: int) -> None:
        """Prepare to receive one packet from the machine, replacing any previous expectation.

        Results of the machine wait until a packet is expected.
        """

    def receive(self) -> NDArray[np.uint8] | None:
        """Return the expected packet, or None if it is incomplete.

        It may be shorter than expected; the rest of a longer one may be lost.

        Raises
        ------
        BusError
            If the packet is invalid, or has undefined bits.
        """

    def wait(self, seconds: float) -> None:
        """Wait for an interrupt, the expected packet, or the time given.

        It may return earlier, for polling on a bus without interrupts.
        """

    def now(self) -> float:
        """Return the time in seconds since an arbitrary moment, by the clock of :meth:`wait`."""
