"""Layers as loops: the results of single pixels, bit for bit."""

import dataclasses
import re

import numpy as np
import pytest
from scipy.sparse import csc_array

from eie_compiler.errors import CompileError
from eie_compiler.lowering.arithmetic import IntegerNetwork
from eie_compiler.lowering.compile import compile_network
from eie_compiler.lowering.dead_rows import LiveNetwork
from eie_compiler.lowering.fixed_point import choose_formats
from eie_compiler.lowering.loop_cycles import estimate_loops
from eie_compiler.lowering.loop_layers import make_loops
from eie_compiler.lowering.lower import lower_network
from eie_compiler.lowering.lowered_network import choose_mode
from eie_compiler.lowering.stages import list_stages
from eie_compiler.patches import Patches
from eie_compiler.preprocessing import Preprocessing
from eie_compiler.random_networks import random_network
from eie_compiler.vectors import NOT_SENT, output_columns
from eie_hdl.config import EIEConfig
from eie_hdl.format import Layouts
from eie_hdl.packing import unpack
from eie_sim.inference import infer, shape_output
from support.graphs import grouped

CONFIG = EIEConfig(n_pe=4, v_width=3, z_width=2, entries_per_word=2, act_width=8, codebook_width=7,
                   acc_width=20, acc_depth=16, spmat_depth=1 << 10, ptr_depth=512, act_depth=512,
                   n_codebooks=4, loops=True)


def convolution(seed, rows=(6, 4, 5), shape=(3, 5, 9), density=0.4, *, loop, **geometry):
    """Convolution with 1 × 1 convolutions after it."""
    patches = Patches(shape, **geometry)
    network = random_network(np.random.default_rng(seed), [patches.n_inputs, *rows],
                             density=density, v_width=CONFIG.v_width, frac=3)
    return dataclasses.replace(network, patches=dataclasses.replace(patches, loop=loop))


#: Machine with local mode.
LOCAL = dataclasses.replace(CONFIG, acc_depth=64, spmat_depth=1 << 12, ptr_depth=1 << 11,
                            act_depth=1 << 11, local=True)


def prefer_local(monkeypatch):
    """Take local mode wherever it is possible, whatever the cycles and entries."""
    prefer_few_cycles(monkeypatch)
    monkeypatch.setattr("eie_compiler.lowering.map_places._estimate",
                        lambda config, stages, local, places: -sum(local))
    monkeypatch.setattr("eie_compiler.lowering.lower.choose_mode",
                        lambda options, **_: choose_mode(options, more_entries=1000))


def prefer_few_cycles(monkeypatch):
    """Let local mode take the fewest cycles."""
    monkeypatch.setattr("eie_compiler.lowering.lowered_network.estimate_loops",
                        lambda config, loops: not loops.convolutions[0].local)


def images_of(network, seed=7):
    return np.random.default_rng(seed).integers(-60, 60, (2, *network.patches.shape))


def run_pixels(network, images):
    """Results of the layers in integers, pixel by pixel."""
    patches = dataclasses.replace(network.patches, loop=0)
    words = patches.cut(images)
    for layer in IntegerNetwork(network, CONFIG).layers:
        words = layer(words)
    return patches.join(words)


def run_golden(network, images, config=CONFIG, **options):
    build = compile_network(network, config, **options)
    result = infer(build, images, words=True, engine="golden")
    assert len(result.entries) == len(images)    # an inference is an image
    return shape_output(build, result.outputs[-1])


@pytest.mark.parametrize("geometry", [
    {"kernel": (3, 3), "padding": (1, 1, 1, 1)},
    {"kernel": (2, 3), "stride": (2, 2), "padding": (1, 1, 0, 2)},
    {"kernel": (2, 2), "dilation": (1, 3)},
    {"kernel": (1, 1), "stride": (1, 2)},
    {"kernel": (1, 1)},
    {"kernel": (5, 9)},
    {"kernel": (2, 9), "stride": (2, 3)},
])
@pytest.mark.parametrize("loop", [1, 2, 3, 4])
@pytest.mark.parametrize("mapping", ["balanced", "interleaved"])
def test_loops_have_the_results_of_single_pixels(geometry, loop, mapping):
    network = convolution(3, loop=loop, **geometry)
    images = images_of(network)
    np.testing.assert_array_equal(run_golden(network, images, mapping=mapping),
                                  run_pixels(network, images))


