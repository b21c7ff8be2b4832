import dataclasses
import json

import numpy as np
import pytest

from eie_compiler.accuracy import LabelError
from eie_compiler.compression.graph import compress_graph
from eie_compiler.compression.graph_fidelity import measure_graph_fidelity
from eie_compiler.errors import CompressError
from eie_compiler.graph.evaluation import evaluate_real
from eie_compiler.graph.graph import Graph, Node
from eie_compiler.graph.operations import Affine, Tanh
from eie_compiler.model import Model, ModelLayer
from eie_compiler.preprocessing import Preprocessing
from eie_hdl.config import EIEConfig
from support.graphs import random_layer, recurrent_model

CONFIG = EIEConfig(v_width=8)


def recurrent():
    """Recurrent cell with two outputs: a class by the last state, and all states."""
    return recurrent_model(Node("end", random_layer(4, 8, 3), ("last",)), outputs=("end", "scan"))


SAMPLES = {"x": np.random.default_rng(4).normal(size=(300, 5, 6))}
CLASSES = evaluate_real(recurrent(), SAMPLES)["end"][:, 0].argmax(axis=1)


def measure(config=CONFIG, measured=None, **options):
    model = recurrent()
    network = compress_graph(model, SAMPLES, **{
        "v_width": config.v_width, "act_width": config.act_width} | options)
    return measure_graph_fidelity(model, network, config, SAMPLES, **measured or {})


def nodes(check):
    return {node["path"]: node for node in check["nodes"]}


def test_all_outputs_and_nodes_are_compared_with_the_model():
    check = measure(measured={"labels": CLASSES})
    assert (check["verdict"], check["cause"], check["output"]) == ("good", None, "end")
    assert check["labels"] == {"model": 1, "network": check["agreement"], "judge": True,
                               "constant": np.bincount(CLASSES).max() / 300}
    end, scan = check["outputs"]
    assert (end["name"], end["shape"], end["r2"]) == ("end", [1, 4], None)
    assert (scan["name"], scan["shape"], scan["agreement"]) == ("scan", [5, 8], None)
    assert end["agreement"] > 0.99 < scan["r2"] < 1
    assert list(nodes(check)) == ["x", "scan/of_x", "scan/of_h", "scan/sum", "scan/new", "last",
                                  "end"]
    for node in check["nodes"]:
        assert 0 < node["error"] < 1e-3 > node["rounding_error"] > 0
        assert node["saturated"] == 0
    assert nodes(check)["scan/sum"]["elements"] == 300 * 5 * 8
    json.dumps(check, allow_nan=False)


def test_errors_are_those_of_the_results_of_the_machine():
    check = measure(EIEConfig(v_width=2))
    assert nodes(check)["x"]["error"] == nodes(check)["x"]["rounding_error"] < 1e-3
    assert 0.05 < nodes(check)["scan/of_h"]["error"] < 0.9
    assert nodes(check)["end"]["rounding_error"] < 1e-2 < nodes(check)["end"]["error"]


@pytest.mark.parametrize("config, options, cause", [
    (EIEConfig(v_width=8), {"values": 1}, "sharing"),
    (EIEConfig(v_width=8, act_width=4), {}, "arithmetic"),
    (EIEConfig(v_width=8), {"density": 0.05}, "pruning"),
])
def test_the_worst_step_is_the_cause(config, options, cause):
    check = measure(config, {"labels": CLASSES, "pruned": "density" in options}, **options)
    assert (check["verdict"], check["cause"]) == ("bad", cause)
    assert [step["step"] for step in check["steps"]] == [
        "model", *(["pruning"] if "density" in options else []), "sharing", "arithmetic"]


def test_retrained_graphs_are_judged_by_labels_of_the_first_output():
    labels = (CLASSES + 1) % 4    # which the model was not trained for
    check = measure(measured={"labels": CLASSES, "retrained": True, "pruned": True}, values=1)
    assert [step["step"] for step in check["steps"]] == ["model", "retraining", "arithmetic"]
    assert check["cause"] == "retraining"
    assert [output["name"] for output in check["outputs"]] == ["end"]
    assert all(node["error"] is None and node["rounding_error"] > 0 for node in check["nodes"])
    check = measure(measured={"labels": labels, "retrained": True})
    assert check["labels"]["judge"] and check["verdict"] == "bad"
    assert not measure(measured={"labels": labels})["labels"]["judge"]


