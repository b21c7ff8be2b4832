"""Random networks have the shape, density and formats asked for."""

import numpy as np
import pytest

from eie_compiler.random_networks import make_layer, random_codes, random_network


@pytest.mark.parametrize("density", [0, 0.2, 1])
def test_codes_have_about_the_density_and_never_more_than_their_bits(density):
    codes = random_codes(np.random.default_rng(1), 200, 100, density, v_width=3)
    assert codes.shape == (200, 100) and codes.dtype == np.uint8
    assert codes.max() == (7 if density else 0)
    assert (codes != 0).mean() == pytest.approx(density, abs=0.01)


def test_a_layer_without_biases_has_zeros():
    layer = make_layer(np.array([[0, 2], [1, 0]], np.uint8), codebook=[0, 0.5, -1, 2])
    assert layer.bias.tolist() == [0, 0]
    assert (layer.codes.toarray() == [[0, 2], [1, 0]]).all()


def test_a_seed_gives_the_same_network_and_relus_end_all_but_the_last_layer():
    first, second = (random_network(np.random.default_rng(5), [30, 20, 10, 4], frac=6)
                     for _ in range(2))
    assert [(layer.name, layer.n_rows, layer.n_cols, layer.relu) for layer in first.layers] == [
        ("fc1", 20, 30, True), ("fc2", 10, 20, True), ("fc3", 4, 10, False)]
    assert {first.input_frac, *(layer.output_frac for layer in first.layers)} == {6}
    for one, other in zip(first.layers, second.layers):
        assert (one.codes != other.codes).nnz == 0
        assert one.codebook.tolist() == other.codebook.tolist()
        assert one.bias.tolist() == other.bias.tolist()
