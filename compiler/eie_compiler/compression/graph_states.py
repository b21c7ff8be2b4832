"""Formats of the accumulating states of scans, chosen by their effect on results."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import EIEConfig

from ..errors import CompileError
from ..graph.evaluation import evaluate_real
from ..graph.graph import Graph, Scan
from ..graph.layers import all_fracs
from ..graph.operation import GraphError, Operation
from ..lowering.integer_graph import IntegerGraph
from ..vectors import dequantise
from .graph_calibration import set_formats
from .graph_formats import find_groups
from .graph_layers import decompress_graph
from .graph_samples import sample_batches

__all__ = ["find_accumulators", "refine_states"]

#: Most fraction bits that a state gets beyond those with which it holds every number.
_MAX_FINER = 8

#: Share of the squares of the errors that a finer format must leave at most, to be taken.
_MOST_LEFT = 0.75

#: Fewest samples from which it is known which numbers matter, and most that decide.
_MIN_SAMPLES, _MAX_SAMPLES = 8, 32


def refine_states(network: Graph, samples: Mapping[str, NDArray[Any]], config: EIEConfig,
                  progress: Callable[[str], None]) -> Graph:
    """Give accumulating states finer formats that saturate, if results become more exact.

    The rounding errors of such a state add up over all steps. Its greatest numbers often do not
    matter, as if only their tanh is read; a format that holds them all wastes bits. Formats are
    compared by the errors of the results in words, for samples.

    Parameters
    ----------
    network : :class:`~..graph.graph.Graph`
        Compressed network with formats that hold all numbers.
    samples : mapping of :class:`str` to array (n_samples, ...)
        Samples for each input.
    config : :class:`~eie_hdl.config.EIEConfig`
        Machine, for its widths.
    progress : function of :class:`str`
        Called with the name of each step as it begins.
    """
    accumulators = find_accumulators(network)
    if not accumulators or len(next(iter(samples.values()))) < _MIN_SAMPLES:
        return network
    measure, group_of = _Measure(network, samples, config), find_groups(network)
    try:
        error = measure(network)
    except CompileError:    # which a check of the network finds
        return network
    for paths in accumulators:
        progress(f"choosing the format of {paths[0]}")
        groups = {group_of(path) for path in paths}
        found = list(_try_finer(network, {path for path in all_fracs(network)
                                          if group_of(path) in groups}, measure))
        best, left = min(found, key=lambda one: one[1], default=(network, error))
        if left < _MOST_LEFT * error:
            network, error = best, left
    return network


def _try_finer(network: Graph, paths: set[str], measure: Callable[[Graph], float]
               ) -> Iterator[tuple[Graph, float]]:
    """Try finer formats of tensors, each with its error, as far as the graph can have them."""
    fracs = all_fracs(network)
    coarsest = min(fracs[path] for path in paths)
    for least in range(coarsest + 1, coarsest + _MAX_FINER + 1):
        changed = {path: max(fracs[path], least) if path in paths else fracs[path]
                   for path in fracs}
        try:
            finer = set_formats(network, changed.__getitem__)
            yield finer, measure(finer)
        except (GraphError, CompileError):    # of an operation, or a layer
            return


def find_accumulators(graph: Graph, prefix: str = "") -> list[list[str]]:
    """Find the states whose next value follows from them by operations alone.

    Returns
    -------
    :class:`list` of :class:`list` of :class:`str`
        Path of each such state, then those of the operations from it to its next value.
    """
    found = []
    for node in graph.nodes:
        if isinstance(node.computation, Scan):
            body, path = node.computation.body, f"{prefix}{node.name}/"
            for state, source in node.computation.states:
                if between := _between(body, state, source):
                    found.append([path + name for name in (state, *between)])
            found += find_accumulators(body, path)
    return found


def _between(body: Graph, state: str, source: str) -> list[str]:
    """List the operations of a body through which a state reaches the node `source`."""
    after, before = {state}, {source}
    for node in body.nodes:
        if isinstance(node.computation, Operation) and after & {*node.inputs}:
            after.add(node.name)
    for node in reversed(body.nodes):
        if isinstance(node.computation, Operation) and node.name in before:
            before |= {*node.inputs}
    return [node.name for node in body.nodes if node.name in after & before]


class _Measure:
    """Error of results in words against the shared weights in floating point, for samples.

    Parameters
    ----------
    network : :class:`~..graph.graph.Graph`
        Compressed network with any formats.
    samples : mapping of :class:`str` to array (n_samples, ...)
        Samples for each input.
    config : :class:`~eie_hdl.config.EIEConfig`
        Machine, for its widths.
    """

    def __init__(self, network: Graph, samples: Mapping[str, NDArray[Any]], config: EIEConfig
                 ) -> None:
        count = len(next(iter(samples.values())))
        some = np.linspace(0, count - 1, min(count, _MAX_SAMPLES)).astype(np.int64)
        shared = decompress_graph(network)
        self._config = config
        #: Inputs of each batch, and the results that are exact.
        self._batches = [
            (batch, {name: results[name] for name in network.outputs})
            for _, batch in sample_batches(network, {name: array[some]
                                                     for name, array in samples.items()})
            for results in [evaluate_real(shared, batch)]]

    def __call__(self, network: Graph) -> float:
        """Sum the squares of the errors over all outputs, each relative to those of its numbers."""
        machine = IntegerGraph(network, self._config)
        errors, powers = (dict.fromkeys(network.outputs, 0.0) for _ in range(2))
        for batch, exact in self._batches:
            words = machine.run(batch)
            for name, numbers in exact.items():
                found = dequantise(words[name], machine.fracs[name])
                errors[name] += float(((found - numbers) ** 2).sum())
                powers[name] += float((numbers ** 2).sum())
        return sum(errors[name] / (powers[name] or 1.0) for name in network.outputs)
