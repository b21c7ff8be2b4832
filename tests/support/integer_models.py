"""Models of quantised weights and results."""

import numpy as np

from eie_compiler.compression.graph import compress_graph
from eie_compiler.frontends.folding import ungroup
from eie_compiler.graph.evaluation import evaluate_real
from eie_compiler.graph.graph import Graph, Node
from eie_compiler.graph.operations import Add, Affine, AveragePool, MaxPool, Quantise, Reshape
from eie_compiler.model import Model, ModelLayer
from eie_compiler.patches import Patches

__all__ = ["compress_quantised", "quantised_model", "quantised_perceptron", "quantised_residual"]


def quantised_layer(rng, name, n_rows, n_cols, *, groups=1, ratio=8.0, patches=None, density=0.8):
    """Layer of 8-bit weights with a scale of each row."""
    integers = rng.integers(-127, 128, (n_rows, n_cols)) * (rng.random((n_rows, n_cols)) < density)
    scale = np.exp(rng.uniform(0, np.log(ratio), n_rows)) / (127 * n_cols ** 0.5)
    weight = ungroup((integers * scale[:, np.newaxis]).reshape(n_rows, n_cols), groups)
    return Model((ModelLayer(name, weight, rng.normal(size=n_rows) * 20),), patches)


def quantised_perceptron(seed=0, sizes=(20, 15, 12, 7), zeros=(-128, -128, 26), ratio=8.0):
    """Model of fully connected layers on integers; the last results are scaled back."""
    rng = np.random.default_rng(seed)
    nodes, last = [Node("q0", Quantise(1.0, -128, 127), ("x",))], "q0"
    for number, (n_in, n_out, zero) in enumerate(zip(sizes, sizes[1:], zeros), 1):
        nodes += [Node(f"fc{number}", quantised_layer(rng, f"fc{number}", n_out, n_in, ratio=ratio),
                       (last,)),
                  Node(f"q{number}", Quantise(0.7, -128 - zero, 127 - zero), (f"fc{number}",))]
        last = f"q{number}"
    return Graph({"x": sizes[:1]}, (*nodes, Node("y", Affine(0.12, 0.0), (last,))), ("y",))


def quantised_model(seed=0, channels=8, *, shape=(2, 9, 8), input_zero=94, pool=True):
    """Model of a convolution, a depthwise and a 1 × 1 one, pools and a fully connected layer."""
    rng = np.random.default_rng(seed)
    _, height, width = shape
    first = Patches(shape, (3, 3), (2, 1), padding=(1, 1, 1, 1))
    inner = (channels, *first.output_shape)
    depthwise = Patches(inner, (3, 3), padding=(1, 1, 1, 1))
    pooled = MaxPool((2, 2), (2, 2), (0, 0, 0, 0)) if pool else None
    nodes = [
        Node("q0", Quantise(1.0, -128 - input_zero, 127 - input_zero), ("x",)),
        Node("conv", quantised_layer(rng, "conv", channels, first.n_inputs, patches=first),
             ("q0",)),
        Node("q1", Quantise(0.5, 0, 255), ("conv",)),
        Node("dw", quantised_layer(rng, "dw", channels, 9, groups=channels, patches=depthwise),
             ("q1",)),
        Node("q2", Quantise(0.4, -128, 127), ("dw",)),
        Node("pw", quantised_layer(rng, "pw", channels, channels, patches=Patches(inner)),
             ("q2",)),
        Node("q3", Quantise(0.6, 0, 255), ("pw",))]
    last, size = "q3", inner
    if pooled is not None:
        nodes.append(Node("pool", pooled, (last,)))
        last, size = "pool", pooled.shape(size)
    average = AveragePool(size[1:], size[1:], (0, 0, 0, 0))
    nodes += [
        Node("mean", average, (last,)), Node("q4", Quantise(1.3, 0, 255), ("mean",)),
        Node("flat", Reshape((channels,)), ("q4",)),
        Node("fc", quantised_layer(rng, "fc", 5, channels), ("flat",)),
        Node("q5", Quantise(0.3, -154, 101), ("fc",)), Node("y", Affine(0.14, 0.0), ("q5",))]
    return Graph({"x": shape}, tuple(nodes), ("y",))


def quantised_residual(seed=0, shape=(6, 5, 7), operation=None):
    """Model of two branches of different scales that are added, quantised, and convolved."""
    rng = np.random.default_rng(seed)
    around = {"kernel": (3, 3), "padding": (1, 1, 1, 1)}
    same, point = Patches(shape, **around), Patches(shape)
    channels = shape[0]

    def layer(name, source, patches):
        return Node(name, quantised_layer(rng, name, channels, patches.n_inputs, patches=patches),
                    (source,))

    return Graph({"x": shape}, (
        Node("q0", Quantise(1.0, -128, 127), ("x",)),
        layer("first", "q0", same), Node("q1", Quantise(0.8, 0, 255), ("first",)),
        layer("second", "q1", point), Node("q2", Quantise(0.5, -110, 145), ("second",)),
        Node("a", Affine(0.31, 0.0), ("q1",)), Node("b", Affine(0.047, 0.0), ("q2",)),
        Node("sum", operation or Add(), ("a", "b")), Node("q3", Quantise(3.1, -128, 127), ("sum",)),
        layer("last", "q3", point), Node("q4", Quantise(0.6, -128, 127), ("last",)),
        Node("y", Affine(0.2, 0.0), ("q4",))), ("y",))


def compress_quantised(model, seed=1, n_samples=40, **options):
    """Compressed network of such a model, samples, and its results in real numbers."""
    (name, shape), = model.inputs.items()
    x = np.random.default_rng(seed).uniform(-220, 130, (n_samples, *shape))
    network = compress_graph(model, {name: x}, **{"v_width": 8, **options})
    return network, x, evaluate_real(model, {name: x})
