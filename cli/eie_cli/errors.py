"""Errors of the user are printed in one line; errors of the program with a traceback."""

import sys
from typing import Any

import click

from .encoding import tolerate_encoding

__all__ = ["Group"]


class Group(click.Group):
    """A group that prints the project's exceptions and those of the file system, and exits with 2.

    Any other exception is a fault of the program.
    """

    def main(self, *arguments: Any, **options: Any) -> Any:
        tolerate_encoding()
        return super().main(*arguments, **options)

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except Exception as error:
            expected = type(error).__module__.startswith("eie_") or isinstance(error, OSError)
            if not expected or context.params.get("traceback"):
                raise
            if isinstance(error, OSError) and error.filename:
                error = OSError(f"cannot use {error.filename}: {error.strerror}; check the path, "
                                f"or choose another one")
            click.echo(f"eie: {error}", err=True)
            sys.exit(2)
