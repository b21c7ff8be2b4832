"""Assembly of a model from successive operations, with constants folded into layers."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..model import Model, ModelLayer, check_columns
from ..patches import Patches
from ..preprocessing import Preprocessing
from .assembly import Assembly, Matrix
from .common import FrontEndError, plain_name
from .folding import MAX_FOLDED_SHIFT, fold_after, fold_before, separate, ungroup
from .geometry import Geometry

__all__ = ["Chain"]


class Chain(Assembly):
    """Builder of a :class:`~..model.Model`.

    A vector lies along one axis of the tensors between the operations: the last axis for linear
    layers, the channels for convolutions. Constants are folded as they broadcast along it; those
    before the first layer become preprocessing if their scales differ, for which a shared codebook
    has too few values, or if shifts are large, without which inputs would lose resolution.

    Parameters
    ----------
    image : (channels, height, width), optional
        Shape of the images of a convolution; overrides the shape of its operation.
    choose : :class:`str`
        Advice in messages: how to choose a part of the model.
    axis : :class:`int`, optional
        Axis of the vectors of the first layer, if known beforehand.

    Raises
    ------
    FrontEndError, ModelError, PatchError
        In all methods, if an operation cannot follow the previous ones.
    """

    def __init__(self, *, image: Sequence[int] | None = None, choose: str,
                 axis: int | None = None) -> None:
        super().__init__(choose)
        self._image = image
        self._layers: list[ModelLayer] = []
        self._patches: Patches | None = None
        self._preprocessing: Preprocessing | None = None
        self._axis = axis
        #: Axis of the vectors if no Transpose moved it.
        self._first_axis = axis
        self._notes: list[str] = []
        #: Scales and shifts not yet folded into a matrix; after a layer, one number per row.
        self._pending: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []

    @property
    def n_rows(self) -> int | None:
        """Number of elements of a vector; None before the first layer."""
        return self._layers[-1].n_rows if self._layers else None

    @property
    def axis(self) -> int | None:
        """Axis of the vectors, -1 for the last; None if not yet known."""
        return self._axis

    def linear(self, name: str, weight: Matrix, bias: Any = None, *, axis: int = -1) -> None:
        """Multiply vectors along `axis` by a matrix (n_out, n_in), and add the bias (n_out)."""
        if self._axis is not None and self._axis < -1 and axis == -1:
            raise FrontEndError("linear layer must not follow vectors along another axis, "
                                "such as the channels of a convolution, without a Flatten; "
                                f"{self._choose}")
        if self._axis not in (None, axis):
            raise FrontEndError("vectors must lie along the same axis in all layers: multiply by "
                                f"constants on the same side; {self._choose}")
        self._append(name, weight, bias, axis, area=1)

    def convolve(self, name: str, weight: Matrix, geometry: Geometry, bias: Any = None, *,
                 shape: Sequence[int] | None = None) -> None:
        """Convolve images of `shape` with weights (n_out, channels per group · kernel)."""
        area = int(np.prod(geometry.kernel))
        weight = ungroup(weight, geometry.groups)
        axis = -1 - len(geometry.kernel)
        if not self._layers:
            shape = self._image or shape
            if shape is None:
                raise FrontEndError("shape of the image must be known: give "
                                    "image=C,H,W, its channels, height and width")
            self._patches = geometry.patches(shape)
            if any(self._patches.padding) and any(shift.any() for _, shift in self._pending):
                raise FrontEndError("constant must not be added before a convolution with padding, "
                                    "which does not add it to the zeros: add it to the images")
        elif self._axis != axis or area != 1 or geometry.patches((1, 1, 1)) != Patches((1, 1, 1)):
            raise FrontEndError("convolution after another layer must be 1 × 1, with stride 1, "
                                "without padding, on the pixels of a convolution before it; "
                                f"{self._choose}")
        self._append(name, weight, bias, axis, area=area)

    @np.errstate(all="ignore")    # layers refuse infinite numbers
    def affine(self, scale: ArrayLike, shift: ArrayLike) -> None:
        """Multiply by a constant, then add another; both broadcast as in NumPy."""
        parts = np.asarray(scale, np.float64), np.asarray(shift, np.float64)
        if not self._layers:
            self._pending.append(parts)
            return
        layer = self._layers[-1]
        scale, shift = (self._vector(part, layer.n_rows) for part in parts)
        if layer.relu or self._pending:
            self._pending.append((scale, shift))
        else:
            self._layers[-1] = fold_after(layer, scale, shift)

    def relu(self) -> None:
        """Make negative results zero."""
        if not self._layers or self._pending:
            raise FrontEndError("ReLU must follow a linear layer or a convolution directly; "
                                f"{self._choose}")
        self._layers[-1] = dataclasses.replace(self._layers[-1], relu=True)

    def reshape(self, last: int | None) -> None:
        """Change the shape, not the order, to a last axis of `last` elements. None: unknown."""
        if not self._layers:
            if self._notes:
                raise FrontEndError("shape must not change after a Transpose of the inputs, which "
                                    f"changes their order: transpose them first; {self._choose}")
            if any(part.size > 1 for parts in self._pending for part in parts):
                raise FrontEndError("shape must not change between constants and the layer they "
                                    f"fold into; {self._choose}")
            return
        one_pixel = self._patches is not None and self._patches.output_shape == (1, 1)
        is_same_order = self._axis == (-1 if self._patches is None else self._first_axis)
        is_open = self._axis != -1 or self._patches is not None and last is None
        if is_open and not one_pixel or last not in (None, self.n_rows):
            if self.is_complete and is_same_order:
                self.note(f"the results are vectors of {self.n_rows} numbers, those before their "
                          "shape changes at the end, in the same order")
                return
            raise FrontEndError(
                f"shape must not join or split vectors of {self.n_rows} numbers, as a Flatten "
                f"joins those of the pixels of an image; {self._choose}")
        self._axis = self._first_axis = -1

    def transpose(self, order: Sequence[int]) -> None:
        """Permute the axes: axis ``order[n]`` becomes axis n.

        Vectors along another axis are the same vectors. Others must keep their order, because each
        of their indices is an inference.
        """
        rank = len(order)
        if not self._layers:
            if list(order) != list(range(rank)):
                # Constants broadcast to the last axes before they move with the input.
                self._pending = [(_transpose(scale, order), _transpose(shift, order))
                                 for scale, shift in self._pending]
                self._notes.append(f"the inputs are those after a Transpose by {list(order)}, such "
                                   "as images (channels, height, width)")
            return
        assert self._axis is not None
        others = [axis for axis in order if axis != rank + self._axis]
        if others != sorted(others):
            raise FrontEndError("only the axis of the vectors must change its place, not the order "
                                f"of the others; {self._choose}")
        self._axis = list(order).index(rank + self._axis) - rank

    def note(self, text: str) -> None:
        """Note what is left out of the results."""
        if text not in self._notes:
            self._notes.append(text)

    def model(self) -> Model:
        """Return the model."""
        if not self._layers:
            raise FrontEndError("model must have a linear layer or a convolution")
        if self._pending:
            raise FrontEndError("constant scale or shift after a ReLU must be followed by a layer "
                                f"to fold into; {self._choose}")
        if self._patches is not None and self._axis != self._first_axis:
            self._notes.append("the results are images (channels, height, width), those before the "
                               "last Transpose")
        elif self._axis not in (-1, self._first_axis):
            self._notes.append("the results are vectors along the last axis, those before the last "
                               "Transpose")
        return Model(tuple(self._layers), self._patches, self._preprocessing, tuple(self._notes))

    @np.errstate(all="ignore")
    def _append(self, name: str, weight: Matrix, bias: Any, axis: int, area: int) -> None:
        name = plain_name(name, {layer.name for layer in self._layers},
                          f"layer{len(self._layers) + 1}")
        if self._layers and len(shape := np.shape(weight)) == 2:
            # Before allocating a bias of zeros.
            check_columns(name, shape[1], self._layers[-1])
        layer = ModelLayer(name, weight, bias)
        self._axis = axis
        if not self._layers:
            self._first_axis = axis
        scale, shift = np.ones(layer.n_cols), np.zeros(layer.n_cols)
        for parts in self._pending:
            factor, term = (part if self._layers else
                            np.repeat(self._vector(part, layer.n_cols // area), area)
                            for part in parts)
            scale, shift = scale * factor, shift * factor + term
        self._pending.clear()
        if not self._layers and ((scale != scale[0]).any()
                                 or np.abs(shift).max() > MAX_FOLDED_SHIFT):
            scale, shift = self._preprocess(scale, shift)
        self._layers.append(fold_before(layer, scale, shift))

    def _preprocess(self, scale: NDArray[np.float64], shift: NDArray[np.float64]
                    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Keep ``scale * x + shift`` as preprocessing; return what remains to be folded."""
        if not (np.isfinite(scale).all() and np.isfinite(shift).all()):
            raise FrontEndError("constant scale and shift before the first layer must be finite")
        self._preprocessing, scale, shift = separate(scale, shift)
        return scale, shift

    def _vector(self, constant: NDArray[np.float64], n: int) -> NDArray[np.float64]:
        assert self._axis is not None
        if constant.size == 1:
            return np.full(n, constant.item())
        if constant.ndim < -self._axis or not constant.size == constant.shape[self._axis] == n:
            raise FrontEndError(f"constant must be one number, or {n} along axis {self._axis}, one "
                                f"per element of a vector, not of shape {constant.shape}; "
                                f"{self._choose}")
        return constant.ravel()


def _transpose(constant: NDArray[np.float64], order: Sequence[int]) -> NDArray[np.float64]:
    """Permute the axes of a constant as those of the tensor that it broadcasts to."""
    if constant.size == 1:
        return constant
    if constant.ndim > len(order):
        raise FrontEndError(f"constant must have at most {len(order)} axes, not shape "
                            f"{constant.shape}")
    return constant.reshape((1,) * (len(order) - constant.ndim) + constant.shape).transpose(order)
