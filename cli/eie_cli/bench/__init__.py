"""`eie bench`: benchmarks of the machine, the simulation, the host and the compiler."""

import click

from .c_driver import c_driver_command
from .compile import compile_command
from .end_to_end import end_to_end_command
from .fit import fit_command
from .host import host_command
from .layers import layers_command
from .networks import networks_command
from .onchip import onchip_command
from .peers import peers_command
from .sharing import sharing_command
from .simulation import simulation_command

__all__ = ["bench_group"]


@click.group("bench")
def bench_group() -> None:
    """Measure the machine and its software.

    Needs the extra [bench].
    """


for command in (layers_command, host_command, simulation_command, compile_command,
                sharing_command, end_to_end_command, networks_command, onchip_command, fit_command,
                peers_command, c_driver_command):
    bench_group.add_command(command)
