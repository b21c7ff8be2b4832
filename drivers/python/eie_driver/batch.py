"""Batches of inferences, with transfers overlapping computation."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from eie_compiler.build import Build, Words
from eie_compiler.vectors import gather, output_columns
from eie_hdl.registers import REGISTER_WIDTH

from .machine import Machine

__all__ = ["Run", "run_batch"]


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """Results of a batch.

    Attributes
    ----------
    outputs : :class:`list` of int64 (batch, n_elements)
        Fixed-point words of each output of the program, in logical order.
    counters : :class:`list` of :class:`dict`
        Counters of each inference, by name; empty if not requested.
    overflow_tiles : :class:`list` of :class:`int` or None
        First tile of each inference in which an accumulator overflowed, counted from the start of
        the program; None without overflow. Empty if counters are not requested.
    saturated : int64 (batch,)
        Number of elements of each input that were beyond the format and became its least or
        greatest number; zeros if the inputs were words.
    """

    outputs: list[NDArray[np.int64]]
    counters: list[dict[str, int]]
    overflow_tiles: list[int | None]
    saturated: NDArray[np.int64]


def run_batch(machine: Machine, build: Build, inputs: Words, *, read_counters: bool) -> Run:
    """Run inferences; see :meth:`.accelerator.Accelerator.run`."""
    words = inputs.values
    packets = [build.input_packets(words, buffer=buffer) for buffer in range(build.input_buffers)]
    columns = output_columns(machine.config, build.program)
    loads_ahead = len(packets) > 1
    starts_ahead = loads_ahead and not read_counters

    def load(number: int) -> None:
        if number < len(words):
            machine.bus.send(packets[number % len(packets)][number])

    def start(number: int) -> None:
        if number < len(words):
            machine.registers.write("START", buffer=number % len(packets),
                                    descriptor=build.descriptor(number))

    vectors: list[list[NDArray[np.int64]]] = []
    counters: list[dict[str, int]] = []
    overflow_tiles: list[int | None] = []
    with machine.transfers(programs=len(words)) as n_before:
        results = _Receiver(machine, columns * len(words))
        load(0)
        start(0)
        if loads_ahead:
            load(1)
        if starts_ahead:
            # Two programs are in flight, and a third start is pending.
            start(1)
            load(2)
            start(2)
        for number in range(len(words)):
            vector = [results.take() for _ in columns[:-1]]
            if not starts_ahead:
                vector.append(results.take())
            _wait_programs(machine, n_before + number + 1)
            if starts_ahead:
                # The pending program starts at the end of this one, whose last vector is sent.
                load(number + 3)
                start(number + 3)
                vector.append(results.take())
            if read_counters:
                counters.append(machine.counters())
                overflow = machine.registers.read("OVERFLOW")
                overflow_tiles.append(overflow["tile"] if overflow["any"] else None)
            if not loads_ahead:
                load(number + 1)
                start(number + 1)
            elif not starts_ahead:
                start(number + 1)
                load(number + 2)
            vectors.append(vector)
    outputs = [gather(vector, np.array([each[place] for each in vectors], np.int64)
                      .reshape(len(words), n))
               for place, (vector, n) in enumerate(zip(build.outputs, columns, strict=True))]
    return Run(outputs, counters, overflow_tiles, inputs.saturated)


class _Receiver:
    """Receiver of result vectors of given lengths; each is expected after the one before."""

    def __init__(self, machine: Machine, lengths: list[int]) -> None:
        self._machine = machine
        self._lengths = iter(lengths)
        self._expect()

    def take(self) -> NDArray[np.int64]:
        """Wait for the next vector; return it in order of column number."""
        values = self._machine.take_vector(self._length)
        self._expect()
        return values

    def _expect(self) -> None:
        self._length = next(self._lengths, 0)
        if self._length:
            self._machine.expect(self._length)


def _wait_programs(machine: Machine, number: int) -> None:
    """Wait until `number` programs have ended since reset."""
    def ended() -> bool | None:
        ahead = (machine.registers.value("PROGRAMS") - number) % (1 << REGISTER_WIDTH)
        return True if ahead < 1 << REGISTER_WIDTH - 1 else None

    machine.wait_until(ended, "The end of the program")
