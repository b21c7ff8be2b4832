"""Models in ONNX, read as `eie_compiler.frontends.chain` assembles them.

`eie_compiler.frontends.onnx_chain` finds their operations, and `eie_compiler.frontends.onnx_steps`
reads them. Their constants are those of `eie_compiler.frontends.onnx_constants`, their convolutions
those of `eie_compiler.frontends.geometry`.
"""

import re
import sys
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest

from eie_compiler.frontends import KINDS, FrontEndError, FrontEndWarning, read_model
from eie_compiler.graph.evaluation import evaluate_real
from eie_compiler.patches import Patches

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from eie_compiler.frontends.onnx import from_onnx  # noqa: E402
from eie_compiler.frontends.onnx_folding import FOLDED  # noqa: E402
from eie_compiler.frontends.onnx_graph import Graph  # noqa: E402
from eie_compiler.frontends.onnx_network import SUPPORTED  # noqa: E402

FLOAT = TensorProto.FLOAT
RNG = np.random.default_rng(0)


def graph_of(nodes, constants, shape, *, opset=17):
    """Make a model of nodes (op, inputs, output, attributes) from ``x`` to ``y``."""
    rank = 2 if {"Flatten", "Gemm"} & {node[0] for node in nodes} else len(shape)
    return helper.make_model(
        helper.make_graph(
            [helper.make_node(op, inputs.split(), [result], **attributes)
             for op, inputs, result, attributes in nodes], "g",
            [helper.make_tensor_value_info("x", FLOAT, shape)],
            [helper.make_tensor_value_info("y", FLOAT, [None] * rank)],
            [numpy_helper.from_array(np.asarray(value, getattr(value, "dtype", np.float32)), name)
             for name, value in constants.items()]),
        opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("odd", 1)],
        ir_version=9)


def run(model, x, tensor=None):
    """Compute the output, or an intermediate tensor, with onnxruntime."""
    if tensor is not None:
        model = onnx.ModelProto.FromString(model.SerializeToString())
        del model.graph.output[:]
        model.graph.output.append(helper.make_tensor_value_info(tensor, FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(),
                                           providers=["CPUExecutionProvider"])
    result, = session.run(None, {model.graph.input[0].name: x.astype(np.float32)})
    return result


def check(model, x, **options):
    """Check that the model read computes what onnxruntime computes."""
    read = from_onnx(model, **options)
    if read.patches is None:
        got = read(x)
    else:
        got = read.patches.join(read(read.patches.cut(x)))
    expected = run(model, x)
    np.testing.assert_allclose(got.reshape(expected.shape), expected, rtol=1e-4, atol=1e-5)
    return read


def floats(*shape):
    """Draw random numbers."""
    return RNG.normal(size=shape).astype(np.float32)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Files and modules of a perceptron and of a small convolutional network."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    nn = torch.nn
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("onnx")
    perceptron = nn.Sequential(nn.Flatten(), nn.Linear(24, 40), nn.BatchNorm1d(40), nn.ReLU(),
                               nn.Dropout(), nn.Linear(40, 16), nn.ReLU(), nn.Linear(16, 5))
    images = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
                           nn.Conv2d(8, 6, 1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 4, 3))
    for module in (perceptron, images):
        for layer in module:
            if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
                nn.init.uniform_(layer.weight, 0.5, 2)
                nn.init.normal_(layer.bias)
                nn.init.normal_(layer.running_mean)
                nn.init.uniform_(layer.running_var, 0.5, 2)
        module.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")    # deprecations within torch
        torch.onnx.export(perceptron, (torch.zeros(2, 4, 6),), folder / "perceptron.onnx",
                          dynamic_shapes=({0: torch.export.Dim("n")},), verbose=False)
        torch.onnx.export(images, (torch.zeros(1, 3, 11, 12),), folder / "images.onnx",
                          verbose=False)
    return folder, perceptron, images


