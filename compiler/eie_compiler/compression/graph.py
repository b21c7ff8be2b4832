"""Compression of a model that is a graph: its layers node by node, then all formats."""

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import EIEConfig

from ..errors import CompressError
from ..graph.graph import Graph, Node, apply_layers, evaluate
from ..graph.operation import Operation
from ..model import Model
from ..network import CompressedNetwork
from .calibration import fit_frac
from .compress import compress
from .graph_formats import choose_fracs, find_nonnegative
from .graph_layers import decompress_dense, replace_layers
from .graph_samples import VectorSample, check_samples, sample_batches
from .groups import count_groups
from .prune import check_pruning
from .weight_sharing import check_sharing

__all__ = ["compress_graph", "layer_paths"]

Floats = NDArray[np.float64]


def compress_graph(graph: Graph, calibration: Mapping[str, NDArray[Any]] | None, *,
                   density: float | Mapping[str, float] | None = None, v_width: int = 4,
                   values: int | Mapping[str, int] | None = None, kmeans_init: str = "exact",
                   act_width: int = 16, codebook_width: int = 16,
                   progress: Callable[[str], None] = lambda step: None) -> Graph:
    """Compress a model that is a graph, without retraining.

    The layers of each node are compressed as :func:`~.compress.compress` does, for the vectors that
    they get with the samples; if there are very many, for a random sample of them. Each tensor then
    gets the finest format that holds all numbers which the network computes with the samples, over
    all steps of a scan.

    Parameters
    ----------
    graph : :class:`~..graph.graph.Graph`
        Model to compress.
    calibration : mapping of :class:`str` to array (n_samples, ...)
        Samples for each input. They are required: no bounds are known for states of scans.
    density : :class:`float`, or mapping of :class:`str` to :class:`float`, optional
        Share of the weights that stays, for all nodes or by path of a node, as for
        :func:`~.prune.prune`; of a grouped convolution, of those in its groups. All nonzeros of
        other nodes stay.
    v_width : :class:`int`, 2 to 8
        Width of a codebook index in bits.
    values : :class:`int`, or mapping of :class:`str` to :class:`int`, optional
        Most shared values of a codebook besides zero, for all nodes or by path of a node; by
        default ``2 ** v_width - 1``.
    kmeans_init, act_width, codebook_width, progress
        As for :func:`~.compress.compress`.

    Raises
    ------
    CompressError, ConfigError
        If an option is invalid, samples do not match the graph, or results are not finite.
    """
    check_sharing(v_width, kmeans_init)
    EIEConfig.check("act_width", act_width)
    EIEConfig.check("codebook_width", codebook_width)
    densities = _by_path(graph, "density", density)
    limits = _by_path(graph, "values", values)
    for share in densities.values():
        check_pruning(share, None)
    for limit in limits.values():
        if type(limit) is not int or not 1 <= limit < 1 << v_width:
            raise CompressError(f"values must be integers from 1 to {(1 << v_width) - 1}, as "
                                f"v_width = {v_width}, not {limit!r}")
    samples = check_samples(graph, calibration)
    vectors = _sample_vectors(graph, samples, progress)
    nonnegative = find_nonnegative(graph)

    def compress_node(path: str, model: Model) -> CompressedNetwork:
        progress(f"compressing {path}")
        share = densities.get(path)
        # Zeros between the groups of a convolution are no weights.
        groups = count_groups(model.layers[0].weight, model.patches)
        shares = None if share is None else [share / groups, *[share] * (len(model.layers) - 1)]
        try:
            network = compress(
                dataclasses.replace(model, patches=None), density=shares,
                v_width=v_width, n_shared=limits.get(path), kmeans_init=kmeans_init,
                act_width=act_width, codebook_width=codebook_width, reconstruct=True,
                calibration=vectors.pop(path), nonnegative_inputs=nonnegative[_operands[path]])
        except CompressError as error:
            raise CompressError(f"node {path!r}: {error}") from error
        return dataclasses.replace(network, patches=model.patches)

    _operands = _find_operands(graph)
    return _set_formats(replace_layers(graph, compress_node), samples, act_width, progress)


def layer_paths(graph: Graph) -> list[str]:
    """List the paths of the nodes that are layers, those in bodies of scans included."""
    return [path for path, node in graph.walk()
            if isinstance(node.computation, (Model, CompressedNetwork))]


