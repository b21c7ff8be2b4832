"""Lower bounds of a layer's cycles, and a simple queue model."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import EIEConfig
from eie_sim.cycles.steps import Step

__all__ = ["Bounds", "find_bounds"]


class Bounds(NamedTuple):
    """Cycles without fill and drain: three bounds and a simple model.

    Attributes
    ----------
    entries : :class:`int`
        Bound by the busiest PE, as with infinite queues.
    columns : :class:`int`
        The same, with one cycle for each empty column that is not dropped.
    broadcasts : :class:`int`
        Bound by the broadcast, as with PEs that take any column in one cycle.
    simple_model : :class:`int`
        With queues of ``queue_depth`` columns and back-pressure in the same cycle, the usual model
        of the published machine. The real machine has more slots, for columns and back-pressure in
        flight; it may be faster or slower.
    """

    entries: int
    columns: int
    broadcasts: int
    simple_model: int


def find_bounds(config: EIEConfig, steps: Sequence[Step]) -> Bounds:
    """Compute the bounds of a program whose tiles are back to back."""
    counts = np.concatenate([step.entries[:, step.nonzero].T for step in steps if not step.n_sent])
    taken = counts if config.drop_empty_columns else np.maximum(counts, 1)
    return Bounds(int(counts.sum(axis=0).max()), int(taken.sum(axis=0).max()), len(counts),
                  _simple_model(taken, config.queue_depth))


def _simple_model(taken: NDArray[np.int64], depth: int) -> int:
    """Return the cycles until the last PE is done, with back-pressure in the same cycle.

    Parameters
    ----------
    taken : int64 (n_broadcasts, n_pe)
        Cycles that each column takes in each PE. Columns with 0 cycles are not queued.
    depth : :class:`int`
        Columns waiting in a PE at which the broadcast stops.
    """
    pes = np.arange(taken.shape[1])
    begun = np.full((len(pes), depth), -1)    # start cycles of the last columns of each PE
    n_queued = np.zeros(len(pes), np.int64)
    free = np.zeros(len(pes), np.int64)       # first idle cycle of each PE
    now = -1
    for cycles in taken:
        place = n_queued % depth
        now = max(now, int(begun[pes, place].max())) + 1
        is_queued = cycles > 0
        begin = np.maximum(free, now)
        begun[pes[is_queued], place[is_queued]] = begin[is_queued]
        free = np.where(is_queued, begin + cycles, free)
        n_queued += is_queued
    return int(free.max())
