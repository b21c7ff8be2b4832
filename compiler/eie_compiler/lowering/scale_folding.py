"""Scales of rows, and quantisation, that the machine computes with the layers before them."""

import dataclasses
import math

import numpy as np

from eie_hdl.config import EIEConfig

from ..errors import CompileError
from ..graph.graph import Graph, Node, Subgraph
from ..graph.operation import Floats, Shape
from ..graph.operations import Affine, Concat, Quantise, Reshape
from ..graph.uses import count_uses
from ..network import CompressedNetwork, Layer
from ..patches import Patches
from .fixed_point import choose_format, layers_with_inputs, rounding_error
from .pooling import average_layers
from .scaled_layer import ScaledLayer, quantiser_of
from .scaled_sums import ScaledSum, find_sums
from .simple_stages import choose_strip, sum_layer

__all__ = ["fold_scales"]


def fold_scales(subgraph: Subgraph, config: EIEConfig) -> Subgraph:
    """Make scaled layers of the layers and means of a subgraph, and of what scales their results.

    The operation becomes a :class:`~..graph.operations.Reshape` that changes nothing. Nothing else
    may read the results before it. A quantised sum of tensors that have scales becomes a layer of
    both: its weights are the scales.

    Raises
    ------
    CompileError
        If the machine cannot compute an :class:`~..graph.operations.Affine` or
        :class:`~..graph.operations.Quantise` so; the message names the node.
    """
    body = subgraph.body
    uses, sums = count_uses(body.nodes, body.outputs), find_sums(body)
    absorbed = {name for found in sums.values() for name in found.absorbed}
    nodes: dict[str, Node] = {}
    fracs, scaled = dict(body.fracs or {}), set[str]()
    for node in body.nodes:
        operation, operand = node.computation, node.inputs[0]
        if node.name in absorbed:
            del fracs[node.name]
            continue
        try:
            if isinstance(operation, (Affine, Quantise)):
                _require_rows(body.shapes[operand])
            if node.name in sums:
                for made in _make_sum(node.name, sums[node.name], body, config):
                    nodes[made.name] = made
                    fracs[made.name] = fracs[sums[node.name].operands[0]]
                continue
            if not isinstance(operation, (Affine, Quantise)):
                nodes[node.name] = node
                continue
            before = nodes.get(operand)
            network = None if before is None or uses[operand] > 1 else \
                _find_layers(before, body.shapes, config, fracs)
            if operand in scaled:
                raise CompileError("only one scale, or quantisation, can be part of a layer")
            if before is None or network is None:
                raise CompileError("scales must be those of layers, whose results nothing else "
                                   "reads")
            last = _scale(network.layers[-1], operation, body.shapes[operand], config,
                          fracs[node.name])
            _require_weights(config, network, last)
        except CompileError as error:
            raise CompileError(f"node {node.name!r}: {error}") from error
        nodes[operand] = Node(operand, dataclasses.replace(
            network, layers=(*network.layers[:-1], last)), before.inputs)
        nodes[node.name] = Node(node.name, Reshape(body.shapes[node.name]), (operand,))
        fracs[operand] = fracs[node.name]
        scaled.add(node.name)
    return Subgraph(dataclasses.replace(body, nodes=tuple(nodes.values()), fracs=fracs))


def _make_sum(name: str, found: ScaledSum, body: Graph, config: EIEConfig) -> list[Node]:
    """Make a layer of the channels of two tensors, whose weights are their scales."""
    shape, (one, other) = body.shapes[name], found.operands
    if (body.fracs or {})[one] != (body.fracs or {})[other]:
        raise CompileError("scaled tensors that are added must have one format")
    layer = sum_layer(config, "sum", shape[0], found.scales, frac=(body.fracs or {})[one])
    patches = None
    if len(shape) == 3:
        alone = choose_strip(config, Patches((shape[0], *shape[1:]), loop=1), parts=2)
        patches = dataclasses.replace(alone, shape=(2 * shape[0], *shape[1:]))
    both = f"{name}.operands"
    while both in body.shapes:
        both += ".operands"
    network = CompressedNetwork((layer,), layer.output_frac, config.v_width, patches)
    return [Node(both, Concat(0), (one, other)), Node(name, network, (both,))]


