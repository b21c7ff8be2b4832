"""Compression of graphs with retraining in one call."""

import dataclasses

import numpy as np
import pytest

from eie_compiler.compression.graph_layers import decompress_graph
from eie_compiler.errors import CompressError
from eie_compiler.graph.evaluation import evaluate_real
from eie_compiler.graph.graph import Graph, Node
from eie_compiler.graph.operations import Clip, Reshape
from eie_compiler.model import Model, ModelLayer
from eie_compiler.patches import Patches
from eie_compiler.training import retrain_graph as module
from eie_compiler.training.data import Data, Part
from eie_compiler.training.errors import TrainingError
from eie_compiler.training.retrain_graph import choose_output, compress_graph_with_retraining
from eie_hdl.config import ConfigError
from support.graphs import random_layer, recurrent_model


def layers(rng, *sizes, patches=None):
    return Model(tuple(
        ModelLayer(f"fc{number}", rng.normal(0, (2 / n_cols) ** 0.5, (n_rows, n_cols)),
                   relu=number < len(sizes) - 1)
        for number, (n_cols, n_rows) in enumerate(zip(sizes, sizes[1:]), 1)), patches)


def convolution():
    """Convolution of an image of 2 × 4 pixels, then two layers."""
    rng = np.random.default_rng(3)
    return Graph({"x": (1, 2, 4)}, (
        Node("conv", layers(rng, 4, 8, patches=Patches((1, 2, 4), (2, 2))), ("x",)),
        Node("relu", Clip(0.0, np.inf), ("conv",)), Node("flat", Reshape((24,)), ("relu",)),
        Node("end", layers(rng, 24, 12, 4), ("flat",))), ("relu", "end"), notes=("a note",))


def sums(count, seed):
    """Sequences, and whether the sum of two numbers of all steps is positive."""
    inputs = np.random.default_rng(seed).normal(size=(count, 5, 6)).astype(np.float32)
    return Part(inputs.reshape(count, -1), (inputs[..., :2].sum(axis=(1, 2)) > 0).astype(int))


def layers_of(graph):
    return {path: node.computation.layers for path, node in graph.walk()
            if hasattr(node.computation, "layers")}


def test_a_graph_is_pruned_trained_and_shared(data):
    calls = []
    network, records = compress_graph_with_retraining(
        convolution(), data, density={"end/fc1": 0.25, "end": 0.5}, v_width=3, steps=2, epochs=4,
        rate=0.02, batch=16, progress=lambda *call: calls.append(call))
    assert [record["stage"] for record in records if "test" in record] == [
        "prune 1", "prune 2", "share"]
    assert records[-1]["densities"] == [1, 0.25, 0.5]
    assert [call for call in calls if call[1]][-1] == ("share", 12, 12)
    assert network.outputs == ("relu", "end") and network.notes == ("a note",)
    found = layers_of(network)
    assert [layer.n_nonzeros for several in found.values() for layer in several] == [32, 72, 24]
    assert all(np.count_nonzero(layer.codebook) <= 7 for several in found.values()
               for layer in several)
    # Compression keeps the weights that were trained.
    outputs = evaluate_real(decompress_graph(network), {
        "x": data.test.inputs.reshape(-1, 1, 2, 4)})["end"]
    error = float((outputs.argmax(axis=1) != data.test.targets).mean())
    assert records[-1]["test"] == pytest.approx(error, abs=0.01)
    assert error < 0.5 * records[0]["validation"]


def test_a_recurrent_graph_learns_sequences():
    data = Data(sums(600, 1), sums(100, 2), sums(200, 3))
    graph = recurrent_model(
        Node("flat", Reshape((8,)), ("last",)), Node("end", random_layer(2, 8, 3), ("flat",)),
        outputs=("scan", "end"))
    network, records = compress_graph_with_retraining(
        graph, data, density={"scan/of_h": 0.5}, steps=1, epochs=8, rate=0.02, batch=32)
    assert records[-1]["densities"] == [1, 0.5, 1]
    assert records[0]["validation"] > 0.3
    assert records[-1]["test"] < 0.15
    assert layers_of(network)["scan/of_h"][0].n_nonzeros == 32


def test_without_pruning_the_weights_are_only_shared(data, tmp_path):
    options = {"epochs": 1, "checkpoint": tmp_path / "checkpoint.npz", "resume": True}
    first, records = compress_graph_with_retraining(convolution(), data, **options)
    assert {record["stage"] for record in records} == {"share"}
    again, restored = compress_graph_with_retraining(convolution(), data, **options)
    assert restored == records
    for path, several in layers_of(first).items():
        for one, other in zip(several, layers_of(again)[path]):
            np.testing.assert_array_equal(one.codebook, other.codebook)


