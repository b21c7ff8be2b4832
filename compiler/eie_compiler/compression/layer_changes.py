"""Scores of a model with other layers in some of its nodes, in floating point."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..accuracy import Meter, Task
from ..graph.evaluation import evaluate_real
from ..graph.graph import Graph
from ..graph.layers import replace_layers
from ..graph.operation import Floats
from ..model import Model
from .graph_fidelity import choose_tasks
from .graph_samples import check_samples, sample_batches

__all__ = ["LayerChanges"]


class LayerChanges:
    """Model whose layers are replaced by others, and its score with each of them.

    Parameters
    ----------
    graph : :class:`~..graph.graph.Graph`
        Model.
    samples : mapping of :class:`str` to array (n_samples, ...)
        Samples for each input.
    labels, task, progress
        As for :func:`~.sensitivity.measure_sensitivity`.

    Attributes
    ----------
    task : :data:`~..accuracy.Task`
        Meaning of the first output.
    count : :class:`int`
        Number of samples.
    whole, constant : :class:`float`
        Score of the model, and of the best constant answer.
    deviations : :class:`dict` of :class:`str` to :class:`list` of float64 arrays
        Standard deviation of each input of each layer of a node, by path.
    """

    def __init__(self, graph: Graph, samples: Mapping[str, NDArray[Any]], *,
                 labels: NDArray[Any] | None = None, task: str | None = None,
                 progress: Callable[[str], None] = lambda step: None) -> None:
        self._graph, self._samples = graph, check_samples(graph, samples)
        self.count = len(next(iter(self._samples.values())))
        tasks, self._truth = choose_tasks(graph, self.count, labels, task)
        self.task: Task = tasks[graph.outputs[0]]
        meter = Meter(self.task)
        moments: defaultdict[str, dict[int, _Moments]] = defaultdict(dict)

        def run_layers(path: str, model: Model, vectors: Floats) -> Floats:
            vectors = model.preprocess(vectors)
            for number, layer in enumerate(model.layers):
                moments[path].setdefault(number, _Moments(vectors[0])).add(vectors)
                vectors = layer(vectors)
            return vectors

        for some, batch in sample_batches(graph, self._samples):
            progress(f"measuring sample {some.start + 1}")
            outputs = _rows(evaluate_real(graph, batch, run_layers=run_layers)[graph.outputs[0]])
            meter.add(outputs, self._labels(some, outputs))
        self.whole, self.constant = meter.score, meter.constant
        self.deviations = {path: [one.deviation for one in each.values()]
                           for path, each in moments.items()}

    def _labels(self, some: slice, outputs: Floats) -> NDArray[Any]:
        return outputs if self._truth is None else self._truth[some]

    def score(self, changes: Sequence[Mapping[str, Model]],
              progress: Callable[[str], None] = lambda step: None) -> list[float]:
        """Measure the score of the model with each of several changes.

        Parameters
        ----------
        changes : sequence of mappings of :class:`str` to :class:`~..model.Model`
            New layers by path. Without any, the model stays as it is.
        """
        parts = [self._affected(change) for change in changes]
        if not any(parts):
            return [self.whole] * len(parts)
        meters = [Meter(self.task) for _ in parts]
        output = self._graph.outputs[0]
        for some, batch in sample_batches(self._graph, self._samples):
            progress(f"measuring sample {some.start + 1}")
            base = evaluate_real(self._graph, batch)
            truth = self._labels(some, _rows(base[output]))
            for part, meter in zip(parts, meters):
                found = base if part is None else evaluate_real(part, base)
                meter.add(_rows(found[output]), truth)
        return [meter.score for meter in meters]

    def _affected(self, change: Mapping[str, Model]) -> Graph | None:
        """Make the graph of the nodes that a change affects; None if the output stays the same."""
        changed = {path.split("/")[0] for path in change}
        for node in self._graph.nodes:
            if changed.intersection(node.inputs):
                changed.add(node.name)
        if self._graph.outputs[0] not in changed:
            return None
        nodes = tuple(node for node in replace_layers(
            self._graph, lambda path, layers: change.get(path, layers)).nodes
            if node.name in changed)
        shapes = self._graph.shapes
        inputs = dict.fromkeys(name for node in nodes for name in node.inputs
                               if name not in changed)
        return Graph({name: shapes[name] for name in inputs}, nodes, self._graph.outputs[:1])


class _Moments:
    """Running sums of vectors, relative to the first, so that the variance does not cancel."""

    def __init__(self, origin: Floats) -> None:
        self._origin = origin
        self._count = 0
        self._sums = self._squares = np.zeros(len(origin))

    def add(self, vectors: Floats) -> None:
        distance = vectors - self._origin
        self._count += len(vectors)
        self._sums = self._sums + distance.sum(axis=0)
        self._squares = self._squares + (distance ** 2).sum(axis=0)

    @property
    def deviation(self) -> Floats:
        variance = self._squares / self._count - (self._sums / self._count) ** 2
        return np.sqrt(np.maximum(variance, 0.0))


def _rows(tensor: Floats) -> Floats:
    return tensor.reshape(len(tensor), -1)
