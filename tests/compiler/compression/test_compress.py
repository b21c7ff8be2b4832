import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import random_array

from eie_compiler.compression.compress import compress
from eie_compiler.compression.decompress import decompress
from eie_compiler.compression.prune import prune
from eie_compiler.errors import CompressError
from eie_compiler.frontends import read_model
from eie_compiler.lowering.compile import compile_network
from eie_compiler.model import Model, ModelLayer
from eie_compiler.patches import Patches
from eie_compiler.preprocessing import Preprocessing
from eie_hdl.config import ConfigError, EIEConfig
from eie_sim.demo import digits as demo


@pytest.fixture
def rng():
    return np.random.default_rng(34)


def make_model(rng, *sizes):
    n_layers = len(sizes) - 1
    return Model(tuple(
        ModelLayer(f"fc{number}", rng.normal(0, n_cols ** -0.5, (n_rows, n_cols)),
                   rng.normal(0, 0.1, n_rows), relu=number < n_layers)
        for number, (n_cols, n_rows) in enumerate(zip(sizes, sizes[1:]), 1)))


def test_nothing_but_weights_and_formats_changes(rng):
    model = make_model(rng, 40, 30, 5)
    network = compress(model, density=0.5)
    for before, layer in zip(model.layers, network.layers):
        assert layer.name == before.name
        assert layer.relu == before.relu
        assert layer.codes.shape == before.weight.shape
        np.testing.assert_array_equal(layer.bias, before.bias)


def test_a_layer_is_pruned_then_shared(rng):
    model = make_model(rng, 40, 30)
    (layer,) = compress(model, density=0.25, v_width=3).layers
    kept = prune(model.layers[0].weight, density=0.25)
    np.testing.assert_array_equal(layer.codes.indices, kept.indices)
    np.testing.assert_array_equal(layer.codes.indptr, kept.indptr)
    shared = layer.codebook[layer.codes.data]
    assert len(np.unique(shared)) == 7
    assert np.abs(shared - kept.data).max() < 0.5 * np.abs(kept.data).max()


def test_each_layer_can_have_its_own_density_or_quality(rng):
    model = make_model(rng, 40, 30, 5)
    by_density = compress(model, density=[0.5, 0.8])
    assert [layer.n_nonzeros for layer in by_density.layers] == [600, 120]
    by_quality = compress(model, quality=(1.0, 0.5))
    assert [layer.n_nonzeros for layer in by_quality.layers] == [
        np.count_nonzero(np.abs(layer.weight) >= quality * layer.weight.std())
        for layer, quality in zip(model.layers, (1.0, 0.5))]


def test_all_nonzeros_are_kept_by_default(rng):
    model = make_model(rng, 40, 30)
    model.layers[0].weight[:, ::3] = 0
    assert compress(model).layers[0].n_nonzeros == np.count_nonzero(model.layers[0].weight)


def test_balance_gives_all_pes_the_same_work_in_every_layer(rng):
    model = make_model(rng, 40, 32, 5)
    build = compile_network(compress(model, density=0.3, balance=4), EIEConfig(n_pe=4),
                            mapping="interleaved")
    assert [layer["entry_balance"] for layer in build.report["layers"]] == [1, 1]
    unbalanced = compile_network(compress(model, density=0.3), EIEConfig(n_pe=4),
                                 mapping="interleaved")
    assert all(layer["entry_balance"] < 1 for layer in unbalanced.report["layers"])


def test_the_start_of_sharing_can_be_chosen(rng):
    model = make_model(rng, 400, 30)
    books = [compress(model, kmeans_init=name).layers[0].codebook
             for name in ("linear", "density")]
    assert (books[0] != books[1]).any()


@pytest.mark.parametrize("reconstruct", [False, True])
def test_uniform_weights_stay_so(rng, reconstruct):
    model = make_model(rng, 40, 30)
    samples = rng.normal(size=(200, 40))
    weight = model.layers[0].weight
    layer, = compress(model, v_width=3, quantiser="uniform", calibration=samples,
                      reconstruct=reconstruct).layers
    np.testing.assert_allclose(layer.codebook[1:],
                               np.linspace(weight.min(), weight.max(), 7))


