"""`eie bench host`: the host's time for the nine layers of the paper."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..console import make_console, make_table, print_table
from ..options import OUTPUT_FILE, command, renamed_option
from ..progress import progress_bar

if TYPE_CHECKING:
    from eie_bench.host import Row

__all__ = ["host_command"]


@command("host")
@click.option("--machine", type=click.Choice(["isca2016", "tuned"]), default="tuned",
              show_default=True, help="Machine of 64 PEs that the layers are compiled for.")
@renamed_option("--preset", "--machine", "machine")
@click.option("--seed", type=int, default=1, show_default=True,
              help="Seed of the weights and inputs.")
@click.option("-o", "--output", type=OUTPUT_FILE,
              default=Path("build/bench-host.json"), show_default=True,
              help="JSON file for the table.")
def host_command(machine: str, seed: int, output: Path) -> None:
    """Measure the host's time for the nine layers.

    Times the compiler, the golden model, the cycle model, and for comparison the product of the
    same matrix in SciPy. Takes about a minute.
    """
    from eie_bench.host import measure_all, summarise
    from eie_bench.paper.nine_layers import LAYERS
    from eie_compiler.files.json_file import write_json

    rows = []
    with progress_bar("measuring", log=True) as progress:
        for row in measure_all(machine, seed):
            rows.append(row)
            progress(row.layer, len(rows), len(LAYERS))
    write_json(output, summarise(rows, machine, seed))
    _show(rows)


def _show(rows: "list[Row]") -> None:
    """Print the table and the verdict on the speed of the golden model."""
    from eie_bench.host import ALLOWED, BATCH

    print_table(make_table(
        "layer", "nonzeros", "compile", "decode", "product", "golden", "ratio",
        f"{BATCH}: product", f"{BATCH}: golden", f"{BATCH}: ratio", "cycle model",
        title="compile and decode in seconds; the rest in milliseconds per image"),
        [[row.layer, f"{row.nonzeros:,}", f"{row.compile:.2f}", f"{row.decode:.2f}",
          f"{row.product * 1e3:.2f}", f"{row.golden * 1e3:.2f}", f"{row.ratio:.2f}",
          f"{row.product_batch * 1e3:.2f}", f"{row.golden_batch * 1e3:.2f}",
          f"{row.batch_ratio:.2f}", f"{row.cycle_model * 1e3:.1f}"] for row in rows])
    if slow := [row.layer for row in rows if row.slow]:
        make_console().print(f"The golden model takes more than {ALLOWED:g} times as long as the "
                             f"product on {', '.join(slow)}.", style="red")
    else:
        make_console().print(f"The golden model takes no more than {ALLOWED:g} times as long as "
                             f"the product on any layer.", style="green")
