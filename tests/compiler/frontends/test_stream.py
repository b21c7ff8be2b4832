"""Streams of codes and runs with their shapes."""

import re
import struct

import numpy as np
import pytest

from eie_compiler.compression.compress import compress
from eie_compiler.frontends import FrontEndError, read_model
from eie_compiler.frontends.stream import LayerShape, read_parts
from eie_compiler.patches import Patches
from support.streams import entries_of, random_layer, stream_of, weights_of


@pytest.mark.parametrize("density", [0.02, 0.1, 0.6, 1.0])
@pytest.mark.parametrize("name", ["conv1", "fc6"])
def test_every_weight_comes_back(name, density):
    rng = np.random.default_rng(round(100 * density))
    layer = random_layer(rng, name, (13, 27), density)
    part = read_parts(stream_of([layer]), {name: LayerShape((13, 27))})[name]
    np.testing.assert_array_equal(part.weight.toarray(), weights_of(layer))
    np.testing.assert_array_equal(part.bias, layer[3])


def test_runs_continue_in_the_next_row_and_a_padding_skips_sixteen_weights():
    codes = np.zeros((3, 20), int)
    codes[0, 1], codes[1, 18], codes[2, 2] = 1, 2, 3
    assert entries_of(codes.ravel().tolist()) == [(1, 1), (0, 15), (0, 15), (2, 4), (3, 3),
                                                   (0, 15)]
    layer = ("fc", codes, np.arange(16.0).tolist(), [0.0] * 3)
    part = read_parts(stream_of([layer]), {"fc": LayerShape((3, 20))})["fc"]
    np.testing.assert_array_equal(part.weight.toarray(), codes)


def test_bytes_are_at_the_places_of_the_format():
    content = bytes.fromhex("03000000") + struct.pack("<16f", *range(16)) + struct.pack("<f", 0.5) \
        + bytes([0x21, 0x03]) + bytes([0x50, 0x01])
    part = read_parts(content, {"ip1": LayerShape((1, 10))})["ip1"]
    assert part.weight.toarray().tolist() == [[1, 0, 0, 0, 0, 0, 2, 0, 3, 0]]
    assert part.bias.tolist() == [0.5]


def test_a_layer_may_be_empty():
    content = struct.pack("<I16f2f", 0, *range(16), 1, 2)
    part = read_parts(content, {"fc": LayerShape((2, 5))})["fc"]
    assert part.weight.shape == (2, 5) and part.weight.nnz == 0


@pytest.fixture
def alexnet(tmp_path):
    """Files of a small AlexNet-like network and of its shapes, and its layers."""
    rng = np.random.default_rng(7)
    layers = [random_layer(rng, "conv1", (6, 3, 5, 5), 0.8),
              random_layer(rng, "conv2", (4, 3, 1, 1), 0.7),    # two groups
              random_layer(rng, "fc6", (16, 36), 0.1),
              random_layer(rng, "fc7", (8, 16), 0.2)]
    (tmp_path / "alexnet.bin").write_bytes(stream_of(layers))
    (tmp_path / "shapes.toml").write_text("""
        conv1.shape = [6, 3, 5, 5]
        conv1.stride = 2
        conv1.padding = 1
        conv2 = {shape = [4, 3, 1, 1], groups = 2}
        fc6.shape = [16, 36]
        fc7.shape = [8, 16]
        """, encoding="utf-8")
    return tmp_path / "alexnet.bin", tmp_path / "shapes.toml", layers


def test_fully_connected_layers_make_a_model(alexnet):
    path, shapes, (*_, fc6, fc7) = alexnet
    model = read_model(path, shapes=shapes, layers=["fc6", "fc7"])
    x = np.random.default_rng(8).normal(size=(3, 36))
    hidden = np.maximum(x @ weights_of(fc6).T + fc6[3], 0)
    np.testing.assert_allclose(model(x), hidden @ weights_of(fc7).T + fc7[3])


def test_convolutions_make_a_model(alexnet):
    torch = pytest.importorskip("torch")
    path, shapes, (conv1, conv2, *_) = alexnet
    model = read_model(path, shapes=shapes, layers=["conv1", "conv2"], image=(3, 12, 11))
    assert model.patches == Patches((3, 12, 11), (5, 5), stride=(2, 2), padding=(1, 1, 1, 1))
    images = np.random.default_rng(9).normal(size=(2, 3, 12, 11))
    weights = [torch.from_numpy(weights_of(layer)) for layer in (conv1, conv2)]
    biases = [torch.tensor(layer[3], dtype=torch.float64) for layer in (conv1, conv2)]
    hidden = torch.conv2d(torch.from_numpy(images), weights[0], biases[0], 2, 1).relu()
    expected = torch.conv2d(hidden, weights[1], biases[1], groups=2)
    np.testing.assert_allclose(model.patches.join(model(model.patches.cut(images))), expected)


def test_compression_keeps_the_weights_of_a_stream(alexnet):
    path, shapes, (*_, fc6, fc7) = alexnet
    network = compress(read_model(path, shapes=shapes, layers=["fc6", "fc7"]), v_width=4)
    for layer, expected in zip(network.layers, (fc6, fc7)):
        np.testing.assert_array_equal(layer.codebook[layer.codes.toarray()], weights_of(expected))


