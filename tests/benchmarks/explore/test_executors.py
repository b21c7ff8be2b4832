"""Executors: interrupts, killed workers, and what is missing."""

import os
import sys
import time
from concurrent.futures import CancelledError

import pytest

from eie_bench.explore import ExploreError, executors
from eie_bench.explore.executors import open_executor
from eie_hdl.extras import install_command


def test_an_interrupt_cancels_tasks_that_have_not_begun():
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


def test_scheduler_that_does_not_answer_is_reported(monkeypatch):
    pytest.importorskip("distributed", reason=install_command("bench"))
    monkeypatch.setattr(executors, "_PATIENCE", 0.1)
    with pytest.raises(ExploreError, match="^scheduler must be the address of a dask scheduler, "
                                           "such as tcp://host:8786, but tcp://127.0.0.1:1 does "
                                           "not answer as one: start `dask scheduler`, or correct "
                                           "the address$"):
        with open_executor(scheduler="tcp://127.0.0.1:1"):
            pass
