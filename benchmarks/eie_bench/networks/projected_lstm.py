"""LSTM with peepholes and a projection, from arrays; ONNX has no such operator."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eie_compiler.graph.graph import Graph, Node, Scan
from eie_compiler.graph.operation import Shape
from eie_compiler.graph.operations.activation import Sigmoid, Tanh
from eie_compiler.graph.operations.arrangement import Concat, Reshape, Slice
from eie_compiler.graph.operations.elementwise import Add, Affine, Multiply
from eie_compiler.model import Model, ModelLayer

from ..sharing import DataError

__all__ = ["make_projected_lstm"]

Array = NDArray[Any]


def make_projected_lstm(arrays: Mapping[str, Array], n_steps: int) -> Graph:
    """Make the graph of an LSTM and a linear layer on its last result.

    A step computes ``i, j, f, o = [x, h] @ kernel + bias``, ``c = sigmoid(f + forget_bias + w_f *
    c) * c + sigmoid(i + w_i * c) * tanh(j)`` and ``h = (sigmoid(o + w_o * c) * tanh(c)) @
    projection``, the last with the new `c`.

    Parameters
    ----------
    arrays : mapping of :class:`str` to array
        ``kernel`` (inputs + outputs, 4 · cells), ``bias``, ``forget_bias``, ``w_i``, ``w_f``,
        ``w_o`` (cells,), ``projection`` (cells, outputs), and ``out_kernel`` (outputs, classes)
        and ``out_bias`` of the linear layer. All matrices are inputs × outputs.
    n_steps : :class:`int`
        Length of a sequence.

    Returns
    -------
    :class:`~eie_compiler.graph.graph.Graph`
        Of a sequence (n_steps, inputs), ``features``, to ``logits`` (classes,).

    Raises
    ------
    DataError
        If an array is missing, or has another shape.
    """
    kernel, projection, out = (_array(arrays, name, 2) for name in
                               ("kernel", "projection", "out_kernel"))
    n_cells, n_states = projection.shape
    n_inputs = kernel.shape[0] - n_states
    if n_inputs < 1 or kernel.shape[1] != 4 * n_cells or len(out) != n_states:
        raise DataError(f"kernel must be of inputs and {n_states} outputs × {4 * n_cells}, and "
                        f"out_kernel × {n_states}, not {kernel.shape} and {out.shape}")
    bias = _array(arrays, "bias", 1).reshape(4, -1) \
        + np.outer([0, 0, 1, 0], _array(arrays, "forget_bias", 0))
    peepholes = {gate: _array(arrays, f"w_{gate}", 1) for gate in "ifo"}
    body = _make_step(Model((ModelLayer("gates", kernel.T, bias.ravel()),)),
                      Model((ModelLayer("projection", projection.T),)), peepholes, n_inputs)
    scan = Scan(body, (("c", "c_next"), ("h", "h_next")))
    logits = Model((ModelLayer("logits", out.T, _array(arrays, "out_bias", 1)),))
    return Graph({"features": (n_steps, n_inputs)}, (
        Node("lstm", scan, ("features",)),
        Node("last", Slice(0, n_steps - 1, n_steps), ("lstm",)),
        Node("last_h", Reshape((n_states,)), ("last",)),
        Node("logits", logits, ("last_h",))), ("logits",))


def _make_step(gates: Model, projection: Model, peepholes: Mapping[str, Array], n_inputs: int
               ) -> Graph:
    n_cells, n_states = projection.layers[0].n_cols, projection.layers[0].n_rows
    nodes = [Node("x_h", Concat(0), ("x", "h")), Node("gates", gates, ("x_h",)),
             *(Node(gate, Slice(0, number * n_cells, (number + 1) * n_cells), ("gates",))
               for number, gate in enumerate("ijfo"))]

    def gate(name: str, state: str) -> None:
        nodes.extend([
            Node(f"{name}_peephole", Affine(peepholes[name], np.zeros(n_cells)), (state,)),
            Node(f"{name}_sum", Add(), (name, f"{name}_peephole")),
            Node(f"{name}_gate", Sigmoid(), (f"{name}_sum",))])

    gate("i", "c")
    gate("f", "c")
    nodes += [Node("j_tanh", Tanh(), ("j",)),
              Node("kept", Multiply(), ("f_gate", "c")),
              Node("added", Multiply(), ("i_gate", "j_tanh")),
              Node("c_next", Add(), ("kept", "added"))]
    gate("o", "c_next")
    nodes += [Node("c_tanh", Tanh(), ("c_next",)),
              Node("cells", Multiply(), ("o_gate", "c_tanh")),
              Node("h_next", projection, ("cells",))]
    inputs: dict[str, Shape] = {"x": (n_inputs,), "c": (n_cells,), "h": (n_states,)}
    return Graph(inputs, tuple(nodes), ("h_next",))


def _array(arrays: Mapping[str, Array], name: str, n_axes: int) -> NDArray[np.float64]:
    array = arrays.get(name)
    if array is None or array.ndim != n_axes or array.dtype.kind != "f":
        raise DataError(f"{name} must be floating-point numbers of {n_axes} axes, not "
                        f"{'missing' if array is None else f'{array.dtype} of {array.shape}'}")
    return array.astype(np.float64)
