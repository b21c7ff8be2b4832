"""Operations that cannot be run are listed at once, each with its remedy."""

import re

import numpy as np
import pytest

from eie_compiler.frontends import FrontEndError, FrontEndWarning

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from eie_compiler.frontends.onnx import from_onnx  # noqa: E402
from eie_compiler.frontends.onnx_operations import CHOOSE  # noqa: E402

CONSTANTS = {name: np.asarray(value, np.float32) for name, value in {
    "w": np.eye(4), "v": np.eye(4), "k": np.ones((2, 2, 3, 3)), "scale": 0.5}.items()}
CONSTANTS |= {"minus": np.float32(-1), "first": np.int64([0]), "zero": np.uint8(0),
              "codes": np.eye(4, dtype=np.uint8)}


def graph_of(*nodes, outputs=("y",), rank=2):
    """Make a model of nodes "operation: inputs -> outputs", each with attributes."""
    made = []
    for text, attributes in nodes:
        operation, inputs, results = re.split(": | -> ", text)
        made.append(helper.make_node(operation, inputs.split(), results.split(), **attributes))
    return helper.make_model(
        helper.make_graph(
            made, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None] * rank)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * rank)
             for name in outputs],
            [numpy_helper.from_array(np.asarray(value), name)
             for name, value in CONSTANTS.items()]),
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)],
        ir_version=9)


def error_of(model, **options):
    """Lines of the message about a model."""
    with pytest.raises(FrontEndError) as caught:
        from_onnx(model, **options)
    return str(caught.value).split("\n")


FIRST = ("operation must be one of Add, BatchNormalization, Cast, Conv, Div, Dropout, Flatten, "
         "Gemm, Identity, MatMul, Mul, Relu, Reshape, Squeeze, Sub, Transpose, Unsqueeze, "
         "ai.onnx.ml.LinearClassifier, ai.onnx.ml.LinearRegressor, ai.onnx.ml.SVMRegressor, "
         "ai.onnx.ml.Scaler; ")


def test_all_operations_are_listed_with_the_tensors_to_choose():
    model = graph_of(("MatMul: x w -> a", {}), ("Tanh: a -> b", {}), ("MatMul: b v -> c", {}),
                     ("LeakyRelu: c -> d", {}), ("MatMul: d w -> e", {}), ("Add: e a -> f", {}),
                     ("MatMul: f w -> g", {}), ("Softmax: g -> y", {}))
    assert error_of(model) == [
        f"{FIRST}4 nodes of this residual model cannot be run:",
        "  Tanh node (a -> b): the only activation is Relu: train with it; end before it with "
        "last='a', or begin after it with first='b'",
        "  LeakyRelu node (c -> d): the only activation is Relu: train with it; end before it with "
        "last='c', or begin after it with first='d'",
        "  Add node (e, a -> f): must have one computed input besides constants, not 2, as a "
        "connection around layers is not run; end before it with last='e', or begin after it with "
        "first='f'",
        "  Softmax node (g -> y): must be left out; its results have the order of its inputs: end "
        "before it with last='g'"]
    # The advice holds.
    assert len(from_onnx(model, last="a").layers) == 1
    assert len(from_onnx(model, first="f", last="g").layers) == 1


@pytest.mark.parametrize("nodes, kind", [
    ([("MatMul: x w -> a", {}), ("Add: a x -> y", {})], "residual"),
    ([("MatMul: x w -> a", {}), ("Sum: a x -> y", {})], "branching"),
    ([("MatMul: x w -> a", {}), ("Concat: a x -> y", {"axis": 1})], "branching"),
    ([("MatMul: x w -> a", {}), ("MatMul: x v -> b", {}), ("MatMul: a b -> y", {})], "attention"),
    ([("LSTM: x w v -> a h", {"hidden_size": 1}), ("MatMul: h w -> y", {})], "recurrent"),
    ([("GRU: x w v -> a", {"hidden_size": 1}), ("MatMul: a w -> y", {})], "recurrent"),
    ([("DequantizeLinear: codes scale zero -> q", {}), ("MatMul: x q -> y", {})], "quantised"),
    ([("QuantizeLinear: x scale zero -> q", {}), ("DequantizeLinear: q scale zero -> a", {}),
      ("MatMul: a w -> y", {})], "quantised"),
    ([("DynamicQuantizeLinear: x -> q s p", {}), ("MatMulInteger: q codes p -> y", {})],
     "quantised"),
])
def test_kinds_of_models_are_named(nodes, kind):
    # With another operation, so that there is a list.
    nodes = [*nodes, ("Tanh: y -> z", {}), ("MatMul: z w -> end", {})]
    assert f"nodes of this {kind} model cannot be run:" in error_of(
        graph_of(*nodes, outputs=["end"]))[0]


