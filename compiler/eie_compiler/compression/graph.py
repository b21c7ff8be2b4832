"""Compression of a model that is a graph: its layers node by node, then all formats."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import MAX_ACC_WIDTH, EIEConfig

from ..errors import CompressError
from ..graph.graph import Graph
from ..graph.layers import find_layers, layer_names
from ..model import Model
from ..network import CompressedNetwork
from .compress import compress
from .graph_calibration import calibrate_graph, find_operands
from .graph_formats import find_nonnegative
from .graph_order import compress_in_order
from .graph_samples import check_samples
from .graph_states import refine_states
from .groups import count_groups
from .prune import check_pruning
from .row_scales import scale_rows
from .weight_sharing import check_sharing

__all__ = ["compress_graph"]

Floats = NDArray[np.float64]


def compress_graph(graph: Graph, calibration: Mapping[str, NDArray[Any]] | None, *,
                   density: float | Mapping[str, float] | None = None, v_width: int = 4,
                   values: int | Mapping[str, int] | None = None, quantiser: str = "kmeans",
                   kmeans_init: str = "exact", act_width: int = 16, codebook_width: int = 16,
                   damping: float | None = None,
                   progress: Callable[[str], None] = lambda step: None) -> Graph:
    """Compress a model that is a graph, without retraining.

    Rows of different magnitudes are scaled first, as :func:`~.row_scales.scale_rows` does; layers
    with shared weights stay. The layers of each node are compressed as
    :func:`~.compress.compress` does, for the vectors that they get with the samples, as
    :func:`~.graph_order.compress_in_order` does. Each tensor then gets the finest format that holds
    all numbers which the network computes with the samples, over all steps of a scan, except
    accumulating states, as :func:`~.graph_states.refine_states` does. There is a note for each of
    them that saturates.

    Parameters
    ----------
    graph : :class:`~..graph.graph.Graph`
        Model to compress.
    calibration : mapping of :class:`str` to array (n_samples, ...)
        Samples for each input. They are required: no bounds are known for states of scans.
    density : :class:`float`, or mapping of :class:`str` to :class:`float`, optional
        Share of the weights that stays, for all nodes, by path of a node, or by name of a layer, as
        of :func:`~..graph.layers.layer_names`, as for :func:`~.prune.prune_by_effect`; of a grouped
        convolution, of those in its groups. All nonzeros of other layers stay.
    v_width : :class:`int`, 2 to 8
        Width of a codebook index in bits.
    values : :class:`int`, or mapping of :class:`str` to :class:`int`, optional
        Most shared values of a codebook besides zero, for all nodes or by path of a node; by
        default ``2 ** v_width - 1``.
    quantiser, kmeans_init, act_width, codebook_width, damping, progress
        As for :func:`~.compress.compress`.

    Raises
    ------
    CompressError, ConfigError
        If an option is invalid, samples do not match the graph, or results are not finite.
    """
    check_sharing(v_width, kmeans_init, quantiser)
    EIEConfig.check("act_width", act_width)
    EIEConfig.check("codebook_width", codebook_width)
    if damping is not None and not 0 < damping < np.inf:
        raise CompressError(f"damping must be a finite number above 0, not {damping}")
    models = find_layers(graph, Model)
    nodes = list(models)
    names = [name for path, model in models.items() for name in layer_names(path, model)]
    densities = _by_path(list(dict.fromkeys(nodes + names)), nodes, "density", density)
    limits = _by_path(nodes, nodes, "values", values)
    for share in densities.values():
        check_pruning(share, None)
    for limit in limits.values():
        if type(limit) is not int or not 1 <= limit < 1 << v_width:
            raise CompressError(f"values must be integers from 1 to {(1 << v_width) - 1}, as "
                                f"v_width = {v_width}, not {limit!r}")
    samples = check_samples(graph, calibration)
    graph = scale_rows(graph, (1 << v_width) - 1)
    nonnegative, operands = find_nonnegative(graph), find_operands(graph)

    def compress_node(path: str, model: Model, vectors: Floats, reached: Floats | None
                      ) -> CompressedNetwork:
        progress(f"compressing {path}")
        shares = [densities.get(name, densities.get(path)) for name in layer_names(path, model)]
        if shares[0] is not None:    # zeros between the groups of a convolution are no weights
            shares[0] /= count_groups(model.layers[0].weight, model.patches)
        try:
            network = compress(
                dataclasses.replace(model, patches=None),
                density=[1.0 if share is None else share for share in shares], v_width=v_width,
                n_shared=limits.get(path), quantiser=quantiser, kmeans_init=kmeans_init,
                act_width=act_width, codebook_width=codebook_width, reconstruct=True,
                damping=damping, calibration=vectors, reached=reached,
                nonnegative_inputs=nonnegative[operands[path]])
        except CompressError as error:
            raise CompressError(f"node {path!r}: {error}") from error
        return dataclasses.replace(network, patches=model.patches)

    network = calibrate_graph(compress_in_order(graph, samples, compress_node), samples, act_width,
                              progress)
    # Rounding of weights must not depend on the accumulators of a machine.
    config = EIEConfig(act_width=act_width, codebook_width=codebook_width, acc_width=MAX_ACC_WIDTH,
                       v_width=v_width)
    return refine_states(network, samples, config, progress)


def _by_path(known: list[str], nodes: list[str], option: str, values: Any) -> dict[str, Any]:
    """Expand an option that is one number for all nodes to one for each."""
    if values is None:
        return {}
    if isinstance(values, (list, tuple)):
        raise CompressError(f"{option} must be one number for all nodes of a graph, or a number by "
                            f"path of a node, not {len(values)} numbers")
    if not isinstance(values, Mapping):
        return dict.fromkeys(nodes, values)
    if others := [path for path in values if path not in known]:
        raise CompressError(f"{option} must be for {', '.join(known)}, not {others[0]!r}")
    return dict(values)
