"""Matrices by name: arrays, sparse matrices, and .npz files of either."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csc_array, csr_array, issparse

from ..files.untrusted_npz import read_arrays
from ..model import Model
from ..network import MAX_SIDE
from .chain import Geometry
from .common import FrontEndError, at
from .parts import Part, join_parts, require_layers

__all__ = ["from_arrays", "from_sparse", "of_layers", "read_npz"]

#: Arrays of a sparse matrix beside ``shape`` and ``data``, by SciPy's name of its format.
_FIELDS = {"csc": ("indices", "indptr"), "csr": ("indices", "indptr"), "coo": ("row", "col")}


def from_arrays(arrays: Mapping[str, NDArray[Any]], *, layers: Sequence[str] | None = None,
                relu: Sequence[bool] | None = None, image: Sequence[int] | None = None) -> Model:
    """Read matrices by name.

    Parameters
    ----------
    arrays : mapping
        ``NAME.weight`` (n_out × n_in, or n_out × channels × kernel for a convolution with stride 1
        and without padding) or, for a sparse matrix, ``NAME.data``, ``NAME.indices``,
        ``NAME.indptr`` and ``NAME.shape`` as in a :class:`scipy.sparse.csc_array`; and, if the
        layer has one, ``NAME.bias``. ``NAME_weight`` and ``NAME_bias`` will do as well.
    layers, relu, image
        As for :func:`~.parts.join_parts`.

    Raises
    ------
    FrontEndError
        If there is anything else, or a layer cannot be.
    """
    left = of_layers(arrays, layers)
    parts: dict[str, Part] = {}
    for key in list(left):
        for ending in (".weight", "_weight", ".data"):
            name = key.removesuffix(ending)
            if name == key:
                continue
            if name in parts:
                raise FrontEndError(f"layer {name!r} must be there once")
            bias = left.pop(name + ending[0] + "bias", None)
            with at(f"layer {name!r}"):
                if ending == ".data":
                    fields = {field: left.pop(f"{name}.{field}")
                              for field in ("data", *_FIELDS["csc"], "shape")
                              if f"{name}.{field}" in left}
                    parts[name] = Part(_matrix("csc", _pop(fields, "shape"), fields), bias)
                else:
                    parts[name] = _dense_part(left.pop(key), bias)
    if left or not parts:
        raise FrontEndError("arrays must be named NAME.weight and NAME.bias"
                            + (f", not {', '.join(left)}" if left else "; there are none"))
    return join_parts(parts, layers=layers, relu=relu, image=image)


def from_sparse(matrices: Sequence[Any], *, biases: Sequence[Any] | None = None,
                names: Sequence[str] | None = None, relu: Sequence[bool] | None = None) -> Model:
    """Read SciPy's sparse matrices or arrays, n_out × n_in, in order of computation.

    Parameters
    ----------
    matrices : sequence of sparse matrices
        Of any format.
    biases : sequence of (n_out or None), optional
        One for each matrix.
    names : sequence of :class:`str`, optional
        ``layer1`` and so on if not given.
    relu : sequence of :class:`bool`, optional
        Whether each layer ends in a ReLU. None: all but the last.

    Raises
    ------
    FrontEndError, ModelError
        If they make no model.
    """
    n = len(matrices)
    biases = [None] * n if biases is None else biases
    names = [f"layer{number}" for number in range(1, n + 1)] if names is None else names
    for option, values in (("biases", biases), ("names", set(names))):
        if len(values) != n:
            raise FrontEndError(f"{option} must be one for each of {n} matrices, not {len(values)}")
    for name, matrix in zip(names, matrices):
        if not issparse(matrix):
            raise FrontEndError(f"layer {name!r}: must be a sparse matrix of SciPy, "
                                f"not {type(matrix).__name__}")
    return join_parts({name: Part(csc_array(matrix), bias)
                       for name, matrix, bias in zip(names, matrices, biases)}, relu=relu)


def read_npz(path: str | Path, *, layers: Sequence[str] | None = None,
             relu: Sequence[bool] | None = None, image: Sequence[int] | None = None) -> Model:
    """As :func:`from_arrays`, from an .npz file; or the one matrix of scipy.sparse.save_npz."""
    arrays = read_arrays(path)
    if {"format", "shape"} <= set(arrays):
        matrix = _matrix(_pop(arrays, "format").tobytes().replace(b"\0", b"").decode("latin-1"),
                         _pop(arrays, "shape"), arrays)
        return join_parts({Path(path).stem: Part(matrix)}, layers=layers, relu=relu)
    return from_arrays(arrays, layers=layers, relu=relu, image=image)


def of_layers(arrays: Mapping[str, Any], layers: Sequence[str] | None) -> dict[str, Any]:
    """Arrays of some layers, so that there may be others of any kind; None: of all."""
    if layers is None:
        return dict(arrays)
    names = {key: re.sub("[._][a-z]+$", "", key) for key in arrays}
    require_layers(layers, dict.fromkeys(names.values()))
    return {key: array for key, array in arrays.items() if names[key] in layers}


def _dense_part(weight: NDArray[Any], bias: NDArray[Any] | None) -> Part:
    """Part of weights n_out × n_in, or n_out × channels × kernel of one or two dimensions."""
    if weight.ndim not in (3, 4) or not weight.size:
        return Part(weight, bias)
    return Part(weight.reshape(len(weight), -1), bias, Geometry.simple(weight.shape[2:]))


def _pop(arrays: dict[str, NDArray[Any]], name: str) -> NDArray[Any]:
    if name not in arrays:
        raise FrontEndError(f"array {name} of a sparse matrix must be there")
    return arrays.pop(name)


def _matrix(kind: str, shape: NDArray[Any], arrays: dict[str, NDArray[Any]]) -> csc_array:
    """Sparse matrix of the arrays by the names that SciPy gives them, checked."""
    if kind not in _FIELDS:
        raise FrontEndError(f"format of a sparse matrix must be {', '.join(_FIELDS)}, not {kind!r}:"
                            " matrix.tocsc() changes it")
    sizes = shape.tolist()
    if shape.dtype.kind not in "iu" or shape.shape != (2,) \
            or not all(1 <= size <= MAX_SIDE for size in sizes):
        raise FrontEndError(f"shape must be two integers from 1 to {MAX_SIDE}, not {sizes}")
    data = _pop(arrays, "data")
    indices = [_pop(arrays, name) for name in _FIELDS[kind]]
    if data.dtype.kind != "f" or any(numbers.dtype.kind not in "iu" for numbers in indices) \
            or any(numbers.ndim != 1 for numbers in (data, *indices)):
        raise FrontEndError(f"data must be floating-point numbers, {' and '.join(_FIELDS[kind])} "
                            "integers, all of one dimension")
    data = data.astype(np.float64)
    first, second = (numbers.astype(np.int64) for numbers in indices)
    try:
        if kind == "coo":
            return csc_array(coo_array((data, (first, second)), shape=sizes))
        matrix = (csc_array if kind == "csc" else csr_array)((data, first, second), shape=sizes)
        matrix.check_format(full_check=True)
    except ValueError as error:
        raise FrontEndError(f"must be a sparse matrix in format {kind}: {error}") from error
    if second[-1] != len(data):
        raise FrontEndError(f"indptr must end at {len(data)}, the numbers there are, not "
                            f"{second[-1]}")
    return csc_array(matrix)
