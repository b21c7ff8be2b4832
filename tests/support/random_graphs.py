"""Random graphs of operations, for tests."""

import math
import random

import numpy as np

from eie_compiler.graph.graph import Graph, Node, Scan
from eie_compiler.graph.operation import GraphError
from eie_compiler.graph.operations import (
    Add,
    Affine,
    Clip,
    Concat,
    Magnitude,
    Maximum,
    MaxPool,
    Mean,
    Multiply,
    Pad,
    Reshape,
    Reverse,
    Slice,
    Subtract,
    Tanh,
    Transpose,
)
from support.c_graphs import layers

#: Shape and fraction bits of the input.
SHAPE, FRAC = (3, 4, 5), 6

_MAX_SIZE = 400


def random_graph(seed, n_nodes=20):
    """Layers, then operations on results of some nodes before, many of which share operands."""
    rng = random.Random(seed)
    fracs = {"x": FRAC, "fc": FRAC}
    nodes = [Node("fc", layers(np.random.default_rng(seed), [5, 5], FRAC, FRAC, relu=False),
                  ("x",))]
    graph = Graph({"x": SHAPE}, tuple(nodes), ("fc",), fracs)
    while len(nodes) < n_nodes:
        recent = list(graph.shapes)[-6:]
        operands = [rng.choice(recent)]
        operation = _draw(rng, graph.shapes[operands[0]])
        if isinstance(operation, (Add, Magnitude, Maximum, Multiply, Subtract, Concat)):
            operands += rng.choices(recent, k=1 if not isinstance(operation, Concat)
                                    else rng.randrange(3))
        name = f"n{len(nodes)}"
        frac = fracs[operands[0]] if isinstance(operation, Scan) or operation.keeps_format \
            else rng.choice([FRAC - 1, FRAC, FRAC, FRAC + 1])
        try:
            grown = Graph({"x": SHAPE}, (*nodes, Node(name, operation, tuple(operands))),
                          (name, rng.choice(nodes).name), {**fracs, name: frac})
        except GraphError:    # shapes or formats that do not match
            continue
        if math.prod(grown.shapes[name]) <= _MAX_SIZE:
            graph, nodes, fracs = grown, list(grown.nodes), dict(grown.fracs)
    return graph


def _draw(rng, shape):
    axis = rng.randrange(len(shape))
    start = rng.randrange(shape[axis])
    order = rng.sample(range(len(shape)), len(shape))
    rows = rng.choice([size for size in range(1, math.prod(shape) + 1)
                       if math.prod(shape) % size == 0])
    return rng.choice([
        Add(), Maximum(), Multiply(), Subtract(), Magnitude(), Multiply(), Concat(axis), Tanh(),
        Clip(-1.0, rng.choice([2.0, math.inf])), Affine(0.7, 0.1), Mean((axis,), True),
        Transpose(tuple(order)), Reshape((rows, math.prod(shape) // rows)),
        Slice(axis, start, rng.randrange(start, shape[axis]) + 1, rng.choice([1, 1, 2])),
        Slice(0, shape[0] - 1, shape[0]), Reverse(axis), Pad((1,) * len(shape), (0,) * len(shape)),
        *([MaxPool((1, 2), (1, 1), (0, 0, 0, 1))] if len(shape) == 3 else []),
        *([_scan(rng, shape[1:])] if len(shape) > 1 else [])])


def _scan(rng, element):
    """Scan whose states are the next values, or each other."""
    body = Graph(dict.fromkeys(("x", "one", "other"), element), (
        Node("a", Add(), ("x", "one")),
        Node("b", rng.choice([Maximum(), Multiply()]), ("a", "other")),
        Node("c", rng.choice([Tanh(), Clip(-3.0, 3.0)]), ("b",))), ("c",),
        dict.fromkeys(("x", "one", "other", "a", "b", "c"), FRAC))
    return Scan(body, rng.choice([
        (("one", "c"), ("other", "a")), (("one", "other"), ("other", "c")),
        (("one", "other"), ("other", "one")), (("one", "x"), ("other", "one"))]),
        rng.random() < 0.5)
