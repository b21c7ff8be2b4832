"""Driver's bus to a machine simulated in Verilator, through a shared library with a C++ host."""

import collections
import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eie_driver.bus import Bus, BusError
from eie_hdl.format import BEAT_BYTES

from ..pauses import Pauses
from .simulators import CLOCK_PERIOD

__all__ = ["VerilatorBus"]

_TEXT, _MACHINE = ctypes.c_char_p, ctypes.c_void_p
_U32, _U64, _SIZE = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_size_t

#: Functions of the library: return type and argument types.
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "open": (_MACHINE, [ctypes.c_double, ctypes.c_uint, _U64]),
    "close": (None, [_MACHINE]),
    "read": (_TEXT, [_MACHINE, _SIZE, ctypes.c_void_p, ctypes.c_void_p]),
    "write": (_TEXT, [_MACHINE, _U32, _U32]),
    "set_pauses": (None, [_MACHINE, ctypes.c_void_p, _SIZE, ctypes.c_void_p, _SIZE]),
    "send": (_TEXT, [_MACHINE, ctypes.c_void_p, _SIZE]),
    "expect": (_TEXT, [_MACHINE, _SIZE]),
    "receive": (ctypes.c_void_p, [_MACHINE, ctypes.POINTER(_SIZE)]),
    "wait": (_TEXT, [_MACHINE, _U64]),
    "cycles": (_U64, [_MACHINE]),
    "take_interval": (_U64, [_MACHINE]),
    "latency": (_U64, [_MACHINE]),
}


class VerilatorBus(Bus):
    """Bus to a new machine in a library made by :func:`~.verilator_engine.make_library`.

    Buses in different threads run in parallel.

    Parameters
    ----------
    library : :class:`~pathlib.Path`
        The library.
    timeout_cycles : :class:`int`
        Limit of a transfer, in clock cycles.
    pause : :class:`float`
        Probability per cycle and channel that the host keeps VALID or READY low.
    seed : :class:`int`
        Seed of the pauses and of undefined power-on values.

    Attributes
    ----------
    statistics : :class:`~collections.Counter`
        As for :class:`~.cocotb_bus.CocotbBus`.
    """

    def __init__(self, library: Path, *, timeout_cycles: int = 100_000, pause: float = 0.0,
                 seed: int = 1) -> None:
        self.statistics: collections.Counter[str] = collections.Counter()
        loaded = ctypes.CDLL(str(library))
        self._functions = {}
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(loaded, f"eie_{name}")
            function.restype, function.argtypes = result, arguments
            self._functions[name] = function
        self._machine = self._functions["open"](pause, seed, timeout_cycles)
        if self._machine is None:
            raise BusError("Machine must fit in memory, but does not")

    def close(self) -> None:
        """Free the machine. Later calls other than this one raise BusError."""
        machine, self._machine = self._machine, None
        self._functions["close"](machine)

    @property
    def cycles(self) -> int:
        """Clock cycles since the bus was created."""
        return self._call("cycles")

    @property
    def latency(self) -> int:
        """Cycles from the last beat sent to the last result beat; 0 if no result has come since."""
        return self._call("latency")

    def take_interval(self) -> int:
        """Cycles from the first beat sent to the last result beat since the previous call.

        Both are included; 0 without such beats.
        """
        return self._call("take_interval")

    def set_pauses(self, pauses: Pauses) -> None:
        """Set the pauses before the following beats, replacing any earlier schedule."""
        inputs, results = (np.array(cycles, np.uint32)
                           for cycles in (pauses.inputs, pauses.results))
        self._call("set_pauses", inputs.ctypes.data, len(inputs), results.ctypes.data, len(results))

    def read(self, address: int) -> int:
        return self.read_all([address])[0]

    def read_all(self, addresses: Sequence[int]) -> list[int]:
        self.statistics["reads"] += len(addresses)
        numbers = np.array(addresses, np.uint32)
        values = np.zeros_like(numbers)
        self._try("read", len(numbers), numbers.ctypes.data, values.ctypes.data)
        return values.tolist()

    def write(self, address: int, value: int) -> None:
        self.statistics["writes"] += 1
        self._try("write", address, value)

    def send(self, beats: NDArray[np.uint64]) -> None:
        self.statistics["packets"] += 1
        self.statistics["beats"] += len(beats)
        packet = np.ascontiguousarray(beats, np.uint64)
        self._try("send", packet.ctypes.data, len(packet))

    def expect(self, n_bytes: int) -> None:
        self._try("expect", n_bytes)

    def receive(self) -> NDArray[np.uint8] | None:
        n_bytes = _SIZE()
        packet = self._call("receive", ctypes.byref(n_bytes))
        if packet is None:
            return None
        self.statistics["result_packets"] += 1
        self.statistics["result_beats"] += -(-n_bytes.value // BEAT_BYTES)
        return np.frombuffer(ctypes.string_at(packet, n_bytes.value), np.uint8)

    def wait(self, seconds: float) -> None:
        self._try("wait", max(1, round(seconds / CLOCK_PERIOD)))

    def now(self) -> float:
        return self.cycles * CLOCK_PERIOD

    def _call(self, name: str, *arguments: Any) -> Any:
        if self._machine is None:
            raise BusError("Bus must be open, but was closed")
        return self._functions[name](self._machine, *arguments)

    def _try(self, name: str, *arguments: Any) -> None:
        if failure := self._call(name, *arguments):
            raise BusError(f"{failure.decode()}; cycle {self.cycles:,}")
