"""Network files of chains, and `eie_compiler.files.stored_network`."""

import dataclasses
import json
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from eie_compiler.files.network_file import read_network, write_network
from eie_compiler.lowering.strips import make_strips
from eie_compiler.network import CompressedNetwork, NetworkError
from eie_compiler.patches import Patches
from eie_compiler.preprocessing import Preprocessing
from eie_compiler.random_networks import make_layer, random_network

PAGE = Path(__file__).parents[3] / "docs" / "network-file.md"


def small_network():
    return random_network(np.random.default_rng(5), [5, 4, 3], density=0.5, v_width=2)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "small.npz"
    write_network(path, small_network())
    return path


def fields(network):
    yield network.v_width, network.input_frac, len(network.layers), network.patches
    for layer in network.layers:
        yield (layer.name, layer.relu, layer.output_frac, layer.max_weight_frac, layer.codes.shape,
               layer.codes.indptr.tolist(), layer.codes.indices.tolist(),
               layer.codes.data.tolist(), layer.codebook.tolist(), layer.bias.tolist())


def read(path):
    """Read header and data of a file."""
    with np.load(path, allow_pickle=False) as file:
        return json.loads(file["header"].tobytes()), file["data"]


def write(path, header, data, **more):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    np.savez_compressed(path, header=np.frombuffer(text, np.uint8),
                        data=np.frombuffer(bytes(data), np.uint8), **more)


@settings(max_examples=40)
@given(sizes=st.lists(st.integers(1, 60), min_size=2, max_size=4), v_width=st.integers(2, 8),
       density=st.sampled_from([0.0, 0.01, 0.3, 1.0]), single=st.booleans(),
       seed=st.integers(0, 1 << 32))
def test_loaded_is_what_was_saved(tmp_path_factory, sizes, v_width, density, single, seed):
    path = tmp_path_factory.mktemp("network") / "net.npz"
    network = random_network(np.random.default_rng(seed), sizes, density=density, v_width=v_width)
    if single:    # values exact in float32 are stored as float32
        for layer in network.layers:
            layer.codebook[:] = layer.codebook.astype(np.float32)
            layer.bias[:] = layer.bias.astype(np.float32)
    write_network(path, network)
    assert list(fields(read_network(path))) == list(fields(network))
    assert {layer["bias"] for layer in read(path)[0]["layers"]} \
        == {"float32" if single else "float64"}


@pytest.mark.parametrize("sizes, density", [([40, 30, 5], 0.2), ([90, 70], 0.001), ([3, 2], 0)])
def test_the_reader_in_the_docs_reads_it(tmp_path, sizes, density):
    network = random_network(np.random.default_rng(9), sizes, density=density)
    write_network(tmp_path / "net.npz", network)
    docs = {}
    exec(PAGE.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0], docs)
    read = list(docs["read"](tmp_path / "net.npz"))
    assert len(read) == len(network.layers)
    for (name, weight, bias), layer in zip(read, network.layers):
        assert name == layer.name and bias.tolist() == layer.bias.tolist()
        assert np.array_equal(weight, layer.codebook[layer.codes.toarray()])


@pytest.mark.parametrize("value", [1e300, 1e-300, 2.0 ** -149, 1 / 3, -0.0])
def test_numbers_are_exact(tmp_path, value):
    layer = make_layer(np.array([[1]], np.uint8), codebook=[0, value, -value, 1],
                       bias=np.array([value]))
    write_network(tmp_path / "net.npz", CompressedNetwork((layer,), 8, 2))
    loaded = read_network(tmp_path / "net.npz").layers[0]
    assert loaded.codebook.tobytes() == layer.codebook.tobytes()
    assert loaded.bias.tobytes() == layer.bias.tobytes()


def test_patches_are_kept(tmp_path):
    layers = random_network(np.random.default_rng(0), [12, 3]).layers
    patches = Patches((3, 5, 7), kernel=(2, 2), stride=(1, 2), padding=(0, 1, 2, 3))
    network = CompressedNetwork(layers, 8, 4, patches)
    loop = dataclasses.replace(network, patches=dataclasses.replace(patches, loop=2))
    for stored in (network, make_strips(network, 3), loop):
        write_network(tmp_path / "net.npz", stored)
        assert read_network(tmp_path / "net.npz").patches == stored.patches


