"""Reports of builds of graphs: where each node is computed, and its work, as plain JSON."""

import dataclasses
import math
import operator
from collections.abc import Mapping
from typing import Any

from eie_hdl.config import EIEConfig

from ..build import Build
from ..graph.graph import Graph, Recurrence, Scan, Subgraph
from ..graph.operation import Operation
from ..graph_build import NodeUse, count_vectors, walk_uses
from ..network import CompressedNetwork

__all__ = ["describe_graph"]

#: Operations that only move elements.
_MOVES = ("Reshape", "Transpose", "Slice", "Concat", "Pad")

_SUMS = ("vectors", "macs", "dense_macs", "host_operations", "weights")


def describe_graph(config: EIEConfig, graph: Graph, mapping: str, programs: Mapping[str, Build]
                   ) -> dict[str, Any]:
    """Make the report of a build of a graph; docs/build-folder.md defines each number."""
    loads = list(dict.fromkeys(id(build.images) for build in programs.values()))
    nodes: list[dict[str, Any]] = []
    for use in walk_uses(graph):
        row = _describe_node(config, use)
        nodes.append(row)
        if use.path in programs:
            build = programs[use.path]
            row |= {"where": "accelerator", "load": loads.index(id(build.images)),
                    "vectors": count_vectors(use)}
            nodes += _describe_program(config, use, build, row)
    total: dict[str, Any] = {name: sum(node[name] for node in nodes) for name in _SUMS}
    arithmetic = total["macs"] + total["host_operations"]
    return {
        "mapping": mapping,
        "inputs": {name: {"shape": list(shape), "frac": (graph.fracs or {})[name],
                          "preprocessed": name in graph.preprocessing}
                   for name, shape in graph.inputs.items()},
        "outputs": list(graph.outputs), "notes": list(graph.notes), "nodes": nodes,
        "total": total | {"programs": len(programs), "loads": len(loads),
                          "accelerator_share": total["macs"] / arithmetic if arithmetic else 1.0},
        "programs": {path: build.report for path, build in programs.items()}}


def _describe_node(config: EIEConfig, use: NodeUse) -> dict[str, Any]:
    fracs = use.graph.fracs or {}
    shape = use.graph.shapes[use.node.name]
    return {"path": use.path, "where": "host", "operation": _name(use),
            "inputs": list(use.node.inputs), "shape": list(shape), "times": use.times,
            "bits": config.act_width, "frac": fracs[use.node.name],
            "host_operations": use.times * _count_operations(use), **dict.fromkeys(
                ("vectors", "macs", "dense_macs", "weights"), 0)}


def _describe_program(config: EIEConfig, use: NodeUse, build: Build, row: dict[str, Any]
                      ) -> list[dict[str, Any]]:
    """Complete the row of a program; return those of the nodes of a subgraph, or of a step."""
    computation, layers = use.node.computation, build.report["layers"]
    if isinstance(computation, CompressedNetwork):
        row |= _describe_layers(use, computation, layers)
        return []
    assert isinstance(computation, (Recurrence, Subgraph))
    body, times = (computation.scan.body, use.times * computation.steps) \
        if isinstance(computation, Recurrence) else (computation.body, use.times)
    rows = []
    for node in body.nodes:
        inside = NodeUse(f"{use.path}/{node.name}", body, node, times)
        rows.append(_describe_node(config, inside) | {
            "where": "accelerator", "load": row["load"], "host_operations": 0})
        of_node = [layer for layer in layers if layer["node"] == node.name]
        if isinstance(node.computation, CompressedNetwork):
            if isinstance(computation, Recurrence):    # other tiles of the node convert operands
                of_node = [{"nonzeros": layer.n_nonzeros, "local": False}
                           for layer in node.computation.layers]
            rows[-1] |= _describe_layers(inside, node.computation, of_node)
        elif isinstance(computation, Subgraph) and of_node:
            is_local, pixels = of_node[0]["local"], of_node[0]["pixels"]
            rows[-1] |= {"operation": f"{_name(inside)}, {_name_loop(pixels, is_local=is_local)}",
                         "pixels": pixels, "loop": True, "local": is_local}
    return rows


def _describe_layers(use: NodeUse, network: CompressedNetwork, layers: list[dict[str, Any]]
                     ) -> dict[str, Any]:
    """Describe the layers of a node; `layers` are their reports."""
    patches = network.patches
    pixels = patches.loop or patches.pixels if patches else 1
    # Work is that of the network, as often as it has results: a strip may have surplus pixels.
    results = use.times * math.prod(patches.output_shape if patches else use.operands[0][:-1])
    weights, sizes = sum(layer["nonzeros"] for layer in layers) // pixels, _sizes(network)
    return {"operation": _name_layers(network, is_local=layers[0]["local"]), "pixels": pixels,
            "loop": bool(patches and patches.loop), "local": layers[0]["local"],
            "weights": weights, "weight_bits": network.v_width, "macs": results * weights,
            "dense_macs": results * sum(map(operator.mul, sizes, sizes[1:]))}


def _sizes(network: CompressedNetwork) -> list[int]:
    """Inputs, and rows of each layer, for one pixel."""
    patches = network.patches
    if patches is None:
        return [network.layers[0].n_cols, *(layer.n_rows for layer in network.layers)]
    return [dataclasses.replace(patches, pixels=1).n_inputs,
            *(layer.n_rows // patches.pixels for layer in network.layers)]


def _name(use: NodeUse) -> str:
    """Name of a computation, for people."""
    computation = use.node.computation
    if isinstance(computation, Recurrence):
        return f"{_name_scan(computation.scan, computation.steps)}, with states on the chip"
    if isinstance(computation, Scan):
        return _name_scan(computation, use.operands[0][0])
    if isinstance(computation, Subgraph):
        return f"subgraph of {len(computation.body.nodes)} nodes"
    return type(computation).__name__


def _name_scan(scan: Scan, steps: int) -> str:
    return f"scan of {steps} steps{', reversed' * scan.reverse}"


def _name_layers(network: CompressedNetwork, *, is_local: bool) -> str:
    """Name of layers, for people; a loop may be in local mode."""
    patches = network.patches
    what = f"convolution {patches.kernel[0]} × {patches.kernel[1]}" if patches else \
        "fully connected"
    strips = f", strips of {patches.pixels}" if patches and patches.pixels > 1 else ""
    if patches and patches.loop:
        strips = f", {_name_loop(patches.loop, is_local=is_local)}"
    return f"{what}, {' → '.join(map(str, _sizes(network)))}{strips}"


def _name_loop(pixels: int, *, is_local: bool) -> str:
    return f"{'local ' * is_local}loop of strips of {pixels}"


def _count_operations(use: NodeUse) -> int:
    """Operations of the host on elements.

    A window counts each of its elements; another operation the elements of its greatest operand,
    or of its result if that is greater; none if it only moves elements.
    """
    operation, shape = use.node.computation, use.graph.shapes[use.node.name]
    if not isinstance(operation, Operation) or type(operation).__name__ in _MOVES:
        return 0
    if hasattr(operation, "kernel"):
        return math.prod(operation.kernel) * math.prod(shape)
    return max(map(math.prod, (*use.operands, shape)))
