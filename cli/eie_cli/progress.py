"""Progress on standard error: a bar on a terminal, or lines in a pipe."""

import contextlib
from collections.abc import Callable, Iterator

import click
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


#: Lines for each number of parts in a pipe.
_LINES = 10


@contextlib.contextmanager
def progress_bar(title: str, *, log: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar; the body calls the function with step, parts done and total parts.

    In a pipe, each tenth of the parts is a line on standard error with `log`, which is for commands
    that take minutes. Without it nothing is shown.
    """
    console = make_console(stderr=True)
    if log and not console.is_interactive:
        yield _Log()
        return
    # A column parses text as markup, whatever the setting of its console.
    with Progress(TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(),
                  TimeRemainingColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                  console=console, disable=not console.is_interactive) as bar:
        task = bar.add_task(title, total=None)
        yield lambda step, done, total: bar.update(task, description=step, completed=done,
                                                   total=total)


class _Log:
    """Progress as lines."""

    def __init__(self) -> None:
        self._shown = 0

    def __call__(self, step: str, done: int, total: int) -> None:
        reached = _LINES * done // total if total else 0
        if done and reached != self._shown:
            click.echo(f"{step}: {done} of {total}", err=True)
        self._shown = reached
