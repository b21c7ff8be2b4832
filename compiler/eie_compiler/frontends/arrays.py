"""Front end for named matrices: arrays, sparse matrices, and .npz files."""

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

__all__ = ["from_arrays", "from_sparse", "read_npz", "select_layers"]

#: Index arrays of a sparse matrix, by SciPy's name of its format.
_FIELDS = {"csc": ("indices", "indptr"), "csr": ("indices", "indptr"), "coo": ("row", "col")}


def from_arrays(arrays: Mapping[str, NDArray[Any]], *, layers: Sequence[str] | None = None,
                relu: Sequence[bool] | None = None, image: Sequence[int] | None = None) -> Model:
    """Read named matrices.

    Parameters
    ----------
    arrays : mapping
        ``NAME.weight`` (n_out × n_in, or n_out × channels × kernel for a convolution with stride 1
        and without padding) or, for a sparse matrix, ``NAME.data``, ``NAME.indices``,
        ``NAME.indptr`` and ``NAME.shape`` as in a :class:`scipy.sparse.csc_array`; optionally
        ``NAME.bias``. ``NAME_weight`` and ``NAME_bias`` are accepted as well.
    layers, relu, image
        As for :func:`~.parts.join_parts`.

    Raises
    ------
    FrontEndError
        If there are other arrays, or a layer is invalid.
    """
    left = select_layers(arrays, layers)
    parts: dict[str, Part] = {}
    for key in list(left):
        for ending in (".weight", "_weight", ".data"):
            name = key.removesuffix(ending)
            if name == key:
                continue
            if name in parts:
                raise FrontEndError(f"layer {name!r} must be present only once")
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
    """Read sparse matrices or arrays of SciPy, n_out × n_in, in order of computation.

    Parameters
    ----------
    matrices : sequence of sparse matrices
        Matrices in any format.
    biases : sequence of (n_out or None), optional
        Bias of each matrix.
    names : sequence of :class:`str`, optional
        Names of the layers. None: ``layer1`` and so on.
    relu : sequence of :class:`bool`, optional
        True for each layer that ends in a ReLU. None: all but the last do.

    Raises
    ------
    FrontEndError, ModelError
        If the matrices form no model.
    """
    n = len(matrices)
    biases = [None] * n if biases is None else biases
    names = [f"layer{number}" for number in range(1, n + 1)] if names is None else names
    for option, values in (("biases", biases), ("names", set(names))):
        if len(values) != n:
            raise FrontEndError(f"{option} must have one for each of {n} matrices, not "
                                f"{len(values)}")
    for name, matrix in zip(names, matrices):
        if not issparse(matrix):
            raise FrontEndError(f"layer {name!r}: must be a SciPy sparse matrix, "
                                f"not {type(matrix).__name__}")
    return join_parts({name: Part(csc_array(matrix), bias)
                       for name, matrix, bias in zip(names, matrices, biases)}, relu=relu)


def read_npz(path: str | Path, *, layers: Sequence[str] | None = None,
             relu: Sequence[bool] | None = None, image: Sequence[int] | None = None) -> Model:
    """Read named matrices, as :func:`from_arrays`, or the matrix of scipy.sparse.save_npz."""
    arrays = read_arrays(path)
    if {"format", "shape"} <= set(arrays):
        matrix = _matrix(_pop(arrays, "format").tobytes().replace(b"\0", b"").decode("latin-1"),
                         _pop(arrays, "shape"), arrays)
        return join_parts({Path(path).stem: Part(matrix)}, layers=layers, relu=relu)
    return from_arrays(arrays, layers=layers, relu=relu, image=image)


def select_layers(arrays: Mapping[str, Any], layers: Sequence[str] | None) -> dict[str, Any]:
    """Select the arrays of some layers, so that others may be of any kind. None: all."""
    if layers is None:
        return dict(arrays)
    names = {key: re.sub("[._][a-z]+$", "", key) for key in arrays}
    require_layers(layers, dict.fromkeys(names.values()))
    return {key: array for key, array in arrays.items() if names[key] in layers}


def _dense_part(weight: NDArray[Any], bias: NDArray[Any] | None) -> Part:
    """Make a part of weights n_out × n_in, or n_out × channels × kernel in 1 or 2 dimensions."""
    if weight.ndim not in (3, 4) or not weight.size:
        return Part(weight, bias)
    return Part(weight.reshape(len(weight), -1), bias, Geometry.simple(weight.shape[2:]))


def _pop(arrays: dict[str, NDArray[Any]], name: str) -> NDArray[Any]:
    if name not in arrays:
        raise FrontEndError(f"array {name} of a sparse matrix must be present")
    return arrays.pop(name)


def _matrix(kind: str, shape: NDArray[Any], arrays: dict[str, NDArray[Any]]) -> csc_array:
    """Make a sparse matrix of arrays with SciPy's names, after checking them."""
    if kind not in _FIELDS:
        raise FrontEndError(f"format of a sparse matrix must be {', '.join(_FIELDS)}, not {kind!r}:"
                            " matrix.tocsc() converts it")
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
        raise FrontEndError(f"indptr must end at {len(data)}, the length of data, not "
                            f"{second[-1]}")
    return csc_array(matrix)
