import re

import numpy as np
import pytest

from eie_compiler.compression.graph import compress_graph
from eie_compiler.compression.graph_layers import decompress_graph
from eie_compiler.errors import CompressError
from eie_compiler.graph.evaluation import evaluate_real
from eie_compiler.graph.graph import Graph, Node, Scan
from eie_compiler.graph.layers import find_layers
from eie_compiler.model import Model, ModelLayer
from eie_compiler.network import CompressedNetwork
from eie_compiler.patches import Patches
from eie_compiler.preprocessing import Preprocessing
from support.graphs import Sum


def layers(*sizes, seed, relu=False, patches=None, **options):
    rng = np.random.default_rng(seed)
    return Model(tuple(ModelLayer(f"{number}", rng.normal(size=(n_rows, n_cols)) / n_cols ** 0.5,
                                  rng.normal(size=n_rows), relu=relu)
                       for number, (n_cols, n_rows) in enumerate(zip(sizes, sizes[1:]))),
                 patches, **options)


def residual():
    """Convolution with a second one around which its input is added."""
    first = layers(18, 4, seed=0, relu=True, patches=Patches((2, 6, 6), (3, 3)))
    second = layers(36, 5, 4, seed=1, patches=Patches((4, 4, 4), (3, 3), padding=(1, 1, 1, 1)))
    return Graph({"image": (2, 6, 6)}, (
        Node("first", first, ("image",)), Node("second", second, ("first",)),
        Node("sum", Sum(), ("first", "second"))), ("sum",), notes=("a note",))


def recurrent():
    """State that a layer computes, and to which an element of a sequence is added."""
    body = Graph({"x": (6,), "state": (6,)}, (
        Node("fc", layers(6, 6, seed=2), ("state",)), Node("sum", Sum(), ("fc", "x"))), ("sum",))
    return Graph({"x": (5, 6)}, (Node("scan", Scan(body, (("state", "sum"),)), ("x",)),
                                 Node("end", layers(6, 3, seed=3), ("scan",))), ("end",))


IMAGES = {"image": np.random.default_rng(4).normal(size=(7, 2, 6, 6))}
STEPS = {"x": np.random.default_rng(5).normal(size=(7, 5, 6))}


def errors(graph, network, samples):
    """Relative errors of the results of the nodes, with shared weights in floating point."""
    model, found = (evaluate_real(each, samples) for each in (graph, decompress_graph(network)))
    return {name: np.linalg.norm(found[name] - model[name]) / np.linalg.norm(model[name])
            for name in model}


def test_damping_keeps_weights_of_inputs_that_never_vary_in_the_samples():
    weight = np.random.default_rng(6).normal(size=(40, 8)) * ([1] * 4 + [4] * 4)
    graph = Graph({"x": (8,)}, (Node("fc", Model((ModelLayer("fc", weight),)), ("x",)),), ("fc",))
    samples = {"x": np.random.default_rng(7).normal(size=(50, 8)) * ([1] * 4 + [0] * 4)}
    others = {"x": np.random.default_rng(8).normal(size=(50, 8))}
    without, damped = (errors(graph, compress_graph(graph, samples, v_width=4, damping=damping),
                              others)["fc"] for damping in (None, 1.0))
    assert damped < 0.7 * without
    with pytest.raises(CompressError, match="^damping must be a finite number above 0, not 0$"):
        compress_graph(graph, samples, damping=0)


def test_each_node_is_compressed_with_its_own_inputs():
    graph = residual()
    steps = []
    network = compress_graph(graph, IMAGES, v_width=8, progress=steps.append)
    assert steps == ["compressing first", "compressing second", "choosing formats for sample 1"]
    assert max(errors(graph, network, IMAGES).values()) < 0.01
    first, second = (network.nodes[number].computation for number in range(2))
    assert (first.patches, network.notes) == (graph.nodes[0].computation.patches, ("a note",))
    assert (first.v_width, first.act_width, first.codebook_width) == (8, 16, 16)
    assert [layer.name for layer in second.layers] == ["0", "1"]
    # A ReLU is before the second.
    assert (first.nonnegative_inputs, second.nonnegative_inputs) == (False, True)


@pytest.mark.parametrize("make, samples", [(residual, IMAGES), (recurrent, STEPS)])
def test_formats_are_the_finest_that_hold_all_numbers(make, samples):
    network = compress_graph(make(), samples, v_width=4, act_width=10)
    for name, numbers in evaluate_real(decompress_graph(network), samples).items():
        assert 2 ** 8 - 1 < np.abs(numbers).max() * 2 ** network.fracs[name] <= 2 ** 9 - 1, name


def test_states_are_calibrated_over_all_steps():
    network = compress_graph(recurrent(), STEPS, v_width=8)
    body = network.nodes[0].computation.body
    model = decompress_graph(network)
    assert body.fracs["state"] == body.fracs["sum"] == network.fracs["scan"]
    assert body.fracs["x"] == network.fracs["x"]
    greatest = np.abs(evaluate_real(model, STEPS)["scan"]).max()
    assert 2 ** 14 <= greatest * 2 ** body.fracs["state"] < 2 ** 15
    assert max(errors(recurrent(), network, STEPS).values()) < 0.05


