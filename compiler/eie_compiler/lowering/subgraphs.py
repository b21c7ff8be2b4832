"""Lowering of a subgraph: the nodes of one program, as loops whose maps stay on the chip."""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from eie_hdl.config import EIEConfig

from ..errors import CompileError
from ..graph.graph import Graph, Node, Subgraph
from ..graph.operation import Shape
from ..graph.operations.activation import Clip
from ..graph.operations.arrangement import Concat, Reshape
from ..graph.operations.elementwise import Add, Subtract
from ..graph.operations.pooling import AveragePool, MaxPool, Mean
from ..graph.uses import count_uses
from ..graph_build import find_nonnegative_inputs
from ..network import CompressedNetwork
from ..patches import PatchError, Patches
from .dead_rows import DeadRows, LiveNetwork
from .fixed_point import LayerInput, choose_formats, layers_with_inputs
from .loop_geometry import join_rows, map_width
from .lower import Mapping, lower_stages, require_widths
from .lowered_network import LoweredNetwork, ProgramInput
from .pooling import average_layers, pool_stage
from .scale_folding import fold_scales
from .scaled_layer import is_quantised
from .simple_stages import Addend, sum_stage
from .stages import Stage, list_stages

__all__ = ["is_relu", "lower_subgraph"]


def lower_subgraph(subgraph: Subgraph, config: EIEConfig, *, mapping: Mapping = "balanced"
                   ) -> LoweredNetwork:
    """Lower a subgraph for a machine.

    Convolutions are in strips of their loop, or of one pixel. Each layer that is fully connected is
    a convolution whose kernel covers the whole map before it. Maximum pooling is a loop that takes
    maxima, and sums are loops over two maps. Maps that are concatenated stay apart: what reads them
    reads both. Scales of rows, and quantisation, are those of the layers before them.

    Raises
    ------
    CompileError
        If a node cannot be a loop of this machine; the message names it.
    """
    if not config.loops:
        raise CompileError("loops must be true, for a subgraph, whose layers are loops")
    body = fold_scales(subgraph, config).body
    shape = _as_map(body.inputs[subgraph.input])
    source = ProgramInput((body.fracs or {})[subgraph.input], bool(find_nonnegative_inputs(body)))
    found = _Lowering(config, body, _Value(shape, (0,), (shape[0],), source.frac,
                                           source.nonnegative))
    for node in body.nodes:
        try:
            found.add(node)
        except (CompileError, PatchError) as error:
            raise CompileError(f"node {node.name!r}: {error}") from error
    stages = found.finish()
    return lower_stages(
        config, source, found.whole, _name_apart(stages), mapping, channels=np.arange(shape[0]),
        dead=[DeadRows.none()] * len(stages),
        more_entries=math.inf)    # nodes are joined only if no further load is needed


class _Value(NamedTuple):
    """Tensor on the chip.

    Attributes
    ----------
    shape : (channels, height, width)
        Shape of the map whose elements are those of the tensor, in the same order.
    maps : :class:`tuple` of :class:`int`
        Numbers of the maps whose channels follow one another.
    channels : :class:`tuple` of :class:`int`
        Channels of each.
    frac : :class:`int`
        Fraction bits.
    nonnegative : :class:`bool`
        True if no element is negative.
    """

    shape: tuple[int, int, int]
    maps: tuple[int, ...]
    channels: tuple[int, ...]
    frac: int
    nonnegative: bool

    def split(self) -> list["_Value"]:
        """List the maps."""
        return [self._replace(shape=(channels, *self.shape[1:]), maps=(number,),
                              channels=(channels,))
                for number, channels in zip(self.maps, self.channels)]


