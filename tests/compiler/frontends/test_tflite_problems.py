"""Operators of TensorFlow Lite that cannot be read are listed at once, each with its remedy.

They are found by `eie_compiler.frontends.tflite_problems`, in the part of the model that
`eie_compiler.frontends.tflite_part` finds.
"""

import warnings

import numpy as np
import pytest

from eie_compiler.frontends import FrontEndError, FrontEndWarning

pytest.importorskip("tflite", reason="needs the extra [tflite]")
pytest.importorskip("onnx")
pytest.importorskip("ai_edge_litert", reason="needs the extra [test]")

from ai_edge_litert import schema_py_generated as schema  # noqa: E402

from eie_compiler.frontends.tflite import from_tflite  # noqa: E402
from support.tflite_models import Network  # noqa: E402

MUST_BE = "operator must be one that docs/models.md lists; "


def error_of(content, **options):
    """Lines of the message about a model."""
    with pytest.raises(FrontEndError) as caught:
        from_tflite(content, **options)
    return str(caught.value).split("\n")


def layers(*kinds):
    """Make a network with operators of these kinds after its first layer, and a layer at the end.
    """
    net = Network(1, 4)
    x = net.dense(0, 4)
    for kind in kinds:
        x = net.single(kind, x)
    net.dense(x, 3)
    return net


@pytest.mark.parametrize("kind, reason", [
    ("UNIDIRECTIONAL_SEQUENCE_LSTM", "export the model to ONNX, where LSTM, GRU and RNN are read"),
    ("BATCH_TO_SPACE_ND", "it is part of a dilated convolution: convert the model again, with a "
                          "dilation_rate that the converter keeps in CONV_2D"),
    ("TRANSPOSE_CONV", "replace it by an enlargement with mode nearest and a convolution, and "
                       "export the model to ONNX"),
    ("WHILE", "the main graph must not call others: export recurrent layers to ONNX as LSTM, GRU "
              "or RNN, and a branch by itself"),
    ("BATCH_MATMUL", "one factor must be constant, unlike in attention"),
    ("GELU", "train with RELU, LEAKY_RELU, HARD_SWISH, LOGISTIC or TANH"),
    ("SPLIT_V", "export the model to ONNX, where Split, Slice, Gather, Resize and DepthToSpace are "
                "read"),
    ("FLOOR_MOD", "")])
def test_an_operator_is_refused_with_a_remedy(kind, reason):
    assert error_of(layers(kind).floats()) == [
        f"{kind} operator (t3 -> t4): {MUST_BE}{reason}{'; ' * bool(reason)}end before it with "
        "last='t3', or begin after it with first='t4'"]


def test_an_operator_of_the_input_alone_is_for_the_host():
    net = Network(1, 4)
    net.single("ROUND", 0)
    assert error_of(net.floats()) == [f"ROUND operator (t0 -> t1): {MUST_BE}compute it on the host"]


def test_custom_operators_have_the_name_of_the_file():
    def change(model):
        code = model.operatorCodes[1]
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
        code.customCode = "FlexErf"
    message, = error_of(layers("ROUND").floats(change=change))
    assert message.startswith(f"FlexErf operator (t3 -> t4): {MUST_BE}convert the model with "
                              "operators of TensorFlow Lite only, without SELECT_TF_OPS; end ")


def test_all_operators_are_listed_at_once():
    lines = error_of(layers("ELU", *["ROUND"] * 5, "ELU").floats())
    assert lines[0] == f"{MUST_BE}7 operators of this model cannot be run:"
    assert [line.split(" (")[0] for line in lines[1:]] == [
        *["  ELU operator"], *["  ROUND operator"] * 3, "  ELU operator",
        "  and 2 more ROUND operators"]
    assert lines[1] == ("  ELU operator (t3 -> t4): train with RELU, LEAKY_RELU, HARD_SWISH, "
                        "LOGISTIC or TANH; end before it with last='t3', or begin after it with "
                        "first='t4'")


