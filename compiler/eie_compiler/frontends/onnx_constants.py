"""Constants of ONNX graphs, dense or sparse, and attributes of nodes."""

import re
from collections.abc import Iterable, Sequence, Set
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from scipy.sparse import coo_array, csc_array

from ..network import MAX_SIDE
from .common import FrontEndError, ReuseLimit, at

__all__ = ["BOOLS", "FLOATS", "INTEGERS", "SMALL", "STANDARD", "Constants", "attributes",
           "label", "module_of", "name_of", "permute"]

_TYPES = onnx.TensorProto

#: Types of constants.
FLOATS = (_TYPES.FLOAT, _TYPES.DOUBLE, _TYPES.FLOAT16, _TYPES.BFLOAT16)
INTEGERS = (_TYPES.INT64, _TYPES.INT32)
BOOLS = (_TYPES.BOOL,)

_SIZES = {number: re.fullmatch(r"(U?)INT(2|4|8|16)", name)
          for name, number in _TYPES.DataType.items()}

#: Types of integers that stand for numbers, those that the package knows -> least and greatest one.
SMALL = {number: (0, (1 << int(size[2])) - 1) if size[1]
         else (-1 << int(size[2]) - 1, (1 << int(size[2]) - 1) - 1)
         for number, size in _SIZES.items() if size}

#: Property of nodes with their modules, of PyTorch's exporter.
_SCOPES = "pkg.torch.onnx.name_scopes"

#: Both names of the domain of standard operations.
STANDARD = ("", "ai.onnx")


class Constants:
    """Constants of a graph by name: initializers, results of Constant nodes, and their transposes.

    Parameters
    ----------
    graph : :class:`onnx.GraphProto`
        Checked graph from any source.

    Raises
    ------
    FrontEndError
        Also in all methods, if a constant is invalid.
    """

    def __init__(self, graph: "onnx.GraphProto") -> None:
        self._reuse = ReuseLimit()
        #: Name -> tensor and order of its axes.
        self._tensors: dict[str, tuple[Any, tuple[int, ...]]] = {
            tensor.name: (tensor, _axes(tensor)) for tensor in graph.initializer}
        self._tensors |= {tensor.values.name: (tensor, _axes(tensor))
                          for tensor in graph.sparse_initializer}
        self.add(graph.node)

    def add(self, nodes: Iterable["onnx.NodeProto"]) -> None:
        """Add the constants that nodes give, in order."""
        for node in nodes:
            if node.domain not in STANDARD:
                continue
            if node.op_type == "Constant":
                tensor = _constant_of(node)
                self._tensors[node.output[0]] = tensor, _axes(tensor)
            elif node.op_type in ("Identity", "Transpose") and node.input[0] in self._tensors:
                tensor, axes = self._tensors[node.input[0]]
                if node.op_type == "Transpose":
                    with at(label(node)):
                        axes = permute(axes, attributes(node).get("perm"))
                self._tensors[node.output[0]] = tensor, axes

    def restart(self) -> None:
        """Forget what was used, before the graph is read again."""
        self._reuse = ReuseLimit()

    @property
    def names(self) -> Set[str]:
        """Names of the constants."""
        return self._tensors.keys()

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def shape(self, name: str) -> tuple[int, ...]:
        """Get the shape of a constant."""
        tensor, axes = self._find(name)
        return tuple(tensor.dims[axis] for axis in axes)

    def data_type(self, name: str) -> int:
        """Get the type of a constant, a number of :class:`onnx.TensorProto`."""
        tensor, _ = self._find(name)
        if isinstance(tensor, onnx.SparseTensorProto):
            tensor = tensor.values
        return int(tensor.data_type)

    @np.errstate(invalid="ignore")    # layers refuse numbers that are not finite
    def array(self, name: str, types: tuple[int, ...] = FLOATS) -> NDArray[np.float64]:
        """Get a constant of one of the types; a sparse one is expanded."""
        tensor, axes = self._find(name)
        with at(f"constant {name!r}"):
            if isinstance(tensor, onnx.SparseTensorProto):
                values, places = _sparse(tensor, types)
                shape = tuple(tensor.dims)
                size = int(np.prod(shape, dtype=object))
                self._reuse.take(id(tensor), size, len(values))
                array = np.zeros(size)
                array[places] = values
                return array.reshape(shape).transpose(axes)
            array = _dense(tensor, types)
            self._reuse.take(id(tensor), array.size, array.size)
            return array.transpose(axes).astype(np.float64)

    def value(self, name: str) -> NDArray[Any]:
        """Get a constant of any type: of float64, int64 or bool."""
        tensor, axes = self._find(name)
        if not isinstance(tensor, onnx.SparseTensorProto) and tensor.data_type not in FLOATS:
            with at(f"constant {name!r}"):
                array = _dense(tensor, (*FLOATS, *INTEGERS, *SMALL, *BOOLS))
                self._reuse.take(id(tensor), array.size, array.size)
                exact = np.bool_ if tensor.data_type in BOOLS else np.int64
                return array.transpose(axes).astype(exact)
        return self.array(name)

    def matrix(self, name: str) -> Any:
        """Get a floating-point matrix; a sparse one is a :class:`scipy.sparse.csc_array`."""
        tensor, axes = self._find(name)
        if len(tensor.dims) != 2 or 0 in tensor.dims:
            raise FrontEndError(f"constant {name!r} must be a matrix, not of shape "
                                f"{tuple(tensor.dims)}: store one n_in × n_out, or n_out × n_in if "
                                "it is the first factor")
        if not isinstance(tensor, onnx.SparseTensorProto):
            return self.array(name)
        with at(f"constant {name!r}"):
            if max(tensor.dims) > MAX_SIDE:
                raise FrontEndError(f"sides must be at most {MAX_SIDE}, not {max(tensor.dims)}")
            values, places = _sparse(tensor, FLOATS)
            self._reuse.reserve(tensor.dims, len(values))
            self._reuse.take(id(tensor), len(values), len(values))
            matrix = coo_array((values, np.divmod(places, tensor.dims[1])), tuple(tensor.dims))
            return csc_array(matrix.transpose(axes))

    def _find(self, name: str) -> tuple[Any, tuple[int, ...]]:
        if name not in self._tensors:
            raise FrontEndError(f"input {name!r} must be a constant")
        return self._tensors[name]