def test_columns_after_the_last_weight_are_kept(tmp_path):
    network = CompressedNetwork((make_layer(np.eye(1, 5000, dtype=np.uint8),
                                            codebook=[0, 1, 2, 3]),), 8, 2)
    write_network(tmp_path / "net.npz", network)
    assert list(fields(read_network(tmp_path / "net.npz"))) == list(fields(network))


def test_a_large_sparse_layer_is_small_in_the_file(tmp_path):
    network = random_network(np.random.default_rng(1), [500, 200], density=0.05)
    write_network(tmp_path / "net.npz", network)
    # Positions at 5 % density have 0.29 bits of entropy per weight; 15 equally frequent codes, 4.
    bits = 100_000 * 0.29 + network.layers[0].n_nonzeros * 4
    numbers = 8 * (16 + 200)
    assert bits / 8 < (tmp_path / "net.npz").stat().st_size < 1.05 * bits / 8 + numbers + 700


def test_a_limit_of_the_fraction_bits_of_weights_is_saved(saved):
    network = small_network()
    first, *others = network.layers
    limited = dataclasses.replace(first, max_weight_frac=-5)
    network = dataclasses.replace(network, layers=(limited, *others))
    write_network(saved, network)
    assert list(fields(read_network(saved))) == list(fields(network))


def test_the_same_network_gives_the_same_file(tmp_path, saved):
    write_network(tmp_path / "again.npz", small_network())
    assert (tmp_path / "again.npz").read_bytes() == saved.read_bytes()


def test_every_truncated_file_is_refused(saved, tmp_path):
    content, cut = saved.read_bytes(), tmp_path / "cut.npz"
    for length in range(0, len(content), 7):
        cut.write_bytes(content[:length])
        with pytest.raises(NetworkError, match=f"^{re.escape(str(cut))}: "):
            read_network(cut)


def test_a_changed_byte_is_refused_or_means_the_same(saved, tmp_path):
    content, changed = bytearray(saved.read_bytes()), tmp_path / "changed.npz"
    expected, n_refused = list(fields(small_network())), 0
    rng = np.random.default_rng(6)
    for at in range(0, len(content), 2):
        flipped = content.copy()
        flipped[at] ^= int(rng.integers(1, 256))
        changed.write_bytes(flipped)
        try:
            assert list(fields(read_network(changed))) == expected, at
        except NetworkError:
            n_refused += 1
    assert n_refused > len(content) // 4    # other bytes are dates and the like


@pytest.mark.parametrize("part", ["header", "data"])
def test_a_changed_byte_with_a_valid_checksum_is_refused_or_another_network(saved, tmp_path, part):
    header, data = read(saved)
    parts = {"header": json.dumps(header).encode(), "data": data.tobytes()}
    rng, n_refused = np.random.default_rng(7), 0
    for at in rng.integers(0, len(parts[part]), 150):
        flipped = bytearray(parts[part])
        flipped[at] ^= 1 << int(rng.integers(8))
        write(tmp_path / "changed.npz", **parts | {part: bytes(flipped)})
        try:
            network = read_network(tmp_path / "changed.npz")
        except NetworkError:
            n_refused += 1
        else:
            write_network(tmp_path / "again.npz", network)
            assert list(fields(read_network(tmp_path / "again.npz"))) \
                == list(fields(network))
    assert n_refused > 0


def paths(value, path=()):
    """Paths to all values in JSON."""
    yield path
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from paths(value[key], (*path, key))


def changed(header, path, value):
    """Copy a header with another value at a path."""
    if not path:
        return value
    copy = header.copy()
    copy[path[0]] = changed(header[path[0]], path[1:], value) if path[1:] else value
    return copy


@pytest.mark.parametrize("value", [-1, 10 ** 12, 10 ** 30, 1.5, float("nan"), True, None, "text",
                                   [], {}, [[1]], [10 ** 12] * 2], ids=str)
def test_any_value_in_any_field_is_refused_or_possible(saved, tmp_path, value):
    header, data = read(saved)
    tried, n_refused = list(paths(header)), 0
    for path in tried:
        write(tmp_path / "other.npz", changed(header, path, value), data)
        try:
            read_network(tmp_path / "other.npz")
        except NetworkError:
            n_refused += 1
    assert n_refused >= len(tried) - 4    # a value suits a few fields at most