def _find_operands(graph: Graph) -> dict[str, str]:
    """Path of the operand of each node that is layers."""
    return {path: path.removesuffix(node.name) + node.inputs[0] for path, node in graph.walk()}


def _by_path(graph: Graph, option: str, values: Any) -> dict[str, Any]:
    """Expand an option that is one number for all layers to one for each."""
    paths = layer_paths(graph)
    if values is None:
        return {}
    if isinstance(values, (list, tuple)):
        raise CompressError(f"{option} must be one number for all nodes of a graph, or a number by "
                            f"path of a node, not {len(values)} numbers")
    if not isinstance(values, Mapping):
        return dict.fromkeys(paths, values)
    if others := [path for path in values if path not in paths]:
        raise CompressError(f"{option} must be for {', '.join(paths)}, not {others[0]!r}")
    return dict(values)


def _sample_vectors(graph: Graph, samples: Mapping[str, NDArray[Any]],
                    progress: Callable[[str], None]) -> dict[str, Floats]:
    """Sample the vectors that the layers of each node get in the model."""
    found: dict[str, VectorSample] = {}

    def compute(path: str, _graph: Graph, node: Node, operands: list[Floats]) -> Floats:
        computation = node.computation
        if isinstance(computation, Operation):
            result = computation.real(*operands)
        else:
            assert isinstance(computation, Model)
            result = apply_layers(computation.patches, operands[0],
                                  lambda vectors: run(path, computation, vectors))
        _magnitude(path, result)
        return result

    def run(path: str, model: Model, vectors: Floats) -> Floats:
        if model.preprocessing is not None:
            raise CompressError(f"node {path!r}: layers of a graph must have no preprocessing: use "
                                "an operation")
        if path not in found:
            found[path] = VectorSample(vectors.shape[1])
        found[path].add(vectors)
        return model(vectors)

    for some, batch in sample_batches(graph, samples):
        progress(f"running the model on sample {some.start + 1}")
        with np.errstate(over="ignore", invalid="ignore"):
            evaluate(graph, batch, compute)
    return {path: sample.vectors for path, sample in found.items()}


def _set_formats(network: Graph, samples: Mapping[str, NDArray[Any]], act_width: int,
                 progress: Callable[[str], None]) -> Graph:
    """Choose all formats for the numbers that a network computes with samples."""
    models = {path: decompress_dense(node.computation) for path, node in network.walk()
              if isinstance(node.computation, CompressedNetwork)}
    #: Of inputs and results of nodes, and of the results of each layer of a node, by path.
    magnitudes: defaultdict[str, float] = defaultdict(float)
    inside: dict[str, list[float]] = {path: [0.0] * len(model.layers)
                                      for path, model in models.items()}

    def run(path: str, vectors: Floats) -> Floats:
        for number, layer in enumerate(models[path].layers):
            vectors = layer(vectors)
            inside[path][number] = max(inside[path][number], _magnitude(path, vectors))
        return vectors

    def compute(path: str, _graph: Graph, node: Node, operands: list[Floats]) -> Floats:
        if isinstance(node.computation, Operation):
            result = node.computation.real(*operands)
        else:
            result = apply_layers(models[path].patches, operands[0], lambda x: run(path, x))
        magnitudes[path] = max(magnitudes[path], _magnitude(path, result))
        return result

    for some, batch in sample_batches(network, samples):
        progress(f"choosing formats for sample {some.start + 1}")
        for name, numbers in batch.items():
            magnitudes[name] = max(magnitudes[name], _magnitude(name, numbers))
        with np.errstate(over="ignore", invalid="ignore"):
            evaluate(network, batch, compute)
    frac_of, operands = choose_fracs(network, magnitudes, act_width), _find_operands(network)

    def set_fracs(path: str, found: CompressedNetwork) -> CompressedNetwork:
        fracs = [*(fit_frac(one, act_width) for one in inside[path][:-1]), frac_of(path)]
        return dataclasses.replace(
            found, input_frac=frac_of(operands[path]),
            layers=tuple(dataclasses.replace(layer, output_frac=frac)
                         for layer, frac in zip(found.layers, fracs)))

    return replace_layers(network, set_fracs, frac_of)


def _magnitude(path: str, numbers: Floats) -> float:
    """Greatest magnitude of numbers, which must be finite."""
    greatest = float(np.abs(numbers).max())
    if not np.isfinite(greatest):
        raise CompressError(f"node {path!r}: results must be finite, but exceed the range of "
                            "floating-point numbers: scale the weights down")
    return greatest