class _Lowering:
    """Stages of the nodes of a subgraph."""

    def __init__(self, config: EIEConfig, body: Graph, source: _Value) -> None:
        self.whole: list[LayerInput] = []
        self._config, self._body = config, body
        self._stages: list[Stage] = []
        self._values = {next(iter(body.inputs)): source}
        #: Operand of each reshape.
        self._moved: dict[str, str] = {}
        self._uses = count_uses(body.nodes, body.outputs)

    def add(self, node: Node) -> None:
        """Add the stages of a node."""
        computation, operands = node.computation, [self._values[name] for name in node.inputs]
        frac, shapes = (self._body.fracs or {})[node.name], self._body.shapes
        # Reshapes change no map, but what others read as such must have its shape.
        is_free = isinstance(computation, Reshape) or isinstance(
            computation, CompressedNetwork) and computation.patches is None
        if not is_free and any(_as_map(shapes[name]) != value.shape
                               for name, value in zip(node.inputs, operands)):
            raise CompileError("operands must have the shape of a map on the chip")
        if isinstance(computation, Reshape):    # the order of the elements stays
            value, self._moved[node.name] = operands[0], node.inputs[0]
        elif isinstance(computation, Concat):
            if computation.axis != 0:
                raise CompileError(f"channels must be concatenated, not axis {computation.axis}")
            # Maps stay where they are, but those of another format are converted.
            value = _join([operand if operand.frac == frac
                           else self._add_sums(node, [operand], frac, relu=False)
                           for operand in operands])
        elif isinstance(computation, CompressedNetwork):
            value = self._add_layers(node.name, computation, operands[0])
        elif isinstance(computation, (AveragePool, Mean)):
            means = average_layers(self._config, computation, operands[0].shape,
                                   frac=operands[0].frac, to=frac)
            if means is None:
                raise CompileError("windows of means must have as many elements as each other")
            value = self._add_layers(node.name, means, operands[0])
        elif isinstance(computation, MaxPool):
            value = self._add_each(frac, [pool_stage(
                self._config, node.name, computation, part.shape, source=part.maps[0], frac=frac,
                nonnegative=part.nonnegative) for part in operands[0].split()])
        elif isinstance(computation, (Add, Subtract)):
            value = self._add_sums(node, operands, frac, relu=False)
        elif is_relu(node):
            value = self._add_relu(node, operands[0], frac)
        else:
            raise CompileError(f"the machine does not compute {type(computation).__name__}")
        self._values[node.name] = value

    def finish(self) -> list[Stage]:
        """Return the stages.

        Maps that are read together, or by a kernel of whole rows, have no surplus pixels in a row.
        """
        if all(stage.maximum for stage in self._stages):
            raise CompileError("a subgraph must have layers")
        if len(self._values[self._body.outputs[0]].maps) > 1:
            raise CompileError("the result must be a single map, not concatenated ones")
        for number in {number for stage in self._stages for number in stage.sources
                       if number and (len(stage.sources) > 1 or stage.patches.kernel[0] > 1
                                      and join_rows(stage.patches) is not stage.patches)}:
            stage = self._stages[number - 1]
            self._stages[number - 1] = dataclasses.replace(stage, patches=dataclasses.replace(
                stage.patches, loop=_divide_row(self._config, stage)))
        return self._stages

    def _add_layers(self, name: str, network: CompressedNetwork, source: _Value) -> _Value:
        """Add the layers of a node, which read all maps of their operand together."""
        require_widths(self._config, network)
        live = LiveNetwork.whole(network, choose_formats(self._config, network))
        stages = list_stages(live, _find_geometry(network, source.shape), source.maps,
                             len(self._stages))
        self.whole += layers_with_inputs(self._config, network)
        self._stages += [dataclasses.replace(stage, node=name) for stage in stages]
        return self._result(network.layers[-1].output_frac)

    def _add_each(self, frac: int, made: Sequence[tuple[LayerInput, Stage]]) -> _Value:
        """Add a stage for each map of a result."""
        values = []
        for inputs, stage in made:
            self.whole.append(inputs)
            self._stages.append(stage)
            values.append(self._result(frac))
        return _join(values)

    def _add_sums(self, node: Node, operands: Sequence[_Value], frac: int, *, relu: bool) -> _Value:
        """Add the stages of a sum, or of a single map: one for each map of the result."""
        shapes = {self._body.shapes[name] for name in node.inputs}
        if len(operands) > 1 and len(shapes) > 1:    # a map that is concatenated comes alone
            raise CompileError("operands must have the same shape")
        if any(operand.channels != operands[0].channels for operand in operands):
            raise CompileError("operands must be concatenated of the same numbers of channels")
        signs = [1, -1 if isinstance(node.computation, Subtract) else 1]
        return self._add_each(frac, [sum_stage(
            self._config, node.name, [Addend(part.maps[0], part.frac, sign)
                                      for part, sign in zip(parts, signs)],
            parts[0].shape, frac=frac, relu=relu)
            for parts in zip(*(operand.split() for operand in operands))])

    def _add_relu(self, node: Node, source: _Value, frac: int) -> _Value:
        """Add a ReLU to the stages of sums or layers that nothing else reads, or as other stages.

        Quantised results have the limits of their integers, and no ReLU.
        """
        names = [node.inputs[0]]
        while names[-1] in self._moved:
            names.append(self._moved[names[-1]])
        operand = names[-1]
        if any(self._uses[name] > 1 for name in names) or frac != source.frac or not all(
                number and self._stages[number - 1].node == operand
                and not self._stages[number - 1].maximum
                and not is_quantised(self._stages[number - 1].layer) for number in source.maps):
            return self._add_sums(node, [source], frac, relu=True)
        for number in source.maps:
            stage = self._stages[number - 1]
            layer = dataclasses.replace(stage.layer, relu=True)
            self._stages[number - 1] = dataclasses.replace(stage, layer=layer)
            self.whole[number - 1] = self.whole[number - 1]._replace(layer=layer)
        return source._replace(nonnegative=True)

    def _result(self, frac: int) -> _Value:
        """Value of the stage that was added last."""
        stage = self._stages[-1]
        shape = (stage.layer.n_rows, *stage.patches.output_shape)
        return _Value(shape, (len(self._stages),), shape[:1], frac, stage.layer.relu)


