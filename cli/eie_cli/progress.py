"""Progress bar on the standard error of a terminal."""

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
    """Show a bar; the body calls the function with step, parts done and total parts."""
    console = make_console(stderr=True)
    # A column parses text as markup, whatever the setting of its console.
    with Progress(TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(),
                  TimeRemainingColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                  console=console, disable=not console.is_interactive) as bar:
        task = bar.add_task(title, total=None)
        yield lambda step, done, total: bar.update(task, description=step, completed=done,
                                                   total=total)
