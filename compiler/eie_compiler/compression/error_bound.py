"""Proven bounds of the errors of a compressed graph in the arithmetic of a machine."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, diags_array

from eie_hdl.config import EIEConfig
from eie_hdl.numeric import relu, saturate

from ..graph.evaluation import apply_layers, evaluate
from ..graph.graph import Graph, Node
from ..graph.layers import find_layers
from ..graph.operation import Floats, Operation, Words
from ..lowering.arithmetic import IntegerLayer
from ..lowering.integer_graph import IntegerGraph
from ..model import Model, ModelLayer
from ..network import CompressedNetwork
from ..vectors import dequantise
from .equalisation import find_factors
from .row_scales import repeat_scales

__all__ = ["Bounded", "ErrorBound"]

#: Element of a tensor: its word, and the bound of the error of what it represents.
_ELEMENT = np.dtype([("word", np.int64), ("error", np.float64)])

#: Share of the magnitudes of a computation that its rounding in float64 does not exceed: sums have
#: at most 2 ** 24 terms.
_SLACK = 2.0 ** -28

_Tensor = NDArray[Any]


class Bounded(NamedTuple):
    """Tensor of a compressed network, and the bound of the error of each element.

    Attributes
    ----------
    numbers : float64 (batch, ...)
        Numbers that the words represent.
    errors : float64 (batch, ...)
        Greatest distance of each to the exact result of the model; infinite if none is known.
    """

    numbers: Floats
    errors: Floats


class ErrorBound:
    """Bound of the error of each result of a compressed network, proven for given inputs.

    The network is computed in words. With each word goes a bound of the distance of the number that
    it represents to that of the model, in exact arithmetic:

    - of an input, after preprocessing, the distance itself;
    - of a layer ``W' x + b'`` with words of weights and biases, where the model has ``W`` and
      ``b``: the distance of both for the words `x`, ``|(W' - W) x + b' - b|``; errors of the
      inputs, ``|W| e``; and half a step, if the result is rounded;
    - of an operation: the greatest distance of its real numbers for these words to those for
      operands within their bounds (:meth:`~..graph.operation.Operation.enclose`), and that of its
      definition in words (:meth:`~..graph.operation.Operation.rounding`);
    - of a result that saturates, how far it is beyond the format, too.

    Bounds are computed in float64 and enlarged by more than its rounding.

    Parameters
    ----------
    network : :class:`~..graph.graph.Graph`
        Compressed network.
    model : :class:`~..graph.graph.Graph`
        Model to compare with: the one that was compressed; or that of
        :func:`~.graph_layers.decompress_graph`, for the error of the arithmetic alone.
    config : :class:`~eie_hdl.config.EIEConfig`
        Machine, for its widths.

    Raises
    ------
    CompileError
        If a layer has no format on this machine.
    """

    def __init__(self, network: Graph, model: Graph, config: EIEConfig) -> None:
        self._network, self._model, self._width = network, model, config.act_width
        self._machine = machine = IntegerGraph(network, config)
        models = find_layers(repeat_scales(model, network), Model)
        self._layers = {path: _make_layers(found, models[path], machine.layers[path])
                        for path, found in find_layers(network, CompressedNetwork).items()}

    def run(self, inputs: Mapping[str, Floats]) -> dict[str, Bounded]:
        """Compute inputs and results by name, with their bounds, for numbers (batch, ...)."""
        fracs, tensors = self._network.fracs, {}
        assert fracs is not None
        exact = self._model.preprocess(inputs)
        for name, numbers in inputs.items():
            words, _ = self._machine.to_words(name, numbers)
            error = np.abs(dequantise(words, fracs[name]) - exact[name])
            if exact[name] is not numbers:    # preprocessing rounds
                error += _SLACK * np.abs(exact[name])
            tensors[name] = _join(words, error)
        with np.errstate(over="ignore", invalid="ignore"):
            found = evaluate(self._network, tensors, self._compute)
        return {name: Bounded(dequantise(tensor["word"], fracs[name]), tensor["error"])
                for name, tensor in found.items()}

    def _compute(self, path: str, graph: Graph, node: Node, operands: list[_Tensor]) -> _Tensor:
        if isinstance(node.computation, CompressedNetwork):
            return apply_layers(node.computation.patches, operands[0],
                                lambda vectors: self._run_layers(path, vectors))
        assert isinstance(node.computation, Operation) and graph.fracs is not None
        operation, frac = node.computation, graph.fracs[node.name]
        fracs = [graph.fracs[name] for name in node.inputs]
        words = [operand["word"] for operand in operands]
        numbers = list(map(dequantise, words, fracs))
        bounds = [(x - tensor["error"], x + tensor["error"])
                  for x, tensor in zip(numbers, operands)]
        centre, (least, greatest) = operation.real(*numbers), operation.enclose(*bounds)
        error = np.maximum(centre - least, greatest - centre) \
            + operation.rounding(*numbers, fracs=fracs, frac=frac)
        magnitude = max(np.abs(one).max(initial=0) for one in (centre, *sum(bounds, ())))
        return self._saturate(operation.words(*words, fracs=fracs, frac=frac), frac,
                              error + _SLACK * magnitude)

    def _run_layers(self, path: str, vectors: _Tensor) -> _Tensor:
        for layer in self._layers[path]:
            exact, error = layer(vectors["word"], vectors["error"])
            vectors = self._saturate(exact, layer.frac, error)
        return vectors

    def _saturate(self, exact: Words, frac: int, error: Floats) -> _Tensor:
        words = saturate(exact, self._width)
        return _join(words, error + dequantise(np.abs(exact - words), frac))


def _join(words: Words, error: Floats) -> _Tensor:
    """Make elements. A bound that is no number, such as 0 times an infinite one, is infinite."""
    tensor = np.empty(words.shape, _ELEMENT)
    tensor["word"], tensor["error"] = words, np.where(np.isnan(error), np.inf,
                                                      (1 + _SLACK) * error)
    return tensor


class _Layer:
    """Layer in words, with bounds.

    Parameters
    ----------
    fixed : :class:`~..lowering.arithmetic.IntegerLayer`
        Layer on the machine.
    input_frac : :class:`int`
        Fraction bits of its inputs.
    layer : :class:`~..model.ModelLayer`
        Layer of the model.
    """

    def __init__(self, fixed: IntegerLayer, input_frac: int, layer: ModelLayer) -> None:
        self.frac, self._relu = fixed.frac, fixed.relu
        self._linear = dataclasses.replace(fixed, relu=False)
        frac = fixed.frac + fixed.shift    # of the accumulator
        weight = csc_array(layer.weight)
        self._change = fixed.weights * 2.0 ** (input_frac - frac) - weight
        self._bias_change = dequantise(fixed.bias, frac) - layer.bias
        self._magnitudes, self._changes = abs(weight), abs(self._change)
        self._rounding = 2.0 ** -(fixed.frac + 1) if fixed.shift else 0.0
        self._input_frac = input_frac

    def __call__(self, words: Words, errors: Floats) -> tuple[Words, Floats]:
        """Compute words (batch, n_rows), before they saturate, and bounds of their errors."""
        numbers = dequantise(words, self._input_frac)
        exact = self._linear.exact(words)
        centre = dequantise(exact, self.frac)
        error = np.abs((self._change @ numbers.T).T + self._bias_change) \
            + (self._magnitudes @ errors.T).T + self._rounding \
            + _SLACK * ((self._changes @ np.abs(numbers).T).T + np.abs(centre))
        if not self._relu:
            return exact, error
        # The greater distance is that to a greater number.
        return relu(exact), np.maximum(centre + error, 0) - np.maximum(centre, 0)


def _make_layers(network: CompressedNetwork, model: Model, fixed: list[IntegerLayer]
                 ) -> list[_Layer]:
    """Make the layers of a node, with the scales that compression gave to results between them."""
    factors = [np.ones(model.layers[0].n_cols), *find_factors(model, network)[:-1],
               np.ones(model.layers[-1].n_rows)]
    layers, frac = [], network.input_frac
    for number, (layer, on_machine) in enumerate(zip(model.layers, fixed, strict=True)):
        columns, rows = factors[number:number + 2]
        weight = diags_array(rows) @ csc_array(layer.weight) @ diags_array(1 / columns)
        layers.append(_Layer(on_machine, frac, dataclasses.replace(
            layer, weight=weight, bias=rows * layer.bias)))
        frac = on_machine.frac
    return layers