def _join(values: Sequence[_Value]) -> _Value:
    """Value whose channels are those of several, one after another."""
    first = values[0]
    if any(value.shape[1:] != first.shape[1:] for value in values):
        raise CompileError("concatenated maps must have the same height and width")
    channels = tuple(n for value in values for n in value.channels)
    return first._replace(shape=(sum(channels), *first.shape[1:]), channels=channels,
                          maps=tuple(number for value in values for number in value.maps),
                          nonnegative=all(value.nonnegative for value in values))


def is_relu(node: Node) -> bool:
    """True for a ReLU."""
    return isinstance(node.computation, Clip) and (
        node.computation.low, node.computation.high) == (0.0, math.inf)


def _divide_row(config: EIEConfig, stage: Stage) -> int:
    """Find the length of strips that fill a row of the result, about as long as those of a stage.
    """
    width, longest = map_width(stage.patches), stage.patches.loop
    fitting = [pixels for pixels in range(1, min(width, 2 * longest) + 1) if width % pixels == 0
               and (pixels <= longest
                    or -(-stage.layer.n_rows // config.n_pe) * pixels <= config.acc_depth)]
    return min(fitting, key=lambda pixels: (abs(math.log(pixels / longest)), pixels))


def _as_map(shape: Shape) -> tuple[int, int, int]:
    """Shape of the map whose elements are those of a tensor, in the same order."""
    if len(shape) == 3:
        return shape[0], shape[1], shape[2]
    if len(shape) == 1:
        return shape[0], 1, 1
    raise CompileError(f"tensors must be images or vectors, not of shape {shape}")


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
    taken = {name for name in names if names.count(name) == 1}
    found = []
    for number, stage in enumerate(stages):
        name = stage.layer.name
        if name not in taken:
            name += f".{number}"
            while name in taken:
                name += f".{number}"
            taken.add(name)
        found.append(dataclasses.replace(stage, layer=dataclasses.replace(stage.layer, name=name)))
    return found
