import copy
import re
import reprlib

import numpy as np
import pytest
from scipy.sparse import csc_array, csr_array

from eie_compiler.network import CompressedNetwork, Layer, NetworkError, check_chain
from eie_compiler.patches import Patches
from eie_compiler.random_networks import make_layer, random_codes, random_network

CODEBOOK = np.array([0, 1.0, 2.0, 3.0])
CODES = csc_array(np.array([[1, 0], [2, 3]], np.uint8))


@pytest.mark.parametrize("changes, message", [
    ({"codes": csr_array(CODES)}, "codes must be a csc_array of uint8, not csr_array of uint8"),
    ({"codes": CODES.astype(np.int64)}, "codes must be a csc_array of uint8, not csc_array of "
                                        "int64"),
    ({"codes": csc_array((np.array([0], np.uint8), [0], [0, 1, 1]), shape=(2, 2))},
     "codes must not store code 0: zero weights are left out (call eliminate_zeros)"),
    ({"codes": csc_array((np.array([1, 1], np.uint8), [1, 0], [0, 2, 2]), shape=(2, 2))},
     "indices must strictly ascend in column 0, but 0 follows 1"),
    ({"codes": csc_array((np.array([1, 1], np.uint8), [1, 1], [0, 0, 2]), shape=(2, 2))},
     "indices must strictly ascend in column 1, but 1 follows 1"),
    ({"codes": csc_array((2, 0), dtype=np.uint8)},
     "shape must be two integers, rows and columns, from 1 to 16777216, not (2, 0)"),
    ({"codes": csc_array(((1 << 24) + 1, 1), dtype=np.uint8)},
     "shape must be two integers, rows and columns, from 1 to 16777216, not (16777217, 1)"),
    ({"codebook": [0.0]}, "codebook must be a one-dimensional array of float64, not list of "
                          "shape ()"),
    ({"codebook": np.zeros(5)},
     "codebook must have 4 to 256 entries, a power of two, not 5"),
    ({"codebook": np.array([0, np.nan, 0, 0])}, "codebook[1] must be finite, not nan"),
    ({"codes": csc_array(np.full((2, 2), 4, np.uint8))},
     "codes must be below 4, the length of the codebook, not 4"),
    ({"bias": np.array([1.0, np.inf])}, "bias[1] must be finite, not inf"),
    ({"bias": np.zeros((2, 1))}, "bias must be a one-dimensional array of float64, not float64 "
                                 "of shape (2, 1)"),
    *(({"name": name}, f"name must be printable text without slashes that does not begin with a "
                       f"dot, not {name!r}")
      for name in ("a\nb", "", "..", "../a", "a/b", "a\\b", ".a", 3)),
    ({"name": "é" * 101}, "name must have at most 200 bytes, as it names files, not 202"),
    ({"codebook": np.ones(4)}, "codebook[0] must be 0, not 1.0"),
    ({"bias": np.zeros(3)}, "bias must have one number for each of 2 rows, not shape (3,)"),
    ({"relu": 1}, "relu must be true or false, not 1"),
    ({"output_frac": 8.0}, "output_frac must be an integer from -64 to 64, not 8.0"),
    ({"max_weight_frac": 193}, "max_weight_frac must be an integer from -192 to 192, not 193"),
])
def test_a_wrong_layer_is_refused(changes, message):
    fields = {"name": "fc1", "codes": CODES, "codebook": CODEBOOK, "bias": np.zeros(2),
              "relu": False, "output_frac": 8} | changes
    expected = f"layer {reprlib.repr(fields['name'])}: {message}"
    with pytest.raises(NetworkError, match=f"^{re.escape(expected)}$"):
        Layer(**fields)


def test_a_codes_array_with_room_to_spare_is_refused():
    codes = CODES.copy()
    codes.data = np.append(codes.data, np.uint8(1))
    with pytest.raises(NetworkError, match="codes must have 3 data and indices, the last element "
                                           "of indptr, not 4 and 3$"):
        Layer("fc1", codes, CODEBOOK, np.zeros(2), False, 8)


