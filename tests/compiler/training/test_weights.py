import numpy as np
import pytest

from eie_compiler.frontends import read_model
from eie_compiler.training.module import Module
from eie_compiler.training.weights import write_weights


@pytest.mark.parametrize("sizes", [[6, 3], [8, 16, 12, 4]])
def test_the_file_is_read_as_the_same_model(tmp_path, sizes):
    module = Module.new(sizes, seed=4)
    for bias in module.biases:
        bias.data += 0.25
    model = module.to_model()
    write_weights(tmp_path / "weights.npz", model)
    read = read_model(tmp_path / "weights.npz")
    assert [(layer.name, layer.relu) for layer in read.layers] \
        == [(layer.name, layer.relu) for layer in model.layers]
    for found, layer in zip(read.layers, model.layers):
        np.testing.assert_array_equal(found.weight, layer.weight)
        np.testing.assert_array_equal(found.bias, layer.bias)
