"""Compressed networks, the input of the compiler."""

import dataclasses
import re
import reprlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from .patches import Patches
from .preprocessing import Preprocessing

__all__ = ["MAX_FRAC", "MAX_NAME", "MAX_SIDE", "CompressedNetwork", "Layer", "NetworkError",
           "check_chain", "check_int", "check_name", "check_shape"]

#: Greatest magnitude of a number of fraction bits.
MAX_FRAC = 64

#: Greatest magnitude of a limit of the fraction bits of weights: those of a result and of an input,
#: and a shift.
_MAX_WEIGHT_FRAC = 3 * MAX_FRAC

#: Greatest width of a number of a machine; the machine's own limits are narrower.
_MAX_WIDTH = 64

#: Most bytes of a layer's name, which is also a file name: those have at most 255, with suffixes.
MAX_NAME = 200

#: Most rows or columns of a matrix, and of all matrices of a network together; bounds the memory
#: that a small file can request.
MAX_SIDE = 1 << 24


class NetworkError(ValueError):
    """Invalid network; the message names the file (if any), layer and field."""


@dataclasses.dataclass(frozen=True, eq=False)
class Layer:
    """Layer that computes ``y = relu?(codebook[codes] @ x + bias)``.

    Parameters
    ----------
    name : :class:`str`
        Name, for display, messages and the files of results.
    codes : :class:`scipy.sparse.csc_array` of uint8, n_rows × n_cols
        Codebook index of each nonzero weight; 0 is not stored. Row indices ascend in each
        column.
    codebook : float64, ``2 ** v_width``
        Weight of each index; entry 0 is 0.
    bias : float64, n_rows
        Bias of each row.
    relu : :class:`bool`
        True if negative results become zero.
    output_frac : :class:`int`
        Fraction bits of the results: word `y` represents ``y / 2 ** output_frac``.
    max_weight_frac : :class:`int`, optional
        Most fraction bits of the words of the codebook. None: as many as machine and sums allow.

    Raises
    ------
    NetworkError
        If a field has a wrong type, shape or value.
    """

    name: str
    codes: csc_array
    codebook: NDArray[np.float64]
    bias: NDArray[np.float64]
    relu: bool
    output_frac: int
    max_weight_frac: int | None = None

    def __post_init__(self) -> None:
        try:
            check_name(self.name)
            _check_codes(self.codes)
            _check_numbers("codebook", self.codebook)
            _check_codebook(self.codebook, self.codes.data)
            _check_numbers("bias", self.bias)
            if self.bias.shape != (self.n_rows,):
                raise NetworkError(f"bias must have one number for each of {self.n_rows} "
                                   f"rows, not shape {self.bias.shape}")
            if type(self.relu) is not bool:
                raise NetworkError(f"relu must be true or false, not {self.relu!r}")
            check_int("output_frac", self.output_frac, -MAX_FRAC, MAX_FRAC)
            if self.max_weight_frac is not None:
                check_int("max_weight_frac", self.max_weight_frac, -_MAX_WEIGHT_FRAC,
                          _MAX_WEIGHT_FRAC)
        except NetworkError as error:
            raise NetworkError(f"layer {reprlib.repr(self.name)}: {error}") from error

    @property
    def n_rows(self) -> int:
        """Number of outputs."""
        return int(self.codes.shape[0])

    @property
    def n_cols(self) -> int:
        """Number of inputs."""
        return int(self.codes.shape[1])

    @property
    def n_nonzeros(self) -> int:
        """Number of stored weights."""
        return int(self.codes.nnz)


