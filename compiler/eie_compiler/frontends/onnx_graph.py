"""Graphs of ONNX models: nodes between two tensors, constants and shapes."""

import difflib
from collections.abc import Container, Iterator, Sequence
from typing import Any

import onnx
import onnx.checker
import onnx.shape_inference

from .common import FrontEndError
from .onnx_constants import INTEGERS, STANDARD, Constants, attributes, label
from .onnx_data import tensors
from .onnx_operations import data_inputs, operation_of, result_of

__all__ = ["Graph"]

#: Most dimensions of a constant; supported operations have at most four.
_MAX_DIMENSIONS = 32

#: Older versions define BatchNormalization and Gemm differently.
_MIN_OPSET = 9


#: Operations whose sizes onnx would compute one by one, however many.
_REPEATING = ("ConstantOfShape", "Expand", "Range", "Tile")

#: Most parts of joined sizes that onnx may compute.
_MAX_JOINED = 1 << 12


class Graph:
    """Validated graph of a model.

    Parameters
    ----------
    model : :class:`onnx.ModelProto`
        Model from any source; it is not trusted.

    Attributes
    ----------
    constants : :class:`~.onnx_constants.Constants`
        Constants of the graph.

    Raises
    ------
    FrontEndError
        Also in all methods, if the model is invalid; the message names the tensor or the node.
    """

    def __init__(self, model: "onnx.ModelProto") -> None:
        _check(model)
        self._model = model
        self._producers = {name: node for node in model.graph.node for name in node.output if name}
        self.constants = Constants(model.graph)
        self._types: dict[str, Any] = {}

    def shape(self, name: str) -> list[int | None] | None:
        """Get the sizes of a tensor, None for open ones; None if the shape is unknown."""
        kind = self._type(name)
        if kind is None or not kind.HasField("shape"):
            return None
        return [size.dim_value if size.HasField("dim_value") else None for size in kind.shape.dim]

    def data_type(self, name: str) -> int:
        """Get the type of the elements, a number of :class:`onnx.TensorProto`; 0 if unknown."""
        if name in self.constants:
            return self.constants.data_type(name)
        kind = self._type(name)
        return 0 if kind is None else int(kind.elem_type)

    def _type(self, name: str) -> Any:
        """Get the type of a tensor, None if it is unknown."""
        if not self._types:
            # onnx may end the process at a slice of sizes that it does not check, or backwards.
            slices = [node for node in self._model.graph.node if node.op_type == "Slice"]
            is_safe = not slices and not _has_many_numbers(self._model)
            try:
                model = self._model if any(map(self._may_reverse, slices)) else \
                    onnx.shape_inference.infer_shapes(self._model, data_prop=is_safe)
            except (onnx.shape_inference.InferenceError, ValueError):
                model = self._model
            graph = model.graph
            self._types = {value.name: value.type.tensor_type
                           for value in (*graph.input, *graph.value_info, *graph.output)}
        return self._types.get(name)

    def _may_reverse(self, node: "onnx.NodeProto") -> bool:
        """Check if a Slice may have negative steps."""
        if len(node.input) < 5 or not node.input[4]:
            return False
        steps = node.input[4]
        return steps not in self.constants \
            or bool((self.constants.array(steps, INTEGERS) < 0).any())

    @property
    def functions(self) -> set[str]:
        """Names of the functions that the model defines, after their domains."""
        return {f"{each.domain}.{each.name}" for each in self._model.functions}

    def part(self, first: str | None, last: str | None
             ) -> tuple[list["onnx.NodeProto"], list[str], list[str]]:
        """Find the nodes that compute `last` from `first`, in order.

        None: all inputs and outputs of the graph.

        Returns
        -------
        nodes : list of :class:`onnx.NodeProto`
        starts, ends : list of :class:`str`
            Tensors that the nodes compute from, and those that they are to compute.
        """
        for option, name in (("first", first), ("last", last)):
            self._check_tensor(option, name)
        ends = [value.name for value in self._model.graph.output] if last is None else [last]
        nodes = self._nodes_between(first, ends)
        inputs = [value.name for value in self._model.graph.input
                  if value.name not in self.constants]
        used = {name for node in nodes for name in node.input} | set(ends)
        if first is not None and first not in used:
            raise FrontEndError("first must be on the path from "
                                f"{', '.join(repr(name) for name in inputs if name in used)} to "
                                f"{', '.join(map(repr, ends))}, not {first!r}")
        starts = [name for name in (*(() if first is None else (first,)), *inputs)
                  if name in used]
        return nodes, list(dict.fromkeys(starts)), ends

    def path(self, first: str | None, last: str | None, supported: Container[str]
             ) -> list[tuple["onnx.NodeProto", str]]:
        """Find the nodes of :meth:`part`, each with its computed input, if they are a chain of
        `supported` operations.

        Raises
        ------
        FrontEndError
            If they are not.
        """
        _, _, ends = self.part(first, last)
        functions = self.functions
        if len(ends) != 1:
            raise FrontEndError(f"graph must have one output, not {len(ends)}")
        found: list[tuple[onnx.NodeProto, str]] = []
        name = ends[0]
        while name != first and name in self._producers:
            node = self._producers[name]
            operation = operation_of(node)
            data = [each for each in data_inputs(node) if each and each not in self.constants]
            if operation not in supported or operation in functions or len(data) != 1 \
                    or name != result_of(node):
                raise FrontEndError(f"{label(node)} must be an operation of a chain")
            name, = data
            found.append((node, name))
        return found[::-1]

    def _nodes_between(self, first: str | None, ends: Sequence[str]) -> list["onnx.NodeProto"]:
        """Find all nodes that the ends depend on, in the order of the graph."""
        needed = set(ends)
        found = []
        for node in reversed(self._model.graph.node):
            outputs = set(node.output) - self.constants.names - {first}
            if needed & outputs:
                needed |= set(node.input)
                found.append(node)
        return found[::-1]

    def _check_tensor(self, option: str, name: str | None) -> None:
        inputs = [value.name for value in self._model.graph.input]
        names = [name for name in (*inputs, *self._producers) if name not in self.constants]
        if name is not None and name not in names:
            near = [other for other in names if name in other] \
                or difflib.get_close_matches(name, names) or names
            raise FrontEndError(f"{option} must be a computed tensor of the graph, such as "
                                f"{', '.join(map(repr, near[-5:]))}, not {name!r}")


