"""Arrays and sparse matrices of NumPy files, and `read_model` of `eie_compiler.frontends`."""

import re
import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp

from eie_compiler.compression.compress import compress
from eie_compiler.frontends import FrontEndError, FrontEndWarning, read_model
from eie_compiler.frontends.arrays import from_arrays, from_sparse
from eie_compiler.patches import Patches


def sparse_arrays(name, matrix):
    """Arrays of a csc_array, by the names of our .npz files."""
    return {f"{name}.data": matrix.data, f"{name}.indices": matrix.indices,
            f"{name}.indptr": matrix.indptr, f"{name}.shape": np.array(matrix.shape)}


def error_of(tmp_path, **arrays):
    """Message about a file of these arrays, without the name of the file."""
    np.savez(tmp_path / "w.npz", **arrays)
    with pytest.raises(FrontEndError) as caught:
        read_model(tmp_path / "w.npz")
    return str(caught.value).removeprefix(f"{tmp_path / 'w.npz'}: ")


def test_layers_come_in_the_order_of_the_file(tmp_path):
    path = tmp_path / "w.npz"
    np.savez(path, **{"z.weight": np.ones((3, 2)), "z.bias": np.ones(3),
                      "a_weight": np.ones((2, 3)), "a_bias": np.zeros(2),
                      "m.weight": np.ones((1, 2))})
    model = read_model(path)
    assert [(layer.name, layer.weight.shape, layer.relu) for layer in model.layers] \
        == [("z", (3, 2), True), ("a", (2, 3), True), ("m", (1, 2), False)]
    assert model.layers[0].bias.tolist() == [1, 1, 1]
    assert model.layers[2].bias.tolist() == [0]
    assert model.patches is None


def test_layers_can_be_chosen_and_put_in_order(tmp_path):
    path = tmp_path / "w.npz"
    np.savez(path, **{"head.weight": np.ones((2, 3)), "body.weight": np.ones((3, 4)),
                      "body.bias": np.ones(3), "steps": np.array(5)})
    with pytest.warns(FrontEndWarning, match="^ignored: steps$"):
        model = read_model(path, layers=["body", "head"], relu=[False, True], ignore=["steps"])
    assert model.notes == ("ignored: steps",)
    assert [(layer.name, layer.relu) for layer in model.layers] == [("body", False), ("head", True)]
    np.testing.assert_array_equal(model(np.ones((1, 4))), [[15, 15]])


def test_sparse_and_dense_layers_make_one_model(tmp_path):
    rng = np.random.default_rng(0)
    first = sp.random_array((5, 7), density=0.3, format="csc", rng=rng)
    second = rng.normal(size=(3, 5)).astype(np.float32)
    np.savez(tmp_path / "w.npz", **sparse_arrays("a", first), **{"a.bias": np.arange(5.0),
                                                                 "b.weight": second})
    model = read_model(tmp_path / "w.npz")
    x = rng.normal(size=(4, 7))
    np.testing.assert_allclose(
        model(x), np.maximum(x @ first.toarray().T + np.arange(5), 0) @ second.T)
    assert isinstance(model.layers[0].weight, sp.csc_array)


@pytest.mark.parametrize("kind", ["csc", "csr", "coo"])
def test_a_file_of_save_npz_is_a_model_of_one_layer(tmp_path, kind):
    matrix = sp.random_array((6, 9), density=0.4, format=kind, rng=np.random.default_rng(1))
    sp.save_npz(tmp_path / "gate.npz", matrix)
    layer, = read_model(tmp_path / "gate.npz").layers
    assert layer.name == "gate" and not layer.relu
    np.testing.assert_array_equal(layer.weight.toarray(), matrix.toarray())


def test_a_file_of_save_npz_in_another_format_is_refused(tmp_path):
    sp.save_npz(tmp_path / "gate.npz", sp.eye_array(3, format="dia"))
    with pytest.raises(FrontEndError, match=r"gate\.npz: format of a sparse matrix must be csc, "
                                            r"csr, coo, not 'dia': matrix\.tocsc\(\) converts it"):
        read_model(tmp_path / "gate.npz")


@pytest.mark.parametrize("keys, message", [
    (("header", "data"), "file must be a model, not a network, which is compressed already: `eie "
                         "compile` takes it"),
    (("train_inputs", "train_labels", "test_inputs"),
     "file must be a model, not data for `eie train`, which makes a model of them"),
])
def test_other_files_of_the_project_are_named(tmp_path, keys, message):
    assert error_of(tmp_path, **{key: np.ones(3) for key in keys}) == message


def test_sparse_matrices_are_read_in_their_order():
    rng = np.random.default_rng(2)
    matrices = [sp.random_array((5, 7), density=0.5, format="coo", rng=rng),
                sp.csr_matrix(rng.normal(size=(2, 5)))]
    model = from_sparse(matrices, biases=[None, np.array([1.0, 2.0])])
    x = rng.normal(size=(3, 7))
    hidden = np.maximum(x @ matrices[0].toarray().T, 0)
    np.testing.assert_allclose(model(x), hidden @ matrices[1].toarray().T + [1, 2])
    assert [layer.name for layer in model.layers] == ["layer1", "layer2"]