def test_a_perceptron_exported_by_torch_computes_what_it_did(exported):
    torch = pytest.importorskip("torch")
    folder, perceptron, _ = exported
    model = read_model(folder / "perceptron.onnx")
    x = floats(5, 4, 6)
    expected = perceptron(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(model(x.reshape(5, -1)), expected, rtol=1e-4, atol=1e-5)
    assert [(layer.name, layer.relu) for layer in model.layers] \
        == [("1", True), ("5", True), ("7", False)]


def test_layers_of_pixels_exported_by_torch_compute_what_they_did(exported):
    torch = pytest.importorskip("torch")
    folder, _, images = exported
    model = read_model(folder / "images.onnx", last="relu_1")
    assert model.patches == Patches((3, 11, 12), (3, 3), stride=(2, 2), padding=(1, 1, 1, 1))
    assert [layer.relu for layer in model.layers] == [True, True]
    x = floats(2, 3, 11, 12)
    expected = images[:5](torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(model.patches.join(model(model.patches.cut(x))), expected,
                               rtol=1e-4, atol=1e-5)


def test_the_part_after_an_operation_can_be_chosen(exported):
    torch = pytest.importorskip("torch")
    folder, _, images = exported
    model = read_model(folder / "images.onnx", first="max_pool2d")
    assert model.patches == Patches((6, 3, 3), (3, 3))
    x = floats(4, 6, 3, 3)
    expected = images[6](torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(model.patches.join(model(model.patches.cut(x))), expected,
                               rtol=1e-4, atol=1e-5)


def test_a_network_of_convolutions_is_a_graph(exported):
    torch = pytest.importorskip("torch")
    folder, _, images = exported
    graph = read_model(folder / "images.onnx")
    x = floats(2, 3, 11, 12)
    expected = images(torch.from_numpy(x)).detach().numpy()
    got = evaluate_real(graph, {"input": x})[graph.outputs[0]]
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    assert [node.name for node in graph.nodes] == ["0", "5.max_pool2d", *graph.outputs]
    assert graph.outputs == ("conv2d_2",)    # as the exporter calls it
    assert [layer.relu for layer in graph.nodes[0].computation.layers] == [True, True]


def test_a_classifier_of_scikit_learn_is_read_up_to_its_scores():
    neural_network = pytest.importorskip("sklearn.neural_network")
    skl2onnx = pytest.importorskip("skl2onnx")
    x = floats(60, 6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")    # it need not converge
        classifier = neural_network.MLPClassifier((12, 7), max_iter=5, random_state=0).fit(
            x, np.arange(60) % 3)
        model = skl2onnx.to_onnx(classifier, x[:1], target_opset=17, options={"zipmap": False})
    with pytest.warns(FrontEndWarning, match="^the results are those before the "):
        read = from_onnx(model)
    got = read(x)
    np.testing.assert_allclose(got, run(model, x, "add_result2"), rtol=1e-4, atol=1e-5)
    assert classifier.classes_[got.argmax(axis=1)].tolist() == classifier.predict(x).tolist()


W, V = floats(6, 4), floats(4, 3)


@pytest.mark.parametrize("nodes, constants", [
    ([("Gemm", "x w c", "y", {"alpha": 0.5, "beta": -2.0})], {"w": W, "c": floats(4)}),
    ([("Gemm", "x w c", "y", {"transB": 1})], {"w": W.T.copy(), "c": floats(1, 4)}),
    ([("Gemm", "x w", "y", {})], {"w": W}),
    ([("Gemm", "x w c", "y", {})], {"w": W, "c": np.float32(3)}),
    ([("MatMul", "x w", "h", {}), ("Add", "c h", "y", {})], {"w": W, "c": floats(4)}),
    ([("MatMul", "x w", "h", {}), ("Relu", "h", "r", {}), ("Relu", "r", "s", {}),
      ("MatMul", "s v", "y", {})], {"w": W, "v": V}),
    ([("MatMul", "x w", "h", {}), ("MatMul", "h v", "y", {})], {"w": W, "v": V}),
    ([("Sub", "x m", "a", {}), ("Div", "a s", "b", {}), ("MatMul", "b w", "y", {})],
     {"m": floats(6), "s": 1 + np.abs(floats(1, 6)), "w": W}),
    ([("Sub", "m x", "a", {}), ("Mul", "s a", "b", {}), ("MatMul", "b w", "h", {}),
      ("Relu", "h", "r", {}), ("Mul", "r t", "u", {}), ("Add", "u o", "p", {}),
      ("MatMul", "p v", "z", {}), ("Sub", "o2 z", "q", {}), ("Div", "q t", "y", {})],
     {"m": floats(6), "s": np.float32(0.25), "w": W, "t": np.float32(-2), "o": floats(4), "v": V,
      "o2": floats(3)}),
    ([("MatMul", "x w", "h", {}), ("BatchNormalization", "h g b m s", "n", {"epsilon": 0.1}),
      ("Relu", "n", "r", {}), ("BatchNormalization", "r g b m s", "p", {}),
      ("MatMul", "p v", "y", {})],
     {"w": W, "v": V, "g": floats(4), "b": floats(4), "m": floats(4), "s": np.abs(floats(4))}),
    ([("Identity", "x", "a", {}), ("Dropout", "a", "b", {}), ("Cast", "b", "c", {"to": FLOAT}),
      ("Flatten", "c", "d", {}), ("MatMul", "d w", "h", {}), ("Flatten", "h", "e", {}),
      ("Reshape", "e shape", "f", {}), ("Unsqueeze", "f one", "k", {}),
      ("Squeeze", "k one", "l", {}), ("MatMul", "l v", "y", {})],
     {"w": W, "v": V, "shape": np.array([-1, 4]), "one": np.array([1])}),
    ([("Constant", "", "w", {"value": numpy_helper.from_array(W.T.copy())}),
      ("Transpose", "w", "wt", {"perm": [1, 0]}), ("Identity", "wt", "wi", {}),
      ("Constant", "", "c", {"value_floats": [1.0, 2.0, 3.0, 4.0]}),
      ("Constant", "", "s", {"value_float": 0.5}),
      ("MatMul", "x wi", "h", {}), ("Add", "h c", "a", {}), ("Mul", "s a", "y", {})], {}),
])
@pytest.mark.parametrize("batch", [5, "n"])
def test_layers_of_rows_compute_what_onnxruntime_does(nodes, constants, batch):
    check(graph_of(nodes, constants, [batch, 6]), floats(5, 6))


def test_a_vector_for_each_of_several_is_an_inference_each():
    model = graph_of([("MatMul", "x w", "h", {}), ("Add", "h c", "y", {})],
                     {"w": W, "c": floats(1, 1, 4)}, [2, 3, 6])
    x = floats(2, 3, 6)
    np.testing.assert_allclose(from_onnx(model)(x.reshape(-1, 6)), run(model, x).reshape(-1, 4),
                               rtol=1e-4, atol=1e-5)


def test_constants_on_the_left_multiply_columns():
    model = graph_of([("MatMul", "w x", "h", {}), ("Add", "h c", "a", {}), ("Relu", "a", "r", {}),
                      ("MatMul", "v r", "y", {})],
                     {"w": W.T.copy(), "c": floats(4, 1), "v": V.T.copy()}, [6, 5])
    x = floats(6, 5)
    np.testing.assert_allclose(from_onnx(model)(x.T), run(model, x).T, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("transposed", [0, 1])
def test_a_gemm_with_a_constant_on_the_left_multiplies_columns(transposed):
    w = floats(6, 4) if transposed else floats(4, 6)
    model = graph_of([("Gemm", "w x c", "y", {"transA": transposed, "alpha": 0.5, "beta": -2.0})],
                     {"w": w, "c": floats(4, 1)}, [6, 3])
    x = floats(6, 3)
    np.testing.assert_allclose(from_onnx(model)(x.T).T, run(model, x), rtol=1e-4, atol=1e-5)


def test_a_constant_on_the_left_multiplies_a_vector_of_one_dimension():
    model = graph_of([("MatMul", "w x", "h", {}), ("Add", "h c", "a", {}), ("Relu", "a", "r", {}),
                      ("MatMul", "v r", "y", {})],
                     {"w": W.T.copy(), "c": floats(4), "v": V.T.copy()}, [6])
    model.graph.output[0].type.tensor_type.shape.Clear()
    model.graph.output[0].type.tensor_type.shape.dim.add()
    x = floats(6)
    np.testing.assert_allclose(from_onnx(model)(x[None])[0], run(model, x), rtol=1e-4, atol=1e-5)


def sparse_of(name, array, *, flat=True):
    """Make a sparse tensor of ONNX."""
    places = np.flatnonzero(array) if flat else np.argwhere(array)
    return helper.make_sparse_tensor(
        numpy_helper.from_array(array[array != 0], name),
        numpy_helper.from_array(places.astype(np.int64), f"{name}_indices"), array.shape)


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize("nodes, shapes, shape", [
    ([("Gemm", "x w c", "h", {"transB": 1}), ("MatMul", "h v", "y", {})],
     {"w": (4, 6), "c": (4,), "v": (4, 3)}, [5, 6]),
    ([("Transpose", "w", "t", {}), ("MatMul", "x t", "h", {}), ("Mul", "h c", "y", {})],
     {"w": (4, 6), "c": (4,)}, [5, 6]),
    ([("Conv", "x w", "y", {})], {"w": (3, 2, 2, 2)}, [1, 2, 4, 5]),
])
def test_sparse_constants_are_read(nodes, shapes, shape, constant, flat):
    rng = np.random.default_rng(0)
    arrays = {name: np.where(rng.random(size) < 0.4, rng.normal(size=size), 0).astype(np.float32)
              for name, size in shapes.items()}
    model = graph_of(nodes, {}, shape)
    for name, array in arrays.items():
        sparse = sparse_of(name, array, flat=flat)
        if constant:
            model.graph.node.insert(0, helper.make_node("Constant", [], [name],
                                                        sparse_value=sparse))
        else:
            model.graph.sparse_initializer.append(sparse)
    x = floats(*shape)
    got = from_onnx(model)
    dense = graph_of(nodes, arrays, shape)    # of which onnxruntime runs more
    expected = run(dense, x)
    got = got(x) if got.patches is None else got.patches.join(got(got.patches.cut(x)))
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


PIPELINES = ["StandardScaler()", "StandardScaler(with_mean=False)", "MinMaxScaler((-2, 3))",
             "MaxAbsScaler()", "RobustScaler()"]


@pytest.mark.parametrize("scaler", PIPELINES)
def test_scalers_of_pipelines_are_read(scaler):
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    neural_network = pytest.importorskip("sklearn.neural_network")
    skl2onnx = pytest.importorskip("skl2onnx")
    from sklearn.pipeline import make_pipeline

    x = floats(60, 6) * [1, 10, 100, 0.1, 3, 3] + [5, 0, 200, 1, 1, -7]
    x = x.astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")    # it need not converge
        regressor = neural_network.MLPRegressor(hidden_layer_sizes=(7,), max_iter=5)
        pipeline = make_pipeline(eval(scaler, vars(preprocessing)), regressor)
        model = skl2onnx.to_onnx(pipeline.fit(x, x[:, 0]), x[:1], target_opset=17)
    check(model, x)


def test_images_with_channels_last_are_read():
    x = floats(2, 9, 8, 3)
    nodes = [("Sub", "x m", "a", {}), ("Transpose", "a", "b", {"perm": [0, 3, 1, 2]}),
             ("Mul", "b s", "c", {}), ("Conv", "c w", "h", {}), ("Relu", "h", "r", {}),
             ("Transpose", "r", "t", {"perm": [0, 2, 3, 1]}), ("MatMul", "t v", "d", {}),
             ("Add", "d o", "e", {}), ("Transpose", "e", "y", {"perm": [0, 3, 1, 2]})]
    constants = {"m": floats(3), "s": floats(3, 1, 1), "w": floats(5, 3, 2, 2), "v": floats(5, 4),
                 "o": floats(4)}
    for count, note in ((9, None), (8, "the results are images (channels, height, width), those "
                                       "before the last Transpose")):
        model = graph_of(nodes[:count], constants, ["n", 9, 8, 3])
        model.graph.output[0].name = nodes[count - 1][2]
        with pytest.warns(FrontEndWarning) as caught:
            read = from_onnx(model)
        assert [str(warning.message) for warning in caught] == list(read.notes)
        assert list(read.notes) == ["the inputs are those after a Transpose by [0, 3, 1, 2], such "
                                    "as images (channels, height, width)", *filter(None, [note])]
        got = read.patches.join(read(read.patches.cut(x.transpose(0, 3, 1, 2))))
        expected = run(model, x)
        np.testing.assert_allclose(got if note is None else got.transpose(0, 2, 3, 1), expected,
                                   rtol=1e-4, atol=1e-5)


def test_sparse_constants_take_the_memory_of_their_numbers():
    model = graph_of([("MatMul", "x w", "h", {}), ("Add", "h c", "y", {})], {}, [1, 6])
    for name, place, dims in (("w", 1 << 22, [6, 1 << 21]), ("c", 3, [1 << 40])):
        model.graph.sparse_initializer.append(helper.make_sparse_tensor(
            numpy_helper.from_array(floats(1), name), numpy_helper.from_array(np.array([place])),
            dims))
    tracemalloc.start()
    assert from_onnx(model, last="h").layers[0].weight.nnz == 1
    assert tracemalloc.get_traced_memory()[1] < 75_000_000    # dense: 100 MB
    tracemalloc.stop()
    with pytest.raises(FrontEndError, match="constant 'c': numbers used repeatedly must be at "):
        from_onnx(model)
    model.graph.sparse_initializer[0].dims[1] = 1 << 40
    with pytest.raises(FrontEndError, match="constant 'w': sides must be at most 16777216, not "
                                            "1099511627776$"):
        from_onnx(model)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_constants_of_all_floating_point_types_are_read(kind):
    weight = floats(6, 4).astype(kind)
    model = graph_of([("MatMul", "x w", "y", {})], {"w": weight}, [1, 6])
    np.testing.assert_array_equal(from_onnx(model).layers[0].weight, weight.T.astype(np.float64))


def test_constants_of_bfloat16_are_read():
    model = graph_of([("MatMul", "x w", "y", {})], {}, [1, 2])
    model.graph.initializer.append(helper.make_tensor("w", TensorProto.BFLOAT16, [2, 2],
                                                      [1.0, -0.5, 3.0, 0.0]))
    assert from_onnx(model).layers[0].weight.tolist() == [[1, 3], [-0.5, 0]]


@pytest.mark.parametrize("options", [
    {}, {"strides": [2, 3], "pads": [0, 1, 2, 1]}, {"dilations": [2, 1], "pads": [1, 1, 1, 1]},
    {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, {"auto_pad": "SAME_LOWER", "strides": [2, 3]},
    {"auto_pad": "VALID"},
])
def test_convolutions_compute_what_onnxruntime_does(options):
    model = graph_of([("Conv", "x w b", "h", options), ("Relu", "h", "r", {}),
                      ("Conv", "r v", "p", {}), ("Add", "p c", "y", {})],
                     {"w": floats(8, 2, 3, 2), "b": floats(8), "v": floats(5, 8, 1, 1),
                      "c": floats(1, 5, 1, 1)}, ["n", 2, 9, 8])
    check(model, floats(3, 2, 9, 8))


@pytest.mark.parametrize("groups", [2, 4])
def test_groups_of_channels_do_not_see_each_other(groups):
    model = graph_of([("Conv", "x w b", "h", {"group": groups}), ("Relu", "h", "r", {}),
                      ("Conv", "r v", "y", {"group": 2})],
                     {"w": floats(8, 4 // groups, 3, 3), "b": floats(8), "v": floats(6, 4, 1, 1)},
                     ["n", 4, 6, 7])
    layer = check(model, floats(2, 4, 6, 7)).layers[0]
    assert layer.weight.shape == (8, 36) and layer.weight.nnz == 8 * 36 // groups


def test_constants_of_channels_fold_into_convolutions():
    model = graph_of([("Mul", "x s", "a", {}), ("Add", "a c", "d", {}), ("Conv", "d w", "h", {}),
                      ("BatchNormalization", "h g b m v", "n", {}), ("Relu", "n", "r", {}),
                      ("BatchNormalization", "r g b m v", "p", {}), ("Conv", "p u", "y", {})],
                     {"s": floats(2, 1, 1), "c": floats(1, 2, 1, 1), "w": floats(5, 2, 2, 3),
                      "g": floats(5), "b": floats(5), "m": floats(5), "v": np.abs(floats(5)),
                      "u": floats(3, 5, 1, 1)}, ["n", 2, 6, 7])
    check(model, floats(2, 2, 6, 7))


def test_a_convolution_of_one_dimension_has_images_of_one_row():
    model = graph_of([("Conv", "x w b", "h", {"strides": [2], "pads": [1, 2]}),
                      ("BatchNormalization", "h g b m v", "n", {}), ("Relu", "n", "r", {}),
                      ("MatMul", "u r", "y", {})],
                     {"w": floats(4, 3, 5), "b": floats(4), "g": floats(4), "m": floats(4),
                      "v": np.abs(floats(4)), "u": floats(2, 4)}, ["n", 3, 20])
    x = floats(2, 3, 20)
    read = from_onnx(model)
    assert read.patches == Patches((3, 1, 20), (1, 5), (1, 2), padding=(0, 1, 0, 2))
    got = read.patches.join(read(read.patches.cut(x[:, :, None])))[:, :, 0]
    np.testing.assert_allclose(got, run(model, x), rtol=1e-4, atol=1e-5)


def test_a_convolution_of_the_whole_image_may_be_flattened():
    model = graph_of([("Conv", "x w", "h", {}), ("Relu", "h", "r", {}), ("Flatten", "r", "f", {}),
                      ("Gemm", "f v", "y", {})],
                     {"w": floats(6, 2, 5, 4), "v": floats(6, 3)}, ["n", 2, 5, 4])
    read = check(model, floats(1, 2, 5, 4))
    x = floats(7, 2, 5, 4)
    np.testing.assert_allclose(read(read.patches.cut(x)), run(model, x), rtol=1e-4, atol=1e-5)


def test_the_shape_of_images_that_the_model_leaves_open_is_given():
    model = graph_of([("Conv", "x w", "y", {})], {"w": floats(6, 2, 3, 3)}, ["n", 2, "h", "w"])
    message = ("input 'x': shape must be known but for the batch, not (?, 2, ?, ?): give "
               "image=C,H,W for images, or each size by fix=x.2=SIZE")
    with pytest.raises(FrontEndError, match=f"^{re.escape(message)}"):
        from_onnx(model)
    check(model, floats(1, 2, 7, 9), image=(2, 7, 9))
    with pytest.raises(FrontEndError, match="weight must have 27 columns, one for each element of "
                                            "a patch, not 18"):
        from_onnx(model, image=(3, 7, 9))


def test_the_docs_name_all_that_can_be_read():
    docs = (Path(__file__).parents[3] / "docs" / "models.md").read_text(encoding="utf-8")
    assert "Gemm" in SUPPORTED
    for name in (*SUPPORTED, *FOLDED, *KINDS):
        assert re.search(rf"\W{re.escape(name)}\W", docs), name


def test_names_of_layers_are_short_and_differ():
    model = helper.make_model(helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["a"], "/net/fc/MatMul"),
         helper.make_node("MatMul", ["a", "net.fc.weight"], ["b"], "node"),
         helper.make_node("MatMul", ["b", "w"], ["c"], "/net/fc/MatMul"),
         helper.make_node("MatMul", ["c", "w"], ["d"], "\n"),
         helper.make_node("MatMul", ["d", "w"], ["y"])], "g",
        [helper.make_tensor_value_info("x", FLOAT, [1, 2])],
        [helper.make_tensor_value_info("y", FLOAT, [1, 2])],
        [numpy_helper.from_array(np.eye(2, dtype=np.float32), name)
         for name in ("w", "net.fc.weight")]))
    assert [layer.name for layer in from_onnx(model).layers] \
        == ["net.fc", "net.fc_2", "net.fc_3", "layer4", "layer5"]


CHOOSE = "choose a part of the graph with first=TENSOR and last=TENSOR"
IMAGE = [1, 2, 4, 4]


@pytest.mark.parametrize("nodes, constants, shape, message", [
    ([("Softmax", "x", "h", {}), ("MatMul", "h w", "y", {})], {"w": W}, [1, 6],
     "Softmax node (x -> h): operation must be one that docs/models.md lists; compute it on the "
     "host"),
    ([("Add", "x x", "y", {})], {}, [1, 6], "model must have a linear layer or a convolution"),
    ([("Identity", "x", "y", {})], {}, [1, 6], "model must have a linear layer or a convolution"),
    ([("MatMul", "x w", "h", {}), ("Add", "h c", "y", {})], {"w": W, "c": floats(5, 4)}, [5, 6],
     "Add node (h, c -> y): constant must be the same for all samples of the batch, not of shape "
     "(5, 4)"),
    ([("MatMul", "x w", "h", {}), ("Div", "c h", "y", {})], {"w": W, "c": floats(4)}, [1, 6],
     "Div node (c, h -> y): division must be by a constant other than 0"),
    ([("MatMul", "x w", "h", {}), ("Div", "h c", "y", {})], {"w": W, "c": np.zeros(4, "f4")},
     [1, 6], "Div node (h, c -> y): division must be by a constant other than 0"),
    ([("MatMul", "x w", "h", {}), ("Mul", "h c", "y", {})],
     {"w": np.full((6, 4), 1e308), "c": np.float64(1e308)}, [1, 6],
     "layer 'h': weight and bias must be finite"),
    ([("Gemm", "x w", "y", {"transA": 1})], {"w": W}, [6, 1],
     "Gemm node (x, w -> y): computed factor 'x' must not be transposed: transpose the constant, "
     f"or {CHOOSE}"),
    ([("Gemm", "w x", "y", {"transB": 1})], {"w": W}, [3, 4],
     "Gemm node (w, x -> y): computed factor 'x' must not be transposed: transpose the constant, "
     f"or {CHOOSE}"),
    ([("Gemm", "w v x", "y", {})], {"w": W, "v": W.T}, [6, 6],
     f"Gemm node (w, v, x -> y): one of the two factors must be the computed tensor; {CHOOSE}"),
    ([("MatMul", "x w", "h", {}), ("Div", "c h", "y", {})], {"w": W, "c": floats(4)}, [1, 6],
     "Div node (c, h -> y): division must be by a constant other than 0, not by a computed tensor; "
     f"{CHOOSE}"),
    ([("MatMul", "x w", "y", {})], {"w": floats(6)}, [1, 6],
     "MatMul node (x, w -> y): constant 'w' must be a matrix, not of shape (6,)"),
    ([("MatMul", "x w", "y", {})], {"w": np.ones((6, 4), np.int64)}, [1, 6],
     "MatMul node (x, w -> y): constant 'w': type must be FLOAT, DOUBLE, FLOAT16, BFLOAT16, not "
     "INT64"),
    ([("MatMul", "x w", "h", {}), ("MatMul", "v h", "y", {})], {"w": W, "v": floats(5, 2)},
     [2, 6], "MatMul node (v, h -> y): axis of the vectors must not be that of the batch, -2; "
     f"{CHOOSE}"),
    ([("Cast", "x", "h", {"to": TensorProto.INT32}), ("Cast", "h", "i", {"to": FLOAT}),
      ("MatMul", "i w", "y", {})], {"w": W}, [1, 6], "Cast node (x -> h): must be a cast to "
                                                     "floating-point numbers, to keep their "
                                                     f"values; {CHOOSE}"),
    ([("MatMul", "w x", "h", {}), ("Reshape", "h s", "y", {})], {"w": W.T, "s": np.array([1, -1])},
     [6, 3], "MatMul node (w, x -> h): axis of the vectors must not be that of the batch, -2; "),
    ([("Odd", "x", "o", {"domain": "odd"}), ("MatMul", "o w", "h", {}), ("Shape", "x", "s", {}),
      ("Reshape", "h s", "r", {}), ("Relu", "r", "y", {})], {"w": W}, [None, None],
     "input 'o': shape must be declared: onnx.shape_inference.infer_shapes infers it for a tensor "
     "within a graph"),
    ([("Conv", "x w", "y", {"group": 2})], {"w": floats(3, 1, 2, 2)}, IMAGE,
     "Conv node (x, w -> y): groups must divide the 3 outputs, not be 2"),
    ([("Conv", "x w", "y", {"strides": [0, 1], "auto_pad": "SAME_UPPER"})],
     {"w": floats(3, 2, 2, 2)}, IMAGE,
     "Conv node (x, w -> y): stride must be 2 integers of 1 or more, not (0, 1)"),
    ([("Conv", "x w", "y", {"auto_pad": "MORE"})], {"w": floats(3, 2, 2, 2)}, IMAGE,
     "Conv node (x, w -> y): padding must be VALID, SAME_UPPER or SAME_LOWER, not 'MORE'"),
    ([("Conv", "x w", "y", {"pads": [1]})], {"w": floats(3, 2, 2)}, [1, 2, 4],
     "Conv node (x, w -> y): padding must be 4 integers of 0 or more, not (0, 1, 0)"),
    ([("Conv", "x w", "y", {})], {"w": floats(3, 2, 2, 2, 2)}, [1, 2, 4, 4, 4],
     "Conv node (x, w -> y): weight must have one or two dimensions after the channels, not "
     "shape (3, 2, 2, 2, 2)"),
    ([("BatchNormalization", "x g g g s", "h", {}), ("MatMul", "h w", "y", {})],
     {"w": W, "g": floats(6), "s": np.full(6, -1, "f4")}, [1, 6], "BatchNormalization node (x, "
                                                                  "g, g, g, s -> h): variance "
                                                                  "and epsilon of a "
                                                                  "normalisation must be above 0"),
    ([("MatMul", "x w", "h", {}), ("Dropout", "h r t", "y", {})],
     {"w": W, "r": np.float32(0.5), "t": np.array(True)}, [1, 6],
     "Dropout node (h, r, t -> y): training_mode must be 0: export the model for inference"),
    ([("Constant", "", "w", {"domain": "odd", "value": numpy_helper.from_array(W)}),
      ("MatMul", "x w", "y", {})], {}, [1, 6],
     "Constant node ( -> w): operation must be one that docs/models.md lists; it computes a "
     "constant: onnxruntime's basic optimisations store some of them"),
    ([("Transpose", "v", "w", {"domain": "odd"}), ("MatMul", "x w", "y", {})], {"v": W.T.copy()},
     [1, 6], "Transpose node (v -> w): operation must be one that docs/models.md lists; "),
    ([("Constant", "", "c", {"value_float": 1.0, "value_int": 3}), ("Add", "x c", "h", {}),
      ("MatMul", "h w", "y", {})], {"w": W}, [1, 6],
     "Add node (x, c -> h): constant 'c': type must be FLOAT, DOUBLE, FLOAT16, BFLOAT16, not "
     "UNDEFINED"),
    ([("MatMul", "x w", "y", {})], {"w": np.ones((1,) * 33)}, [1, 6],
     "constant 'w' must have at most 32 dimensions, not 33"),
    ([("BatchNormalization", "x g g g g", "h", {"training_mode": 1}), ("MatMul", "h w", "y", {})],
     {"w": W, "g": floats(6)}, [1, 6], "BatchNormalization node (x, g, g, g, g -> h): "
     "training_mode must be 0: export the model for inference"),
    ([("Odd", "x", "o", {"domain": "odd"}), ("BatchNormalization", "o g g g g", "h", {}),
      ("MatMul", "h w", "y", {})],
     {"w": W, "g": floats(6)}, [1, 6], "input 'o': shape must be declared: "),
])
def test_what_cannot_be_run_is_refused_with_the_reason(nodes, constants, shape, message):
    model = graph_of(nodes, constants, shape)
    is_odd = model.graph.node[0].op_type == "Odd"
    with pytest.raises(FrontEndError, match=f"^{re.escape(message)}"):
        from_onnx(model, first="o" if is_odd else None)


def test_layers_that_do_not_fit_are_refused():
    model = graph_of([("MatMul", "x w", "h", {}), ("MatMul", "h v", "y", {})],
                     {"w": W, "v": floats(5, 2)}, [1, 6])
    with pytest.raises(FrontEndError, match=r"^MatMul node \(h, v -> y\): operand must be vectors "
                                            r"of 5, not of shape \(4,\)$"):
        from_onnx(model)


LINEAR = [("MatMul", "x w", "hidden", {}), ("Relu", "hidden", "y", {})]


@pytest.mark.parametrize("options, message", [
    ({"last": "hiden"}, "last must be a computed tensor of the graph, such as 'hidden', not "
     "'hiden'"),
    ({"first": "w"}, "first must be a computed tensor of the graph, such as 'x', 'hidden', 'y', "
     "not 'w'"),
    ({"first": "y", "last": "hidden"}, "first must be on the path from 'x' to 'hidden', not 'y'"),
])
def test_tensors_that_cannot_delimit_a_part_are_refused(options, message):
    with pytest.raises(FrontEndError, match=f"^{re.escape(message)}$"):
        from_onnx(graph_of(LINEAR, {"w": W}, [1, 6]), **options)


def test_constants_can_only_be_transposed_as_they_are():
    model = graph_of([("Transpose", "w", "t", {"perm": [0, 0]}), ("MatMul", "x t", "y", {})],
                     {"w": W}, [1, 6])
    with pytest.raises(FrontEndError, match=r"^Transpose node \(w -> t\): perm must have each of "
                                            r"the 2 axes once, not be \[0, 0\]$"):
        from_onnx(model)


def test_sizes_at_which_shape_inference_would_end_the_process_are_refused():
    model = graph_of([("Slice", "x i j i j", "y", {})], {"i": np.array([0]), "j": np.array([1])},
                     [-1, 6])
    with pytest.raises(FrontEndError, match=r"^tensor 'x' must have sizes of 0 or more, not "
                                            r"\[-1, 6\]$"):
        from_onnx(model)
    model = graph_of([("Slice", "x i j i k", "h", {}), ("MatMul", "h w", "y", {})],
                     {"i": np.array([0]), "j": np.array([1]), "k": np.array([-1]), "w": W}, [0, 6])
    with pytest.raises(FrontEndError, match="^input 'x': sizes must be 1 or more, not "):
        from_onnx(model)


def test_many_transpositions_are_one():
    orders = RNG.permuted([range(4)] * 4999, axis=1)
    weight = floats(3, 2, 1, 5)
    nodes = [("Transpose", f"w{n}", f"w{n + 1}", {"perm": order.tolist()})
             for n, order in enumerate(orders)] + [("Transpose", "w4999", "w5000", {})]
    model = graph_of([*nodes, ("Conv", "x w5000", "y", {})], {"w0": weight}, IMAGE)
    tracemalloc.start()
    graph = Graph(model)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()
    for order in orders:
        weight = weight.transpose(order)
    np.testing.assert_array_equal(graph.constants.array("w5000"), weight.T)


LINEAR_MODELS = {
    "LinearClassifier": {"classlabels_ints": [3, 5], "coefficients": [1.0, 2, 3, 4],
                         "intercepts": [0.5, -1]},
    "LinearRegressor": {"targets": 2, "coefficients": [1.0, 2, 3, 4], "intercepts": [0.5, -1]},
    "SVMRegressor": {"coefficients": [1.0, -2], "support_vectors": [1.0, 2, 3, 4], "rho": [0.5],
                     "n_supports": 2, "kernel_type": "LINEAR", "kernel_params": [0.7, 1, 3]},
}


def linear_model(operation, *after, **changes):
    """Make a model of a linear one of scikit-learn, with changed attributes."""
    is_class = operation == "LinearClassifier"
    result = "h" if after else "y"
    nodes = [helper.make_node(operation, ["x"], ["n", result] if is_class else [result],
                              domain="ai.onnx.ml", **LINEAR_MODELS[operation] | changes), *after]
    return helper.make_model(
        helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", FLOAT, [None, 2])],
                          [helper.make_tensor_value_info("y", FLOAT, [None, None])]),
        opset_imports=[helper.make_opsetid("ai.onnx.ml", 3),
                       *([helper.make_opsetid("", 17)] if after else [])], ir_version=9)


@pytest.mark.parametrize("operation, changes", [
    *((operation, {}) for operation in LINEAR_MODELS),
    ("LinearClassifier", {"classlabels_ints": [0, 1, 2, 3], "intercepts": [1.0, 2, 3, 4],
                          "coefficients": [float(n) for n in range(8)], "multi_class": 1}),
    ("LinearRegressor", {"targets": 1, "coefficients": [2.0, -3.0], "intercepts": [1.0]}),
    ("SVMRegressor", {"n_supports": 0, "coefficients": [2.0, -3.0]}),
])
def test_linear_models_of_scikit_learn_are_matrices(operation, changes):
    check(linear_model(operation, **changes), floats(5, 2))


@pytest.mark.parametrize("function", ["SOFTMAX", "LOGISTIC"])
def test_the_function_of_a_linear_classifier_is_left_out_with_a_note(function):
    model = linear_model("LinearClassifier", post_transform=function)
    with pytest.warns(FrontEndWarning, match=f"those before the {function}"):
        read = from_onnx(model)
    x = floats(5, 2)
    np.testing.assert_array_equal(read(x).argmax(1), run(model, x).argmax(1))
    assert read.notes
    between = linear_model("LinearClassifier", helper.make_node("Relu", ["h"], ["y"]),
                           post_transform=function)
    with pytest.raises(FrontEndError, match="post_transform must be NONE between layers, not"):
        from_onnx(between)


@pytest.mark.parametrize("operation, changes, message", [
    ("LinearClassifier", {"coefficients": [1.0, 2], "intercepts": [1.0]},
     "coefficients and intercepts must be those of 2 results"),
    ("LinearRegressor", {"intercepts": [1.0]}, "must be those of 2 results, one for each class or "
                                               "target, not 4 and 1 numbers"),
    ("LinearRegressor", {"targets": 0}, "must be those of 0 results"),
    ("LinearRegressor", {"targets": 3, "intercepts": [1.0, 2, 3]}, "must be those of 3 results"),
    ("LinearClassifier", {"post_transform": "PROBIT"},
     "post_transform must be NONE, SOFTMAX or LOGISTIC, not PROBIT"),
    ("SVMRegressor", {"kernel_type": "RBF"}, "with kernel LINEAR, not kernel RBF"),
    ("SVMRegressor", {"one_class": 1}, "not kernel LINEAR and one_class 1: fit LinearSVR"),
    ("SVMRegressor", {"n_supports": 3}, "coefficients and support vectors must be 3, not 2 and 4"),
    ("SVMRegressor", {"n_supports": 0, "rho": [1.0, 2.0]}, "rho be one number, not 2"),
])
def test_linear_models_with_other_numbers_or_functions_are_refused(operation, changes, message):
    with pytest.raises(FrontEndError, match=rf"^{operation} node .*: .*{re.escape(message)}"):
        from_onnx(linear_model(operation, **changes))


@pytest.mark.parametrize("nodes, shape", [
    ([("MatMul", "x w", "h", {}), ("Reshape", "h s", "y", {})], [3, 6]),
    ([("MatMul", "x w", "h", {}), ("Reshape", "h s", "r", {}), ("Identity", "r", "y", {})], [3, 6]),
    ([("MatMul", "x w", "h", {}), ("Flatten", "h", "r", {"axis": 1}),
      ("Unsqueeze", "r a", "y", {})], [3, 2, 6]),
])
def test_the_shape_may_change_at_the_end_with_a_note(nodes, shape):
    model = graph_of(nodes, {"w": W, "s": np.array([-1, 1]), "a": np.array([0])}, shape)
    with pytest.warns(FrontEndWarning, match="^the results are vectors of 4 numbers, those before"):
        read = from_onnx(model)
    x = floats(*shape)
    np.testing.assert_allclose(read(x.reshape(-1, 6)).ravel(), run(model, x).ravel(), rtol=1e-4,
                               atol=1e-5)
    assert len(read.notes) == 1


def test_other_outputs_and_other_domains_are_refused():
    model = graph_of([("MatMul", "x w", "h", {}), ("Dropout", "h", "y", {})], {"w": W}, [1, 6])
    model.graph.node[1].output.append("mask")
    with pytest.raises(FrontEndError, match="must be used by its output 'y', not 'mask'"):
        from_onnx(model, last="mask")
    model = graph_of([("MatMul", "x w", "y", {})], {"w": W}, [1, 6])
    model.graph.node[0].domain = "odd"
    with pytest.raises(FrontEndError, match="MatMul node .*: operation must be one that"):
        from_onnx(model)


def test_normalisation_by_the_batch_is_refused_as_it_was_before_opset_14():
    model = graph_of([("MatMul", "x w", "h", {}), ("BatchNormalization", "h s s s s", "y", {})],
                     {"w": W, "s": np.abs(floats(4))}, [5, 6], opset=13)
    from_onnx(model)
    model.graph.node[1].output.extend(["mean", "var", "saved_mean", "saved_var"])
    with pytest.raises(FrontEndError, match="^BatchNormalization node .*: training_mode must be 0"):
        from_onnx(model)


@pytest.mark.parametrize("node", [("Identity", "", "i", {"domain": "odd"}),
                                  ("Constant", "", "i", {"domain": "odd"}),
                                  ("Constant", "", "i", {})])
def test_unused_nodes_may_be_unsupported(node):
    assert len(from_onnx(graph_of([node, *LINEAR], {"w": W}, [1, 6])).layers) == 1


def test_shapes_of_tensors_of_no_type_are_not_known():
    model = graph_of([("MatMul", "x w", "h", {}), ("Reshape", "h s", "r", {}),
                      ("Relu", "r", "y", {})], {"w": W, "s": np.array([-1, 4])}, [1, 6])
    model.graph.initializer[1].data_type = 127
    with pytest.raises(FrontEndError, match=r"^Reshape node \(h, s -> r\): constant 's': type must "
                                            "be FLOAT, DOUBLE, FLOAT16, BFLOAT16, INT64, "
                                            "INT32, .*INT8, .*BOOL, not 127$"):
        from_onnx(model)


def test_constants_may_be_reused_up_to_a_limit(monkeypatch):
    monkeypatch.setattr("eie_compiler.frontends.common._MAX_REPEATED", 32)
    nodes = [("MatMul", "x w", "a", {}), ("MatMul", "a w", "b", {}), ("MatMul", "b w", "y", {})]
    w = floats(4, 4)
    check(graph_of(nodes, {"w": w}, [3, 4]), floats(3, 4))
    model = graph_of([*nodes[:2], ("MatMul", "b w", "c", {}), ("MatMul", "c w", "y", {})],
                     {"w": w}, [3, 4])
    with pytest.raises(FrontEndError, match=(
            r"^MatMul node \(c, w -> y\): constant 'w': numbers used repeatedly must be at most "
            "32, not 48: share fewer weights between layers$")):
        from_onnx(model)


def test_models_that_are_not_valid_are_refused(tmp_path):
    path = tmp_path / "m.onnx"
    model = graph_of(LINEAR, {"w": W}, [1, 6])
    content = model.SerializeToString()
    for broken in (b"", b"nonsense", content[:-40]):
        path.write_bytes(broken)
        with pytest.raises(FrontEndError, match=r"m\.onnx: must be a valid model in ONNX"):
            read_model(path)
    model.graph.node.reverse()
    with pytest.raises(FrontEndError, match="^must be a valid model in ONNX"):
        from_onnx(model)
    with pytest.raises(FrontEndError, match="^opset must be 9 or later, not 8: "
                                            "onnx.version_converter converts it$"):
        from_onnx(graph_of(LINEAR, {"w": W}, [1, 6], opset=8))


def test_any_changed_byte_gives_a_model_or_an_error(tmp_path):
    rng = np.random.default_rng(1)
    content = graph_of([("Conv", "x w b", "h", {"auto_pad": "SAME_UPPER", "group": 2}),
                        ("BatchNormalization", "h b b b v", "n", {}), ("Relu", "n", "r", {}),
                        ("Transpose", "u", "t", {"perm": [1, 0, 2, 3]}), ("Conv", "r t", "y", {})],
                       {"w": floats(4, 1, 2, 2), "b": floats(4), "v": np.abs(floats(4)),
                        "u": floats(4, 3, 1, 1)}, [1, 2, 3, 4]).SerializeToString()
    answers = []
    for place in rng.integers(len(content), size=200):
        changed = bytearray(content)
        changed[place] = rng.choice([0, 1, 127, 255, rng.integers(256)])
        (tmp_path / "m.onnx").write_bytes(changed)
        try:
            answers.append(read_model(tmp_path / "m.onnx"))
        except FrontEndError as error:
            answers.append(error)
    assert len({type(answer) for answer in answers}) == 2


@pytest.mark.parametrize("dims", [[6, 5], [1 << 40, 1 << 40], [-1, 4], [6, 4, 0]])
def test_shapes_must_match_the_number_of_elements(dims):
    model = graph_of(LINEAR, {"w": W}, [1, 6])
    del model.graph.initializer[0].dims[:]
    model.graph.initializer[0].dims.extend(dims)
    with pytest.raises(FrontEndError, match="shape must be that of the numbers that are there, not"
                                            "|must be a valid model"):
        from_onnx(model)


def test_without_its_package_the_error_names_what_to_install(tmp_path, monkeypatch):
    for module in ("onnx", "onnx_data", "onnx_graph"):
        monkeypatch.delitem(sys.modules, f"eie_compiler.frontends.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(FrontEndError, match=(
            r"m\.onnx: onnx must be installed to read it, but was not found: "
            r"pip install .*\[onnx\]'$")):
        read_model(tmp_path / "m.onnx")
