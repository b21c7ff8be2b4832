"""`eie synth`: one PE on an ECP5."""

import sys
from pathlib import Path

import click

from eie_hdl.config import EIEConfig

from .console import make_table, print_table, working
from .options import FOLDER, command, machine_options

__all__ = ["synth_command"]


@command("synth")
@machine_options
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the placer.")
@click.option("-o", "--output", "folder", type=FOLDER, default=Path("build/synth-pe"),
              show_default=True, help="Folder for pe.md, pe.json, netlists and logs.")
def synth_command(config: EIEConfig, seed: int, folder: Path) -> None:
    """Synthesise one PE for an ECP5.

    Yosys and nextpnr synthesise, place and route one PE out of context for speed grade 6. The
    result is checked against the targets of the default configuration. Takes about two minutes;
    needs the extra [synth]. The exit code is 1 if a target is missed.
    """
    from eie_flows.ecp5 import run

    with working("synthesising one PE"):
        report = run(config, folder, seed=seed)
    print_table(make_table("", "one PE", "target", title=str(folder / "pe.md")), report.rows())
    for miss in report.misses():
        click.echo(f"missed: {miss}", err=True)
    if report.misses():
        sys.exit(1)
