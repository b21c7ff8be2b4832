"""Pooling as loops: maxima of windows as a stage, and means as layers with equal weights."""

import dataclasses
import math
from typing import NamedTuple

import numpy as np

from eie_hdl.config import EIEConfig
from eie_hdl.numeric import limits

from ..graph.graph import Computation, Graph, Node
from ..graph.operation import Shape
from ..graph.operations.arrangement import Reshape
from ..graph.operations.pooling import AveragePool, MaxPool, Mean
from ..network import CompressedNetwork, Layer
from ..patches import Patches
from ..vectors import dequantise
from .fixed_point import LayerInput, activation_range, choose_format, choose_formats
from .simple_stages import choose_strip, spread_channels
from .stages import Stage

__all__ = ["Averages", "average_layers", "pool_stage"]


def pool_stage(config: EIEConfig, name: str, pool: MaxPool, shape: tuple[int, int, int], *,
               source: int, frac: int, nonnegative: bool) -> tuple[LayerInput, Stage]:
    """Make the stage of a maximum pooling.

    Each row has a weight, which is not used, for each element of its window. The machine compares
    numbers without a sign, activations plus ``2 ** (act_width - 1)``, which the bias takes away.

    Parameters
    ----------
    name : :class:`str`
        Name of the layer.
    shape : (channels, height, width)
        Shape of the map.
    source : :class:`int`
        Number of the map.
    frac : :class:`int`
        Fraction bits of the map, and of the result.
    nonnegative : :class:`bool`
        True if no activation is negative. Zeros are then skipped, as no result is less.

    Raises
    ------
    CompileError
        If there are more elements in a window than accumulators of sums hold.
    """
    n_channels = shape[0]
    codebook = np.zeros(1 << config.v_width)
    codebook[1] = 1.0
    bias = dequantise(np.full(n_channels, limits(config.act_width)[0]), frac)
    layer = Layer(name, spread_channels(n_channels, math.prod(pool.kernel)), codebook, bias,
                  relu=nonnegative, output_frac=frac, max_weight_frac=0)
    inputs = LayerInput(layer, frac, activation_range(config, nonnegative=nonnegative))
    patches = Patches(shape, pool.kernel, pool.stride, padding=pool.padding, loop=1)
    return inputs, Stage(layer, choose_format(config, *inputs),
                         choose_strip(config, patches, zeros=not nonnegative), (source,),
                         maximum=True, zeros=not nonnegative, node=name)


class Averages(NamedTuple):
    """Layers that compute means.

    Attributes
    ----------
    nodes : :class:`tuple` of :class:`~..graph.graph.Node`
        Nodes that take the place of the node of the means; the last one has its name.
    note : :class:`str`, optional
        How results differ from those of the host; None if they never do.
    """

    nodes: tuple[Node, ...]
    note: str | None


def average_layers(config: EIEConfig, graph: Graph, node: Node) -> Averages | None:
    """Make layers of a node that computes means of windows of equal numbers of elements.

    The layer has the weight 1/n for each of the n elements of a window. The machine rounds it to
    the width of a codebook, unless n is a power of two.

    Returns
    -------
    :class:`Averages`, optional
        The layers; None if the node computes something else, or windows differ.

    Raises
    ------
    CompileError
        If the machine has no format for the weight.
    """
    shape, to = graph.shapes[node.inputs[0]], graph.shapes[node.name]
    if (window := _find_window(node.computation, shape)) is None:
        return None
    n_taps = math.prod(window.kernel)
    codebook = np.zeros(1 << config.v_width)
    codebook[1] = 1 / n_taps
    fracs = graph.fracs or {}
    layer = Layer("mean", spread_channels(shape[0], n_taps), codebook, np.zeros(shape[0]),
                  relu=False, output_frac=fracs[node.name])
    network = CompressedNetwork((layer,), fracs[node.inputs[0]], config.v_width,
                                choose_strip(config, window))
    (chosen,) = choose_formats(config, network)
    weight = math.ldexp(int(chosen.codebook[1]), -chosen.weight_frac)
    error = abs(weight * n_taps - 1) * (1 << config.act_width - 1)
    note = None if error == 0 else \
        f"node {node.name!r}: the machine multiplies sums of {n_taps} numbers by {weight:.9g}, " \
        f"not 1/{n_taps}, which changes means by at most {error:.2g} steps before they are rounded"
    made = Node(node.name, network, node.inputs)
    if len(to) == 3:
        return Averages((made,), note)
    name = f"{node.name}.image"    # the axes of the image are dropped after it
    if name in graph.shapes:
        return None
    return Averages((dataclasses.replace(made, name=name),
                     Node(node.name, Reshape(to), (name,))), note)


def _find_window(operation: Computation, shape: Shape) -> Patches | None:
    """Find the windows of means of an image, if all have as many elements."""
    if len(shape) != 3:
        return None
    channels, height, width = shape
    if isinstance(operation, Mean) and operation.axes == (1, 2):
        return Patches((channels, height, width), (height, width), loop=1)
    if isinstance(operation, AveragePool) and not any(operation.padding):
        return Patches((channels, height, width), operation.kernel, operation.stride, loop=1)
    return None