@pytest.mark.parametrize("promise", [
    {"layers": {"shape": [4, 2 ** 40]}}, {"layers": {"shape": [2 ** 24, 5]}},
    {"layers": {"entries": 10 ** 12}}, {"layers": {"codes": {"bits": 10 ** 13, "lengths": [0, 1]}}},
], ids=["columns", "rows", "entries", "bits"])
def test_a_promise_of_a_terabyte_takes_no_memory(saved, promise):
    header, data = read(saved)
    header["layers"][0] |= promise["layers"]
    write(saved, header, data)
    tracemalloc.start()
    with pytest.raises(NetworkError, match=re.escape(str(saved))):
        read_network(saved)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_other_bytes_are_refused(tmp_path):
    rng, path = np.random.default_rng(8), tmp_path / "noise.npz"
    for length in (0, 1, 22, 1000):
        path.write_bytes(rng.bytes(length))
        with pytest.raises(NetworkError, match="File must be an intact .npz archive"):
            read_network(path)


def test_a_missing_file_raises_file_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_network(tmp_path / "none.npz")


def test_a_file_of_version_1_is_refused(tmp_path):
    np.savez(tmp_path / "old.npz", kind="eie-network", version=1, v_width=4)
    with pytest.raises(NetworkError, match="old.npz: version must be 2 or 3, not 1: compress "
                                           "the network again, or use the release that wrote it$"):
        read_network(tmp_path / "old.npz")


def test_arrays_of_something_else_are_refused(tmp_path, saved):
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(NetworkError, match="File must contain the arrays header and data, not "
                                           r"\['a'\]: this is not a network file, which "
                                           "`eie compress` makes of a model$"):
        read_network(tmp_path / "other.npz")
    write(saved, *read(saved), extra=1)
    with pytest.raises(NetworkError, match=r"not \['header', 'data', 'extra'\]: this is no"):
        read_network(saved)
    np.savez(saved, header=np.zeros((2, 2), np.uint8), data=np.zeros(3, np.uint8))
    with pytest.raises(NetworkError, match="header must be a one-dimensional array of uint8, not "
                                           "uint8 of 2 dimensions$"):
        read_network(saved)
    np.savez(saved, header=np.zeros(3, np.uint8), data=np.zeros(3))
    with pytest.raises(NetworkError, match="data must be a one-dimensional array of uint8, not "
                                           "float64 of 1 dimensions$"):
        read_network(saved)


def test_a_model_is_named_with_its_command(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"model")
    with pytest.raises(NetworkError, match="; `eie compress` makes a network of a model$"):
        read_network(tmp_path / "m.onnx")


@pytest.mark.parametrize("text, message", [
    (b"{", "header must be JSON in UTF-8: Expecting"),
    (b"\xff", "header must be JSON in UTF-8: 'utf-8' codec"),
    (b"[" * 200_000, "header must have at most 32 objects and lists inside each other"),
    (b"9" * 10_000, "header must be JSON in UTF-8: Exceeds the limit"),
    (b"[]", "kind must be 'eie-network' in the header: this is not a network file"),
    (b'{"kind": "cheese"}', "kind must be 'eie-network' in the header"),
    (b'{"kind": "eie-network"}',
     "header must be an object with the fields kind, version, v_width, input_frac, patches, "
     "layers, not ['kind']"),
    (b'{"kind": "eie-network", "version": 4, "new": 1}',
     "version must be 2 or 3, not 4: compress the network again, or use the release that wrote it"),
])
def test_a_broken_header_is_refused(saved, text, message):
    write(saved, text, b"")
    with pytest.raises(NetworkError, match=f"^{re.escape(f'{saved}: {message}')}"):
        read_network(saved)


