"""Points in parallel: order, equal points, processes and workers."""

import pytest

from eie_bench.explore import parallel
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
    counts = []
    run([*points, *points], [given], inline, counts.append)
    assert counts == [2, 2]    # of 2 PEs and of 4, two depths each: the third is impossible
    assert inline.n_tasks == 2
    assert count_points([*points, *points]) == 4


def test_processes_compute_the_same(points, given, inline):
    with open_executor(jobs=1) as executor:
        assert run(points, [given], executor) == run(points, [given], inline)


def test_dask_computes_the_same(points, given, inline):
    distributed = pytest.importorskip("distributed", reason=install_command("bench"))
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False,
                                  dashboard_address=None, protocol="tcp") as cluster:
        with open_executor(scheduler=cluster.scheduler_address) as executor:
            assert run(points, [given], executor) == run(points, [given], inline)
