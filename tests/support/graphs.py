"""Small graphs for tests."""

import dataclasses

import numpy as np
from scipy.sparse import csc_array

from eie_compiler.graph.graph import Graph, Node, Scan
from eie_compiler.graph.operation import GraphError, Monotone, rescale, rescale_error
from eie_compiler.graph.operations import (
    Add,
    Affine,
    Clip,
    Concat,
    MaxPool,
    Mean,
    Multiply,
    Reshape,
    Sigmoid,
    Slice,
    Tanh,
)
from eie_compiler.model import Model, ModelLayer
from eie_compiler.patches import Patches
from eie_compiler.preprocessing import Preprocessing
from eie_compiler.random_networks import random_network

#: Geometry of a 3 × 3 convolution that keeps height and width.
SAME_SIZE = {"kernel": (3, 3), "padding": (1, 1, 1, 1)}


class Sum(Monotone):
    """Sum of two tensors of one shape."""

    def shape(self, one, other):
        if one != other:
            raise GraphError(f"operands must have one shape, not {one} and {other}")
        return one

    def real(self, one, other):
        return one + other

    def words(self, one, other, *, fracs, frac):
        return rescale(one, fracs[0], frac) + rescale(other, fracs[1], frac)

    def rounding(self, *tensors, fracs, frac):
        return sum(rescale_error(one, frac) for one in fracs)


def accumulator(**options):
    """Graph that sums a sequence."""
    body = Graph({"x": (3,), "state": (3,)}, (Node("sum", Sum(), ("x", "state")),), ("sum",),
                 **options)
    return Scan(body, (("state", "sum"),))


def convolution(rng, config, shape, n_out, *, frac=4, **options):
    """Layers of a 3 × 3 convolution that keeps height and width, compressed for a machine."""
    patches = Patches(shape, **SAME_SIZE)
    network = random_network(rng, [patches.n_inputs, n_out], density=0.4, v_width=config.v_width,
                             frac=frac)
    return dataclasses.replace(network, patches=patches, **options)


def random_convolution(shape, rows, seed=1, **geometry):
    """Convolution with a layer for each of `rows`, for machines of the default widths."""
    patches = Patches(shape, **geometry)
    network = random_network(np.random.default_rng(seed), [patches.n_inputs, *rows], density=0.5,
                             frac=6)
    return dataclasses.replace(network, patches=patches)


