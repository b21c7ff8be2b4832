"""`eie compile`: the build of a network for a machine."""

from pathlib import Path

import click

from eie_hdl.config import EIEConfig

from .fit import find_machine, fit_option
from .options import FILE, FOLDER, NETWORK, command, machine_options
from .verdict import warn_of_precision

__all__ = ["compile_command"]


@command("compile")
@click.argument("network", type=NETWORK)
@machine_options
@fit_option
@click.option("--mapping", type=click.Choice(["balanced", "interleaved"]), default="balanced",
              show_default=True,
              help="Distribution of the rows over the PEs: by their entries, or row i to PE i mod "
                   "N.")
@click.option("--outputs", type=click.Choice(["last", "all"]), default="last", show_default=True,
              help="Layers whose results are sent to the host; all of a chain of layers only, not "
                   "of a graph.")
@click.option("--strips", type=click.Choice(["auto", "1", "2", "4", "8", "16"]), default="auto",
              show_default=True,
              help="Pixels of a convolution of a graph that a program, or a loop of the machine, "
                   "computes at a time: at most so many, or as many as save cycles and need no "
                   "further load of the memories.")
@click.option("--predict", type=FILE, metavar="X.npy",
              help="Predict the cycles of each node of a graph for these inputs, as for `eie run`, "
                   "without simulation; needs the extra [bench].  [default: no prediction]")
@click.option("-o", "--output", "folder", type=FOLDER, required=True,
              help="Folder to write the build to.")
def compile_command(network: Path, config: EIEConfig, fit: str | None, mapping: str,
                    outputs: str, strips: str, predict: Path | None, folder: Path) -> None:
    """Compile a network for a machine.

    NETWORK is a file written by `eie compress`. The build holds the memory images, the program
    included, and a build report. Rows of hidden layers and inputs that no result depends on are
    left out, unless all results are sent or rows are interleaved. Of a network that is a graph,
    each node of layers becomes a program; as many as fit the memories are loaded together. On a
    machine with loops, a convolution of a graph is run over a whole image, if it fits the machine
    and strips need no fewer cycles; a note says why another one is not. On one with local mode, a
    depthwise or grouped one is computed without a broadcast, where that needs fewer cycles. Files
    of an earlier build in the folder are replaced, all others are kept; a folder that has other
    files of their names is refused.
    """
    from eie_compiler.files.graph_file import read_any
    from eie_compiler.graph.graph import Graph
    from eie_compiler.graph_folder import write_graph_build
    from eie_compiler.lowering.compile import compile_network
    from eie_compiler.lowering.graph import compile_graph
    from eie_compiler.lowering.strips import uniform_strips

    from .console import show_build
    from .graph_builds import show_graph_build
    from .run_graph import predict_cycles

    if fit:
        config = find_machine(network, fit)
    read = read_any(network)
    if isinstance(read, Graph):
        if outputs == "all":
            raise click.UsageError("--outputs all needs a network that is a chain of layers, not a "
                                   "graph, whose outputs are in its file")
        graph_build = compile_graph(
            read, config, mapping=mapping,    # type: ignore[arg-type]
            strips=None if strips == "auto" else uniform_strips(read, int(strips)))
        if predict:
            graph_build = predict_cycles(graph_build, predict)
        write_graph_build(folder, graph_build)
        show_graph_build(str(folder), graph_build)
        warn_of_precision([layer | {"name": f"{path}/{layer['name']}"}
                           for path, report in graph_build.report["programs"].items()
                           for layer in report["layers"]])
        return
    if strips not in ("auto", "1"):
        raise click.UsageError("--strips needs a network that is a graph, not a chain of layers")
    if predict:
        raise click.UsageError("--predict needs a network that is a graph; a chain of layers is "
                               "predicted by `eie run --engine cycle-model`")
    build = compile_network(read, config,
                            mapping=mapping, outputs=outputs)    # type: ignore[arg-type]
    build.save(folder)
    show_build(str(folder), build)
    warn_of_precision(build.report["layers"])
