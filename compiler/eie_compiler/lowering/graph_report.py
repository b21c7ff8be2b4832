"""Reports of builds of graphs: where each node is computed, and its work, as plain JSON."""

import dataclasses
import math
import operator
from collections.abc import Mapping
from typing import Any

from eie_hdl.config import EIEConfig

from ..build import Build
from ..graph.graph import Graph, Scan
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
    nodes = [_describe_node(config, use) | _describe_program(use, programs, loads)
             for use in walk_uses(graph)]
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


def _describe_program(use: NodeUse, programs: Mapping[str, Build], loads: list[int]
                      ) -> dict[str, Any]:
    network = use.node.computation
    if not isinstance(network, CompressedNetwork):
        return {}
    build, vectors, patches = programs[use.path], count_vectors(use), network.patches
    pixels = patches.loop or patches.pixels if patches else 1
    # Work is that of the network, as often as it has results: a strip may have surplus pixels.
    results = use.times * math.prod(patches.output_shape) if patches else vectors
    weights, sizes = build.report["total"]["nonzeros"] // pixels, _sizes(network)
    is_local = build.report["layers"][0]["local"]
    return {"where": "accelerator", "operation": _name(use, is_local=is_local),
            "load": loads.index(id(build.images)), "vectors": vectors, "pixels": pixels,
            "loop": bool(patches and patches.loop), "local": is_local,
            "weights": weights, "weight_bits": network.v_width, "macs": results * weights,
            "dense_macs": results * sum(map(operator.mul, sizes, sizes[1:]))}


def _sizes(network: CompressedNetwork) -> list[int]:
    """Inputs, and rows of each layer, for one pixel."""
    patches = network.patches
    if patches is None:
        return [network.layers[0].n_cols, *(layer.n_rows for layer in network.layers)]
    return [dataclasses.replace(patches, pixels=1).n_inputs,
            *(layer.n_rows // patches.pixels for layer in network.layers)]


def _name(use: NodeUse, *, is_local: bool = False) -> str:
    """Name of the computation, for people; a loop may be in local mode."""
    computation = use.node.computation
    if isinstance(computation, Scan):
        return f"scan of {use.operands[0][0]} steps{', reversed' if computation.reverse else ''}"
    if isinstance(computation, CompressedNetwork):
        patches = computation.patches
        what = f"convolution {patches.kernel[0]} × {patches.kernel[1]}" if patches else \
            "fully connected"
        strips = f", strips of {patches.pixels}" if patches and patches.pixels > 1 else ""
        if patches and patches.loop:
            strips = f", {'local ' * is_local}loop of strips of {patches.loop}"
        return f"{what}, {' → '.join(map(str, _sizes(computation)))}{strips}"
    return type(computation).__name__


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
