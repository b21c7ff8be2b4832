import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eie_compiler.compress import (
    CompressError,
    compress_dense,
    fit_frac,
    prune,
    read_weights,
    share_weights,
)
from eie_hdl.config import ConfigError

DATA = Path(__file__).parents[3] / "shared" / "data"


def dense_weights(rng, sizes):
    return [(f"fc{number}", rng.normal(0, n_cols ** -0.5, (n_rows, n_cols)),
             rng.normal(0, 0.1, n_rows))
            for number, (n_cols, n_rows) in enumerate(zip(sizes, sizes[1:]), 1)]


def run_float(network, x):
    for layer in network.layers:
        x = x @ layer.codebook[layer.codes.toarray()].T + layer.bias
        x = np.maximum(x, 0) if layer.relu else x
        yield x


def test_pruning_keeps_the_greatest_magnitudes():
    dense = np.random.default_rng(31).normal(size=(20, 30))
    kept = prune(dense, 0.1).toarray()
    assert np.count_nonzero(kept) == 60
    np.testing.assert_array_equal(kept[kept != 0], dense[kept != 0])
    assert np.abs(dense[kept != 0]).min() > np.abs(dense[kept == 0]).max()


def test_pruning_never_keeps_zeros_and_always_a_weight():
    dense = np.zeros((10, 10), np.float32)
    dense[3, 4] = -2
    assert prune(dense, 1.0).nnz == 1
    assert prune(dense, 0.001).toarray()[3, 4] == -2


def test_shared_weights_are_the_means_of_their_members():
    values = np.random.default_rng(32).normal(size=5000)
    codebook, codes = share_weights(values, 15)
    assert codebook[0] == 0
    assert codes.min() == 1
    for code in range(1, 16):
        np.testing.assert_allclose(codebook[code], values[codes == code].mean())
    # Every value has the nearest one.
    nearest = np.abs(values[:, None] - codebook[1:]).min(axis=1)
    np.testing.assert_allclose(np.abs(values - codebook[codes]), nearest)


def test_an_outlier_keeps_a_weight_of_its_own():
    values = np.append(np.linspace(-1, 1, 1000), 100.0)
    codebook, codes = share_weights(values, 7)
    assert codebook[codes[-1]] == 100
    assert np.count_nonzero(codes == codes[-1]) == 1


def test_sharing_beats_the_linear_codebook_it_starts_from():
    values = np.random.default_rng(33).normal(size=5000)
    codebook, codes = share_weights(values, 7)
    linear = np.linspace(values.min(), values.max(), 7)
    start = np.abs(values[:, None] - linear).min(axis=1)
    assert ((values - codebook[codes]) ** 2).mean() < 0.75 * (start ** 2).mean()


@given(st.lists(st.sampled_from([-2.5, -1.0, 0.5, 3.0]), max_size=20))
def test_few_distinct_values_are_kept_exactly(values):
    values = np.array(values, np.float64)
    codebook, codes = share_weights(values, 7)
    np.testing.assert_array_equal(codebook[codes], values)
    assert codes.dtype == np.uint8


@pytest.mark.parametrize("magnitude, frac", [
    (1.0, 14), (255 / 256, 15), (32767 / 4096, 12), (2.0, 13), (3000.0, 3), (1e6, -5), (0.0, 15),
    (1e-30, 64),
])
def test_fraction_bits_fill_the_word(magnitude, frac):
    assert fit_frac(magnitude, 16) == frac


def test_calibration_inputs_fill_the_formats_and_do_not_saturate():
    rng = np.random.default_rng(34)
    x = rng.normal(size=(100, 40))
    network = compress_dense(dense_weights(rng, [40, 30, 5]), density=[0.5, 0.8], calibration=x)
    assert [layer.relu for layer in network.layers] == [True, False]
    assert [layer.n_nonzeros for layer in network.layers] == [600, 120]
    fracs = [network.input_frac, *(layer.output_frac for layer in network.layers)]
    for values, frac in zip([x, *run_float(network, x)], fracs):
        assert 0.5 * 32767 < np.abs(values).max() * 2.0 ** frac + 0.5 <= 32768


def test_without_calibration_no_input_saturates():
    rng = np.random.default_rng(35)
    network = compress_dense(dense_weights(rng, [40, 30, 5]), density=0.5, input_magnitude=2.0)
    assert network.input_frac == 13
    weights = network.layers[0].codebook[network.layers[0].codes.toarray()]
    for row in range(30):    # the input that makes most of this row
        x = 2 * np.sign(weights[row])
        for layer, values in zip(network.layers, run_float(network, x)):
            assert np.abs(values).max() * 2.0 ** layer.output_frac <= 32767
    first = network.layers[0]
    most = (np.abs(weights).sum(axis=1) * 2 + first.bias).max()
    assert most * 2.0 ** (first.output_frac + 1) > 32767    # and no bit is wasted


@pytest.mark.parametrize("relu, bias, magnitudes", [
    # The input is from -1 to 1.
    (False, (3.0, 4.0), (4.0, 2.0)),     # 2 to 4, then 4 less that
    (False, (-3.0, 4.0), (4.0, 8.0)),    # -4 to -2, then 4 less that
    (True, (-3.0, 1.0), (0.0, 1.0)),     # always 0, then 1
    (True, (0.5, 0.0), (1.5, 1.5)),      # 0 to 1.5, then the negative of that
])
def test_intervals_are_carried_through_the_layers(relu, bias, magnitudes):
    weights = [("a", np.ones((1, 1)), np.array(bias[:1])),
               ("b", -np.ones((1, 1)), np.array(bias[1:]))]
    network = compress_dense(weights, density=1.0, relu=[relu, False], input_magnitude=1.0)
    assert [layer.output_frac for layer in network.layers] == [fit_frac(magnitude, 16)
                                                               for magnitude in magnitudes]


