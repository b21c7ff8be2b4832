"""TensorFlow Lite models made by hand, compared with the interpreter of LiteRT.

Operators are translated by `eie_compiler.frontends.tflite_operators` and
`eie_compiler.frontends.tflite_layers`, from a `eie_compiler.frontends.tflite_site` each. They use
`eie_compiler.frontends.tflite_constants` and `eie_compiler.frontends.tflite_layout`, and
`eie_compiler.frontends.tflite_writer` adds their nodes.
"""

import re
import sys
import warnings

import numpy as np
import pytest

from eie_compiler.frontends import FrontEndError, FrontEndWarning, read_model
from eie_compiler.graph.evaluation import apply_layers, evaluate_real
from eie_compiler.model import Model
from eie_hdl.extras import missing

pytest.importorskip("tflite", reason="needs the extra [tflite]")
pytest.importorskip("onnx")
pytest.importorskip("ai_edge_litert", reason="needs the extra [test]")

from ai_edge_litert import schema_py_generated as schema  # noqa: E402
from ai_edge_litert.interpreter import Interpreter  # noqa: E402

from eie_compiler.frontends.tflite import from_tflite  # noqa: E402
from eie_compiler.frontends.tflite_file import File  # noqa: E402
from support.tflite_files import interpret  # noqa: E402
from support.tflite_models import Network  # noqa: E402
from support.tflite_networks import NETWORKS  # noqa: E402

#: Networks of which results may be one step off -> greatest part of them. Means have halves, which
#: the interpreter rounds up; some of its kernels round products twice.
DIFFERENT = {"depthwise": 0.01, "depthwise_dilation": 0.01, "depthwise_multiplier": 0.01,
             "hard_swish": 0.02, "leaky_relu": 0.02, "pools_same": 0.15, "pools_valid": 0.15}


def images(x):
    """Put the channels of images first."""
    return x.transpose(0, 3, 1, 2) if x.ndim == 4 else x


def inputs(net, n=20, seed=1):
    return np.random.default_rng(seed).normal(0, 1, (n, *net.shape(0)[1:])).astype(np.float32)


def results(graph, x):
    """Compute the output of a graph, or of a model, in real numbers."""
    if isinstance(graph, Model):
        return apply_layers(graph.patches, x, graph)
    return evaluate_real(graph, {next(iter(graph.inputs)): x})[graph.outputs[0]]


def read(content, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FrontEndWarning)
        return from_tflite(content, **options)


def compare_integers(content, x, kind=np.int8, **options):
    """Return the differences of the results in steps of the output, from the interpreter's."""
    file = File(content)
    given, made = (file.tensor(index).quantisation for index in (0, *file.outputs))
    limits = np.iinfo(kind)
    q = np.clip(np.rint(x / given.scale) + given.zero, limits.min, limits.max).astype(kind)
    reals = (q.astype(float) - given.zero) * given.scale.astype(float)
    found = results(read(content, **options), images(reals)) / made.scale.astype(float)
    expected = interpret(content, q)
    return np.rint(found) + made.zero - images(expected).reshape(found.shape)


@pytest.mark.parametrize("name", NETWORKS)
def test_numbers_are_those_of_the_interpreter(name):
    net = NETWORKS[name]()
    x = inputs(net)
    expected = images(interpret(net.floats(), x))
    found = results(read(net.floats()), images(x).astype(float))
    np.testing.assert_allclose(found, expected.reshape(found.shape), rtol=1e-5,
                               atol=1e-5 * np.abs(expected).max())


def test_numbers_are_negated():
    net = Network(1, 12)
    net.single("NEG", net.dense(0, 4), schema.NegOptionsT())
    x = inputs(net)
    np.testing.assert_allclose(results(read(net.floats()), x.astype(float)),
                               interpret(net.floats(), x), rtol=1e-5, atol=1e-5)
    with pytest.raises(FrontEndError, match=r"^NEG operator \(t3 -> t4\): operand must be of "
                                            "floating point, as TensorFlow Lite negates integers "
                                            "without their zero point: subtract from 0 by SUB$"):
        from_tflite(net.integers(x))


@pytest.mark.parametrize("name, kind", [(name, kind) for name in NETWORKS
                                        for kind in (np.int8, np.uint8)
                                        if (name, kind) != ("magnitude", np.uint8)])
def test_integers_are_at_most_one_step_from_those_of_the_interpreter(name, kind):
    net = NETWORKS[name]()
    x = inputs(net)
    differences = compare_integers(net.integers(x, kind), x, kind)
    assert np.abs(differences).max() <= 1
    assert (differences != 0).mean() <= DIFFERENT.get(name, 0), (differences != 0).sum()


