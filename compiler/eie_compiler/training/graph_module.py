"""Training of models that are graphs, with pruned and shared weights."""

import dataclasses
import math
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..compression.graph_samples import largest_tensor
from ..compression.groups import count_groups
from ..graph.evaluation import evaluate
from ..graph.graph import Graph, Node, Scan
from ..graph.layers import find_layers, layer_names, replace_layers
from ..graph.operation import Operation
from ..model import Model, ModelLayer
from ..patches import Patches
from .errors import TrainingError
from .module import FreeWeight, Trainable, dense_matrix, preprocess
from .torch_operations import TORCH_OPERATIONS

__all__ = ["GraphModule"]

#: Numbers in the largest tensor of an evaluation.
_MAX_NUMBERS = 1 << 24


class GraphModule(Trainable):
    """Trainable graph, computed as by :func:`~..graph.evaluation.evaluate_real`, in float32.

    Each layer has a matrix, which is that of its model; of a grouped convolution, the one of the
    weights in its groups, outputs × (channels / groups · kernel). Its zero weights are pruned.
    Biases train, constants of operations do not. The loss is that of the first output.

    Parameters
    ----------
    graph : :class:`~..graph.graph.Graph`
        Model of one input.

    Attributes
    ----------
    biases : :class:`torch.nn.ParameterList`
        Bias of each layer.
    nodes : :class:`list` of :class:`str`
        Path of the node of each layer.

    Raises
    ------
    TrainingError
        If there are several inputs, or no layers.
    """

    def __init__(self, graph: Graph) -> None:
        if len(graph.inputs) != 1:
            raise TrainingError(f"graph to retrain must have one input, not "
                                f"{', '.join(graph.inputs)}: retrain with PyTorch before the "
                                "export")
        self._layers = {path: _prepare(path, model)
                        for path, model in find_layers(graph, Model).items()}
        layers = [layer for several in self._layers.values() for layer in several]
        if not layers:
            raise TrainingError("graph to retrain must have layers")
        matrices = [layer.matrix for layer in layers]
        super().__init__([layer.name for layer in layers],
                         [FreeWeight(matrix, matrix != 0) for matrix in matrices])
        self.biases = nn.ParameterList(
            torch.tensor(layer.model.bias, dtype=torch.float32) for layer in layers)
        self.nodes = [path for path, several in self._layers.items() for _ in several]
        self._graph = graph
        self._operations = {path: TORCH_OPERATIONS[type(node.computation)](node.computation)
                            for path, node in graph.walk()
                            if isinstance(node.computation, Operation)}

    @property
    def others(self) -> list[nn.Parameter]:
        """Biases."""
        return list(self.biases)

    @property
    def n_inputs(self) -> int:
        """Number of elements of the input."""
        return math.prod(self._input_shape)

    @property
    def n_outputs(self) -> int:
        """Number of elements of the first output."""
        return math.prod(self._graph.shapes[self._graph.outputs[0]])

    @property
    def structure(self) -> Any:
        """Inputs, nodes and first output of the graph, with checksums of constants."""
        return _describe(self._graph)

    def to_graph(self) -> Graph:
        """Convert to a graph with the current weights and biases."""
        with torch.no_grad():
            parameters = self._tensors()
            return replace_layers(self._graph, lambda path, model: dataclasses.replace(
                model, layers=tuple(layer.trained(weight, bias)
                                    for layer, weight, bias in parameters[path])))

    def forward(self, x: Tensor, dropout: Sequence[float] | None = None,
                generator: torch.Generator | None = None) -> Tensor:
        """Compute the first output (batch, n_outputs) for inputs (batch, n_inputs)."""
        if dropout and any(dropout):
            raise TrainingError(f"dropout must be 0 for a graph, not {max(dropout)}")
        output = self._graph.outputs[0]
        if torch.is_grad_enabled():
            return self.compute(x)[output].flatten(1)
        parameters = self._tensors()    # once for all parts of the batch
        count = max(_MAX_NUMBERS // largest_tensor(self._graph, patches=False), 1)
        return torch.cat([self._compute(some, parameters)[output].flatten(1)
                          for some in x.split(count)])

    def compute(self, x: Tensor) -> dict[str, Tensor]:
        """Compute all nodes for inputs (batch, n_inputs): tensors (batch, ...) by name."""
        return self._compute(x, self._tensors())

    def _compute(self, x: Tensor, parameters: "_Parameters") -> dict[str, Tensor]:
        def compute_node(path: str, _graph: Graph, _node: Node, operands: list[Any]) -> Any:
            if path in self._operations:
                return self._operations[path](*operands)
            result, = operands
            for layer, weight, bias in parameters[path]:
                result = layer.compute(result, weight, bias)
            return result

        name, = self._graph.inputs
        inputs: Mapping[str, Any] = {name: preprocess(self._graph.preprocessing.get(name),
                                                      x.reshape(-1, *self._input_shape))}
        return evaluate(self._graph, inputs, compute_node, library=torch)

    def _tensors(self) -> "_Parameters":
        """Layers with their current weights and biases, by path of the node."""
        tensors = zip(self.weights, self.biases)
        return {path: [(layer, weight(), bias) for layer, (weight, bias) in zip(layers, tensors)]
                for path, layers in self._layers.items()}

    @property
    def _input_shape(self) -> tuple[int, ...]:
        shape, = self._graph.inputs.values()
        return shape


@dataclasses.dataclass(frozen=True, eq=False)
class _Layer:
    """Layer of a graph.

    Attributes
    ----------
    name : :class:`str`
        Path of the node; of several layers, followed by the name of each.
    model : :class:`~..model.ModelLayer`
        Layer before training.
    patches : :class:`~..patches.Patches`, optional
        Patches, if it is a convolution; of one pixel, if it is 1 × 1.
    groups : :class:`int`
        Groups of the convolution.
    """

    name: str
    model: ModelLayer
    patches: Patches | None
    groups: int

    @property
    def matrix(self) -> Tensor:
        """Weights in the groups, n_rows × (n_cols / groups)."""
        matrix = dense_matrix(self.model)
        blocks = self._blocks(matrix)
        return torch.cat([blocks[group, :, group] for group in range(self.groups)])

    def trained(self, weight: Tensor, bias: Tensor) -> ModelLayer:
        """Make the layer of a matrix like :attr:`matrix` and a bias."""
        matrix = torch.zeros(self.model.n_rows, self.model.n_cols)
        blocks = self._blocks(matrix)
        for group, some in enumerate(weight.chunk(self.groups)):
            blocks[group, :, group] = some
        return dataclasses.replace(self.model, weight=matrix.numpy().astype(np.float64),
                                   bias=bias.numpy().astype(np.float64))

    def compute(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Compute vectors (batch, ..., n), or images (batch, channels, height, width)."""
        y = functional.linear(x, weight, bias) if self.patches is None \
            else self._convolve(self.patches, x, weight, bias)
        return functional.relu(y) if self.model.relu else y

    def _convolve(self, patches: Patches, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        top, left, bottom, right = patches.padding
        if top != bottom or left != right:
            x = functional.pad(x, (left, right, top, bottom))
            top = left = 0
        # Faster on the CPU: one epoch of LeNet-5 takes 15 instead of 21 s.
        x = x.contiguous(memory_format=torch.channels_last)
        kernels = weight.reshape(len(weight), -1, *patches.kernel)
        return functional.conv2d(x, kernels, bias, patches.stride, (top, left), patches.dilation,
                                 self.groups)

    def _blocks(self, matrix: Tensor) -> Tensor:
        """View of a matrix as blocks: group of rows, row, group of columns, column."""
        return matrix.view(self.groups, len(matrix) // self.groups, self.groups, -1)


#: Layers with their weights and biases, by path of the node.
_Parameters = dict[str, list[tuple[_Layer, Tensor, Tensor]]]


def _prepare(path: str, model: Model) -> list[_Layer]:
    if model.preprocessing is not None:
        raise TrainingError(f"node {path!r}: layers of a graph must have no preprocessing: use "
                            "that of the graph")
    patches, groups = model.patches, count_groups(model.layers[0].weight, model.patches)
    prepared = []
    for name, layer in zip(layer_names(path, model), model.layers):
        prepared.append(_Layer(name, layer, patches, groups))
        if patches is not None:
            patches, groups = Patches((layer.n_rows, *patches.output_shape)), 1
    return prepared


def _describe(graph: Graph) -> Any:
    """Describe the computations of a graph as plain JSON; constants by their checksums."""
    inputs = [[name, shape, *(_fields(graph.preprocessing[name]) if name in graph.preprocessing
                              else [])] for name, shape in graph.inputs.items()]
    return [inputs, graph.outputs[0],
            [[node.name, node.inputs, type(node.computation).__name__, *_fields(node.computation)]
             for node in graph.nodes]]


def _fields(computation: Any) -> list[Any]:
    if isinstance(computation, Scan):
        return [_describe(computation.body), computation.states, computation.reverse]
    if isinstance(computation, Model):
        return [repr(computation.patches), [layer.relu for layer in computation.layers]]
    values = (getattr(computation, field.name) for field in dataclasses.fields(computation))
    return [[value.shape, zlib.crc32(value.tobytes())] if isinstance(value, np.ndarray)
            else repr(value) for value in values]
