"""`eie bench simulation`: speed of the Verilator engine."""

from pathlib import Path

import click

from ..console import make_table, print_table
from ..options import OUTPUT_FILE, command
from ..progress import progress_bar

__all__ = ["simulation_command"]


@command("simulation")
@click.option("-o", "--output", type=OUTPUT_FILE,
              default=Path("build/bench-sim.json"), show_default=True,
              help="JSON file for the table.")
def simulation_command(output: Path) -> None:
    """Measure the Verilator engine.

    Builds machines of 1, 16 and 64 PEs from nothing and counts the clock cycles per second that
    they simulate. Takes about four minutes.
    """
    from eie_bench.simulation import PES, count_cores, measure_all, summarise
    from eie_compiler.files.json_file import write_json

    rows = []
    with progress_bar("measuring", log=True) as progress:
        for row in measure_all():
            rows.append(row)
            progress(f"{row.n_pe} PEs", len(rows), len(PES))
    write_json(output, summarise(rows))
    print_table(make_table("PEs", "Verilog, s", "library, s", "both, s", "cycles/s",
                           f"cycles/s, {count_cores()} cores",
                           title="Verilator engine, built from nothing"),
                [[str(row.n_pe), f"{row.emission:.1f}", f"{row.build:.1f}",
                  f"{row.emission + row.build:.1f}", f"{row.alone:,.0f}", f"{row.together:,.0f}"]
                 for row in rows])
