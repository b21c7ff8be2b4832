"""What the subcommands print."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from eie_hdl.format import COUNTERS

if TYPE_CHECKING:
    from eie_compiler.build import Build
    from eie_compiler.network import CompressedNetwork
    from eie_sim.demo import Demo
    from eie_sim.inference import Inference
    from eie_sim.tools import Tool

__all__ = ["describe_network", "show_build", "show_demo", "show_inference", "show_network",
           "show_tools", "working"]

#: Mismatches that are printed; all are in the JSON.
_MAX_SHOWN = 10

#: In a pipe nothing must be cut to the width of a terminal that is not there.
_console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)


@contextlib.contextmanager
def working(what: str) -> Iterator[Callable[[str], None]]:
    """Show that something is being done; what it is can be changed. Silent in a pipe."""
    if not _console.is_terminal:
        yield lambda step: None
        return
    with _console.status(f"{what} …") as status:
        yield lambda step: status.update(f"{step} …")


def show_tools(tools: "list[Tool]") -> None:
    """Tools, and what to do about those that are not good enough."""
    rows = [[tool.name, tool.purpose, tool.version or "–", f"≥ {tool.minimum}",
             "[green]yes" if tool.ok else "[red]no", tool.advice] for tool in tools]
    _print(_table("tool", "for", "found", "needed", "good", "what to do"), rows)


def describe_network(network: "CompressedNetwork") -> dict[str, Any]:
    """A network as plain JSON, without its weights."""
    return {"v_width": network.v_width, "input_frac": network.input_frac, "layers": [
        {"name": layer.name, "shape": [layer.n_rows, layer.n_cols], "nonzeros": layer.n_nonzeros,
         "density": layer.n_nonzeros / (layer.n_rows * layer.n_cols), "relu": layer.relu,
         "output_frac": layer.output_frac} for layer in network.layers]}


def show_network(title: str, network: "CompressedNetwork") -> None:
    """Layers of a network."""
    rows = [[layer["name"], _size(layer["shape"]), f"{layer['nonzeros']:,}",
             f"{layer['density']:.1%}", "ReLU" if layer["relu"] else "", str(layer["output_frac"])]
            for layer in describe_network(network)["layers"]]
    _print(_table("layer", "rows × columns", "nonzeros", "density", "", "fraction bits",
                  title=title), rows)


def show_build(title: str, build: "Build") -> None:
    """Layers and memories of a build."""
    manifest = build.manifest
    rows = [[layer["name"], _size(layer["shape"]), f"{layer['density']:.1%}", str(layer["tiles"]),
             f"{layer['entries']:,}", _share(layer["paddings"], layer["entries"]),
             f"{layer['load_balance']:.1%}"] for layer in manifest["layers"]]
    _print(_table("layer", "rows × columns", "density", "tiles", "entries", "padding",
                  "load balance", title=f"{title}: {build.config.n_pe} PEs, {manifest['mapping']}"),
           rows)
    _print(_table("memory", "words", "of", "bits", "instances"), [
        [name, f"{memory['words_used']:,}", f"{memory['words']:,}", str(memory["word_bits"]),
         str(memory["instances"])] for name, memory in manifest["memory"].items()])


def show_inference(title: str, inference: "Inference") -> None:
    """Counters, and whether all is as it should be."""
    images = len(inference.entries)
    rows = [[name, COUNTERS[name], f"{values.mean():,.1f}"]
            for name, values in inference.counters.items()]
    if inference.utilisation is not None:
        rows.append(["MAC utilisation", "macs / (cycles · PEs)", f"{inference.utilisation:.1%}"])
    rows.append(["load balance", "entries of a PE, mean / greatest", f"{inference.balance:.1%}"])
    _print(_table("per image", "", "", title=f"{title}: {images} images, {inference.engine}"), rows)
    _show_verdict(inference)


def show_demo(title: str, demo: "Demo") -> None:
    """The demo's figures."""
    show_build(f"{title}/build", demo.build)
    inference, memory = demo.inference, demo.build.manifest["memory"]
    used, there = (sum(row[key] for row in memory.values()) / 8192 for key in ("bits_used", "bits"))
    walked = inference.counters["macs"].sum() + inference.counters["paddings"].sum()
    cycles = inference.counters["cycles"]
    _print(_table(f"{demo.images} handwritten digits, {inference.entries.shape[1]} PEs",
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
        _console.print(f"[green]All {n_numbers:,} outputs and all counters are those of the golden "
                       f"model, bit by bit.")
    for mismatch in inference.mismatches[:_MAX_SHOWN]:
        _console.print(f"[red]{mismatch}")
    if inference.mismatches:
        _console.print(f"[red]{len(inference.mismatches):,} numbers are not those of the golden "
                       f"model.")
    if inference.overflows:
        _console.print(f"[red]An accumulator overflowed in {inference.overflows} images.")


def _table(*columns: str, title: str | None = None) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _print(table: Table, rows: list[list[str]]) -> None:
    """Numbers are flush right."""
    for column, cells in zip(table.columns, zip(*rows)):
        if all(cell[:1].isdigit() or cell in ("–", "") for cell in cells):
            column.justify = "right"
    for row in rows:
        table.add_row(*row)
    _console.print(table)
    _console.print()


def _size(shape: list[int]) -> str:
    return f"{shape[0]:,} × {shape[1]:,}"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "0.0%"
