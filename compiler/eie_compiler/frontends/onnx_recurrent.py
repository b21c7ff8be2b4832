"""Recurrent operations of ONNX, as scans of a step."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..graph.operations import Clip, Concat
from .common import FrontEndError
from .graph_builder import GraphBuilder
from .onnx_constants import INTEGERS, module_of
from .onnx_elementwise import activation
from .onnx_site import Site
from .onnx_values import Tensor, sample_of, show_shape
from .recurrent_cells import Cell, make_gru, make_lstm, make_rnn

__all__ = ["RECURRENT"]

Array = NDArray[np.float64]

#: Number of gates, and default activations.
_GATES = {"LSTM": (4, ("Sigmoid", "Tanh", "Tanh")), "GRU": (3, ("Sigmoid", "Tanh")),
          "RNN": (1, ("Tanh",))}

#: Activations that a node may choose.
_ALLOWED = ("Relu", "Tanh", "Sigmoid", "LeakyRelu", "HardSigmoid")


def _recurrent(site: Site) -> tuple[Tensor, ...]:
    """Handle LSTM, GRU and RNN."""
    operation, options = site.node.op_type, site.options
    first = 0 if options.get("layout", 0) else 1    # axis of the batch
    sequence = site.batched(site.tensor(), first)
    if len(sequence.shape) != 3:
        raise FrontEndError(f"sequence must have three axes, not shape "
                            f"{show_shape(sequence.shape)}")
    n_steps, n_inputs = sequence.sizes
    if site.has(4) and (site.values.array(site.node.input[4], INTEGERS) != n_steps).any():
        raise FrontEndError(f"lengths of the sequences must all be {n_steps}: run shorter ones by "
                            "themselves")
    direction = options.get("direction", b"forward").decode("utf-8", "replace")
    directions = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
    if direction not in directions:
        raise FrontEndError(f"direction must be {', '.join(directions)}, not {direction!r}")
    cells = _cells(site, len(directions[direction]), n_inputs)
    initial = [_initial(site, place, sequence, len(cells), cells[0].n_hidden, first)
               for place in ((5, 6) if operation == "LSTM" else (5,))]
    needs_state = operation == "LSTM" and len(site.node.output) > 2 and site.node.output[2] != ""
    parts = []
    for number, (cell, reverse) in enumerate(zip(cells, directions[direction])):
        if operation == "LSTM":
            step, result, states = make_lstm(cell, needs_state)
        elif operation == "GRU":
            step, result, states = make_gru(cell, bool(options.get("linear_before_reset", 0)))
        else:
            step, result, states = make_rnn(cell)
        before = _before(site, [each[number] for each in initial], sequence, cell.n_hidden)
        scan = step.scan(result, states, reverse=reverse)
        name = f"{site.name}{cell.suffix}"
        parts.append(site.builder.add(name, scan, sequence.name, *before))
    return _outputs(site, parts, directions[direction], sequence, cells[0].n_hidden, first,
                    needs_state)


def _cells(site: Site, n_directions: int, n_inputs: int) -> list[Cell]:
    """Get the weights of each direction."""
    operation, options = site.node.op_type, site.options
    n_gates, defaults = _GATES[operation]
    weights, recurrent = _floats(site, 1), _floats(site, 2)
    n = recurrent.shape[-1]
    rows = n_gates * n
    bias = _floats(site, 3) if site.has(3) else None
    peepholes = _floats(site, 7) if operation == "LSTM" and site.has(7) else None
    for what, array, shape in (("weights", weights, (n_directions, rows, n_inputs)),
                               ("recurrent weights", recurrent, (n_directions, rows, n)),
                               ("biases", bias, (n_directions, 2 * rows)),
                               ("peepholes", peepholes, (n_directions, 3 * n))):
        if array is not None and array.shape != shape:
            raise FrontEndError(f"{what} must have the shape {show_shape(shape)}, not "
                                f"{show_shape(array.shape)}")
    if bias is None:
        bias = np.zeros((n_directions, 2 * rows))
    if options.get("input_forget", 0):
        raise FrontEndError("input_forget must be 0: train an LSTM whose input and forget gates "
                            "are separate")
    limit = options.get("clip", 0.0)
    names = [each.decode("utf-8", "replace") for each in options.get("activations", [])] \
        or list(defaults) * n_directions
    if len(names) != len(defaults) * n_directions or any(name not in _ALLOWED for name in names):
        raise FrontEndError(f"activations must be {len(defaults) * n_directions} of "
                            f"{', '.join(_ALLOWED)}, not {', '.join(names)}")
    if "activation_alpha" in options or "activation_beta" in options:
        raise FrontEndError("activations must have their default parameters, not others")
    made = [activation(name, {}) for name in names]
    label = module_of(site.node) or site.name
    cells = []
    for number, suffix in enumerate([""] if n_directions == 1 else [".forward", ".reverse"]):
        cells.append(Cell(
            f"{label}{suffix}", suffix, weights[number], recurrent[number], bias[number][:rows],
            bias[number][rows:], None if peepholes is None else peepholes[number].reshape(3, n),
            made[number * len(defaults):][:len(defaults)],
            Clip(-limit, limit) if limit else None))
    return cells


def _floats(site: Site, place: int) -> Any:
    site.constant(place)
    return site.values.array(site.node.input[place])


def _initial(site: Site, place: int, sequence: Tensor, n_directions: int, n: int, first: int
             ) -> list[Tensor | Array | None]:
    """Get the initial value of a state for each direction; None for zeros."""
    if not site.has(place):
        return [None] * n_directions
    value = site.value(place)
    if isinstance(value, Tensor):
        tensor = site.batched(value, first)
        if tensor.sizes != (n_directions, n):
            raise FrontEndError(f"initial state must have the shape {(n_directions, n)} for each "
                                f"sample, not {tensor.sizes}")
        return [site.result(site.builder.take(f"{site.name}.initial", tensor.name, 0, number),
                            tensor, 0)
                for number in range(n_directions)]
    if value.ndim == 3 and place == 6 and value.shape[2] != n:
        raise FrontEndError(f"cell state must have the {n} elements of the hidden state: the "
                            "operator has no projection (proj_size), which the exporter left out: "
                            "train an LSTM without it, followed by a linear layer if need be")
    if value.ndim != 3 or value.shape[1 - first] != n_directions or value.shape[2] != n:
        raise FrontEndError(f"initial state must have {n_directions} directions and {n} elements, "
                            f"not shape {show_shape(value.shape)}")
    return [row if row.any() else None for row in sample_of(value, sequence, first)]


def _before(site: Site, initial: Sequence[Tensor | Array | None], sequence: Tensor, n: int
            ) -> list[str]:
    """Name the initial values of all states, of which none is needed if all are zeros."""
    if all(value is None for value in initial):
        return []
    names = []
    for value in initial:
        if not isinstance(value, Tensor):
            value = site.filled(np.zeros(n) if value is None else value, sequence)
        names.append(value.name)
    return names


def _outputs(site: Site, parts: Sequence[str], reverse: Sequence[bool], sequence: Tensor, n: int,
             first: int, needs_state: bool) -> tuple[Tensor, ...]:
    """Make the outputs Y, Y_h and Y_c from the results of each direction."""
    builder, n_steps = site.builder, sequence.sizes[0]
    used = [name != "" for name in site.node.output]
    hidden = [builder.slice(f"{site.name}.hidden", part, 1, 0, n) for part in parts]
    samples = sequence.n_samples
    found = []
    for place, _ in enumerate(used):
        if not used[place]:
            found.append(sequence)    # without a name
            continue
        if place == 0:
            made = _together(builder, site.name, hidden, 1, (n_steps, 1, n))
            sizes: tuple[int, ...] = (n_steps, len(parts), n)
            batch = 2 if first else 0
        else:
            sources = hidden if place == 1 else [
                builder.slice(f"{site.name}.cell", part, 1, n, 2 * n) for part in parts]
            last = [builder.slice(f"{site.name}.last", part, 0, *((0, 1) if back else
                                                                  (n_steps - 1, n_steps)))
                    for part, back in zip(sources, reverse)]
            made = _together(builder, site.name, last, 0, (1, n))
            sizes, batch = (len(parts), n), first
        shape = (*sizes[:batch], samples, *sizes[batch:])
        found.append(Tensor(made, shape, batch))
    return tuple(found)


def _together(builder: GraphBuilder, name: str, parts: Sequence[str], axis: int,
              shape: tuple[int, ...]) -> str:
    """Give each part a shape, and join them along an axis of it."""
    shaped = [builder.reshape(name, part, shape) for part in parts]
    return shaped[0] if len(shaped) == 1 else builder.add(name, Concat(axis), *shaped)


#: Operations on a sequence.
RECURRENT: dict[str, Callable[[Site], tuple[Tensor, ...]]] = dict.fromkeys(_GATES, _recurrent)

