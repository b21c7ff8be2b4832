"""Where the cycles go: what a layer takes if only one thing costs any, and a simple model of it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import EIEConfig
from eie_sim.cycles.steps import Step

__all__ = ["Bounds", "find_bounds"]


class Bounds(NamedTuple):
    """Cycles without fill and drain: three bounds, and what a simple model says.

    Attributes
    ----------
    entries : :class:`int`
        With endless queues: the PE that walks most entries.
    columns : :class:`int`
        The same, but an empty column takes a cycle if it is not dropped.
    broadcasts : :class:`int`
        With PEs that take any column in a cycle.
    simple_model : :class:`int`
        With queues of ``queue_depth`` columns, whose state everybody knows in the same cycle: the
        usual model of the published machine, where the broadcast stops and starts at once. The real
        one has more slots, as a column is on its way for some cycles, and so is the news that a
        queue is full; it may be better or worse.
    """

    entries: int
    columns: int
    broadcasts: int
    simple_model: int


def find_bounds(config: EIEConfig, steps: Sequence[Step]) -> Bounds:
    """Bounds of a program. Its tiles follow one another without a gap."""
    counts = np.concatenate([step.entries[:, step.nonzero].T for step in steps if step.words])
    taken = counts if config.drop_empty_columns else np.maximum(counts, 1)
    return Bounds(int(counts.sum(axis=0).max()), int(taken.sum(axis=0).max()), len(counts),
                  _run_promptly(taken, config.queue_depth))


def _run_promptly(taken: NDArray[np.int64], depth: int) -> int:
    """Cycles until the last PE is done.

    Parameters
    ----------
    taken : int64 (n_broadcasts, n_pe)
        Cycles that each column takes in each PE. One of none is not queued.
    depth : :class:`int`
        Columns that wait in a PE before the broadcast stops.
    """
    pes = np.arange(taken.shape[1])
    begun = np.full((len(pes), depth), -1)    # cycles in which the last columns of a PE were begun
    n_queued = np.zeros(len(pes), np.int64)
    free = np.zeros(len(pes), np.int64)       # first cycle in which a PE has nothing to do
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
