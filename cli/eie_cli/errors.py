"""What the user did wrong is told in a line; what we did wrong, with a traceback."""

import sys
from typing import Any

import click

from .encoding import tolerate_encoding

__all__ = ["Command", "Group"]

#: Packages whose own exceptions are answers to the user. Any other exception is a fault of ours.
_OURS = ("eie_hdl", "eie_compiler", "eie_driver", "eie_sim", "eie_bench", "eie_flows", "eie_cli")


class Command(click.Command):
    """A command that prints our exceptions, and those of the file system, and ends with code 2."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        tolerate_encoding()
        return super().main(*arguments, **options)

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except Exception as error:
            expected = type(error).__module__.startswith(_OURS) or isinstance(error, OSError)
            if not expected or context.params.get("traceback"):
                raise
            if isinstance(error, OSError) and error.filename:
                error = OSError(f"cannot use {error.filename}: {error.strerror}; check the path, "
                                f"or choose another one")
            click.echo(f"eie: {error}", err=True)
            sys.exit(2)


class Group(Command, click.Group):
    """The same for all commands of a group."""