def test_a_row_after_an_empty_column_may_be_lower():
    codes = csc_array((np.array([1, 1], np.uint8), [1, 0], [0, 1, 1, 2]), shape=(2, 3))
    assert Layer("fc1", codes, CODEBOOK, np.zeros(2), False, 8).n_nonzeros == 2


def test_layers_that_do_not_follow_one_another_are_refused():
    rng = np.random.default_rng(0)
    layers = tuple(make_layer(random_codes(rng, 3, 2, 1.0, 2), codebook=CODEBOOK, name=name)
                   for name in ("a", "b"))
    with pytest.raises(NetworkError, match="^layer 'b': shape must have 3 columns, one for each "
                                           "row of 'a', not 2$"):
        CompressedNetwork(layers, 8, 2)
    with pytest.raises(NetworkError, match="^layers must be a tuple of one or more layers$"):
        CompressedNetwork((), 8, 2)


def test_patches_that_are_not_what_the_first_layer_reads_are_refused():
    network = random_network(np.random.default_rng(0), [12, 3])
    patches = Patches((3, 5, 5), kernel=(2, 2))
    assert CompressedNetwork(network.layers, 8, 4, patches).patches == patches
    with pytest.raises(NetworkError, match="^layer 'fc1': shape must have 3 columns, one for "
                                           "each element of a patch, not 12$"):
        CompressedNetwork(network.layers, 8, 4, Patches((3, 5, 5)))


def test_pixels_of_a_patch_have_the_same_number_of_results():
    layers, patches = random_network(np.random.default_rng(0), [9, 4, 3]).layers, Patches((3, 5, 5))
    strips = Patches((3, 5, 5), pixels=3)
    assert CompressedNetwork(layers, 8, 4, strips).patches == strips
    with pytest.raises(NetworkError, match="^layer 'fc1': shape must have as many rows for each of "
                                           "3 pixels of a patch, not 4 rows$"):
        CompressedNetwork(layers[:1], 8, 4, strips)
    with pytest.raises(NetworkError, match="^layer 'fc1': shape must have 3 columns"):
        CompressedNetwork(layers, 8, 4, patches)


@pytest.mark.parametrize("changes, message", [
    ({"input_frac": -65}, "input_frac must be an integer from -64 to 64, not -65"),
    ({"v_width": 9}, "v_width must be an integer from 2 to 8, not 9"),
    ({"v_width": 3}, "layer 'fc1': codebook must have 2 ** v_width = 8 entries, not 16"),
])
def test_a_wrong_number_is_refused(changes, message):
    layers = random_network(np.random.default_rng(0), [2, 2]).layers
    with pytest.raises(NetworkError, match=f"^{re.escape(message)}$"):
        CompressedNetwork(**{"layers": layers, "input_frac": 8, "v_width": 4} | changes)


def test_two_layers_of_the_same_name_are_refused():
    layer = random_network(np.random.default_rng(0), [2, 2]).layers[0]
    with pytest.raises(NetworkError, match="^layer 'fc1': name must be unique$"):
        CompressedNetwork((layer, layer), 8, 4)


def test_names_of_many_layers_are_not_compared_in_pairs():
    calls = []

    class Name(str):
        """Text that counts its comparisons."""

        def __eq__(self, other):
            calls.append(self)
            return str.__eq__(self, other)

        def __hash__(self):
            calls.append(self)
            return str.__hash__(self)

    layer = make_layer(np.ones((1, 1), np.uint8), codebook=CODEBOOK)
    layers = [copy.copy(layer) for _ in range(1000)]
    for number, layer in enumerate(layers):
        object.__setattr__(layer, "name", Name(f"layer{number}"))
    CompressedNetwork(tuple(layers), 8, 2)
    assert len(layers) <= len(calls) < 10 * len(layers)


def test_rows_and_columns_of_all_layers_together_are_limited():
    check_chain([("a", (1 << 22, 1 << 22)), ("b", (1 << 22, 1 << 22))])
    with pytest.raises(NetworkError, match="^layers must have at most 16777216 rows and columns "
                                           "together, not 16777217$"):
        check_chain([("a", (1 << 22, 1 << 22)), ("b", (1 << 22, (1 << 22) + 1))])
