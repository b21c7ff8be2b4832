"""The C driver as a shared library, on a fake machine: for tests without a simulator."""

import ctypes
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eie_compiler.build import Build
from eie_driver.c_export import export

from ..golden.fake_machine import FakeMachine
from .program import C_FLAGS, DRIVER

__all__ = ["CDriver", "Memory", "compile_library", "link_library"]

_U32, _SIZE, _POINTER = ctypes.c_uint32, ctypes.c_size_t, ctypes.c_void_p

#: Functions of ``struct eie_port``, in order of declaration.
_CALLS: dict[str, Any] = {
    "read": ctypes.CFUNCTYPE(_U32, _POINTER, _U32),
    "write": ctypes.CFUNCTYPE(None, _POINTER, _U32, _U32),
    "send": ctypes.CFUNCTYPE(ctypes.c_bool, _POINTER, _POINTER, _SIZE),
    "sent": ctypes.CFUNCTYPE(ctypes.c_bool, _POINTER),
    "receive": ctypes.CFUNCTYPE(ctypes.c_bool, _POINTER, _POINTER, _SIZE),
    "received": ctypes.CFUNCTYPE(ctypes.c_bool, _POINTER, ctypes.POINTER(_SIZE)),
    "stop": ctypes.CFUNCTYPE(None, _POINTER),
    "wait": ctypes.CFUNCTYPE(None, _POINTER),
}


class _Port(ctypes.Structure):
    _fields_ = [("context", _POINTER), *_CALLS.items(), ("patience", _U32)]


class Memory(ctypes.Structure):
    """``struct eie_memory``."""

    _fields_ = [("inputs", _POINTER * 2), ("results", _POINTER)]


class _Machine(ctypes.Structure):
    _fields_ = [("port", _POINTER), ("model", _POINTER), ("address", _U32), ("memory", Memory),
                ("submitted", _U32), ("collected", _U32), ("step", _U32), ("ended", _U32),
                ("failed", ctypes.c_bool), ("interrupted", ctypes.c_bool)]


class _Error(ctypes.Structure):
    _fields_ = [(name, _U32) for name in ("code", "memory", "pe", "address")]


def compile_library(build: Build, folder: Path) -> ctypes.CDLL:
    """Compile the driver and a build, exported as ``model``, into a shared library."""
    export(build, folder)
    return link_library(folder, DRIVER / "eie.c")


def link_library(folder: Path, *sources: Path) -> ctypes.CDLL:
    """Compile sources and ``model.c`` of a folder into a shared library."""
    subprocess.run(["gcc", *C_FLAGS, "-shared", "-fPIC", "-o", folder / "library.so", *sources,
                    folder / "model.c"], check=True)
    library = ctypes.CDLL(str(folder / "library.so"))
    library.eie_error.restype = _Error
    library.eie_counter.restype = ctypes.c_uint64
    library.eie_status_text.restype = library.eie_error_text.restype = ctypes.c_char_p
    return library


def _zeros(build: Build) -> NDArray[np.int32]:
    return np.zeros(sum(len(one.columns) for one in build.outputs), np.int32)


