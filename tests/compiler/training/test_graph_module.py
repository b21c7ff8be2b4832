import dataclasses
import json

import numpy as np
import pytest
import torch

from eie_compiler.compression.graph_layers import decompress_graph
from eie_compiler.graph.evaluation import evaluate_real
from eie_compiler.graph.graph import Graph, Node, Scan
from eie_compiler.graph.operations import Add, Affine, Clip, Reshape, Slice
from eie_compiler.model import Model, ModelLayer
from eie_compiler.patches import Patches
from eie_compiler.preprocessing import Preprocessing
from eie_compiler.training.changes import Prune, Share
from eie_compiler.training.errors import TrainingError
from eie_compiler.training.graph_module import GraphModule
from eie_hdl.config import EIEConfig
from support.c_graphs import every_operation, nested_scans
from support.graphs import random_layer, recurrent_model, residual_network, scaled_network
from support.random_graphs import random_graph


def nested_model(*, reverse=True):
    """Scans in scans, with initial states that are computed from the only input."""
    inner = decompress_graph(nested_scans()).nodes[0].computation
    return Graph({"x": (3, 4, 2)}, (
        Node("part", Slice(1, 1, 2), ("x",)), Node("rows", Slice(0, 2, 3), ("part",)),
        Node("initial", Reshape((2,)), ("rows",)),
        Node("y", Scan(inner.body, inner.states, reverse), ("x", "initial"))), ("y",))


def grouped_model(groups=2):
    """Convolution in groups, with padding of each side, and a 1 × 1 convolution after it."""
    rng = np.random.default_rng(3)
    weight = np.zeros((groups, 2, groups, 12))
    for group in range(groups):
        weight[group, :, group] = rng.normal(size=(2, 12))
    patches = Patches((2 * groups, 5, 6), (3, 2), (2, 1), (1, 2), (2, 0, 1, 1))
    model = Model((ModelLayer("a", weight.reshape(2 * groups, -1), rng.normal(size=2 * groups),
                              relu=True),
                   ModelLayer("b", rng.normal(size=(3, 2 * groups)), rng.normal(size=3))), patches)
    return Graph({"x": patches.shape}, (Node("conv", model, ("x",)),), ("conv",))


def recurrent():
    return recurrent_model(
        Node("flat", Reshape((8,)), ("last",)), Node("end", random_layer(4, 8, 3), ("flat",)),
        outputs=("end",))


MODELS = {
    "every operation": lambda: decompress_graph(every_operation()),
    "residual": lambda: decompress_graph(residual_network(EIEConfig())),
    "nested scans": nested_model, "groups": grouped_model, "recurrent": recurrent,
    "depthwise": lambda: grouped_model(1),
    "preprocessed": lambda: decompress_graph(scaled_network(EIEConfig())),
    **{f"random {seed}": lambda seed=seed: decompress_graph(random_graph(seed))
       for seed in range(8)}}

ALL = pytest.mark.parametrize("graph", [make() for make in MODELS.values()], ids=MODELS)


def inputs(graph, batch=6):
    name, = graph.inputs
    return {name: np.random.default_rng(7).uniform(-1, 1, (batch, *graph.inputs[name]))}


def flat(tensors):
    """Inputs (batch, n_inputs) of a module."""
    tensor, = tensors.values()
    return torch.tensor(tensor.reshape(len(tensor), -1), dtype=torch.float32)


@ALL
def test_all_nodes_are_those_of_the_graph_in_single_precision(graph):
    x = inputs(graph)
    module = GraphModule(graph)
    with torch.no_grad():
        computed = module.compute(flat(x))
    expected = evaluate_real(graph, x)
    assert computed.keys() == expected.keys()
    for name, tensor in expected.items():
        assert computed[name].shape == tensor.shape
        scale = max(np.abs(tensor).max(), 1)
        np.testing.assert_allclose(computed[name] / scale, tensor / scale, atol=1e-5, err_msg=name)
    output = expected[graph.outputs[0]].reshape(len(expected[graph.outputs[0]]), -1)
    scale = max(np.abs(output).max(), 1)
    np.testing.assert_allclose(module(flat(x)).detach() / scale, output / scale, atol=1e-5)
    assert (module.n_inputs, module.n_outputs) == (flat(x).shape[1], output.shape[1])


