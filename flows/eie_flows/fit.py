"""Choice of the machine for a network on a device, by predicted cycles."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eie_compiler.graph.graph import Graph
from eie_compiler.lowering.compile import compile_network
from eie_compiler.lowering.graph import compile_graph
from eie_compiler.network import CompressedNetwork
from eie_compiler.sampling import spread
from eie_hdl.config import EIEConfig
from eie_hdl.numeric import limits
from eie_sim.cycles.graph import predict_graph
from eie_sim.cycles.model import predict_back_to_back
from eie_sim.inference import BACK_TO_BACK, prepare
from eie_sim.node_runs import SAMPLE

from .devices import DEVICES
from .sizing import Proposal, size_machines

__all__ = ["FitError", "choose", "find_nearest", "fit"]

#: Numbers of PEs.
_PES = tuple(1 << number for number in range(9))

#: Cycles beside those of the fastest machine of as many PEs, of which the smallest is proposed.
_HARDLY_SLOWER = 1.02


class FitError(ValueError):
    """Device that holds no machine for a network, or none that is fast enough."""


def fit(network: CompressedNetwork | Graph, device: str, *, inputs: Any = None,
        progress: Callable[[str], None] = lambda step: None) -> list[Proposal]:
    """Propose machines that hold a network on a device, and predict their cycles.

    Parameters
    ----------
    network : :class:`~eie_compiler.network.CompressedNetwork` or \
:class:`~eie_compiler.graph.graph.Graph`
        Compressed network. All programs of a graph are in the memories together.
    device : :class:`str`
        Name of the device, in :data:`~.devices.DEVICES`.
    inputs : array (batch, ...) or mapping of :class:`str` to arrays, optional
        Inputs for which cycles are predicted: at most 32 of them, evenly spread. By default they
        are random, without zeros.
    progress : function of :class:`str`
        Called with each step.

    Returns
    -------
    :class:`list` of :class:`Proposal`
        A machine of each number of PEs. Those that the device is too small for have no cycles.

    Raises
    ------
    CompileError, CycleModelError, VectorError
        If no machine can run the network, Numba is missing, or the inputs are not of the network.
    """
    proposals = []
    for n_pe in _PES:
        progress(f"machines of {n_pe} PEs")
        found = size_machines(network, DEVICES[device], n_pe)
        proposals += [one for one in found if one.lacking]
        proposals += [dataclasses.replace(one, cycles=_predict(network, one.config, inputs))
                      for one in _drop_equally_fast([one for one in found if not one.lacking])]
    if not proposals:
        raise FitError("network must fit the largest memories of a machine, but does not: divide "
                       "it into several")
    return list(_find_best(proposals))


def _drop_equally_fast(proposals: Sequence[Proposal]) -> Sequence[Proposal]:
    """Drop machines that differ from a smaller one only in how entries are put into words."""
    smallest: dict[tuple[int, int], Proposal] = {}
    for one in sorted(proposals, key=lambda one: one.size):
        smallest.setdefault((one.config.acc_depth, one.config.act_depth), one)
    return list(smallest.values())


def _find_best(proposals: Sequence[Proposal]) -> Iterator[Proposal]:
    """Find the best machine of each number of PEs.

    It is the smallest of those that fit and are hardly slower than the fastest; or the nearest.
    """
    for n_pe in sorted({one.config.n_pe for one in proposals}):
        alike = [one for one in proposals if one.config.n_pe == n_pe]
        fitting = [one for one in alike if one.cycles is not None]
        if fitting:
            limit = min(one.cycles or 0 for one in fitting) * _HARDLY_SLOWER
            yield min((one for one in fitting if (one.cycles or 0) <= limit),
                      key=lambda one: one.size)
        else:
            yield min(alike, key=lambda one: (max(one.lacking.values()), one.size))


def find_nearest(proposals: Sequence[Proposal]) -> Proposal:
    """Find the machine that lacks the least, if none fits."""
    return min(proposals, key=lambda one: max(one.lacking.values()))


def choose(proposals: Sequence[Proposal], device: str, *, max_cycles: float | None = None
           ) -> tuple[Proposal, Proposal]:
    """Return the smallest and the fastest machine that fit, of those that are fast enough.

    Raises
    ------
    FitError
        If there is none.
    """
    fitting = [one for one in proposals if one.cycles is not None]
    if not fitting:
        nearest = find_nearest(proposals)
        needs = " and ".join(f"{factor:.1f} times the {what}"
                             for what, factor in nearest.lacking.items())
        raise FitError(f"device must hold the network, but {device} does not: the machine that is "
                       f"nearest, with n_pe = {nearest.config.n_pe}, needs {needs}: choose a "
                       f"larger device, or compress the network further")
    fastest = min(fitting, key=lambda one: (one.cycles, one.size))
    enough = [one for one in fitting if max_cycles is None or (one.cycles or 0) <= max_cycles]
    if not enough:
        raise FitError(f"max_cycles must be {fastest.cycles:,.0f} or more on {device}, not "
                       f"{max_cycles:,.0f}")
    return min(enough, key=lambda one: (one.size, one.cycles)), fastest


def _predict(network: CompressedNetwork | Graph, config: EIEConfig, inputs: Any) -> float:
    """Predict the cycles of an inference on what `eie compile` makes for the machine."""
    if isinstance(network, Graph):
        graph_build = compile_graph(network, config)
        tensors = {name: _draw((1, *shape), config) for name, shape in network.inputs.items()} \
            if inputs is None else {
                name: _choose(words, min(graph_build.part, BACK_TO_BACK))
                for name, words in graph_build.to_words(inputs).words.items()}
        return sum(predict_graph(graph_build, tensors, SAMPLE).values()) / \
            len(next(iter(tensors.values())))
    build = compile_network(network, config)
    words = _draw((BACK_TO_BACK, len(build.input.columns)), config) if inputs is None else \
        np.resize(_choose(prepare(build, inputs), BACK_TO_BACK),
                  (BACK_TO_BACK, len(build.input.columns)))
    count = math.prod(network.patches.output_shape) if network.patches else 1
    return count * predict_back_to_back(build, words).interval / len(words)


def _draw(shape: tuple[int, ...], config: EIEConfig) -> NDArray[np.int64]:
    """Draw inputs without zeros."""
    _, high = limits(config.act_width)
    return np.random.default_rng(1).integers(1, high, shape, endpoint=True)


def _choose(words: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Choose some inferences, evenly spread."""
    return words[spread(len(words), most)]
