"""Graphs with every operation of the C driver, for tests."""

import dataclasses

import numpy as np

from eie_compiler.graph.graph import Graph, Node, Scan
from eie_compiler.graph.operations import (
    Add,
    Affine,
    AveragePool,
    Clip,
    Concat,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    Magnitude,
    Maximum,
    MaxPool,
    Mean,
    Multiply,
    Pad,
    Quantise,
    Reshape,
    Reverse,
    Sigmoid,
    Sign,
    Slice,
    Subtract,
    Tanh,
    Transpose,
)
from eie_compiler.patches import Patches
from eie_compiler.random_networks import random_network


def layers(rng, sizes, frac, output_frac, *, patches=None, relu=True):
    """Compressed layers of a machine of 16 bits, of which the last has its own format."""
    network = random_network(rng, sizes, density=0.5, frac=frac, relu=relu)
    last = dataclasses.replace(network.layers[-1], relu=relu, output_frac=output_frac)
    return dataclasses.replace(network, layers=(*network.layers[:-1], last), patches=patches)


def lstm(rng, n_inputs, n_hidden):
    """Body of an LSTM, whose tensors all have formats of their own."""
    fracs = {"x": 8, "h": 14, "c": 12, "joined": 10, "gates": 11}
    nodes = [Node("joined", Concat(0), ("x", "h")),
             Node("gates", layers(rng, [n_inputs + n_hidden, 4 * n_hidden], 10, 11, relu=False),
                  ("joined",))]
    for number, gate in enumerate("ifgo"):
        start = number * n_hidden
        nodes += [Node(f"{gate}_in", Slice(0, start, start + n_hidden), ("gates",)),
                  Node(gate, Tanh() if gate == "g" else Sigmoid(), (f"{gate}_in",))]
        fracs |= {f"{gate}_in": 11, gate: 15 if gate == "g" else 14}
    nodes += [Node("kept", Multiply(), ("f", "c")), Node("new", Multiply(), ("i", "g")),
              Node("next_c", Add(), ("kept", "new")), Node("bounded", Tanh(), ("next_c",)),
              Node("next_h", Multiply(), ("o", "bounded"))]
    fracs |= {"kept": 12, "new": 13, "next_c": 12, "bounded": 14, "next_h": 14}
    return Graph({"x": (n_inputs,), "h": (n_hidden,), "c": (n_hidden,)}, tuple(nodes),
                 ("next_h",), fracs)


LSTM_STATES = (("h", "next_h"), ("c", "next_c"))


def every_operation(seed=1, *, reverse=True):
    """Convolution, all operations, an LSTM, and layers after it: (2, 7, 8) to (10,) and (4, 5)."""
    rng = np.random.default_rng(seed)
    patches = Patches((2, 7, 8), (3, 2), stride=(1, 2), dilation=(2, 1), padding=(2, 0, 2, 1))
    return _chain({"image": (2, 7, 8)}, {"image": 9}, ("last", "lstm"), [
        ("conv", layers(rng, [12, 6, 4], 9, 9, patches=patches), "image", 9),
        ("pool", MaxPool((2, 2), (2, 1), (0, 0, 1, 1)), "conv", 9),
        ("average", AveragePool((3, 3), (1, 1), (1, 1, 1, 1), True, (0, 1)), "pool", 10),
        ("inside", AveragePool((2, 3), (1, 1), (0, 1, 1, 1)), "pool", 7),
        ("sum", Add(), "average inside", 8),
        ("both", Concat(0), "sum pool", 9),
        ("scaled", Affine(rng.normal(1, 1, (8, 1, 1)), rng.normal(0, 1, (8, 1, 1))), "both", 9),
        ("leaky", LeakyRelu(rng.uniform(-0.2, 0.5, (8, 1, 1))), "scaled", 10),
        ("few", Quantise(np.linspace(0.5, 4, 8).reshape(8, 1, 1), -8, 7), "scaled", 3),
        ("channel", Slice(0, 1, 2), "sum", 8),
        ("mean", Mean((1, 2), True), "channel", 9),
        ("larger", Affine(0.5, np.linspace(-0.5, 0.75, 8).reshape(8, 1, 1)), "mean", 9),
        ("product", Multiply(), "leaky larger", 13),
        ("clip", Clip(-0.5, 6.0), "product", 11),
        ("half", Slice(2, 0, 2), "clip", 11),
        ("wide", Concat(2), "clip half few", 11),
        ("cut", Slice(2, 1, 8), "wide", 11),
        ("turned", Transpose((1, 2, 0)), "cut", 11),
        ("pad", Pad((1, 0, 2), (0, 1, 0)), "turned", 11),
        ("back", Reverse(1), "pad", 11),
        ("crop", Slice(2, 1, 10, 2), "back", 11),
        ("columns", Mean((1,)), "crop", 10),
        ("fc", layers(rng, [5, 4], 10, 8, relu=False), "columns", 8),
        ("steps", Slice(0, 0, 4), "fc", 8),
        ("lstm", Scan(lstm(rng, 4, 5), LSTM_STATES, reverse), "steps", 14),
        ("flat", Reshape((20,)), "lstm", 14),
        ("out", layers(rng, [20, 10], 14, 8, relu=False), "flat", 8),
        ("swish", HardSwish(), "out", 9),
        ("hard", HardSigmoid(0.2, 0.5), "out", 12),
        ("sign", Sign(), "out", 3),
        ("greater", Maximum(), "swish hard", 10),
        ("less", Subtract(), "greater sign", 12),
        ("last", Magnitude(), "less hard", 12)])


def nested_scans(seed=2):
    """Scan in a scan whose inner states change places, with initial values: (3, 4, 2) to (3, 2)."""
    rng = np.random.default_rng(seed)
    inner = _chain({"x": (2,), "one": (2,), "other": (2,)}, dict.fromkeys(["x", "one", "other"], 4),
                   ("sum",), [("sum", Add(), "x one", 4)])
    swap = Scan(inner, (("one", "other"), ("other", "x")))
    outer = _chain({"row": (4, 2), "state": (2,)}, {"row": 4, "state": 4}, ("next",), [
        ("zeros", swap, "row", 4),
        ("given", Scan(inner, swap.states, True), "zeros state state", 4),
        ("rows", Slice(0, 0, 1), "given", 4),
        ("first", Reshape((2,)), "rows", 4),
        ("fc", layers(rng, [2, 2], 4, 5), "first", 5),
        ("next", Add(), "fc state", 4)])
    return _chain({"x": (3, 4, 2), "initial": (2,)}, {"x": 4, "initial": 4}, ("y",), [
        ("y", Scan(outer, (("state", "next"),)), "x initial", 4)])


def _chain(inputs, fracs, outputs, nodes):
    return Graph(inputs, tuple(Node(name, computation, tuple(operands.split()))
                               for name, computation, operands, _ in nodes), outputs,
                 {**fracs, **{name: frac for name, *_, frac in nodes}})


def sequence_lstm(steps, seed=3, *, nonnegative=False):
    """LSTM of a sequence (steps, 4), with a layer before it: to (steps, 5)."""
    rng = np.random.default_rng(seed)
    before = dataclasses.replace(layers(rng, [4, 4], 9, 8), nonnegative_inputs=nonnegative)
    return _chain({"x": (steps, 4)}, {"x": 9}, ("lstm",), [
        ("fc", before, "x", 8), ("lstm", Scan(lstm(rng, 4, 5), LSTM_STATES), "fc", 14)])
