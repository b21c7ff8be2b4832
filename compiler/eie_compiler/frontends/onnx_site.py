"""Node of an ONNX graph, with its operands, while it is read."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from ..graph.graph import Computation
from ..graph.operation import Operation
from ..graph.operations import Affine
from .common import FrontEndError
from .graph_builder import GraphBuilder
from .onnx_constants import attributes
from .onnx_folding import check_copy, check_size
from .onnx_values import Tensor, Value, Values, show_shape, without

__all__ = ["Site"]


class Site:
    """Node that is read, and the graph that it is added to.

    Parameters
    ----------
    node : :class:`onnx.NodeProto`
        Node.
    values : :class:`~.onnx_values.Values`
        Values of the tensors before it.
    builder : :class:`~.graph_builder.GraphBuilder`
        Graph under construction.
    name : :class:`str`
        Name for its results.

    Raises
    ------
    FrontEndError, GraphError
        In all methods, if operands are invalid; the message does not name the node.
    """

    def __init__(self, node: "onnx.NodeProto", values: Values, builder: GraphBuilder, name: str
                 ) -> None:
        self.node = node
        self.values = values
        self.builder = builder
        self.name = name
        self.options = attributes(node)

    def has(self, place: int) -> bool:
        """Check if there is an operand in that place."""
        return place < len(self.node.input) and self.node.input[place] != ""

    def value(self, place: int = 0) -> Value:
        """Get an operand."""
        if not self.has(place):
            raise FrontEndError(f"operand {place + 1} must be given")
        return self.values[self.node.input[place]]

    def tensor(self, place: int = 0) -> Tensor:
        """Get a computed operand."""
        value = self.value(place)
        if not isinstance(value, Tensor):
            raise FrontEndError(f"input {self.node.input[place]!r} must be computed from an input "
                                "of the model, not a constant: store the result as a constant")
        return value

    def constant(self, place: int) -> NDArray[Any]:
        """Get a constant operand."""
        if self.has(place) and self.values.tensor(self.node.input[place]):
            raise FrontEndError(f"input {self.node.input[place]!r} must be a constant")
        value = self.value(place)
        assert not isinstance(value, Tensor)
        return value

    def number(self, place: int, option: str, otherwise: float) -> float:
        """Get a number from a constant operand, or from an attribute."""
        if not self.has(place):
            return float(self.options.get(option, otherwise))
        constant = self.constant(place)
        if constant.size != 1:
            raise FrontEndError(f"{option} must be one number, not of shape "
                                f"{show_shape(constant.shape)}")
        return float(constant.item())

    def integers(self, place: int, option: str = "") -> list[int] | None:
        """Get integers from a constant operand, or from an attribute; None if there are none."""
        if not self.has(place):
            numbers = self.options.get(option)
            return None if numbers is None else list(numbers)
        constant = self.constant(place)
        if constant.dtype.kind != "i":
            raise FrontEndError(f"input {self.node.input[place]!r} must be integers, not "
                                f"{constant.dtype}")
        check_size(constant.shape)
        return [int(number) for number in constant.ravel()]

    def emit(self, computation: Computation, *tensors: Tensor, batch: int | None) -> Tensor:
        """Add a node; its result has the batch in that axis."""
        name = self.builder.add(self.name, computation, *(tensor.name for tensor in tensors))
        return self.result(name, tensors[0], batch)

    def like(self, computation: Computation, tensor: Tensor) -> Tensor:
        """Add a node on each element of a tensor."""
        return self.emit(computation, tensor, batch=tensor.batch)

    def elementwise(self, operation: Operation, tensor: Tensor) -> Tensor:
        """Add an operation of each element."""
        name = self.builder.apply(self.name, operation, tensor.name)
        return self.result(name, tensor, tensor.batch)

    def affine(self, scale: float, shift: float, tensor: Tensor) -> Tensor:
        """Multiply by a number and add another; nothing if that changes nothing."""
        name = self.builder.scale(self.name, scale, shift, tensor.name)
        return self.result(name, tensor, tensor.batch)

    def result(self, name: str, before: Tensor, batch: int | None) -> Tensor:
        """Describe a node as a tensor with the samples of one before."""
        shape = self.builder.shapes[name][len(before.inner):]
        if batch is not None:
            n_rows = before.n_samples * math.prod(before.inner)
            shape = (*shape[:batch], n_rows, *shape[batch:])
        return Tensor(name, shape, batch, before.inner)

    def reshape(self, tensor: Tensor, shape: Sequence[int], batch: int | None, *,
                end: str = "") -> Tensor:
        """Change the shape of a tensor to one with the batch in that axis; `end`: of the name."""
        shape = tuple(shape)
        if (shape, batch) == (tensor.shape, tensor.batch):
            return tensor
        self.check_apart(tensor)
        name = self.builder.reshape(f"{self.name}{end}", tensor.name, without(shape, batch))
        return Tensor(name, shape, batch)

    def batched(self, tensor: Tensor, axis: int) -> Tensor:
        """Require a tensor to have the batch in an axis."""
        self.check_apart(tensor)
        if tensor.batch == axis:
            return tensor
        if tensor.batch is None and axis < len(tensor.shape) and tensor.shape[axis] == 1:
            return self.reshape(tensor, tensor.shape, axis, end=".sample")
        found = "no batch" if tensor.batch is None else f"it in axis {tensor.batch}"
        raise FrontEndError(f"operand must have the batch in axis {axis}, not {found}, of shape "
                            f"{show_shape(tensor.shape)}: declare the axis of the batch, and no "
                            "other, as of open size")

    @staticmethod
    def check_apart(tensor: Tensor) -> None:
        """Check that no axis is joined with the batch."""
        if tensor.inner:
            raise FrontEndError(f"axis of {tensor.inner[0]} elements of each sample must be apart "
                                "from the batch: reshape the tensor before")

    def image(self, tensor: Tensor, n: int) -> tuple[Tensor, tuple[int, int, int]]:
        """Get images (channels, height, width) of `n` dimensions; one is a row of pixels."""
        tensor = self.batched(tensor, 0)
        sizes = tensor.sizes
        if len(sizes) != n + 1 or n not in (1, 2):
            wanted = {1: "one dimension", 2: "two dimensions"}.get(n, "one or two dimensions")
            remedy = f": reshape it to (batch, {sizes[0]}, 1, {sizes[1]}) before" \
                if n == 2 and len(sizes) == 2 else ""
            raise FrontEndError(f"operand must have {wanted} after the channels, not shape "
                                f"{show_shape(tensor.shape)}{remedy}")
        shape = sizes[0], sizes[1] if n == 2 else 1, sizes[-1]
        return self.reshape(tensor, (tensor.n_samples, *shape), 0, end=".image"), shape

    def rows(self, tensor: Tensor, n: int) -> Tensor:
        """Give images (channels, height, width) `n` dimensions again."""
        if n == 2:
            return tensor
        return self.reshape(tensor, (*tensor.shape[:2], *tensor.shape[3:]), 0, end=".row")

    def filled(self, constant: NDArray[Any], like: Tensor) -> Tensor:
        """Make a computed tensor of a constant without the batch, for each sample of another."""
        self.check_apart(like)
        check_copy(constant)
        end = f"{self.name}.constant"
        flat = self.builder.reshape(end, like.name, (math.prod(like.sizes),))
        first = self.builder.slice(end, flat, 0, 0, 1)
        flat_constant = np.array(constant, np.float64).reshape(-1)
        name = self.builder.add(end, Affine(np.zeros_like(flat_constant), flat_constant),
                                first)
        made = Tensor(name, (like.n_samples, flat_constant.size), 0)
        return self.reshape(made, (like.n_samples, *constant.shape), 0, end=".constant")