def test_relu_and_codebook_width_can_be_chosen():
    rng = np.random.default_rng(36)
    network = compress_dense(dense_weights(rng, [10, 8, 5]), density=1.0, v_width=2,
                             relu=[False, True], act_width=8)
    assert [layer.relu for layer in network.layers] == [False, True]
    assert network.layers[0].codes.data.max() == 3
    assert network.input_frac == 6


def test_a_layer_without_bias_has_none():
    network = compress_dense([("fc1", np.eye(3), None)], density=1.0)
    assert network.layers[0].bias.tolist() == [0, 0, 0]
    assert network.layers[0].codes.toarray().tolist() == np.eye(3).tolist()


def test_read_weights_takes_layers_in_the_order_of_the_file(tmp_path):
    path = tmp_path / "w.npz"
    np.savez(path, **{"z.weight": np.ones((3, 2)), "z.bias": np.ones(3),
                      "a_weight": np.ones((2, 3)), "a_bias": np.zeros(2),
                      "m.weight": np.ones((1, 2))})
    layers = read_weights(path)
    assert [(name, weight.shape) for name, weight, _ in layers] == [("z", (3, 2)), ("a", (2, 3)),
                                                                    ("m", (1, 2))]
    assert layers[0][2].tolist() == [1, 1, 1]
    assert layers[2][2] is None


@pytest.mark.parametrize("arrays, message", [
    ({"fc1.weight": np.ones((2, 2)), "fc2.bias": np.ones(2)},
     "arrays must be named NAME.weight and NAME.bias, not fc2.bias"),
    ({}, "arrays must be named NAME.weight and NAME.bias; there are none"),
])
def test_read_weights_refuses_other_arrays(tmp_path, arrays, message):
    path = tmp_path / "w.npz"
    np.savez(path, **arrays)
    with pytest.raises(CompressError, match=f"^{re.escape(f'{path}: {message}')}$"):
        read_weights(path)


def test_read_weights_refuses_a_broken_file(tmp_path):
    (tmp_path / "w.npz").write_bytes(b"PK")
    with pytest.raises(CompressError, match=r"w\.npz: File must be a whole \.npz archive"):
        read_weights(tmp_path / "w.npz")


FC1 = ("fc1", np.ones((3, 2)), np.zeros(3))


@pytest.mark.parametrize("weights, options, message", [
    ([], {}, "weights must be those of one layer or more"),
    ([FC1], {"density": 0.0}, "density must be above 0 and at most 1, not 0.0"),
    ([FC1], {"density": [0.5, 0.5]}, "density must be one for each of 1 layers, not 2"),
    ([FC1], {"relu": []}, "relu must be one for each of 1 layers, not 0"),
    ([FC1], {"v_width": 1}, "v_width must be an integer from 2 to 8, not 1"),
    ([FC1], {"input_magnitude": 0.0}, "input_magnitude must be positive and finite, not 0.0"),
    ([FC1], {"calibration": np.ones((5, 3))},
     "calibration must be one or more inputs of 2 numbers, not of shape (5, 3)"),
    ([FC1], {"calibration": np.full((1, 2), np.nan)}, "calibration must be finite"),
    ([("fc1", np.ones((3, 2, 1)), None)], {},
     "layer 'fc1': weight must be a matrix of floating-point numbers, not float64 of shape "
     "(3, 2, 1)"),
    ([FC1, ("fc2", np.ones((2, 4)), None)], {},
     "layer 'fc2': weight must have 3 columns, one for each row of 'fc1', not 4: layers are "
     "computed in the order of the file"),
    ([("fc1", np.ones((3, 2)), np.ones(2))], {},
     "layer 'fc1': bias must have shape (3,), not (2,)"),
    ([("fc1", np.full((3, 2), np.inf), None)], {},
     "layer 'fc1': weight and bias must be finite"),
])
def test_wrong_weights_and_options_are_refused(weights, options, message):
    with pytest.raises(CompressError, match=f"^{re.escape(message)}$"):
        compress_dense(weights, **{"density": 0.5, **options})


@pytest.mark.skipif(not DATA.exists(), reason="needs ../shared/data")
def test_a_published_network_keeps_its_accuracy():
    weights = read_weights(DATA / "lenet300100_pruned.npz")
    with np.load(DATA / "mnist.npz") as images:
        x = images["test_images"].reshape(-1, 784) / 256
        labels = images["test_labels"]
    network = compress_dense(weights, density=1.0, calibration=x[::100])
    *_, scores = run_float(network, x)
    assert (scores.argmax(axis=1) == labels).mean() >= 0.975


@pytest.mark.parametrize("act_width", [-5, 0, 3, 25, 8.0])
def test_a_width_that_no_machine_has_is_refused(act_width):
    with pytest.raises(ConfigError, match=f"^act_width must be an integer from 4 to 24, "
                                          f"not {act_width}$"):
        compress_dense([("fc", np.ones((2, 2)), None)], density=1.0, act_width=act_width)
