"""What the subcommands print."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from eie_compiler.build import Build
    from eie_sim.demo.demo import Demo
    from eie_sim.inference import Inference
    from eie_sim.rtl.toolchain import Tool

__all__ = ["console", "format_size", "make_table", "print_table", "show_build", "show_demo",
           "show_inference", "show_tools", "working"]

#: Mismatches that are printed; all are in the JSON.
_MAX_SHOWN = 10

#: In a pipe nothing must be cut to the width of a terminal that is not there.
console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)


@contextlib.contextmanager
def working(what: str) -> Iterator[Callable[[str], None]]:
    """Show that something is being done; what it is can be changed. Silent in a pipe."""
    if not console.is_terminal:
        yield lambda step: None
        return
    with console.status(f"{what} …") as status:
        yield lambda step: status.update(f"{step} …")


def show_tools(tools: "list[Tool]") -> None:
    """Tools, and what to do about those that are not good enough."""
    rows = [[tool.name, tool.purpose, tool.version or "–", f"≥ {tool.minimum}",
             "[green]yes" if tool.ok else "[red]no", tool.advice] for tool in tools]
    print_table(make_table("tool", "for", "found", "needed", "good", "what to do"), rows)


def show_build(title: str, build: "Build") -> None:
    """Layers and memories of a build."""
    report = build.report
    rows = [[layer["name"], format_size(layer["shape"]), f"{layer['density']:.1%}",
             str(layer["tiles"]), f"{layer['entries']:,}",
             _share(layer["paddings"], layer["entries"]), f"{layer['entry_balance']:.1%}"]
            for layer in report["layers"]]
    print_table(make_table(
        "layer", "rows × columns", "density", "tiles", "entries", "padding", "entry balance",
        title=f"{title}: {build.config.n_pe} PEs, {report['mapping']}"), rows)
    print_table(make_table("memory", "words", "of", "bits", "instances"), [
        [name, f"{memory['words_used']:,}", f"{memory['words']:,}", str(memory["word_bits"]),
         str(memory["instances"])] for name, memory in report["memory"].items()])


def show_inference(title: str, inference: "Inference") -> None:
    """Counters, and whether all is as it should be."""
    from eie_hdl.format import COUNTERS

    inferences = len(inference.entries)
    rows = [[name, COUNTERS[name], f"{values.mean():,.1f}"]
            for name, values in inference.counters.items()]
    if inference.utilisation is not None:
        rows.append(["MAC utilisation", "macs / (cycles · PEs)", f"{inference.utilisation:.1%}"])
    rows.append(["load balance", "entries of a PE, mean / greatest", f"{inference.balance:.1%}"])
    print_table(make_table("per inference", "", "",
                           title=f"{title}: {inferences} inferences, {inference.engine}"), rows)
    _show_verdict(inference)


def show_demo(title: str, demo: "Demo") -> None:
    """The demo's figures."""
    show_build(f"{title}/build", demo.build)
    inference, memory = demo.inference, demo.build.report["memory"]
    used, there = (sum(row[key] for row in memory.values()) / 8192 for key in ("bits_used", "bits"))
    walked = inference.counters["macs"].sum() + inference.counters["paddings"].sum()
    cycles = inference.counters["cycles"]
    print_table(make_table(f"{demo.images} handwritten digits, {inference.entries.shape[1]} PEs",
                  inference.engine), [
        ["accuracy, dense floating point", f"{demo.accuracy['dense']:.2%}"],
        ["accuracy, compressed floating point", f"{demo.accuracy['compressed']:.2%}"],
        ["accuracy, hardware", f"{demo.accuracy['hardware']:.2%}"],
        ["cycles per image, mean (least to greatest)",
         f"{cycles.mean():,.1f} ({cycles.min()} to {cycles.max()})"],
        ["MACs per image", f"{inference.counters['macs'].mean():,.1f}"],
        ["broadcasts per image", f"{inference.counters['broadcasts'].mean():,.1f}"],
        ["MAC utilisation", f"{inference.utilisation:.1%}"],
        ["padding", _share(int(inference.counters["paddings"].sum()), int(walked))],
        ["load balance", f"{inference.balance:.1%}"],
        ["memory used", f"{used:,.1f} of {there:,.1f} KiB"],
        ["Verilog", f"{sum(demo.verilog.values()) / 1024:,.1f} KiB"],
        ["simulated in", f"{inference.seconds:.1f} s"]])
    _show_verdict(inference)


def _show_verdict(inference: "Inference") -> None:
    if inference.engine == "golden":
        return
    n_numbers = sum(output.size for output in inference.outputs)
    if inference.ok:
        console.print(f"[green]All {n_numbers:,} outputs and all counters are those of the golden "
                       f"model, bit by bit.")
    for mismatch in inference.mismatches[:_MAX_SHOWN]:
        console.print(f"[red]{mismatch}")
    if inference.mismatches:
        console.print(f"[red]{len(inference.mismatches):,} numbers are not those of the golden "
                       f"model.")
    if inference.overflows:
        console.print(f"[red]An accumulator overflowed in {inference.overflows} inferences.")


def make_table(*columns: str, title: str | None = None) -> Table:
    """An empty table."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def print_table(table: Table, rows: list[list[str]]) -> None:
    """Print a table with its rows; numbers are flush right."""
    for column, cells in zip(table.columns, zip(*rows)):
        if all(cell[:1].isdigit() or cell in ("–", "") for cell in cells):
            column.justify = "right"
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print()


def format_size(shape: list[int]) -> str:
    """Rows and columns of a matrix."""
    return f"{shape[0]:,} × {shape[1]:,}"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "0.0%"