def test_what_is_not_in_the_part_may_be_anything():
    content = layers("ELU", "ROUND").floats()
    before, after = from_tflite(content, last="t3"), from_tflite(content, first="t5")
    assert [layer.n_rows for part in (before, after) for layer in part.layers] == [4, 3]


def test_shapes_may_be_computed():
    """Converters compute the size of the batch, which a reshape of the result has."""
    net = Network(1, 4, 3, 2)
    x = net.conv(0, 3)
    shape = net.add("SHAPE", [x], [4], schema.ShapeOptionsT())
    x = net.add("RESHAPE", [x, shape], [1, 36])
    net.dense(x, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FrontEndWarning)
        assert len(from_tflite(net.floats()).nodes) == 3


@pytest.mark.parametrize("kind, message", [
    (np.int16, "'t0' must be of floating point or 8 bits, not INT16: quantise the model with "
               "activations of 8 bits, not 16 × 8"),
    (np.int32, "'t0' must be of type FLOAT32, INT8 or UINT8, not INT32")])
def test_activations_of_other_types_are_refused(kind, message):
    def change(model):
        for tensor in model.subgraphs[0].tensors:
            if tensor.type == schema.TensorType.INT8 and not tensor.buffer:
                tensor.type = getattr(schema.TensorType, kind.__name__.upper())
    net = Network(1, 4)
    net.dense(0, 3)
    x = np.ones((1, 4), np.float32)
    assert error_of(net.integers(x, change=change)) == [
        f"FULLY_CONNECTED operator (t0 -> t3): {message}"]


@pytest.mark.parametrize("scale", [None, [0.1, 0.2, 0.3]])
def test_activations_have_one_scale(scale):
    def change(model):
        model.subgraphs[0].tensors[3].quantization = schema.QuantizationParametersT(
            scale=scale, quantizedDimension=1)
    net = Network(1, 4)
    net.dense(0, 3)
    assert error_of(net.integers(np.ones((1, 4), np.float32), change=change)) == [
        "FULLY_CONNECTED operator (t0 -> t3): 't3' must have one scale: quantise activations per "
        "tensor"]


@pytest.mark.parametrize("options, message", [
    ({"last": "t"}, "last must be a computed tensor of the model, such as 't0', 't3', 't4', 't7', "
                    "not 't'"),
    ({"first": "t1"}, "first must be a computed tensor of the model, such as 't0', 't3', 't4', "
                      "'t7', not 't1'"),
    ({"first": "t4", "last": "t3"}, "first must be on the path to 't3', not 't4'")])
def test_the_ends_of_a_part_are_tensors_on_one_path(options, message):
    assert error_of(layers("RELU").floats(), **options) == [message]


def swap(model):
    model.subgraphs[0].operators.reverse()


def repeat(model):
    model.subgraphs[0].operators *= 2


def cut(model):
    model.subgraphs[0].outputs = []


def leave(model):
    model.subgraphs[0].operators.pop()


@pytest.mark.parametrize("change, message", [
    (swap, "FULLY_CONNECTED operator (t4 -> t7): input 't4' must be computed before it"),
    (repeat, "FULLY_CONNECTED operator (t0 -> t3): outputs must be computed once"),
    (cut, "graph must have outputs"), (leave, "output 't7' must be computed")])
def test_operators_are_in_order(change, message):
    assert error_of(layers("RELU").floats(change=change)) == [message]


@pytest.mark.parametrize("place, options, message", [
    (0, {"padding": 2}, "CONV_2D operator (t0 -> t3): padding must be SAME or VALID, not 2"),
    (0, {"fusedActivationFunction": 4},
     "CONV_2D operator (t0 -> t3): activation must be NONE, RELU, RELU_N1_TO_1, RELU6, not TANH: "
     "let it be an operator of its own"),
    (1, {"weightsFormat": 1}, "FULLY_CONNECTED operator (t3 -> t6): weights must be in their "
                              "default order: convert the model again")])
def test_options_are_checked(place, options, message):
    def change(model):
        for name, value in options.items():
            setattr(model.subgraphs[0].operators[place].builtinOptions, name, value)
    net = Network(1, 3, 3, 2)
    net.dense(net.conv(0, 2), 2)
    assert error_of(net.floats(change=change)) == [message]


