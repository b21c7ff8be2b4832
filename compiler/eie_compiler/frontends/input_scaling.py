"""Preprocessing of the inputs of a graph: the scales and shifts that come first."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..graph.graph import Node
from ..graph.operation import Shape
from ..graph.operations import Affine, Reshape, Transpose
from ..graph.uses import count_uses
from ..preprocessing import Preprocessing, PreprocessingError
from .folding import separate

__all__ = ["absorb_scales"]


class _Moved(NamedTuple):
    """Input that nothing else reads, as it is or rearranged: its name, and each element's number
    in it."""

    name: str
    numbers: NDArray[np.int64]


def absorb_scales(inputs: Mapping[str, Shape], nodes: Sequence[Node], outputs: Sequence[str]
                  ) -> tuple[tuple[Node, ...], dict[str, Preprocessing]]:
    """Make a scale and a shift of an input its preprocessing, if nothing else reads the input.

    The words of an input have one format, in which small elements beside great ones would lose
    their resolution; preprocessing begins with numbers. It moves before reshapes and transpositions
    of the input.

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
        By name of the input; of one element along axes where all are equal.
    """
    uses = count_uses(nodes, outputs)
    moved = {name: _Moved(name, np.arange(np.prod(shape, dtype=np.int64)).reshape(1, *shape))
             for name, shape in inputs.items() if shape and uses[name] == 1}
    found: dict[str, Preprocessing] = {}
    renamed: dict[str, str] = {}
    rest = []
    for node in nodes:
        node = dataclasses.replace(node, inputs=tuple(renamed.get(name, name)
                                                      for name in node.inputs))
        computation, source = node.computation, moved.get(node.inputs[0])
        if source is not None and node.name not in outputs:
            shape = source.numbers.shape[1:]
            if isinstance(computation, (Reshape, Transpose)) and uses[node.name] == 1:
                moved[node.name] = _Moved(source.name, computation.words(
                    source.numbers, fracs=[0], frac=0))
            elif isinstance(computation, Affine) and node.shape(shape) == shape \
                    and (parts := _separate(computation)):
                preprocessing, remaining = parts
                preprocessing = _move_back(preprocessing, source.numbers, inputs[source.name])
                if combined := _combine(found.get(source.name), preprocessing):
                    found[source.name] = combined
                    if remaining is None:
                        renamed[node.name] = node.inputs[0]
                        if uses[node.name] > 1:    # each reader can have a scale of its own
                            del moved[node.inputs[0]]
                        continue
                    node = dataclasses.replace(node, computation=remaining)
        rest.append(node)
    return tuple(rest), found


def _separate(affine: Affine) -> tuple[Preprocessing, Affine | None] | None:
    """Separate preprocessing, and what remains; None if there is nothing or it is too great."""
    scale, shift = (np.atleast_1d(part) for part in np.broadcast_arrays(
        np.asarray(affine.scale, np.float64), np.asarray(affine.shift, np.float64)))
    if not scale.any():
        return None
    try:
        with np.errstate(over="ignore"):
            preprocessing, scale, shift = separate(scale, shift)
    except PreprocessingError:    # beyond float64
        return None
    return preprocessing, Affine(scale, shift) if (scale == 0).any() else None


def _combine(first: Preprocessing | None, then: Preprocessing) -> Preprocessing | None:
    """Make one preprocessing of two in a row; None if it is beyond float64."""
    if first is None:
        return then
    try:
        with np.errstate(over="ignore"):
            return Preprocessing(*np.broadcast_arrays(
                first.offset + then.offset / first.scale, first.scale * then.scale))
    except PreprocessingError:
        return None


def _move_back(preprocessing: Preprocessing, numbers: NDArray[np.int64], shape: Shape
               ) -> Preprocessing:
    """Arrange preprocessing of a rearranged input as the input; keep one of equal elements."""
    parts = []
    for part in (preprocessing.offset, preprocessing.scale):
        whole = np.zeros(numbers.size)
        whole[numbers.ravel()] = np.broadcast_to(part, numbers.shape).ravel()
        parts.append(whole.reshape(shape))
    for axis in range(len(shape)):
        firsts = [part.take([0], axis) for part in parts]
        if all((part == first).all() for part, first in zip(parts, firsts)):
            parts = firsts
    sizes = parts[0].shape
    while len(sizes) > 1 and sizes[0] == 1:
        sizes = sizes[1:]
    return Preprocessing(*(part.reshape(sizes) for part in parts))
