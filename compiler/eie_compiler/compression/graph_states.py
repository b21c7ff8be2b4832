"""Formats of the accumulating states of scans, chosen by their effect on results."""

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import EIEConfig

from ..errors import CompileError
from ..graph.evaluation import evaluate_real
from ..graph.graph import Graph, Scan
from ..graph.layers import all_fracs
from ..graph.operation import GraphError, Operation
from ..lowering.integer_graph import IntegerGraph
from ..sampling import spread
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

#: Results of a sample are clearly worse if the squares of their errors exceed so many times those
#: before plus so many times the mean of all samples, as rounding errors may cancel by chance.
_WORSE, _RARE = 2.0, 4.0

#: Fewest samples from which it is known which numbers matter, and most that choose a format, which
#: all then confirm.
_MIN_SAMPLES, _MAX_SAMPLES = 8, 32

Samples = Mapping[str, NDArray[Any]]


def refine_states(network: Graph, samples: Samples, config: EIEConfig,
                  progress: Callable[[str], None]) -> Graph:
    """Give accumulating states finer formats that saturate, if results become more exact.

    The rounding errors of such a state add up over all steps. Its greatest numbers often do not
    matter, as if only their tanh is read; a format that holds them all wastes bits. Formats are
    compared by the errors of the results in words: some samples choose a format, which must then
    be better for all samples together and clearly worse for none of them.

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

    Returns
    -------
    :class:`~..graph.graph.Graph`
        Network, with a note for each finer format of how many words of the samples saturate.
    """
    accumulators = find_accumulators(network)
    count = len(next(iter(samples.values())))
    if not accumulators or count < _MIN_SAMPLES:
        return network
    group_of = find_groups(network)
    measure = measure_all = functools.cache(_Measure(network, samples, config))
    if count > _MAX_SAMPLES:
        some = spread(count, _MAX_SAMPLES)
        measure = functools.cache(_Measure(network, _select(samples, some), config))
    for paths in accumulators:
        progress(f"choosing the format of {paths[0]}")
        groups = {group_of(path) for path in paths}
        changed = {path for path in all_fracs(network) if group_of(path) in groups}
        try:
            most = _MOST_LEFT * measure(network).total
        except CompileError:    # which a check of the network finds
            return network
        tried = [(finer, errors.total)
                 for finer, errors in _try_finer(network, changed, measure)]
        if not any(total < most for _, total in tried):
            continue
        progress(f"confirming the format of {paths[0]} with all samples")
        network = _confirm(network, tried, paths, measure_all)
    return network


def _select(samples: Samples, some: NDArray[np.int64]) -> Samples:
    return {name: array[some] for name, array in samples.items()}


def _try_finer(network: Graph, paths: set[str], measure: "Callable[[Graph], _Errors]"
               ) -> "Iterator[tuple[Graph, _Errors]]":
    """Try finer formats of tensors, each with its errors, as far as the graph can have them."""
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


def _confirm(network: Graph, tried: list[tuple[Graph, float]], paths: list[str],
             measure: "Callable[[Graph], _Errors]") -> Graph:
    """Take the best of the formats tried that all samples confirm, or stay with the network."""
    before = measure(network)
    limits = _WORSE * before.samples + _RARE * before.samples.mean()
    while tried:
        best = min(range(len(tried)), key=lambda number: tried[number][1])
        finer = tried[best][0]
        after = measure(finer)
        if (after.samples <= limits).all():
            if after.total >= _MOST_LEFT * before.total:
                break
            saturated, count = (sum(found[path] for path in paths)
                                for found in (after.saturated, after.counts))
            note = f"{saturated:,} of {count:,} words of {paths[0]} saturate with the " \
                   "calibration, for less rounding error"
            return dataclasses.replace(finer, notes=(*network.notes, note))
        tried = tried[:best]    # of finer ones, more saturates
    return network


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


class _Errors(NamedTuple):
    """Errors of a network.

    Attributes
    ----------
    samples : float64 n_samples
        Squares of the errors of each sample, added over all outputs, each relative to the squares
        of all its numbers.
    saturated, counts : :class:`collections.Counter` of :class:`str`
        As of :class:`~..lowering.integer_graph.IntegerGraph`.
    """

    samples: NDArray[np.float64]
    saturated: Counter[str]
    counts: Counter[str]

    @property
    def total(self) -> float:
        return float(self.samples.sum())


class _Measure:
    """Errors of results in words against the shared weights in floating point, for samples.

    Parameters
    ----------
    network : :class:`~..graph.graph.Graph`
        Compressed network with any formats.
    samples : mapping of :class:`str` to array (n_samples, ...)
        Samples for each input.
    config : :class:`~eie_hdl.config.EIEConfig`
        Machine, for its widths.
    """

    def __init__(self, network: Graph, samples: Samples, config: EIEConfig) -> None:
        self._network, self._samples, self._config = network, samples, config
        self._count = len(next(iter(samples.values())))

    @functools.cached_property
    def _exact(self) -> dict[str, NDArray[np.float64]]:
        """Outputs in floating point."""
        shared, names = decompress_graph(self._network), self._network.outputs
        exact = [[results[name] for name in names]
                 for _, batch in sample_batches(self._network, self._samples)
                 for results in [evaluate_real(shared, batch)]]
        return {name: np.concatenate(parts) for name, parts in zip(names, zip(*exact))}

    @functools.cached_property
    def _powers(self) -> dict[str, float]:
        """Squares of all numbers of each output, or 1."""
        return {name: float((numbers ** 2).sum()) or 1.0 for name, numbers in self._exact.items()}

    def __call__(self, network: Graph) -> _Errors:
        machine = IntegerGraph(network, self._config)
        errors = np.zeros(self._count)
        for some, batch in sample_batches(network, self._samples):
            words = machine.run(batch)
            for name, power in self._powers.items():
                found = dequantise(words[name], machine.fracs[name])
                squares = (found - self._exact[name][some]) ** 2
                errors[some] += squares.reshape(len(squares), -1).sum(axis=1) / power
        return _Errors(errors, machine.saturated, machine.counts)
