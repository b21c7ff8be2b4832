"""Next values of states that are written where the states are."""

import dataclasses

from eie_hdl.format import Table

from .step_stages import Drained, StepStages, Weighted
from .step_vectors import StepVector

__all__ = ["drop_copies"]


def drop_copies(found: StepStages) -> StepStages:
    """Let the next value of a state take its place at once, if nothing reads the old one then.

    The copy at the end of the step is dropped.
    """
    while copy := next((stage for stage in found.stages if isinstance(stage, Drained)
                        and _is_copy(stage) and _is_free(found, stage)), None):
        found = _drop(found, copy)
    return found


def _is_copy(stage: Drained) -> bool:
    """True if a stage changes no word."""
    return stage.factor is None and stage.factors is None and not stage.relu \
        and stage.bias_shift == stage.shift == 0 and stage.table is Table.NONE


def _is_free(found: StepStages, copy: Drained) -> bool:
    """True if the place of a state is free when its next value is computed."""
    new, old = copy.operand, copy.result
    writers = [at for at, stage in enumerate(found.stages) if new in stage.writes]
    if old not in found.states or old in found.beside or not writers or new in found.states:
        return False
    writer = found.stages[writers[0]]
    if isinstance(writer, Weighted) and (len(writer.results) > 1 or {
            found.input, *found.beside, *found.states} & set(writer.sources)):
        return False    # a result must not be between vectors that are read together
    return not any(old in stage.reads for stage in found.stages[writers[0]:])


def _drop(found: StepStages, copy: Drained) -> StepStages:
    """Drop a copy: its operand is the state."""
    def rename(vector: StepVector) -> StepVector:
        return copy.result if vector == copy.operand else vector

    return dataclasses.replace(found, stages=[stage.rename(rename) for stage in found.stages
                                              if stage is not copy],
                               result=tuple(map(rename, found.result)))