@pytest.mark.parametrize("n_pe", [1, 2, 16, 64])
def test_results_are_the_same_on_any_machine(n_pe):
    config = dataclasses.replace(CONFIG, n_pe=n_pe, acc_depth=32)
    network = convolution(4, kernel=(3, 2), padding=(0, 1, 1, 0), loop=2)
    images = images_of(network)
    np.testing.assert_array_equal(run_golden(network, images, config),
                                  run_pixels(network, images))


def test_dead_channels_of_an_image_are_not_sent_and_dead_rows_are_not_computed():
    network = convolution(5, (8, 4), kernel=(3, 3), density=0.9, loop=2)
    first, last = network.layers
    codes = first.codes.toarray()
    codes[:, 9:18] = 0    # the second of three channels
    codes[:, 3] = 0       # an element of another one, which is sent for other elements
    after = last.codes.toarray()
    after[:, [1, 6]] = 0
    network = dataclasses.replace(network, layers=(
        dataclasses.replace(first, codes=csc_array(codes)),
        dataclasses.replace(last, codes=csc_array(after))))
    images = images_of(network)
    np.testing.assert_array_equal(run_golden(network, images), run_pixels(network, images))
    build = compile_network(network, CONFIG)
    columns = build.input.columns.reshape(3, 45)
    assert (columns[1] == NOT_SENT).all()
    assert columns[[0, 2]].T.ravel().tolist() == list(range(90))
    assert build.report["dead_inputs"] == 45
    assert build.report["layers"][0]["dead_rows"]["unread"] == [1, 6]
    # Six rows of two pixels, and the columns of a 3 × 4 part of two channels.
    assert build.report["layers"][0]["shape"] == [12, 24]


def test_results_of_every_layer_can_be_sent():
    network = convolution(6, kernel=(2, 2), loop=2)
    build = compile_network(network, CONFIG, outputs="all")
    images = images_of(network)
    result = infer(build, images, words=True, engine="golden")
    for number, output in enumerate(result.outputs, 1):
        part = dataclasses.replace(network, layers=network.layers[:number])
        assert shape_output(build, output).tolist() == run_pixels(part, images).tolist()


def test_a_build_counts_columns_of_maps_and_of_segments():
    build = compile_network(convolution(1, (6, 3), kernel=(3, 2), loop=2), CONFIG)
    # The image has 3 · 5 · 9 elements, in rows of 16. Of 8 pixels in each of 3 rows of the result,
    # there are 4 columns each, of which three are channels.
    assert build.input_words == 9
    assert build.outputs[0].columns.max() == 3 * 8 * 4 - 2
    assert output_columns(CONFIG, build.program) == [3 * 8 * 4 - 1]
    # Pointers of 3 segments of 3 pixels of 3 channels, of 2 pixels of 6 channels, and the end.
    assert build.images["pe_0.ptr_even"].shape[0] == (27 + 12 + 1) // 2


def test_strips_of_single_pixels_cross_rows():
    build = compile_network(convolution(8, shape=(3, 3, 3), loop=4), CONFIG)
    # Nine pixels of five columns follow one another, in strips of four across rows.
    assert sorted(build.outputs[0].columns) == list(range(5 * 9))


def modes(build):
    """Modes of the loops of a program, in order."""
    fields = unpack(Layouts.of(build.config).descriptor, build.program)
    return fields["loop"]["local"][fields["start"]["send"] == 0].tolist()


@pytest.mark.parametrize("geometry", [
    {"kernel": (3, 3), "padding": (1, 1, 1, 1)},
    {"kernel": (2, 3), "stride": (2, 2), "padding": (1, 1, 0, 2)},
    {"kernel": (2, 2), "dilation": (1, 3)},
    {"kernel": (1, 1), "stride": (1, 2)},
    {"kernel": (1, 1)},
])
@pytest.mark.parametrize("channels, n_groups, results", [
    (8, 8, 8), (7, 7, 7), (8, 8, 16), (12, 4, 8), (6, 3, 9)])
