"""Command group that prints user errors in one line and program faults with a traceback."""

import errno
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import click

from .encoding import tolerate_encoding

__all__ = ["COMMAND", "Group", "end_quietly"]

#: Key of the command that runs in `meta` of contexts, which nested groups share.
COMMAND = "eie_cli.command"

#: Exit code after Ctrl-C, as of shells: 128 + SIGINT.
_INTERRUPTED = 130

#: Exit code after SIGTERM, likewise.
_TERMINATED = 143

#: Most characters of a message, whose parts may come from files.
_MAX_MESSAGE = 4000

#: Subject of the packages' messages, by the command's parameter, where the names differ.
_SUBJECTS = {"calibrate": "calibration", "inputs": "Inputs", "fit": "device"}

#: Errors of a disk without space, or of a user's share of it.
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Group(click.Group):
    """A group that prints the project's exceptions and those of the file system, and exits with 2.

    After Ctrl-C it exits with 130; after SIGTERM with 143, when unfinished files are removed.

    Any other exception is a fault of the program.
    """

    def main(self, *arguments: Any, **options: Any) -> Any:
        tolerate_encoding()
        with _exit_when_terminated():
            return super().main(*arguments, **options)

    def invoke(self, context: click.Context) -> Any:
        try:
            with _show_warnings(context):
                return super().invoke(context)
        except BaseException as error:
            # Unfinished objects of the step that ends here would warn that they are unused.
            warnings.filterwarnings("ignore", ".* created but never used")
            if isinstance(error, KeyboardInterrupt):
                click.echo("eie: interrupted", err=True)
                sys.exit(_INTERRUPTED)
            expected = type(error).__module__.startswith("eie_") or isinstance(error, OSError)
            if not expected or context.params.get("traceback"):
                raise
            if isinstance(error, OSError) and error.filename:
                remedy = "free space on the disk" if error.errno in _FULL else "check the path"
                error = OSError(f"cannot use {os.fsdecode(error.filename)}: {error.strerror}; "
                                f"{remedy}, or choose another one")
            message = _spell_options(_shorten(str(error)), context.meta.get(COMMAND))
            click.echo(f"eie: {message}", err=True)
            sys.exit(2)


@contextmanager
def end_quietly() -> Iterator[None]:
    """End the process on Ctrl-C, without a traceback, while the body imports the commands."""
    if threading.current_thread() is not threading.main_thread():    # which alone sets handlers
        yield
        return
    former = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)


@contextmanager
def _exit_when_terminated() -> Iterator[None]:
    """Leave the body by an exception on SIGTERM, whose default ends the process at once."""
    if threading.current_thread() is not threading.main_thread():    # which alone sets handlers
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        click.echo("eie: terminated", err=True)
        sys.exit(_TERMINATED)

    former = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


@contextmanager
def _show_warnings(context: click.Context) -> Iterator[None]:
    """Print the project's warnings in one line each."""
    def show(message: Warning | str, category: type[Warning], *others: Any) -> None:
        if category.__module__.startswith("eie_"):
            text = _spell_options(str(message), context.meta.get(COMMAND))
            click.echo(f"eie: warning: {text}", err=True)
        else:
            python_show(message, category, *others)

    with warnings.catch_warnings():
        warnings.filterwarnings("always", module="eie_")
        python_show = warnings.showwarning
        warnings.showwarning = show    # type: ignore[assignment]
        yield


def _shorten(message: str) -> str:
    """Leave out the middle of a message with a value of any size from a file."""
    if len(message) <= _MAX_MESSAGE:
        return message
    half = _MAX_MESSAGE // 2
    return f"{message[:half]} ... {message[-half:]}"


def _spell_options(message: str, command: click.Command | None) -> str:
    """Write parameters of the packages as the command's options: ``last=`` as ``--last``.

    A parameter is recognised before ``=``, and as the subject at the beginning of the message.
    ``=NAMES`` stands for an option that is repeated, ``=BOOLS`` for a pair of options.
    """
    for parameter in command.params if command else ():
        option, name = parameter.opts[-1], parameter.name or ""
        # A name local to the command, such as `network` of --output, is not a package's parameter.
        if option.startswith(f"--{name.rstrip('s').replace('_', '-')}"):
            pair = "/".join((option, *parameter.secondary_opts))
            message = re.sub(rf"\b{name}=(?:BOOLS|(?=\W?(?:\s|$)))", pair, message)
            message = message.replace(f"{name}=NAMES", f"{option} NAME")
            message = re.sub(rf"\b{name}=", f"{option} ", message)
            message = re.sub(rf"(^|: ){_SUBJECTS.get(name, name)}(?= must )", rf"\1{option}",
                             message)
    return message