class CDriver:
    """The C driver with a port to a :class:`~..golden.fake_machine.FakeMachine`.

    Methods return the value of an ``enum eie_status``.

    Parameters
    ----------
    library : :class:`ctypes.CDLL`
        Library from :func:`compile_library`.
    build : :class:`~eie_compiler.build.Build`
        Build of the model ``model``, or of the one selected.
    interrupts : :class:`bool`
        True if the driver waits for interrupts; otherwise it polls.

    Attributes
    ----------
    fake : :class:`~..golden.fake_machine.FakeMachine`
        Machine that the driver controls.
    machine
        The driver's ``struct eie``.
    memory : :class:`Memory`
        Memory for transfers.
    sends, ends, takes : :class:`bool`
        True if the DMA starts to send, ends a transfer, and starts to receive.
    flip : :class:`int`
        Mask of bits flipped in the last beat of each packet sent.
    cut : :class:`int`
        Bytes removed from the end of each packet of results.
    waits : :class:`int`
        Number of times that the driver has waited for an interrupt.
    outputs : int32 (n_outputs,)
        Results collected last.
    """

    def __init__(self, library: ctypes.CDLL, build: Build, *, interrupts: bool = False) -> None:
        self.library, self.build = library, build
        self.fake = FakeMachine(build.config)
        self.machine = _Machine()
        self.sends = self.ends = self.takes = True
        self.flip = self.cut = self.waits = 0
        self.outputs = _zeros(build)
        self._buffer: int | None = None
        self._n_bytes = self._got = 0
        self._complete = False
        # C holds pointers to all of these, so they must stay alive.
        self._inputs: list[NDArray[np.int32]] = []
        self._beats = np.zeros((3, 1 << 12), np.uint64)
        places = [row.ctypes.data for row in self._beats]
        self.memory = Memory((_POINTER * 2)(*places[:2]), places[2])
        functions = {name: kind(getattr(self, f"_{name}")) for name, kind in _CALLS.items()}
        if not interrupts:
            functions["wait"] = _CALLS["wait"]()
        self._port = _Port(patience=10, **functions)

    def call(self, function: str, *arguments: Any) -> Any:
        """Call a function of the driver with the machine and further `arguments`."""
        return getattr(self.library, f"eie_{function}")(ctypes.byref(self.machine), *arguments)

    def init(self) -> int:
        return self.call("init", ctypes.byref(self._port))

    def load(self) -> int:
        return self._choose("load", "model")

    def select(self, name: str, build: Build) -> int:
        """Choose another model of the library, by its name in C."""
        self.build, self.outputs = build, _zeros(build)
        return self._choose("select", name)

    def _choose(self, function: str, name: str) -> Any:
        model = ctypes.c_char.in_dll(self.library, name)
        return self.call(function, ctypes.byref(model), ctypes.byref(self.memory))

    def submit(self, words: NDArray[np.int64]) -> int:
        return self.call("submit", self._pointer(words))

    def collect(self) -> int:
        return self.call("collect", self._pointer(self.outputs))

    def infer(self, words: NDArray[np.int64]) -> tuple[int, NDArray[np.int32]]:
        """Run a batch; return the status and outputs (batch, n_outputs), layers concatenated."""
        outputs = np.zeros((len(words), len(self.outputs)), np.int32)
        status = self.call("infer_batch", _SIZE(len(words)), self._pointer(words),
                           self._pointer(outputs))
        return status, outputs

    def counter(self, address: int) -> int:
        return self.call("counter", _U32(address))

    def _pointer(self, words: NDArray[Any]) -> ctypes.c_void_p:
        self._inputs = [*self._inputs[-1:], np.ascontiguousarray(words, np.int32)]
        return self._inputs[-1].ctypes.data_as(_POINTER)

    # Functions of the port.

    def _read(self, _: Any, address: int) -> int:
        return self.fake.read(address)

    def _write(self, _: Any, address: int, value: int) -> None:
        self.fake.write(address, value)

    def _send(self, _: Any, beats: int, n_beats: int) -> bool:
        if self.sends:
            packet = np.ctypeslib.as_array((ctypes.c_uint64 * n_beats).from_address(beats)).copy()
            packet[-1] ^= np.uint64(self.flip)
            self.fake.send(packet)
        return self.sends

    def _sent(self, _: Any) -> bool:
        return self.ends

    def _receive(self, _: Any, buffer: int, n_bytes: int) -> bool:
        assert self._buffer is None, "a buffer must not be given while another one is filled"
        if self.takes:
            self._buffer, self._n_bytes, self._complete = buffer, n_bytes, False
            self.fake.expect(n_bytes)
        return self.takes

    def _received(self, _: Any, n_bytes: Any) -> bool:
        if self._buffer is not None and (packet := self.fake.receive()) is not None:
            assert len(packet) <= self._n_bytes
            ctypes.memmove(self._buffer, packet.ctypes.data, len(packet))
            self._buffer, self._got, self._complete = None, len(packet) - self.cut, True
        n_bytes[0] = self._got
        return self._complete

    def _stop(self, _: Any) -> None:
        self._buffer = None

    def _wait(self, _: Any) -> None:
        self.waits += 1
        if self.fake.words["IRQ_STATUS"] & self.fake.words["IRQ_ENABLE"]:
            self.call("interrupt")