@pytest.mark.parametrize("loop", [1, 3])
@pytest.mark.parametrize("mapping", ["balanced", "interleaved"])
def test_local_loops_have_the_results_of_single_pixels(geometry, channels, n_groups, results, loop,
                                                       mapping, monkeypatch):
    prefer_local(monkeypatch)
    network = grouped(convolution(9, (results, 5), (channels, 5, 9), 0.6, loop=loop, **geometry),
                      n_groups)
    images = images_of(network)
    build = compile_network(network, LOCAL, mapping=mapping)
    assert modes(build) == [1, 0]
    np.testing.assert_array_equal(run_golden(network, images, LOCAL, mapping=mapping),
                                  run_pixels(network, images))


@pytest.mark.parametrize("n_pe", [1, 2, 16, 64])
@pytest.mark.parametrize("n_groups", [9, 3, 1])
def test_local_loops_have_the_same_results_on_any_machine(n_pe, n_groups, monkeypatch):
    prefer_local(monkeypatch)
    config = dataclasses.replace(LOCAL, n_pe=n_pe)
    network = grouped(convolution(4, (9, 4), (9, 5, 9), 0.7, kernel=(3, 2), padding=(0, 1, 1, 0),
                                  loop=2), n_groups)
    images = images_of(network)
    assert modes(compile_network(network, config)) == [int(n_groups > 1), 0]
    np.testing.assert_array_equal(run_golden(network, images, config), run_pixels(network, images))


@pytest.mark.parametrize("n_groups, mode", [(64, 1), (8, 0)])
def test_a_loop_whose_groups_fill_few_pes_is_not_local(n_groups, mode, monkeypatch):
    """Eight groups of eight rows would have eight times the entries, in eight of 64 PEs."""
    prefer_few_cycles(monkeypatch)
    network = grouped(convolution(4, (64,), (64, 4, 4), 1.0, kernel=(3, 3), loop=1), n_groups)
    config = dataclasses.replace(LOCAL, n_pe=64, act_depth=200, spmat_depth=4096, ptr_depth=2048)
    assert modes(compile_network(network, config)) == [mode]


def test_results_of_every_layer_can_be_sent_after_a_local_loop(monkeypatch):
    prefer_local(monkeypatch)
    network = grouped(convolution(6, (10, 4), (5, 5, 9), 0.8, kernel=(2, 2), loop=2), 5)
    build = compile_network(network, LOCAL, outputs="all")
    assert modes(build) == [1, 0]
    images = images_of(network)
    result = infer(build, images, words=True, engine="golden")
    for number, output in enumerate(result.outputs, 1):
        part = dataclasses.replace(network, layers=network.layers[:number])
        assert shape_output(build, output).tolist() == run_pixels(part, images).tolist()


def test_dead_channels_of_a_local_loop_are_not_sent(monkeypatch):
    prefer_local(monkeypatch)
    network = grouped(convolution(5, (9, 4), (9, 5, 9), 0.9, kernel=(3, 3), loop=2), 9)
    first, last = network.layers
    codes = first.codes.toarray()
    codes[[2, 5]] = 0    # channels 2 and 5
    after = last.codes.toarray()
    after[:, 7] = 0
    network = dataclasses.replace(network, layers=(
        dataclasses.replace(first, codes=csc_array(codes)),
        dataclasses.replace(last, codes=csc_array(after))))
    images = images_of(network)
    build = compile_network(network, LOCAL)
    assert modes(build) == [1, 0]
    np.testing.assert_array_equal(run_golden(network, images, LOCAL), run_pixels(network, images))
    columns = build.input.columns.reshape(9, 45)
    assert [channel for channel in range(9) if (columns[channel] == NOT_SENT).all()] == [2, 5, 7]
    # The 6 others are in two slots of 4 PEs, of each of which there are 3 · 4 in the tile.
    assert columns.max() < 45 * 8
    assert [layer["columns"] for layer in build.report["layers"]] == [3 * 4 * 2, 2 * 8]


