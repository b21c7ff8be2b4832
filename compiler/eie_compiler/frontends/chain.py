"""Operations one after another become layers; constant scales and shifts fold into them."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array, csc_array, diags_array

from ..model import Model, ModelLayer, check_columns
from ..patches import Patches
from .common import FrontEndError

__all__ = ["Chain", "Geometry"]

#: A dense matrix or a :class:`scipy.sparse.csc_array`.
Matrix = Any


class Geometry(NamedTuple):
    """How a convolution of one or two dimensions goes over its input.

    Parameters
    ----------
    kernel, stride, dilation : one number a dimension
    padding : :class:`str`, or as many zeros before each dimension, then behind each
        A word is one of ONNX: ``VALID``, ``SAME_UPPER``, ``SAME_LOWER``.
    groups : :class:`int`
        Parts of the channels that do not see each other.
    """

    kernel: Sequence[int]
    stride: Sequence[int]
    dilation: Sequence[int]
    padding: str | Sequence[int]
    groups: int = 1

    @classmethod
    def simple(cls, kernel: Sequence[int], *, stride: int = 1, padding: int = 0, groups: int = 1
               ) -> "Geometry":
        """The same along all dimensions."""
        n = len(kernel)
        return cls(kernel, (stride,) * n, (1,) * n, (padding,) * 2 * n, groups)

    def patches(self, shape: Sequence[int]) -> Patches:
        """Patches of images (channels, height, width); one dimension is a row of pixels."""
        kernel, stride, dilation, padding = self[:4]
        if isinstance(padding, str):
            padding = self._named_padding(padding, shape[-len(kernel):])
        if len(kernel) == 1:
            kernel, stride, dilation = (1, *kernel), (1, *stride), (1, *dilation)
            padding = (0, *padding[:1], 0, *padding[1:])
        numbers: Any = shape, kernel, stride, dilation, padding
        return Patches(*map(tuple, numbers))

    def _named_padding(self, word: str, sizes: Sequence[int]) -> list[int]:
        if word == "VALID":
            return [0] * 2 * len(sizes)
        if word not in ("SAME_UPPER", "SAME_LOWER"):
            raise FrontEndError(f"padding must be VALID, SAME_UPPER or SAME_LOWER, not {word!r}")
        # A stride below 1 is for the patches to refuse.
        total = [max((-(-size // max(stride, 1)) - 1) * stride + dilation * (kernel - 1) + 1 - size,
                     0) for size, kernel, stride, dilation in zip(sizes, *self[:3])]
        less, more = [n // 2 for n in total], [n - n // 2 for n in total]
        return less + more if word == "SAME_UPPER" else more + less


class Chain:
    """Builds a :class:`~..model.Model` out of operations in the order in which they are computed.

    A vector lies along one axis of the tensors between the operations: the last one for layers of
    rows, the one of the channels for convolutions. Constants are folded as they broadcast along it.

    Parameters
    ----------
    image : (channels, height, width), optional
        Shape of the images of a convolution; goes before what its operation says.
    choose : :class:`str`
        How the user chooses a part of the model, for messages.
    axis : :class:`int`, optional
        Along which the vectors of the first layer will lie, if known before it comes.

    Raises
    ------
    FrontEndError, ModelError, PatchError
        By all methods, if an operation cannot follow those before it.
    """

    def __init__(self, *, image: Sequence[int] | None = None, choose: str,
                 axis: int | None = None) -> None:
        self._image = image
        self._choose = choose
        self._layers: list[ModelLayer] = []
        self._patches: Patches | None = None
        self._axis = axis
        #: Scales and shifts that no matrix has taken up yet; behind a layer, one number a row.
        self._pending: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []

    @property
    def n_rows(self) -> int | None:
        """Numbers of a vector; None before the first layer."""
        return self._layers[-1].n_rows if self._layers else None

    @property
    def axis(self) -> int | None:
        """Along which the vectors lie, from the last, -1; None if not known yet."""
        return self._axis

    def linear(self, name: str, weight: Matrix, bias: Any = None, *, axis: int = -1) -> None:
        """Multiply vectors along `axis` by a matrix (n_out, n_in), and add the bias (n_out)."""
        if self._axis is not None and self._axis < -1 and axis == -1:
            raise FrontEndError("layer of rows must not come behind vectors along another axis, "
                                "such as the channels of a convolution, without a Flatten; "
                                f"{self._choose}")
        if self._axis not in (None, axis):
            raise FrontEndError("vectors must lie along the same axis in all layers: multiply by "
                                f"constants on the same side; {self._choose}")
        self._append(name, weight, bias, axis, area=1)

    def convolve(self, name: str, weight: Matrix, geometry: Geometry, bias: Any = None, *,
                 shape: Sequence[int] | None = None) -> None:
        """Convolve images of `shape` with weights (n_out, channels of a group · kernel)."""
        area = int(np.prod(geometry.kernel))
        weight = _ungroup(weight, geometry.groups)
        axis = -1 - len(geometry.kernel)
        if not self._layers:
            shape = self._image or shape
            if shape is None:
                raise FrontEndError("shape of the image must be known: say "
                                    "image=(channels, height, width)")
            self._patches = geometry.patches(shape)
            if any(self._patches.padding) and any(shift.any() for _, shift in self._pending):
                raise FrontEndError("constant must not be added before a convolution with padding, "
                                    "whose zeros have none: add it to the images")
        elif self._axis != axis or area != 1 or geometry.patches((1, 1, 1)) != Patches((1, 1, 1)):
            raise FrontEndError("convolution behind another layer must be 1 × 1, with stride 1, "
                                "without padding, on the pixels of a convolution before it; "
                                f"{self._choose}")
        self._append(name, weight, bias, axis, area=area)

    @np.errstate(all="ignore")    # what becomes infinite is refused as part of a layer
    def affine(self, scale: ArrayLike, shift: ArrayLike) -> None:
        """Multiply by a constant, then add one; both broadcast as NumPy's arrays do."""
        parts = np.asarray(scale, np.float64), np.asarray(shift, np.float64)
        if not self._layers:
            self._pending.append(parts)
            return
        layer = self._layers[-1]
        scale, shift = (self._vector(part, layer.n_rows) for part in parts)
        if layer.relu or self._pending:
            self._pending.append((scale, shift))
        else:
            # A bias alone, which is common, needs no pass over the weights.
            weight = layer.weight if (scale == 1).all() else diags_array(scale) @ layer.weight
            self._layers[-1] = dataclasses.replace(layer, weight=weight,
                                                   bias=scale * layer.bias + shift)

    @np.errstate(all="ignore")
    def arithmetic(self, operation: str, constant: ArrayLike, *, constant_first: bool = False
                   ) -> None:
        """Compute ``x + constant``, or with ``constant_first`` ``constant + x``; so for - * /."""
        constant = np.asarray(constant, np.float64)
        if operation == "+":
            self.affine(1, constant)
        elif operation == "-":
            self.affine(-1 if constant_first else 1, constant if constant_first else -constant)
        elif operation == "*":
            self.affine(constant, 0)
        elif constant_first or not constant.all():
            raise FrontEndError("division must be by a constant other than 0")
        else:
            self.affine(1 / constant, 0)

    @np.errstate(all="ignore")
    def normalise(self, gamma: ArrayLike, beta: ArrayLike, mean: ArrayLike, variance: ArrayLike,
                  epsilon: float, *, n_dimensions: int) -> None:
        """Batch normalisation of tensors with `n_dimensions` behind the channels."""
        gamma, beta, mean, variance = (
            np.asarray(part, np.float64).reshape(-1, *(1,) * n_dimensions)
            for part in (gamma, beta, mean, variance))
        if not (variance + epsilon > 0).all():
            raise FrontEndError("variance and epsilon of a normalisation must be above 0 in all")
        scale = gamma / np.sqrt(variance + epsilon)
        self.affine(scale, beta - mean * scale)

    def relu(self) -> None:
        """Make negative results zero."""
        if not self._layers or self._pending:
            raise FrontEndError("ReLU must follow a linear layer or a convolution directly; "
                                f"{self._choose}")
        self._layers[-1] = dataclasses.replace(self._layers[-1], relu=True)

    def reshape(self, last: int | None) -> None:
        """Change the shape, not the order; the last axis gets `last` numbers, None: not known."""
        if not self._layers:
            if any(part.size > 1 for parts in self._pending for part in parts):
                raise FrontEndError("shape must not change between constants and the layer that "
                                    f"takes them up; {self._choose}")
            return
        one_pixel = self._patches is not None and self._patches.output_shape == (1, 1)
        if self._axis != -1 and not one_pixel or last not in (None, self.n_rows):
            raise FrontEndError(
                f"shape must not change so that vectors of {self.n_rows} numbers are joined or "
                f"split, as those of the pixels of an image are by a Flatten; {self._choose}")
        self._axis = -1

    def model(self) -> Model:
        """What has been built."""
        if not self._layers:
            raise FrontEndError("model must have a linear layer or a convolution")
        if self._pending:
            raise FrontEndError("constant scale or shift behind a ReLU must be followed by a layer "
                                f"that takes it up; {self._choose}")
        return Model(tuple(self._layers), self._patches)

    @np.errstate(all="ignore")
    def _append(self, name: str, weight: Matrix, bias: Any, axis: int, area: int) -> None:
        name = self._plain(name)
        if self._layers and len(shape := np.shape(weight)) == 2:
            # Before memory is taken for the zeros of a bias that is not there.
            check_columns(name, shape[1], self._layers[-1])
        layer = ModelLayer(name, weight, bias)
        weight, bias = layer.weight, layer.bias
        self._axis = axis
        # The one before the matrix first: W (s x + t) + b = (W s) x + (W t + b).
        for parts in reversed(self._pending):
            scale, shift = (part if self._layers else self._vector(part, layer.n_cols // area)
                            for part in parts)
            bias = bias + weight @ np.repeat(shift, area)
            weight = weight @ diags_array(np.repeat(scale, area))
        self._pending.clear()
        self._layers.append(dataclasses.replace(layer, weight=weight, bias=bias))

    def _vector(self, constant: NDArray[np.float64], n: int) -> NDArray[np.float64]:
        assert self._axis is not None
        if constant.size == 1:
            return np.full(n, constant.item())
        if constant.ndim < -self._axis or not constant.size == constant.shape[self._axis] == n:
            raise FrontEndError(f"constant must be one number, or {n} along axis {self._axis}, one "
                                f"for each of a vector, not of shape {constant.shape}")
        return constant.ravel()

    def _plain(self, name: str) -> str:
        """Short, printable, without slashes, of this layer only: results go to files of it."""
        name = ".".join(re.findall(r"[^/\\]+", name)[-2:]).lstrip(".")
        if not name or not name.isprintable():
            name = f"layer{len(self._layers) + 1}"
        names = {layer.name for layer in self._layers}
        count = 2
        plain = name
        while plain in names:
            plain, count = f"{name}_{count}", count + 1
        return plain


def _ungroup(weight: Matrix, groups: int) -> Matrix:
    """Matrix over all channels, of one whose rows see only those of their group."""
    n_rows, n_cols = weight.shape
    if groups < 1 or n_rows % groups:
        raise FrontEndError(f"groups must divide the {n_rows} outputs, not be {groups}")
    if groups == 1:
        return weight
    parts = coo_array(weight)
    rows = parts.row.astype(np.int64)
    cols = parts.col + rows // (n_rows // groups) * n_cols
    return csc_array((parts.data, (rows, cols)), shape=(n_rows, n_cols * groups))
