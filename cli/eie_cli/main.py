"""The command line: `eie`."""

import click

from .errors import Group, end_quietly

with end_quietly():
    from .asic import asic_command
    from .bench import bench_group
    from .board import board_group
    from .cache import cache_command
    from .compare import compare_command
    from .compile import compile_command
    from .compress import compress_command
    from .constraints import constraints_command
    from .demo import demo_command
    from .doctor import doctor_command
    from .equiv import equiv_command
    from .explore import explore_command
    from .export import export_command
    from .fit import fit_command
    from .info import info_command
    from .layout import layout_command
    from .netlist_sim import netlist_sim_command
    from .registers import registers_command
    from .run import run_command
    from .sensitivity import sensitivity_command
    from .synth import synth_command
    from .train import train_command
    from .verilog import verilog_command

__all__ = ["main"]


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"],
                                           "max_content_width": 100})
@click.version_option(package_name="eie-hdl")
@click.option("--traceback", is_flag=True, help="Show where in the program an error arose.")
def main(traceback: bool) -> None:
    """Sparse neural networks on the EIE accelerator.

    \b
    data ──train──► weights ──compress──► network ──compile──► build ──run──► results
    configuration ──verilog──► hardware
    """


for command in (demo_command, doctor_command, verilog_command, constraints_command, train_command,
                sensitivity_command, compress_command, compare_command, fit_command,
                compile_command, export_command, registers_command, run_command, info_command,
                explore_command, bench_group, synth_command, netlist_sim_command, equiv_command,
                asic_command, layout_command, board_group, cache_command):
    main.add_command(command)
