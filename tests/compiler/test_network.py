import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csc_array, csr_array

from eie_compiler.network import CompressedNetwork, Layer, NetworkError
from eie_compiler.testing import make_layer, random_codes, random_network


def small_network():
    return random_network(np.random.default_rng(5), [5, 4, 3], density=0.5, v_width=2)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "small.npz"
    small_network().save(path)
    return path


def fields(network):
    yield network.v_width, network.input_frac, len(network.layers)
    for layer in network.layers:
        yield (layer.name, layer.relu, layer.output_frac, layer.codes.shape,
               layer.codes.indptr.tolist(), layer.codes.indices.tolist(),
               layer.codes.data.tolist(), layer.codebook.tolist(), layer.bias.tolist())


@settings(max_examples=25)
@given(sizes=st.lists(st.integers(1, 20), min_size=2, max_size=4), v_width=st.integers(2, 8),
       density=st.sampled_from([0.0, 0.3, 1.0]), seed=st.integers(0, 1 << 32))
def test_loaded_is_what_was_saved(tmp_path_factory, sizes, v_width, density, seed):
    path = tmp_path_factory.mktemp("network") / "net.npz"
    network = random_network(np.random.default_rng(seed), sizes, density=density, v_width=v_width)
    network.save(path)
    assert list(fields(CompressedNetwork.load(path))) == list(fields(network))


def test_the_same_network_gives_the_same_file(tmp_path, saved):
    small_network().save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == saved.read_bytes()


def test_every_truncated_file_is_refused(saved, tmp_path):
    content, cut = saved.read_bytes(), tmp_path / "cut.npz"
    for length in range(0, len(content), 7):
        cut.write_bytes(content[:length])
        with pytest.raises(NetworkError, match=f"^{re.escape(str(cut))}: "):
            CompressedNetwork.load(cut)


def test_a_changed_byte_is_refused_or_means_the_same(saved, tmp_path):
    content, changed = bytearray(saved.read_bytes()), tmp_path / "changed.npz"
    expected, n_refused = list(fields(small_network())), 0
    rng = np.random.default_rng(6)
    places = rng.permutation(len(content))[:1000]
    for at in places:
        flipped = content.copy()
        flipped[at] ^= int(rng.integers(1, 256))
        changed.write_bytes(flipped)
        try:
            assert list(fields(CompressedNetwork.load(changed))) == expected, at
        except NetworkError:
            n_refused += 1
    assert n_refused > len(places) // 2    # the rest is dates and the like


@pytest.mark.parametrize("value", [
    0, -1, 10 ** 18, 1.5, np.nan, True, "text", [], [[1]], [-1, 300], [np.inf] * 4, ["a"] * 4,
    np.zeros((0, 3)), np.arange(5, dtype=np.uint8), np.full(10, 2 ** 63, np.uint64),
], ids=str)
def test_any_value_in_any_field_is_refused_or_possible(saved, tmp_path, value):
    with np.load(saved, allow_pickle=False) as file:
        arrays = dict(file)
    n_refused = 0
    for name in arrays:
        np.savez(tmp_path / "other.npz", **arrays | {name: value})
        try:
            CompressedNetwork.load(tmp_path / "other.npz")
        except NetworkError as error:
            assert name.rpartition(".")[2] in str(error)
            n_refused += 1
    assert n_refused >= len(arrays) - 5    # a value has the type of five fields at most


def test_other_bytes_are_refused(tmp_path):
    rng, path = np.random.default_rng(8), tmp_path / "noise.npz"
    for length in (0, 1, 22, 1000):
        path.write_bytes(rng.bytes(length))
        with pytest.raises(NetworkError, match="File must be a whole .npz archive"):
            CompressedNetwork.load(path)


def test_a_missing_file_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        CompressedNetwork.load(tmp_path / "none.npz")