def test_layers_that_do_not_follow_one_another_are_refused(alexnet):
    path, shapes, _ = alexnet
    with pytest.raises(FrontEndError, match=r"alexnet\.bin: layer 'conv1': shape of the image "
                                            r"must be known: give image=C,H,W, its channels, "
                                            r"height and width"):
        read_model(path, shapes=shapes)
    with pytest.raises(FrontEndError, match=(
            "layer 'fc6': linear layer must not follow vectors along another axis, such as the "
            "channels of a convolution, without a Flatten; choose layers with layers=NAMES")):
        read_model(path, shapes=shapes, image=(3, 12, 12))
    with pytest.raises(FrontEndError, match="^.*layers must be among conv1, conv2, fc6, fc7, not "
                                            "fc8$"):
        read_model(path, shapes=shapes, layers=["fc8"])


CODEBOOK = struct.pack("<16f", *range(16))
BIAS = struct.pack("<f", 0.5)


@pytest.mark.parametrize("content, message", [
    (b"\0\0\0", "offset 0: counts must have 4 bytes, not the 3 left: check the shapes of this "
                "layer and of those before"),
    (b"\3\0\0\0" + CODEBOOK[:-1], "layer 'fc': offset 4: codebook must have 64 bytes, not the 63"),
    (b"\3\0\0\0" + CODEBOOK + b"\0\0", "layer 'fc': offset 68: bias must have 4 bytes, not the 2"),
    (b"\3\0\0\0" + CODEBOOK + BIAS + b"\1", "layer 'fc': offset 72: codes must have 2 bytes, not"),
    (b"\3\0\0\0" + CODEBOOK + BIAS + b"\1\1\1", "layer 'fc': offset 74: runs must have 2 bytes"),
    (b"\xff\xff\xff\xff" + CODEBOOK + BIAS + b"\1\1\0\0",
     "layer 'fc': offset 72: codes must have 2147483648 bytes, not the 4 left"),
    (b"\3\0\0\0" + CODEBOOK + BIAS + b"\1\1\0\0\0\0", "offset 76: stream must end after the last "
                                                      "layer, but 2 bytes are left: check the "
                                                      "shapes"),
    (b"\3\0\0\0" + CODEBOOK + BIAS + b"\1\x51\0\0", "layer 'fc': offset 73: high half of the "
                                                    "last byte of the codes must be 0, not 5, as "
                                                    "the count is odd"),
    (b"\3\0\0\0" + CODEBOOK + BIAS + b"\1\1\0\x50", "layer 'fc': offset 75: high half of the "
                                                    "last byte of the runs must be 0, not 5, as "
                                                    "the count is odd"),
    (b"\3\0\0\0" + CODEBOOK + BIAS + b"\1\1\x52\2", "layer 'fc': offset 75: runs must end within "
                                                    "the 10 weights, but entry 2 is at weight 11"),
    (b"\3\0\0\0" + CODEBOOK + struct.pack("<f", np.nan) + b"\1\1\0\0",
     "layer 'fc': offset 68: bias must be finite, not nan"),
    (b"\3\0\0\0" + CODEBOOK[:8] + struct.pack("<f", np.inf) + CODEBOOK[12:] + BIAS + b"\1\1\0\0",
     "layer 'fc': offset 12: codebook must be finite, not inf"),
    (b"\3\0\0\0" + CODEBOOK[4:] + b"\0\0\0\0" + BIAS + b"\1\1\0\0",
     "layer 'fc': offset 4: first entry of the codebook must be 0, the weight of entries not "
     "stored, not 1.0"),
])
def test_malformed_streams_are_refused_with_the_offset(content, message):
    with pytest.raises(FrontEndError, match=f"^{re.escape(message)}"):
        read_parts(content, {"fc": LayerShape((1, 10))})


def test_the_smallest_valid_stream_is_accepted():
    part = read_parts(b"\3\0\0\0" + CODEBOOK + BIAS + b"\x11\1\0\0", {"fc": LayerShape((1, 10))})
    assert part["fc"].weight.toarray().tolist() == [[1, 1, 1] + [0] * 7]


def test_a_stream_without_shapes_is_refused():
    with pytest.raises(FrontEndError, match="^shapes must describe one or more layers$"):
        read_parts(b"", {})


@pytest.mark.parametrize("text, message", [
    ("fc6.shape = [", "must be TOML: "),
    ("fc6 = [4, 5]", "layer 'fc6': must have a shape and no fields but shape, stride, padding, "
                     "groups"),
    ("fc6.stride = 5", "layer 'fc6': must have a shape and no fields but"),
    ("fc6 = {shape = [4, 5], size = 4}", "layer 'fc6': must have a shape and no fields but"),
    ("fc6.shape = 4", "layer 'fc6': shape must be (outputs, inputs) or (outputs, channels, height, "
     "width), not 4"),
    ("fc6.shape = [4, 0]", "layer 'fc6': shape must be (outputs, inputs)"),
    ("fc6 = {shape = [4, 5], stride = 0}", "layer 'fc6': stride must be an integer from 1, not 0"),
    ("fc6 = {shape = [4, 5], padding = -1}", "layer 'fc6': padding must be an integer from 0, "
                                             "not -1"),
    ("fc6.shape = [4, 2000000000]", "layer 'fc6': shape must give at most 16777216 inputs, not "
                                    "2000000000"),
])
def test_wrong_files_of_shapes_are_refused(tmp_path, text, message):
    (tmp_path / "net.bin").write_bytes(b"")
    (tmp_path / "shapes.toml").write_text(text, encoding="utf-8")
    place = f"{tmp_path / 'net.bin'}: {tmp_path / 'shapes.toml'}"
    with pytest.raises(FrontEndError, match=f"^{re.escape(f'{place}: {message}')}"):
        read_model(tmp_path / "net.bin", shapes=tmp_path / "shapes.toml")