def test_weights_whose_results_are_not_finite_are_refused():
    weight = np.array([[1e308, -1e308], [1e308, 1e308]])
    with pytest.raises(CompressError, match="^layer 'fc1': results must be finite, "):
        compress(Model((ModelLayer("fc1", weight),)))


def test_progress_is_reported(rng):
    steps = []
    compress(make_model(rng, 6, 5, 4), progress=steps.append)
    assert steps == ["compressing fc1", "compressing fc2", "choosing formats"]


@pytest.mark.parametrize("options", [{"pins": {"fc9": 3}}, {"calibration": np.ones((1, 3))},
                                     {"act_width": 99}, {"kmeans_init": "nowhere"},
                                     {"quantiser": "nowhere"},
                                     {"density": 2.0}])
def test_wrong_options_are_refused_before_any_work(rng, options):
    steps = []
    with pytest.raises((CompressError, ConfigError)):
        compress(make_model(rng, 6, 5), progress=steps.append, **options)
    assert steps == []


@pytest.mark.parametrize("v_width", [2, 4, 8])
def test_compressing_again_keeps_every_weight_exactly(rng, v_width):
    network = compress(make_model(rng, 90, 60, 5), density=0.3, v_width=v_width)
    again = compress(decompress(network), v_width=v_width)
    for before, after in zip(decompress(network).layers, decompress(again).layers):
        np.testing.assert_array_equal(after.weight.toarray(), before.weight.toarray())
    assert [layer.output_frac for layer in again.layers] == [layer.output_frac
                                                             for layer in network.layers]


def test_the_width_of_activations_is_what_the_formats_fill(rng):
    assert compress(make_model(rng, 10, 8), act_width=8).input_frac == 6


def test_a_layer_without_bias_has_none():
    network = compress(Model((ModelLayer("fc1", np.eye(3)),)))
    assert network.layers[0].bias.tolist() == [0, 0, 0]
    assert network.layers[0].codes.toarray().tolist() == np.eye(3).tolist()


def test_a_convolution_keeps_its_patches(rng):
    patches = Patches((3, 8, 8), kernel=(3, 3))
    network = compress(Model(make_model(rng, 27, 4).layers, patches),
                       calibration=rng.uniform(-4, 4, (5, 3, 8, 8)))
    assert network.patches == patches
    assert network.input_frac == 13    # of images, not of vectors


