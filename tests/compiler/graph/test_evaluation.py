import numpy as np

from eie_compiler.graph.evaluation import evaluate_real
from eie_compiler.graph.graph import Graph, Node, Scan
from eie_compiler.patches import Patches
from support.graphs import Sum, random_layer


def graph():
    """Layers on pixels, and a scan with layers in its body."""
    convolution = random_layer(2, 1, 1)
    body = Graph({"x": (3,), "s": (3,)}, (
        Node("fc", random_layer(3, 3, 2), ("x",)), Node("sum", Sum(), ("fc", "s"))), ("sum",))
    return Graph({"image": (1, 2, 2), "x": (4, 3)}, (
        Node("conv", type(convolution)(convolution.layers, Patches((1, 2, 2))), ("image",)),
        Node("scan", Scan(body, (("s", "sum"),)), ("x",))), ("conv", "scan"))


def test_layers_are_run_by_the_function_given_and_all_results_are_watched():
    ran, watched = [], []
    rng = np.random.default_rng(3)
    tensors = {"image": rng.normal(size=(5, 1, 2, 2)), "x": rng.normal(size=(5, 4, 3))}

    def run_layers(path, layers, vectors):
        ran.append((path, vectors.shape))
        return 2 * layers(vectors)

    plain = evaluate_real(graph(), tensors)
    doubled = evaluate_real(graph(), tensors, run_layers=run_layers,
                            watch=lambda path, result: watched.append((path, result)))
    for name in ("conv", "scan"):
        np.testing.assert_allclose(doubled[name], 2 * plain[name])
    assert ran == [("conv", (20, 1)), *[("scan/fc", (5, 3))] * 4]
    assert [path for path, _ in watched] == ["conv", *["scan/fc", "scan/sum"] * 4]
    np.testing.assert_array_equal(watched[0][1], doubled["conv"])
    np.testing.assert_array_equal(watched[-1][1], doubled["scan"][:, -1])
