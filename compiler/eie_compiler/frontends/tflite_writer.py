"""ONNX graph in memory that a TensorFlow Lite model becomes, in QDQ form."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from .common import FrontEndError, ReuseLimit
from .tflite_constants import Constant
from .tflite_file import File
from .tflite_layout import CHANNELS_FIRST, CHANNELS_LAST, is_mixed, order_of, shape_of
from .tflite_records import LIMITS, Quantisation, Tensor

__all__ = ["Writer"]

#: Version of ONNX whose ReduceMean takes its axes as an input.
_OPSET = 18
_IR_VERSION = 8


class Writer:
    """Writer of the nodes and constants of an ONNX graph.

    Tensors have the names of the file; images have the channels first.

    Parameters
    ----------
    file : :class:`~.tflite_file.File`
        Source of tensors.

    Attributes
    ----------
    images : :class:`dict`
        Number of a tensor -> images that it is the vectors of: their name in ONNX, and their shape.
    notes : :class:`list` of :class:`str`
        Differences between the tensors of the file and those of the graph.
    """

    def __init__(self, file: File) -> None:
        self._file = file
        self._names = set(file.names)
        #: Name -> how many were made of it.
        self._counts: Counter[str] = Counter()
        self._reuse = ReuseLimit()
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._computed: dict[int, str] = {}
        #: Constants that operators compute of others, without a change of their numbers.
        self._copied: dict[int, Constant] = {}
        #: Results of constants as operands.
        self._operands: dict[int, str] = {}
        self.images: dict[int, tuple[str, tuple[int, ...]]] = {}
        self.notes: list[str] = []

    def add_input(self, index: int) -> None:
        """Add an input of real numbers, rounded to the integers that the file has there."""
        tensor = self._file.tensor(index)
        if tensor.is_open:
            raise FrontEndError(f"input {tensor.name!r} must have fixed sizes but for the batch: "
                                "convert the model for one size")
        shape = shape_of(tensor.shape)
        self._inputs.append(helper.make_tensor_value_info(
            tensor.name, onnx.TensorProto.FLOAT, shape))
        self._computed[index] = self._rounded(tensor, tensor.name)
        self._note("input", tensor)

    def value(self, index: int) -> str:
        """Name a tensor of real numbers in ONNX, computed or constant."""
        if index in self._computed:
            return self._computed[index]
        if index not in self._operands:
            constant = self.constant(index)
            self._operands[index] = self.add_constant(
                self._file.names[index], constant.transpose(order_of(constant.array.ndim)))
        return self._operands[index]

    def is_constant(self, index: int) -> bool:
        """Check if a tensor is a constant."""
        return index in self._copied or self._file.tensor(index).data is not None

    def constant(self, index: int) -> Constant:
        """Get a constant with the axes of TensorFlow."""
        if not self.is_constant(index):
            raise FrontEndError(f"input {self._file.names[index]!r} must be a constant")
        return self._copied[index] if index in self._copied \
            else Constant.of(self._file.tensor(index))

    def copy_constant(self, index: int, constant: Constant) -> None:
        """Let a tensor be a constant."""
        self._copied[index] = constant

    def node(self, operation: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """Add a node with this name, and return its result."""
        made = self._fresh(name)
        self._nodes.append(helper.make_node(operation, inputs, [made], name=name, **attributes))
        return made

    def add_array(self, name: str, array: NDArray[Any]) -> str:
        """Add an array as it is."""
        made = self._fresh(name)
        self._initializers.append(numpy_helper.from_array(np.ascontiguousarray(array)
                                                          .reshape(array.shape), made))
        return made

    def add_constant(self, name: str, constant: Constant) -> str:
        """Add a constant of real numbers, which its integers and scales give.

        Each use is a copy, so that those of one name are limited.
        """
        self._reuse.take(name, constant.array.size, constant.array.size)
        array = self.add_array(name, constant.array)
        quantisation = constant.quantisation
        if quantisation is None:
            return array
        attributes = {"axis": quantisation.axis} if quantisation.scale.size > 1 else {}
        inputs = [array, *self._parameters(name, quantisation, constant.array.dtype)]
        if constant.array.dtype.itemsize == 4:    # has no zero point in ONNX
            inputs.pop()
        return self.node("DequantizeLinear", inputs, name, **attributes)

    def reshape(self, value: str, before: Sequence[int], after: Sequence[int], name: str) -> str:
        """Reshape a tensor from one shape of TensorFlow to another, in the order of its elements
        there.
        """
        if tuple(before) == tuple(after):
            return value
        if math.prod(before) != math.prod(after):
            raise FrontEndError(f"shape must have the {math.prod(before)} elements of "
                                f"{tuple(before)}, not be {tuple(after)}")
        if is_mixed(before):
            value = self.node("Transpose", [value], name, perm=CHANNELS_LAST)
        if not is_mixed(after):
            return self.reshape_as_it_is(value, shape_of(after), name)
        value = self.reshape_as_it_is(value, after, name)
        return self.node("Transpose", [value], name, perm=CHANNELS_FIRST)

    def reshape_as_it_is(self, value: str, shape: Sequence[int], name: str) -> str:
        """Reshape a tensor of ONNX."""
        sizes = self.add_array(f"{name}.shape", np.array(shape, np.int64))
        return self.node("Reshape", [value, sizes], name)

    def finish(self, index: int, value: str) -> None:
        """Let a result be a tensor of the file, rounded to its integers."""
        tensor = self._file.tensor(index)
        made = self._rounded(tensor, value)
        if self._nodes and made == self._nodes[-1].output[0]:
            self._nodes[-1].output[0] = tensor.name
        else:
            self._nodes.append(helper.make_node("Identity", [made], [tensor.name],
                                                name=tensor.name))
        self._computed[index] = tensor.name

    def model(self, ends: Sequence[int]) -> "onnx.ModelProto":
        """Return the model that computes these tensors."""
        outputs = []
        for index in ends:
            tensor = self._file.tensor(index)
            name = self.value(index)
            self._note("output", tensor)
            outputs.append(helper.make_tensor_value_info(
                name, onnx.TensorProto.FLOAT, [None] * len(tensor.shape)))
        graph = helper.make_graph(self._nodes, "main", self._inputs, outputs, self._initializers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)],
                                 ir_version=_IR_VERSION)

    def _rounded(self, tensor: Tensor, value: str) -> str:
        if tensor.kind not in LIMITS or tensor.quantisation is None:
            return value
        parameters = self._parameters(tensor.name, tensor.quantisation, tensor.kind.lower())
        integers = self.node("QuantizeLinear", [value, *parameters], f"{tensor.name}.integers")
        return self.node("DequantizeLinear", [integers, *parameters], f"{tensor.name}.numbers")

    def _parameters(self, name: str, quantisation: Quantisation, kind: Any) -> list[str]:
        shape = () if quantisation.scale.size == 1 else quantisation.scale.shape
        return [self.add_array(f"{name}.scale", quantisation.scale.reshape(shape)),
                self.add_array(f"{name}.zero", quantisation.zero.astype(kind).reshape(shape))]

    def _fresh(self, name: str) -> str:
        """Make a name that no tensor has."""
        made = name
        while made in self._names:
            self._counts[name] += 1
            made = f"{name}.{self._counts[name] + 1}"
        self._names.add(made)
        return made

    def _note(self, role: str, tensor: Tensor) -> None:
        if len(tensor.shape) == len(CHANNELS_FIRST):
            self.notes.append(f"{role} {tensor.name!r} has the channels first here, "
                              f"{shape_of(tensor.shape)[1:]}, and last in the file, "
                              f"{tensor.shape[1:]}")
        if tensor.kind in LIMITS and tensor.quantisation is not None:
            scale, zero = tensor.quantisation.scale.item(), tensor.quantisation.zero.item()
            self.notes.append(f"{role} {tensor.name!r} is real numbers here, and in the file "
                              f"integers q of type {tensor.kind}: a number is {scale:.6g} · "
                              f"(q {'−' if zero >= 0 else '+'} {abs(zero)})")
