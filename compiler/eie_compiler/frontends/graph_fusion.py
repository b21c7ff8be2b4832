"""Fusion of the nodes of a graph: layers absorb constants and ReLU, and follow one another."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import TypeGuard

import numpy as np

from ..graph.graph import Computation, Node
from ..graph.operation import Floats, Shape
from ..graph.operations import Affine, Clip, Sign
from ..graph.uses import count_uses
from ..model import Model
from ..patches import Patches
from .folding import MAX_FOLDED_SHIFT, drop_scales, fold_after, fold_before

__all__ = ["fuse"]


def fuse(nodes: Iterable[Node], outputs: Sequence[str], kept: Set[str],
         shapes: Mapping[str, Shape]) -> tuple[list[Node], tuple[str, ...]]:
    """Fuse nodes into layers wherever nothing else reads what lies between.

    Scales and shifts after a layer without ReLU are folded into its rows, others into the columns
    of the layer after them: between layers, or if they are one number. A ReLU belongs to the layer
    before it. Layers on the vectors, or pixels, of layers become one node. Binary weights whose
    results only a Sign reads have no scales.

    Parameters
    ----------
    nodes : iterable of :class:`~..graph.graph.Node`
        In an order of computation; all are needed.
    outputs : sequence of :class:`str`
        Names of the results.
    kept : set of :class:`str`
        Nodes that are not absorbed.
    shapes : mapping of :class:`str` to :data:`~..graph.operation.Shape`
        Shapes of all inputs and nodes.

    Returns
    -------
    nodes : :class:`list` of :class:`~..graph.graph.Node`
    outputs : :class:`tuple` of :class:`str`
        Names of the nodes that compute the results.
    """
    return _Fusion(nodes, outputs, kept, shapes).result(outputs)


class _Fusion:

    def __init__(self, nodes: Iterable[Node], outputs: Sequence[str], kept: Set[str],
                 shapes: Mapping[str, Shape]) -> None:
        nodes = list(nodes)
        # A layer has no room for what makes a tensor larger.
        self._kept = kept | {node.name for node in nodes if isinstance(node.computation, Affine)
                             and shapes[node.name] != shapes[node.inputs[0]]}
        self._shapes = shapes
        self._uses = count_uses(nodes, outputs)
        self._nodes: dict[str, Node] = {}
        #: Node that was absorbed -> node that computes its result.
        self._renamed: dict[str, str] = {}
        for node in nodes:
            self._take(dataclasses.replace(node, inputs=tuple(
                self._renamed.get(name, name) for name in node.inputs)))

    def result(self, outputs: Sequence[str]) -> tuple[list[Node], tuple[str, ...]]:
        """Return the nodes and the outputs."""
        return list(self._nodes.values()), tuple(self._renamed.get(name, name) for name in outputs)

    def _take(self, node: Node) -> None:
        """Add a node, or let the node before it absorb it."""
        fused: Computation | None = None
        if len(node.inputs) == 1 and node.name not in self._kept:
            while isinstance(node.computation, Model) and (folded := self._fold_columns(node)):
                node = folded
            before = self._absorbing(node.inputs[0])
            if before is not None and isinstance(node.computation, Affine):
                fused = self._affine(before, node.computation)
            elif before is not None and isinstance(node.computation, Clip):
                fused = _with_relu(before.computation, node.computation)
            elif before is not None and isinstance(node.computation, Model):
                fused = _join(before.computation, node.computation)
            elif before is not None and isinstance(node.computation, Sign):
                self._nodes[before.name] = dataclasses.replace(
                    before, computation=_without_scales(before.computation))
        if fused is None:
            self._nodes[node.name] = node
            return
        name = node.inputs[0]
        self._nodes[name] = dataclasses.replace(self._nodes[name], computation=fused)
        self._renamed[node.name] = name
        self._uses[name] = self._uses[node.name]

    def _absorbing(self, name: str) -> Node | None:
        """Get a node that may change, as only one other reads it; inputs may not."""
        return None if name in self._kept or self._uses[name] != 1 else self._nodes.get(name)

    def _affine(self, before: Node, affine: Affine) -> Computation | None:
        """Fold a scale and a shift into a node before."""
        if isinstance(before.computation, Affine):
            # The scale of the first is one number, or of the shape of its result.
            first = before.computation
            return Affine(first.scale * affine.scale, first.shift * affine.scale + affine.shift)
        if not _is_layers(before.computation) or before.computation.layers[-1].relu:
            return None
        layers = before.computation.layers
        parts = [_vector(part, self._axis(before), self._rank(before.name), layers[-1].n_rows)
                 for part in (affine.scale, affine.shift)]
        if any(part is None for part in parts):
            return None
        last = fold_after(layers[-1], *parts)    # type: ignore[arg-type]
        return dataclasses.replace(before.computation, layers=(*layers[:-1], last))

    def _fold_columns(self, node: Node) -> Node | None:
        """Fold a scale and a shift before layers into their columns."""
        before = self._absorbing(node.inputs[0])
        model = node.computation
        if before is None or not _is_layers(model) or not isinstance(before.computation, Affine):
            return None
        n = model.layers[0].n_cols if model.patches is None else model.patches.shape[0]
        affine = before.computation
        scale, shift = (_vector(part, self._axis(node), self._rank(before.name), n)
                        for part in (affine.scale, affine.shift))
        if scale is None or shift is None:
            return None
        source = self._nodes.get(before.inputs[0])
        is_between = source is not None and _is_layers(source.computation)
        if not is_between and ((scale != scale[0]).any() or np.abs(shift).max() > MAX_FOLDED_SHIFT):
            return None    # a shared codebook needs similar columns, and inputs their resolution
        if model.patches is not None:
            if any(model.patches.padding) and shift.any():
                return None    # zeros around an image are not shifted
            area = model.patches.kernel[0] * model.patches.kernel[1]
            scale, shift = np.repeat(scale, area), np.repeat(shift, area)
        first = fold_before(model.layers[0], scale, shift)
        del self._nodes[before.name]
        return dataclasses.replace(node, inputs=before.inputs, computation=dataclasses.replace(
            model, layers=(first, *model.layers[1:])))

    @staticmethod
    def _axis(node: Node) -> int:
        """Axis of the vectors of layers, from the end."""
        assert isinstance(node.computation, Model)
        return -1 if node.computation.patches is None else -3

    def _rank(self, name: str) -> int:
        return len(self._shapes[name])


def _is_layers(computation: Computation) -> TypeGuard[Model]:
    return isinstance(computation, Model)


def _vector(constant: Floats | float, axis: int, rank: int, n: int
            ) -> Floats | None:
    """Expand a constant to one number for each element of a vector; None if it has others."""
    constant = np.asarray(constant, np.float64)
    if constant.size == 1:
        return np.full(n, constant.item())
    if constant.ndim < -axis or constant.ndim > rank \
            or not constant.size == constant.shape[axis] == n:
        return None
    return constant.ravel()


def _with_relu(before: Computation, clip: Clip) -> Computation | None:
    if not _is_layers(before) or (clip.low, clip.high) != (0, np.inf):
        return None
    last = dataclasses.replace(before.layers[-1], relu=True)
    return dataclasses.replace(before, layers=(*before.layers[:-1], last))


def _without_scales(before: Computation) -> Computation:
    if not _is_layers(before):
        return before
    return dataclasses.replace(before, layers=(*before.layers[:-1], drop_scales(before.layers[-1])))


def _join(before: Computation, after: Model) -> Computation | None:
    """Let layers follow layers, if they compute on the same vectors or pixels."""
    if not _is_layers(before):
        return None
    if before.patches is None:
        is_same = after.patches is None
    else:
        is_same = after.patches == Patches((before.layers[-1].n_rows, *before.patches.output_shape))
    return dataclasses.replace(before, layers=before.layers + after.layers) if is_same else None