@pytest.mark.parametrize("options, message", [
    ({"biases": [None, None]}, "biases must have one for each of 1 matrices, not 2"),
    ({"names": ["a", "b"]}, "names must have one for each of 1 matrices, not 2"),
    ({"relu": []}, "relu must have one for each of 1 layers, not 0"),
    ({"matrices": [np.eye(2)]}, "layer 'layer1': must be a SciPy sparse matrix, not ndarray"),
])
def test_wrong_sparse_matrices_are_refused(options, message):
    with pytest.raises(FrontEndError, match=f"^{re.escape(message)}$"):
        from_sparse(**{"matrices": [sp.eye_array(2)], **options})


def test_arrays_of_four_dimensions_are_convolutions():
    rng = np.random.default_rng(3)
    arrays = {"c.weight": rng.normal(size=(4, 2, 3, 3)), "p.weight": rng.normal(size=(5, 4, 1, 1))}
    model = from_arrays(arrays, image=(2, 6, 7))
    assert model.patches == Patches((2, 6, 7), (3, 3))
    images = rng.normal(size=(2, 2, 6, 7))
    windows = np.lib.stride_tricks.sliding_window_view(images, (3, 3), axis=(2, 3))
    hidden = np.maximum(np.einsum("bcyxhw,ochw->boyx", windows, arrays["c.weight"]), 0)
    expected = np.einsum("bcyx,oc->boyx", hidden, arrays["p.weight"][:, :, 0, 0])
    np.testing.assert_allclose(model.patches.join(model(model.patches.cut(images))), expected)


#: Message about arrays of no layer.
OTHER = (" (of no linear layer or convolution, but possibly of a normalisation, a PReLU or other "
         "operations: export the model to ONNX); or leave them out with ignore=NAMES, if they do "
         "not change the results")


@pytest.mark.parametrize("arrays, message", [
    ({"fc1.weight": np.ones((2, 2)), "fc2.bias": np.ones(2)},
     f"arrays must be named NAME.weight and NAME.bias, not fc2.bias{OTHER}"),
    ({}, "arrays must be named NAME.weight and NAME.bias; there are none"),
    ({"a.weight": np.ones((2, 2)), "a_weight": np.ones((2, 2))}, "layer 'a' must be present only "
                                                                 "once"),
    ({"a.weight": np.ones((2, 2), int)},
     "layer 'a': weight must be a matrix of floating-point numbers, not int64 of shape "
     "(2, 2)"),
    ({"a.weight": np.ones((2, 0, 1, 1))},
     "layer 'a': weight must be a matrix of floating-point numbers, not float64 of "
     "shape (2, 0, 1, 1)"),
    ({"a.weight": np.ones(2)},
     f"arrays must be named NAME.weight and NAME.bias, not a.weight{OTHER}"),
    ({"a.weight": np.ones((2, 2)), "a.bias": np.array(["x", "y"])},
     "layer 'a': bias must be floating-point numbers of shape (2,), not <U1 of shape "
     "(2,)"),
    ({"a.weight": np.ones((2, 1, 3, 3))},
     "layer 'a': shape of the image must be known: give image=C,H,W, its channels, "
     "height and width"),
    ({"a.data": np.ones(1)}, "layer 'a': array shape of a sparse matrix must be present"),
])
def test_other_arrays_are_refused(tmp_path, arrays, message):
    assert error_of(tmp_path, **arrays) == message


@pytest.mark.parametrize("change, message", [
    ({"shape": np.array([4, -3])}, "shape must be two integers from 1 to 16777216, not [4, -3]"),
    ({"shape": np.array([1 << 40, 3])},
     "shape must be two integers from 1 to 16777216, not [1099511627776, 3]"),
    ({"indptr": np.array([0.0, 1, 2, 3])}, "data must be floating-point numbers, indices and indptr"
     " integers, all of one dimension"),
    ({"indices": np.array([0, 4, 1])}, "must be a sparse matrix in format csc: "),
    ({"indices": np.array([0, -1, 1])}, "must be a sparse matrix in format csc: "),
    ({"indptr": np.array([0, 2, 1, 3])}, "must be a sparse matrix in format csc: "),
    ({"indptr": np.array([0, 3])}, "must be a sparse matrix in format csc: "),
    ({"indptr": np.array([0, 1, 1, 2])}, "indptr must end at 3, the length of data, not 2"),
])
def test_invalid_sparse_matrices_are_refused(tmp_path, change, message):
    matrix = sp.csc_array(np.array([[1.0, 0, 0], [0, 0, 3], [0, 2, 0], [0, 0, 0]]))
    arrays = sparse_arrays("a", matrix) | {f"a.{field}": array for field, array in change.items()}
    assert error_of(tmp_path, **arrays).startswith(f"layer 'a': {message}")


