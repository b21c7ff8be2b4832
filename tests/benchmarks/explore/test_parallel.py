"""Points side by side: order, equal points, interrupts, what is missing."""

import os
import sys
import time
from concurrent.futures import CancelledError

import pytest

from eie_bench.explore import ExploreError, executors, parallel
from eie_bench.explore.executors import open_executor
from eie_bench.explore.measure import measure
from eie_bench.explore.parallel import count_points, run
from eie_bench.explore.sweep import Sweep, plan
from eie_hdl.extras import install_command


@pytest.fixture
def points(machine, given):
    sweep = Sweep("s", {"queue_depth": (2, 4, 500), "n_pe": (2, 4)})
    return plan(sweep, {"tiny": machine}, [given.name])


def test_results_do_not_depend_on_the_order_they_come_in(points, given, inline, monkeypatch):
    forwards = run(points, [given], inline)
    monkeypatch.setattr(parallel, "as_completed", lambda futures: reversed(list(futures)))
    assert run(points, [given], inline) == forwards
    for point in points:
        if point.machine:
            assert [forwards[given.name, point.machine]] == measure(given, [point.machine])


def test_equal_points_are_computed_once_and_entries_shared(points, given, inline):
    told = []
    run([*points, *points], [given], inline, told.append)
    assert told == [2, 2]    # of 2 PEs and of 4, two depths each: the third is impossible
    assert inline.n_tasks == 2
    assert count_points([*points, *points]) == 4


def test_processes_compute_the_same(points, given, inline):
    with open_executor(jobs=1) as executor:
        assert run(points, [given], executor) == run(points, [given], inline)


def test_interrupt_drops_what_has_not_begun():
    with pytest.raises(KeyboardInterrupt):
        with open_executor(jobs=1) as executor:
            futures = [executor.submit(time.sleep, 0.1) for _ in range(100)]
            raise KeyboardInterrupt
    assert futures[0].done() and futures[-1].cancelled()
    with pytest.raises(CancelledError):
        futures[-1].result()


def test_worker_that_is_killed_is_reported():
    with pytest.raises(ExploreError, match="^Worker processes must live until they are done, but "
                                           "one was killed, perhaps for its memory: use fewer "
                                           "--jobs$"):
        with open_executor(jobs=1) as executor:
            executor.submit(os._exit, 1).result()


def test_missing_dask_is_reported(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ExploreError, match=r"^dask must be installed to use a scheduler, but was "
                                           r"not found: pip install .*\[bench\]', or leave "
                                           r"--scheduler out$"):
        with open_executor(scheduler="tcp://127.0.0.1:1"):
            pass


def test_dask_computes_the_same(points, given, inline):
    distributed = pytest.importorskip("distributed", reason=install_command("bench"))
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False,
                                  dashboard_address=None, protocol="tcp") as cluster:
        with open_executor(scheduler=cluster.scheduler_address) as executor:
            assert run(points, [given], executor) == run(points, [given], inline)


def test_scheduler_that_does_not_answer_is_reported(monkeypatch):
    pytest.importorskip("distributed", reason=install_command("bench"))
    monkeypatch.setattr(executors, "_PATIENCE", 0.1)
    with pytest.raises(ExploreError, match="^scheduler must be the address of a dask scheduler, "
                                           "such as tcp://host:8786, but tcp://127.0.0.1:1 does "
                                           "not answer as one: start `dask scheduler`, or correct "
                                           "the address$"):
        with open_executor(scheduler="tcp://127.0.0.1:1"):
            pass
