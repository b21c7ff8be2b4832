"""What a driver needs of the world: registers, a stream to the machine and one from it."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["PERIOD", "Bus", "BusError"]

#: Seconds of a clock cycle, where the machine is simulated.
PERIOD = 1e-8


class BusError(RuntimeError):
    """A transfer that was refused, did not end, or brought what cannot be; the message says."""


class Bus(Protocol):
    """Way to a machine. All calls return when they are done; none waits for ever."""

    def read(self, address: int) -> int:
        """Read the 32-bit register at a byte address.

        Raises
        ------
        BusError
            If the machine refuses and the bus can tell, or does not answer.
        """

    def read_all(self, addresses: Sequence[int]) -> list[int]:
        """Read several registers: quicker where a call takes longer than an access."""
        return [self.read(address) for address in addresses]

    def write(self, address: int, value: int) -> None:
        """Write the 32-bit register at a byte address.

        Raises
        ------
        BusError
            As for :meth:`read`.
        """

    def send(self, beats: NDArray[np.uint64]) -> None:
        """Send one packet to the machine; return when it is taken.

        Raises
        ------
        BusError
            If it is not.
        """

    def expect(self, n_bytes: int) -> None:
        """Make ready to take one packet from the machine, instead of any expected before.

        The machine has to wait with its results until one is expected.
        """

    def receive(self) -> NDArray[np.uint8] | None:
        """Take the packet that is expected; None if its end has not come yet.

        It may be shorter than expected; of a longer one the rest may be lost.

        Raises
        ------
        BusError
            If it is no whole packet, or has bits that nobody knows.
        """

    def wait(self, seconds: float) -> None:
        """Return when the machine interrupts, when the packet has come, or after some time.

        It may return earlier, so that a bus without an interrupt can be polled.
        """

    def now(self) -> float:
        """Seconds that have gone by since some moment, by the clock of :meth:`wait`."""