def attributes(node: "onnx.NodeProto") -> dict[str, Any]:
    """Get the attributes of a node by name, as Python objects."""
    return {attribute.name: onnx.helper.get_attribute_value(attribute)
            for attribute in node.attribute}


def label(node: "onnx.NodeProto") -> str:
    """Describe a node and its tensors in messages."""
    name = f" {node.name!r}" if node.name else ""
    return f"{node.op_type} node{name} ({', '.join(node.input)} -> {', '.join(node.output)})"


def _scopes(node: "onnx.NodeProto") -> list[str]:
    """Get the module of a node that PyTorch exported, by its path, and its function; none if it is
    in no module.
    """
    text = next((each.value for each in node.metadata_props if each.key == _SCOPES), "")
    scopes = re.findall(r"'([^']*)'", text)[-2:]
    return scopes if len(scopes) > 1 and scopes[0] else []


def module_of(node: "onnx.NodeProto") -> str:
    """Name the module of a node that PyTorch exported; the node, if it is in none."""
    if scopes := _scopes(node):
        return scopes[0]
    name = str(node.name)
    path = re.fullmatch(r"/(.+)/" + node.op_type + r"(_\d+)?", name)
    return path[1].replace("/", ".") if path else name.removeprefix("node_")


def name_of(node: "onnx.NodeProto") -> str:
    """Name the results of a node: by its module and function in PyTorch, or by the node."""
    if scopes := _scopes(node):
        return ".".join(scopes)
    return str(node.name).removeprefix("node_") or next(filter(None, node.output))


def _constant_of(node: "onnx.NodeProto") -> Any:
    # The checker accepts any number of attributes.
    name, value = attributes(node).popitem() if len(node.attribute) == 1 else ("", None)
    if name in ("value", "sparse_value"):
        return value
    kind = {"value_float": np.float32, "value_floats": np.float32,
            "value_int": np.int64, "value_ints": np.int64}.get(name)
    # An undefined type: an error only where the constant is used.
    return _TYPES() if kind is None else onnx.numpy_helper.from_array(np.array(value, kind))


def permute(axes: tuple[int, ...], order: Sequence[int] | None) -> tuple[int, ...]:
    """Permute axes as a Transpose node does; None reverses them."""
    order = range(len(axes))[::-1] if order is None else order
    if sorted(order) != list(range(len(axes))):
        raise FrontEndError(f"perm must have each of the {len(axes)} axes once, not be "
                            f"{list(order)}")
    return tuple(axes[place] for place in order)


def _axes(tensor: "onnx.TensorProto | onnx.SparseTensorProto") -> tuple[int, ...]:
    return tuple(range(len(tensor.dims)))


def _sparse(tensor: "onnx.SparseTensorProto", types: tuple[int, ...]
            ) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Get the stored numbers of a sparse tensor, and their places in the flattened array."""
    values = _dense(tensor.values, types)
    indices = _dense(tensor.indices, (_TYPES.INT64,))
    try:
        if indices.ndim == 2:
            indices = np.ravel_multi_index(tuple(indices.T), tuple(tensor.dims))
        if values.shape != indices.shape or values.ndim != 1:
            raise ValueError(f"found {values.shape} numbers and {indices.shape} indices")
        size = int(np.prod(tensor.dims, dtype=object))
        if len(indices) and not 0 <= indices.min() <= indices.max() < size:
            raise ValueError("an index is out of range")
        if len(np.unique(indices)) < len(indices):
            raise ValueError("an index occurs twice")
    except ValueError as error:
        raise FrontEndError(f"sparse tensor must have one index in {tuple(tensor.dims)} for each "
                            f"number: {error}") from error
    return values.astype(np.float64), indices


def _dense(tensor: "onnx.TensorProto", types: tuple[int, ...]) -> NDArray[Any]:
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
    return array