@pytest.mark.parametrize("path, value, message", [
    (["version"], 2.5, "version must be 2 or 3, not 2.5"),
    (["v_width"], 9, "v_width must be an integer from 2 to 8, not 9"),
    (["input_frac"], -65, "input_frac must be an integer from -64 to 64, not -65"),
    (["input_frac"], True, "header.input_frac must be an integer, not True"),
    (["layers"], [], "layers must be a tuple of one or more layers"),
    (["patches"], 3, "header.patches must be an object or null, not 3"),
    (["patches"], {}, "patches must be an object with the fields shape, kernel, stride, dilation, "
                      "padding, not []"),
    (["patches"], {"shape": [5, 0, 1], "kernel": [1, 1], "stride": [1, 1], "dilation": [1, 1],
                   "padding": [0, 0, 0, 0]},
     "patches: shape must be 3 integers of 1 or more, not (5, 0, 1)"),
    (["layers", 0], 3, "layers[0] must be an object with the fields name, shape, relu, "
                       "output_frac, codebook, bias, run_width, entries, codes, runs, not 3"),
    (["layers", 1, "relu"], 1, "layers[1].relu must be true or false, not 1"),
    (["layers", 0, "shape"], [4], "layers[0].shape must be two integers, rows and columns, from 1 "
                                  "to 16777216, not [4]"),
    (["layers", 0, "shape"], [4, (1 << 24) + 1], "layers[0].shape must be two integers"),
    (["layers", 0, "shape"], [4, 0], "layers[0].shape must be two integers"),
    (["layers", 0, "shape"], [4, 5.0], "layers[0].shape must be two integers"),
    (["layers", 0, "shape"], [4, 3],
     "layers[0].runs must end within the 4 × 3 weights, not at weight "),
    (["layers", 0, "shape"], [10 ** 6, 5],
     "layer 'fc2': shape must have 1000000 columns, one for each row of 'fc1', not 4"),
    (["layers", 1, "shape"], [10 ** 6, 4],
     "data must contain 8000000 bytes for layers[1].bias from byte "),
    (["layers", 0, "codebook"], "int8",
     "layers[0].codebook must be 'float32' or 'float64', not 'int8'"),
    (["layers", 0, "run_width"], 13, "layers[0].run_width must be an integer from 1 to 12, not 13"),
    (["layers", 0, "entries"], 10 ** 9, "layers[0].codes: "),
    (["layers", 0, "codes", "bits"], -1, "layers[0].codes.bits must be an integer from 0 to "),
    (["layers", 0, "codes", "lengths"], [1, 1, 1], "layers[0].codes: lengths must be those of a "
                                                   "complete prefix code"),
    (["layers", 0, "codes", "lengths"], [1] * 5,
     "layers[0].codes.lengths must be at most 4 integers from 0 to 31, not 5: [1, 1, 1, 1, 1]"),
    (["layers", 0, "codes", "lengths"], [32],
     "layers[0].codes.lengths must be at most 4 integers from 0 to 31, not 1: [32]"),
    (["layers", 0, "runs"], {}, "layers[0].runs must be an object with the fields bits, lengths, "
                                "not []"),
    (["layers", 0, "name"], "a/b", "layer 'a/b': name must be printable text without slashes"),
    (["layers", 0, "name"], "fc2", "layer 'fc2': name must be unique"),
    (["layers", 0, "max_weight_frac"], 8.5, "layers[0].max_weight_frac must be an integer"),
    (["layers", 0, "output_frac"], 65,
     "layer 'fc1': output_frac must be an integer from -64 to 64, not 65"),
])
def test_a_wrong_field_is_refused(saved, path, value, message):
    header, data = read(saved)
    write(saved, changed(header, path, value), data)
    with pytest.raises(NetworkError, match=f"^{re.escape(f'{saved}: {message}')}"):
        read_network(saved)


def test_bytes_after_the_last_layer_are_refused(saved):
    header, data = read(saved)
    write(saved, header, data.tobytes() + b"\0")
    with pytest.raises(NetworkError, match=f"data must end at byte {len(data)}, after all "
                                           f"numbers, not at byte {len(data) + 1}$"):
        read_network(saved)


def preprocessed():
    return dataclasses.replace(
        small_network(), preprocessing=Preprocessing(np.array([0, 1 / 3, -2, 1e9, 5]),
                                                     np.array([1, 0.5, -2, 4, 1e-3])),
        nonnegative_inputs=True)