@dataclasses.dataclass(frozen=True, eq=False)
class CompressedNetwork:
    """Sequence of compressed layers with their number formats.

    Parameters
    ----------
    layers : :class:`tuple` of :class:`Layer`
        In order of computation; each has as many columns as its predecessor has rows.
    input_frac : :class:`int`
        Fraction bits of the input.
    v_width : :class:`int`, 2 to 8
        Bits of a codebook index, in all layers.
    patches : :class:`~.patches.Patches`, optional
        If the first layer is a convolution: the patches that its inputs are cut from.
    preprocessing : :class:`~.preprocessing.Preprocessing`, optional
        Offset and scale of each input, which the host applies; `input_frac` is that of the results.
    nonnegative_inputs : :class:`bool`
        True if no word of an input is negative: inputs whose word would be saturate at 0.
    act_width, codebook_width : :class:`int`, optional
        Widths of the machine for which the formats were chosen, and the accuracy was measured. The
        network is compiled for no others; None if it is not known for which.

    Raises
    ------
    NetworkError
        If the layers do not match.
    """

    layers: tuple[Layer, ...]
    input_frac: int
    v_width: int
    patches: Patches | None = None
    preprocessing: Preprocessing | None = None
    nonnegative_inputs: bool = False
    act_width: int | None = None
    codebook_width: int | None = None

    def __post_init__(self) -> None:
        if type(self.layers) is not tuple or not self.layers:
            raise NetworkError("layers must be a tuple of one or more layers")
        check_int("input_frac", self.input_frac, -MAX_FRAC, MAX_FRAC)
        check_int("v_width", self.v_width, 2, 8)
        for name in ("act_width", "codebook_width"):
            if getattr(self, name) is not None:
                check_int(name, getattr(self, name), 1, _MAX_WIDTH)
        check_chain([(layer.name, layer.codes.shape) for layer in self.layers])
        names = Counter(layer.name for layer in self.layers)
        for layer in self.layers:
            if names[layer.name] > 1:
                raise NetworkError(f"layer {layer.name!r}: name must be unique")
            if layer.codebook.shape != (1 << self.v_width,):
                raise NetworkError(f"layer {layer.name!r}: codebook must have 2 ** v_width = "
                                   f"{1 << self.v_width} entries, not {len(layer.codebook)}")
        if self.patches is not None and self.patches.n_inputs != self.layers[0].n_cols:
            raise NetworkError(f"layer {self.layers[0].name!r}: shape must have "
                               f"{self.patches.n_inputs} columns, one for each element of a patch, "
                               f"not {self.layers[0].n_cols}")
        if self.patches is not None and self.layers[-1].n_rows % self.patches.pixels:
            raise NetworkError(f"layer {self.layers[-1].name!r}: shape must have as many rows for "
                               f"each of {self.patches.pixels} pixels of a patch, not "
                               f"{self.layers[-1].n_rows} rows")
        if self.preprocessing is not None and \
                self.preprocessing.scale.shape != (self.layers[0].n_cols,):
            raise NetworkError(f"preprocessing must have {self.layers[0].n_cols} elements, one for "
                               f"each column of layer {self.layers[0].name!r}, not "
                               f"{' × '.join(map(str, self.preprocessing.scale.shape))}")
        if type(self.nonnegative_inputs) is not bool:
            raise NetworkError(f"nonnegative_inputs must be true or false, not "
                               f"{self.nonnegative_inputs!r}")


def check_int(name: str, value: object, low: int, high: int) -> None:
    """Check that a field is an integer from `low` to `high`."""
    if type(value) is not int or not low <= value <= high:
        raise NetworkError(f"{name} must be an integer from {low} to {high}, not {value!r}")


def check_shape(name: str, shape: Sequence[Any]) -> None:
    """Check that a shape is two integers in range."""
    if len(shape) != 2 or not all(type(n) is int and 1 <= n <= MAX_SIDE for n in shape):
        raise NetworkError(f"{name} must be two integers, rows and columns, from 1 to {MAX_SIDE}, "
                           f"not {reprlib.repr(shape)}")


def check_chain(shapes: Sequence[tuple[str, Sequence[int]]]) -> None:
    """Check that each of the layers (name, shape) has a column for each row of its predecessor.

    Their number is limited, too.
    """
    total = sum(sum(shape) for _, shape in shapes)
    if total > MAX_SIDE:
        raise NetworkError(f"layers must have at most {MAX_SIDE} rows and columns together, not "
                           f"{total}")
    for (before, (n_rows, _)), (name, (_, n_cols)) in zip(shapes, shapes[1:]):
        if n_cols != n_rows:
            raise NetworkError(f"layer {name!r}: shape must have {n_rows} columns, one for each "
                               f"row of {before!r}, not {n_cols}")


