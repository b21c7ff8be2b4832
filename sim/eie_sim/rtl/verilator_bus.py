"""A machine in Verilator, on AXI, without cocotb: a shared library and its host in C++."""

import collections
import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eie_driver.bus import PERIOD, Bus, BusError
from eie_hdl.format import BEAT_BYTES

__all__ = ["VerilatedBus"]

_TEXT, _MACHINE = ctypes.c_char_p, ctypes.c_void_p
_U32, _U64, _SIZE = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_size_t

#: Functions of the library: what they return and what they take.
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "open": (_MACHINE, [ctypes.c_double, ctypes.c_uint, _U64]),
    "close": (None, [_MACHINE]),
    "read": (_TEXT, [_MACHINE, _SIZE, ctypes.c_void_p, ctypes.c_void_p]),
    "write": (_TEXT, [_MACHINE, _U32, _U32]),
    "send": (_TEXT, [_MACHINE, ctypes.c_void_p, _SIZE]),
    "expect": (_TEXT, [_MACHINE, _SIZE]),
    "receive": (ctypes.c_void_p, [_MACHINE, ctypes.POINTER(_SIZE)]),
    "wait": (_TEXT, [_MACHINE, _U64]),
    "cycles": (_U64, [_MACHINE]),
}


class VerilatedBus(Bus):
    """Bus to a machine of its own, in a library made by :func:`eie_sim.rtl.verilated.make_host`.

    Machines of several buses work at the same time if each is used by a thread of its own.

    Parameters
    ----------
    library : :class:`~pathlib.Path`
        The library.
    patience : :class:`int`
        Clock cycles after which a transfer is given up.
    pause : :class:`float`
        Probability, in each cycle and on each channel, that the host does not offer or not take.
    seed : :class:`int`
        Of the pauses, and of what is unknown at power-on.

    Attributes
    ----------
    statistics : :class:`~collections.Counter`
        As of :class:`~.cocotb_bus.SimulatedBus`.
    """

    def __init__(self, library: Path, *, patience: int = 100_000, pause: float = 0.0,
                 seed: int = 1) -> None:
        self.statistics: collections.Counter[str] = collections.Counter()
        loaded = ctypes.CDLL(str(library))
        self._functions = {}
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(loaded, f"eie_{name}")
            function.restype, function.argtypes = result, arguments
            self._functions[name] = function
        self._machine = self._functions["open"](pause, seed, patience)
        if self._machine is None:
            raise BusError("Machine must fit the memory, and does not")

    def close(self) -> None:
        """Free the machine. Every other call is an error from then on."""
        machine, self._machine = self._machine, None
        self._functions["close"](machine)

    @property
    def cycles(self) -> int:
        """Clock cycles since the beginning."""
        return self._call("cycles")

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
        self._try("wait", max(1, round(seconds / PERIOD)))

    def now(self) -> float:
        return self.cycles * PERIOD

    def _call(self, name: str, *arguments: Any) -> Any:
        if self._machine is None:
            raise BusError("Bus must be open, and was closed")
        return self._functions[name](self._machine, *arguments)

    def _try(self, name: str, *arguments: Any) -> None:
        if failure := self._call(name, *arguments):
            raise BusError(f"{failure.decode()}; cycle {self.cycles:,}")
