"""A machine as its registers and streams show it: questions, waiting, and what goes wrong."""

import math
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from eie_compiler.vectors import result_type
from eie_hdl.config import ACTS_PER_WORD, EIEConfig
from eie_hdl.format import COUNTERS, Layouts, Memory, n_pieces
from eie_hdl.registers import REGISTER_WIDTH, Error

from .bus import Bus
from .errors import DriverError, DriverTimeout, MachineError
from .identity import identify
from .registers import Registers

__all__ = ["POLL", "Machine"]

T = TypeVar("T")

#: Seconds between two looks at what raises no interrupt.
POLL = 1e-5


class Machine:
    """What all drivers need of a machine.

    Parameters
    ----------
    bus : :class:`~.bus.Bus`
        Way to the machine.
    timeout : :class:`float`, seconds
        How long the machine may take for one thing, by the clock of the bus.

    Attributes
    ----------
    bus, registers
        Way to the machine, and its registers by name.
    config : :class:`~eie_hdl.config.EIEConfig`
        The machine, as it says itself.

    Raises
    ------
    DriverError
        If this is no such machine, or none that this software knows.
    """

    def __init__(self, bus: Bus, *, timeout: float = 10.0) -> None:
        self.bus = bus
        self.registers = Registers(bus)
        self.config: EIEConfig = identify(self.registers)
        self._timeout = timeout
        self.begin()

    def begin(self) -> None:
        """Enable interrupts, and forget those and results that nobody has taken."""
        self.registers.write("IRQ_ENABLE", done=1, error=1)
        # While one stands, the bus does not wait.
        self.registers.write("IRQ_STATUS", done=1, error=1)
        while True:
            self._expect_any()
            self.bus.wait(POLL)
            if self.bus.receive() is None:
                return

    def status(self) -> dict[str, int]:
        """What the machine is doing: the fields of register STATUS."""
        return self.registers.read("STATUS")

    def counters(self, *, now: bool = False) -> dict[str, int]:
        """Counters of the program that ended last; or, if `now`, of the one that runs."""
        if now:
            self.registers.write("CONTROL", latch=1)
        low, high = (self.registers.values([f"{name.upper()}_{half}" for name in COUNTERS])
                     for half in ("LO", "HI"))
        return {name: low[place] | high[place] << REGISTER_WIDTH
                for place, name in enumerate(COUNTERS)}

    def n_elements(self, memory: Memory, count: int) -> int:
        """Elements of the packet in which `count` words of a memory are read."""
        if memory == Memory.ACT:
            return count * ACTS_PER_WORD * self.config.n_pe
        return count * n_pieces(self.config, Layouts.of(self.config).memories[memory].shape)

    def expect(self, n_elements: int) -> None:
        """Make ready to take a packet of elements: a vector, or contents of memory."""
        self.bus.expect(n_elements * result_type(self.config).itemsize)

    def take(self, n_elements: int) -> NDArray[np.int64]:
        """Wait for the packet that is expected.

        Raises
        ------
        MachineError
            If an error arises.
        DriverTimeout
            If it does not come in time.
        DriverError
            If another one comes.
        """
        packet = self.until(self.bus.receive, "The next packet of results")
        kind = result_type(self.config)
        if len(packet) != n_elements * kind.itemsize:
            self.raise_error()
            raise DriverError(f"Packet of results must have {n_elements * kind.itemsize} bytes, "
                              f"not {len(packet)}{self.state()}")
        return packet.view(kind).astype(np.int64)

    def until(self, ready: Callable[[], T | None], what: str, *, every: float = math.inf) -> T:
        """Ask until there is an answer, in the meantime waiting for interrupts.

        Parameters
        ----------
        ready
            Returns the answer, or None while there is none.
        what : :class:`str`
            What is asked for, to begin a sentence with.
        every : :class:`float`, seconds
            Longest wait between two questions, if no interrupt comes with the answer.

        Raises
        ------
        MachineError
            If an error arises.
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
                raise DriverTimeout(f"{what} must come within {self._timeout:g} s{self.state()}")

    def drain(self, ready: Callable[[], bool], what: str) -> None:
        """Wait as :meth:`until`, and throw away all packets that come in the meantime."""
        def look() -> bool | None:
            if self.bus.receive() is not None:
                self._expect_any()
            return ready() or None

        self._expect_any()
        self.until(look, what, every=POLL)

    def raise_error(self) -> None:
        """Raise :class:`~.errors.MachineError` if an error stands."""
        error = self.registers.read("ERROR")
        if error["code"] == Error.NONE:
            return
        code, address = Error(error["code"]), self.registers.value("ERROR_ADDRESS")
        raise MachineError(
            f"Machine must be cleared: {code.name} at {address}, memory {error['memory']}, PE "
            f"{error['pe']} ({code.doc}){self.state()}", code, address)

    def state(self) -> str:
        """End of a message: everything that is set in register STATUS."""
        names = [name for name, value in self.status().items() if value]
        return f"; STATUS: {', '.join(names) or 'nothing'}"

    def _expect_any(self) -> None:
        """Make ready to take whatever packet may come: none is longer than a whole memory."""
        memories = Layouts.of(self.config).memories
        readable = memories if self.config.readback else [Memory.ACT]
        self.expect(max(self.n_elements(memory, memories[memory].depth) for memory in readable))
