"""`eie bench end-to-end`: cycles that a user waits for, transfers included."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..console import format_count, make_console, make_table, print_table
from ..options import FILE, OUTPUT_FILE, command, published_option, simulators_option
from ..progress import progress_bar

if TYPE_CHECKING:
    from eie_bench.end_to_end import Row

__all__ = ["end_to_end_command"]

#: Number of differences printed; the JSON file lists all.
_MAX_SHOWN = 10


@command("end-to-end")
@published_option
@click.option("--mnist", type=FILE, metavar="DATA.npz",
              help="File of train_images and test_images, the inputs of --published.  "
                   "[default: LeNet-300-100 is left out]")
@click.option("--all-verilog", is_flag=True,
              help="Run the digits on 256 PEs in Verilog too; the simulator takes minutes to "
                   "build.  [default: predict their cycles]")
@click.option("--seed", type=int, default=1, show_default=True,
              help="Seed of the layers and their inputs, and of the choice of test images.")
@simulators_option
@click.option("-o", "--output", type=OUTPUT_FILE, default=Path("build/bench-e2e.json"),
              show_default=True, help="JSON file for the table.")
def end_to_end_command(published: Path | None, mnist: Path | None, all_verilog: bool, seed: int,
                       cache: Path | None, output: Path) -> None:
    """Measure end-to-end cycles in Verilog.

    Runs the digits and LeNet-300-100 on 16 and 64 PEs and three layers of the paper on 64, 32
    inferences back to back and then one alone, transfers included. Takes about a minute once the
    simulators are built. The exit code is 1 if a result differs from the golden model, or a cycle
    or counter from the cycle model.
    """
    from eie_bench.end_to_end import headline, make_cases, measure_all, read_lenet, summarise
    from eie_compiler.files.json_file import write_json

    rows: list[Row] = []
    with progress_bar("compiling", log=True) as progress:
        lenet = read_lenet(published, mnist, seed) if published and mnist else None
        cases = make_cases(lenet, seed=seed, all_verilog=all_verilog)
        for row in measure_all(cases, cache=cache,
                               progress=lambda step: progress(step, len(rows), len(cases))):
            rows.append(row)
            progress(f"{row.network} on {row.n_pe} PEs: {row.cycles:,.1f} cycles", len(rows),
                     len(cases))
    order = [(case.network, case.build.config.n_pe) for case in cases]
    rows.sort(key=lambda row: order.index((row.network, row.n_pe)))
    write_json(output, summarise(rows, seed))
    is_right = _show(rows)
    if not lenet:
        click.echo("LeNet-300-100 is left out, as it needs --published and --mnist.")
    click.echo(headline(rows))
    if not is_right:
        sys.exit(1)


def _show(rows: "list[Row]") -> bool:
    """Print the table and the verdict; return True if every number is as expected."""
    print_table(make_table(
        "network", "PEs", "ideal", "bound", "net", "end-to-end", "predicted", "/ ideal", "/ bound",
        "latency", "predicted", "compared", "differences",
        title=f"cycles of an inference, {rows[0].predicted.inferences} back to back; ideal: "
              f"products / PEs; latency: one alone"),
        [[row.network, str(row.n_pe), f"{row.ideal:,.1f}", f"{row.predicted.bound:,.1f}",
          f"{row.net:,.1f}", f"{row.measured.cycles:,.1f}" if row.measured else "–",
          f"{row.predicted.cycles:,.1f}", f"{row.ratio:.3f}",
          f"{row.cycles / row.predicted.bound:.3f}",
          f"{row.measured.latency:,}" if row.measured else "–", f"{row.predicted.latency:,}",
          f"{row.compared:,}", f"{len(row.differences)}"] for row in rows])
    wrong = [f"{row.network} on {row.n_pe} PEs, {one}" for row in rows for one in row.differences]
    for line in wrong[:_MAX_SHOWN]:
        make_console().print(line, style="red")
    if wrong:
        verb = "differs" if len(wrong) == 1 else "differ"
        make_console().print(f"{format_count(len(wrong), 'number')} {verb} from what was expected.",
                             style="red")
    else:
        make_console().print(f"All {sum(row.compared for row in rows):,} results match the golden "
                             f"model bit for bit, and all cycles and counters the cycle model.",
                             style="green")
    return not wrong