def test_preprocessing_and_signs_are_restored(tmp_path):
    path = tmp_path / "net.npz"
    write_network(path, preprocessed())
    found = read_network(path)
    assert list(fields(found)) == list(fields(preprocessed()))
    for name in ("offset", "scale"):
        np.testing.assert_array_equal(getattr(found.preprocessing, name),
                                      getattr(preprocessed().preprocessing, name), strict=True)
    assert found.nonnegative_inputs


def test_networks_without_preprocessing_have_no_field_of_it(saved):
    assert not {"preprocessing", "nonnegative_inputs"} & read(saved)[0].keys()


@pytest.mark.parametrize("change, message", [
    ({"preprocessing": {"offset": "float32"}},
     "preprocessing must be an object with the fields offset, scale, not ['offset']"),
    ({"preprocessing": {"offset": "int8", "scale": "float32"}},
     "preprocessing.offset must be 'float32' or 'float64', not 'int8'"),
    ({"preprocessing": {"offset": "float64", "scale": "float64"}},
     "data must contain 40 bytes for preprocessing.scale from byte "),
    ({"preprocessing": None}, "header.preprocessing must be an object, not None"),
    ({"nonnegative_inputs": 1}, "header.nonnegative_inputs must be true or false, not 1"),
])
def test_wrong_preprocessing_is_refused(tmp_path, change, message):
    path = tmp_path / "net.npz"
    network = preprocessed()
    network.preprocessing.scale[-1] = 0.25    # float32
    write_network(path, network)
    header, data = read(path)
    write(path, header | change, data)
    with pytest.raises(NetworkError, match=re.escape(f"{path}: {message}")):
        read_network(path)


def test_scales_of_zero_in_a_file_are_refused(tmp_path):
    path = tmp_path / "net.npz"
    write_network(path, preprocessed())
    header, data = read(path)
    write(path, header, data.tobytes()[:-8] + bytes(8))
    with pytest.raises(NetworkError, match=r"preprocessing: scale\[4\] must not be 0$"):
        read_network(path)


def test_columns_that_no_layer_before_has_rows_for_take_no_memory(saved):
    header, data = read(saved)
    header["layers"][0] |= {"codes": {"bits": 0, "lengths": []}, "entries": 0,
                            "runs": {"bits": 0, "lengths": []}}
    header["layers"] = [header["layers"][0] | {"name": str(number), "shape": [1, 2_000_000]}
                        for number in range(2)]
    write(saved, header, data)
    tracemalloc.start()
    with pytest.raises(NetworkError, match="layer '1': shape must have 1 columns, one for each row "
                                           "of '0', not 2000000$"):
        read_network(saved)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_a_stream_of_no_matrix_is_refused(tmp_path):
    path = tmp_path / "net.npz"
    layer = make_layer(np.array([[1, 2]], np.uint8), codebook=[0, 1, 2, 3])
    write_network(path, CompressedNetwork((layer,), 8, 2))
    header, data = read(path)
    # Codes 1 and 2 become 1 and 0; runs are 0 and 0.
    header["layers"][0]["codes"] = {"bits": 2, "lengths": [1, 1]}
    data = data.copy()
    data[-2] = 0b10000000
    write(path, header, data)
    with pytest.raises(NetworkError, match=r"layers\[0\].runs\[1\] must be 1, the run of padding "
                                           r"\(code 0\), not 0$"):
        read_network(path)


@pytest.mark.parametrize("widths", [{}, {"act_width": 12}, {"act_width": 8, "codebook_width": 5}])
def test_widths_are_restored_and_absent_if_not_known(tmp_path, widths):
    network = dataclasses.replace(
        random_network(np.random.default_rng(1), [4, 3], frac=4, v_width=3), **widths)
    write_network(tmp_path / "n.npz", network)
    found = read_network(tmp_path / "n.npz")
    assert (found.act_width, found.codebook_width) == (widths.get("act_width"),
                                                       widths.get("codebook_width"))


@pytest.mark.parametrize("width", [0, 65, True, 8.0])
def test_widths_are_integers_in_range(width):
    with pytest.raises(NetworkError, match="^act_width must be an integer from 1 to 64, not "):
        dataclasses.replace(
            random_network(np.random.default_rng(1), [4, 3], frac=4, v_width=3), act_width=width)