def test_sparse_weights_are_never_made_dense(rng):
    weight = random_array((4096, 25088), density=1e-4, rng=rng)
    model = Model((ModelLayer("fc6", weight),))
    tracemalloc.start()
    network = compress(model, density=5e-5, calibration=rng.uniform(size=(2, 25088)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert network.layers[0].n_nonzeros == round(5e-5 * 4096 * 25088)
    assert peak < 0.05 * 4096 * 25088


@pytest.mark.parametrize("options, message", [
    ({"density": 0.0}, "density must be above 0 and at most 1, not 0.0"),
    ({"density": [0.5, 0.5]}, "density must have one number for each of 1 layers, not 2"),
    ({"quality": [0.5, 0.5]}, "quality must have one number for each of 1 layers, not 2"),
    ({"density": 0.5, "quality": 1}, "exactly one of density and quality must be given"),
    ({"v_width": 1}, "v_width must be an integer from 2 to 8, not 1"),
    ({"v_width": 9}, "v_width must be an integer from 2 to 8, not 9"),
])
def test_wrong_options_are_refused(options, message):
    with pytest.raises(CompressError, match=f"^{re.escape(message)}$"):
        compress(Model((ModelLayer("fc1", np.ones((3, 2))),)), **options)


@pytest.mark.parametrize("act_width", [-5, 0, 3, 25, 8.0])
def test_a_width_that_no_machine_has_is_refused(act_width):
    with pytest.raises(ConfigError, match=f"^act_width must be an integer from 4 to 24, "
                                          f"not {act_width}$"):
        compress(Model((ModelLayer("fc", np.ones((2, 2))),)), act_width=act_width)


def test_biases_correct_the_mean_error_of_samples():
    rng = np.random.default_rng(50)
    model = Model((ModelLayer("a", rng.normal(size=(20, 30)), rng.normal(size=20), relu=True),
                   ModelLayer("b", rng.normal(size=(5, 20)))))
    x = rng.uniform(0, 1, (400, 30))
    plain, corrected = (decompress(compress(model, v_width=2, density=0.7, calibration=samples))
                        for samples in (None, x))
    errors = [found(x) - model(x) for found in (plain, corrected)]
    np.testing.assert_allclose(errors[1].mean(axis=0), 0, atol=1e-5)
    assert np.abs(errors[0].mean(axis=0)).max() > 0.5
    assert (errors[1] ** 2).mean() < 0.7 * (errors[0] ** 2).mean()


def test_biases_of_shared_weights_stay_as_they_are():
    rng = np.random.default_rng(51)
    weights = rng.choice([-1.5, 0.3, 1 / 3], (20, 30)), rng.choice([-0.1, 0.7], (5, 20))
    model = Model(tuple(ModelLayer(name, weight, rng.normal(size=len(weight)), relu=name == "a")
                        for name, weight in zip("ab", weights)))
    network = compress(model, calibration=rng.normal(size=(50, 30)))
    for layer, original in zip(network.layers, model.layers):
        assert layer.bias.tolist() == original.bias.tolist()


def digits():
    """Digits network of the demo, before compression."""
    return read_model(Path(demo.__file__).parent / "dense.npz")


def test_weights_keep_a_bit_if_inputs_are_never_negative():
    samples = np.random.default_rng(0).uniform(0, 1, (100, 64))
    fracs = []
    for known in (False, True):
        network = compress(digits(), calibration=samples, nonnegative_inputs=known)
        assert network.nonnegative_inputs == known
        layers = compile_network(network, EIEConfig.isca2016(n_pe=4)).report["layers"]
        fracs.append([layer["formats"]["weight_frac"] for layer in layers])
    assert fracs == [[12, 12, 12], [13, 12, 12]]


def test_bounds_without_samples_know_the_sign():
    model = Model((ModelLayer("a", np.array([[1.0, -1.0]])),))
    found = [compress(model, nonnegative_inputs=known).layers[0].output_frac
             for known in (False, True)]
    assert found == [13, 14]    # up to 2, or 1


@pytest.mark.parametrize("offset, scale, samples, message", [
    (0, 1, [[1.0, 0.5], [0.3, -0.25]], "calibration must not be negative with nonnegative_inputs=, "
                                       "but its least number is -0.25"),
    (2, 0.5, None, "nonnegative_inputs must stay so after preprocessing, but element 1 is "
                   "multiplied by 0.5 after 2 is subtracted: leave the option out"),
    (0, -3, None, "nonnegative_inputs must stay so after preprocessing, but element 1 is "
                  "multiplied by -3 after 0 is subtracted: leave the option out"),
])
def test_inputs_that_may_be_negative_are_refused(offset, scale, samples, message):
    model = Model((ModelLayer("a", np.eye(2)),), preprocessing=Preprocessing(
        np.array([0.0, offset]), np.array([1.0, scale])))
    with pytest.raises(CompressError, match=f"^{re.escape(message)}$"):
        compress(model, calibration=samples and np.array(samples), nonnegative_inputs=True)


def test_offsets_that_are_folded_leave_signs_known():
    model = Model((ModelLayer("a", np.eye(2)),), preprocessing=Preprocessing(
        np.array([0.0, 0.5]), np.array([1.0, 2])))
    samples = np.array([[0.0, 0], [1, 1], [1, 0]])
    network = compress(model, calibration=samples, nonnegative_inputs=True)
    assert network.nonnegative_inputs
    assert not network.preprocessing.offset.any()


def test_fewer_shared_weights_than_codes():
    rng = np.random.default_rng(9)
    model = Model((ModelLayer("fc", rng.normal(size=(8, 9))),))
    network = compress(model, v_width=4, n_shared=3, calibration=rng.normal(size=(50, 9)),
                       reconstruct=True)
    assert network.layers[0].codebook.shape == (16,)
    assert 0 < np.count_nonzero(network.layers[0].codebook) <= 3