def test_options_must_be_those_of_the_operator():
    def change(model):
        model.subgraphs[0].operators[0].builtinOptions = schema.AddOptionsT()
        model.subgraphs[0].operators[0].builtinOptionsType = schema.BuiltinOptions.AddOptions
    assert error_of(layers().floats(change=change)) == [
        "FULLY_CONNECTED operator (t0 -> t3): must have FullyConnectedOptions"]


def dense_of_computed_weights(net):
    x = net.dense(0, 4)
    net.add("FULLY_CONNECTED", [x, net.reshape(x, 1, 4)], [1, 1], schema.FullyConnectedOptionsT())


def dense_of_constants(net):
    one = net.constant(np.ones((1, 4), np.float32))
    net.pair("ADD", net.dense(one, 4), 0)


def groups_that_do_not_fit(net):
    net.add("CONV_2D", [net.reshape(net.dense(0, 4), 1, 1, 1, 4),
                        net.constant(np.ones((2, 1, 1, 3), np.float32))], [1, 1, 1, 2],
            schema.Conv2DOptionsT(strideH=1, strideW=1))


def bias_that_does_not_fit(net):
    net.add("FULLY_CONNECTED", [0, net.constant(np.ones((3, 4), np.float32)),
                                net.constant(np.ones(2, np.float32))], [1, 3],
            schema.FullyConnectedOptionsT())


def columns_that_do_not_fit(net):
    net.add("FULLY_CONNECTED", [0, net.constant(np.ones((3, 5), np.float32))], [1, 3],
            schema.FullyConnectedOptionsT())


def shape_that_does_not_fit(net):
    net.reshape(net.dense(0, 4), 1, 5)


def padding_with_ones(net):
    x = net.dense(0, 4)
    net.add("PADV2", [x, net.constant(np.int32([[0, 0], [0, 1]])),
                      net.constant(np.ones((), np.float32))], [1, 5])


def order_that_is_none(net):
    net.add("TRANSPOSE", [net.dense(0, 4), net.constant(np.int32([0, 0]))], [1, 4])


def axis_that_is_none(net):
    net.reduce("MEAN", net.dense(0, 4), (2,), keep=True)


def beta_below_zero(net):
    net.single("SOFTMAX", net.dense(0, 4), schema.SoftmaxOptionsT(beta=-1.0))


@pytest.mark.parametrize("function, message", [
    (dense_of_computed_weights, "FULLY_CONNECTED operator (t3, t5 -> t6): input 't5' must be a "
                                "constant"),
    (dense_of_constants, "FULLY_CONNECTED operator ( -> t4): operand must be computed, not a "
                         "constant"),
    (groups_that_do_not_fit, "CONV_2D operator (t5 -> t7): weights must be of the 4 channels of "
                             "the images, or of groups of them, not of 3"),
    (bias_that_does_not_fit, "FULLY_CONNECTED operator (t0 -> t3): bias must have 3 elements, not "
                             "2"),
    (columns_that_do_not_fit, "FULLY_CONNECTED operator (t0 -> t2): weights must have columns for "
                              "the elements of (1, 4), not 5"),
    (shape_that_does_not_fit, "RESHAPE operator (t3 -> t5): shape must have the 4 elements of (1, "
                              "4), not be (1, 5)"),
    (padding_with_ones, "PADV2 operator (t3 -> t6): padding must be with zeros: pad with other "
                        "numbers on the host"),
    (order_that_is_none, "TRANSPOSE operator (t3 -> t5): order must have each of the 2 axes once, "
                         "not be [0, 0]"),
    (axis_that_is_none, "MEAN operator (t3 -> t5): axis must be within the 2 of the tensor, not "
                        "2"),
    (beta_below_zero, "SOFTMAX operator (t3 -> t4): beta must be above 0")])
def test_operands_are_checked(function, message):
    net = Network(1, 4)
    function(net)
    assert error_of(net.floats()) == [message]