def test_a_broken_file_is_refused(tmp_path):
    (tmp_path / "w.npz").write_bytes(b"PK")
    with pytest.raises(FrontEndError, match=r"w\.npz: File must be an intact \.npz archive"):
        read_model(tmp_path / "w.npz")


def test_a_missing_file_is_reported(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_model(tmp_path / "w.npz")


@pytest.mark.parametrize("name, options, message", [
    ("model.pkl", {}, "file must be .onnx, .pt2, .tflite, .npz, .safetensors, .pt, .pth, or "
                      "a Deep Compression stream with shapes=FILE: a pickle can run code: load it, "
                      "and pass the model to its front end, or export it to ONNX"),
    ("model.tflite", {"image": (1, 8, 8)}, "options for this format must be first=, last=, fix=, "
                                           "not image="),
    ("w.npz", {"first": "x"}, "options for this format must be layers=, relu=, image=, ignore=, "
                              "not first="),
    ("model.onnx", {"layers": ["x"]}, "options for this format must be first=, last=, image=, "
                                      "fold_batch_norm=, fix=, not layers="),
])
def test_kinds_of_files_and_their_options_are_checked(name, options, message):
    with pytest.raises(FrontEndError, match=f"^{re.escape(f'{name}: {message}')}$"):
        read_model(name, **options)


def test_a_layer_may_be_computed_twice():
    model = from_arrays({"a.weight": -np.eye(2)}, layers=["a", "a"])
    assert [(layer.name, layer.relu) for layer in model.layers] == [("a", True), ("a_2", False)]


def test_matrices_of_the_caller_stay_as_they_are():
    parts = np.array([1.0, 2.0, 3.0]), np.array([1, 0, 0], np.int32), np.array([0, 3, 3], np.int32)
    for part in parts:
        part.flags.writeable = False
    layer, = from_sparse([sp.csc_array(parts, shape=(2, 2))]).layers
    assert layer.weight.toarray().tolist() == [[5, 0], [1, 0]]


def test_a_layer_that_does_not_fit_takes_no_memory_for_its_bias():
    column = sp.csc_array((np.ones(1), [0], [0, 1]), shape=(1 << 20, 1))
    arrays = sparse_arrays("a", column) | sparse_arrays("b", column)
    tracemalloc.start()
    with pytest.raises(FrontEndError, match="^layer 'b': must have 1048576 inputs, the results of "
                                            "'a', not 1: name the layers of a chain "):
        from_arrays(arrays)
    # The zeros of one bias and two copies of them, not three.
    assert tracemalloc.get_traced_memory()[1] < 2.5 * 8 * (1 << 20)
    tracemalloc.stop()


def test_a_missing_layer_is_refused():
    with pytest.raises(FrontEndError, match="^layers must be among a, b, not c$"):
        from_arrays({"a.weight": np.eye(2), "a.bias": np.ones(2), "b.weight": np.eye(2)},
                    layers=["a", "c"])


@pytest.mark.parametrize("name", ["x" * 300, "é" * 300, "a/" + "functional_1_" * 30, "x." * 200,
                                  "a" + "." * 300, "\ud800" * 300])
def test_long_names_become_different_names_of_files(tmp_path, name):
    model = from_arrays({f"{name}.weight": np.eye(2), f"z{name}.weight": np.eye(2)})
    network = compress(model)    # it checks names
    assert len({layer.name for layer in network.layers}) == 2
    for layer in network.layers:
        (tmp_path / f"{layer.name}.npy").touch()


def test_sparse_matrices_together_take_the_memory_of_their_numbers(tmp_path):
    field = {"data": np.ones(1), "indices": np.zeros(1, np.int32), "indptr": np.array([0, 1]),
             "shape": np.array([1 << 20, 1])}
    np.savez_compressed(tmp_path / "m.npz", **{f"l{number}.{name}": array for number in range(9)
                                               for name, array in field.items()})
    with pytest.raises(FrontEndError, match="m.npz: layer 'l4': rows and columns of sparse "
                                            "matrices must be at most 4194304 more than their "
                                            "numbers, not 5242880$"):
        read_model(tmp_path / "m.npz")


def test_a_file_that_expands_beyond_reason_is_refused(tmp_path):
    np.savez_compressed(tmp_path / "m.npz", weight=np.zeros((1 << 13, 1 << 11), np.float32))
    with pytest.raises(FrontEndError, match="m.npz: File must be an intact .npz archive, expanded "
                                            "at most 64 times: its [0-9]+ bytes promise arrays of "
                                            "67108992 bytes$"):
        read_model(tmp_path / "m.npz")


def test_a_shape_of_many_numbers_is_refused_in_a_short_message(tmp_path):
    np.savez(tmp_path / "m.npz", format="csr", shape=np.zeros((1 << 16, 1), np.int64))
    with pytest.raises(FrontEndError, match="m.npz: shape must be two integers") as error:
        read_model(tmp_path / "m.npz")
    assert len(str(error.value)) < 1000
