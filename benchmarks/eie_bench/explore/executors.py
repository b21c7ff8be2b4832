"""Who computes: processes of this computer, or the workers of a dask cluster."""

import contextlib
import multiprocessing
import signal
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from eie_hdl.extras import missing

from . import ExploreError

__all__ = ["open_executor"]

#: Seconds in which a scheduler must answer.
_PATIENCE = 10


@contextlib.contextmanager
def open_executor(jobs: int | None = None, scheduler: str | None = None) -> Iterator[Executor]:
    """Start `jobs` processes, one for each core if None, or use those of a dask `scheduler`.

    What has not begun when the body is left, by an interrupt for example, never will.

    Raises
    ------
    ExploreError
        If dask is not installed, or the scheduler does not answer, or a process is killed.
    """
    if scheduler is not None:
        with _connect(scheduler) as executor:
            yield executor
        return
    # A fresh interpreter for each: a fork of one with threads may hang.
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _leave_interrupts)
    try:
        yield pool
    except BrokenProcessPool as error:
        raise ExploreError("Worker processes must live until they are done, but one was killed, "
                           "perhaps for its memory: use fewer --jobs") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _leave_interrupts() -> None:
    """Ctrl-C goes to all processes of a terminal; the first one answers for all."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextlib.contextmanager
def _connect(scheduler: str) -> Iterator[Executor]:
    try:
        from distributed import Client
    except ImportError as error:
        raise ExploreError(missing("dask", "to use a scheduler", "bench")
                           + ", or leave --scheduler out") from error
    try:
        client = Client(scheduler, timeout=_PATIENCE)
    except (OSError, ValueError) as error:
        raise ExploreError(f"scheduler must be the address of a dask scheduler, such as "
                           f"tcp://host:8786, but {scheduler} does not answer as one: start "
                           f"`dask scheduler`, or correct the address") from error
    with client:
        executor = client.get_executor()
        try:
            yield executor
        finally:
            executor.shutdown(wait=False)
