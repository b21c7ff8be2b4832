"""Graphs in exactly the arithmetic of a machine."""

from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import EIEConfig
from eie_hdl.numeric import saturate

from ..errors import CompileError
from ..graph.execution import Execution
from ..graph.graph import Graph
from ..graph.layers import all_fracs, find_layers
from ..graph.operation import Floats, Words
from ..graph.subgraphs import inline_subgraphs
from ..network import CompressedNetwork
from ..preprocessing import convert_inputs
from .arithmetic import IntegerNetwork
from .fixed_inputs import fix_inputs
from .loops import set_loops
from .operation_layers import lower_graph_operations
from .step_formats import lower_recurrences

__all__ = ["IntegerGraph"]


class IntegerGraph:
    """Compressed network that is a graph, in exactly the arithmetic of a machine.

    Parameters
    ----------
    graph : :class:`~..graph.graph.Graph`
        Compressed network.
    config : :class:`~eie_hdl.config.EIEConfig`
        Machine, for its widths; its memories do not matter.

    Attributes
    ----------
    fracs : :class:`dict` of :class:`str` to :class:`int`
        Fraction bits of each input and of the result of each node, by path.
    layers : :class:`dict` of :class:`str` to :class:`list` of :class:`~.arithmetic.IntegerLayer`
        Layers of each node that has some, by path.
    saturated, counts : :class:`collections.Counter` of :class:`str`
        Of the elements that were watched in all runs and of the results of all layers before them,
        number of those beyond their format; and of the former, number of all, by path.

    Raises
    ------
    CompileError
        If a layer, or the preprocessing of an input, has no format on this machine; the message
        names the node or input.
    """

    def __init__(self, graph: Graph, config: EIEConfig) -> None:
        # Nodes are computed one by one, and layers pixel by pixel, whatever a machine does.
        graph = lower_graph_operations(lower_recurrences(graph, config), config)
        graph = set_loops(inline_subgraphs(graph), {})
        self._graph, self._width = graph, config.act_width
        self.layers = {}
        for path, network in find_layers(graph, CompressedNetwork).items():
            try:
                self.layers[path] = IntegerNetwork(network, config).layers
            except CompileError as error:
                raise CompileError(f"node {path!r}: {error}") from error
        self._preprocessing = fix_inputs(config, graph)
        self.fracs = all_fracs(graph)
        self.saturated: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()

    def run(self, inputs: Mapping[str, Floats],
            watch: Callable[[str, Words], None] = lambda path, words: None) -> dict[str, Words]:
        """Compute all nodes for numbers (batch, ...); return words of inputs and results by name.

        Parameters
        ----------
        watch : function of path and words (batch, ...)
            Called with each input and with the result of each node except scans, in bodies of scans
            once for each step.
        """
        def count(path: str, words: Words) -> None:
            self.counts[path] += words.size
            watch(path, words)

        execution = Execution(self._graph, self._width, self._run_layers, count)
        words = {}
        for name, numbers in inputs.items():
            words[name], beyond = self.to_words(name, numbers)
            self.saturated[name] += int(np.count_nonzero(beyond))
            count(name, words[name])
        computed = execution.run(words)
        self.saturated.update(execution.saturated)
        return computed

    def to_words(self, name: str, numbers: Floats) -> tuple[Words, NDArray[np.bool_]]:
        """Convert an input (batch, ...) to words; return them, and which elements saturate."""
        return convert_inputs(numbers, frac=self.fracs[name], width=self._width, words=False,
                              preprocessing=self._preprocessing.get(name))

    def _run_layers(self, path: str, words: Words) -> Words:
        for layer in self.layers[path]:
            words = self._saturate(path, layer.exact(words))
        return words

    def _saturate(self, path: str, exact: Words) -> Words:
        words = saturate(exact, self._width)
        self.saturated[path] += int(np.count_nonzero(words != exact))
        return words
