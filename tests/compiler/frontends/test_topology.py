"""Deep Compression streams with the topology of their network."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from eie_compiler.compression.compress import compress
from eie_compiler.frontends import FrontEndError, read_model
from eie_compiler.frontends.topology import read_topology
from eie_compiler.graph.evaluation import evaluate_real
from eie_compiler.graph.operations.arrangement import Concat, Reshape
from eie_compiler.graph.operations.pooling import MaxPool, Mean
from support.streams import random_layer, stream_of, weights_of

#: A fire module between two convolutions, as in SqueezeNet, and two linear layers.
LAYERS = [
    {"name": "conv1", "kind": "conv", "inputs": ["data"], "shape": [6, 3, 3, 3], "stride": 2,
     "pad": 1, "relu": True, "output_shape": [6, 8, 7]},
    {"name": "pool1", "kind": "maxpool", "inputs": ["conv1"], "kernel": 3, "stride": 2, "pad": 0,
     "ceil_mode": True, "output_shape": [6, 4, 3]},
    {"name": "fire/conv_squeeze", "kind": "conv", "inputs": ["pool1"], "shape": [4, 6, 1, 1],
     "relu": True},
    {"name": "fire/conv1x1", "kind": "conv", "inputs": ["fire/conv_squeeze"], "shape": [5, 4, 1, 1],
     "relu": True},
    {"name": "fire/conv3x3", "kind": "conv", "inputs": ["fire/conv_squeeze"], "shape": [6, 2, 3, 3],
     "pad": 1, "groups": 2, "relu": True},
    {"name": "fire/concat", "kind": "concat", "inputs": ["fire/conv1x1", "fire/conv3x3"],
     "axis": "channels", "output_shape": [11, 4, 3]},
    {"name": "conv2", "kind": "conv", "inputs": ["fire/concat"], "shape": [7, 11, 1, 1], "pad": 1,
     "relu": True},
    {"name": "conv3", "kind": "conv", "inputs": ["conv2"], "shape": [8, 7, 1, 1]},
    {"name": "pool", "kind": "avgpool", "inputs": ["conv3"], "kernel": 2, "stride": 2},
    {"name": "fc1", "kind": "fc", "inputs": ["pool"], "shape": [9, 48], "relu": True},
    {"name": "fc2", "kind": "fc", "inputs": ["fc1"], "shape": [3, 9]},
    {"name": "prob", "kind": "softmax", "inputs": ["fc2"], "output_shape": [3]},
]
SOURCE = {"name": "data", "shape": [3, 15, 14], "mean": [1, 2, 3]}


def parts_of(layers):
    rng = np.random.default_rng(3)
    return [random_layer(rng, layer["name"], tuple(layer["shape"]), 0.5) for layer in layers
            if isinstance(layer, dict) and "shape" in layer]


@pytest.fixture
def read(tmp_path):
    """Read layers with random weights, and an input."""
    def read(layers, source=SOURCE, **fields):
        (tmp_path / "net.bin").write_bytes(stream_of(parts_of(layers)))
        (tmp_path / "net.json").write_text(
            json.dumps({"input": source, "layers": layers, **fields}), encoding="utf-8")
        return read_topology(tmp_path / "net.bin", topology=tmp_path / "net.json")
    return read


def test_a_network_computes_what_pytorch_computes(read):
    torch = pytest.importorskip("torch")
    graph = read(LAYERS)
    images = np.random.default_rng(4).normal(size=(2, 3, 15, 14))
    x = torch.from_numpy(images)
    weights = {part[0]: (torch.from_numpy(weights_of(part)), torch.tensor(part[3]).double())
               for part in parts_of(LAYERS)}
    f = torch.nn.functional
    x = f.conv2d(x, *weights["conv1"], 2, 1).relu()
    x = f.max_pool2d(x, 3, 2, ceil_mode=True)
    x = f.conv2d(x, *weights["fire/conv_squeeze"]).relu()
    x = torch.cat([f.conv2d(x, *weights["fire/conv1x1"]),
                   f.conv2d(x, *weights["fire/conv3x3"], padding=1, groups=2)], 1).relu()
    x = f.conv2d(x, *weights["conv2"], padding=1).relu()
    x = f.avg_pool2d(f.conv2d(x, *weights["conv3"]), 2, 2).flatten(1)
    expected = f.linear(f.linear(x, *weights["fc1"]).relu(), *weights["fc2"])
    assert graph.outputs == ("fc2",)
    np.testing.assert_allclose(evaluate_real(graph, {"data": images})["fc2"], expected, atol=1e-12)


def test_a_topology_chooses_the_front_end(read, tmp_path):
    expected = read(LAYERS)
    graph = read_model(tmp_path / "net.bin", topology=tmp_path / "net.json")
    assert graph.shapes == expected.shapes and graph.outputs == expected.outputs
    with pytest.raises(FrontEndError, match="options for this format must be topology=, not "
                                            "image="):
        read_model(tmp_path / "net.bin", topology=tmp_path / "net.json", image=(3, 15, 14))


def test_layers_that_alone_follow_others_are_of_one_node(read):
    graph = read(LAYERS)
    assert [node.name for node in graph.nodes] == [
        "conv1", "pool1", "fire.conv_squeeze", "fire.conv1x1", "fire.conv3x3", "fire.concat",
        "conv2", "pool", "fc1.input", "fc2"]
    layers = {node.name: [layer.name for layer in node.computation.layers]
              for node in graph.nodes if hasattr(node.computation, "layers")}
    assert layers["conv2"] == ["conv2", "conv3"] and layers["fc2"] == ["fc1", "fc2"]
    assert layers["fire.conv1x1"] == ["fire.conv1x1"]    # the other branch reads its operand, too


def test_what_is_assumed_is_noted(read):
    assert read(LAYERS).notes == (
        "the input is that after the mean [1, 2, 3] is subtracted",
        "'prob', a softmax, is left out: the order of the results does not depend on it")


@pytest.mark.parametrize("size, kernel, stride, pad, ceil, expected", [
    (111, 3, 2, 0, True, 0), (8, 3, 2, 0, True, 1), (8, 3, 2, 0, False, 0),
    (7, 2, 2, 1, True, 1),    # a further window would begin in the padding
    (5, 1, 3, 0, True, 0), (6, 2, 3, 0, True, 0)])
def test_pooling_in_ceil_mode_extends_beyond_the_image(read, size, kernel, stride, pad, ceil,
                                                       expected):
    torch = pytest.importorskip("torch")
    conv = {"name": "conv", "kind": "conv", "inputs": ["data"], "shape": [1, 1, 1, 1]}
    pool = {"name": "pool", "kind": "maxpool", "inputs": ["conv"], "kernel": kernel,
            "stride": stride, "pad": pad, "ceil_mode": ceil}
    graph = read([conv, pool], {"name": "data", "shape": [1, size, size]})
    assert graph.nodes[1].computation == MaxPool((kernel,) * 2, (stride,) * 2,
                                                 (pad, pad, expected, expected))
    there = torch.nn.functional.max_pool2d(torch.zeros(1, 1, size, size), kernel, stride, pad,
                                           ceil_mode=ceil)
    assert graph.shapes["pool"] == there.shape[1:]


def test_the_last_global_pooling_gives_a_vector(read):
    conv = {"name": "conv", "kind": "conv", "inputs": ["data"], "shape": [4, 3, 1, 1]}
    pool = {"name": "pool", "kind": "avgpool", "inputs": ["conv"], "kernel": "global",
            "output_shape": [4, 1, 1]}
    graph = read([conv, pool])
    assert graph.nodes[1].computation == Mean((1, 2), False) and graph.shapes["pool"] == (4,)
    graph = read([conv, pool, {**conv, "name": "conv2", "inputs": ["pool"], "shape": [2, 4, 1, 1]}])
    assert graph.nodes[1].computation == Mean((1, 2), True) and graph.shapes["conv2"] == (2, 1, 1)


def test_the_operations_are_those_of_graphs(read):
    kinds = {node.name: node.computation for node in read(LAYERS).nodes}
    assert kinds["fire.concat"] == Concat(0) and kinds["fc1.input"] == Reshape((48,))


def test_compression_with_codes_of_8_bits_keeps_the_weights(read):
    node = read(LAYERS).nodes[0]
    (layer,) = compress(node.computation, v_width=8).layers
    np.testing.assert_array_equal(layer.codebook[layer.codes.toarray()],
                                  weights_of(parts_of(LAYERS)[0]).reshape(6, -1))


def change(number, **fields):
    layers = [dict(layer) for layer in LAYERS]
    layers[number] |= fields
    return layers


@pytest.mark.parametrize("layers, message", [
    (change(0, kind="lrn"), "layers[0] must be an object whose kind is conv, fc, maxpool, avgpool, "
                            "concat, softmax, not 'lrn'"),
    ([*LAYERS, 5], "layers[12] must be an object whose kind is"),
    (change(1, size=4), "layers[1] must be an object with the fields name, kind, inputs, kernel, "
                        "stride, not"),
    (change(1, pad="1"), "layers[1].pad must be an integer, not '1'"),
    (change(1, inputs=[]), "layers[1].inputs must be one or more names"),
    (change(1, inputs=["conv1", "data"]), "layers[1].inputs must be one name, not 2"),
    (change(1, name="conv1"), "names of 12 layers must be unique, not 11 names"),
    ([*LAYERS, {**LAYERS[3], "name": "fire.conv1x1"}],
     "layer 'fire.conv1x1': name must be unique, not 'fire.conv1x1'"),
    (change(1, name="..\n"), "layer '..\\n': name must be printable text without slashes"),
    (change(1, inputs=["conv2"]), "layer 'pool1': inputs must be 'data' or layers before this one, "
                                  "not 'conv2'"),
    (change(1, pad=3), "layer 'pool1': pooling must have a kernel and a stride from 1, and a pad "
                       "below the kernel, not 3, 2 and 3"),
    (change(1, kernel=9), "layer 'pool1': kernel must fit the image with its padding, of 8 pixels, "
                          "not be 9"),
    (change(1, output_shape=[6, 3, 3]), "layer 'pool1': output_shape must be [6, 4, 3], as "
                                        "computed, not [6, 3, 3]"),
    (change(2, inputs=["data"]), "layer 'fire/conv_squeeze': layer 'fire.conv_squeeze': weight "
                                 "must have"),
    (change(0, stride=0), "layer 'conv1': stride must be an integer from 1, not 0"),
    (change(0, shape=[6, 27]), "layer 'conv1': shape must be (outputs, channels, height, width) of "
                               "a conv, (outputs, inputs) of an fc, not (6, 27)"),
    (change(5, axis="height"), "layer 'fire/concat': axis must be channels, not 'height'"),
    (change(5, inputs=["fire/conv1x1", "conv1"]), "layer 'fire/concat': "),
    (change(9, inputs=["fc2"]), "layer 'fc1': inputs must be 'data' or layers before this one"),
    (change(11, inputs=["fc1"]), "layer 'prob': softmax must be at the end, and alone after its "
                                 "operand"),
])
def test_wrong_topologies_are_refused(read, layers, message):
    with pytest.raises(FrontEndError, match=f"net.json: {re.escape(message)}"):
        read(layers)


@pytest.mark.parametrize("source", [{"shape": [3, 4, 5]}, {"name": "data"},
                                    {"name": "data", "shape": [3, 0, 5]},
                                    {"name": "data", "shape": [3, 5]}])
def test_a_wrong_input_is_refused(read, source):
    with pytest.raises(FrontEndError, match="input must have a name and the shape"):
        read(LAYERS, source)


def test_a_convolution_of_vectors_is_refused(read):
    layers = [{"name": "conv", "kind": "conv", "inputs": ["data"], "shape": [4, 3, 1, 1]}]
    with pytest.raises(FrontEndError, match="layer 'conv': conv must follow images, not vectors"):
        read(layers, {"name": "data", "shape": [3]})


def test_the_stream_must_be_that_of_the_topology(read, tmp_path):
    read(LAYERS)
    (tmp_path / "net.bin").write_bytes(stream_of(parts_of(LAYERS)[:-1]))
    with pytest.raises(FrontEndError, match="layer 'conv1': offset"):
        read_topology(tmp_path / "net.bin", topology=tmp_path / "net.json")
    (tmp_path / "net.json").write_text("{", encoding="utf-8")
    with pytest.raises(FrontEndError, match="net.json: must be JSON in UTF-8"):
        read_topology(tmp_path / "net.bin", topology=tmp_path / "net.json")


SQUEEZENET = Path(__file__).parents[4] / "shared/data/squeezenet"


@pytest.mark.skipif(not SQUEEZENET.exists(), reason="needs squeezenet in ../shared/data")
def test_squeezenet_gives_the_stored_logits():
    graph = read_topology(SQUEEZENET / "compressed_SqueezeNet.net",
                          topology=SQUEEZENET / "network.json")
    with np.load(SQUEEZENET / "pictures.npz", allow_pickle=False) as file:
        picture, logits = file["pictures"][:1].astype(np.float64), file["logits"][:1]
    picture -= np.reshape([104, 117, 123], (3, 1, 1))
    np.testing.assert_allclose(evaluate_real(graph, {"data": picture})["pool_final"], logits,
                               atol=2e-5)
