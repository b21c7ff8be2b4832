"""Operations that cannot be run are listed at once, each with its remedy."""

import re

import numpy as np
import pytest

from eie_compiler.frontends import FrontEndError

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from eie_compiler.frontends.onnx import from_onnx  # noqa: E402
from eie_compiler.frontends.onnx_operations import CHOOSE  # noqa: E402

CONSTANTS = {name: np.asarray(value, np.float32) for name, value in {
    "w": np.eye(4), "v": np.eye(4), "k": np.ones((2, 2, 3, 3)), "scale": 0.5}.items()}
CONSTANTS |= {"zero": np.uint8(0), "codes": np.eye(4, dtype=np.uint8)}


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
        "graph must have one output, not 2: choose one of 'y' with last=TENSOR",
        f"{FIRST}2 nodes of this model cannot be run:",
        "  Softmax node (a -> z): must be left out; its results have the order of its inputs: end "
        "before it with last='a'",
        "  ArgMax node (z -> n): take the scores, and choose the class on the host; end before it "
        "with last='z'"]
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
        "with first='b', or end before it with last='b'"]


@pytest.mark.parametrize("nodes, message", [
    ([("Erf: x -> a", {}), ("MatMul: a w -> y", {})],
     f"Erf node (x -> a): {FIRST}the only activation is Relu: train with it; begin after it with "
     "first='a'"),
    ([("MatMul: x w -> a", {}), ("Add: x a -> y", {})],
     "Add node (x, a -> y): model is residual: must have one computed input besides constants, not "
     f"2, as a connection around layers is not run; {CHOOSE}"),
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
     "Dropout node (a -> b, mask): must be used by its first output, not 'mask'; end before it "
     "with last='a'"),
])
def test_one_operation_is_one_line(nodes, message):
    assert error_of(graph_of(*nodes)) == [message]
