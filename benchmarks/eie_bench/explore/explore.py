"""Exploration from points through results to files."""

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..paper.nine_layers import Machine
from ..plotting import require_matplotlib
from .executors import open_executor
from .figures import PLOTS, draw
from .parallel import count_points, run
from .sweep import GIVEN, Sweep, plan
from .tables import Table, make_table, write_csv, write_sweeps
from .workloads import Workload

__all__ = ["JSON_FILE", "explore"]

#: File with all results.
JSON_FILE = "explore.json"


def explore(folder: Path, sweeps: Sequence[Sweep], machines: Mapping[str, Machine],
            workloads: Sequence[Workload], *, jobs: int | None = None,
            scheduler: str | None = None, about: Mapping[str, Any],
            progress: Callable[[int, int], None] = lambda done, total: None) -> list[Table]:
    """Compute sweeps, and write them as JSON, CSV and figures.

    End-to-end cycles are those of the user's own sweep only, as no figure of the paper shows them.

    Parameters
    ----------
    folder
        Output folder. It is created first; files are written once all points are computed.
    machines
        Machines that the sweeps start from, by name.
    jobs, scheduler
        As for :func:`.executors.open_executor`.
    about
        Further keys of the JSON file.
    progress
        Called with the number of points done and the total.

    Raises
    ------
    ExploreError
        If dask is not installed, or the scheduler does not answer.
    PlottingError, CycleModelError
        If matplotlib or Numba is not installed.
    OSError
        If `folder` cannot be created or written to; raised before any computation.
    """
    require_matplotlib()
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):    # it may exist and be read-only
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
    plans = [plan(sweep, machines, [workload.name for workload in workloads]) for sweep in sweeps]
    points = [point for plan in plans for point in plan]
    done, total = 0, count_points(points)
    progress(done, total)

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress(done, total)

    with open_executor(jobs, scheduler) as executor:
        results = run(points, workloads, executor, advance,
                      end_to_end=any(sweep.name == GIVEN for sweep in sweeps))
    tables = [make_table(sweep, plan, results) for sweep, plan in zip(sweeps, plans)]
    write_sweeps(folder / JSON_FILE, tables, machines, about)
    for table in tables:
        write_csv(folder / f"{table.sweep.name}.csv", table)
        for plot in PLOTS:
            if plot.sweep == table.sweep.name:
                draw(plot, table, folder)
    return tables
