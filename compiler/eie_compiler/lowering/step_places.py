"""Places of the vectors of a step: their rows, and the columns of their elements."""

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import EIEConfig

from .memory_map import n_words
from .row_mapping import MAPPINGS, row_weights
from .step_stages import Drained, StepStages, Weighted
from .step_vectors import StepVector

__all__ = ["StepPlaces", "place_step"]


class StepPlaces(NamedTuple):
    """Rows of the vectors of a step, counted from the first of them, and their columns.

    An input buffer has the input, then the vectors beside it. The buffers are followed by the
    states that are not beside the input, then by all other vectors in the order in which they are
    written: so those that are read together are before their sum.

    Attributes
    ----------
    rows, sizes : :class:`dict` of :class:`~.step_vectors.StepVector` to :class:`int`
        First row of each vector, of those beside the input that of buffer 0, and its rows. A vector
        has as many rows as the longest one that is read together with it; those at its end that it
        does not use are zero.
    columns : :class:`dict` of :class:`~.step_vectors.StepVector` to int64 array
        Column number of each element, counted from the first row.
    words : :class:`int`
        Rows of an input buffer, of which the first ones are those of the input.
    n_buffers : :class:`int`
        Input buffers.
    n_words : :class:`int`
        Rows of all vectors.
    """

    rows: dict[StepVector, int]
    sizes: dict[StepVector, int]
    columns: dict[StepVector, NDArray[np.int64]]
    words: int
    n_buffers: int
    n_words: int


def place_step(config: EIEConfig, found: StepStages, mapping: str, biases: int) -> StepPlaces:
    """Place the vectors of a step.

    Parameters
    ----------
    mapping : :class:`str`
        Assignment of elements to PEs. Elements of vectors that operations combine are in the same
        places; of such vectors, the weights of all rows are balanced together.
    biases : :class:`int`
        Rows of the activation SRAMs that biases take.
    """
    beside = [found.input, *sorted(found.beside)]
    others = [vector for vector in found.states if vector not in beside]
    for stage in found.stages:
        others += [vector for vector in stage.writes
                   if vector not in beside and vector not in others]
    sizes = _count_rows(config, found, [*beside, *others])
    words = sum(sizes[vector] for vector in beside)
    kept = sum(sizes[vector] for vector in others)
    n_buffers = 2 if biases + 2 * words + kept <= config.act_depth else 1
    rows = _stack(beside, sizes, 0) | _stack(others, sizes, n_buffers * words)
    return StepPlaces(rows, sizes, _place_elements(config, found, mapping), words, n_buffers,
                      n_buffers * words + kept)


def _stack(vectors: Sequence[StepVector], sizes: Mapping[StepVector, int], first: int
           ) -> dict[StepVector, int]:
    """Place vectors one after another from a row on."""
    return dict(zip(vectors, itertools.accumulate(
        (sizes[vector] for vector in vectors), initial=first)))


def _count_rows(config: EIEConfig, found: StepStages, vectors: Sequence[StepVector]
                ) -> dict[StepVector, int]:
    """Count the rows of all vectors: a segment does not reach beyond those of its vector."""
    sizes = {vector: n_words(vector.size, config.n_pe) for vector in vectors}
    for stage in found.stages:
        if isinstance(stage, Weighted):
            longest = n_words(max(vector.size for vector in stage.sources), config.n_pe)
            sizes |= {vector: max(sizes[vector], longest) for vector in stage.sources}
    return sizes


def _place_elements(config: EIEConfig, found: StepStages, mapping: str
                    ) -> dict[StepVector, NDArray[np.int64]]:
    """Choose the columns of the elements of all vectors."""
    together: dict[StepVector, set[StepVector]] = {found.input: {found.input}}
    for stage in found.stages:
        for combined in _combine(stage):
            joined = set(combined).union(*(together.get(vector, ()) for vector in combined))
            together |= dict.fromkeys(joined, joined)
    weights = {vector: np.zeros(vector.size, np.int64) for vector in together}
    for stage in found.stages:
        if isinstance(stage, Weighted) and not stage.is_local:
            bounds = np.cumsum([vector.size for vector in stage.results])[:-1]
            parts = np.split(row_weights(stage.inputs.layer), bounds)
            for vector, part in zip(stage.results, parts):
                weights[vector] += part
    columns: dict[StepVector, NDArray[np.int64]] = {}
    for vector, group in together.items():
        if vector not in columns:
            work = np.sum([weights[each] for each in sorted(group)], axis=0)
            # The host knows no order of the input but its own.
            columns |= dict.fromkeys(group, np.arange(vector.size) if found.input in group
                                     else MAPPINGS[mapping](config, work))
    return columns


def _combine(stage: Weighted | Drained) -> Sequence[Sequence[StepVector]]:
    """List the vectors whose elements of one number are combined by a stage."""
    vectors = (*stage.reads, *stage.writes)
    is_aligned = isinstance(stage, Drained) or stage.is_local
    return [vectors] if is_aligned else [[vector] for vector in vectors]
