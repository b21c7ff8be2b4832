"""Tables of network files of graphs."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from .console import make_table, print_table
from .network_tables import describe_preprocessing

if TYPE_CHECKING:
    from eie_compiler.graph.graph import Graph

__all__ = ["describe_graph", "show_graph"]

#: Bytes of a weight or bias before compression.
_FLOAT32 = 4


def describe_graph(network: "Graph", whole: "Graph | None" = None) -> dict[str, Any]:
    """Describe a compressed graph and its file as plain JSON, without the weights.

    The ratio is to the matrices of `whole`, the network before dead channels were removed, if it is
    given.
    """
    from eie_compiler.files.graph_file import encode_graph

    nodes = _describe_nodes(network, "")
    size = len(encode_graph(network))
    dense = sum(_FLOAT32 * (layer["weights"] + layer["shape"][0])
                for node in (_describe_nodes(whole, "") if whole else nodes)
                for layer in node["layers"])
    return {"inputs": [{"name": name, "shape": list(shape), "frac": (network.fracs or {})[name],
                        "preprocessing": describe_preprocessing(network.preprocessing.get(name))}
                       for name, shape in network.inputs.items()],
            "nodes": nodes, "outputs": list(network.outputs), "notes": list(network.notes),
            "file": {"bytes": size, "ratio": dense / size}}


def _describe_nodes(network: "Graph", prefix: str) -> list[dict[str, Any]]:
    from eie_compiler.compression.groups import count_groups
    from eie_compiler.graph.graph import Recurrence, Scan, Subgraph
    from eie_compiler.network import CompressedNetwork

    rows = []
    for node in network.nodes:
        computation, path = node.computation, prefix + node.name
        layers = [{"name": layer.name, "shape": [layer.n_rows, layer.n_cols],
                   "weights": layer.n_rows * layer.n_cols // count_groups(
                       layer.codes, None if number else computation.patches),
                   "nonzeros": layer.n_nonzeros, "relu": layer.relu,
                   "values": int(np.count_nonzero(layer.codebook))}
                  for number, layer in enumerate(computation.layers)] \
            if isinstance(computation, CompressedNetwork) else []
        rows.append({"path": path, "kind": "layers" if layers else type(computation).__name__,
                     "inputs": list(node.inputs), "shape": list(network.shapes[node.name]),
                     "frac": (network.fracs or {})[node.name], "layers": layers})
        if isinstance(computation, Recurrence):
            computation = computation.scan
        if isinstance(computation, (Scan, Subgraph)):
            rows += _describe_nodes(computation.body, f"{path}/")
    return rows


def show_graph(path: Path, network: "Graph", check: dict[str, Any] | None = None,
               whole: "Graph | None" = None) -> None:
    """Print the nodes of a compressed graph, and what they cost, if it was measured; `whole` is as
    for :func:`describe_graph`.
    """
    described = describe_graph(network, whole)
    measured = {node["path"]: node for node in check["nodes"]} if check else {}
    inputs = ", ".join(f"{one['name']} {_shape(one['shape'])}" for one in described["inputs"])
    if scaled := [one["name"] for one in described["inputs"] if one["preprocessing"]]:
        inputs += f": the host subtracts an offset from {' and '.join(scaled)}, and scales it"
    rows = [[one["name"], "input, preprocessed" if one["preprocessing"] else "input",
             _shape(one["shape"]), "", "", "", str(one["frac"]),
             *_costs(measured, one["name"])] for one in described["inputs"]]
    rows += [[node["path"], *_layers(node), str(node["frac"]), *_costs(measured, node["path"])]
             for node in described["nodes"]]
    layers = [layer for node in described["nodes"] for layer in node["layers"]]
    rows.append(["all", "", "", *_weights(layers), "", *[""] * 3 * bool(measured)])
    print_table(make_table("node", "", "result", "weights", "density", "values", "fraction bits",
                           *(["clipped", "rounding error", "error"] if measured else []),
                           title=f"{path}: a graph of {inputs}"), rows)
    file = described["file"]
    print_table(make_table("file", "bytes", "ratio"),
                [["", f"{file['bytes']:,}", f"{file['ratio']:.1f}"]])
    for note in network.notes:
        click.echo(f"note: {note}")


def _layers(node: dict[str, Any]) -> list[str]:
    layers = node["layers"]
    kind = " → ".join(f"{layer['shape'][0]} × {layer['shape'][1]}"
                      f"{' ReLU' if layer['relu'] else ''}" for layer in layers) or node["kind"]
    return [kind, _shape(node["shape"]), *_weights(layers)]


def _weights(layers: list[dict[str, Any]]) -> list[str]:
    """Number of nonzero weights, their share, and the greatest number of values of a codebook."""
    if not layers:
        return ["", "", ""]
    nonzeros = sum(layer["nonzeros"] for layer in layers)
    weights = sum(layer["weights"] for layer in layers)
    return [f"{nonzeros:,}", f"{nonzeros / weights:.1%}",
            str(max(layer["values"] for layer in layers))]


def _costs(measured: dict[str, dict[str, Any]], path: str) -> list[str]:
    if not measured:
        return []
    if path not in measured:
        return ["–"] * 3
    one = measured[path]
    shares = one["saturated"] / one["elements"], one["rounding_error"], one["error"]
    return ["–" if share is None else f"{share:.3%}" for share in shares]


def _shape(shape: list[int]) -> str:
    return " × ".join(map(str, shape)) or "scalar"
