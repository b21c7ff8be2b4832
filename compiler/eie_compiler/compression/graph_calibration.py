"""Formats of a compressed graph, from samples."""

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CompressError
from ..graph.evaluation import evaluate_real
from ..graph.graph import Graph
from ..graph.layers import find_layers, replace_layers
from ..network import CompressedNetwork
from .calibration import fit_frac
from .graph_formats import choose_fracs
from .graph_layers import decompress_dense
from .graph_samples import sample_batches

__all__ = ["calibrate_graph", "find_operands", "measure_magnitude", "set_formats"]

Floats = NDArray[np.float64]


def calibrate_graph(network: Graph, samples: Mapping[str, NDArray[Any]], act_width: int,
                    progress: Callable[[str], None]) -> Graph:
    """Choose all formats for the numbers that a network computes with samples.

    Parameters
    ----------
    network : :class:`~..graph.graph.Graph`
        Compressed network; its formats are ignored.
    samples : mapping of :class:`str` to array (n_samples, ...)
        Samples for each input.
    act_width, progress
        As for :func:`~.graph.compress_graph`.

    Raises
    ------
    CompressError
        If results are not finite, or an operation cannot compute its result in any format.
    """
    models = {path: decompress_dense(found)
              for path, found in find_layers(network, CompressedNetwork).items()}
    #: Of inputs and results of nodes, and of the results of each layer of a node, by path.
    magnitudes: defaultdict[str, float] = defaultdict(float)
    inside: dict[str, list[float]] = {path: [0.0] * len(model.layers)
                                      for path, model in models.items()}

    def run_layers(path: str, _network: CompressedNetwork, vectors: Floats) -> Floats:
        for number, layer in enumerate(models[path].layers):
            vectors = layer(vectors)
            inside[path][number] = max(inside[path][number], measure_magnitude(path, vectors))
        return vectors

    def watch(path: str, result: Floats) -> None:
        magnitudes[path] = max(magnitudes[path], measure_magnitude(path, result))

    for some, batch in sample_batches(network, samples):
        progress(f"choosing formats for sample {some.start + 1}")
        for name, numbers in network.preprocess(batch).items():
            watch(name, numbers)
        with np.errstate(over="ignore", invalid="ignore"):
            evaluate_real(network, batch, run_layers=run_layers, watch=watch)

    def set_inside(path: str, found: CompressedNetwork) -> CompressedNetwork:
        fracs = [fit_frac(one, act_width) for one in inside[path]]
        return dataclasses.replace(found, layers=tuple(
            dataclasses.replace(layer, output_frac=frac)
            for layer, frac in zip(found.layers, fracs)))

    return set_formats(replace_layers(network, set_inside),
                       choose_fracs(network, magnitudes, act_width))


def set_formats(network: Graph, frac_of: Callable[[str], int]) -> Graph:
    """Set the formats of all inputs and results of nodes; those inside of nodes stay.

    Parameters
    ----------
    network : :class:`~..graph.graph.Graph`
        Compressed network.
    frac_of : function of path
        Fraction bits of an input or of the result of a node.

    Raises
    ------
    GraphError
        If formats do not match.
    """
    operands = find_operands(network)

    def set_ends(path: str, found: CompressedNetwork) -> CompressedNetwork:
        last = dataclasses.replace(found.layers[-1], output_frac=frac_of(path))
        return dataclasses.replace(found, input_frac=frac_of(operands[path]),
                                   layers=(*found.layers[:-1], last))

    return replace_layers(network, set_ends, frac_of)


def measure_magnitude(path: str, numbers: Floats) -> float:
    """Greatest magnitude of numbers, which must be finite."""
    greatest = float(np.abs(numbers).max())
    if not np.isfinite(greatest):
        raise CompressError(f"node {path!r}: results must be finite, but exceed the range of "
                            "floating-point numbers: scale the weights down")
    return greatest


def find_operands(graph: Graph) -> dict[str, str]:
    """Find the path of the first operand of each node, by path."""
    return {path: path.removesuffix(node.name) + node.inputs[0] for path, node in graph.walk()}
