"""Compression of the nodes of a graph in order, with what the nodes before them compute."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from ..errors import CompressError
from ..graph.evaluation import evaluate_real
from ..graph.graph import Graph
from ..graph.layers import find_layers, replace_layers
from ..model import Model
from ..network import CompressedNetwork
from .decompress import decompress_layer
from .graph_calibration import measure_magnitude
from .graph_layers import decompress_graph
from .graph_samples import VectorSample, choose_samples, sample_batches

__all__ = ["compress_in_order"]

Floats = NDArray[np.float64]

#: Function of path, layers, vectors that they get in the model, and in the network, if they differ.
Compress = Callable[[str, Model, Floats, Floats | None], CompressedNetwork]


def compress_in_order(graph: Graph, samples: Mapping[str, NDArray[Any]], compress: Compress
                      ) -> Graph:
    """Compress the layers of each node, with the vectors that they get in the model.

    Layers outside of scans also learn which they get in the network, after the nodes before them
    are compressed: biases can then correct the mean of all errors so far. If there are very many,
    some samples are used, and of each node a random sample of the vectors.

    Parameters
    ----------
    graph : :class:`~..graph.graph.Graph`
        Model.
    samples : mapping of :class:`str` to array (n_samples, ...)
        Samples for each input.
    compress : function
        Compresses the layers of a node.

    Raises
    ------
    CompressError
        If a node has preprocessing, or a result is not finite.
    """
    #: Tensors of the model, and of the network; one array as long as they are equal.
    values = {name: (array, array) for name, array in
              graph.preprocess(choose_samples(graph, samples)).items()}
    last = {name: node.name for node in graph.nodes for name in node.inputs}
    nodes = []
    for node in graph.nodes:
        dense, reached = ({name: values[name][which] for name in node.inputs} for which in (0, 1))
        same = all(dense[name] is reached[name] for name in dense)
        for name in dense:
            if last[name] == node.name:
                del values[name]
        part = Graph({name: graph.shapes[name] for name in dense}, (node,), (node.name,))
        vectors, result = _sample(part, dense)
        others = {} if same or not isinstance(node.computation, Model) \
            else _sample(part, reached)[0]
        network = _compress_part(part, compress, vectors, others)
        nodes.append(network.nodes[0])
        values[node.name] = result, result if same and _are_equal(part, network) \
            else _evaluate(decompress_graph(network), reached)
    return dataclasses.replace(graph, nodes=tuple(nodes))


def _compress_part(part: Graph, compress: Compress, vectors: Mapping[str, Floats],
                   reached: Mapping[str, Floats]) -> Graph:
    return replace_layers(part, lambda path, model: compress(path, model, vectors[path],
                                                             reached.get(path)))


def _are_equal(part: Graph, network: Graph) -> bool:
    """Return true if no weight or bias has changed; rounding may differ."""
    networks = find_layers(network, CompressedNetwork)
    return all(
        np.array_equal(before.bias, after.bias)
        and not (csc_array(before.weight) != decompress_layer(after).weight).nnz
        for path, model in find_layers(part, Model).items()
        for before, after in zip(model.layers, networks[path].layers))


def _evaluate(part: Graph, tensors: Mapping[str, Floats]) -> Floats:
    """Compute the output of a model."""
    return np.concatenate([evaluate_real(part, batch)[part.outputs[0]]
                           for _, batch in sample_batches(part, tensors)])


def _sample(part: Graph, tensors: Mapping[str, Floats]) -> tuple[dict[str, Floats], Floats]:
    """Compute the output of a model; sample the vectors that layers get, by path.

    The same vectors are chosen for other tensors of the same shape.
    """
    found: dict[str, VectorSample] = {}

    def run_layers(path: str, model: Model, vectors: Floats) -> Floats:
        if model.preprocessing is not None:
            raise CompressError(f"node {path!r}: layers of a graph must have no preprocessing: use "
                                "that of the graph")
        if path not in found:
            found[path] = VectorSample(vectors.shape[1])
        found[path].add(vectors)
        return model(vectors)

    results = []
    for _, batch in sample_batches(part, tensors):
        with np.errstate(over="ignore", invalid="ignore"):
            results.append(evaluate_real(part, batch, run_layers=run_layers,
                                         watch=measure_magnitude)[part.outputs[0]])
    return {path: sample.vectors for path, sample in found.items()}, np.concatenate(results)
