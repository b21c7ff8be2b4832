"""Preprocessing of the inputs of a graph: the scales and shifts that come first."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from ..graph.graph import Node
from ..graph.operation import Shape
from ..graph.operations import Affine
from ..preprocessing import Preprocessing, PreprocessingError
from .folding import separate

__all__ = ["absorb_scales"]


def absorb_scales(inputs: Mapping[str, Shape], nodes: Sequence[Node], outputs: Sequence[str]
                  ) -> tuple[tuple[Node, ...], dict[str, Preprocessing]]:
    """Make a scale and a shift of an input its preprocessing, if nothing else reads the input.

    The words of an input have one format, in which small elements beside great ones would lose
    their resolution; preprocessing begins with numbers.

    Parameters
    ----------
    inputs : mapping of :class:`str` to :data:`~..graph.operation.Shape`
        Shape of each input.
    nodes : sequence of :class:`~..graph.graph.Node`
        In an order of computation.
    outputs : sequence of :class:`str`
        Nodes whose results are wanted, and which therefore stay.

    Returns
    -------
    nodes : :class:`tuple` of :class:`~..graph.graph.Node`
    preprocessing : :class:`dict` of :class:`str` to :class:`~..preprocessing.Preprocessing`
        By name of the input.
    """
    uses = Counter(name for node in nodes for name in node.inputs)
    uses.update(outputs)
    found: dict[str, Preprocessing] = {}
    renamed: dict[str, str] = {}
    rest = []
    for node in nodes:
        node = dataclasses.replace(node, inputs=tuple(renamed.get(name, name)
                                                      for name in node.inputs))
        name, affine = node.inputs[0], node.computation
        if isinstance(affine, Affine) and name in inputs and uses[name] == 1 \
                and node.name not in outputs and node.shape(inputs[name]) == inputs[name]:
            remaining = _separate(name, affine, found)
            if remaining is None:
                renamed[node.name] = name
                continue
            node = dataclasses.replace(node, computation=remaining)
        rest.append(node)
    return tuple(rest), found


def _separate(name: str, affine: Affine, found: dict[str, Preprocessing]) -> Affine | None:
    """Add the preprocessing of an input; return what remains of the scale and shift of it."""
    scale, shift = (np.atleast_1d(part) for part in np.broadcast_arrays(
        np.asarray(affine.scale, np.float64), np.asarray(affine.shift, np.float64)))
    if not scale.any():
        return affine
    try:
        with np.errstate(over="ignore"):
            found[name], scale, shift = separate(scale, shift)
    except PreprocessingError:    # beyond float64
        return affine
    return Affine(scale, shift) if (scale == 0).any() else None
