"""Lowering of a subgraph: the nodes of one program, as loops whose maps stay on the chip."""

import dataclasses
import math

import numpy as np

from eie_hdl.config import EIEConfig

from ..errors import CompileError
from ..graph.graph import Node, Subgraph
from ..graph.operation import Shape
from ..graph.operations.arrangement import Reshape
from ..network import CompressedNetwork
from ..patches import Patches
from .dead_rows import DeadRows, LiveNetwork
from .fixed_point import LayerInput, choose_formats, layers_with_inputs
from .lower import Mapping, lower_stages, require_widths
from .lowered_network import LoweredNetwork, ProgramInput
from .stages import Stage, list_stages

__all__ = ["lower_subgraph"]


def lower_subgraph(subgraph: Subgraph, config: EIEConfig, *, mapping: Mapping = "balanced"
                   ) -> LoweredNetwork:
    """Lower a subgraph for a machine.

    Convolutions are in strips of their loop, or of one pixel; each layer that is fully connected is
    a convolution whose kernel covers the whole map before it.

    Raises
    ------
    CompileError
        If a node cannot be a loop of this machine; the message names it.
    """
    if not config.loops:
        raise CompileError("loops must be true, for a subgraph, whose layers are loops")
    body = subgraph.body
    shape = _as_map(body.inputs[subgraph.input])
    assert body.fracs is not None
    whole: list[LayerInput] = []
    stages: list[Stage] = []
    for node in body.nodes:
        try:
            inputs, added = _make_stages(config, node, shape)
        except CompileError as error:
            raise CompileError(f"node {node.name!r}: {error}") from error
        whole += inputs
        stages += added
        if stages and not isinstance(node.computation, Reshape):
            shape = _as_map(body.shapes[node.name])
    if not stages:
        raise CompileError("a subgraph must have layers")
    return lower_stages(
        config, ProgramInput(body.fracs[subgraph.input], _is_nonnegative(body.nodes[0])), whole,
        _name_apart(stages), mapping, channels=np.arange(stages[0].patches.shape[0]),
        dead=[DeadRows.none()] * len(stages))


def _as_map(shape: Shape) -> tuple[int, int, int]:
    """Shape of the map whose elements are those of a tensor, in the same order."""
    if len(shape) == 3:
        return shape[0], shape[1], shape[2]
    if len(shape) == 1:
        return shape[0], 1, 1
    raise CompileError(f"tensors must be images or vectors, not of shape {shape}")


def _is_nonnegative(node: Node) -> bool:
    """True if the first node of a subgraph relies on an input that is never negative."""
    return isinstance(node.computation, CompressedNetwork) and node.computation.nonnegative_inputs


def _make_stages(config: EIEConfig, node: Node, shape: tuple[int, int, int]
                 ) -> tuple[list[LayerInput], list[Stage]]:
    """Make the stages of a node, which reads a map of this shape."""
    computation = node.computation
    if isinstance(computation, Reshape):    # the order of the elements stays
        return [], []
    if not isinstance(computation, CompressedNetwork):
        raise CompileError(f"the machine does not compute {type(computation).__name__}")
    require_widths(config, computation)
    formats = choose_formats(config, computation)
    return layers_with_inputs(config, computation), list_stages(
        LiveNetwork.whole(computation, formats), _find_geometry(computation, shape))


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
