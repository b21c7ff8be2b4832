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

NETWORKS = {}


def network(*shape):
    """Register a function that adds operators to a network with an input of this shape."""
    def register(function):
        def make():
            made = Network(1, *shape)
            function(made)
            return made
        NETWORKS[function.__name__] = make
        return function
    return register


@network(7, 6, 3)
def conv_same(net):
    net.conv(0, 5, activation="RELU")


@network(7, 6, 3)
def conv_valid(net):
    net.conv(0, 5, (2, 3), padding="VALID")


@network(8, 7, 3)
def conv_stride(net):
    x = net.conv(0, 4, stride=(2, 2))
    net.conv(x, 4, (2, 2), stride=(1, 2))


@network(9, 8, 2)
def conv_dilation(net):
    net.conv(0, 4, dilation=(2, 3), activation="RELU6")


@network(5, 5, 4)
def conv_groups(net):
    net.conv(0, 6, groups=2)


@network(7, 6, 3)
def depthwise(net):
    x = net.depthwise(0, activation="RELU")
    net.depthwise(x, padding="VALID")


@network(7, 6, 3)
def depthwise_multiplier(net):
    net.depthwise(0, 2, stride=(2, 2), activation="RELU6")


@network(7, 6, 2)
def depthwise_dilation(net):
    net.depthwise(0, 3, (2, 3), dilation=(2, 2))


@network(7, 5, 3)
def pools_same(net):
    x = net.conv(0, 4, (1, 1))
    x = net.pool(x, "MAX", (3, 3), padding="SAME")
    net.pool(x, "AVERAGE", (3, 2), padding="SAME", activation="RELU")


@network(8, 8, 3)
def pools_valid(net):
    x = net.conv(0, 4, activation="RELU")
    x = net.pool(x, "AVERAGE")
    net.pool(x, "MAX", (3, 3), stride=(1, 1))


@network(6, 6, 3)
def add_of_different_scales(net):
    x, y = net.conv(0, 4, activation="RELU"), net.conv(0, 4, (1, 1))
    net.pair("ADD", x, y, "RELU")


@network(6, 6, 3)
def arithmetic(net):
    x, y = net.conv(0, 4), net.conv(0, 4, (1, 1))
    x = net.pair("SUB", x, y)
    x = net.pair("MUL", x, net.single("LOGISTIC", y))
    net.pair("ADD", x, net.number(4))


@network(6, 6, 3)
def constant_operands(net):
    x = net.conv(0, 4)
    x = net.pair("MUL", x, net.number(1, 1, 4))
    x = net.pair("SUB", x, net.number(1))
    net.pair("MAXIMUM", net.pair("MINIMUM", x, net.conv(0, 4)), net.conv(0, 4))


@network(6, 6, 3)
def squeeze_and_excite(net):
    x = net.conv(0, 4, activation="RELU")
    y = net.reduce("MEAN", x, (1, 2), keep=True)
    y = net.conv(y, 4, (1, 1))
    net.pair("MUL", x, net.single("LOGISTIC", y))


@network(6, 5, 3)
def mean(net):
    x = net.conv(0, 8, activation="RELU")
    net.dense(net.reduce("MEAN", x, (1, 2)), 5)


@network(6, 5, 3)
def means_of_other_axes(net):
    x = net.conv(0, 8)
    x = net.reduce("MEAN", x, (1,))
    net.dense(net.reduce("MEAN", x, (2,)), 4)


@network(6, 5, 3)
def maxima_and_sums(net):
    x = net.conv(0, 8)
    x = net.reduce("REDUCE_MAX", x, (2,), keep=True)
    net.reduce("SUM", x, (-3, 2), keep=True)


@network(6, 6, 3)
def concatenation(net):
    x = [net.conv(0, 4, activation="RELU"), net.conv(0, 2), net.pool(0, "MAX", stride=(1, 1),
                                                                    padding="SAME")]
    net.conv(net.concat(x, -1), 5)


@network(6, 6, 3)
def concatenation_of_rows(net):
    net.concat([net.conv(0, 4), net.conv(0, 4, (1, 1))], 1)


@network(4, 3, 3)
def concatenation_with_a_constant(net):
    net.concat([net.conv(0, 4), net.number(1, 4, 3, 2)], 3)


