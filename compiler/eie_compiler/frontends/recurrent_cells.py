"""Steps of recurrent cells, as graphs."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..graph.operation import Operation
from ..graph.operations import Add, Affine, Concat, Multiply, Subtract
from .graph_builder import GraphBuilder

__all__ = ["Cell", "Step", "make_gru", "make_lstm", "make_rnn"]

Array = NDArray[np.float64]

#: Graph of a step, its result, and the node of the next value of each state.
Step = tuple[GraphBuilder, str, dict[str, str]]


class Cell(NamedTuple):
    """Weights of one direction.

    Parameters
    ----------
    name, suffix : :class:`str`
        Name of its layers, and its end for one of two directions.
    input, recurrent : gates · hidden × inputs, gates · hidden × hidden
        Matrices of the input and of the hidden state, gate after gate.
    input_bias, recurrent_bias : gates · hidden
        Their biases.
    peepholes : 3 × hidden, optional
        Of an LSTM, the weights of the state of the cell for its gates i, o and f.
    activations : sequence of :class:`~..graph.operation.Operation`
        As many as the operation has.
    clip : :class:`~..graph.operation.Operation`, optional
        Limit of the arguments of the activations.
    """

    name: str
    suffix: str
    input: Array
    recurrent: Array
    input_bias: Array
    recurrent_bias: Array
    peepholes: Array | None
    activations: Sequence[Operation]
    clip: Operation | None

    @property
    def n_hidden(self) -> int:
        """Number of elements of the hidden state."""
        return self.recurrent.shape[1]

    def gate(self, part: Array, *places: int) -> Array:
        """Get the rows of gates."""
        return np.concatenate([part[place * self.n_hidden:(place + 1) * self.n_hidden]
                               for place in places])

    def activate(self, step: GraphBuilder, name: str, operand: str, place: int) -> str:
        """Limit an argument, and apply an activation."""
        if self.clip is not None:
            operand = step.add(f"{name}_clip", self.clip, operand)
        return step.add(name, self.activations[place], operand)

    def step(self, *states: str) -> GraphBuilder:
        """Begin the graph of a step."""
        return GraphBuilder({"x": (self.input.shape[1],),
                             **dict.fromkeys(states, (self.n_hidden,))})


def make_lstm(cell: Cell, needs_state: bool) -> Step:
    """Make a step of an LSTM: the graph, its result, and the next values of its states."""
    step, n = cell.step("h", "c"), cell.n_hidden
    gates = _gates(step, cell, cell.name, (0, 1, 2, 3), "h")
    if cell.peepholes is None:
        three = cell.activate(step, "gates", step.slice("ifo", gates, 0, 0, 3 * n), 0)
        i, o, f = (step.slice(name, three, 0, place * n, (place + 1) * n)
                   for place, name in enumerate(("i", "o", "f")))
    else:
        i, f = (cell.activate(step, name, _peep(step, cell, name, gates, place, "c"), 0)
                for name, place in (("i", 0), ("f", 2)))
    new = cell.activate(step, "g", step.slice("g_sum", gates, 0, 3 * n, 4 * n), 1)
    kept, added = step.add("kept", Multiply(), f, "c"), step.add("added", Multiply(), i, new)
    c = step.add("c_next", Add(), kept, added)
    if cell.peepholes is not None:
        o = cell.activate(step, "o", _peep(step, cell, "o", gates, 1, c), 0)
    h = step.add("h_next", Multiply(), o, step.add("c_out", cell.activations[2], c))
    result = step.add("state", Concat(0), h, c) if needs_state else h
    return step, result, {"h": h, "c": c}


def _peep(step: GraphBuilder, cell: Cell, name: str, gates: str, place: int, state: str) -> str:
    """Add the state of the cell to a gate."""
    n = cell.n_hidden
    assert cell.peepholes is not None
    part = step.slice(name, gates, 0, place * n, (place + 1) * n)
    seen = step.add(f"{name}_peephole", Affine(cell.peepholes[place], 0.0), state)
    return step.add(f"{name}_sum", Add(), part, seen)


def make_gru(cell: Cell, before_reset: bool) -> Step:
    """Make a step of a GRU, with gates z, r and h."""
    step, n = cell.step("h"), cell.n_hidden
    if before_reset:
        # One matrix also has the two parts of the candidate, of which one is reset.
        zeros = np.zeros_like
        weight = np.block([
            [cell.gate(cell.input, 0, 1), cell.gate(cell.recurrent, 0, 1)],
            [cell.gate(cell.input, 2), zeros(cell.gate(cell.recurrent, 2))],
            [zeros(cell.gate(cell.input, 2)), cell.gate(cell.recurrent, 2)]])
        bias = np.concatenate([
            cell.gate(cell.input_bias + cell.recurrent_bias, 0, 1), cell.gate(cell.input_bias, 2),
            cell.gate(cell.recurrent_bias, 2)])
        both = step.add("xh", Concat(0), "x", "h")
        gates = step.add_layer(cell.name, weight, bias, both)
    else:
        gates = _gates(step, cell, cell.name, (0, 1), "h")
    two = cell.activate(step, "gates", step.slice("gates", gates, 0, 0, 2 * n), 0)
    z, r = step.slice("z", two, 0, 0, n), step.slice("r", two, 0, n, 2 * n)
    if before_reset:
        reset = step.add("reset", Multiply(), r, step.slice("new_h", gates, 0, 3 * n, 4 * n))
        new = step.add("new", Add(), step.slice("new_x", gates, 0, 2 * n, 3 * n), reset)
    else:
        reset = step.add("reset", Multiply(), r, "h")
        new = _gates(step, cell, f"{cell.name}.new", (2,), reset)
    new = cell.activate(step, "candidate", new, 1)
    # (1 - z) new + z h, with one product.
    change = step.add("change", Multiply(), z, step.add("difference", Subtract(), "h", new))
    h = step.add("h_next", Add(), new, change)
    return step, h, {"h": h}


def make_rnn(cell: Cell) -> Step:
    """Make a step of a simple recurrent network."""
    step = cell.step("h")
    h = cell.activate(step, "h_next", _gates(step, cell, cell.name, (0,), "h"), 0)
    return step, h, {"h": h}


def _gates(step: GraphBuilder, cell: Cell, name: str, places: Sequence[int], state: str) -> str:
    """Add a layer of gates on the input and a state."""
    weight = np.hstack([cell.gate(cell.input, *places), cell.gate(cell.recurrent, *places)])
    bias = cell.gate(cell.input_bias + cell.recurrent_bias, *places)
    both = step.add("xr" if state == "reset" else "xh", Concat(0), "x", state)
    return step.add_layer(name, weight, bias, both)