def test_pointers_of_a_local_tile_are_one_for_each_slot(monkeypatch):
    network = grouped(convolution(1, (8, 3), (8, 5, 9), 0.9, kernel=(3, 2), loop=2), 8)
    words = []
    for config in (dataclasses.replace(LOCAL, local=False), LOCAL):
        words.append(len(compile_network(network, config).images["pe_0.ptr_even"]))
    # Pointers of 3 segments of 3 pixels of 8 channels, of 2 pixels of 8 channels, and the end.
    assert words == [(72 + 16 + 1) // 2 + 1, (18 + 16 + 1) // 2 + 1]


def test_the_mode_with_fewer_cycles_is_taken(monkeypatch):
    found = set()
    for n_groups, density in ((8, 0.9), (4, 0.9), (2, 0.9), (8, 0.2)):
        network = grouped(convolution(2, (8, 5), (8, 5, 9), density, kernel=(2, 2), loop=2),
                          n_groups)
        live = LiveNetwork.whole(network, choose_formats(LOCAL, network))
        cycles = [estimate_loops(LOCAL, each)
                  for each in make_loops(LOCAL, list_stages(live, network.patches), "balanced",
                                         channels=np.arange(8))]
        lowered = lower_network(network, LOCAL, keep_dead_rows=True)
        assert lowered.loop_cycles == min(cycles)
        assert lowered.convolutions[0].local == (len(cycles) > 1)
        found.add(lowered.convolutions[0].local)
        # Local mode is offered where it would be faster.
        with monkeypatch.context() as patch:
            prefer_local(patch)
            _, local, *_ = make_loops(LOCAL, list_stages(live, network.patches), "balanced",
                                  channels=np.arange(8))
        assert (estimate_loops(LOCAL, local) < cycles[0]) == (len(cycles) > 1)
    assert found == {False, True}


@pytest.mark.parametrize("changes", [
    {"act_depth": 32},      # pixels of a slot in 16 PEs
    {"spmat_depth": 32},    # entries of three PEs
])
def test_a_loop_that_fits_only_without_local_mode_has_none(changes, monkeypatch):
    prefer_local(monkeypatch)
    network = grouped(convolution(2, (3,), (3, 8, 12), 1.0, kernel=(3, 3), loop=8), 3)
    roomy = dataclasses.replace(LOCAL, n_pe=16, acc_depth=16)
    config = dataclasses.replace(roomy, **changes)
    assert modes(compile_network(network, roomy)) == [1]
    build = compile_network(network, config)
    assert modes(build) == [0]
    images = images_of(network)
    np.testing.assert_array_equal(run_golden(network, images, config), run_pixels(network, images))


@pytest.mark.parametrize("network, config, message", [
    (convolution(1, loop=1), dataclasses.replace(CONFIG, loops=False),
     "loops must be true, for a network that was compiled for loops"),
    (convolution(1, (17, 5), density=0.9, loop=4), CONFIG,
     "layer 'fc1': results of a strip must be at most acc_depth = 16 in each PE, not 17"),
    (convolution(1, (4, 18), density=0.9, loop=4), CONFIG,
     "layer 'fc2': results of a strip must be at most acc_depth = 16 in each PE, not 18"),
    (dataclasses.replace(convolution(1, loop=1),
                         preprocessing=Preprocessing(np.zeros(3), np.ones(3))), CONFIG,
     "a loop must be of a network without preprocessing, which is of the elements of a patch"),
])
def test_loops_that_the_machine_cannot_run_are_refused(network, config, message):
    with pytest.raises(CompileError, match=f"^{re.escape(message)}"):
        compile_network(network, config)


def test_a_map_that_does_not_fit_is_refused():
    config = dataclasses.replace(CONFIG, act_depth=16)
    with pytest.raises(CompileError, match="^activation SRAM must have"):
        compile_network(convolution(1, kernel=(3, 3), loop=4), config)
