"""Lowering of a subgraph: the nodes of one program, as loops whose maps stay on the chip."""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from eie_hdl.config import EIEConfig

from ..errors import CompileError
from ..graph.graph import Node, Subgraph
from ..graph.operation import Shape
from ..graph.operations.arrangement import Reshape
from ..graph.operations.pooling import MaxPool
from ..network import CompressedNetwork
from ..patches import PatchError, Patches
from .dead_rows import DeadRows, LiveNetwork
from .fixed_point import LayerInput, choose_formats, layers_with_inputs
from .lower import Mapping, lower_stages, require_widths
from .lowered_network import LoweredNetwork, ProgramInput
from .pooling import pool_stage
from .stages import Stage, list_stages

__all__ = ["lower_subgraph"]


def lower_subgraph(subgraph: Subgraph, config: EIEConfig, *, mapping: Mapping = "balanced"
                   ) -> LoweredNetwork:
    """Lower a subgraph for a machine.

    Convolutions are in strips of their loop, or of one pixel. Each layer that is fully connected is
    a convolution whose kernel covers the whole map before it, and maximum pooling one that takes
    maxima.

    Raises
    ------
    CompileError
        If a node cannot be a loop of this machine; the message names it.
    """
    if not config.loops:
        raise CompileError("loops must be true, for a subgraph, whose layers are loops")
    body, found = subgraph.body, _Found([], [])
    shape, is_nonnegative = _as_map(body.inputs[subgraph.input]), _needs_nonnegative(body.nodes)
    source = ProgramInput((body.fracs or {})[subgraph.input], is_nonnegative)
    for node in body.nodes:
        try:
            found.add(_make_stages(config, node, shape, (body.fracs or {})[node.inputs[0]],
                                   nonnegative=is_nonnegative))
        except (CompileError, PatchError) as error:
            raise CompileError(f"node {node.name!r}: {error}") from error
        if not isinstance(node.computation, Reshape):    # the order of the elements stays
            shape = _as_map(body.shapes[node.name])
            is_nonnegative = found.stages[-1].layer.relu
    if all(stage.maximum for stage in found.stages):
        raise CompileError("a subgraph must have layers")
    return lower_stages(
        config, source, found.whole, _name_apart(found.stages), mapping,
        channels=np.arange(found.stages[0].patches.shape[0]),
        dead=[DeadRows.none()] * len(found.stages),
        more_entries=math.inf)    # nodes are joined only if no further load is needed


class _Found(NamedTuple):
    """Stages, and the layers of which they are."""

    whole: list[LayerInput]
    stages: list[Stage]

    def add(self, others: "_Found") -> None:
        """Add those of the next node."""
        self.whole.extend(others.whole)
        self.stages.extend(others.stages)


def _as_map(shape: Shape) -> tuple[int, int, int]:
    """Shape of the map whose elements are those of a tensor, in the same order."""
    if len(shape) == 3:
        return shape[0], shape[1], shape[2]
    if len(shape) == 1:
        return shape[0], 1, 1
    raise CompileError(f"tensors must be images or vectors, not of shape {shape}")


def _needs_nonnegative(nodes: Sequence[Node]) -> bool:
    """True if the first layers rely on an input that is never negative; pools keep signs."""
    return next((node.computation.nonnegative_inputs for node in nodes
                 if isinstance(node.computation, CompressedNetwork)), False)


def _make_stages(config: EIEConfig, node: Node, shape: tuple[int, int, int], frac: int, *,
                 nonnegative: bool) -> _Found:
    """Make the stages of a node, which reads a map of this shape and format."""
    computation = node.computation
    if isinstance(computation, Reshape):
        return _Found([], [])
    if isinstance(computation, MaxPool):
        source, stage = pool_stage(config, node.name, computation, shape, frac=frac,
                                   nonnegative=nonnegative)
        return _Found([source], [stage])
    if not isinstance(computation, CompressedNetwork):
        raise CompileError(f"the machine does not compute {type(computation).__name__}")
    require_widths(config, computation)
    live = LiveNetwork.whole(computation, choose_formats(config, computation))
    return _Found(layers_with_inputs(config, computation),
                  list_stages(live, _find_geometry(computation, shape)))


def _find_geometry(network: CompressedNetwork, shape: tuple[int, int, int]) -> Patches:
    """Find the geometry of the first layer of a node, which reads a map of this shape."""
    patches = network.patches
    if patches is None:
        if network.layers[0].n_cols != math.prod(shape):
            raise CompileError("layers must be of the whole map, not of each of several vectors")
        return Patches(shape, kernel=shape[1:], loop=1)
    if patches.pixels > 1:
        raise CompileError("strips must be those of a loop")
    if patches.shape != shape:
        raise CompileError(f"the map must have the shape of the image, {patches.shape}, not "
                           f"{shape}")
    return dataclasses.replace(patches, loop=max(1, patches.loop))


def _name_apart(stages: list[Stage]) -> list[Stage]:
    """Number the names of layers that several nodes have, as results have the names of layers."""
    names = [stage.layer.name for stage in stages]
    return [dataclasses.replace(stage, layer=dataclasses.replace(
        stage.layer, name=f"{stage.layer.name}.{number}")) if names.count(stage.layer.name) > 1
        else stage for number, stage in enumerate(stages)]
