"""Tables, messages and progress of the subcommands."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .columns import GAP, fit_columns, fold

if TYPE_CHECKING:
    from eie_compiler.build import Build
    from eie_sim.demo.demo import Demo
    from eie_sim.inference import Inference
    from eie_sim.rtl.toolchain import Tool

__all__ = ["Cell", "format_count", "format_size", "make_console", "make_table", "print_table",
           "show_build", "show_demo", "show_inference", "show_tools", "warn_of_saturation",
           "working"]

#: Cell of a table. A plain string is printed verbatim, brackets included.
Cell = str | Text

#: Number of mismatches printed; the JSON lists more.
_MAX_SHOWN = 10

#: Columns and lines assumed for a pipe; the width exceeds that of any line.
_PIPE_SIZE = (1 << 20, 25)


def make_console(*, stderr: bool = False) -> Console:
    """Console of the current output.

    Nothing is markup, because paths and names may contain brackets. Lines are wrapped and progress
    is displayed on a terminal only, and colours elsewhere only if ``FORCE_COLOR`` asks for them.
    """
    # Rich reads the environment only here. The console is not cached, because output may be
    # redirected later, as in tests.
    if (sys.stderr if stderr else sys.stdout).isatty():
        return Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    # Without a height, Rich limits the width to that of TERM=dumb where FORCE_COLOR is set.
    width, height = _PIPE_SIZE
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False, width=width,
                   height=height, force_interactive=False)


@contextlib.contextmanager
def working(what: str, *, log: bool = False) -> Iterator[Callable[[str], None]]:
    """Show a spinner with the current step, which can be changed.

    In a pipe, each step is a line on standard error with `log`, which is for commands that take
    minutes. Without it nothing is shown.
    """
    console = make_console()
    if not console.is_interactive:
        def show(step: str) -> None:
            if log:
                click.echo(step, err=True)

        show(what)
        yield show
        return
    # A spinner parses strings as markup, whatever the setting of its console.
    with console.status(Text(f"{what} …")) as status:
        yield lambda step: status.update(Text(f"{step} …"))


def show_tools(tools: "list[Tool]") -> None:
    """Print a table of tools, then the remedy for each that is missing or too old."""
    rows: list[list[Cell]] = [
        [tool.name, tool.purpose, tool.version or ("unknown" if tool.path else "–"),
         "any" if tool.minimum == "0" else f"≥ {tool.minimum}",
         Text("yes", "green") if tool.ok else Text("no", "red") if tool.failed else "optional"]
        for tool in tools]
    print_table(make_table("tool", "for", "found", "minimum", "ok"), rows)
    console = make_console()
    for tool in tools:
        if not tool.ok:
            # Rich would wrap commands, which could not be copied then.
            console.print(f"{tool.name}: {tool.advice}", soft_wrap=True)


def show_build(title: str, build: "Build") -> None:
    """Print the layers and memories of a build."""
    report = build.report
    rows = [[layer["name"], format_size(layer["shape"]), f"{layer['density']:.1%}",
             str(layer["tiles"]), f"{layer['entries']:,}",
             _share(layer["paddings"], layer["entries"]), f"{layer['entry_balance']:.1%}"]
            for layer in report["layers"]]
    print_table(make_table(
        "layer", "rows × columns", "density", "tiles", "entries", "padding", "entry balance",
        title=f"{title}: {format_count(build.config.n_pe, 'PE')}, {report['mapping']}"), rows)
    removed = [f"{len(dead):,} {reason} of {layer['name']}" for layer in report["layers"]
               for reason, dead in layer["dead_rows"].items() if dead]
    if removed:
        click.echo(f"dead rows removed: {', '.join(removed)}")
    if dead := report["dead_inputs"]:
        click.echo(f"dead inputs not sent: {dead:,} of {len(build.input.columns):,}")
    print_table(make_table("memory", "words", "depth", "bits", "instances"), [
        [name, f"{memory['words_used']:,}", f"{memory['words']:,}", str(memory["word_bits"]),
         str(memory["instances"])] for name, memory in report["memory"].items()])


def show_inference(title: str, inference: "Inference") -> None:
    """Print the counters and the result of the comparison."""
    from eie_hdl.format import COUNTERS
    from eie_sim.inference import net_cycles

    inferences = len(inference.entries)
    rows = [[name, COUNTERS[name], f"{values.mean():,.1f}"]
            for name, values in inference.counters.items()]
    if inference.pe_utilisation is not None:
        rows.append(["net cycles", "cycles without phase_output",
                     f"{net_cycles(inference.counters).mean():,.1f}"])
        rows += _end_to_end_rows(inference)
        rows.append(["PE utilisation", "macs / (cycles · PEs)", f"{inference.pe_utilisation:.1%}"])
    rows.append(["entry balance", "entries of a PE, mean / greatest",
                 f"{inference.entry_balance:.1%}"])
    print_table(make_table("per inference", "", "",
                           title=f"{title}: {format_count(inferences, 'inference')}, "
                                 f"{inference.engine}"), rows)
    _show_verdict(inference)


def _end_to_end_rows(inference: "Inference", per: str = "") -> list[list[str]]:
    found = inference.end_to_end
    return [] if found is None else [
        [f"end-to-end cycles{per}", f"transfers included, mean of {found.inferences} back to back",
         f"{found.cycles:,.1f}"],
        [f"bound of end-to-end cycles{per}", "broadcasts, entries of the busiest PE, or beats",
         f"{found.bound:,.1f}"],
        ["latency of a single inference", "last input beat to last result beat",
         f"{found.latency:,}"]]


def warn_of_saturation(inference: "Inference") -> None:
    """Print a warning for each vector of which elements saturated."""
    for number, (name, one) in enumerate(inference.saturation.items()):
        if one.saturated:
            what = f"results of layer {name}" if number else "input elements"
            remedy = "scale the inputs as those of `eie compress --calibrate`" if not number else \
                f"compress with --calibrate and such inputs, or --pin {name}=BITS"
            click.echo(f"eie: warning: {one.saturated:,} of {one.elements:,} {what} "
                       f"({one.saturated / one.elements:.1%}) were beyond {one.least:g} to "
                       f"{one.greatest:g} and saturated: {remedy}", err=True)


def show_demo(title: str, demo: "Demo") -> None:
    """Print the results of the demo."""
    from eie_sim.inference import net_cycles

    show_build(f"{title}/build", demo.build)
    inference, memory = demo.inference, demo.build.report["memory"]
    used, there = (sum(row[key] for row in memory.values()) / 8192 for key in ("bits_used", "bits"))
    walked = inference.counters["macs"].sum() + inference.counters["paddings"].sum()
    cycles, net = inference.counters["cycles"], net_cycles(inference.counters)
    print_table(make_table(f"{format_count(demo.images, 'handwritten digit')}, "
                           f"{format_count(inference.entries.shape[1], 'PE')}",
                  f"{inference.engine} ({inference.simulator})"), [
        ["accuracy, dense floating point", f"{demo.accuracy['dense']:.2%}"],
        ["accuracy, compressed floating point", f"{demo.accuracy['compressed']:.2%}"],
        ["accuracy, hardware", f"{demo.accuracy['hardware']:.2%}"],
        ["program cycles per image, mean (least to greatest)",
         f"{cycles.mean():,.1f} ({cycles.min()} to {cycles.max()})"],
        *([["net cycles per image", f"{net.mean():,.1f}"]] if (net != cycles).any() else []),
        *([name, value] for name, _, value in _end_to_end_rows(inference, " per image")),
        ["MACs per image", f"{inference.counters['macs'].mean():,.1f}"],
        ["broadcasts per image", f"{inference.counters['broadcasts'].mean():,.1f}"],
        ["PE utilisation", f"{inference.pe_utilisation:.1%}"],
        ["padding", _share(int(inference.counters["paddings"].sum()), int(walked))],
        ["entry balance", f"{inference.entry_balance:.1%}"],
        ["memory used", f"{used:,.1f} of {there:,.1f} KiB"],
        ["Verilog", f"{sum(demo.verilog.values()) / 1024:,.1f} KiB"],
        ["simulated in", f"{inference.seconds:.1f} s"]])
    _show_verdict(inference)


def _show_verdict(inference: "Inference") -> None:
    if inference.engine == "golden":
        return
    console = make_console()
    if inference.predicted:
        console.print("The cycle model predicted all counters and cycles; no Verilog was run.")
        return
    n_numbers = sum(output.size for output in inference.outputs)
    if inference.ok:
        console.print(f"All {n_numbers:,} outputs, and the counts of broadcasts, MACs and "
                      f"paddings, match the golden model bit for bit.", style="green")
    for mismatch in inference.mismatches[:_MAX_SHOWN]:
        console.print(str(mismatch), style="red")
    if inference.mismatches:
        verb = "differs" if len(inference.mismatches) == 1 else "differ"
        console.print(f"{format_count(len(inference.mismatches), 'number')} {verb} from the golden "
                      f"model.", style="red")
    if inference.overflows:
        console.print(f"An accumulator overflowed in "
                      f"{format_count(inference.overflows, 'inference')}.",
                      style="red")


def make_table(*columns: str, title: str | None = None) -> Table:
    """Create an empty table."""
    table = Table(title=title, box=None, pad_edge=False, padding=(0, GAP, 0, 0))
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def print_table(table: Table, rows: Sequence[Sequence[Cell]]) -> None:
    """Print a table with its rows; columns of numbers are right-aligned.

    Numbers are never wrapped, and names and paths at separators only. A table that does not fit
    then exceeds the width of the terminal.
    """
    console = make_console()
    texts: list[list[Cell]] = []
    for column, cells in zip(table.columns, zip(*rows)):
        number = all(str(cell).removeprefix("-")[:1].isdigit() or str(cell) in ("–", "")
                     for cell in cells)
        column.justify = "right" if number else "left"
        texts.append([] if number else list(cells))
    fit, gap = fit_columns([str(column.header) for column in table.columns],
                           list(zip(*rows)) or [()] * len(table.columns),
                           [bool(cells) for cells in texts], console.width)
    table.padding = (0, gap, 0, 0)
    for column, width in zip(table.columns, fit):
        column.header = fold(str(column.header), width)
    for row in rows:
        table.add_row(*(fold(cell, width) if isinstance(cell, str) else cell
                        for cell, width in zip(row, fit)))
    if table.title:
        # Rich would wrap the title at the width of the columns and split paths.
        console.print(table.title, style="table.title", soft_wrap=True)
        table.title = None
    console.width = max(console.width, sum(fit) + gap * (len(fit) - 1))
    console.print(table, crop=False)
    console.print()


def format_count(n: int, noun: str) -> str:
    """Format a number of things, whose noun is in the singular."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def format_size(shape: list[int]) -> str:
    """Format the shape of a matrix as rows × columns."""
    return f"{shape[0]:,} × {shape[1]:,}"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "0.0%"