@network(5, 4, 3)
def padding(net):
    x = net.pad(net.conv(0, 4), (0, 0), (1, 2), (0, 1), (0, 0))
    x = net.conv(x, 4, stride=(2, 2), padding="VALID")
    net.pad(x, (0, 0), (0, 0), (0, 0), (2, 1))


@network(6, 4, 3)
def flatten(net):
    x = net.pool(net.conv(0, 4, activation="RELU"), "MAX")
    x = net.dense(net.reshape(x, 1, 24), 6, activation="RELU")
    net.dense(x, 3)


@network(4, 3, 2)
def flatten_in_the_layer(net):
    net.dense(net.conv(0, 4), 6)


@network(4, 3, 2)
def flatten_that_others_read(net):
    x = net.reshape(net.conv(0, 3), 1, 36)
    net.pair("ADD", net.dense(x, 36), x)


@network(6, 8)
def vectors(net):
    x = net.dense(0, 5, keep=True, activation="RELU")
    net.dense(x, 4, keep=True, bias=False)


@network(3, 4, 6)
def vectors_of_pixels(net):
    net.dense(0, 5, keep=True)


@network(3, 4, 6)
def rows_of_pixels(net):
    x = net.pool(net.conv(0, 6), "MAX", (3, 3), stride=(1, 1), padding="SAME")
    x = net.reshape(x, 12, 6)
    net.dense(x, 5, inputs=6)


@network(12)
def perceptron(net):
    x = net.dense(0, 16, activation="RELU")
    x = net.dense(x, 16, activation="RELU6")
    net.dense(x, 4)


@network(12)
def sigmoid(net):
    net.single("LOGISTIC", net.dense(0, 16))


@network(12)
def tanh(net):
    net.single("TANH", net.dense(0, 16))


@network(12)
def hard_swish(net):
    net.single("HARD_SWISH", net.dense(0, 16), schema.HardSwishOptionsT())


@network(12)
def leaky_relu(net):
    net.single("LEAKY_RELU", net.dense(0, 16), schema.LeakyReluOptionsT(alpha=0.125))


@network(12)
def magnitude(net):
    net.single("ABS", net.dense(0, 16), schema.AbsOptionsT())


@network(12)
def difference_from_zero(net):
    net.pair("SUB", net.constant(np.zeros(1, np.float32), "number"), net.dense(0, 16))


@network(12)
def quotient(net):
    net.pair("DIV", net.dense(0, 16), net.constant(np.float32([0.5, 2] * 8), "number"))


@network(5, 4, 3)
def padding_with_a_value(net):
    x = net.conv(0, 4)
    zero = net.constant(np.zeros((), np.float32), "number")
    x = net.add("PADV2", [x, net.constant(np.int32([[0, 0], [0, 1], [2, 0], [0, 0]])), zero],
                [1, 6, 6, 4], schema.PadV2OptionsT())
    net.conv(x, 2, padding="VALID")


@network(12)
def limits(net):
    x = net.single("RELU6", net.dense(0, 16))
    x = net.single("RELU_N1_TO_1", net.dense(x, 16))
    x = net.single("RELU_0_TO_1", net.dense(x, 16))
    net.single("RELU", net.dense(x, 16))


@network(5, 5, 3)
def prelu(net):
    x = net.conv(0, 4)
    net.add("PRELU", [x, net.number(1, 1, 4)], net.shape(x))


@network(16, 4)
def one_dimension(net):
    x = net.add("EXPAND_DIMS", [0, net.constant(np.int32(1))], [1, 1, 16, 4],
                schema.ExpandDimsOptionsT())
    x = net.conv(x, 6, (1, 3), padding="VALID", activation="RELU")
    x = net.add("SQUEEZE", [x], [1, 14, 6], schema.SqueezeOptionsT(squeezeDims=[1]))
    net.dense(net.reduce("MEAN", x, (1,)), 3)


@network(24)
def images_of_vectors(net):
    x = net.conv(net.reshape(0, 1, 4, 3, 2), 5)
    net.reshape(x, 1, 3, 20)


@network(4, 5, 3)
def transpositions(net):
    x = net.transpose(net.conv(0, 6), 0, 2, 1, 3)
    x = net.conv(x, 6)
    x = net.transpose(net.reshape(x, 1, 20, 6), 0, 2, 1)
    net.dense(x, 3, keep=True)


@network(4, 5, 3)
def channels_become_rows(net):
    net.transpose(net.conv(0, 6), 0, 3, 1, 2)


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
