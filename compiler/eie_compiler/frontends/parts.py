"""Layers that a file holds by name: which of them make the model, and in which order."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..model import Model
from .chain import Chain, Geometry
from .common import FrontEndError, at

__all__ = ["Part", "join_parts", "require_layers"]


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """Weights of a layer.

    Parameters
    ----------
    weight : n_out × n_in
        Dense or a :class:`scipy.sparse.csc_array`; of a convolution, ``n_in`` is the channels of a
        group times the kernel.
    bias : n_out or None
    geometry : :class:`~.chain.Geometry`, optional
        Of a convolution.
    """

    weight: Any
    bias: Any = None
    geometry: Geometry | None = None


def join_parts(parts: Mapping[str, Part], *, layers: Sequence[str] | None = None,
               relu: Sequence[bool] | None = None, image: Sequence[int] | None = None) -> Model:
    """Model of the layers of a file.

    Parameters
    ----------
    parts : mapping
        Name -> weights, in the order of the file.
    layers : sequence of :class:`str`, optional
        Names of those that are computed, in order of computation. None: all, as the file has them.
    relu : sequence of :class:`bool`, optional
        Whether each of them ends in a ReLU. None: all but the last.
    image : (channels, height, width), optional
        Shape of the images, if the first is a convolution.

    Raises
    ------
    FrontEndError, ModelError, PatchError
        If there is no such layer or the layers do not fit together.
    """
    names = list(parts if layers is None else layers)
    require_layers(names, parts)
    relus = [n < len(names) for n in range(1, len(names) + 1)] if relu is None else list(relu)
    if len(relus) != len(names):
        raise FrontEndError(f"relu must be one for each of {len(names)} layers, not {len(relus)}")
    chain = Chain(image=image, choose="choose layers with layers=NAMES")
    for name, is_relu in zip(names, relus):
        part = parts[name]
        with at(f"layer {name!r}"):
            if part.geometry is None:
                chain.linear(name, part.weight, part.bias)
            else:
                chain.convolve(name, part.weight, part.geometry, part.bias)
            if is_relu:
                chain.relu()
    return chain.model()


def require_layers(layers: Iterable[str], names: Iterable[str]) -> None:
    """Check that all `layers` are there."""
    if unknown := [name for name in layers if name not in names]:
        raise FrontEndError(f"layers must be some of {', '.join(names)}, not {unknown[0]}")