def _has_many_numbers(model: "onnx.ModelProto") -> bool:
    """Check if sizes that onnx computes, one by one, may be far more than a file has."""
    parts = [model.graph, *model.functions]
    nodes = [node for part in parts for node in _nodes_of(part)]
    if any(node.op_type in _REPEATING for node in nodes):
        return True
    # Joined with themselves, they double: bounds of the numbers of each tensor, in any order.
    counts: dict[str, int] = {}
    for node in nodes:
        own = [counts.get(name, 1) for name in node.input]
        axis = attributes(node).get("axis", 0) if node.op_type == "Concat" else None
        n = sum(own) if axis in (0, -1) else max(own, default=1)
        if n > _MAX_JOINED:
            return True
        counts |= dict.fromkeys(node.output, n)
    return False


def _nodes_of(part: "onnx.GraphProto | onnx.FunctionProto") -> Iterator["onnx.NodeProto"]:
    """Iterate over the nodes of a graph or a function, and of the graphs within."""
    for node in part.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes_of(inner)


def _check(model: "onnx.ModelProto") -> None:
    for tensor in tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise FrontEndError(f"constant {tensor.name!r} must be in the model itself, not in a "
                                "separate file: onnx.load loads it")
        if len(tensor.dims) > _MAX_DIMENSIONS:
            raise FrontEndError(f"constant {tensor.name!r} must have at most {_MAX_DIMENSIONS} "
                                f"dimensions, not {len(tensor.dims)}")
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        sizes = [size.dim_value for size in value.type.tensor_type.shape.dim]
        if min(sizes, default=0) < 0:
            raise FrontEndError(f"tensor {value.name!r} must have sizes of 0 or more, not {sizes}")
    for kind, values in (("input", model.graph.input), ("output", model.graph.output)):
        for value in values:
            if value.type.HasField("tensor_type") and not value.type.tensor_type.HasField("shape"):
                raise FrontEndError(f"{kind} {value.name!r} must have a shape: declare it, if only "
                                    "its open axes; onnx.shape_inference.infer_shapes adds those "
                                    "that follow from the inputs")
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise FrontEndError(f"must be a valid model in ONNX: {error}") from error
    opset = max((opset.version for opset in model.opset_import
                 if opset.domain in STANDARD), default=_MIN_OPSET)
    if opset < _MIN_OPSET:
        raise FrontEndError(f"opset must be {_MIN_OPSET} or later, not {opset}: "
                            "onnx.version_converter converts it")