def test_options_by_path_are_for_the_layers_of_a_node():
    network = compress_graph(recurrent(), STEPS, v_width=3, density={"scan/fc": 0.5},
                             values={"end": 2})
    found = {path: one.layers[0] for path, one in find_layers(network, CompressedNetwork).items()}
    assert found["scan/fc"].n_nonzeros <= 18    # of 36
    assert found["end"].n_nonzeros > 9    # of 18
    assert np.count_nonzero(found["end"].codebook) == 2
    assert len(found["end"].codebook) == 8


def test_a_density_of_a_node_is_overridden_by_that_of_one_of_its_layers():
    rng = np.random.default_rng(3)
    layers = tuple(ModelLayer(name, rng.normal(size=(6, 6))) for name in ("a", "b"))
    graph = Graph({"x": (6,)}, (Node("fc", Model(layers), ("x",)),), ("fc",))
    counts = [[layer.n_nonzeros for layer in compress_graph(
        graph, {"x": STEPS["x"][:, 0]}, v_width=8, density=density).nodes[0].computation.layers]
        for density in ({"fc": 0.5}, {"fc": 0.5, "fc/b": 0.25}, {"fc/a": 0.25})]
    assert counts == [[18, 18], [18, 9], [9, 36]]
    with pytest.raises(CompressError, match="^density must be for fc, fc/a, fc/b, not 'a'$"):
        compress_graph(graph, {"x": STEPS["x"][:, 0]}, density={"a": 0.5})


def test_fewer_values_for_all():
    network = compress_graph(recurrent(), STEPS, values=3, density=0.5)
    for one in find_layers(network, CompressedNetwork).values():
        layer, = one.layers
        assert np.count_nonzero(layer.codebook) <= 3
        assert layer.n_nonzeros <= layer.n_rows * layer.n_cols / 2


def test_shared_weights_stay_exactly_as_they_are():
    weight = np.random.default_rng(6).choice([-1.0, 0, 0.5], (4, 6))
    graph = Graph({"x": (6,)}, (Node("fc", Model((ModelLayer("a", weight),)), ("x",)),), ("fc",))
    layer, = compress_graph(graph, {"x": STEPS["x"][:, 0]}).nodes[0].computation.layers
    np.testing.assert_array_equal(layer.codebook[layer.codes.toarray()], weight)
    assert not layer.bias.any()


def test_uniform_weights_of_all_nodes_stay_so():
    graph = recurrent()
    network = compress_graph(graph, STEPS, v_width=3, quantiser="uniform")
    for path in ("scan/fc", "end"):
        model, shared = (dict(each.walk())[path].computation.layers[0] for each in (graph, network))
        even = np.linspace(model.weight.min(), model.weight.max(), 7)
        assert set(shared.codebook) <= {0, *even}


@pytest.mark.parametrize("options, message", [
    ({"density": {"scan": 0.5}}, "density must be for scan/fc, end, not 'scan'"),
    ({"density": 0.0}, "density must be above 0 and at most 1, not 0.0"),
    ({"values": {"y": 3}}, "values must be for scan/fc, end, not 'y'"),
    ({"values": 16}, "values must be integers from 1 to 15, as v_width = 4, not 16"),
    ({"v_width": 9}, "v_width must be an integer from 2 to 8, not 9"),
    ({"quantiser": "x"}, "quantiser must be kmeans or uniform, not 'x'"),
    ({"kmeans_init": "x"}, "kmeans_init must be exact, linear, density or random, not 'x'"),
])
def test_wrong_options_are_refused(options, message):
    with pytest.raises(CompressError, match=f"^{re.escape(message)}$"):
        compress_graph(recurrent(), STEPS, **options)


def test_calibration_is_required():
    with pytest.raises(CompressError, match="^calibration must be given for a graph, "):
        compress_graph(recurrent(), None)


def test_preprocessing_of_layers_is_refused():
    model = layers(6, 3, seed=0, preprocessing=Preprocessing(np.zeros(6), np.ones(6)))
    graph = Graph({"x": (6,)}, (Node("fc", model, ("x",)),), ("fc",))
    with pytest.raises(CompressError, match="^node 'fc': layers of a graph must have no "):
        compress_graph(graph, {"x": np.ones((1, 6))})


def test_results_that_are_not_finite_are_refused():
    model = Model((ModelLayer("a", np.full((1, 1), 1e308)),))
    graph = Graph({"x": (1,)}, (Node("fc", model, ("x",)),), ("fc",))
    with pytest.raises(CompressError, match="^node 'fc': .*results must be finite, but exceed "):
        compress_graph(graph, {"x": np.full((2, 1), 1e10)})


def test_density_is_of_the_weights_in_groups():
    rng = np.random.default_rng(7)
    weight = np.kron(np.eye(4), np.ones((2, 9))) * rng.normal(size=(8, 36))
    model = Model((ModelLayer("a", weight), ModelLayer("b", rng.normal(size=(3, 8)))),
                  Patches((4, 5, 5), (3, 3)))
    graph = Graph({"x": (4, 5, 5)}, (Node("conv", model, ("x",)),), ("conv",))
    network = compress_graph(graph, {"x": rng.normal(size=(9, 4, 5, 5))}, density=0.5, v_width=8)
    first, second = network.nodes[0].computation.layers
    assert (first.n_nonzeros, second.n_nonzeros) == (36, 12)
