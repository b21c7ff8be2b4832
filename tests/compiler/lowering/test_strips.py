"""Strips of convolutions: the results of single pixels, bit for bit."""

import dataclasses
import re

import numpy as np
import pytest

from eie_compiler.errors import CompileError
from eie_compiler.graph.graph import Graph, Node, Scan
from eie_compiler.lowering.arithmetic import IntegerNetwork
from eie_compiler.lowering.compile import compile_network
from eie_compiler.lowering.fixed_point import choose_formats
from eie_compiler.lowering.strips import make_strips, set_strips
from eie_compiler.patches import Patches
from eie_compiler.preprocessing import Preprocessing
from eie_compiler.random_networks import random_network
from eie_hdl.config import PRESETS
from eie_sim.inference import infer, shape_output
from support.graphs import residual_network

TINY = PRESETS["tiny"]


def convolution(seed, **geometry):
    """Convolution of 3 channels with two 1 × 1 convolutions after it."""
    rng = np.random.default_rng(seed)
    patches = Patches((3, 5, 9), **geometry)
    network = random_network(rng, [patches.n_inputs, 6, 4, 5], density=0.4, v_width=TINY.v_width,
                             frac=3)
    return dataclasses.replace(network, patches=patches)


def images_of(network, seed=7):
    return np.random.default_rng(seed).integers(-60, 60, (2, *network.patches.shape))


def run_integer(network, images):
    words = network.patches.cut(images)
    for layer in IntegerNetwork(network, TINY).layers:
        words = layer(words)
    return network.patches.join(words)


def run_golden(network, images):
    build = compile_network(network, TINY)
    result = infer(build, images, words=True, engine="golden")
    return shape_output(build, result.outputs[0])


@pytest.mark.parametrize("geometry", [
    {"kernel": (3, 3), "padding": (1, 1, 1, 1)},
    {"kernel": (2, 3), "stride": (2, 2), "padding": (1, 1, 0, 2)},
    {"kernel": (2, 2), "dilation": (1, 3)},
    {"kernel": (1, 1), "stride": (1, 2)},
])
@pytest.mark.parametrize("n_pixels", [2, 4])
def test_strips_have_the_results_of_single_pixels(geometry, n_pixels):
    network = convolution(3, **geometry)
    strips = make_strips(network, n_pixels)
    images = images_of(network)
    expected = run_integer(network, images)
    assert len(np.unique(expected)) > 20
    np.testing.assert_array_equal(run_integer(strips, images), expected)
    np.testing.assert_array_equal(run_golden(strips, images), expected)


def test_strips_have_the_formats_of_single_pixels():
    network = convolution(4, kernel=(3, 3))
    for single, strip in zip(choose_formats(TINY, network),
                             choose_formats(TINY, make_strips(network, 3)), strict=True):
        for field in dataclasses.fields(single):
            expected = getattr(single, field.name)
            if field.name == "bias":
                expected = np.tile(expected, 3)
            np.testing.assert_array_equal(getattr(strip, field.name), expected)


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_a_changed_weight_of_one_pixel_is_noticed(layer):
    network = convolution(5, kernel=(2, 2))
    images, strips = images_of(network), make_strips(network, 2)
    codes = strips.layers[layer].codes.copy()
    at = np.flatnonzero(codes.indices >= codes.shape[0] // 2)[1]    # of the second pixel
    codes.data[at] = codes.data[at] % (len(network.layers[layer].codebook) - 1) + 1
    layers = list(strips.layers)
    layers[layer] = dataclasses.replace(layers[layer], codes=codes)
    changed = run_integer(dataclasses.replace(strips, layers=tuple(layers)), images)
    differs = changed != run_integer(network, images)
    assert differs[..., 1::2].any() and not differs[..., ::2].any()


def test_a_strip_has_each_weight_once_for_each_pixel_and_shared_inputs_once():
    network = convolution(6, kernel=(3, 3), padding=(1, 1, 1, 1))
    strips = make_strips(network, 4)
    assert [layer.codes.shape for layer in strips.layers] == [
        (4 * 6, 3 * 3 * (3 + 3)), (4 * 4, 4 * 6), (4 * 5, 4 * 4)]
    assert [layer.n_nonzeros for layer in strips.layers] == [
        4 * layer.n_nonzeros for layer in network.layers]
    assert (strips.patches.n_patches, network.patches.n_patches) == (5 * 3, 5 * 9)


def test_nodes_of_a_graph_and_of_its_scans_become_strips():
    body = residual_network(TINY)
    scan = Scan(dataclasses.replace(body, outputs=("fc",)), ())
    graph = Graph({"images": (2, 2, 6, 6)}, (Node("scan", scan, ("images",)),), ("scan",),
                  {"images": 4, "scan": 4})
    strips = set_strips(graph, {"scan/conv2": 3})
    assert strips.shapes == graph.shapes
    nodes = {path: node.computation for path, node in strips.walk()}
    assert nodes["scan/conv1"].patches.pixels == 1
    assert nodes["scan/conv2"].patches.pixels == 3
    assert nodes["scan"].body.shapes == body.shapes


NETWORK = convolution(1, kernel=(2, 2))


@pytest.mark.parametrize("network, n_pixels, message", [
    (dataclasses.replace(NETWORK, patches=None), 2,
     "strips must be of a convolution, not of fully connected layers"),
    (make_strips(NETWORK, 2), 2, "strips must be of single pixels, not of strips"),
    (dataclasses.replace(NETWORK, preprocessing=Preprocessing(np.zeros(12), np.ones(12))), 2,
     "strips must be of a network without preprocessing, which is of the elements of a patch: "
     "remove it, or use no strips"),
    (NETWORK, 9, "pixels must be an integer from 1 to 8, the width of the result, not 9"),
])
def test_strips_that_cannot_be_made_are_refused(network, n_pixels, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make_strips(network, n_pixels)


@pytest.mark.parametrize("strips, message", [
    ({"conv3": 2}, "strips must be of nodes of layers, not of 'conv3'"),
    ({"pool": 2}, "strips must be of nodes of layers, not of 'pool'"),
    ({"fc": 2}, "node 'fc': strips must be of a convolution, not of fully connected layers"),
])
def test_strips_of_other_nodes_are_refused(strips, message):
    with pytest.raises(CompileError, match=f"^{re.escape(message)}$"):
        set_strips(residual_network(TINY), strips)
