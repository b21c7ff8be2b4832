"""`eie bench peers`: the same networks on NNgen's designs, a processor core and this machine."""

import sys
from collections.abc import Mapping
from pathlib import Path

import click

from ..console import make_console, make_table, print_table
from ..options import FILE, FOLDER, command, published_option
from ..progress import progress_bar

__all__ = ["peers_command"]

_CPU = Path("/proc/cpuinfo")


@command("peers")
@published_option
@click.option("--mnist", type=FILE, metavar="DATA.npz",
              help="File of train_images, test_images and test_labels, for --published.  "
                   "[default: LeNet-300-100 is left out]")
@click.option("--cells/--no-cells", "with_cells", default=True, show_default=True,
              help="Synthesise the designs for an ECP5, most of the time of a first run.")
@click.option("--seed", type=int, default=1, show_default=True,
              help="Seed of the order of the test images of --mnist.")
@click.option("-o", "--output", "folder", type=FOLDER, default=Path("build/bench-peers"),
              show_default=True, help="Folder for peers.json, peers.md, Verilog and models.")
def peers_command(published: Path | None, mnist: Path | None, with_cells: bool, seed: int,
                  folder: Path) -> None:
    """Compare with other hardware for the same networks.

    Runs the handwritten digits and LeNet-300-100 on designs of NNgen in Verilator, on one core of
    the processor by ONNX Runtime and SciPy, and on this machine with 16 and 64 PEs in Verilator.
    Takes about half an hour; later runs reuse simulators and synthesis, see `eie cache`. Needs the
    extras [peers] and [synth]. The exit code is 1 if a result of the Verilog differs from the
    software model of its design.
    """
    from eie_bench.peers.processor import clock_rate
    from eie_bench.peers.run import count_steps, make_tables, markdown, measure_all, summarise
    from eie_bench.peers.tasks import make_digits, make_lenet
    from eie_compiler.files.json_file import write_json
    from eie_flows.cells import count_cells
    from eie_hdl.files import write_file

    def count(files: Mapping[str, str], top: str, memories: str) -> dict[str, int]:
        return count_cells(files, top=top, memories=memories)._asdict()

    tasks = [make_digits()]
    if published and mnist:
        tasks.append(make_lenet(published, mnist, seed))
    clock = clock_rate(_CPU.read_text(encoding="utf-8")) if _CPU.exists() else None
    rows = []
    with progress_bar("measuring", log=True) as progress:
        total, steps = count_steps(tasks), iter(range(count_steps(tasks)))
        for row in measure_all(tasks, folder, count_cells=count if with_cells else None,
                               clock=clock,
                               progress=lambda step: progress(step, next(steps), total)):
            rows.append(row)
            write_json(folder / "peers.json", summarise(tasks, rows, clock))
            write_file(folder / "peers.md", markdown(tasks, rows))
    for task in tasks:
        for table in make_tables(task, rows):
            print_table(make_table(*table.columns, title=table.title),
                        [list(cells) for cells in table.rows])
    if len(tasks) == 1:
        click.echo("LeNet-300-100 is left out, as it needs --published and --mnist.")
    if wrong := [row for row in rows if row.differences]:
        for row in wrong:
            make_console().print(f"{row.network} on {row.design}: {row.differences:,} of "
                                 f"{row.compared:,} results differ from the software model of the "
                                 f"design.", style="red")
        sys.exit(1)
    make_console().print(f"All {sum(row.compared for row in rows):,} results of Verilog match the "
                         f"software model of their design.", style="green")
