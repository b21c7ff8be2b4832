"""Inputs and open sizes of ONNX models that are fixed before they are read."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx

from .common import FrontEndError, at
from .onnx_folding import check_size

__all__ = ["Fixed", "fix_inputs"]

#: Value, or values, of an input; size of an axis.
Fixed = float | Sequence[float]


def fix_inputs(model: "onnx.ModelProto", fixed: Mapping[str, Fixed]) -> "onnx.ModelProto":
    """Make constants of inputs, and give open sizes of inputs, by name.

    Parameters
    ----------
    model : :class:`onnx.ModelProto`
        Model from any source; it is not trusted. It is not modified.
    fixed : mapping of :class:`str` to number, or to numbers
        Name of an input -> its elements, in order, or one number for all of them. Name of an open
        size, or of an input and the number of an axis, ``"input.1"`` -> the size.

    Raises
    ------
    FrontEndError
        If a name is none of an input or of an open size, or the numbers do not fit.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    inputs = {value.name: value for value in graph.input}
    axes: dict[str, list[Any]] = {}
    for value in (*graph.input, *graph.output, *graph.value_info):
        for number, axis in enumerate(_axes(value)):
            if not axis.HasField("dim_value"):
                if axis.dim_param:
                    axes.setdefault(axis.dim_param, []).append(axis)
                if value.name in inputs:
                    axes.setdefault(f"{value.name}.{number}", []).append(axis)
    for name, given in fixed.items():
        if name in inputs:
            with at(f"input {name!r}"):
                graph.initializer.append(_constant(inputs[name], given))
            graph.input.remove(inputs[name])
        elif name in axes:
            _set_sizes(name, axes[name], given)
        else:
            raise FrontEndError("fix must name an input or an open size, one of "
                                f"{', '.join(sorted({*inputs, *axes}))}, not {name!r}")
    return result


def _axes(value: "onnx.ValueInfoProto") -> Any:
    return value.type.tensor_type.shape.dim


def _set_sizes(name: str, axes: Sequence[Any], size: Fixed) -> None:
    if not isinstance(size, (int, float)) or not 1 <= size < 1 << 31 or size != int(size):
        raise FrontEndError(f"size {name!r} must be an integer of 1 or more, not {size}")
    for axis in axes:
        axis.dim_value = int(size)


def _constant(value: "onnx.ValueInfoProto", numbers: Fixed) -> "onnx.TensorProto":
    """Make the constant of an input; an open size is that of the numbers, or 1."""
    given = np.ravel(np.asarray(numbers, np.float64))
    axes = list(_axes(value))
    shape = [axis.dim_value if axis.HasField("dim_value") else
             given.size if len(axes) == 1 else 1 for axis in axes]
    check_size(shape)
    if given.size not in (1, math.prod(shape)):
        raise FrontEndError(f"must have {math.prod(shape)} elements, or one number for all of "
                            f"them, not {given.size}")
    kinds = [number for number in onnx.helper.get_all_tensor_dtypes()
             if number != onnx.TensorProto.STRING]
    kind = value.type.tensor_type.elem_type
    if kind not in kinds:
        raise FrontEndError("must have numbers, to be fixed")
    array = np.full(shape, given.item()) if given.size == 1 else given.reshape(shape)
    exact = array.astype(onnx.helper.tensor_dtype_to_np_dtype(kind))
    if exact.dtype.kind in "iub" and (exact != array).any():
        raise FrontEndError(f"must have integers, not {numbers}")
    return onnx.numpy_helper.from_array(exact, value.name)
