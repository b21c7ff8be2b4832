"""`eie board`: machines on boards."""

import click

from .build import build_command
from .flash import flash_command
from .run import run_command

__all__ = ["board_group"]


@click.group("board")
def board_group() -> None:
    """Run machines on boards.

    The bitstream of a board must have a machine with a UART bridge.
    """


@board_group.group("ulx3s")
def ulx3s_group() -> None:
    """Use an ULX3S, or any board with the bridge.

    Building needs the extra [board]; running any board with the bridge [serial,demo], and the
    simulated board [sim].
    """


for command in (build_command, flash_command, run_command):
    ulx3s_group.add_command(command)
