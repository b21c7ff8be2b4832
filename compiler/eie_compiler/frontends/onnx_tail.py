"""Operations of one computed tensor and constants, added to a graph."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .assembly import Assembly, Matrix
from .common import FrontEndError
from .folding import ungroup
from .geometry import Geometry
from .onnx_elementwise import activation, constant_of
from .onnx_operations import CHOOSE
from .onnx_site import Site
from .onnx_values import Tensor

__all__ = ["Tail"]


class Tail(Assembly):
    """Assembly of the operations of one node on a tensor of a graph.

    Parameters
    ----------
    site : :class:`~.onnx_site.Site`
        Node.
    tensor : :class:`~.onnx_values.Tensor`
        Computed operand.
    fold_batch_norm : :class:`bool`
        True if layers absorb normalisations.

    Attributes
    ----------
    tensor : :class:`~.onnx_values.Tensor`
        Result of the operations so far.
    notes : :class:`list` of :class:`str`
        What is left out.
    """

    def __init__(self, site: Site, tensor: Tensor, *, fold_batch_norm: bool) -> None:
        super().__init__(CHOOSE)
        self._site = site
        self._fold_batch_norm = fold_batch_norm
        #: True if layers do not absorb the constants.
        self._keep = False
        self.tensor = tensor
        self.notes: list[str] = []

    def linear(self, name: str, weight: Matrix, bias: Any = None, *, axis: int = -1) -> None:
        tensor, site = self.tensor, self._site
        rank = len(tensor.shape)
        if tensor.batch == rank + axis:
            raise FrontEndError(f"axis of the vectors must not be that of the batch, {axis}; "
                                f"{self._choose}")
        if axis == -1 or tensor.batch == rank - 1:
            # Without a batch after them, the vectors are along the last axis of each sample.
            self.tensor = self._layer(name, weight, bias, tensor)
            return
        # The matrix is on the left: it multiplies columns.
        order = list(range(len(tensor.sizes)))
        order[-2:] = order[:-3:-1]
        turned = site.builder.transpose(f"{site.name}.columns", tensor.name, order)
        layer = site.builder.add_layer(name or self._site.name, weight, bias, turned)
        back = site.builder.transpose(site.name, layer, order)
        self.tensor = site.result(back, tensor, tensor.batch)

    def convolve(self, name: str, weight: Matrix, geometry: Geometry, bias: Any = None, *,
                 shape: Sequence[int] | None = None) -> None:
        n = len(geometry.kernel)
        images, shape = self._site.image(self.tensor, n)
        patches = geometry.patches(shape)
        matrix = ungroup(weight, geometry.groups)
        made = self._site.builder.add_layer(name or self._site.name, matrix, bias, images.name,
                                            patches)
        self.tensor = self._site.rows(self._site.result(made, images, 0), n)

    def affine(self, scale: ArrayLike, shift: ArrayLike) -> None:
        site, tensor = self._site, self.tensor
        if (more := max(np.ndim(scale), np.ndim(shift)) - len(tensor.shape)) > 0:
            # A constant with more axes adds them.
            tensor = site.reshape(tensor, (1,) * more + tensor.shape,
                                  None if tensor.batch is None else tensor.batch + more)
        parts = [constant_of(part, tensor, enlarge=True) for part in (scale, shift)]
        if any(not np.isfinite(part).all() for part in parts):
            raise FrontEndError("constant scale and shift must be finite")
        name = site.builder.scale(site.name, parts[0], parts[1], tensor.name, keep=self._keep)
        self.tensor = site.result(name, tensor, tensor.batch)

    def relu(self) -> None:
        self.tensor = self._site.elementwise(activation("Relu", {}), self.tensor)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def normalise(self, gamma: ArrayLike, beta: ArrayLike, mean: ArrayLike, variance: ArrayLike,
                  epsilon: float, *, n_dimensions: int) -> None:
        self._keep = not self._fold_batch_norm
        super().normalise(gamma, beta, mean, variance, epsilon, n_dimensions=n_dimensions)
        self._keep = False

    def _layer(self, name: str, weight: Matrix, bias: Any, tensor: Tensor) -> Tensor:
        made = self._site.builder.add_layer(name or self._site.name, weight, bias, tensor.name)
        return self._site.result(made, tensor, tensor.batch)
