"""Recurrent cells whose states stay on the chip, with random weights."""

import dataclasses
from collections.abc import Mapping
from typing import Literal

import numpy as np

from eie_compiler.compression.graph_formats import choose_fracs
from eie_compiler.frontends.recurrent_cells import Cell, make_gru, make_lstm, make_rnn
from eie_compiler.graph.graph import Graph, Node, Scan
from eie_compiler.graph.layers import find_layers, replace_layers
from eie_compiler.graph.operation import Operation
from eie_compiler.graph.operations import Add, Clip, Multiply, Sigmoid, Tanh
from eie_compiler.model import Model
from eie_compiler.network import CompressedNetwork
from eie_compiler.random_networks import make_layer, random_codes
from eie_hdl.config import EIEConfig

__all__ = ["Kind", "make_recurrence", "products_of"]

Kind = Literal["LSTM", "LSTM with peepholes", "GRU", "GRU, reset after the product", "RNN of tanh",
               "RNN of ReLU"]

#: Greatest magnitude of a number of a cell: it fits the operand of a table as it is.
_MOST = 15.9


def make_recurrence(kind: Kind, rng: np.random.Generator, config: EIEConfig, *, n_inputs: int,
                    n_hidden: int, n_steps: int, density: float, reverse: bool = False) -> Graph:
    """Make a recurrent cell, compressed: a ``sequence`` to the hidden state of each step.

    Formats and peepholes are such that a host computes the same words as the machine.

    Parameters
    ----------
    density : :class:`float`
        Share of the weights that are not zero.
    reverse : :class:`bool`
        True to compute the last step first.
    """
    scan = dataclasses.replace(_make_scan(kind, rng, n_inputs, n_hidden), reverse=reverse)
    graph = Graph({"sequence": (n_steps, n_inputs)}, (Node("cell", scan, ("sequence",)),),
                  ("cell",))
    frac_of = choose_fracs(graph, _bound(scan), config.act_width)
    fracs: dict[str, int] = {path: frac_of(path) for path, _ in graph.walk()}
    operands = {f"cell/{node.name}": f"cell/{node.inputs[0]}" for node in scan.body.nodes}

    def compress(path: str, model: Model) -> CompressedNetwork:
        (layer,) = model.layers
        scale = (layer.n_cols * density) ** -0.5
        codes = random_codes(rng, layer.n_rows, layer.n_cols, density, config.v_width)
        codebook = np.append(0.0, rng.normal(0, scale, (1 << config.v_width) - 1))
        return CompressedNetwork((make_layer(
            codes, codebook=codebook, name=layer.name, bias=rng.normal(0, 0.25, layer.n_rows),
            output_frac=fracs[path]),), frac_of(operands[path]), config.v_width)

    return replace_layers(graph, compress, frac_of)


def products_of(graph: Graph) -> Graph:
    """Make the graph of the matrix products of a step alone, which must be those of one layer."""
    ((path, network),) = find_layers(graph, CompressedNetwork).items()
    (layer,) = network.layers
    return Graph({"vector": (layer.n_cols,)}, (Node("cell", network, ("vector",)),), ("cell",),
                 {"vector": network.input_frac, "cell": layer.output_frac})


def _make_scan(kind: Kind, rng: np.random.Generator, n_inputs: int, n_hidden: int) -> Scan:
    n_gates = 4 if "LSTM" in kind else 3 if "GRU" in kind else 1
    rows = n_gates * n_hidden
    peepholes = rng.integers(-63, 64, (3, n_hidden)) / 128 if "peepholes" in kind else None
    cell = Cell("cell", "", np.ones((rows, n_inputs)), np.ones((rows, n_hidden)), np.zeros(rows),
                np.zeros(rows), peepholes,
                [Clip(0.0, np.inf)] if kind == "RNN of ReLU" else [Tanh()] if n_gates == 1
                else [Sigmoid(), Tanh(), Tanh()], None)
    if n_gates == 4:
        step, result, states = make_lstm(cell, needs_state=False)
    elif n_gates == 3:
        step, result, states = make_gru(cell, before_reset="after" in kind)
    else:
        step, result, states = make_rnn(cell)
    return step.scan(result, states, reverse=False)


def _bound(scan: Scan) -> Mapping[str, float]:
    """Bound the magnitudes of the tensors; greater numbers saturate."""
    body = scan.body
    bounds = dict.fromkeys(body.inputs, 1.0)
    for _ in range(2):    # states have the bounds of their next values
        for node in body.nodes:
            operands = [bounds[name] for name in node.inputs]
            bounds[node.name] = min(_MOST, _grow(node.computation, operands))
        bounds |= {state: bounds[source] for state, source in scan.states}
    return {"sequence": 1.0, "cell": bounds[body.outputs[0]],
            **{f"cell/{name}": bound for name, bound in bounds.items()}}


def _grow(computation: object, operands: list[float]) -> float:
    if isinstance(computation, (Sigmoid, Tanh)):
        return 1.0
    if isinstance(computation, Multiply):
        return float(np.prod(operands))
    if isinstance(computation, Operation) and not isinstance(computation, (Add, Clip)):
        return max(operands)
    return _MOST