def simple():
    net = Network(1, 6, 5, 2)
    x = net.pool(net.conv(0, 3, activation="RELU"), "MAX")
    net.dense(x, 4)
    return net


def notes(content, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FrontEndWarning)
        found = from_tflite(content, **options).notes
    assert {str(each.message) for each in caught} == set(found)
    return list(found)


@pytest.mark.parametrize("shift, zero", [
    (np.abs, -128), (lambda x: -np.abs(x), 127), (lambda x: np.append(x, -x, 0), 0),
    (lambda x: x + 1, None)])
def test_images_are_padded_with_zeros_for_all_zero_points(shift, zero):
    net = Network(1, 5, 6, 2)
    net.conv(0, 4, (3, 5))
    x = shift(inputs(net))
    content = net.integers(x)
    point = File(content).tensor(0).quantisation.zero.item()
    assert point == zero if zero is not None else point not in (-128, 0, 127)
    assert not compare_integers(content, x).any()


def test_layers_compute_on_integers():
    net = simple()
    graph = read(net.integers(inputs(net)))
    kinds = [type(node.computation).__name__ for node in graph.nodes]
    assert kinds == ["Quantise", "Model", "Quantise", "MaxPool", "Reshape", "Model", "Quantise",
                     "Affine"]
    # The ReLU is the limit of the integers.
    assert not graph.nodes[1].computation.layers[-1].relu
    assert graph.nodes[2].computation.low == 0


def test_weights_are_integers_times_one_number_for_each_row():
    net = Network(1, 8)
    net.dense(0, 4)
    file = File(net.integers(inputs(net)))
    graph = read(net.integers(inputs(net)))
    layer, = graph.nodes[1].computation.layers
    scales = file.tensor(1).quantisation.scale.astype(float) * \
        file.tensor(0).quantisation.scale.astype(float)
    np.testing.assert_allclose(layer.weight / scales[:, None], file.tensor(1).data, rtol=1e-6)


def test_a_perceptron_is_a_chain():
    graph = read(NETWORKS["perceptron"]().floats(), last="t3")
    assert isinstance(graph, Model)
    assert [layer.relu for layer in graph.layers] == [True]


def test_a_softmax_at_the_end_is_left_out():
    net = simple()
    last = len(net.tensors) - 1
    net.single("SOFTMAX", last, schema.SoftmaxOptionsT(beta=1.0))
    x = inputs(net)
    for content in (net.floats(), net.integers(x)):
        graph = read(content)
        assert any(note.startswith("the results are those before the Softmax")
                   for note in graph.notes)
        shown = interpret(content, x)
        assert shown.min() >= -128
        part = read(content, last=f"t{last}")
        np.testing.assert_array_equal(results(graph, images(x).astype(float)),
                                      results(part, images(x).astype(float)))


def test_half_precision_constants_are_numbers():
    net = simple()
    x = inputs(net)
    content = net.floats(half=True)
    np.testing.assert_allclose(results(read(content), images(x).astype(float)),
                               interpret(content, x), rtol=1e-5, atol=1e-5)


def test_models_that_round_their_inputs_themselves_have_no_notes_about_integers():
    net = Network(1, 12)
    net.dense(net.dense(0, 8, activation="RELU"), 4)
    x = inputs(net)
    content = net.integers(x, reals=True)
    assert notes(content) == []
    step = File(net.integers(x)).tensor(len(net.tensors) - 1).quantisation.scale.item()
    differences = (results(read(content), x.astype(float)) - interpret(content, x)) / step
    # The interpreter divides inputs in single precision.
    assert np.abs(differences).max() < 1.01
    assert (np.abs(differences) > 0.01).mean() < 0.05


def test_weights_alone_may_be_integers():
    net = Network(1, 12)
    net.dense(0, 4)

    def change(model):
        tensor, number = model.subgraphs[0].tensors[1], File(integers).tensor(1)
        tensor.type = schema.TensorType.INT8
        tensor.quantization = schema.QuantizationParametersT(
            scale=number.quantisation.scale, zeroPoint=number.quantisation.zero)
        model.buffers[tensor.buffer].data = number.data.view(np.uint8).ravel()
    x = inputs(net)
    integers = net.integers(x)
    content = net.floats(change=change)
    assert notes(content) == [
        "weights are integers and activations numbers: TensorFlow Lite rounds the activations of "
        "layers by a scale of each inference, which is left out"]
    np.testing.assert_allclose(results(read(content), x.astype(float)), interpret(content, x),
                               atol=0.05)


