"""`eie board`: machines on boards."""

import click

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

    Needs the extras [serial,demo], and [sim] for the simulated board.
    """


ulx3s_group.add_command(run_command)
