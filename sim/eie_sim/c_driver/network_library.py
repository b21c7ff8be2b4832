"""Networks of the C driver as a shared library, on a fake machine."""

import ctypes
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eie_compiler.graph_build import GraphBuild
from eie_driver.c_network import export_network

from .library import CDriver, Memory, link_library
from .program import DRIVER

__all__ = ["CNetwork", "compile_network_library"]

_LOOPS = 4


class _Execution(ctypes.Structure):
    _fields_ = [("eie", ctypes.c_void_p), ("network", ctypes.c_void_p), ("memory", Memory),
                ("arena", ctypes.c_void_p), ("n_saturated", ctypes.c_size_t),
                ("at", ctypes.c_size_t), ("iterations", ctypes.c_uint32 * _LOOPS)]


def compile_network_library(build: GraphBuild, folder: Path, *sources: Path) -> ctypes.CDLL:
    """Compile the driver, a network, exported as ``model``, and others into a shared library."""
    export_network(build, folder)
    return link_library(folder, DRIVER / "eie.c", DRIVER / "eie_network.c", *sources)


class CNetwork:
    """Network of the C driver on a :class:`~..golden.fake_machine.FakeMachine`.

    Parameters
    ----------
    library : :class:`ctypes.CDLL`
        Library from :func:`compile_network_library`.
    build : :class:`~eie_compiler.graph_build.GraphBuild`
        Network that the library contains.
    arena_words : :class:`int`
        Size of the arena, as in the header.

    Attributes
    ----------
    driver : :class:`~.library.CDriver`
        Driver of the machine, which has been initialised.
    arena : int32 (arena_words,)
        Its tensors.
    """

    def __init__(self, library: ctypes.CDLL, build: GraphBuild, arena_words: int) -> None:
        self._library, self._build = library, build
        self.driver = CDriver(library, next(iter(build.programs.values())))
        self.driver.init()
        self.arena = np.full(arena_words, -1, np.int32)
        network = ctypes.c_char.in_dll(library, "model")
        self._execution = _Execution(
            eie=ctypes.addressof(self.driver.machine), network=ctypes.addressof(network),
            memory=self.driver.memory, arena=self.arena.ctypes.data)

    @property
    def n_saturated(self) -> int:
        """Number of elements that saturated in the last run."""
        return int(self._execution.n_saturated)

    def run(self, tensors: Mapping[str, NDArray[np.int64]], function: str = "run"
            ) -> tuple[int, dict[str, NDArray[np.int32]]]:
        """Call a function for the words of inputs (...); return the status and outputs (...)."""
        graph = self._build.graph
        inputs = np.concatenate([np.ravel(tensors[name]) for name in graph.inputs]).astype(np.int32)
        sizes = [math.prod(graph.shapes[name]) for name in graph.outputs]
        outputs = np.zeros(sum(sizes), np.int32)
        status = getattr(self._library, f"eie_network_{function}")(
            ctypes.byref(self._execution), ctypes.c_void_p(inputs.ctypes.data),
            ctypes.c_void_p(outputs.ctypes.data))
        parts = np.split(outputs, np.cumsum(sizes)[:-1])
        return status, {name: part.reshape(graph.shapes[name])
                        for name, part in zip(graph.outputs, parts)}
