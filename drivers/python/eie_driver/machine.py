"""Access to a machine: status, results, waiting and errors."""

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from eie_compiler.vectors import result_order, result_type
from eie_hdl.config import ACTS_PER_WORD, EIEConfig
from eie_hdl.format import COUNTERS, Layouts, Memory, n_pieces
from eie_hdl.registers import REGISTER_WIDTH, Error

from .bus import Bus
from .errors import DriverError, DriverTimeout, MachineError
from .identity import identify
from .registers import Registers

__all__ = ["POLL_INTERVAL", "Machine"]

T = TypeVar("T")

#: Seconds between polls of a state that raises no interrupt.
POLL_INTERVAL = 1e-5


class Machine:
    """Registers and result stream of one machine.

    Parameters
    ----------
    bus : :class:`~.bus.Bus`
        Bus to the machine.
    timeout : :class:`float`, seconds
        Longest wait for a response of the machine, by the clock of the bus.

    Attributes
    ----------
    bus, registers
        Bus to the machine, and its registers by name.
    config : :class:`~eie_hdl.config.EIEConfig`
        Configuration, as read from the machine.

    Raises
    ------
    DriverError
        If there is no machine, or its version is unsupported.
    """

    def __init__(self, bus: Bus, *, timeout: float = 10.0) -> None:
        self.bus = bus
        self.registers = Registers(bus)
        self.config: EIEConfig = identify(self.registers)
        self._timeout = timeout
        #: PROGRAMS after the last complete call; None during a call, and after an interrupted one.
        self._programs: int | None = None
        self.initialise()

    @contextlib.contextmanager
    def transfers(self, *, programs: int = 0) -> Iterator[int]:
        """Guard the accesses of a call that takes results; yield the value of PROGRAMS.

        If they do not all complete, further calls are refused until :meth:`initialise`: pending
        results would be taken for theirs.

        Parameters
        ----------
        programs : :class:`int`
            Number of programs that the call runs.

        Raises
        ------
        DriverError
            If an earlier call was interrupted, or another driver uses the machine.
        MachineError
            If an error is pending.
        """
        self.require_idle()
        before = self.registers.value("PROGRAMS")
        if before != self._programs:
            raise DriverError(f"Machine must have run {self._programs} programs, those of this "
                              f"driver, not {before}: call clear(){self.status_text()}")
        self._programs = None
        yield before
        self._programs = (before + programs) % (1 << REGISTER_WIDTH)

    def require_idle(self) -> None:
        """Check that nothing is pending; raise as :meth:`transfers`."""
        status = self.status()
        if status["error"]:
            self.raise_error()
        reason = "an earlier call was interrupted" if self._programs is None else "it is busy"
        if self._programs is None or not status["idle"]:
            raise DriverError(f"Machine must be idle, but {reason}: call clear()"
                              f"{self.status_text()}")

    def initialise(self) -> None:
        """Enable interrupts; clear pending ones, and discard pending results."""
        self._programs = None
        self.registers.write("IRQ_ENABLE", done=1, error=1)
        # The bus does not wait while an interrupt is pending.
        self.registers.write("IRQ_STATUS", done=1, error=1)
        while True:
            self._expect_any()
            self.bus.wait(POLL_INTERVAL)
            if self.bus.receive() is None:
                break
        self._programs = self.registers.value("PROGRAMS")

    def status(self) -> dict[str, int]:
        """Read the fields of register STATUS."""
        return self.registers.read("STATUS")

    def counters(self, *, now: bool = False) -> dict[str, int]:
        """Read the counters of the last program, or of the running one if `now`."""
        if now:
            self.registers.write("CONTROL", latch=1)
        low, high = (self.registers.values([f"{name.upper()}_{half}" for name in COUNTERS])
                     for half in ("LO", "HI"))
        return {name: low[index] | high[index] << REGISTER_WIDTH
                for index, name in enumerate(COUNTERS)}

    def n_elements(self, memory: Memory, count: int) -> int:
        """Compute the elements of the packet in which `count` words of a memory are read."""
        if memory == Memory.ACT:
            return count * ACTS_PER_WORD * self.config.n_pe
        return count * n_pieces(self.config, Layouts.of(self.config).memories[memory].shape)

    def expect(self, n_elements: int) -> None:
        """Prepare to receive a packet of elements: a vector, or contents of a memory."""
        self.bus.expect(n_elements * result_type(self.config).itemsize)

    def take(self, n_elements: int) -> NDArray[np.int64]:
        """Wait for the expected packet.

        Raises
        ------
        MachineError
            If the machine reports an error.
        DriverTimeout
            If the packet does not come in time.
        DriverError
            If the packet has another length.
        """
        packet = self.wait_until(self.bus.receive, "The next packet of results")
        kind = result_type(self.config)
        if len(packet) != n_elements * kind.itemsize:
            self.raise_error()
            raise DriverError(f"Packet of results must have {n_elements * kind.itemsize} bytes, "
                              f"not {len(packet)}{self.status_text()}")
        return packet.view(kind).astype(np.int64)

    def take_vector(self, n_columns: int) -> NDArray[np.int64]:
        """Wait for the expected packet, as :meth:`take`; return it in order of column number."""
        columns = np.empty(n_columns, np.int64)
        columns[result_order(self.config, n_columns)] = self.take(n_columns)
        return columns

    def wait_until(self, ready: Callable[[], T | None], what: str, *, every: float = math.inf) -> T:
        """Poll until there is an answer, waiting for interrupts between polls.

        Parameters
        ----------
        ready
            Function that returns the answer, or None if there is none yet.
        what : :class:`str`
            Subject of the message of a timeout.
        every : :class:`float`, seconds
            Longest time between polls, for answers without an interrupt.

        Raises
        ------
        MachineError
            If the machine reports an error.
        DriverTimeout
            If there is no answer in time.
        """
        deadline = self.bus.now() + self._timeout
        while True:
            left = deadline - self.bus.now()
            if (answer := ready()) is not None:
                return answer
            events = self.registers.read("IRQ_STATUS")
            if any(events.values()):
                self.registers.write("IRQ_STATUS", **events)
                self.raise_error()
            elif left > 0:
                self.bus.wait(min(left, every))
            else:
                raise DriverTimeout(f"{what} must come within {self._timeout:g} s"
                                    f"{self.status_text()}")

    def drain(self, ready: Callable[[], bool], what: str) -> None:
        """Wait as :meth:`wait_until`, discarding all packets received meanwhile."""
        def poll() -> bool | None:
            if self.bus.receive() is not None:
                self._expect_any()
            return ready() or None

        self._expect_any()
        self.wait_until(poll, what, every=POLL_INTERVAL)

    def raise_error(self) -> None:
        """Raise :class:`~.errors.MachineError` if an error is pending."""
        error = self.registers.read("ERROR")
        if error["code"] == Error.NONE:
            return
        code, address = Error(error["code"]), self.registers.value("ERROR_ADDRESS")
        raise MachineError(
            f"Machine must be cleared: {code.name} at {address}, memory {error['memory']}, PE "
            f"{error['pe']} ({code.doc}){self.status_text()}", code, address)

    def status_text(self) -> str:
        """Describe the bits set in register STATUS, to end a message."""
        names = [name for name, value in self.status().items() if value]
        return f"; STATUS: {', '.join(names) or 'nothing'}"

    def _expect_any(self) -> None:
        """Prepare to receive any packet; none is longer than a whole memory."""
        memories = Layouts.of(self.config).memories
        readable = memories if self.config.readback else [Memory.ACT]
        self.expect(max(self.n_elements(memory, memories[memory].depth) for memory in readable))