def test_models_with_several_outputs_are_named_with_their_operations():
    model = graph_of(("MatMul: x w -> a", {}), ("Relu: a -> y", {}), ("Softmax: a -> z", {}),
                     ("ArgMax: z -> n", {}), outputs=["y", "n"])
    assert error_of(model) == [
        "graph must have one output, not 2: take 'y' with last='y'",
        f"{FIRST}2 nodes of this model cannot be run:",
        "  Softmax node (a -> z): must be left out; its results have the order of its inputs: end "
        "before it with last='a'",
        "  ArgMax node (z -> n): take the scores, and choose the class on the host"]
    assert from_onnx(model, last="y").layers[0].relu


@pytest.mark.parametrize("nodes, outputs, advice", [
    ([("MatMul: x w -> a", {}), ("Tanh: a -> b", {}), ("MatMul: b w -> y", {}),
      ("MatMul: b w -> z", {})], "yz", "choose one of 'y', 'z' with last=TENSOR"),
    ([("MatMul: x w -> a", {}), ("Softmax: a -> y", {}), ("Tanh: a -> z", {})], "yz",
     "end before all that cannot be run, with last='a'"),
    ([("MatMul: x w -> a", {}), ("Tanh: a -> y", {}), ("Tanh: x -> z", {})], "yz",
     "choose one of 'y', 'z' with last=TENSOR"),
    ([("Softmax: x -> y", {}), ("Tanh: y -> z", {})], "yz",
     "choose one of 'y', 'z' with last=TENSOR"),
    ([("MatMul: x w -> y", {}), ("MatMul: x w -> z", {})], "yz",
     "choose one of 'y', 'z' with last=TENSOR"),
])
def test_one_end_before_all_that_cannot_be_run_is_advised(nodes, outputs, advice):
    assert error_of(graph_of(*nodes, outputs=outputs))[0] == \
        f"graph must have one output, not 2: {advice}"


CLASSES = {"classlabels_ints": [0, 1, 2, 3], "coefficients": [1.0] * 16, "intercepts": [0.0] * 4,
           "post_transform": "SOFTMAX", "domain": "ai.onnx.ml"}
HERE = {"domain": "ai.onnx.ml"}


@pytest.mark.parametrize("nodes, outputs, last", [
    # As skl2onnx writes LogisticRegression, RidgeClassifier, SGDClassifier, and a Normalizer.
    ([("LinearClassifier: x -> n p", CLASSES), ("Normalizer: p -> q", HERE | {"norm": "L1"}),
      ("ZipMap: q -> z", HERE | {"classlabels_int64s": [0, 1, 2, 3]})], "nz", "p"),
    ([("LinearClassifier: x -> n p", CLASSES), ("Cast: n -> l", {"to": TensorProto.INT64}),
      ("ArrayFeatureExtractor: p first -> q", HERE)], "lq", "p"),
    ([("MatMul: x w -> a", {}), ("Mul: a minus -> b", {}), ("Concat: b a -> p", {"axis": 1}),
      ("ArgMax: p -> n", {})], "np", "a"),
    ([("MatMul: x w -> a", {}), ("Sub: scale a -> b", {}), ("Tanh: b -> c", {}),
      ("Reciprocal: c -> d", {}), ("ArgMax: d -> n", {})], "nd", "a"),
    ([("Normalizer: x -> u", HERE), ("MatMul: u w -> a", {}), ("Softmax: a -> p", {}),
      ("ArgMax: p -> n", {})], "np", "a"),
])
def test_the_last_tensor_that_gives_all_outputs_is_advised(nodes, outputs, last):
    model = graph_of(*nodes, outputs=outputs)
    advice, *others = error_of(model)
    assert advice.startswith("graph must have one output, not 2: end ")
    assert f"with last={last!r}" in advice
    # No other tensor is advised that cannot be computed, or has the opposite order.
    assert {name for line in others for name in re.findall("last='(.*?)'", line)} <= {last}