@ALL
def test_the_weights_of_the_graph_return_unchanged(graph):
    found = dict(GraphModule(graph).to_graph().walk())
    for path, node in graph.walk():
        if isinstance(node.computation, Model):
            for before, after in zip(node.computation.layers, found[path].computation.layers,
                                     strict=True):
                weight = before.weight if isinstance(before.weight, np.ndarray) \
                    else before.weight.toarray()
                np.testing.assert_array_equal(after.weight, weight.astype(np.float32))
                np.testing.assert_array_equal(after.bias, before.bias.astype(np.float32))


def test_trained_weights_are_those_of_the_graph():
    module = GraphModule(grouped_model())
    assert module.names == ["conv/a", "conv/b"]
    assert module.nodes == ["conv", "conv"]
    assert [tuple(weight().shape) for weight in module.weights] == [(4, 12), (3, 4)]
    Prune((0.5, 0.75))(module)
    Share(v_width=2, kmeans_init="exact")(module)
    with torch.no_grad():
        for bias in module.biases:
            bias += 1
    trained = module.to_graph()
    first, last = trained.nodes[0].computation.layers
    assert np.count_nonzero(first.weight) == 24
    assert not first.weight[:2, 12:24].any() and not first.weight[2:, :12].any()
    assert len(np.unique(first.weight)) == len(np.unique(last.weight)) == 4
    np.testing.assert_allclose(
        module(flat(inputs(trained))).detach(),
        evaluate_real(trained, inputs(trained))["conv"].reshape(6, -1), rtol=1e-5, atol=1e-5)


def test_gradients_of_all_parameters_are_those_of_finite_differences():
    module = GraphModule(recurrent()).double()
    names, parameters = zip(*module.named_parameters())
    x = flat(inputs(recurrent(), 2)).double()
    assert len(names) == 6
    assert torch.autograd.gradcheck(
        lambda *values: torch.func.functional_call(module, dict(zip(names, values)), (x,)),
        tuple(parameter.detach().requires_grad_() for parameter in parameters))


def test_many_inputs_are_evaluated_in_parts(monkeypatch):
    graph = grouped_model()
    module = GraphModule(graph)
    monkeypatch.setattr("eie_compiler.training.graph_module._MAX_NUMBERS", 300)
    sizes, compute = [], module._compute
    monkeypatch.setattr(module, "_compute", lambda x, parameters: sizes.append(len(x))
                        or compute(x, parameters))
    together = module(flat(inputs(graph))).detach()
    with torch.no_grad():
        apart = module(flat(inputs(graph)))
    assert sizes == [6, 2, 2, 2]
    torch.testing.assert_close(together, apart)


def affine(scale):
    return Graph({"x": (3,)}, (Node("y", Affine(scale, 0.0), ("x",)),
                               Node("fc", random_layer(2, 3, 1), ("y",))), ("fc",))


def test_the_structure_is_that_of_the_computation():
    scaled = decompress_graph(scaled_network(EIEConfig()))
    structures = [json.dumps(GraphModule(graph).structure) for graph in (
        dataclasses.replace(scaled, preprocessing={}),
        affine(np.ones(3)), affine(np.array([1, 1, 1 + 1e-9])), affine(1.0), recurrent(),
        nested_model(reverse=False),
        *(make() for name, make in MODELS.items() if name != "recurrent"))]
    assert len(set(structures)) == len(structures)
    assert json.dumps(GraphModule(affine(np.ones(3))).structure) == structures[1]


@pytest.mark.parametrize("graph, message", [
    (Graph({"a": (3,), "b": (3,)}, (Node("y", Add(), ("a", "b")),), ("y",)),
     "^graph to retrain must have one input, not a, b: retrain with PyTorch before the export$"),
    (Graph({"x": (3,)}, (Node("y", Clip(0.0, 1.0), ("x",)),), ("y",)),
     "^graph to retrain must have layers$"),
    (Graph({"x": (3,)}, (Node("fc", dataclasses.replace(
        random_layer(2, 3, 1), preprocessing=Preprocessing(np.zeros(3), np.ones(3))), ("x",)),),
        ("fc",)),
     "^node 'fc': layers of a graph must have no preprocessing: use that of the graph$")])
def test_what_does_not_fit_is_refused(graph, message):
    with pytest.raises(TrainingError, match=message):
        GraphModule(graph)


def test_dropout_is_refused():
    with pytest.raises(TrainingError, match=r"^dropout must be 0 for a graph, not 0\.5$"):
        GraphModule(recurrent())(torch.zeros(1, 30), [0.0, 0.5, 0.0])