def test_a_scaler_of_inputs_of_different_magnitudes_is_the_cause():
    scale = np.array([1e-5, 1e-2, 10.0])
    rng = np.random.default_rng(6)
    samples = {"x": rng.normal(size=(200, 3)) / scale}
    model = Graph({"x": (3,)}, (Node("scaled", Affine(scale, 0.0), ("x",)),
                                Node("squashed", Tanh(), ("scaled",)),
                                Node("end", random_layer(4, 3, 5), ("squashed",))), ("end",))
    network = compress_graph(model, samples, v_width=8)
    check = measure_graph_fidelity(model, network, CONFIG, samples)
    assert check["verdict"] != "good" and check["cause"] == "scaler"
    # The same with inputs that are scaled already.
    even = Graph({"x": (3,)}, (Node("scaled", Affine(np.ones(3), 0.0), ("x",)), *model.nodes[1:]),
                 ("end",))
    samples = {"x": samples["x"] * scale}
    network = compress_graph(even, samples, v_width=8)
    assert measure_graph_fidelity(even, network, CONFIG, samples)["verdict"] == "good"


def test_preprocessed_inputs_cost_no_more_than_scaled_ones():
    scaler = Preprocessing(np.array([-3e3, 0.5, 40.0]), np.array([1e-4, 3.0, 1e3]))
    scaled = np.random.default_rng(6).normal(size=(200, 3))
    after = Graph({"x": (3,)}, (Node("squashed", Tanh(), ("x",)),
                                Node("end", random_layer(4, 3, 5), ("squashed",))), ("end",))
    before = dataclasses.replace(after, preprocessing={"x": scaler})
    errors = []
    for model, x in ((after, scaled), (before, scaled / scaler.scale + scaler.offset)):
        network = compress_graph(model, {"x": x}, v_width=8)
        check = measure_graph_fidelity(model, network, CONFIG, {"x": x})
        assert check["verdict"] == "good"
        errors.append([nodes(check)[path]["rounding_error"] for path in ("x", "end")])
    assert network.preprocessing == {"x": scaler}
    np.testing.assert_allclose(errors[1], errors[0], rtol=0.1)
    # Others saturate, which is counted.
    check = measure_graph_fidelity(before, network, CONFIG, {"x": x * 1e6})
    assert nodes(check)["x"]["saturated"] > 100


def test_the_worst_output_decides():
    body = Graph({"x": (2,)}, (Node("a", Model((ModelLayer("fc", np.eye(2)),)), ("x",)),
                               Node("b", random_layer(6, 2, 1), ("x",))), ("a", "b"))
    x = {"x": np.random.default_rng(2).normal(size=(200, 2))}
    network = compress_graph(body, x, v_width=2, values=1)
    check = measure_graph_fidelity(body, network, CONFIG, x)
    assert check["outputs"][0]["verdict"] == "good"
    assert check["output"] == "b"
    assert check["verdict"] == check["outputs"][1]["verdict"] == "bad"


def test_numbers_beyond_the_formats_are_counted():
    model = recurrent()
    network = compress_graph(model, {"x": SAMPLES["x"] / 8}, v_width=8)
    check = measure_graph_fidelity(model, network, CONFIG, SAMPLES)
    found = {path: node["saturated"] for path, node in nodes(check).items()}
    assert found["x"] == (np.abs(SAMPLES["x"] * 2.0 ** network.fracs["x"]) > 32767.4).sum() > 0
    assert found["scan/of_x"] > 0


def test_a_machine_without_a_format_is_bad():
    # The sum of great numbers is small, so that it has more fraction bits than they have.
    model = Graph({"x": (2,)}, (Node("fc", Model((ModelLayer("a", np.array([[7.0, -7]])),)),
                                     ("x",)),), ("fc",))
    x = {"x": np.random.default_rng(5).normal(size=(9, 1)) * 1000 + [[0, 0.001]]}
    network = compress_graph(model, x)
    narrow = EIEConfig(codebook_width=4, acc_width=20)
    check = measure_graph_fidelity(model, network, narrow, x)
    assert (check["verdict"], check["cause"]) == ("bad", "format")
    assert check["reason"].startswith("node 'fc': layer 'a': some codebook scale must fit")


@pytest.mark.parametrize("labels, task, message", [
    (CLASSES[:5], None, "labels must be 300, one for each input, not int64 of shape"),
    (CLASSES + 9, None, "labels must be classes from 0 to 3, the positions of the outputs, not 9"),
    (None, "cheese", "task must be classification or regression, not 'cheese'"),
])
def test_labels_must_fit_the_first_output(labels, task, message):
    with pytest.raises(LabelError, match=message):
        measure(measured={"labels": labels, "task": task})


def test_samples_must_fit_the_inputs():
    model = recurrent()
    network = compress_graph(model, SAMPLES)
    with pytest.raises(CompressError, match="^calibration must be numbers of shape "):
        measure_graph_fidelity(model, network, CONFIG, {"x": np.ones((3, 5))})
