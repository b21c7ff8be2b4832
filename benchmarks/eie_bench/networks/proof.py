"""Differences of a network in words to floating point, beside their proven bounds."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from eie_compiler.compression.error_bound import Bounded, ErrorBound
from eie_compiler.compression.graph_layers import decompress_graph
from eie_compiler.graph.evaluation import evaluate_real
from eie_compiler.graph.graph import Graph
from eie_compiler.graph.operation import GraphError
from eie_hdl.config import EIEConfig

from .task import Floats

__all__ = ["FLOAT32", "Proof", "prove", "turn_batches"]

#: Most that another implementation differs from exact arithmetic, of the largest result: it
#: computes in float32.
FLOAT32 = 2.0 ** -20


@dataclasses.dataclass(frozen=True)
class Proof:
    """Largest differences of all outputs in words, and the largest proven bounds.

    Attributes
    ----------
    error, bound : :class:`float`
        To the model in another implementation, the change of the weights included.
    rounding, rounding_bound : :class:`float`
        To the shared weights in floating point: the cost of the arithmetic alone.
    exceeded : :class:`int`
        Elements that differ by more than their bound, for the other implementation with
        :data:`FLOAT32` of the largest result.
    """

    error: float
    bound: float
    rounding: float
    rounding_bound: float
    exceeded: int


def prove(network: Graph, model: Graph, config: EIEConfig, inputs: Mapping[str, Floats],
          expected: Mapping[str, Floats]) -> Proof:
    """Compare a compressed network with its model, element by element.

    Parameters
    ----------
    network, model : :class:`~eie_compiler.graph.graph.Graph`
        Compressed network, and the model before.
    config : :class:`~eie_hdl.config.EIEConfig`
        Machine.
    inputs : mapping of :class:`str` to float64 (n, ...)
        Inputs by name.
    expected : mapping of :class:`str` to float64 (m, ...)
        Results of another implementation for the first inputs, by output.
    """
    shared = decompress_graph(network)
    error, bound, exceeded = _compare(ErrorBound(network, model, config).run(inputs), expected,
                                      FLOAT32)
    exact = evaluate_real(shared, inputs)
    rounding, rounding_bound, more = _compare(ErrorBound(network, shared, config).run(inputs), {
        name: exact[name] for name in network.outputs}, 0.0)
    return Proof(error, bound, rounding, rounding_bound, exceeded + more)


def _compare(found: Mapping[str, Bounded], expected: Mapping[str, Floats], tolerance: float
             ) -> tuple[float, float, int]:
    """Largest difference, largest bound, and number of differences beyond their bound."""
    rows = []
    for name, results in expected.items():
        numbers, bounds = (array[:len(results)] for array in found[name])
        errors = np.abs(numbers - results)
        allowed = bounds + tolerance * np.abs(results).max()
        # A number that cannot be compared is beyond, too.
        rows.append((float(errors.max()), float(bounds.max()),
                     int(np.count_nonzero(~(errors <= allowed)))))
    greatest, bound, exceeded = zip(*rows)
    return max(greatest), max(bound), sum(exceeded)


def turn_batches(expected: Sequence[Floats], real: Mapping[str, Floats]) -> dict[str, Floats]:
    """Move the batch of results of another implementation to the first axis, by output.

    Parameters
    ----------
    expected : sequence of float64
        Results for the first inputs, of the first outputs; the batch may be any axis.
    real : mapping of :class:`str` to float64 (n, ...)
        Results of the model.

    Raises
    ------
    GraphError
        If results have other shapes than those of the model.
    """
    turned = {}
    for (name, found), results in zip(real.items(), expected):
        moved = [each for axis in range(results.ndim)
                 if (each := np.moveaxis(results, axis, 0)).shape[1:] == found.shape[1:]
                 and 0 < len(each) <= len(found)]
        if not moved:
            raise GraphError(f"results of another implementation must be as those of the network, "
                             f"{found.shape}, not of shape {results.shape}")
        turned[name] = min(moved, key=lambda each: float(np.abs(found[:len(each)] - each).max()))
    return turned
