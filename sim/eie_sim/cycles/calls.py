"""Calls of the driver for a batch, recorded from the driver itself."""

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from eie_compiler.build import Build, Words
from eie_driver.batch import run_batch
from eie_driver.machine import Machine
from eie_hdl.config import EIEConfig

from .kernel import EXPECT, LOAD, START, TAKE, WAIT

__all__ = ["record_calls"]

T = TypeVar("T")


def record_calls(build: Build, words: NDArray[np.int64]) -> NDArray[np.int64]:
    """Record the calls of a batch without counters, as for :class:`.kernel.Host`."""
    recorder = _Recorder(build.config)
    run_batch(cast(Machine, recorder), build, Words(words, np.zeros(len(words), np.int64)),
              read_counters=False)
    return np.array(recorder.calls, np.int64)


class _Recorder:
    """Machine, its bus and its registers in one, that records what the driver calls.

    A program ends when the driver waits for it; results are zeros.
    """

    def __init__(self, config: EIEConfig) -> None:
        self.config = config
        self.bus = self.registers = self
        self.calls: list[tuple[int, int]] = []
        self._n_ended = 0

    @contextlib.contextmanager
    def transfers(self, *, programs: int = 0) -> Iterator[int]:
        yield self._n_ended

    def send(self, beats: NDArray[np.uint64]) -> None:
        self.calls.append((LOAD, len(beats)))

    def write(self, name: str, *, buffer: int, descriptor: int) -> None:
        self.calls.append(({"START": START}[name], buffer))

    def value(self, name: str) -> int:
        return {"PROGRAMS": self._n_ended}[name]

    def expect(self, n_elements: int) -> None:
        self.calls.append((EXPECT, 0))

    def take_vector(self, n_columns: int) -> NDArray[np.int64]:
        self.calls.append((TAKE, 0))
        return np.zeros(n_columns, np.int64)

    def wait_until(self, ready: Callable[[], T | None], what: str, *, every: float = math.inf
                   ) -> T:
        while (answer := ready()) is None:
            self._n_ended += 1
        self.calls.append((WAIT, self._n_ended))
        return answer
