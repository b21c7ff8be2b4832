"""Executors of sweeps: local processes, or the workers of a dask cluster."""

import contextlib
import multiprocessing
import signal
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from eie_hdl.extras import missing

from . import ExploreError

__all__ = ["open_executor"]

#: Limit of a scheduler's answer in seconds.
_PATIENCE = 10


@contextlib.contextmanager
def open_executor(jobs: int | None = None, scheduler: str | None = None) -> Iterator[Executor]:
    """Start `jobs` processes (default: one per core), or use the workers of a dask `scheduler`.

    Leaving the body, for instance by an interrupt, cancels work that has not started.

    Raises
    ------
    ExploreError
        If dask is not installed, the scheduler does not answer, or a process is killed.
    """
    if scheduler is not None:
        with _connect(scheduler) as executor:
            yield executor
        return
    # A fork of a process with threads may hang, so each worker is a fresh interpreter.
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _ignore_interrupts)
    try:
        yield pool
    except BrokenProcessPool as error:
        raise ExploreError("Worker processes must live until they are done, but one was killed, "
                           "perhaps for its memory: use fewer --jobs") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _ignore_interrupts() -> None:
    """Ignore Ctrl-C, which a terminal sends to all processes; the parent handles it."""
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
