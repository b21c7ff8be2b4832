"""Removal of dead rows and inputs: the results of the last layer stay the same, bit for bit."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from eie_compiler.compression.compress import compress
from eie_compiler.frontends import read_model
from eie_compiler.lowering import dead_rows
from eie_compiler.lowering.compile import compile_network
from eie_compiler.lowering.dead_rows import remove_dead_rows
from eie_compiler.lowering.fixed_point import choose_formats
from eie_compiler.network import CompressedNetwork
from eie_compiler.patches import Patches
from eie_compiler.preprocessing import Preprocessing
from eie_compiler.random_networks import make_layer, random_codes, random_network
from eie_hdl.config import EIEConfig
from eie_hdl.numeric import limits, round_shift
from eie_sim.inference import infer
from support.dead_inputs import clear_inputs

CONFIG = EIEConfig(n_pe=4, acc_depth=8)
LENET = Path(__file__).parents[4] / "shared" / "data" / "lenet300100_pruned.npz"


def draw_network(rng, sizes):
    """Sparse layers with any biases and formats; some of them saturate or have no weights."""
    layers = []
    for number, (n_cols, n_rows) in enumerate(zip(sizes, sizes[1:])):
        density = rng.choice([0.0, 0.03, 0.1, 0.3], p=[0.1, 0.3, 0.3, 0.3])
        bias = rng.choice([0, 0.1, 1, 10]) * rng.normal(size=n_rows)
        sign = rng.choice([0, 1, -1])
        layers.append(make_layer(
            random_codes(rng, n_rows, n_cols, density), name=f"fc{number}",
            codebook=np.append(0.0, rng.choice([0.2, 0.5, 2]) * rng.uniform(0.2, 1, 15)
                               * rng.choice([-1, 1], 15)),
            bias=np.where(rng.random(n_rows) < 0.2, 0.0, sign * np.abs(bias) if sign else bias),
            relu=bool(rng.integers(2)), output_frac=int(rng.integers(5, 13))))
    return CompressedNetwork(tuple(layers), int(rng.integers(4, 12)), 4,
                             nonnegative_inputs=bool(rng.integers(2)))


def draw_inputs(rng, network):
    low, high = limits(CONFIG.act_width)
    return rng.integers(0 if network.nonnegative_inputs else low, high,
                        (5, network.layers[0].n_cols), endpoint=True)


def run(network, inputs, config=CONFIG, **options):
    build = compile_network(network, config, **options)
    return infer(build, inputs, words=True, engine="golden")


def remove(network, config=CONFIG):
    return remove_dead_rows(config, network, choose_formats(config, network))


def chain(*matrices, biases, fracs=None, relu=True):
    """Network of small matrices of codes, whose weights are 1, -1 and 0.5."""
    layers = tuple(
        make_layer(np.array(codes, np.uint8), codebook=[0, 1, -1, 0.5] + [0] * 12,
                   name=f"fc{number}", bias=np.array(bias, np.float64), relu=relu, output_frac=frac)
        for number, (codes, bias, frac) in enumerate(
            zip(matrices, biases, fracs or [8] * len(biases), strict=True)))
    return CompressedNetwork(layers, 8, 4)


@settings(max_examples=150)
@given(sizes=st.lists(st.integers(1, 40), min_size=2, max_size=5), seed=st.integers(0, 1 << 32))
def test_a_network_without_its_dead_rows_computes_the_same(sizes, seed):
    rng = np.random.default_rng(seed)
    network = draw_network(rng, sizes)
    inputs = draw_inputs(rng, network)
    expected, found = (run(network, inputs, keep_dead_rows=keep) for keep in (True, False))
    np.testing.assert_array_equal(found.outputs[0], expected.outputs[0])
    name = network.layers[-1].name
    assert found.saturation[name] == expected.saturation[name]
    assert (found.counters["broadcasts"] <= expected.counters["broadcasts"]).all()


@settings(max_examples=100)
@given(sizes=st.lists(st.integers(1, 40), min_size=2, max_size=5), seed=st.integers(0, 1 << 32))
def test_each_row_remains_or_is_removed_for_one_reason_and_none_is_left(sizes, seed):
    network = draw_network(np.random.default_rng(seed), sizes)
    live = remove(network)
    for whole, rows, (unread, constant) in zip(network.layers, live.rows, live.dead):
        np.testing.assert_array_equal(np.sort(np.concatenate([rows, unread, constant])),
                                      np.arange(whole.n_rows))
        assert (np.diff(rows) > 0).all()
    assert not any(map(len, live.dead[-1]))
    for layer, after in zip(live.network.layers, live.network.layers[1:]):
        assert (np.diff(after.codes.indptr) > 0).all() or layer.n_rows == 1
    first = live.network.layers[0]
    assert (np.diff(first.codes.indptr) > 0).all() or live.inputs.tolist() == [0]
    read = network.layers[0].codes[live.rows[0]][:, live.inputs]
    assert not first.codes.nnz or (first.codes != read).nnz == 0
    assert first.codes.nnz in (0, network.layers[0].codes[live.rows[0]].nnz)
    again = remove_dead_rows(CONFIG, live.network, live.formats)
    assert [layer.codes.shape for layer in again.network.layers] == [
        layer.codes.shape for layer in live.network.layers]


@settings(max_examples=50)
@given(sizes=st.lists(st.integers(1, 40), min_size=2, max_size=5), seed=st.integers(0, 1 << 32))
def test_bounds_of_partial_sums_do_not_grow(sizes, seed):
    network = draw_network(np.random.default_rng(seed), sizes)
    for before, after in zip(choose_formats(CONFIG, network), remove(network).formats):
        assert before.lowest <= after.lowest <= after.highest <= before.highest
        assert before.spare_bits <= after.spare_bits
        assert (before.weight_frac, before.shift) == (after.weight_frac, after.shift)
        np.testing.assert_array_equal(after.codebook, before.codebook)


def test_unread_rows_leave_earlier_rows_unread():
    # Row 1 of the second layer is unread, and only it reads row 2 of the first.
    network = chain([[1], [1], [1]], [[1, 1, 0], [0, 0, 1]], [[1, 0]],
                    biases=[[0, 0, 0], [0, 0], [0]])
    live = remove(network)
    assert [dead.unread.tolist() for dead in live.dead] == [[2], [1], []]
    assert [dead.constant.tolist() for dead in live.dead] == [[], [], []]
    assert [layer.codes.shape for layer in live.network.layers] == [(2, 1), (1, 2), (1, 1)]


def test_inputs_that_no_live_row_reads_are_not_sent():
    # No row reads input 1, and only row 1, which is unread, reads input 3.
    network = chain([[1, 0, 3, 0], [0, 0, 0, 1]], [[1, 0]], biases=[[1, 2], [3]])
    assert remove(network).inputs.tolist() == [0, 2]
    build = compile_network(network, CONFIG)
    assert build.input.columns.tolist() == [0, -1, 1, -1]
    assert build.report["dead_inputs"] == 2
    assert build.report["layers"][0]["shape"] == [1, 2]
    inputs = np.random.default_rng(1).integers(-500, 500, (20, 4))
    expected, found = (run(network, inputs, keep_dead_rows=keep) for keep in (True, False))
    np.testing.assert_array_equal(found.outputs[0], expected.outputs[0])
    assert found.counters["broadcasts"].sum() < expected.counters["broadcasts"].sum()
    assert (found.counters["macs"] <= expected.counters["macs"]).all()


@pytest.mark.parametrize("n_layers", [1, 2])
def test_a_network_that_reads_no_input_sends_the_first_and_gives_constants(n_layers):
    network = chain(*[[[0, 0, 0]], [[1], [1]]][:n_layers], biases=[[3], [1, -5]][:n_layers])
    build = compile_network(network, CONFIG)
    assert (build.input.columns.tolist(), build.input_words) == ([0, -1, -1], 1)
    assert build.report["dead_inputs"] == 2
    found = run(network, np.array([[5, 6, 7], [-1, 0, 0]])).outputs[0] / 2 ** 8
    assert found.tolist() == [[[3]], [[4, 0]]][n_layers - 1] * 2


def test_inputs_stay_where_rows_do():
    network = chain([[1, 0]], [[1]], biases=[[1], [2]])
    for options in ({"keep_dead_rows": True}, {"outputs": "all"}, {"mapping": "interleaved"}):
        build = compile_network(network, CONFIG, **options)
        assert build.input.columns.tolist() == [0, 1]
        assert build.report["dead_inputs"] == 0


def test_dead_inputs_are_preprocessed_and_their_saturation_is_counted():
    rng = np.random.default_rng(3)
    network = dataclasses.replace(
        clear_inputs(random_network(rng, [12, 9, 4], density=0.9), [0, 5, 6, 11]),
        preprocessing=Preprocessing(rng.normal(size=12), rng.uniform(0.5, 2, 12)))
    inputs = rng.normal(0, 50, (10, 12))
    inputs[:, 5] = 1e6
    builds = [compile_network(network, CONFIG, keep_dead_rows=keep) for keep in (True, False)]
    assert np.flatnonzero(~builds[1].input.is_sent).tolist() == [0, 5, 6, 11]
    expected, found = (infer(build, inputs, engine="golden") for build in builds)
    np.testing.assert_array_equal(found.outputs[0], expected.outputs[0])
    assert found.saturation["input"] == expected.saturation["input"]
    assert found.saturation["input"].saturated >= 10


def test_elements_of_a_patch_that_no_weight_reads_are_not_sent():
    rng = np.random.default_rng(4)
    patches = Patches((2, 6, 5), kernel=(3, 3), padding=(1, 1, 1, 1), stride=(2, 1))
    network = dataclasses.replace(
        clear_inputs(random_network(rng, (18, 7, 4), density=0.9), [0, 1, 2, 17]), patches=patches)
    images = rng.normal(size=(3, 2, 6, 5))
    builds = [compile_network(network, CONFIG, keep_dead_rows=keep) for keep in (True, False)]
    assert [build.patches for build in builds] == [patches, patches]
    assert builds[1].report["dead_inputs"] == 4
    np.testing.assert_array_equal(*(infer(build, images, engine="golden").outputs[0]
                                    for build in builds))


def test_constants_are_added_to_biases_and_make_later_rows_constant():
    # Row 1 is 3. It makes row 1 of the second layer the constant 3 + 2, which is subtracted last.
    network = chain([[1], [0]], [[1, 1], [0, 1]], [[1, 2]], biases=[[0, 3], [1, 2], [7]])
    live = remove(network)
    assert [dead.constant.tolist() for dead in live.dead] == [[1], [1], []]
    assert [layer.bias.tolist() for layer in live.network.layers] == [[0], [4], [2]]
    assert [layer.codes.toarray().tolist() for layer in live.network.layers] == [[[1]]] * 3


def test_a_negative_constant_is_zero_after_a_relu_alone():
    for relu, bias in ((True, 1), (False, -2)):
        network = chain([[1], [0]], [[1, 1]], biases=[[0, -3], [1]], relu=relu)
        assert remove(network).network.layers[1].bias.tolist() == [bias]


def test_a_constant_remains_where_the_biases_have_no_exact_words():
    # The second bias needs a shift with which 1/256 of the constant cannot be represented.
    network = chain([[1], [0]], [[1, 1], [1, 0]], biases=[[0, 1 / 256], [0, 120]], fracs=[8, 8])
    config = dataclasses.replace(CONFIG, act_width=8)
    assert not any(len(dead.constant) for dead in remove(network, config).dead)
    assert any(len(dead.constant) for dead in remove(network).dead)
    inputs = np.arange(-3, 4)[:, np.newaxis]
    np.testing.assert_array_equal(*(run(network, inputs, config, keep_dead_rows=keep).outputs[0]
                                    for keep in (True, False)))


def test_a_saturated_constant_remains_and_is_counted():
    network = chain([[1], [0]], [[1, 3]], biases=[[0, 9], [0]], fracs=[12, 8])
    inputs = np.arange(-3, 4)[:, np.newaxis]
    assert [run(network, inputs, keep_dead_rows=keep).saturation["fc0"].saturated
            for keep in (True, False)] == [7, 7]


@pytest.mark.parametrize("codes", [[[0, 0], [0, 0]], [[1, 0], [0, 1]]])
def test_a_layer_without_live_rows_keeps_one_that_is_zero(codes):
    reads = int(not np.any(codes))
    network = chain([[1, 1]], [[1], [1]], codes, np.full((2, 2), reads), [[1, 1]],
                    biases=[[1], [2, 3], [4, 5], [6, 7], [8]])
    if not reads:
        assert [len(rows) for rows in remove(network).rows] == [1] * 5
    inputs = np.array([[5, -7], [0, 0], [300, 200]])
    expected, found = (run(network, inputs, keep_dead_rows=keep) for keep in (True, False))
    np.testing.assert_array_equal(found.outputs[0], expected.outputs[0])
    assert not found.counters["macs"][1]


def test_one_layer_stays_whole_and_so_do_all_that_are_sent_or_interleaved():
    one = chain([[1, 1], [0, 0]], biases=[[1, 2]])
    live = remove(one)
    assert live.network.layers[0] is one.layers[0]
    two = chain([[1], [0]], [[1, 0]], biases=[[1, 2], [3]])
    for options, n_rows in (({}, 1), ({"outputs": "all"}, 2), ({"mapping": "interleaved"}, 2)):
        build = compile_network(two, CONFIG, **options)
        assert [len(vector.columns) for vector in build.layers] == [n_rows, 1]


def test_the_report_lists_the_rows_that_were_removed():
    network = chain([[1], [0], [1]], [[1, 1, 0]], biases=[[0, 3, 0], [1]])
    first, last = compile_network(network, CONFIG).report["layers"]
    assert first["dead_rows"] == {"unread": [2], "constant": [1]}
    assert last["dead_rows"] == {"unread": [], "constant": []}
    assert (first["shape"], last["shape"]) == ([1, 1], [1, 1])


def test_a_wrong_constant_is_noticed(monkeypatch):
    network = chain([[1], [0]], [[1, 1]], biases=[[0, 3], [1]])
    inputs = np.arange(1, 4)[:, np.newaxis]
    expected = run(network, inputs, keep_dead_rows=True).outputs[0]
    np.testing.assert_array_equal(run(network, inputs).outputs[0], expected)
    monkeypatch.setattr(dead_rows, "round_shift", lambda acc, shift: round_shift(acc, shift) + 1)
    assert (run(network, inputs).outputs[0] != expected).all()


@pytest.mark.skipif(not LENET.exists(), reason="needs lenet300100_pruned.npz in ../shared/data")
def test_the_published_lenet_loses_most_of_its_rows_and_no_bit():
    rng = np.random.default_rng(6)
    images = rng.integers(0, 256, (200, 784)) / 256 * (rng.random((200, 784)) < 0.2)
    network = compress(read_model(LENET), calibration=images)
    live = remove(network, EIEConfig())
    assert [sum(map(len, dead)) for dead in live.dead] == [238, 82, 0]
    assert len(live.inputs) == 784 - 322
    words = np.rint(np.ldexp(images, network.input_frac)).astype(np.int64)
    np.testing.assert_array_equal(*(
        run(network, words, EIEConfig(), keep_dead_rows=keep).outputs[0] for keep in (True, False)))