def _find_layers(node: Node, shapes: dict[str, Shape], config: EIEConfig, fracs: dict[str, int]
                 ) -> CompressedNetwork | None:
    """Find the layers that the machine computes for a node, if it has any."""
    if isinstance(node.computation, CompressedNetwork):
        return node.computation
    frac = fracs[node.inputs[0]]
    return average_layers(config, node.computation, shapes[node.inputs[0]], frac=frac, to=frac)


def _scale(layer: Layer, operation: Affine | Quantise, shape: Shape, config: EIEConfig, frac: int
           ) -> ScaledLayer:
    """Make a scaled layer of one and of the operation on its results, of this shape."""
    if not config.scales:
        raise CompileError("scales must be true for scales of rows")
    scale, quantiser, bias, relu = _by_row(operation.scale, shape), None, layer.bias, layer.relu
    if (scale <= 0).any():
        raise CompileError("scales of rows must be above 0")
    if isinstance(operation, Quantise):
        quantiser = quantiser_of(operation, config.act_width, frac)
        if relu and operation.low:
            raise CompileError("results of a ReLU must be quantised from 0 on")
        relu = operation.low == 0
    else:
        shift = _by_row(operation.shift, shape)
        if relu and shift.any():
            raise CompileError("results of a ReLU must have no shift")
        with np.errstate(over="ignore"):
            bias = bias + shift / scale
        _require_biases(config, layer, bias, float(scale.max()), frac)
    fields = {field.name: getattr(layer, field.name) for field in dataclasses.fields(layer)}
    return ScaledLayer(**{**fields, "bias": bias, "relu": relu, "output_frac": frac},
                       scale=scale, quantiser=quantiser)


def _require_rows(shape: Shape) -> None:
    """Require a tensor whose first axis is that of the rows of layers."""
    if len(shape) not in (1, 3):
        raise CompileError(f"tensors must be images or vectors, not of shape {shape}")


def _require_biases(config: EIEConfig, layer: Layer, bias: Floats, scale: float, frac: int
                    ) -> None:
    """Require that biases with the shifts of rows cost the results no precision.

    All biases of a layer have one format, so that those of small scales round those of great ones.
    The host rounds biases without shifts, and results before it scales them.
    """
    step = math.ldexp(1.0, 1 - config.act_width)    # of a bias, for one of magnitude 1
    greatest = np.abs(bias).max()
    host = np.abs(layer.bias).max() * step + math.ldexp(0.5, -layer.output_frac)
    if scale * (greatest * step - 2 * host) > math.ldexp(0.5, -frac):
        raise CompileError(f"shifts must be biases that act_width = {config.act_width} bits hold "
                           f"precisely enough for scales of up to {scale:g}, not of up to "
                           f"{greatest:g}")


def _require_weights(config: EIEConfig, network: CompressedNetwork, scaled: ScaledLayer) -> None:
    """Require that scales and shifts of the last layer cost its weights no precision.

    Great biases, and right shifts of rows with small scales, leave fewer bits to weights.
    """
    plain = layers_with_inputs(config, network)[-1]
    error = rounding_error(scaled, choose_format(config, *plain._replace(layer=scaled)))
    try:
        host = rounding_error(plain.layer, choose_format(config, *plain))
    except CompileError:    # without scales, it has no format at all
        return
    if error > max(2 * host, math.ldexp(1.0, 1 - config.act_width)):
        raise CompileError(f"scales must leave weights as exact as without them, to {host:.2g}, "
                           f"not {error:.2g}: widen accumulators or words")


def _by_row(constant: Floats | float, shape: Shape) -> Floats:
    """Expand a constant of a tensor, whose first axis is that of the rows, to one of each row."""
    whole = np.broadcast_to(np.asarray(constant, np.float64), shape).reshape(shape[0], -1)
    if (whole != whole[:, :1]).any():
        raise CompileError("constants must be one number for each row")
    return whole[:, 0].copy()
