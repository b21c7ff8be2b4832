"""Tables of builds of graphs, and of their inferences."""

from typing import TYPE_CHECKING, Any

import click

from .console import Cell, format_count, make_console, make_table, print_table
from .verdict import warn

if TYPE_CHECKING:
    from eie_compiler.graph_build import GraphBuild
    from eie_sim.graph_inference import GraphInference
    from eie_sim.node_runs import NodeRun

__all__ = ["show_graph_build", "show_graph_inference", "warn_of_graph_saturation"]

#: Number of nodes with differences that are printed; the JSON lists all.
_MAX_SHOWN = 10


def show_graph_build(title: str, build: "GraphBuild") -> None:
    """Print where each node of a graph is computed, its work, and the memories of each load."""
    report = build.report
    total = report["total"]
    predicted = build.predicted or {}
    names = ("net_cycles", "cycles") if predicted else ()
    rows = [[node["path"], node["where"], node["operation"], _format_shape(node["shape"]),
             *_work(node), *(_mean(predicted.get(node["path"], {}).get(name), 1) for name in names),
             str(node["frac"])] for node in report["nodes"]]
    rows.append(["all", "", "", "", *_work(total), *(
        _mean(sum(cycles[name] for cycles in predicted.values()), 1) for name in names), ""])
    print_table(make_table(
        "node", "computed by", "operation", "result", "vectors", "weights", "MACs",
        "host operations", *(["net cycles", "end-to-end cycles"] if predicted else []),
        "fraction bits",
        title=f"{title}: {format_count(build.config.n_pe, 'PE')}, {report['mapping']}, "
              f"{format_count(total['programs'], 'program')} in "
              f"{format_count(total['loads'], 'load')}; work of an inference"), rows)
    click.echo(f"Share of the arithmetic on the accelerator: {total['accelerator_share']:.1%}.\n")
    for note in report["notes"]:
        click.echo(f"note: {note}")
    print_table(make_table("load", "memory", "words", "depth", "bits", "instances"), [
        [str(number), name, f"{memory['words_used']:,}", f"{memory['words']:,}",
         str(memory["word_bits"]), str(memory["instances"])]
        for number, paths in enumerate(build.loads)
        for name, memory in build.programs[paths[0]].report["memory"].items()])


def _work(counts: dict[str, Any]) -> list[str]:
    return [f"{counts[name]:,}" if counts[name] else ""
            for name in ("vectors", "weights", "macs", "host_operations")]


def _format_shape(shape: list[int]) -> str:
    return " × ".join(f"{length:,}" for length in shape)


def show_graph_inference(title: str, inference: "GraphInference") -> None:
    """Print the cycles of each node of layers, what saturated, and the result of the comparison."""
    batch, total = inference.batch, inference.total
    rows: list[list[Cell]] = [
        [node.path, node.operation, _mean(node.vectors, batch), _mean(node.counters["macs"], batch),
         *_cycles(node, batch), _share(node.pe_utilisation),
         _share(node.entry_balance) if node.on_accelerator else "", f"{node.saturated:,}"]
        for node in inference.nodes.values() if node.on_accelerator or node.saturated]
    rows.append(["all", "", _mean(total["vectors"], batch), _mean(total["macs"], batch),
                 _mean(total["net_cycles"], batch), _mean(total["cycles"], batch),
                 _share(total["pe_utilisation"]), "", f"{total['saturated']:,}"])
    print_table(make_table(
        "node", "operation", "vectors", "MACs", "net cycles", "end-to-end cycles", "PE utilisation",
        "entry balance", "saturated, of all", title=f"{title}: {format_count(batch, 'inference')}, "
                                   f"{inference.engine}; per inference"), rows)
    if total["loads"]:
        click.echo(f"The memories were loaded {format_count(total['loads'], 'time')}, in "
                   f"{total['load_cycles']:,} cycles besides these.")
    if total["cycles"] is not None:
        click.echo("End-to-end cycles are those of the vectors of a node back to back. The steps "
                   "of the host between nodes take time of the host, which is not counted.")
    if inference.machines > 1:
        click.echo(f"{inference.machines} simulated machines shared these vectors, each of which "
                   "fills and drains its pipeline: one takes fewer cycles, as --engine cycle-model "
                   "predicts.")
    _show_verdict(inference)


def _mean(count: float | None, batch: int) -> str:
    return f"{count / batch:,.1f}".removesuffix(".0") if count else ""


def _cycles(node: "NodeRun", batch: int) -> list[str]:
    return [_mean(node.scaled(node.net_cycles, node.sampled), batch),
            _mean(node.scaled(node.cycles, node.timed), batch)]


def _share(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _show_verdict(inference: "GraphInference") -> None:
    console = make_console()
    runs = [node for node in inference.nodes.values() if node.on_accelerator]
    sampled = sum(node.sampled for node in runs)
    if sampled and sampled < inference.total["vectors"]:
        click.echo(f"Net cycles are scaled from {sampled:,} of {inference.total['vectors']:,} "
                   f"vectors, evenly spread.")
    if inference.predicted:
        console.print("The cycle model predicted all cycles; no Verilog was run.")
        return
    if inference.engine == "golden":
        return
    if inference.ok:
        console.print(f"All {inference.compared:,} results of all nodes match the golden model bit "
                      f"for bit.", style="green")
    different = [node for node in inference.nodes.values() if node.differences]
    for node in different[:_MAX_SHOWN]:
        assert node.first
        console.print(f"node {node.path}: {node.differences:,} of {node.compared:,} numbers "
                      f"differ, first {list(node.first.at)}: got {node.first.got}, expected "
                      f"{node.first.expected}", style="red")
    if different:
        console.print(f"{inference.differences:,} of {inference.compared:,} numbers in "
                      f"{format_count(len(different), 'node')} differ from the golden model.",
                      style="red")
    for node in runs:
        if node.overflows:
            console.print(f"An accumulator overflowed in {node.overflows} of {node.sampled} "
                          f"vectors of node {node.path}.", style="red")


def warn_of_graph_saturation(inference: "GraphInference", elements: dict[str, int]) -> None:
    """Warn of each input and node of which elements saturated.

    Parameters
    ----------
    elements : :class:`dict` of :class:`str` to :class:`int`
        Number of elements of each input.
    """
    for name, count in inference.saturated_inputs.items():
        if count:
            warn(f"{count:,} of {elements[name]:,} elements of input {name} "
                 f"({count / elements[name]:.1%}) were beyond its format and saturated: scale the "
                 "inputs as those of `eie compress --calibrate`")
    nodes = [node for node in inference.nodes.values() if node.saturated]
    if nodes:
        worst = max(nodes, key=lambda node: node.saturated / node.elements)
        warn(f"results of {format_count(len(nodes), 'node')} were beyond their formats and "
             f"saturated, most of {worst.path}: {worst.saturated:,} of {worst.elements:,} "
             f"({worst.saturated / worst.elements:.1%}): compress with --calibrate and such inputs")
