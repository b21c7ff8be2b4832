import numpy as np
from scipy.sparse import csc_array

from eie_compiler.compression.decompress import decompress
from eie_compiler.network import CompressedNetwork
from eie_compiler.patches import Patches
from eie_compiler.random_networks import make_layer


def test_every_code_becomes_its_weight_and_the_rest_is_kept():
    codes = np.array([[0, 1, 3, 0], [2, 0, 0, 1]], np.uint8)
    layer = make_layer(codes, codebook=[0, 0.5, -1.5, 1e-30], name="a", bias=np.array([1.0, -2]),
                       relu=True)
    patches = Patches((1, 3, 3), (2, 2))
    model = decompress(CompressedNetwork((layer,), 8, 2, patches))
    found, = model.layers
    assert isinstance(found.weight, csc_array)
    assert found.weight.toarray().tolist() == [[0, 0.5, 1e-30, 0], [-1.5, 0, 0, 0.5]]
    assert (found.name, found.bias.tolist(), found.relu) == ("a", [1, -2], True)
    assert model.patches == patches


def test_a_shared_weight_of_zero_stays_stored():
    layer = make_layer(np.array([[1, 2]], np.uint8), codebook=[0, 0, 1, 2])
    weight = decompress(CompressedNetwork((layer,), 8, 2)).layers[0].weight
    assert weight.nnz == 2 and weight.toarray().tolist() == [[0, 1]]
