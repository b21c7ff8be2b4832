"""Networks of any form in ONNX, read as graphs."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import onnx
from numpy.typing import NDArray

from ..graph.graph import Graph as Network, Node
from ..graph.layers import find_layers
from ..graph.operation import GraphError
from ..model import Model, ModelError
from .common import FrontEndError, at
from .graph_builder import GraphBuilder
from .onnx_arrangement import ARRANGEMENTS
from .onnx_batch import batch_axes
from .onnx_constants import label, name_of
from .onnx_elementwise import ELEMENTWISE, PAIRS, join
from .onnx_folding import FOLDED, fold
from .onnx_graph import Graph
from .onnx_operations import NEUTRAL, axis_of, find_left_out, operation_of, result_of
from .onnx_pooling import POOLING
from .onnx_problems import check_operations
from .onnx_quantised import QUANTISED
from .onnx_recurrent import RECURRENT
from .onnx_resampling import RESAMPLING
from .onnx_roots import ROOTS
from .onnx_shapes import SHAPES
from .onnx_site import Site
from .onnx_steps import STEPS
from .onnx_tail import Tail
from .onnx_values import BATCH, Tensor, Value, Values
from .output_names import name_outputs

__all__ = ["SUPPORTED", "Reader", "read_network"]

Array = NDArray[Any]

_HANDLERS: dict[str, Callable[[Site], Any]] = {**ARRANGEMENTS, **ELEMENTWISE, **POOLING,
                                               **QUANTISED, **RECURRENT, **RESAMPLING, **ROOTS,
                                               **SHAPES}

#: Operations on computed tensors.
SUPPORTED = {*STEPS, *_HANDLERS}


def read_network(graph: Graph, first: str | None, last: str | None,
                 image: Sequence[int] | None, *, fold_batch_norm: bool = True
                 ) -> Model | Network:
    """Read a graph of operations, as :func:`~.onnx.from_onnx`; as a model if it is a chain.

    Raises
    ------
    FrontEndError
        If an operation cannot be read; the message names the node and its tensors.
    """
    nodes, starts, ends = graph.part(first, last)
    check_operations(nodes, graph.constants, starts, ends, SUPPORTED,
                     FOLDED | {*ARRANGEMENTS, *QUANTISED, *SHAPES}, functions=graph.functions,
                     shapes=graph.shape)
    reader = Reader(graph, nodes, starts, ends, image, fold_batch_norm)
    for name, axis in batch_axes(graph, nodes, starts).items():
        reader.add_input(name, axis)
    for node in nodes:
        if not set(filter(None, node.output)) <= set(reader.left_out):
            with at(label(node)):
                reader.read(node)
    return reader.result(ends)


class Reader:
    """Reader of the nodes of a graph, in order.

    Attributes
    ----------
    left_out : mapping of :class:`str` to node
        Results that are left out at the end, and the nodes that compute them.
    """

    def __init__(self, graph: Graph, nodes: Sequence["onnx.NodeProto"], starts: Sequence[str],
                 ends: Sequence[str], image: Sequence[int] | None, fold_batch_norm: bool) -> None:
        self._values = Values(graph.constants, graph.data_type)
        self._builder = GraphBuilder()
        self._fold_batch_norm = fold_batch_norm
        self._notes: list[str] = []
        self._image = image
        self._shapes = graph.shape
        self._is_alone = len(starts) == 1
        producers = {name: node for node in nodes for name in node.output if name}
        self.left_out = find_left_out(nodes, graph.constants, ends, graph.shape)
        self._final = _final(producers, [self._end_of(name)[0] for name in ends])

    def add_input(self, name: str, axis: int | None) -> None:
        """Add an input with the batch in that axis."""
        with at(f"input {name!r}"):
            self._add_input(name, self._shapes(name), axis)
        if axis not in (0, None):
            self._note(f"the samples of input {name!r} are along its first axis here, which is "
                       f"axis {axis} in the model")

    def read(self, node: "onnx.NodeProto") -> None:
        """Read a node, all of whose operands are known."""
        site = Site(node, self._values, self._builder, name_of(node))
        operation = operation_of(node)
        # Constants are not read before they are needed.
        tensors = [tensor for each in node.input if (tensor := self._values.tensor(each))]
        if not tensors and operation in FOLDED:
            operands = [site.constant(place) for place in range(len(node.input))]
            results: Any = fold(operation, operands, site.options)
        elif operation in PAIRS and len(tensors) == 2:
            results = join(site, PAIRS[operation], *tensors)
        elif operation in STEPS:
            results = self._step(site, node)
        else:
            results = _HANDLERS[operation](site)
        if not isinstance(results, tuple):
            results = (results,)
        if operation in STEPS:
            self._values[result_of(node)] = results[0]
            return
        for each, value in zip(node.output, results):
            if each:
                self._values[each] = value

    def constant(self, name: str) -> Array | None:
        """Get a tensor that has been read; None if it is computed."""
        value = self._values[name]
        return None if isinstance(value, Tensor) else value

    def result(self, ends: Sequence[str]) -> Model | Network:
        """Return the graph, or the model that it is."""
        sources = [self._end_of(end) for end in ends]
        exact = {self._tensor_of(end, source).name: end
                 for end, (source, is_end) in zip(ends, sources) if is_end}
        outputs: list[str] = []
        names: list[str] = []
        for end, (source, is_end) in zip(ends, sources):
            value = self._tensor_of(end, source)
            if value.batch not in (0, None):
                self._note(f"the samples of {end!r} are along its first axis here, which is axis "
                           f"{value.batch} in the model")
            if value.inner:
                self._note(f"the samples of {end!r} are along an axis of their own here, before "
                           f"that of {value.inner[0]} elements, with which the model joins it")
            # What only stands for an output is needed once, under the name of its node.
            if is_end or value.name not in exact.keys() | set(outputs):
                outputs.append(value.name)
                names.append(end if is_end else value.name)
            elif value.name in exact:
                self._note(f"output {end!r} is left out, as {exact[value.name]!r} has its order")
        try:
            graph = name_outputs(self._builder.graph(outputs, self._notes), names)
        except (GraphError, ModelError) as error:
            raise FrontEndError(str(error)) from error
        if not any(not isinstance(node.computation, Model) or len(node.inputs) != 1
                   for node in graph.nodes) and len(graph.nodes) == 1 == len(graph.outputs) \
                and not graph.preprocessing:
            node, = graph.nodes
            assert isinstance(node.computation, Model)
            return _model(graph, node)
        if not find_layers(graph, Model):
            raise FrontEndError("model must have a linear layer or a convolution")
        return graph

    def _tensor_of(self, end: str, source: str) -> Tensor:
        value = self._values[source]
        if not isinstance(value, Tensor):
            raise FrontEndError(f"output {end!r} must depend on an input")
        return value

    def _add_input(self, name: str, shape: Sequence[int | None] | None, batch: int | None) -> None:
        if shape is None:
            raise FrontEndError("shape must be declared: onnx.shape_inference.infer_shapes infers "
                                "it for a tensor within a graph")
        if not shape:
            raise FrontEndError("must have elements for each sample, not be one number: give its "
                                f"value by fix={name}=VALUE")
        is_open = any(size is None for axis, size in enumerate(shape) if axis != batch)
        if self._image is not None and len(shape) in (3, 4) and (is_open or self._is_alone):
            # With one dimension, the height is left out.
            shape = [shape[0], self._image[0], *self._image[5 - len(shape):]]
        sizes = [BATCH if axis == batch and size is None else size
                 for axis, size in enumerate(shape)]
        if any(size is not None and size < 1 for size in sizes):
            raise FrontEndError(f"sizes must be 1 or more, not {sizes}")
        if None in sizes:
            raise FrontEndError(
                f"shape must be known but for the batch, not "
                f"({', '.join('?' if size is None else str(size) for size in shape)}): give "
                f"image=C,H,W for images, or each size by fix={name}.{sizes.index(None)}=SIZE")
        tensor = Tensor("", tuple(int(size) for size in sizes if size is not None), batch)
        plain = self._builder.add_input(name, tensor.sizes)
        self._values[name] = Tensor(plain, tensor.shape, batch)

    def _step(self, site: Site, node: "onnx.NodeProto") -> Value:
        """Read an operation of one computed tensor and constants."""
        data = [name for name in node.input if self._values.tensor(name)]
        if not data:
            return site.constant(0)    # without effect
        if len(data) > 1:
            raise FrontEndError("must have one computed input besides constants, not "
                                f"{len(data)}: the accelerator multiplies by constants")
        tensor = self._values.tensor(data[0])
        assert tensor is not None
        tail = Tail(site, tensor, fold_batch_norm=self._fold_batch_norm)
        tail.is_complete = result_of(node) in self._final
        STEPS[operation_of(node)](tail, self._values, node, data[0])
        for text in tail.notes:
            self._note(text)
        return tail.tensor

    def _end_of(self, name: str) -> tuple[str, bool]:
        """Find the tensor whose results stand for an output, and whether they are the same."""
        is_end = True
        while name in self.left_out:
            node, name = self.left_out[name]
            if operation_of(node) not in NEUTRAL:
                is_end = False
                self._note(f"the results are those before the {node.op_type}"
                           f"{axis_of(node, self._shapes)}, which has their order: compute it on "
                           "the host where it is needed")
        return name, is_end

    def _note(self, text: str) -> None:
        if text not in self._notes:
            self._notes.append(text)


def _final(producers: Mapping[str, "onnx.NodeProto"], ends: Sequence[str]) -> set[str]:
    """Find the tensors after which nothing is computed."""
    found = set()
    for name in ends:
        found.add(name)
        while name in producers and operation_of(producers[name]) in NEUTRAL:
            name = producers[name].input[0]
            found.add(name)
    return found


def _model(graph: Network, node: Node) -> Model:
    """Make a model of a graph that is one."""
    assert isinstance(node.computation, Model)
    return dataclasses.replace(node.computation, notes=graph.notes)
