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
from ..graph.chain import from_chain
from ..graph.graph import Graph
from ..graph.layers import find_layers, layer_names
from ..graph.operation import Floats
from ..model import Model
from .graph_layers import densify
from .groups import count_groups
from .layer_changes import LayerChanges
from .prune import check_pruning, prune, prune_by_deviation
from .weight_sharing import check_sharing, share_weights

__all__ = ["DENSITIES", "WIDTHS", "measure_sensitivity", "propose_densities"]

#: Densities, and widths of codes, that are measured by default.
DENSITIES = (0.8, 0.6, 0.4, 0.2, 0.1)
WIDTHS = (2, 3, 4, 5, 6, 7, 8)

#: Limits of the loss of each layer alone that are tried besides 0, each half of the one before.
_HALVINGS = 5

#: Difference of scores that is none.
_ROUNDING = 1e-9


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

    A proposal has, for each layer, the lowest density down to which it loses at most a limit, and
    is measured with all these densities together. The limit of the first is `max_loss`. Losses of
    layers add up: it is then halved, and 0 at last, until all together lose at most `max_loss`.

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
        Greatest loss of the score, for the proposals.
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
    GraphError
        As for :func:`~..graph.chain.from_chain`.
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
    graph = model if isinstance(model, Graph) else from_chain(model, split=True)
    if not isinstance(samples, Mapping):
        samples = {next(iter(graph.inputs)): samples}
    changes = LayerChanges(graph, samples, labels=labels, task=task, progress=progress)
    layers = {name: _Prunable(path, found, number,
                              changes.deviations[path][number] if by_effect else None)
              for path, found in find_layers(graph, Model).items()
              for number, name in enumerate(layer_names(path, found))}
    shares = sorted(set(densities), reverse=True)
    rows = []
    for name, layer in layers.items():
        scores = changes.score(
            [_replace([(layer, weight)]) for weight in (*map(layer.prune, shares),
                                                        *map(layer.share, widths))],
            lambda step, name=name: progress(f"{name}: {step}"))    # type: ignore[misc]
        rows.append({
            "layer": name, "weights": layer.n_weights, "nonzeros": layer.n_nonzeros,
            "densities": [{"density": share, "score": score}
                          for share, score in zip(shares, scores)],
            "v_widths": [{"v_width": width, "score": score}
                         for width, score in zip(widths, scores[len(shares):])]})
    proposals = _search_proposals(changes, layers, rows, max_loss, progress)
    return {
        "samples": changes.count, "task": changes.task, "labels": labels is not None,
        "score": changes.whole, "constant": changes.constant, "layers": rows,
        "max_loss": max_loss, "proposals": proposals,
        "holds": changes.whole - proposals[-1]["score"] <= max_loss + _ROUNDING}


def _search_proposals(changes: LayerChanges, layers: "Mapping[str, _Prunable]",
                      rows: Sequence[Mapping[str, Any]], max_loss: float,
                      progress: Callable[[str], None]) -> list[dict[str, Any]]:
    """Measure proposals, one or more, until all layers together lose at most a limit."""
    proposals: list[dict[str, Any]] = []
    for limit in (*(max_loss / 2 ** halved for halved in range(_HALVINGS)), 0.0):
        proposal = propose_densities(rows, changes.whole, limit)
        if proposals and proposal == proposals[-1]["densities"]:
            continue
        pruned = [(layer, layer.prune(proposal[name])) for name, layer in layers.items()]
        (score,) = changes.score([_replace(pruned)], lambda step: progress(f"all layers: {step}"))
        proposals.append({
            "limit": limit, "densities": proposal, "score": score,
            "density": sum(weight.nnz for _, weight in pruned)
            / sum(layer.n_weights for layer in layers.values())})
        if changes.whole - score <= max_loss + _ROUNDING:
            break
    return proposals


def propose_densities(rows: Sequence[Mapping[str, Any]], score: float, limit: float
                      ) -> dict[str, float]:
    """Propose the density of each layer: the lowest down to which it loses at most a limit.

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
            if score - one["score"] > limit + _ROUNDING:
                break
            proposal[row["layer"]] = one["density"]
    return proposal


class _Prunable:
    """Layer of a node, with its weights pruned or shared.

    Attributes
    ----------
    path, number
        Path of the node, and place of the layer in it.
    model : :class:`~..model.Model`
        Layers of the node.
    kept : csc_array of float64, n_rows × n_cols
        Weights that are not zero.
    n_weights, n_nonzeros : :class:`int`
        Number of weights, without those between groups; and of those that are not zero.
    """

    def __init__(self, path: str, model: Model, number: int, deviation: Floats | None) -> None:
        self.path, self.model, self.number = path, model, number
        self.kept = prune(model.layers[number].weight, density=1.0)
        self._deviation = deviation
        # Zeros between the groups of a convolution are no weights.
        self._groups = count_groups(self.kept, None if number else model.patches)
        n_rows, n_cols = self.kept.shape
        self.n_weights = n_rows * n_cols // self._groups
        self.n_nonzeros = self.kept.nnz

    def prune(self, share: float) -> csc_array:
        """Prune the layer to a density."""
        share /= self._groups
        return prune(self.kept, density=share) if self._deviation is None else \
            prune_by_deviation(self.kept, share, self._deviation)

    def share(self, width: int) -> csc_array:
        """Share the weights by codes of this width."""
        codebook, codes = share_weights(self.kept.data, (1 << width) - 1)
        return csc_array((codebook[codes], self.kept.indices, self.kept.indptr),
                         shape=self.kept.shape)


def _replace(weights: Sequence[tuple[_Prunable, csc_array]]) -> dict[str, Model]:
    """Make the models of the nodes of layers with other weights, by path; only those that differ.
    """
    changed: dict[str, Model] = {}
    for layer, weight in weights:
        model = changed.get(layer.path, layer.model)
        if not np.array_equal(layer.kept.data, weight.data):
            before = model.layers[layer.number]
            changed[layer.path] = dataclasses.replace(model, layers=(
                *model.layers[:layer.number], dataclasses.replace(before, weight=weight),
                *model.layers[layer.number + 1:]))
    return {path: densify(model) for path, model in changed.items()}
