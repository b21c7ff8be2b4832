"""Execution of a compressed network in words, whatever runs its layers."""

from collections.abc import Callable, Mapping

import numpy as np

from eie_hdl.numeric import saturate

from ..network import CompressedNetwork
from .evaluation import apply_layers, evaluate
from .graph import Graph, Node, Recurrence, Subgraph
from .operation import Operation, Words

__all__ = ["Execution"]


class Execution:
    """Run of a compressed network in words: layers by a function, operations by their definition.

    Parameters
    ----------
    graph : :class:`~.graph.Graph`
        Compressed network.
    width : :class:`int`
        Width of a word in bits.
    run_layers : function of path and words (vectors, n_inputs)
        Computes the program of the node of that path: words (vectors, n_outputs). Vectors of a
        recurrence are the steps of a sequence, in the order of computation, then those of the next.
    watch : function of path and words (batch, ...)
        Called with the result of each node except scans, in bodies of scans once for each step.

    Attributes
    ----------
    saturated : :class:`dict` of :class:`str` to :class:`int`
        Number of elements that were beyond their format, of each operation that had any, by path.
    """

    def __init__(self, graph: Graph, width: int, run_layers: Callable[[str, Words], Words],
                 watch: Callable[[str, Words], None] = lambda path, words: None) -> None:
        self._graph = graph
        self._width = width
        self._run_layers, self._watch = run_layers, watch
        self.saturated: dict[str, int] = {}

    def run(self, tensors: Mapping[str, Words]) -> dict[str, Words]:
        """Compute all nodes for inputs (batch, ...); return inputs and results by name."""
        return evaluate(self._graph, tensors, self._compute)

    def _compute(self, path: str, graph: Graph, node: Node, operands: list[Words]) -> Words:
        words = self._words(path, graph, node, operands)
        self._watch(path, words)
        return words

    def _words(self, path: str, graph: Graph, node: Node, operands: list[Words]) -> Words:
        computation = node.computation
        if isinstance(computation, CompressedNetwork):
            return apply_layers(computation.patches, operands[0],
                                lambda words: self._run_layers(path, words))
        if isinstance(computation, Subgraph):
            results = self._run_layers(path, operands[0].reshape(len(operands[0]), -1))
            return results.reshape(len(results), *graph.shapes[node.name])
        if isinstance(computation, Recurrence):
            return self._run_recurrence(path, computation, operands[0])
        assert isinstance(computation, Operation)
        assert graph.fracs is not None
        exact = computation.words(*operands, fracs=[graph.fracs[name] for name in node.inputs],
                                  frac=graph.fracs[node.name])
        words = saturate(exact, self._width)
        if clipped := int(np.count_nonzero(words != exact)):
            self.saturated[path] = self.saturated.get(path, 0) + clipped
        return words

    def _run_recurrence(self, path: str, recurrence: Recurrence, sequences: Words) -> Words:
        """Run the steps of sequences (batch, steps, n_inputs)."""
        order = slice(None, None, -1 if recurrence.scan.reverse else 1)
        steps = sequences[:, order].reshape(-1, sequences.shape[-1])
        results = self._run_layers(path, steps)
        return results.reshape(*sequences.shape[:2], results.shape[-1])[:, order]
