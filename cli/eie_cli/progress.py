"""Progress of long work, on the error output of a terminal and nowhere else."""

import contextlib
from collections.abc import Callable, Iterator

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from .console import make_console

__all__ = ["progress_bar"]


@contextlib.contextmanager
def progress_bar(title: str) -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar; the body calls the function with the step, the parts done, and all parts."""
    console = make_console(stderr=True)
    # A column takes text for markup, whatever its console does.
    with Progress(TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(),
                  TimeRemainingColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                  console=console, disable=not console.is_interactive) as bar:
        task = bar.add_task(title, total=None)
        yield lambda step, done, total: bar.update(task, description=step, completed=done,
                                                   total=total)
