"""Parallel computation of the points of a sweep."""

import functools
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, as_completed
from typing import Any

from ..paper.nine_layers import Machine
from .measure import Measurement, entries_key, measure
from .sweep import Point
from .workloads import Workload

__all__ = ["Result", "Results", "count_points", "run"]

#: Measurement of a point, or the reason why it has none.
Result = Measurement | str

#: Results by layer and machine.
Results = dict[tuple[str, Machine], Result]


def run(points: Sequence[Point], workloads: Sequence[Workload], executor: Executor,
        advance: Callable[[int], None] = lambda count: None, *, end_to_end: bool = False
        ) -> Results:
    """Compute all points, equal ones only once.

    Parameters
    ----------
    advance
        Called with the number of new results.
    end_to_end
        Also predict end-to-end cycles, which takes several times as long.

    Returns
    -------
    :class:`dict`
        Results, independent of the order in which they arrive.
    """
    layers = {workload.name: workload for workload in workloads}
    groups: dict[tuple[str, tuple[Any, ...]], dict[Machine, None]] = defaultdict(dict)
    for point in points:
        if point.machine is not None:
            groups[point.layer, entries_key(point.machine)][point.machine] = None
    # Layer by layer, as a worker caches the weights of one layer.
    order = sorted(groups, key=lambda group: list(layers).index(group[0]))
    task = functools.partial(measure, end_to_end=end_to_end)
    futures = {executor.submit(task, layers[group[0]], list(groups[group])): group
               for group in order}
    results: Results = {}
    for future in as_completed(futures):
        group = futures[future]
        for machine, result in zip(groups[group], future.result()):
            results[group[0], machine] = result
        advance(len(groups[group]))
    return results


def count_points(points: Sequence[Point]) -> int:
    """Count the distinct points that :func:`run` computes."""
    return len({(point.layer, point.machine) for point in points if point.machine is not None})