def check_name(name: object) -> None:
    """Check a layer name, which is also a file name of results."""
    if type(name) is not str or not name.isprintable() or not re.fullmatch(r"[^/\\.][^/\\]*", name):
        raise NetworkError(f"name must be printable text without slashes that does not begin with "
                           f"a dot, not {reprlib.repr(name)}")
    if len(name.encode()) > MAX_NAME:
        raise NetworkError(f"name must have at most {MAX_NAME} bytes, as it names files, not "
                           f"{len(name.encode())}")


def _check_numbers(name: str, values: object) -> None:
    if not isinstance(values, np.ndarray) or values.dtype != np.float64 or values.ndim != 1:
        raise NetworkError(f"{name} must be a one-dimensional array of float64, "
                           f"not {getattr(values, 'dtype', type(values).__name__)} "
                           f"of shape {getattr(values, 'shape', '()')}")
    if not (finite := np.isfinite(values)).all():
        first = int(np.argmin(finite))
        raise NetworkError(f"{name}[{first}] must be finite, not {values[first]}")


def _check_codebook(codebook: NDArray[np.float64], codes: NDArray[np.uint8]) -> None:
    # The network checks the length against its v_width.
    if len(codebook) not in (1 << width for width in range(2, 9)):
        raise NetworkError(f"codebook must have 4 to 256 entries, a power of two, "
                           f"not {len(codebook)}")
    if codebook[0] != 0:
        raise NetworkError(f"codebook[0] must be 0, not {codebook[0]}")
    if len(codes) and codes.max() >= len(codebook):
        raise NetworkError(f"codes must be below {len(codebook)}, the length of the codebook, "
                           f"not {codes.max()}")


def _check_indptr(name: str, indptr: NDArray[Any], n_cols: int, n_codes: int) -> None:
    if indptr.shape != (n_cols + 1,):
        raise NetworkError(f"{name} must have {n_cols + 1} elements, one more than the "
                           f"columns, not {len(indptr)}")
    if indptr[0] != 0 or indptr[-1] != n_codes or (indptr[1:] < indptr[:-1]).any():
        raise NetworkError(f"{name} must ascend from 0 to {n_codes}, the number of codes")


def _check_codes(codes: Any) -> None:
    if not isinstance(codes, csc_array) or codes.dtype != np.uint8 or codes.ndim != 2:
        raise NetworkError(f"codes must be a csc_array of uint8, not {type(codes).__name__} "
                           f"of {getattr(codes, 'dtype', 'nothing')}")
    check_shape("shape", codes.shape)
    n_rows, n_cols = codes.shape
    if len(codes.data) != codes.indptr[-1] or len(codes.indices) != codes.indptr[-1]:
        raise NetworkError(f"codes must have {codes.indptr[-1]} data and indices, the last "
                           f"element of indptr, not {len(codes.data)} and {len(codes.indices)}")
    _check_indptr("indptr", codes.indptr, n_cols, len(codes.data))
    if codes.data.size and codes.data.min() == 0:
        raise NetworkError("codes must not store code 0: zero weights are left out "
                           "(call eliminate_zeros)")
    rows = codes.indices
    if rows.size and not 0 <= rows.min() <= rows.max() < n_rows:
        raise NetworkError(f"indices must be rows from 0 to {n_rows - 1}, "
                           f"not from {rows.min()} to {rows.max()}")
    _check_order(rows, codes.indptr)


def _check_order(rows: NDArray[Any], indptr: NDArray[Any]) -> None:
    descends = np.flatnonzero(rows[1:] <= rows[:-1]) + 1
    wrong = descends[~np.isin(descends, indptr)]    # a new column starts over
    if wrong.size:
        column = int(np.searchsorted(indptr, wrong[0], side="right")) - 1
        raise NetworkError(f"indices must strictly ascend in column {column}, but "
                           f"{rows[wrong[0]]} follows {rows[wrong[0] - 1]}")