def test_notes_say_how_inputs_and_outputs_differ_from_the_file():
    net = Network(1, 6, 5, 2)
    net.conv(0, 3)
    assert notes(net.floats()) == [
        "input 't0' has the channels first here, (2, 6, 5), and last in the file, (6, 5, 2)",
        "output 't3' has the channels first here, (3, 6, 5), and last in the file, (6, 5, 3)"]
    net = Network(1, 4)
    net.dense(0, 3)
    x = np.linspace(0, 5.1, 8, dtype=np.float32).reshape(2, 4)
    assert notes(net.integers(x))[0] == (
        "input 't0' is real numbers here, and in the file integers q of type INT8: a number is "
        "0.02 · (q + 128)")


@pytest.mark.parametrize("first, last", [("t3", None), (None, "t4"), ("t3", "t7")])
@pytest.mark.parametrize("is_whole", [True, False])
def test_a_part_computes_what_the_model_computes_there(first, last, is_whole):
    net = Network(1, 6, 5, 2)
    x = net.conv(0, 3, activation="RELU")
    x = net.pool(x, "MAX")
    x = net.conv(x, 4)
    net.dense(x, 4)
    samples = inputs(net, 4)
    content = net.integers(samples) if is_whole else net.floats()
    graph = read(content, first=first, last=last)
    assert list(graph.inputs) == [first or "t0"]
    x = images(samples).astype(float)
    given = x if first is None else results(read(content, last=first), x)
    expected = results(read(content, last=last), x)
    np.testing.assert_allclose(results(graph, given), expected, atol=1e-6)


def test_inputs_can_be_fixed():
    net = Network(1, 4)
    net.pair("ADD", net.dense(0, 3), net.number(3))
    x = inputs(net, 3)
    expected = interpret(net.floats(), x)

    def change(model):    # the constant becomes an input
        graph = model.subgraphs[0]
        graph.tensors[4].buffer = 0
        graph.inputs = [0, 4]
    content = net.floats(change=change)
    rate = net.tensors[4].data.tolist()
    assert list(read(content).inputs) == ["t0", "t4"]
    graph = read(content, fix={"t4": rate})
    np.testing.assert_allclose(results(graph, x.astype(float)), expected, rtol=1e-5, atol=1e-6)


def test_a_model_may_have_several_inputs_and_outputs():
    def change(model):
        graph = model.subgraphs[0]
        graph.inputs, graph.outputs = [0, 1], [5, 8]
    net = Network(1, 4, 3, 2)
    net.add("", [], [1, 4, 3, 5])    # the second input
    net.operators.clear()
    x = net.pair("ADD", net.conv(0, 5), 1)
    net.dense(x, 3)
    content = net.floats(change=change)
    values = {"t0": net.rng.normal(0, 1, (1, 4, 3, 2)).astype(np.float32),
              "t1": net.rng.normal(0, 1, (1, 4, 3, 5)).astype(np.float32)}
    runner = Interpreter(model_content=content, num_threads=1)
    runner.allocate_tensors()
    for each in runner.get_input_details():
        runner.set_tensor(each["index"], values[each["name"]])
    runner.invoke()
    graph = read(content)
    found = evaluate_real(graph, {name: images(x).astype(float) for name, x in values.items()})
    for output, each in zip(graph.outputs, runner.get_output_details()):
        np.testing.assert_allclose(found[output], images(runner.get_tensor(each["index"])),
                                   rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(4, 12), (3, 5, 4, 2)])
def test_a_batch_of_fixed_size_is_one_sample_here(shape):
    net = Network(*shape)
    net.dense(net.dense(0, 6, activation="RELU") if len(shape) == 2
              else net.pool(net.conv(0, 3), "MAX"), 5)
    x = np.random.default_rng(2).normal(0, 1, shape).astype(np.float32)
    np.testing.assert_allclose(results(read(net.floats()), images(x).astype(float)),
                               interpret(net.floats(), x[np.newaxis]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("package, module", [("tflite", "tflite_file"), ("onnx", "onnx")])
def test_a_missing_package_is_named_with_its_extra(monkeypatch, package, module):
    for name in list(sys.modules):
        if name.startswith("eie_compiler.frontends.tflite") \
                or name == f"eie_compiler.frontends.{module}":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    message = f"m.tflite: {missing(package, 'to read it', 'tflite')}"
    with pytest.raises(FrontEndError, match=f"^{re.escape(message)}$"):
        read_model("m.tflite")
