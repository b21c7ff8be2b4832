"""Operations that cannot be run are listed at once, each with its remedy.

They are found by `eie_compiler.frontends.onnx_problems`. What only keeps, or chooses by, the order
of the results is left out at the end (`eie_compiler.frontends.onnx_operations`).
"""

import re
import warnings

import numpy as np
import pytest

from eie_compiler.frontends import FrontEndError, FrontEndWarning

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from eie_compiler.frontends.onnx import from_onnx  # noqa: E402

CONSTANTS = {name: np.asarray(value, np.float32) for name, value in {
    "w": np.eye(4), "v": np.eye(4), "k": np.ones((2, 2, 3, 3)), "scale": 0.5}.items()}
CONSTANTS |= {"kernels": np.ones((2, 4, 3, 3), np.float32), "scales": np.ones(4, np.float32)}
CONSTANTS |= {"first": np.int64([0]), "zero": np.uint8(0),
              "codes": np.eye(4, dtype=np.uint8)}


def graph_of(*nodes, outputs=("y",), rank=2):
    """Make a model of nodes "operation: inputs -> outputs", each with attributes."""
    made = []
    for text, attributes in nodes:
        operation, inputs, results = re.split(": | -> ", text)
        made.append(helper.make_node(operation, inputs.split(), results.split(), **attributes))
    return helper.make_model(
        helper.make_graph(
            made, "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4, 8, 8][:rank])],
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


def notes_of(model):
    """Notes of what is left out of a model that can be read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FrontEndWarning)
        return list(from_onnx(model).notes)


BRANCH = helper.make_graph([helper.make_node("Identity", ["x"], ["z"])], "branch", [],
                           [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", 4])])

FIRST = "operation must be one that docs/models.md lists; "


def test_all_operations_are_listed_with_the_tensors_to_choose():
    model = graph_of(("MatMul: x w -> a", {}), ("Softplus: a -> b", {}), ("MatMul: b v -> c", {}),
                     ("Elu: c -> d", {}), ("MatMul: d w -> e", {}), ("MatMul: e a -> f", {}),
                     ("MatMul: f w -> y", {}))
    assert error_of(model) == [
        f"{FIRST}3 nodes of this attention model cannot be run:",
        "  Softplus node (a -> b): train with Relu, LeakyRelu, HardSwish, Sigmoid or Tanh; end "
        "before it with last='a', or begin after it with first='b'",
        "  Elu node (c -> d): train with Relu, LeakyRelu, HardSwish, Sigmoid or Tanh; end before "
        "it with last='c', or begin after it with first='d'",
        "  MatMul node (e, a -> f): must have one computed input besides constants, not 2, as one "
        "factor must be constant, unlike in attention; end before it with last='e', or begin after "
        "it with first='f'"]
    # The advice holds.
    assert len(from_onnx(model, last="a").layers) == 1
    assert len(from_onnx(model, first="f", last="y").layers) == 1


@pytest.mark.parametrize("nodes, kind", [
    ([("MatMul: x w -> a", {}), ("MatMul: x v -> b", {}), ("MatMul: a b -> y", {})], "attention"),
    ([("DynamicQuantizeLinear: x -> q s p", {}), ("MatMulInteger: q codes p -> y", {})],
     "quantised"),
])
def test_kinds_of_models_are_named(nodes, kind):
    # With another operation, so that there is a list.
    nodes = [*nodes, ("Elu: y -> z", {}), ("MatMul: z w -> end", {})]
    assert f"nodes of this {kind} model cannot be run:" in error_of(
        graph_of(*nodes, outputs=["end"]))[0]


@pytest.mark.parametrize("nodes, outputs, advice", [
    ([("MatMul: x w -> a", {}), ("Elu: a -> b", {}), ("MatMul: b w -> y", {}),
      ("MatMul: b w -> z", {})], "yz", "choose one of 'y', 'z' with last=TENSOR"),
    ([("MatMul: x w -> a", {}), ("Elu: a -> y", {}), ("Erf: a -> z", {})], "yz",
     "end before all that cannot be run, with last='a'"),
    ([("MatMul: x w -> y", {}), ("Erf: y -> z", {})], "yz", "take 'y' with last='y'"),
    ([("MatMul: x w -> a", {}), ("Elu: a -> y", {}), ("Elu: x -> z", {})], "yz",
     "choose one of 'y', 'z' with last=TENSOR"),
])
def test_one_end_before_all_that_cannot_be_run_is_advised(nodes, outputs, advice):
    assert error_of(graph_of(*nodes, outputs=outputs))[0] == \
        f"outputs must be those that can be run: {advice}"


CLASSES = {"classlabels_ints": [0, 1, 2, 3], "coefficients": [1.0] * 16, "intercepts": [0.0] * 4,
           "post_transform": "SOFTMAX", "domain": "ai.onnx.ml"}
HERE = {"domain": "ai.onnx.ml"}


@pytest.mark.parametrize("nodes, outputs, left_out", [
    # As skl2onnx writes LogisticRegression, RidgeClassifier, SGDClassifier, and a perceptron.
    ([("LinearClassifier: x -> n p", CLASSES), ("Normalizer: p -> q", HERE | {"norm": "L1"}),
      ("ZipMap: q -> z", HERE | {"classlabels_int64s": [0, 1, 2, 3]})], "nz",
     {"LinearClassifier", "ZipMap", "Normalizer", "SOFTMAX"}),
    ([("LinearClassifier: x -> n p", CLASSES), ("Cast: n -> l", {"to": TensorProto.INT64}),
      ("Identity: p -> q", {})], "lq", {"LinearClassifier", "SOFTMAX"}),
    ([("MatMul: x w -> a", {}), ("Softmax: a -> p", {}), ("ArgMax: p -> i", {"axis": 1}),
      ("ArrayFeatureExtractor: first i -> c", HERE), ("Cast: c -> n", {"to": TensorProto.INT64})],
     "np", {"Softmax", "ArgMax", "ArrayFeatureExtractor"}),
    ([("MatMul: x w -> a", {}), ("LogSoftmax: a -> y", {})], "y", {"LogSoftmax"}),
])
def test_what_keeps_the_order_is_left_out_at_the_end_with_a_note(nodes, outputs, left_out):
    with pytest.warns(FrontEndWarning):
        model = from_onnx(graph_of(*nodes, outputs=outputs))
    assert model.layers[0].n_rows == 4 and len(model.layers) == 1
    notes = [re.match("the results are those before the (\\w+)", note) for note in model.notes]
    assert {note[1] for note in notes if note} == left_out
    assert [note for note, match in zip(model.notes, notes) if not match] == (
        ["output 'l' is left out, as 'q' has its order"] if outputs == "lq" else [])


def test_a_class_that_is_read_cannot_be_left_out():
    model = graph_of(("LinearClassifier: x -> n p", CLASSES),
                     ("Cast: n -> c", {"to": TensorProto.FLOAT}), ("Add: p c -> y", {}))
    assert error_of(model) == [
        "LinearClassifier node (x -> n, p): 'n' must be left out: choose the class by its score on "
        "the host, and end with the scores, last='p'"]


def test_scores_that_are_read_between_are_not_left_out():
    model = graph_of(("MatMul: x w -> a", {}), ("Softmax: a -> y", {}), ("MatMul: y w -> z", {}),
                     outputs="yz")
    assert "  Softmax node (a -> y): train with Relu" in error_of(model)[2]


@pytest.mark.parametrize("axis", [0, -2])
def test_a_softmax_along_the_batch_has_another_order(axis):
    model = graph_of(("MatMul: x w -> a", {}), ("Softmax: a -> y", {"axis": axis}))
    assert "compute it on the host; end before it with last='a'" in error_of(model)[0]


@pytest.mark.parametrize("axis, is_read", [(1, False), (0, True)])
def test_the_batch_need_not_be_the_first_axis_before_a_softmax(axis, is_read):
    model = graph_of(("MatMul: x w -> a", {}), ("Transpose: a -> b", {"perm": [1, 0]}),
                     ("Softmax: b -> y", {"axis": axis}))
    if is_read:
        assert any(note.startswith("the results are those before the Softmax")
                   for note in notes_of(model))
    else:
        assert "Softmax node (b -> y)" in error_of(model)[0]


@pytest.mark.parametrize("nodes, is_left_out", [
    ([("ArgMax: p -> y", {"axis": 1})], False),
    ([("ArgMax: p -> y", {})], False),
    ([("ArgMax: p -> y", {"axis": -1})], True),
    ([("ArgMax: p -> y", {"axis": 3})], True),
    ([("TopK: p first -> q y", {"axis": 2})], False),
    ([("Flatten: p -> q", {}), ("ArgMax: q -> y", {"axis": 1})], False),
    ([("LogSoftmax: p -> y", {"axis": 1})], False),
])
def test_a_softmax_along_another_axis_than_the_choice_after_it_remains(nodes, is_left_out):
    nodes = [("Conv: x kernels -> a", {}), ("Softmax: a -> p", {}), *nodes]
    model = graph_of(*nodes, rank=4)
    if is_left_out:
        assert [note.split(", which has")[0] for note in notes_of(model)] == [
            "the results are those before the ArgMax", "the results are those before the Softmax"]
    else:
        assert f"Softmax node (a -> p): {FIRST}" in error_of(model)[0]


def test_an_axis_that_is_not_the_last_is_named():
    nodes = [("Conv: x kernels -> a", {}), ("Softmax: a -> p", {"axis": -3}),
             ("ArgMax: p -> y", {"axis": 1})]
    expected = [f"the results are those before the {operation} along axis 1, which has their "
                "order: compute it on the host where it is needed"
                for operation in ("ArgMax", "Softmax")]
    assert notes_of(graph_of(*nodes, rank=4)) == expected
    # A change of the shape keeps the elements along it.
    nodes = [("Conv: x kernels -> a", {}), ("GlobalAveragePool: a -> b", {}),
             ("Softmax: b -> p", {"axis": 1}), ("Flatten: p -> q", {}),
             ("ArgMax: q -> y", {"axis": 1})]
    assert notes_of(graph_of(*nodes, rank=4)) == [expected[0].replace(" along axis 1", ""),
                                                  expected[1]]


def test_scores_and_their_softmax_are_one_output_with_a_note():
    nodes = [("MatMul: x w -> a", {}), ("Tanh: a -> y", {}), ("Softmax: y -> z", {})]
    assert notes_of(graph_of(*nodes, outputs="yz"))[1:] == [
        "output 'z' is left out, as 'y' has its order"]


def test_functions_of_a_model_are_refused_whatever_their_name():
    model = graph_of(("MatMul: x w -> a", {}), ("Relu: a -> y", {"domain": "odd"}))
    model.opset_import.append(helper.make_opsetid("odd", 1))
    model.functions.append(helper.make_function(
        "odd", "Relu", ["i"], ["o"], [helper.make_node("Neg", ["i"], ["o"])],
        [helper.make_opsetid("", 17)]))
    assert error_of(model) == [
        f"Relu node (a -> y): {FIRST}it is a function of the model: onnx.inliner."
        "inline_local_functions replaces it by its operations"]


def test_many_nodes_of_an_operation_are_counted():
    nodes = [(f"Softplus: t{n} -> t{n + 1}", {}) for n in range(9)]
    lines = error_of(graph_of(("MatMul: x w -> t0", {}), *nodes, ("Elu: t9 -> y", {})))
    assert [line.split()[0] for line in lines] == ["operation", "Softplus", "Softplus", "Softplus",
                                                   "Elu", "and"]
    assert lines[0].endswith("; 10 nodes of this model cannot be run:")
    assert lines[-1] == "  and 6 more Softplus nodes"


@pytest.mark.parametrize("nodes, message", [
    ([("Erf: x -> a", {}), ("MatMul: a w -> y", {})],
     f"Erf node (x -> a): {FIRST}compute it on the host; begin after it with first='a'"),
    ([("MatMul: x w -> a", {}), ("Div: x a -> y", {})],
     "Div node (x, a -> y): must have one computed input besides constants, not 2, as division by "
     "a computed tensor is not run; end before it with last='a'"),
    ([("MatMul: x w -> a", {}), ("DynamicQuantizeLinear: a -> y s p", {})],
     f"DynamicQuantizeLinear node (a -> y, s, p): model is quantised: {FIRST}quantise the model "
     "with QuantizeLinear and DequantizeLinear, as onnxruntime's quantize_static does with "
     "quant_format=QuantFormat.QDQ, or export it before its quantisation"),
    ([("Shape: x -> s", {}), ("Cast: s -> c", {"to": TensorProto.BOOL}),
      ("If: c -> a", {"then_branch": BRANCH, "else_branch": BRANCH}), ("MatMul: a w -> y", {})],
     f"If node (c -> a): model is branching: {FIRST}its condition must be constant: fix the "
     "input or size on which it depends with fix=NAME=VALUE, or export the branch that is used"),
    ([("MatMul: x w -> a", {}), ("Gather: w a -> b", {}), ("MatMul: b w -> y", {})],
     "Gather node (w, a -> b): look up elements on the host; end before it with last='a', or begin "
     "after it with first='b'"),
    ([("MatMul: x w -> a", {}), ("LayerNormalization: a scales -> b", {}),
      ("MatMul: b w -> y", {})],
     f"LayerNormalization node (a, scales -> b): {FIRST}its scale depends on the input, unlike "
     "that of BatchNormalization; end before it with last='a', or begin after it with first='b'"),
    ([("Erf: w -> a", {}), ("MatMul: x a -> y", {})],
     f"Erf node (w -> a): {FIRST}it computes a constant: onnxruntime's basic optimisations store "
     "some of them"),
    ([("MatMul: x w -> a", {}), ("Dropout: a -> b mask", {}), ("Cast: mask -> y", {"to": 1})],
     "Dropout node (a -> b, mask): must be used by its output 'b', not 'mask'; end before it "
     "with last='a'"),
])
def test_one_operation_is_one_line(nodes, message):
    assert error_of(graph_of(*nodes)) == [message]


def test_a_transposed_convolution_is_refused_with_a_remedy():
    model = graph_of(("Conv: x kernels -> a", {}), ("ConvTranspose: a k -> y", {}), rank=4)
    assert error_of(model) == [
        f"ConvTranspose node (a, k -> y): {FIRST}replace it by Resize with mode "
        "nearest, and Conv; end before it with last='a'"]
