"""Graphs in exactly the arithmetic of a machine."""

from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np

from eie_hdl.config import EIEConfig
from eie_hdl.numeric import saturate

from ..errors import CompileError
from ..graph.execution import Execution
from ..graph.graph import Graph
from ..graph.layers import all_fracs
from ..graph.operation import Floats, Words
from ..network import CompressedNetwork
from ..vectors import quantise
from .arithmetic import IntegerNetwork

__all__ = ["IntegerGraph"]

#: Width of a word that no number exceeds.
_WIDE = 62


class IntegerGraph:
    """Compressed network that is a graph, in exactly the arithmetic of a machine.

    Parameters
    ----------
    graph : :class:`~..graph.graph.Graph`
        Compressed network.
    config : :class:`~eie_hdl.config.EIEConfig`
        Machine, for its widths; its memories do not matter.
    watch : function of path and words (batch, ...)
        Called with each input and with the result of each node except scans, in bodies of scans
        once for each step.

    Attributes
    ----------
    fracs : :class:`dict` of :class:`str` to :class:`int`
        Fraction bits of each input and of the result of each node, by path.
    layers : :class:`dict` of :class:`str` to :class:`list` of :class:`~.arithmetic.IntegerLayer`
        Layers of each node that has some, by path.
    saturated, counts : :class:`collections.Counter` of :class:`str`
        Of the elements that `watch` was given and of the results of all layers before them, number
        of those beyond their format; and of the former, number of all, by path.

    Raises
    ------
    CompileError
        If a layer has no format on this machine; the message names the node.
    """

    def __init__(self, graph: Graph, config: EIEConfig,
                 watch: Callable[[str, Words], None] = lambda path, words: None) -> None:
        self._graph, self._width, self._watch = graph, config.act_width, watch
        self.layers = {}
        for path, node in graph.walk():
            if isinstance(node.computation, CompressedNetwork):
                try:
                    self.layers[path] = IntegerNetwork(node.computation, config).layers
                except CompileError as error:
                    raise CompileError(f"node {path!r}: {error}") from error
        self.fracs = all_fracs(graph)
        self.saturated: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()

    def run(self, inputs: Mapping[str, Floats]) -> dict[str, Words]:
        """Compute all nodes for numbers (batch, ...); return words of inputs and results by name.
        """
        execution = Execution(self._graph, self._width, self._run_layers, self._count)
        words = {}
        for name, numbers in inputs.items():
            words[name] = self._saturate(name, quantise(numbers, self.fracs[name], _WIDE))
            self._count(name, words[name])
        computed = execution.run(words)
        self.saturated.update(execution.saturated)
        return computed

    def _count(self, path: str, words: Words) -> None:
        self.counts[path] += words.size
        self._watch(path, words)

    def _run_layers(self, path: str, words: Words) -> Words:
        for layer in self.layers[path]:
            words = self._saturate(path, layer.exact(words))
        return words

    def _saturate(self, path: str, exact: Words) -> Words:
        words = saturate(exact, self._width)
        self.saturated[path] += int(np.count_nonzero(words != exact))
        return words
