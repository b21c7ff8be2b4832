"""Compression of a graph with retraining: prune in steps, train shared weights, choose formats."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from eie_hdl.config import EIEConfig

from ..compression.graph import compress_graph
from ..compression.graph_samples import check_samples
from ..graph.graph import Graph
from .data import Data
from .errors import TrainingError
from .graph_module import GraphModule
from .loop import train
from .recipes import pruning_stages, sharing_stage
from .teacher import Teacher

__all__ = ["N_SAMPLES", "RetrainedGraph", "choose_output", "compress_graph_with_retraining",
           "put_first"]

#: Training inputs for which the formats are chosen, unless others are given; of these, each layer
#: gets many vectors.
N_SAMPLES = 1000


class RetrainedGraph(NamedTuple):
    """Result of :func:`compress_graph_with_retraining`.

    Attributes
    ----------
    network : :class:`~..graph.graph.Graph`
        Compressed network.
    records : list of :class:`dict`
        One record per epoch, as from :func:`~.loop.train`.
    """

    network: Graph
    records: list[dict[str, Any]]


def compress_graph_with_retraining(
        graph: Graph, data: Data, *, density: float | Mapping[str, float] | None = None,
        v_width: int = 4, quantiser: str = "kmeans", kmeans_init: str = "exact",
        update_labels: bool = False, act_width: int = 16, codebook_width: int = 16,
        calibration: Mapping[str, NDArray[Any]] | None = None,
        steps: int = 4, epochs: int = 20, rate: float = 1e-3, decay: float = 1e-2,
        batch: int = 128, seed: int = 0, threads: int = 1, teacher: Teacher | None = None,
        checkpoint: Path | None = None, resume: bool = False,
        on_epoch: Callable[[dict[str, Any]], None] = lambda record: None,
        progress: Callable[[str, int, int], None] = lambda step, done, total: None
        ) -> RetrainedGraph:
    """Compress a model that is a graph of one input with retraining, as in Deep Compression.

    All options are checked before training begins. Zeros stay zero; without `density`, only the
    shared weights are trained. The loss is that of the output which :func:`choose_output` chooses;
    layers that it does not depend on are not trained.

    Parameters
    ----------
    graph : :class:`~..graph.graph.Graph`
        Model to compress.
    data : :class:`~.data.Data`
        Data to train with, as from :func:`~.data.read_data`; inputs are reshaped to that of the
        graph.
    density : :class:`float` or mapping of :class:`str` to :class:`float`, above 0 to 1
        Share of the weights that stays, for all layers, or by path of a node, or of a layer of a
        node with several, ``node/layer``; of a grouped convolution, of those in its groups. Layers
        that are not named keep all weights.
    v_width, quantiser, kmeans_init, act_width, codebook_width
        As for :func:`~..compression.graph.compress_graph`.
    calibration : mapping of :class:`str` to array, optional
        Samples of the input, for which the formats are chosen; by default, training inputs, at most
        :data:`N_SAMPLES`.
    update_labels, steps, epochs, rate, decay, batch, seed, threads, teacher, checkpoint, resume
        As for :func:`~.retrain.compress_with_retraining`, as are `on_epoch` and `progress`.

    Raises
    ------
    CompressError, ConfigError
        If an option of the compression is invalid.
    TrainingError
        As for :func:`~.loop.train` and :class:`~.graph_module.GraphModule`; if no output fits the
        targets, or a density is for no layer.
    """
    module = GraphModule(put_first(graph, choose_output(graph, data)))
    for shape in graph.inputs.values():    # of which the module has only one
        data.check_shape(shape)
    shares = _spread(module, density)
    stages = [*pruning_stages(steps if min(shares) < 1 else 0, epochs, shares, rate=rate,
                              decay=decay, dropout=0),
              sharing_stage(epochs, v_width=v_width, quantiser=quantiser, kmeans_init=kmeans_init,
                            update_labels=update_labels, rate=rate)]
    EIEConfig.check("act_width", act_width)
    EIEConfig.check("codebook_width", codebook_width)
    if calibration is not None:
        check_samples(graph, calibration)
    records = train(module, data, stages, seed=seed, batch=batch, threads=threads,
                    teacher=teacher, checkpoint=checkpoint, resume=resume, on_epoch=on_epoch,
                    progress=progress)
    if calibration is None:
        (name, shape), = graph.inputs.items()
        calibration = {name: data.train.inputs[:N_SAMPLES].reshape(-1, *shape)}
    # The module is pruned and shared already: compression keeps its weights exactly.
    network = compress_graph(module.to_graph(), calibration, v_width=v_width, act_width=act_width,
                             codebook_width=codebook_width)
    return RetrainedGraph(dataclasses.replace(network, outputs=graph.outputs), records)


def choose_output(graph: Graph, data: Data) -> str:
    """Choose the output that targets are for: the first with as many numbers, or more classes.

    Scores of classes are a vector, that is, all axes but one have one element. Two classes may have
    a single score.

    Raises
    ------
    TrainingError
        If there is none.
    """
    wanted = max(data.n_outputs, 2) if data.classifies else data.n_outputs
    exact: list[str] = []
    more: list[str] = []
    for name in graph.outputs:
        shape = graph.shapes[name]
        count = math.prod(shape)
        if not data.classifies:
            exact += [name] * (count == wanted)
        elif max(shape, default=1) == count:
            exact += [name] * (max(count, 2) == wanted)
            more += [name] * (count > wanted)
    if not exact and not more:
        what = f"a vector of scores of {data.n_outputs} classes" if data.classifies \
            else f"{data.n_outputs} numbers"
        found = ", ".join(f"{name!r} of shape {graph.shapes[name]}" for name in graph.outputs)
        raise TrainingError(f"graph to retrain must have an output that is {what}, as the data "
                            f"have, not {found}")
    return (exact + more)[0]


def put_first(graph: Graph, output: str) -> Graph:
    """Put an output before the others."""
    others = (name for name in graph.outputs if name != output)
    return dataclasses.replace(graph, outputs=(output, *others))


def _spread(module: GraphModule, density: float | Mapping[str, float] | None) -> list[float]:
    """Expand a density to one for each layer."""
    if not isinstance(density, Mapping):
        return [1.0 if density is None else density] * len(module.names)
    known = [*dict.fromkeys(module.nodes), *module.names]
    if others := [path for path in density if path not in known]:
        raise TrainingError(f"density must be for {', '.join(dict.fromkeys(known))}, not "
                            f"{others[0]!r}")
    return [density.get(name, density.get(node, 1.0))
            for name, node in zip(module.names, module.nodes)]
