"""Graphs of ONNX models: nodes between two tensors, constants and shapes."""

import difflib
from collections.abc import Container, Sequence
from typing import Any

import numpy as np
import onnx
import onnx.checker
import onnx.shape_inference
from numpy.typing import NDArray

from .common import FrontEndError, ReuseLimit, at
from .onnx_data import tensors

__all__ = ["BOOLS", "CHOOSE", "FLOATS", "INTEGERS", "Graph", "attributes", "label"]

#: Advice in messages: how to choose a part of the model.
CHOOSE = "choose a part of the graph with first=TENSOR and last=TENSOR"

_TYPES = onnx.TensorProto

#: Types of constants.
FLOATS = (_TYPES.FLOAT, _TYPES.DOUBLE, _TYPES.FLOAT16, _TYPES.BFLOAT16)
INTEGERS = (_TYPES.INT64, _TYPES.INT32)
BOOLS = (_TYPES.BOOL,)

#: Most dimensions of a constant; supported operations have at most four.
_MAX_DIMENSIONS = 32

#: Both names of the domain of standard operations.
_STANDARD = ("", "ai.onnx")

#: Older versions define BatchNormalization and Gemm differently.
_MIN_OPSET = 9

#: Operations that change no number.
_NEUTRAL = ("Identity", "Cast", "Dropout", "Flatten", "Reshape", "Squeeze", "Unsqueeze")

#: Operations that keep the order of the results, omitted at the end.
_ORDER_KEEPING = ("Softmax", "LogSoftmax", "Sigmoid")

#: Operations with further inputs that may be computed: only the shape of the result matters.
_SHAPING = ("Reshape", "Squeeze", "Unsqueeze", "Dropout")


class Graph:
    """Validated graph of a model.

    Parameters
    ----------
    model : :class:`onnx.ModelProto`
        Model from any source; it is not trusted.

    Raises
    ------
    FrontEndError
        Also in all methods, if the model is invalid; the message names the tensor or the node.
    """

    def __init__(self, model: "onnx.ModelProto") -> None:
        _check(model)
        self._model = model
        self._producers = {name: node for node in model.graph.node for name in node.output if name}
        self._reuse = ReuseLimit()
        #: Name -> tensor and order of its axes.
        self._constants: dict[str, tuple[Any, tuple[int, ...]]] = {
            tensor.name: (tensor, _axes(tensor)) for tensor in model.graph.initializer}
        for node in model.graph.node:
            if node.domain not in _STANDARD:
                continue
            if node.op_type == "Constant":
                tensor = _constant_of(node)
                self._constants[node.output[0]] = tensor, _axes(tensor)
            elif node.op_type in ("Identity", "Transpose") and node.input[0] in self._constants:
                tensor, axes = self._constants[node.input[0]]
                if node.op_type == "Transpose":
                    with at(label(node)):
                        axes = _permute(axes, attributes(node).get("perm", range(len(axes))[::-1]))
                self._constants[node.output[0]] = tensor, axes
        self._types: dict[str, Any] = {}

    @np.errstate(invalid="ignore")    # layers refuse numbers that are not finite
    def constant(self, name: str, types: tuple[int, ...] = FLOATS) -> NDArray[np.float64]:
        """Get the value of a constant of one of the types."""
        if name not in self._constants:
            raise FrontEndError(f"input {name!r} must be a constant")
        tensor, axes = self._constants[name]
        with at(f"constant {name!r}"):
            array = _array(tensor, axes, types)
            self._reuse.take(id(tensor), array.size, array.size)
            return array.astype(np.float64)

    def is_constant(self, name: str) -> bool:
        """Check if a tensor is a constant."""
        return name in self._constants

    def shape(self, name: str) -> list[int | None] | None:
        """Get the sizes of a tensor, None for open ones; None if the shape is unknown."""
        if not self._types:
            try:
                model = onnx.shape_inference.infer_shapes(self._model, data_prop=True)
            except (onnx.shape_inference.InferenceError, ValueError):
                model = self._model
            graph = model.graph
            self._types = {value.name: value.type.tensor_type
                           for value in (*graph.input, *graph.value_info, *graph.output)}
        kind = self._types.get(name)
        if kind is None or not kind.HasField("shape"):
            return None
        return [size.dim_value if size.HasField("dim_value") else None for size in kind.shape.dim]

    def path(self, first: str | None, last: str | None, supported: Container[str]
             ) -> list[tuple["onnx.NodeProto", str]]:
        """Find the nodes that compute `last` from `first`, in order, each with its computed input.

        None: the input and the output of the graph. All operations must be `supported`.
        """
        for option, name in (("first", first), ("last", last)):
            self._check_tensor(option, name)
        if last is None:
            outputs = [value.name for value in self._model.graph.output]
            if len(outputs) != 1:
                raise FrontEndError(f"graph must have one output, not {len(outputs)}: choose one "
                                    f"of {', '.join(map(repr, outputs))} with last=TENSOR")
            last = outputs[0]
        found: list[tuple[onnx.NodeProto, str]] = []
        name = last
        while name != first and name in self._producers:
            node = self._producers[name]
            with at(label(node)):
                is_last = all(after.op_type in _NEUTRAL for after, _ in found)
                data = self._data_input(node, name, supported, is_last)
            found.append((node, data))
            name = data
        if first not in (None, name):
            raise FrontEndError(f"first must be on the path from {name!r} to {last!r}, not "
                                f"{first!r}")
        return found[::-1]

    def _check_tensor(self, option: str, name: str | None) -> None:
        inputs = [value.name for value in self._model.graph.input]
        names = [name for name in (*inputs, *self._producers) if name not in self._constants]
        if name is not None and name not in names:
            near = [other for other in names if name in other] \
                or difflib.get_close_matches(name, names) or names
            raise FrontEndError(f"{option} must be a computed tensor of the graph, such as "
                                f"{', '.join(map(repr, near[-5:]))}, not {name!r}")

    def _data_input(self, node: "onnx.NodeProto", output: str, supported: Any, is_last: bool
                    ) -> str:
        if node.op_type in _ORDER_KEEPING and is_last:
            raise FrontEndError("must be left out; its results have the order of its inputs: "
                                f"end before it with last={node.input[0]!r}")
        if node.domain not in _STANDARD or node.op_type not in supported:
            raise FrontEndError(f"operation must be one of {', '.join(sorted(supported))}; "
                                f"{CHOOSE}, after or before it")
        if output != node.output[0]:
            raise FrontEndError(f"must be used by its first output, not {output!r}; {CHOOSE}")
        names = node.input[:1] if node.op_type in _SHAPING else node.input
        data = [name for name in names if name and name not in self._constants]
        if len(data) != 1:
            raise FrontEndError(f"must have one computed input besides constants, not {len(data)}; "
                                f"{CHOOSE}")
        return str(data[0])


