"""Evaluation of graphs: node by node, in floating point or by any function."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..model import Model
from ..network import CompressedNetwork
from ..patches import Patches
from .graph import Graph, Node, Scan
from .operation import Floats, Operation

__all__ = ["apply_layers", "evaluate", "evaluate_real"]

Array = NDArray[Any]


def evaluate(graph: Graph, tensors: Mapping[str, Array],
             compute: Callable[[str, Graph, Node, list[Array]], Array], *, prefix: str = "",
             library: Any = np) -> dict[str, Array]:
    """Compute all nodes of a graph.

    Parameters
    ----------
    tensors : mapping of :class:`str` to array (batch, ...)
        Inputs by name.
    compute : function of path, graph, node and operands
        Computes a node that is not a scan: path of the node, and the graph that it belongs to.
    prefix : :class:`str`
        Path of the graph.
    library : module
        Library of the arrays, with ``zeros`` and ``stack`` of NumPy, such as PyTorch.

    Returns
    -------
    :class:`dict` of :class:`str` to array (batch, ...)
        Inputs and results by name.
    """
    values = {name: tensors[name] for name in graph.inputs}
    for node in graph.nodes:
        operands = [values[name] for name in node.inputs]
        path = prefix + node.name
        values[node.name] = _scan(path, node.computation, operands, compute, library) \
            if isinstance(node.computation, Scan) else compute(path, graph, node, operands)
    return values


def _scan(path: str, scan: Scan, operands: list[Array],
          compute: Callable[[str, Graph, Node, list[Array]], Array], library: Any) -> Array:
    sequence, *initial = operands
    body = scan.body
    element, *states = body.inputs
    values = dict(zip(states, initial or (
        library.zeros((len(sequence), *body.inputs[state]), dtype=sequence.dtype)
        for state in states)))
    results: list[Array] = []
    steps = range(sequence.shape[1])
    for step in reversed(steps) if scan.reverse else steps:
        computed = evaluate(body, {element: sequence[:, step], **values}, compute,
                            prefix=f"{path}/", library=library)
        values = {state: computed[source] for state, source in scan.states}
        results.append(computed[body.outputs[0]])
    stacked: Array = library.stack(results[::-1] if scan.reverse else results, 1)
    return stacked


def apply_layers(patches: Patches | None, tensor: Array, run: Callable[[Array], Array]) -> Array:
    """Apply layers to a tensor (batch, ...).

    Parameters
    ----------
    patches : :class:`~..patches.Patches`, optional
        Patches that are cut from images, if the first layer is a convolution.
    run : function of array (vectors, n_inputs)
        Computes results (vectors, n_outputs).
    """
    if patches is not None:
        return patches.join(run(patches.cut(tensor)))
    results = run(tensor.reshape(-1, tensor.shape[-1]))
    return results.reshape(*tensor.shape[:-1], results.shape[-1])


def evaluate_real(graph: Graph, tensors: Mapping[str, Floats], *,
                  run_layers: Callable[[str, Any, Floats], Floats] = lambda path, layers, x:
                  layers(x), watch: Callable[[str, Floats], object] = lambda path, result: None
                  ) -> dict[str, Floats]:
    """Compute all nodes of a model in floating point, as :func:`evaluate` does.

    Parameters
    ----------
    tensors : mapping of :class:`str` to float64 (batch, ...)
        Inputs by name, before preprocessing; those of the result are after it.
    run_layers : function of path, layers and vectors (vectors, n_inputs)
        Computes the layers of a node: results (vectors, n_outputs).
    watch : function of path and result (batch, ...)
        Called as that of :class:`~.execution.Execution`.
    """
    def compute(path: str, _graph: Graph, node: Node, operands: list[Floats]) -> Floats:
        layers = node.computation
        if isinstance(layers, Operation):
            result = layers.real(*operands)
        else:
            assert isinstance(layers, (Model, CompressedNetwork))
            result = apply_layers(layers.patches, operands[0],
                                  lambda vectors: run_layers(path, layers, vectors))
        watch(path, result)
        return result

    return evaluate(graph, graph.preprocess(tensors), compute)