def grouped(network, n_groups):
    """Remove the weights of a convolution between the groups of its channels."""
    first, *others = network.layers
    codes = first.codes.toarray()
    rows, columns = (np.arange(n) * n_groups // n for n in codes.shape)
    kept = csc_array(np.where(rows[:, np.newaxis] == columns, codes, np.uint8(0)))
    return dataclasses.replace(network, layers=(dataclasses.replace(first, codes=kept), *others))


def graph_of(*networks):
    """Graph of convolutions one after another, from 'conv0'."""
    names = ["image", *(f"conv{number}" for number in range(len(networks)))]
    nodes = tuple(Node(name, network, (before,))
                  for before, name, network in zip(names, names[1:], networks))
    return Graph({"image": networks[0].patches.shape}, nodes, (names[-1],), dict.fromkeys(names, 6))


def separable_network():
    """Depthwise convolutions, each with a 1 × 1 convolution after it; 5, 7, and 6 channels."""
    return graph_of(
        grouped(random_convolution((5, 6, 7), (5, 7), **SAME_SIZE), 5),
        grouped(random_convolution((7, 6, 7), (7, 6), 2, kernel=(3, 2), stride=(2, 1)), 7))


def pooled_network(*, relu=True, seed=1):
    """Convolutions with maximum pooling after them, then fully connected layers, as LeNet-5.

    Without ReLU, numbers that are pooled are of both signs.
    """
    rng = np.random.default_rng(seed)

    def layers(sizes, patches=None):
        network = random_network(rng, sizes, density=0.5, frac=6, relu=relu)
        return dataclasses.replace(network, patches=patches, layers=tuple(
            dataclasses.replace(layer, relu=relu) for layer in network.layers))

    nodes = (
        Node("conv1", layers([9, 6], Patches((1, 13, 12), (3, 3))), ("image",)),
        Node("pool1", MaxPool((3, 3), (2, 2), (0, 1, 0, 1)), ("conv1",)),
        Node("conv2", layers([24, 7], Patches((6, 5, 5), (2, 2))), ("pool1",)),
        Node("pool2", MaxPool((2, 2), (2, 2)), ("conv2",)),
        Node("flat", Reshape((28,)), ("pool2",)),
        Node("fc", layers([28, 9, 5]), ("flat",)))
    return Graph({"image": (1, 13, 12)}, nodes, ("fc",),
                 dict.fromkeys(["image", *(node.name for node in nodes)], 6))


def branched_network(seed=1):
    """Residual block, then a fire module with pooling, and fully connected layers.

    Some tensors that are added or concatenated have different formats.
    """
    rng = np.random.default_rng(seed)
    fracs = {"image": 6, "a": 6, "b": 5, "sum": 7, "relu": 7, "squeeze": 6, "left": 5, "right": 6,
             "joined": 5, "pool": 5, "mixed": 6, "flat": 6, "fc": 6}

    def layers(sizes, source, result, patches=None):
        network = random_network(rng, sizes, density=0.5, frac=6)
        *others, last = network.layers
        return dataclasses.replace(
            network, input_frac=fracs[source], patches=patches,
            layers=(*others, dataclasses.replace(last, output_frac=fracs[result])))

    nodes = (
        Node("a", layers([9, 6], "image", "a", Patches((1, 9, 10), **SAME_SIZE)), ("image",)),
        Node("b", layers([54, 6], "a", "b", Patches((6, 9, 10), **SAME_SIZE)), ("a",)),
        Node("sum", Add(), ("b", "a")), Node("relu", Clip(0.0, np.inf), ("sum",)),
        Node("squeeze", layers([6, 4], "relu", "squeeze", Patches((6, 9, 10))), ("relu",)),
        Node("left", layers([4, 5], "squeeze", "left", Patches((4, 9, 10))), ("squeeze",)),
        Node("right", layers([36, 5], "squeeze", "right", Patches((4, 9, 10), **SAME_SIZE)),
             ("squeeze",)),
        Node("joined", Concat(0), ("left", "right")),
        Node("pool", MaxPool((3, 3), (2, 2)), ("joined",)),
        Node("mixed", layers([10, 7], "pool", "mixed", Patches((10, 4, 4))), ("pool",)),
        Node("flat", Reshape((112,)), ("mixed",)),
        Node("fc", layers([112, 5], "flat", "fc"), ("flat",)))
    return Graph({"image": (1, 9, 10)}, nodes, ("fc",), fracs)


def residual_network(config, seed=1, side=6):
    """Compressed convolutions with pooling and a residual addition, and a fully connected layer.

    Images have two channels and an even `side`.
    """
    rng = np.random.default_rng(seed)
    nodes = (
        Node("scaled", Affine(np.array([0.5, 2.0]).reshape(2, 1, 1), np.full((2, 1, 1), 0.25)),
             ("image",)),
        Node("conv1", convolution(rng, config, (2, side, side), 4), ("scaled",)),
        Node("relu1", Clip(0.0, np.inf), ("conv1",)),
        Node("pool", MaxPool((2, 2), (2, 2)), ("relu1",)),
        Node("conv2", convolution(rng, config, (4, side // 2, side // 2), 4), ("pool",)),
        Node("sum", Add(), ("conv2", "pool")),
        Node("mean", Mean((1, 2)), ("sum",)),
        Node("fc", random_network(rng, [4, 6, 3], density=0.6, v_width=config.v_width, frac=4),
             ("mean",)))
    fracs = dict.fromkeys(["image", *(node.name for node in nodes)], 4)
    return Graph({"image": (2, side, side)}, nodes, ("fc", "mean"), fracs)


#: Preprocessing of features of magnitudes from 1e-3 to 1e4.
SCALER = Preprocessing(np.array([2e-3, 0.0, -70.0, 1e4]), np.array([1e3, -1.5, 0.02, 1e-4]))


def scaled_network(config, steps=3, seed=4):
    """Compressed layers for sequences of four features, which are preprocessed by `SCALER`."""
    layers = random_network(np.random.default_rng(seed), [4, 6, 5], density=0.6,
                            v_width=config.v_width, frac=4)
    return Graph({"x": (steps, 4)}, (
        Node("fc", layers, ("x",)), Node("bounded", Tanh(), ("fc",))), ("bounded",),
        dict.fromkeys(["x", "fc", "bounded"], 4), preprocessing={"x": SCALER})


def scaled_inputs(batch, steps=3, seed=5):
    """Draw inputs of :func:`scaled_network`, in the units of its user."""
    return np.random.default_rng(seed).normal(size=(batch, steps, 4)) / SCALER.scale + SCALER.offset


def recurrent_network(config, steps=3, seed=2):
    """Compressed LSTM of two units for sequences of three features."""
    rng = np.random.default_rng(seed)
    gates = dict(zip("ifgo", range(0, 8, 2)))
    nodes = (
        Node("joined", Concat(0), ("x", "h")),
        Node("gates", random_network(rng, [5, 8], density=0.7, v_width=config.v_width, frac=4),
             ("joined",)),
        *(Node(f"{gate}_in", Slice(0, start, start + 2), ("gates",))
          for gate, start in gates.items()),
        *(Node(gate, Tanh() if gate == "g" else Sigmoid(), (f"{gate}_in",)) for gate in gates),
        Node("kept", Multiply(), ("f", "c")), Node("new", Multiply(), ("i", "g")),
        Node("next_c", Add(), ("kept", "new")), Node("bounded", Tanh(), ("next_c",)),
        Node("next_h", Multiply(), ("o", "bounded")))
    fracs = dict.fromkeys(["x", "h", "c", *(node.name for node in nodes)], 4)
    body = Graph({"x": (3,), "h": (2,), "c": (2,)}, nodes, ("next_h",), fracs)
    scan = Scan(body, (("h", "next_h"), ("c", "next_c")))
    return Graph({"x": (steps, 3)}, (
        Node("lstm", scan, ("x",)),
        Node("last", Slice(0, steps - 1, steps), ("lstm",)),
        Node("vector", Reshape((2,)), ("last",))), ("vector",),
        {"x": 4, "lstm": 4, "last": 4, "vector": 4})


def layers_and_scan():
    """Compressed layers, and a scan of further ones, without formats."""
    fc, step = (random_network(np.random.default_rng(seed), [3, 3], v_width=3, frac=4)
                for seed in (0, 1))
    body = Graph({"x": (3,), "s": (3,)}, (Node("step", step, ("s",)),), ("step",))
    return Graph({"x": (4, 3)}, (Node("fc", fc, ("x",)),
                                 Node("scan", Scan(body, (("s", "step"),)), ("fc",))), ("scan",))


def random_layer(n_rows, n_cols, seed):
    """Layer of a model."""
    rng = np.random.default_rng(seed)
    return Model((ModelLayer("fc", rng.normal(size=(n_rows, n_cols)) / n_cols ** 0.5,
                             rng.normal(size=n_rows)),))


def recurrent_model(*nodes, outputs, **options):
    """Model of a recurrent cell, ``scan``, its last state, ``last``, and further nodes."""
    body = Graph({"x": (6,), "h": (8,)}, (
        Node("of_x", random_layer(8, 6, 1), ("x",)), Node("of_h", random_layer(8, 8, 2), ("h",)),
        Node("sum", Add(), ("of_x", "of_h")), Node("new", Tanh(), ("sum",))), ("new",))
    return Graph({"x": (5, 6)}, (
        Node("scan", Scan(body, (("h", "new"),)), ("x",)), Node("last", Slice(0, 4, 5), ("scan",)),
        *nodes), outputs, **options)
