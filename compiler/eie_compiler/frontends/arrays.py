"""Front end for named matrices: arrays, sparse matrices, and .npz files."""

import reprlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csc_array, csr_array, issparse

from ..files.untrusted_npz import read_arrays
from ..model import Model
from ..network import MAX_SIDE
from .common import FrontEndError, ReuseLimit
from .geometry import Geometry
from .parts import Part, join_parts
from .tensors import TensorNames, join_tensors, mask_values

__all__ = ["FIELDS", "from_arrays", "from_sparse", "make_matrix", "make_part", "read_npz"]

#: Keys of files that are no models -> what they are, and their command.
_OTHER_FILES = {
    ("header", "data"): "a network, which is compressed already: `eie compile` takes it",
    ("train_inputs", "train_labels"): "data for `eie train`, which makes a model of them",
    ("train_images", "train_labels"): "data for `eie train`, which makes a model of them",
}

#: Index arrays of a sparse matrix, by SciPy's name of its format.
FIELDS = {"csc": ("indices", "indptr"), "csr": ("indices", "indptr"), "coo": ("row", "col")}


def from_arrays(arrays: Mapping[str, NDArray[Any]], *, layers: Sequence[str] | None = None,
                relu: bool | Sequence[bool] | None = None, image: Sequence[int] | None = None,
                ignore: Sequence[str] = ()) -> Model:
    """Read named matrices.

    Parameters
    ----------
    arrays : mapping
        ``NAME.weight`` (n_out × n_in, or n_out × channels × kernel for a convolution with stride 1
        and without padding) or, for a sparse matrix, ``NAME.data``, ``NAME.indices``,
        ``NAME.indptr`` and ``NAME.shape`` as in a :class:`scipy.sparse.csc_array`; optionally
        ``NAME.bias``. ``NAME_weight`` and ``NAME_bias`` are accepted as well, and masks of weights
        and biases.
    layers, relu, image
        As for :func:`~.parts.join_parts`.
    ignore : sequence of :class:`str`, optional
        Names of arrays that are not used.

    Raises
    ------
    FrontEndError
        If there are other arrays, or a layer is invalid.
    """
    reuse = ReuseLimit()
    return join_tensors(arrays, lambda names: make_part(names, arrays.__getitem__, reuse),
                        layers=layers, relu=relu, image=image, ignore=ignore)


def make_part(names: TensorNames, get: Callable[[str], Any], reuse: ReuseLimit) -> Part:
    """Make a part of arrays, which `get` returns by name."""
    bias = names.bias and get(names.bias)
    if names.bias_mask:
        bias = mask_values(bias, get(names.bias_mask))
    if names.weight is None:
        fields = {name.rpartition(".")[2]: get(name) for name in names.fields}
        return Part(make_matrix("csc", _pop(fields, "shape"), fields, reuse), bias)
    weight = get(names.weight)
    if names.weight_mask:
        weight = mask_values(weight, get(names.weight_mask))
    if weight.ndim not in (3, 4) or not weight.size:
        return Part(weight, bias)
    return Part(weight.reshape(len(weight), -1), bias, Geometry.simple(weight.shape[2:]))


def from_sparse(matrices: Sequence[Any], *, biases: Sequence[Any] | None = None,
                names: Sequence[str] | None = None, relu: bool | Sequence[bool] | None = None
                ) -> Model:
    """Read sparse matrices or arrays of SciPy, n_out × n_in, in order of computation.

    Parameters
    ----------
    matrices : sequence of sparse matrices
        Matrices in any format.
    biases : sequence of (n_out or None), optional
        Bias of each matrix.
    names : sequence of :class:`str`, optional
        Names of the layers. None: ``layer1`` and so on.
    relu : :class:`bool` or sequence of :class:`bool`, optional
        As for :func:`~.parts.join_parts`.

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
             relu: bool | Sequence[bool] | None = None, image: Sequence[int] | None = None,
             ignore: Sequence[str] = ()) -> Model:
    """Read named matrices, as :func:`from_arrays`, or the matrix of scipy.sparse.save_npz."""
    arrays = read_arrays(path)
    for keys, what in _OTHER_FILES.items():
        if set(keys) <= set(arrays):
            raise FrontEndError(f"file must be a model, not {what}")
    if {"format", "shape"} <= set(arrays):
        matrix = make_matrix(_pop(arrays, "format").tobytes().replace(b"\0", b"").decode("latin-1"),
                         _pop(arrays, "shape"), arrays, ReuseLimit())
        return join_parts({Path(path).stem: Part(matrix)}, layers=layers, relu=relu)
    return from_arrays(arrays, layers=layers, relu=relu, image=image, ignore=ignore)


def _pop(arrays: dict[str, NDArray[Any]], name: str) -> NDArray[Any]:
    if name not in arrays:
        raise FrontEndError(f"array {name} of a sparse matrix must be present")
    return arrays.pop(name)


def make_matrix(kind: str, shape: NDArray[Any], arrays: dict[str, NDArray[Any]],
                reuse: ReuseLimit) -> csc_array:
    """Make a sparse matrix of arrays with SciPy's names, after checking them; remove them."""
    if kind not in FIELDS:
        raise FrontEndError(f"format of a sparse matrix must be {', '.join(FIELDS)}, not {kind!r}:"
                            " matrix.tocsc() converts it")
    sizes = shape.tolist()
    if shape.dtype.kind not in "iu" or shape.shape != (2,) \
            or not all(1 <= size <= MAX_SIDE for size in sizes):
        raise FrontEndError(f"shape must be two integers from 1 to {MAX_SIDE}, not "
                            f"{reprlib.repr(sizes)}")
    data = _pop(arrays, "data")
    indices = [_pop(arrays, name) for name in FIELDS[kind]]
    if data.dtype.kind != "f" or any(numbers.dtype.kind not in "iu" for numbers in indices) \
            or any(numbers.ndim != 1 for numbers in (data, *indices)):
        raise FrontEndError(f"data must be floating-point numbers, {' and '.join(FIELDS[kind])} "
                            "integers, all of one dimension")
    reuse.reserve(sizes, len(data))
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
