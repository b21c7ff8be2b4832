"""Chains of layers as graphs."""

import dataclasses

import numpy as np

from ..model import Model
from ..patches import Patches
from ..preprocessing import Preprocessing
from .graph import Graph, Node
from .operation import GraphError, Shape

__all__ = ["from_chain"]


def from_chain(model: Model, *, split: bool = False) -> Graph:
    """Convert a chain of layers to a graph of one input; its preprocessing becomes that of the
    input.

    Parameters
    ----------
    model : :class:`~..model.Model`
        Chain. Inputs of a convolution become images; so do the results.
    split : :class:`bool`
        Make a node for each layer, with its name; by default, one node `output` has all layers.

    Returns
    -------
    :class:`~.graph.Graph`
        Its input is `input`, or, if a layer has that name, `input1` or the like.

    Raises
    ------
    GraphError
        If preprocessing of a convolution differs within a channel, or has an offset beside padding.
    """
    shape: Shape = (model.layers[0].n_cols,) if model.patches is None else model.patches.shape
    layers = dataclasses.replace(model, preprocessing=None, notes=())
    parts = _split(layers) if split else [("output", layers)]
    names = {name for name, _ in parts}
    source = next(name for name in ("input", *(f"input{n}" for n in range(1, len(parts) + 1)))
                  if name not in names)
    operands = (source, *(name for name, _ in parts))
    nodes = tuple(Node(name, part, (operand,)) for (name, part), operand in zip(parts, operands))
    return Graph({source: shape}, nodes, operands[-1:], notes=model.notes,
                 preprocessing={} if model.preprocessing is None else
                 {source: _of_input(model.preprocessing, model.patches)})


def _split(model: Model) -> list[tuple[str, Model]]:
    """Make a model of each layer, by its name."""
    parts = []
    for number, layer in enumerate(model.layers):
        patches = model.patches
        if patches is not None and number:    # 1 × 1 convolutions
            patches = Patches((layer.n_cols, *patches.output_shape))
        parts.append((layer.name, Model((layer,), patches)))
    return parts


def _of_input(preprocessing: Preprocessing, patches: Patches | None) -> Preprocessing:
    """Convert preprocessing of columns to that of the input."""
    if patches is None:
        return preprocessing
    parts = [part.reshape(patches.shape[0], -1, 1)
             for part in (preprocessing.offset, preprocessing.scale)]
    for name, part in zip(("offset", "scale"), parts):
        if (differ := (part != part[:, :1]).any(axis=(1, 2))).any():
            channel = part[differ.argmax()]
            raise GraphError(f"{name} of a convolution must be the same for all elements of a "
                             f"channel, not from {channel.min():g} to {channel.max():g}: give one "
                             "for each channel")
    if any(patches.padding) and parts[0].any():
        raise GraphError("offset of a convolution with padding must be 0, as it is not that of "
                         f"the zeros, not {parts[0].flat[np.flatnonzero(parts[0])[0]]:g}: subtract "
                         "it from the images")
    return Preprocessing(*(part[:, :1] for part in parts))