@pytest.mark.parametrize("changes, message", [
    ({"kind": "cheese"},
     "kind must be there and be 'eie-network': this is no network file"),
    ({"kind": None},
     "kind must be there and be 'eie-network': this is no network file"),
    ({"version": 2},
     "version must be 1, not 2: compress the network again, or use the release that wrote it"),
    ({"n_layers": 3},
     "n_layers must be the number of layers in the file, not 3: there are 23 arrays, not 5 and 9 "
     "for each layer"),
    ({"n_layers": 10 ** 15},
     "n_layers must be the number of layers in the file, not 1000000000000000: there are 23 "
     "arrays, not 5 and 9 for each layer"),
    ({"n_layers": 2.0}, "n_layers must be integers of 0 dimensions, not float64 of 0"),
    ({"extra": 1},
     "n_layers must be the number of layers in the file, not 2: there are 24 arrays, not 5 and 9 "
     "for each layer"),
    ({"layer1.relu": None, "extra": 1}, "layer1.relu must be there; the file has "),
    ({"layer0.shape": [4]}, "layer0.shape must be two positive numbers below 2 ** 31, not [4]"),
    ({"layer0.shape": [4, 0]},
     "layer0.shape must be two positive numbers below 2 ** 31, not [4, 0]"),
    ({"layer0.shape": [4, 1 << 31]},
     "layer0.shape must be two positive numbers below 2 ** 31, not [4, 2147483648]"),
    ({"layer0.shape": [4, 1 << 30]},
     "layer0.indptr must have 1073741825 numbers, one more than there are columns, not 6"),
    ({"layer0.codes": np.ones(3)},
     "layer0.codes must be unsigned integers of 1 dimensions, not float64 of 1"),
    ({"layer0.codes": np.ones(3, np.uint16)}, "layer0.codes must be uint8, not uint16"),
    ({"layer0.codes": np.ones(3, np.uint8)},
     "layer0.indices must have a row for each of 3 codes, not 10"),
    ({"layer0.indptr": np.array([0, 10, 5, 10, 10, 10])},
     "layer0.indptr must ascend from 0 to 10, the number of codes"),
    ({"layer0.indices": np.arange(10)}, "layer0.indices must be rows from 0 to 3, not from 0 to 9"),
    ({"layer0.indices": np.zeros(10, int)},
     "layer 'fc1': indices must ascend in column 0, and no row must be there twice: 0 follows 0"),
    ({"layer0.codebook": np.zeros(4, int)},
     "layer0.codebook must be floating-point numbers of 1 dimensions, not int64 of 1"),
    ({"layer0.codebook": np.ones(4)}, "layer 'fc1': codebook[0] must be 0, not 1.0"),
    ({"layer0.codebook": np.zeros(8)},
     "layer 'fc1': codebook must have 2 ** v_width = 4 entries, not 8"),
    ({"layer0.bias": np.zeros(3)},
     "layer 'fc1': bias must have a number for each of 4 rows, not shape (3,)"),
    ({"layer0.name": 3}, "layer0.name must be text of 0 dimensions, not int64 of 0"),
    *(({"layer0.name": name}, f"layer {name!r}: name must be printable text without slashes that "
                               f"does not begin with a dot, not {name!r}")
      for name in ("a\nb", "", "..", "../a", "a/b", "a\\b", ".a")),
    ({"layer0.relu": 1}, "layer0.relu must be booleans of 0 dimensions, not int64 of 0"),
    ({"layer0.output_frac": 65},
     "layer 'fc1': output_frac must be an integer from -64 to 64, not 65"),
    ({"input_frac": -65}, "input_frac must be an integer from -64 to 64, not -65"),
    ({"v_width": 9}, "v_width must be an integer from 2 to 8, not 9"),
    ({"layer0.name": "fc2"}, "layer 'fc2': name must belong to one layer only"),
])
def test_a_wrong_field_is_refused(saved, changes, message):
    with np.load(saved, allow_pickle=False) as file:
        arrays = dict(file) | changes
    np.savez(saved, **{key: value for key, value in arrays.items() if value is not None})
    with pytest.raises(NetworkError, match=f"^{re.escape(f'{saved}: {message}')}"):
        CompressedNetwork.load(saved)


CODEBOOK = np.array([0, 1.0, 2.0, 3.0])
CODES = csc_array(np.array([[1, 0], [2, 3]], np.uint8))


@pytest.mark.parametrize("changes, message", [
    ({"codes": csr_array(CODES)}, "codes must be a csc_array of uint8, not csr_array of uint8"),
    ({"codes": CODES.astype(np.int64)}, "codes must be a csc_array of uint8, not csc_array of "
                                        "int64"),
    ({"codes": csc_array((np.array([0], np.uint8), [0], [0, 1, 1]), shape=(2, 2))},
     "codes must not store code 0: zero weights are left out (call eliminate_zeros)"),
    ({"codes": csc_array((np.array([1, 1], np.uint8), [1, 0], [0, 2, 2]), shape=(2, 2))},
     "indices must ascend in column 0, and no row must be there twice: 0 follows 1"),
    ({"codes": csc_array((np.array([1, 1], np.uint8), [1, 1], [0, 0, 2]), shape=(2, 2))},
     "indices must ascend in column 1, and no row must be there twice: 1 follows 1"),
    ({"codes": csc_array((2, 0), dtype=np.uint8)},
     "shape must have one row and one column or more, not 2 × 0"),
    ({"codebook": [0.0]}, "codebook must be float64 of one dimension, not list of shape ()"),
    ({"codebook": np.zeros(5)},
     "codebook must have a power of two from 4 to 256 entries, not 5"),
    ({"codebook": np.array([0, np.nan, 0, 0])}, "codebook[1] must be finite, not nan"),
    ({"codes": csc_array(np.full((2, 2), 4, np.uint8))},
     "codes must be below 4, the length of the codebook, not 4"),
    ({"bias": np.array([1.0, np.inf])}, "bias[1] must be finite, not inf"),
    ({"bias": np.zeros((2, 1))}, "bias must be float64 of one dimension, not float64 of shape "
                                 "(2, 1)"),
    ({"relu": 1}, "relu must be true or false, not 1"),
    ({"output_frac": 8.0}, "output_frac must be an integer from -64 to 64, not 8.0"),
])
def test_a_wrong_layer_is_refused(changes, message):
    fields = {"name": "fc1", "codes": CODES, "codebook": CODEBOOK, "bias": np.zeros(2),
              "relu": False, "output_frac": 8}
    with pytest.raises(NetworkError, match=f"^{re.escape(f'''layer 'fc1': {message}''')}$"):
        Layer(**fields | changes)


def test_a_codes_array_with_room_to_spare_is_refused():
    codes = CODES.copy()
    codes.data = np.append(codes.data, np.uint8(1))
    with pytest.raises(NetworkError, match="codes must hold the 3 numbers that indptr ends at, "
                                           "not 4 and 3 indices$"):
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
    with pytest.raises(NetworkError, match="^layers must be a tuple of one layer or more$"):
        CompressedNetwork((), 8, 2)
