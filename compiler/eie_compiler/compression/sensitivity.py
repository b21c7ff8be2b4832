"""Sensitivity of layers: what a model loses if one of them is pruned, or shares its weights.

The layers are those of a chain, or the nodes of a graph, as the densities of compression are given
for them (Han et al., `Learning both Weights and Connections <https://arxiv.org/abs/1506.02626>`_,
NIPS 2015, Fig. 6).
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from ..errors import CompressError
from ..graph.graph import Graph
from ..graph.operation import Floats
from ..model import Model
from .graph_layers import densify
from .groups import count_groups
from .layer_changes import LayerChanges, as_graph
from .losses import count_nonzeros
from .prune import check_pruning, prune, prune_by_deviation
from .weight_sharing import check_sharing, share_weights

__all__ = ["DENSITIES", "WIDTHS", "measure_sensitivity", "propose_densities"]

#: Densities, and widths of codes, that are measured by default.
DENSITIES = (0.8, 0.6, 0.4, 0.2, 0.1)
WIDTHS = (2, 3, 4, 5, 6, 7, 8)


def measure_sensitivity(model: Model | Graph, samples: Mapping[str, NDArray[Any]] | NDArray[Any], *,
                        labels: NDArray[Any] | None = None, task: str | None = None,
                        densities: Sequence[float] = DENSITIES, widths: Sequence[int] = WIDTHS,
                        max_loss: float = 0.01,
                        progress: Callable[[str], None] = lambda step: None) -> dict[str, Any]:
    """Measure the score of a model with one layer pruned, or sharing weights, at a time.

    All else stays as it is, in floating point, without retraining. The weights that stay are those
    of greatest magnitude, as in compression of a chain, or those of
    :func:`~.prune.prune_by_effect`, as in compression of a graph; shared weights are those of
    :func:`~.weight_sharing.share_weights`.

    The proposal has, for each layer, the lowest density down to which it loses at most `max_loss`.
    Losses of layers add up, so the score with all these densities together is measured, too.

    Parameters
    ----------
    model : :class:`~..model.Model` or :class:`~..graph.graph.Graph`
        Model.
    samples : array (n_samples, ...), or mapping of :class:`str` to such
        Samples; of a graph, for each input.
    labels : array, optional
        Classes (n_samples,) or numbers (n_samples, ...) that the first output should give. None:
        the outputs of the model.
    task : ``"classification"`` or ``"regression"``, optional
        Meaning of the first output; by default that of labels, or what its shape suggests.
    densities : sequence of :class:`float`
        Shares of the weights that stay; of a grouped convolution, of those in its groups.
    widths : sequence of :class:`int`
        Widths of a code in bits.
    max_loss : :class:`float`
        Greatest loss of the score by one layer, for the proposal.
    progress : function of :class:`str`
        Called with the name of each step as it begins.

    Returns
    -------
    :class:`dict`
        Plain JSON; docs/compression.md lists its keys.

    Raises
    ------
    CompressError
        If an option is invalid, or samples do not match the model.
    LabelError
        If labels do not match the samples, or the task is unknown.
    """
    for share in densities:
        check_pruning(share, None)
    for width in widths:
        check_sharing(width, "exact")
    if not 0 <= max_loss < math.inf:
        raise CompressError(f"max_loss must be 0 or more and finite, not {max_loss}")
    by_effect = isinstance(model, Graph)
    graph = model if isinstance(model, Graph) else as_graph(model)
    if not isinstance(samples, Mapping):
        samples = {next(iter(graph.inputs)): samples}
    changes = LayerChanges(graph, samples, labels=labels, task=task, progress=progress)
    layers = {path: _NodeLayers(node.computation, changes.deviations[path] if by_effect else None)
              for path, node in graph.walk() if isinstance(node.computation, Model)}
    shares = sorted(set(densities), reverse=True)
    rows = []
    for path, node in layers.items():
        scores = changes.score([{path: changed} if changed else {} for changed in (
            *map(node.prune, shares), *map(node.share, widths))],
            lambda step, path=path: progress(f"{path}: {step}"))    # type: ignore[misc]
        rows.append({
            "layer": path, "weights": node.n_weights, "nonzeros": node.n_nonzeros,
            "densities": [{"density": share, "score": score}
                          for share, score in zip(shares, scores)],
            "v_widths": [{"v_width": width, "score": score}
                         for width, score in zip(widths, scores[len(shares):])]})
    proposal = propose_densities(rows, changes.whole, max_loss)
    together = {path: changed for path, share in proposal.items()
                if (changed := layers[path].prune(share))}
    (combined,) = changes.score([together], lambda step: progress(f"all layers: {step}"))
    kept = sum(min(node.n_nonzeros, math.floor(proposal[path] * node.n_weights))
               for path, node in layers.items())
    return {
        "samples": changes.count, "task": changes.task, "labels": labels is not None,
        "score": changes.whole, "constant": changes.constant, "layers": rows,
        "proposal": {"max_loss": max_loss, "densities": proposal, "score": combined,
                     "density": kept / sum(node.n_weights for node in layers.values())}}


def propose_densities(rows: Sequence[Mapping[str, Any]], score: float, max_loss: float
                      ) -> dict[str, float]:
    """Propose the density of each layer: the lowest down to which all lose at most `max_loss`.

    Parameters
    ----------
    rows : sequence of :class:`dict`
        Layers, as of :func:`measure_sensitivity`.
    score : :class:`float`
        Score of the model.
    """
    proposal = {}
    for row in rows:
        proposal[row["layer"]] = 1.0
        for one in row["densities"]:
            if score - one["score"] > max_loss + 1e-9:
                break
            proposal[row["layer"]] = one["density"]
    return proposal


class _NodeLayers:
    """Layers of a node, with versions of fewer weights, or of fewer values.

    Attributes
    ----------
    n_weights, n_nonzeros : :class:`int`
        Number of weights, without those between groups; and of those that are not zero.
    """

    def __init__(self, model: Model, deviations: list[Floats] | None) -> None:
        self._model, self._deviations = model, deviations
        # Zeros between the groups of a convolution are no weights.
        groups = count_groups(model.layers[0].weight, model.patches)
        self._groups = [groups, *[1] * (len(model.layers) - 1)]
        self._counts = [layer.n_rows * layer.n_cols // count
                        for layer, count in zip(model.layers, self._groups)]
        self.n_weights = sum(self._counts)
        self.n_nonzeros = sum(count_nonzeros(layer.weight) for layer in model.layers)

    def prune(self, share: float) -> Model | None:
        """Prune the layers to a density; None if they have it."""
        return self._replace([self._prune(number, share / groups)
                              for number, groups in enumerate(self._groups)])

    def _prune(self, number: int, share: float) -> csc_array:
        weight = self._model.layers[number].weight
        return prune(weight, density=share) if self._deviations is None else \
            prune_by_deviation(weight, share, self._deviations[number])

    def share(self, width: int) -> Model | None:
        """Share the weights of each layer by codes of this width; None if they do."""
        matrices = []
        for layer in self._model.layers:
            sparse = prune(layer.weight, density=1.0)
            codebook, codes = share_weights(sparse.data, (1 << width) - 1)
            matrices.append(csc_array((codebook[codes], sparse.indices, sparse.indptr),
                                      shape=sparse.shape))
        return self._replace(matrices)

    def _replace(self, matrices: list[csc_array]) -> Model | None:
        layers = tuple(dataclasses.replace(layer, weight=matrix)
                       for layer, matrix in zip(self._model.layers, matrices))
        changed = any(not np.array_equal(_nonzero_weights(before.weight), matrix.data)
                      for before, matrix in zip(self._model.layers, matrices))
        return densify(dataclasses.replace(self._model, layers=layers)) if changed else None


def _nonzero_weights(weight: Any) -> Floats:
    """Nonzero weights in the order of :func:`~.prune.prune`."""
    return prune(weight, density=1.0).data
