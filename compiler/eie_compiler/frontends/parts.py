"""Selection and order of the named layers of a file."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..model import Model
from .chain import Chain
from .common import FrontEndError, at
from .geometry import Geometry

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
               relu: bool | Sequence[bool] | None = None, image: Sequence[int] | None = None
               ) -> Model:
    """Assemble a model from the layers of a file.

    Parameters
    ----------
    parts : mapping
        Name -> layer, in the order of the file.
    layers : sequence of :class:`str`, optional
        Names of the layers in order of computation. None: all, in the order of the file.
    relu : :class:`bool` or sequence of :class:`bool`, optional
        True if a layer ends in a ReLU: one for all, or one for each. None: all but the last do.
    image : (channels, height, width), optional
        Shape of the images, if the first is a convolution.

    Raises
    ------
    FrontEndError, ModelError, PatchError
        If a layer is missing, or the layers do not match.
    """
    names = list(parts if layers is None else layers)
    require_layers(names, parts)
    if relu is None:
        relu = [n < len(names) for n in range(1, len(names) + 1)]
    relus = [relu] * len(names) if isinstance(relu, bool) else list(relu)
    if len(relus) != len(names):
        raise FrontEndError(f"relu must have one for each of {len(names)} layers, not {len(relus)}")
    chain = Chain(image=image, choose="choose layers with layers=NAMES")
    for number, (name, is_relu) in enumerate(zip(names, relus), 1):
        part = parts[name]
        with at(f"layer {name!r}"):
            _check_inputs(parts, names[:number])
            if part.geometry is None:
                chain.linear(name, part.weight, part.bias)
            else:
                chain.convolve(name, part.weight, part.geometry, part.bias)
            if is_relu:
                chain.relu()
    return chain.model()


def _check_inputs(parts: Mapping[str, Part], names: Sequence[str]) -> None:
    """Check that the last layer fits the results of its predecessor; explain why it does not."""
    *before, last = (parts[name] for name in names)
    if last.geometry is not None or len(np.shape(last.weight)) != 2:
        return
    n_outputs, n_inputs = np.shape(last.weight)
    rows = {name: np.shape(part.weight)[0] for name, part in zip(names, before)}
    n_bias = n_outputs if last.bias is None else np.size(last.bias)
    needed = rows[names[-2]] if before else n_inputs
    if n_bias != n_outputs and n_bias == n_inputs:
        raise FrontEndError(f"weight must be n_out × n_in with n_out = {n_bias}, as many as its "
                            f"bias has, not {n_outputs} × {n_inputs}: store its transpose")
    if n_inputs == needed or before[-1].geometry is not None:
        return
    found = f"must have {needed} inputs, the results of {names[-2]!r}, not {n_inputs}"
    if n_inputs in rows.values():
        other = next(name for name in rows if rows[name] == n_inputs)
        raise FrontEndError(
            f"{found}, as many as {other!r} has results: connections around layers, and branches, "
            "cannot be run; export the model to ONNX, or name the layers of a chain with "
            "layers=NAMES")
    shapes = [np.shape(part.weight) for part in (*before, last)]
    if all(first[1] == second[0] for first, second in zip(shapes, shapes[1:])):
        raise FrontEndError(f"{found}: weights must be n_out × n_in, so store the transposes if "
                            "these are n_in × n_out, as of Keras, or name the layers in order of "
                            "computation with layers=NAMES")
    raise FrontEndError(f"{found}: name the layers of a chain in order of computation with "
                        "layers=NAMES")


def require_layers(layers: Iterable[str], names: Iterable[str]) -> None:
    """Check that all `layers` are among `names`."""
    if unknown := [name for name in layers if name not in names]:
        raise FrontEndError(f"layers must be among {', '.join(names)}, not {unknown[0]}")