def test_a_class_cannot_be_an_output_but_its_scores_can():
    model = graph_of(("LinearClassifier: x -> n y", CLASSES), outputs="ny")
    reason = ("LinearClassifier node (x -> n, y): 'n' must be left out: choose the class by its "
              "score on the host, and end with the scores, last='y'")
    assert error_of(model) == ["graph must have one output, not 2: take 'y' with last='y'",
                               f"{FIRST}1 node of this model cannot be run:", f"  {reason}"]
    assert error_of(model, last="n") == [reason]
    with pytest.warns(FrontEndWarning, match="those before the SOFTMAX of the LinearClassifier"):
        assert from_onnx(model, last="y").layers[0].n_rows == 4


def test_a_softmax_along_the_batch_has_another_order():
    model = graph_of(("MatMul: x w -> a", {}), ("Softmax: a -> y", {"axis": 0}))
    assert "compute it on the host; end before it with last='a'" in error_of(model)[0]


def test_functions_of_a_model_are_refused_whatever_their_name():
    model = graph_of(("MatMul: x w -> a", {}), ("Relu: a -> y", {"domain": "odd"}))
    model.opset_import.append(helper.make_opsetid("odd", 1))
    model.functions.append(helper.make_function(
        "odd", "Relu", ["i"], ["o"], [helper.make_node("Neg", ["i"], ["o"])],
        [helper.make_opsetid("", 17)]))
    assert error_of(model) == [
        f"Relu node (a -> y): {FIRST}is a function of the model: onnx.inliner."
        "inline_local_functions replaces it by its operations"]


def test_many_nodes_of_an_operation_are_counted():
    nodes = [(f"Tanh: t{n} -> t{n + 1}", {}) for n in range(9)]
    lines = error_of(graph_of(("MatMul: x w -> t0", {}), *nodes, ("Elu: t9 -> y", {})))
    assert [line.split()[0] for line in lines] == ["operation", "Tanh", "Tanh", "Tanh", "Elu",
                                                   "and"]
    assert lines[0].endswith("; 10 nodes of this model cannot be run:")
    assert lines[-1] == "  and 6 more Tanh nodes"


def test_a_wide_convolution_after_another_layer_is_listed_too():
    lines = error_of(graph_of(("Conv: x k -> a", {}), ("MaxPool: a -> b", {"kernel_shape": [2, 2]}),
                              ("Conv: b k -> y", {}), rank=4))
    assert lines[1:] == [
        "  MaxPool node (a -> b): pooling is not run; end before it with last='a', or begin after "
        "it with first='b'",
        "  Conv node (b, k -> y): convolution after another layer must be 1 × 1; begin at it "
        "with first='b'"]


@pytest.mark.parametrize("nodes, message", [
    ([("Erf: x -> a", {}), ("MatMul: a w -> y", {})],
     f"Erf node (x -> a): {FIRST}compute it on the host; begin after it with first='a'"),
    ([("Add: x x -> y", {})],
     "Add node (x, x -> y): model is residual: must have one computed input besides constants, not "
     f"2, as a connection around layers is not run; {CHOOSE}"),
    ([("MatMul: x w -> a", {}), ("Add: x a -> y", {})],
     "Add node (x, a -> y): model is residual: must have one computed input besides constants, not "
     "2, as a connection around layers is not run; end before it with last='a'"),
    ([("MatMul: x w -> a", {}), ("QuantizeLinear: a scale zero -> y", {})],
     f"QuantizeLinear node (a, scale, zero -> y): model is quantised: {FIRST}export the model "
     "before its quantisation, as `eie compress` quantises it"),
    ([("LSTM: x w v -> a h", {"hidden_size": 1}), ("MatMul: h w -> y", {})],
     f"LSTM node (x, w, v -> a, h): model is recurrent: {FIRST}keeps a state between steps: run "
     "the steps on the host, with its matrices as layers of an .npz file; begin after it with "
     "first='h'"),
    ([("Mul: w v -> a", {}), ("MatMul: x a -> y", {})],
     "Mul node (w, v -> a): must compute from the input; it computes a constant: onnxruntime's "
     "basic optimisations store some of them"),
    ([("MatMul: x w -> a", {}), ("Dropout: a -> b mask", {}), ("Cast: mask -> y", {"to": 1})],
     "Dropout node (a -> b, mask): must be used by its output 'b', not 'mask'; end before it "
     "with last='a'"),
])
def test_one_operation_is_one_line(nodes, message):
    assert error_of(graph_of(*nodes)) == [message]
