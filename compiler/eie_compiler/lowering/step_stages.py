"""Stages of a step of a recurrence: tiles with weights, and operations on elements."""

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from eie_hdl.format import Table

from .fixed_point import LayerFormat, LayerInput
from .step_vectors import StepVector

__all__ = ["Drained", "StepStages", "Weighted"]

#: Function from one vector to another.
Rename = Callable[[StepVector], StepVector]


@dataclasses.dataclass(frozen=True, eq=False)
class Weighted:
    """Layer, or sum of vectors, by entries.

    Attributes
    ----------
    node : :class:`str`
        Name of the node.
    inputs, chosen
        Layer and its format; columns by element of one source after another.
    sources, results : :class:`tuple` of :class:`~.step_vectors.StepVector`
        Vectors that are read, and those of successive rows.
    is_local : :class:`bool`
        True if each element of the result depends on those of its place alone.
    """

    node: str
    inputs: LayerInput
    chosen: LayerFormat
    sources: tuple[StepVector, ...]
    results: tuple[StepVector, ...]
    is_local: bool = False

    @property
    def reads(self) -> tuple[StepVector, ...]:
        """Vectors that are read."""
        return self.sources

    @property
    def writes(self) -> tuple[StepVector, ...]:
        """Vectors that are written."""
        return self.results

    def rename(self, name: Rename) -> "Weighted":
        """Read and write other vectors."""
        return dataclasses.replace(self, sources=tuple(map(name, self.sources)),
                                   results=tuple(map(name, self.results)))


@dataclasses.dataclass(frozen=True, eq=False)
class Drained:
    """Operation on elements: tile without weights, whose operands are added as it is drained.

    Attributes
    ----------
    node : :class:`str`
        Name of the node.
    operand : :class:`~.step_vectors.StepVector`, optional
        Vector in place of the biases; None for zeros.
    result : :class:`~.step_vectors.StepVector`
        Vector that is written.
    factor : :class:`~.step_vectors.StepVector`, optional
        Vector by which the operand is multiplied.
    factors : int64 array, optional
        Words of constants that are the factor.
    bias_shift, shift : :class:`int`
        Left shift of the operand, if it has no factor, and right shift of the accumulator.
    relu : :class:`bool`
        True if negative results become zero.
    table : :class:`~eie_hdl.format.Table`
        Function of the result.
    """

    node: str
    operand: StepVector | None
    result: StepVector
    factor: StepVector | None = None
    factors: NDArray[np.int64] | None = None
    bias_shift: int = 0
    shift: int = 0
    relu: bool = False
    table: Table = Table.NONE

    @property
    def reads(self) -> tuple[StepVector, ...]:
        """Vectors that are read."""
        return tuple(each for each in (self.operand, self.factor) if each is not None)

    @property
    def writes(self) -> tuple[StepVector, ...]:
        """Vectors that are written."""
        return (self.result,)

    def rename(self, name: Rename) -> "Drained":
        """Read and write other vectors."""
        return dataclasses.replace(
            self, operand=self.operand and name(self.operand),
            factor=self.factor and name(self.factor), result=name(self.result))


@dataclasses.dataclass(frozen=True, eq=False)
class StepStages:
    """Stages of a step, and what its vectors are.

    Attributes
    ----------
    stages : :class:`list` of :class:`Weighted` or :class:`Drained`
        In the order of computation; at the end the states get their next values.
    input : :class:`~.step_vectors.StepVector`
        Input of a step, vector 0.
    beside : :class:`set` of :class:`~.step_vectors.StepVector`
        Vectors that are read together with the input. Each input buffer has one of its own.
    states : :class:`list` of :class:`~.step_vectors.StepVector`
        Vectors that keep their contents from one step to the next, those in `beside` included.
    result : :class:`tuple` of :class:`~.step_vectors.StepVector`
        Vectors for the host, which follow one another.
    """

    stages: list[Weighted | Drained]
    input: StepVector
    beside: set[StepVector]
    states: list[StepVector]
    result: tuple[StepVector, ...]
