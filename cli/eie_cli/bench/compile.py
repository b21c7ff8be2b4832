"""`eie bench compile`: time and memory of the compiler."""

from pathlib import Path

import click

from ..console import make_table, print_table
from ..options import OUTPUT_FILE, command
from ..progress import progress_bar

__all__ = ["compile_command"]


@command("compile")
@click.option("-o", "--output", type=OUTPUT_FILE,
              default=Path("build/bench-compile.json"), show_default=True,
              help="JSON file for the table.")
def compile_command(output: Path) -> None:
    """Measure the compiler on a layer of VGG-6's size.

    The layer has 25,088 inputs and 4,096 outputs, and 4 % of its weights are not zero. It is
    compiled for 64 PEs with 4-bit and 6-bit runs, balanced and interleaved. Takes about ten
    seconds.
    """
    from eie_bench.compile import (
        CONFIGS,
        MAPPINGS,
        SEED,
        make_network,
        measure_all,
        peak_mib,
        summarise,
    )
    from eie_compiler.files.json_file import write_json

    rows = []
    with progress_bar("compiling", log=True) as progress:
        network = make_network()
        before = peak_mib()
        for row in measure_all(network):
            rows.append(row)
            progress(row.configuration, len(rows), len(CONFIGS) * len(MAPPINGS))
    write_json(output, summarise(rows))
    print_table(make_table(
        "configuration", "mapping", "seconds", "peak MiB", "entries", "padding", "entry balance",
        title=f"VGG-6: {network.layers[0].n_nonzeros:,} nonzeros, seed {SEED}; "
              f"{before:.0f} MiB before compiling"),
        [[row.configuration, row.mapping, f"{row.seconds:.2f}", f"{row.peak_mib:.0f}",
          f"{row.entries:,}", f"{row.paddings:,}", f"{row.entry_balance:.1%}"] for row in rows])
