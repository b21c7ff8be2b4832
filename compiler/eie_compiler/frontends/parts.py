"""Selection and order of the named layers of a file."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..model import Model
from .chain import Chain, Geometry
from .common import FrontEndError, at

__all__ = ["Part", "join_parts", "require_layers"]


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """Weights of a named layer.

    Parameters
    ----------
    weight : n_out × n_in
        Dense matrix or :class:`scipy.sparse.csc_array`; for a convolution, ``n_in`` is the channels
        per group times the kernel.
    bias : n_out, optional
        Bias of each output.
    geometry : :class:`~.chain.Geometry`, optional
        Geometry of a convolution.
    """

    weight: Any
    bias: Any = None
    geometry: Geometry | None = None


def join_parts(parts: Mapping[str, Part], *, layers: Sequence[str] | None = None,
               relu: Sequence[bool] | None = None, image: Sequence[int] | None = None) -> Model:
    """Assemble a model from the layers of a file.

    Parameters
    ----------
    parts : mapping
        Name -> layer, in the order of the file.
    layers : sequence of :class:`str`, optional
        Names of the layers in order of computation. None: all, in the order of the file.
    relu : sequence of :class:`bool`, optional
        True for each layer that ends in a ReLU. None: all but the last do.
    image : (channels, height, width), optional
        Shape of the images, if the first is a convolution.

    Raises
    ------
    FrontEndError, ModelError, PatchError
        If a layer is missing, or the layers do not match.
    """
    names = list(parts if layers is None else layers)
    require_layers(names, parts)
    relus = [n < len(names) for n in range(1, len(names) + 1)] if relu is None else list(relu)
    if len(relus) != len(names):
        raise FrontEndError(f"relu must have one for each of {len(names)} layers, not {len(relus)}")
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
    """Check that all `layers` are among `names`."""
    if unknown := [name for name in layers if name not in names]:
        raise FrontEndError(f"layers must be among {', '.join(names)}, not {unknown[0]}")
