"""Graphs in floating point and in exactly the arithmetic of a machine, batch by batch."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from eie_compiler.graph.evaluation import evaluate_real
from eie_compiler.graph.graph import Graph
from eie_compiler.graph.operation import Operation
from eie_compiler.lowering.integer_graph import IntegerGraph
from eie_compiler.vectors import dequantise
from eie_hdl.config import EIEConfig

from .task import Floats

__all__ = ["run_in_words", "run_real"]

_Number = TypeVar("_Number", bound=np.generic)


def run_real(graph: Graph, inputs: Mapping[str, Floats], *, batch: int,
             progress: Callable[[int], None] = lambda done: None) -> dict[str, Floats]:
    """Compute the outputs of a model in floating point, `batch` inputs at a time."""
    return _join(graph.outputs, (evaluate_real(graph, some)
                                 for some in _split(inputs, batch, progress)))


def run_in_words(graph: Graph, config: EIEConfig, inputs: Mapping[str, Floats], *, batch: int,
                 progress: Callable[[int], None] = lambda done: None
                 ) -> tuple[dict[str, Floats], dict[str, int]]:
    """Compute the outputs of a compressed network in words, `batch` inputs at a time.

    Returns
    -------
    outputs : :class:`dict` of :class:`str` to float64 (n, ...)
        Numbers that the words represent.
    saturated : :class:`dict` of :class:`str` to :class:`int`
        Number of saturated elements, by path of the operation of the host.

    Raises
    ------
    CompileError
        If a layer has no format on this machine.
    """
    machine = IntegerGraph(graph, config)
    words = _join(graph.outputs, (machine.run(some) for some in _split(inputs, batch, progress)))
    return {name: dequantise(found, machine.fracs[name]) for name, found in words.items()}, {
        path: machine.saturated[path] for path, node in graph.walk()
        if isinstance(node.computation, Operation) and machine.saturated[path]}


def _split(inputs: Mapping[str, Floats], batch: int, progress: Callable[[int], None]
           ) -> Iterator[dict[str, Floats]]:
    for start in range(0, len(next(iter(inputs.values()))), batch):
        progress(start)
        yield {name: values[start:start + batch] for name, values in inputs.items()}


def _join(outputs: Sequence[str], parts: Iterator[Mapping[str, NDArray[_Number]]]
          ) -> dict[str, NDArray[_Number]]:
    results: dict[str, list[NDArray[_Number]]] = {name: [] for name in outputs}
    for part in parts:
        for name in outputs:
            results[name].append(part[name])
    return {name: np.concatenate(found) for name, found in results.items()}