def attributes(node: "onnx.NodeProto") -> dict[str, Any]:
    """Get the attributes of a node by name, as Python objects."""
    return {attribute.name: onnx.helper.get_attribute_value(attribute)
            for attribute in node.attribute}


def label(node: "onnx.NodeProto") -> str:
    """Describe a node and its tensors in messages."""
    name = f" {node.name!r}" if node.name else ""
    return f"{node.op_type} node{name} ({', '.join(node.input)} -> {', '.join(node.output)})"


def _check(model: "onnx.ModelProto") -> None:
    for tensor in tensors(model):
        if tensor.data_location == _TYPES.EXTERNAL:
            raise FrontEndError(f"constant {tensor.name!r} must be in the model itself, not in a "
                                "separate file: onnx.load loads it")
        if len(tensor.dims) > _MAX_DIMENSIONS:
            raise FrontEndError(f"constant {tensor.name!r} must have at most {_MAX_DIMENSIONS} "
                                f"dimensions, not {len(tensor.dims)}")
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise FrontEndError(f"must be a valid model in ONNX: {error}") from error
    opset = max((opset.version for opset in model.opset_import
                 if opset.domain in _STANDARD), default=0)
    if opset < _MIN_OPSET:
        raise FrontEndError(f"opset must be {_MIN_OPSET} or later, not {opset}: "
                            "onnx.version_converter converts it")


def _constant_of(node: "onnx.NodeProto") -> Any:
    # The checker accepts any number of attributes.
    name, value = attributes(node).popitem() if len(node.attribute) == 1 else ("", None)
    if name == "value":
        return value
    kind = {"value_float": np.float32, "value_floats": np.float32,
            "value_int": np.int64, "value_ints": np.int64}.get(name)
    # An undefined type: an error only where the constant is used.
    return _TYPES() if kind is None else onnx.numpy_helper.from_array(np.array(value, kind))


def _axes(tensor: "onnx.TensorProto") -> tuple[int, ...]:
    return tuple(range(len(tensor.dims)))


def _permute(axes: tuple[int, ...], order: Sequence[int]) -> tuple[int, ...]:
    if sorted(order) != list(range(len(axes))):
        raise FrontEndError(f"perm must have each of the {len(axes)} axes once, not be "
                            f"{list(order)}")
    return tuple(axes[place] for place in order)


def _array(tensor: "onnx.TensorProto", axes: tuple[int, ...], types: tuple[int, ...]
           ) -> NDArray[Any]:
    if tensor.data_type not in types:
        names = {number: name for name, number in _TYPES.DataType.items()}
        raise FrontEndError(f"type must be {', '.join(names[number] for number in types)}, not "
                            f"{names.get(tensor.data_type, tensor.data_type)}")
    try:
        array = onnx.numpy_helper.to_array(tensor)
        if array.shape != tuple(tensor.dims):
            raise ValueError(f"found {array.shape}")
    except ValueError as error:
        raise FrontEndError(f"shape must be that of the stored numbers, not "
                            f"{tuple(tensor.dims)}: {error}") from error
    return array.transpose(axes)
