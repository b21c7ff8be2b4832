"""`eie bench sharing`: error of shared weights, by code width and k-means initialisation."""

from pathlib import Path

import click

from ..console import make_table, print_table
from ..options import FILE, OUTPUT_FILE, command
from ..progress import progress_bar

__all__ = ["sharing_command"]


@command("sharing")
@click.argument("model", type=FILE)
@click.argument("data", type=FILE)
@click.option("-o", "--output", type=OUTPUT_FILE,
              default=Path("build/bench-sharing.json"), show_default=True,
              help="JSON file for the table.")
def sharing_command(model: Path, data: Path, output: Path) -> None:
    """Measure weight sharing without retraining.

    MODEL is a file that `eie compress` reads, such as the pruned LeNet-300-100. DATA is an .npz
    file of test_images and test_labels, such as MNIST. Weights that are zero stay zero.
    """
    from eie_bench.sharing import V_WIDTHS, measure_all, read_digits, summarise
    from eie_compiler.compression.quantisers import KMEANS_INITS
    from eie_compiler.files.json_file import write_json
    from eie_compiler.frontends import read_chain

    loaded, digits = read_chain(model), read_digits(data)
    accuracy = digits.accuracy(loaded)
    rows = []
    with progress_bar("sharing", log=True) as progress:
        for row in measure_all(loaded, digits):
            rows.append(row)
            progress(f"{row.v_width} bits, {row.kmeans_init}", len(rows),
                     len(V_WIDTHS) * len(KMEANS_INITS))
    write_json(output, summarise(accuracy, rows))
    print_table(make_table("bits of a code", "k-means initialisation", "mean squared error",
                           "accuracy", title=f"{model}: {accuracy:.2%} before"),
                [[str(row.v_width), row.kmeans_init, f"{row.squared_error:.3g}",
                  f"{row.accuracy:.2%}"] for row in rows])
