"""Checked access to the main graph of TensorFlow Lite files."""

import math
from typing import Any

import numpy as np
import tflite
from numpy.typing import NDArray

from .common import FrontEndError, ReuseLimit, at
from .tflite_records import LIMITS, Operator, Quantisation, Tensor, intact, name_of

__all__ = ["File"]

#: Most operators and tensors of a model, and axes and elements of a tensor that is not stored.
_MAX_OPERATORS = 1 << 14
_MAX_TENSORS = 1 << 16
_MAX_AXES = 8
_MAX_SIZE = 1 << 26

#: Most bytes of a name; messages have names of several tensors.
_MAX_NAME = 1000

#: Size of the lists and names that are read, as a multiple of the file. Parts may share lists.
_MAX_RATIO = 16

#: Type of stored numbers -> type of NumPy.
_TYPES = {tflite.TensorType.FLOAT32: "<f4", tflite.TensorType.FLOAT16: "<f2",
          tflite.TensorType.INT8: "<i1", tflite.TensorType.UINT8: "<u1",
          tflite.TensorType.INT32: "<i4", tflite.TensorType.INT64: "<i8"}

Array = NDArray[Any]


class File:
    """Main graph of a TensorFlow Lite file, which is not trusted.

    Parameters
    ----------
    content : :class:`bytes`
        The file.

    Attributes
    ----------
    operators : list of :class:`Operator`
        Operators in order of computation.
    inputs, outputs : :class:`tuple` of :class:`int`
        Numbers of tensors.
    names : :class:`list` of :class:`str`
        Names of the tensors, each unique.

    Raises
    ------
    FrontEndError
        Also in all methods, if the file is damaged.
    """

    def __init__(self, content: bytes) -> None:
        if content[4:8] != b"TFL3":
            raise FrontEndError("must be a TensorFlow Lite model, whose bytes 4 to 7 are TFL3, not "
                                f"{content[4:8]!r}")
        self._content = content
        #: Bytes of lists and names that may still be read.
        self._left = _MAX_RATIO * len(content)
        self._reuse = ReuseLimit()
        self._tensors: dict[int, Tensor] = {}
        with intact():
            self._model = tflite.Model.GetRootAs(content)
            if not self._model.SubgraphsLength():
                raise FrontEndError("must have a graph")
            self._graph = self._model.Subgraphs(0)
            self._check_count("tensors", self._graph.TensorsLength(), _MAX_TENSORS)
            self._check_count("operators", self._graph.OperatorsLength(), _MAX_OPERATORS)
            self.names = self._read_names()
            self.inputs = self._indices(self._graph, "Inputs")
            self.outputs = self._indices(self._graph, "Outputs")
            self.operators = [self._operator(self._graph.Operators(place))
                              for place in range(self._graph.OperatorsLength())]

    def tensor(self, index: int) -> Tensor:
        """Get a tensor."""
        if index not in self._tensors:
            with at(f"tensor {self.names[index]!r}"), intact():
                self._tensors[index] = self._read_tensor(index)
        return self._tensors[index]

    def _check_count(self, parts: str, count: int, limit: int) -> None:
        if count > limit:
            raise FrontEndError(f"{parts} must be at most {limit}, not {count}")

    def _spend(self, n_bytes: int) -> None:
        """Count bytes before they are read, since parts of a small file can refer to it often."""
        self._left -= n_bytes
        if self._left < 0:
            raise FrontEndError(f"must be an intact TensorFlow Lite model, whose lists and names "
                                f"take at most {_MAX_RATIO} times its {len(self._content)} bytes")

    def _vector(self, table: Any, field: str) -> Array:
        """Read a list of numbers, empty if the field is left out."""
        length = getattr(table, f"{field}Length")()
        if not length:
            return np.zeros(0, np.int64)
        found: Array = getattr(table, f"{field}AsNumpy")()
        self._spend(found.nbytes)
        return found

    def _indices(self, table: Any, field: str, least: int = 0) -> tuple[int, ...]:
        found = tuple(self._vector(table, field).tolist())
        if found and not least <= min(found) <= max(found) < len(self.names):
            raise FrontEndError(f"{field.lower()} must be among the {len(self.names)} tensors, not "
                                f"{min(found)} to {max(found)}")
        return found

    def _read_names(self) -> list[str]:
        names: dict[str, None] = {}
        for index in range(self._graph.TensorsLength()):
            given = self._graph.Tensors(index).Name() or b""
            self._spend(len(given))
            name = given[:_MAX_NAME].decode("utf-8", "replace") or f"tensor_{index}"
            names[name if name not in names else f"{name}#{index}"] = None
        if len(names) != self._graph.TensorsLength():
            raise FrontEndError("names of tensors must differ")
        return list(names)

    def _operator(self, table: Any) -> Operator:
        place = table.OpcodeIndex()
        if not 0 <= place < self._model.OperatorCodesLength():
            raise FrontEndError(f"operator code must be among the "
                                f"{self._model.OperatorCodesLength()} of the file, not {place}")
        code = self._model.OperatorCodes(place)
        # Files from before 2020 have only the first field, which has 8 bits.
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        kind = name_of(tflite.BuiltinOperator, number)
        if kind == "CUSTOM":
            custom = code.CustomCode() or b""
            self._spend(len(custom))
            kind = custom[:200].decode("utf-8", "replace") or kind
        # An input that is left out is -1.
        return Operator(kind, self._indices(table, "Inputs", -1),
                        self._indices(table, "Outputs"), table)

    def _read_tensor(self, index: int) -> Tensor:
        table = self._graph.Tensors(index)
        shape = tuple(self._vector(table, "Shape").tolist())
        if len(shape) > _MAX_AXES:
            raise FrontEndError(f"axes must be at most {_MAX_AXES}, not {len(shape)}")
        open_sizes = self._vector(table, "ShapeSignature").tolist()
        kind = name_of(tflite.TensorType, table.Type())
        buffer = table.Buffer()
        if not 0 <= buffer < self._model.BuffersLength():
            raise FrontEndError(f"buffer must be among the "
                                f"{self._model.BuffersLength()} of the file, not {buffer}")
        found = self._model.Buffers(buffer)
        problem = ""
        if table.Sparsity() is not None:
            problem = "constants must be stored densely: convert the model without sparsity"
        elif table.IsVariable():
            problem = "tensors must not keep a state: compute the steps on the host"
        elif found.Offset() or found.Size():
            problem = "constants must be within the first 2 GiB of the file"
        data = None if problem or not found.DataLength() else \
            self._data(found, buffer, table.Type(), shape)
        if data is None and (min(shape, default=1) < 1 or math.prod(shape) > _MAX_SIZE):
            raise FrontEndError(f"sizes must be 1 or more with up to {_MAX_SIZE} elements, not "
                                f"{shape}")
        return Tensor(index, self.names[index], shape, min(open_sizes[1:], default=0) < 0, kind,
                      self._quantisation(table, shape), data, problem)

    def _data(self, buffer: Any, number: int, kind: int, shape: tuple[int, ...]) -> Array | None:
        stored: Array = buffer.DataAsNumpy()
        if kind not in _TYPES:
            raise FrontEndError("constants must be of floating point, or integers of 8 or 32 bits, "
                                f"not {name_of(tflite.TensorType, kind)}: convert the model with "
                                "weights of 8 bits")
        dtype = np.dtype(_TYPES[kind])
        n = math.prod(shape)
        if n * dtype.itemsize != stored.nbytes:
            raise FrontEndError(f"constant must have {n * dtype.itemsize} bytes for shape {shape}, "
                                f"not {stored.nbytes}")
        self._reuse.take(number, n, n)
        return stored.view(dtype).reshape(shape)

    def _quantisation(self, table: Any, shape: tuple[int, ...]) -> Quantisation | None:
        given = table.Quantization()
        if given is None or not given.ScaleLength():
            return None
        if given.DetailsType():
            raise FrontEndError("integers must have scales and zero points, without custom details")
        scale, zero = self._vector(given, "Scale"), self._vector(given, "ZeroPoint")
        if not len(zero):
            zero = np.zeros(len(scale), np.int64)
        elif len(zero) == 1:
            zero = np.repeat(zero, len(scale))
        axis = given.QuantizedDimension()
        if not np.isfinite(scale).all() or not (scale > 0).all():
            raise FrontEndError("scale must be finite and above 0: quantise the model again, with "
                                "data that reaches all layers")
        if len(scale) != 1 and (not 0 <= axis < len(shape) or shape[axis] != len(scale)) \
                or len(zero) != len(scale):
            raise FrontEndError(f"scales and zero points must be one for each element along axis "
                                f"{axis} of shape {shape}, not {len(scale)} and {len(zero)}")
        kind = name_of(tflite.TensorType, table.Type())
        if kind in LIMITS:
            low, high = LIMITS[kind]
            if not low <= zero.min() <= zero.max() <= high:
                raise FrontEndError(f"zero points must be from {low} to {high}, not {zero.min()} "
                                    f"to {zero.max()}")
        return Quantisation(scale.astype(np.float32), zero.astype(np.int64), axis)
