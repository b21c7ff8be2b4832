"""Random graphs of pruned layers, with dead and constant channels, for tests."""

import dataclasses
import math
import random

import numpy as np
from scipy.sparse import csc_array

from eie_compiler.graph.graph import Graph, Node
from eie_compiler.graph.operation import GraphError
from eie_compiler.graph.operations import (
    Add,
    Affine,
    AveragePool,
    Clip,
    Concat,
    HardSwish,
    LeakyRelu,
    Maximum,
    MaxPool,
    Mean,
    Multiply,
    Pad,
    Reshape,
    Sigmoid,
    Slice,
    Subtract,
    Transpose,
)
from eie_compiler.patches import Patches
from eie_compiler.random_networks import random_network

_MAX_SIZE = 600


def pruned_layers(rng, sizes, frac, *, patches=None, relu=True, density=0.5):
    """Layers of which about a quarter of the rows and of the columns have no weights."""
    network = random_network(rng, sizes, density=density, frac=frac, relu=relu)
    layers = []
    for layer in network.layers:
        codes = layer.codes.toarray()
        codes[rng.random(len(codes)) < 0.25] = 0
        columns = codes.reshape(len(codes), -1, 1 if patches is None or layers
                                else math.prod(patches.kernel))
        columns[:, rng.random(columns.shape[1]) < 0.25] = 0
        bias = np.where(rng.random(len(codes)) < 0.5, layer.bias, 0.0)
        layers.append(dataclasses.replace(layer, codes=csc_array(codes), bias=bias, relu=relu))
    return dataclasses.replace(network, layers=tuple(layers), patches=patches)


def pruned_graph(seed, n_nodes=14, frac=6):
    """Layers and operations of results of some nodes before; outputs are of the last two."""
    rng = random.Random(seed)
    numbers = np.random.default_rng(seed)
    shape = (3, 6, 5)
    graph, nodes, fracs = None, [], {"image": frac}
    while len(nodes) < n_nodes:
        recent = list(graph.shapes)[-4:] if graph else ["image"]
        operands = [rng.choice(recent)]
        computation = _draw(rng, numbers, graph.shapes[operands[0]] if graph else shape, frac,
                            layers=not nodes or len(nodes) == n_nodes - 1)
        if isinstance(computation, (Add, Maximum, Multiply, Subtract, Concat)):
            operands += rng.choices(recent, k=1)
        name = f"n{len(nodes)}"
        same = hasattr(computation, "layers") or computation.keeps_format
        chosen = fracs[operands[0]] if same else rng.choice([frac - 1, frac, frac + 1])
        if hasattr(computation, "layers"):
            last = dataclasses.replace(computation.layers[-1], output_frac=chosen)
            computation = dataclasses.replace(computation, input_frac=chosen,
                                              layers=(*computation.layers[:-1], last))
        try:
            grown = Graph({"image": shape}, (*nodes, Node(name, computation, tuple(operands))),
                          tuple(node.name for node in nodes[-1:]) + (name,),
                          {**fracs, name: chosen})
        except GraphError:    # shapes or formats that do not match
            continue
        if grown.shapes[name] and math.prod(grown.shapes[name]) <= _MAX_SIZE:
            graph, nodes, fracs = grown, list(grown.nodes), dict(grown.fracs)
    return graph


def _draw(rng, numbers, shape, frac, *, layers):
    if layers or rng.random() < 0.4:
        return _draw_layers(rng, numbers, shape, frac)
    axis = rng.randrange(len(shape))
    start = rng.randrange(shape[axis])
    divisors = [size for size in range(1, math.prod(shape) + 1) if math.prod(shape) % size == 0]
    groups = rng.choice([size for size in range(1, shape[0] + 1) if shape[0] % size == 0])
    channels = (shape[0], *(1,) * (len(shape) - 1))
    zeros = tuple(rng.choice([0, 0, 1]) for _ in shape)
    rows = rng.choice(divisors)
    return rng.choice([
        Add(), Maximum(), Multiply(), Subtract(), Concat(axis), Concat(0), Sigmoid(), HardSwish(),
        Clip(rng.choice([-1.0, 0.0]), rng.choice([2.0, math.inf])),
        Affine(numbers.normal(size=channels), rng.choice([0.0, 0.5])),
        LeakyRelu(numbers.normal(size=channels)), Mean((axis,), rng.random() < 0.5),
        Transpose(tuple(rng.sample(range(len(shape)), len(shape)))),
        Reshape((math.prod(shape),)), Reshape((rows, math.prod(shape) // rows)),
        Reshape((groups, shape[0] // groups, *shape[1:])),
        Slice(axis, start, rng.randrange(start, shape[axis]) + 1, rng.choice([1, 1, 2])),
        Pad(zeros, tuple(reversed(zeros))),
        *([MaxPool((2, 2), (2, 1), (0, 0, 0, 1)), AveragePool((1, 2), (1, 1))]
          if len(shape) == 3 else [])])


def _draw_layers(rng, numbers, shape, frac):
    hidden = [rng.randrange(4, 9)] if rng.random() < 0.3 else []
    n_out = rng.randrange(3, 9)
    patches = None
    if len(shape) == 3 and rng.random() < 0.8:
        side, border = rng.choice([(1, 0), (2, 0), (3, 1)])
        if min(shape[1:]) + 2 * border >= side:
            patches = Patches(shape, (side, side), padding=(border,) * 4)
    first = shape[-1] if patches is None else patches.n_inputs
    return pruned_layers(numbers, [first, *hidden, n_out], frac, patches=patches,
                         relu=rng.random() < 0.8)