def test_formats_are_those_of_the_calibration(data):
    network, _ = compress_graph_with_retraining(
        convolution(), data, epochs=0, calibration={"x": np.full((2, 1, 2, 4), 100.0)})
    assert network.fracs["x"] == 8    # up to 127 in 16 bits


def test_without_calibration_the_formats_are_those_of_the_training_inputs(data):
    samples = {"x": data.train.inputs.reshape(-1, 1, 2, 4)}
    other = dataclasses.replace(data.test, inputs=100 * data.test.inputs)
    found, given = (compress_graph_with_retraining(
        convolution(), dataclasses.replace(data, validation=other, test=other), epochs=0,
        calibration=calibration).network.fracs for calibration in (None, samples))
    assert found == given
    assert found["x"] == 13    # up to 4 in 16 bits


@pytest.mark.parametrize("options, error, message", [
    ({"density": {"relu": 0.5}}, TrainingError,
     "^density must be for conv, end, end/fc1, end/fc2, not 'relu'$"),
    ({"density": 0.0}, CompressError, "^density must be above 0"),
    ({"v_width": 9}, CompressError, "^v_width must be "),
    ({"act_width": 3}, ConfigError, "^act_width must be "),
    ({"codebook_width": 2}, ConfigError, "^codebook_width must be "),
    ({"calibration": {"y": np.zeros((1, 8))}}, CompressError, "^calibration must have arrays for "),
])
def test_options_are_checked_before_training(data, monkeypatch, options, error, message):
    monkeypatch.setattr(module, "train", None)
    with pytest.raises(error, match=message):
        compress_graph_with_retraining(convolution(), data, **options)


def test_axes_of_the_data_are_those_of_the_input(data):
    options = {"epochs": 0, "v_width": 2}
    compress_graph_with_retraining(
        convolution(), dataclasses.replace(data, shape=(2, 4, 1)), **options)
    with pytest.raises(TrainingError, match=r"^inputs of the data must be of shape \(n, 1, 2, 4\)"):
        compress_graph_with_retraining(
            convolution(), dataclasses.replace(data, shape=(4, 2)), **options)


def several(*outputs):
    """Graph with outputs of these shapes, of as many numbers each."""
    n = int(np.prod(outputs[0]))
    rows = [int(np.prod(shape)) for shape in outputs]
    nodes = [Node(f"fc{number}", random_layer(count, n, number), ("x",))
             for number, count in enumerate(rows)]
    nodes += [Node(f"y{number}", Reshape(shape), (f"fc{number}",))
              for number, shape in enumerate(outputs)]
    return Graph({"x": (n,)}, tuple(nodes), tuple(node.name for node in nodes[len(rows):]))


def targets(*, classes=None, numbers=None):
    labels = np.arange(classes) if classes else np.zeros((1, numbers), np.float32)
    part = Part(np.zeros((len(labels), 3), np.float32), labels)
    return Data(part, Part(part.inputs[:0], part.targets[:0]), part)


@pytest.mark.parametrize("outputs, labels, chosen", [
    ([(8,), (4,)], {"classes": 4}, "y1"),
    ([(2, 4), (8,)], {"classes": 4}, "y1"),
    ([(3,), (1, 5, 1), (9,)], {"classes": 4}, "y1"),
    ([(2, 1), (2, 2), (1,)], {"classes": 2}, "y0"),
    ([(3,), (1,)], {"classes": 2}, "y1"),
    ([(8,), (2, 2)], {"numbers": 4}, "y1"),
])
def test_the_output_is_the_one_that_fits_the_targets(outputs, labels, chosen):
    assert choose_output(several(*outputs), targets(**labels)) == chosen


@pytest.mark.parametrize("labels, message", [
    ({"classes": 4}, "a vector of scores of 4 classes, as the data have, not 'y0' of shape "
                     r"\(2, 2\), 'y1' of shape \(3,\)"),
    ({"numbers": 5}, r"5 numbers, as the data have, not 'y0' of shape \(2, 2\), "),
])
def test_targets_of_no_output_are_refused(labels, message):
    with pytest.raises(TrainingError, match=f"^graph to retrain must have an output that is "
                                            f"{message}"):
        choose_output(several((2, 2), (3,)), targets(**labels))
