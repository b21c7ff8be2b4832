"""`eie_compiler.frontends.onnx_branches`: conditions that are constant, also as inputs are fixed.

They are fixed by `eie_compiler.frontends.onnx_fixed`.
"""

import re
import warnings

import numpy as np
import pytest

from eie_compiler.frontends import FrontEndError, FrontEndWarning
from eie_compiler.graph.evaluation import evaluate_real
from eie_compiler.graph.graph import Graph
from eie_compiler.model import Model

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from eie_compiler.frontends.onnx import from_onnx  # noqa: E402
from eie_compiler.frontends.onnx_branches import take_branches  # noqa: E402
from eie_compiler.frontends.onnx_fixed import fix_inputs  # noqa: E402

FLOAT, INT = TensorProto.FLOAT, TensorProto.INT64


def node(text, **options):
    """Make a node of ``Operation: inputs -> outputs``."""
    operation, rest = text.split(": ")
    inputs, outputs = rest.split("-> ")
    return helper.make_node(operation, inputs.split(), outputs.split(), **options)


def branch(*nodes, outputs, constants=()):
    return helper.make_graph(
        nodes, "branch", [], [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
        list(constants))


def model_of(*nodes, rate=(), inputs=None, outputs=("y",)):
    """Model of x, and of a sampling rate `sr` of that shape."""
    rng = np.random.default_rng(1)
    constants = {"w": rng.normal(size=(6, 4)).astype(np.float32),
                 "v": rng.normal(size=(4, 4)).astype(np.float32), "one": np.array([1]),
                 "rate": np.array(16000), "last": np.array(-1), "four": np.array(4)}
    graph = helper.make_graph(
        nodes, "branches", [helper.make_tensor_value_info("x", FLOAT, inputs or ["n", "steps", 6]),
                            helper.make_tensor_value_info("sr", INT, rate)],
        [helper.make_tensor_value_info(name, FLOAT, [None] * 3) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


#: Two branches with a matrix each, one of which depends on tensors around it.
MATRIX = node("If: c -> b", then_branch=branch(node("MatMul: a v -> t"), outputs=["t"]),
              else_branch=branch(node("Neg: a -> t"), outputs=["t"]))

BY_RATE = [node("MatMul: x w -> a"), node("Equal: sr rate -> c"), MATRIX, node("Tanh: b -> y")]


def read(model, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FrontEndWarning)
        return from_onnx(model, **options)


def check(model, inputs, fix, **arrays):
    """Compare a graph with ONNX Runtime."""
    graph = read(model, fix=fix)
    expected = onnxruntime.InferenceSession(model.SerializeToString()).run(None, inputs)
    found = evaluate_real(graph, {name: value.astype(np.float64) for name, value in inputs.items()
                                  if name in graph.inputs})
    for name, one in zip(graph.outputs, expected, strict=True):
        np.testing.assert_allclose(found[name], one, atol=1e-5)
    return graph


@pytest.fixture
def x():
    return np.random.default_rng(2).normal(size=(3, 5, 6)).astype(np.float32)


@pytest.mark.parametrize("rate, n_layers", [(16000, 2), (8000, 1)])
def test_the_branch_of_a_fixed_input_is_read(x, rate, n_layers):
    graph = check(model_of(*BY_RATE), {"x": x, "sr": np.array(rate)}, {"sr": rate, "steps": 5})
    assert list(graph.inputs) == ["x"]
    layers = [layer for node in graph.nodes if isinstance(node.computation, Model)
              for layer in node.computation.layers]
    assert len(layers) == n_layers


def test_branches_that_are_taken_are_noted():
    with pytest.warns(FrontEndWarning, match=re.escape(
            "one branch is read where the condition is constant (If node: else)")):
        from_onnx(model_of(*BY_RATE), fix={"sr": 1, "steps": 5})


def test_conditions_of_shapes_need_no_value(x):
    nodes = [node("MatMul: x w -> a"), node("Shape: a -> s"),
             node("Gather: s last -> z"), node("Equal: z four -> c"), MATRIX,
             node("Tanh: b -> y")]
    graph = check(model_of(*nodes, inputs=["n", 5, 6]), {"x": x, "sr": np.array(1)}, None)
    assert isinstance(graph, Graph)
    assert any(note.startswith("one branch is read") for note in graph.notes)


def test_branches_within_branches_and_constants_of_their_own_are_read(x):
    shift = numpy_helper.from_array(np.arange(4, dtype=np.float32), "w")    # hides that outside
    inner = node("If: d -> t", then_branch=branch(node("Add: a w -> u"), outputs=["u"]),
                 else_branch=branch(node("Identity: a -> u"), outputs=["u"]))
    outer = node("If: c -> b u",
                 then_branch=branch(node("Equal: sr rate -> d"), inner, node("Tanh: a -> r"),
                                    outputs=["t", "r"], constants=[shift]),
                 else_branch=branch(node("Neg: a -> t"), node("Neg: t -> r"), outputs=["t", "r"]))
    model = model_of(node("MatMul: x w -> a"), node("Equal: sr rate -> c"), outer,
                     node("Tanh: b -> y"), node("Abs: u -> z"), outputs=("y", "z"))
    expected = x.astype(np.float64) @ numpy_helper.to_array(model.graph.initializer[0])
    graph = read(model, fix={"sr": 16000, "steps": 5})
    found = evaluate_real(graph, {"x": x.astype(np.float64)})
    np.testing.assert_allclose(found["y"], np.tanh(expected + np.arange(4)), atol=1e-6)
    np.testing.assert_allclose(found["z"], np.abs(np.tanh(expected)), atol=1e-6)


def test_names_of_many_branches_with_the_same_tensors_stay_short():
    nodes = [node(f"If: c -> b{i}", then_branch=branch(
        node(f"Neg: {f'b{i - 1}' if i else 'x'} -> t"), outputs=["t"]),
        else_branch=branch(node("Abs: x -> t"), outputs=["t"])) for i in range(100)]
    model = model_of(node("Equal: sr rate -> c"), *nodes, node("MatMul: b99 w -> y"))
    taken, _ = take_branches(fix_inputs(model, {"sr": 16000, "steps": 5}), None, None, None)
    nodes, _, _ = taken.part(None, None)
    assert max(len(name) for each in nodes for name in each.output) <= len("t_100")


@pytest.mark.parametrize("fix", [{"sr": 16000, "x.1": 5}, {"sr": [16000], "steps": 5.0}])
def test_sizes_are_named_by_themselves_or_by_their_axes(x, fix):
    assert read(model_of(*BY_RATE), fix=fix).inputs == {"x": (5, 6)}
    assert read(model_of(*BY_RATE, rate=[1]), fix=fix).inputs == {"x": (5, 6)}


@pytest.mark.parametrize("fix, message", [
    ({"steps": 5}, "If node (c -> b): condition must be constant: fix the input or size on which "
                   "it depends with fix=NAME=VALUE; it is not known because of input 'sr': must "
                   "have elements for each sample, not be one number: give its value by "
                   "fix=sr=VALUE"),
    ({"sr": 16000}, "input 'x': shape must be known but for the batch, not (?, ?, 6): give "
                    "image=C,H,W for images, or each size by fix=x.1=SIZE"),
    ({"rates": 5}, "fix must name an input or an open size, one of n, sr, steps, x, x.0, x.1, not "
                   "'rates'"),
    ({"steps": 2.5}, "size 'steps' must be an integer of 1 or more, not 2.5"),
    ({"steps": [5, 6]}, "size 'steps' must be an integer of 1 or more, not [5, 6]"),
    ({"sr": [1, 2]}, "input 'sr': must have 1 elements, or one number for all of them, not 2"),
    ({"sr": 1.5}, "input 'sr': must have integers, not 1.5")])
def test_what_is_not_fixed_or_cannot_be_is_named(fix, message):
    with pytest.raises(FrontEndError, match=f"^{re.escape(message)}"):
        read(model_of(*BY_RATE), fix=fix)


def test_an_input_of_one_number_must_be_fixed():
    nodes = [node("MatMul: x w -> a"), node("Cast: sr -> f", to=FLOAT), node("Mul: a f -> y")]
    with pytest.raises(FrontEndError, match=re.escape(
            "input 'sr': must have elements for each sample, not be one number: give its value by "
            "fix=sr=VALUE")):
        read(model_of(*nodes), fix={"steps": 5})


def test_a_condition_that_depends_on_an_input_is_refused():
    nodes = [node("MatMul: x w -> a"), node("Cast: a -> c", to=TensorProto.BOOL), MATRIX,
             node("Tanh: b -> y")]
    with pytest.raises(FrontEndError, match=re.escape(
            "If node (c -> b): condition must be constant: fix the input or size on which it "
            "depends with fix=NAME=VALUE; it is not known because of Cast node (a -> c): ")):
        read(model_of(*nodes), fix={"steps": 5})


def test_an_operation_before_a_condition_that_cannot_be_read_is_the_reason():
    nodes = [node("MatMul: x w -> a"), node("Pad: a pads most -> p"), node("Shape: p -> s"),
             node("Gather: s last -> z"), node("Equal: z four -> c"), MATRIX]
    model = model_of(*nodes, inputs=["n", 5, 6], outputs="b")
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(6, np.int64), "pads"))
    model.graph.initializer.append(numpy_helper.from_array(np.float32(np.inf), "most"))
    with pytest.raises(FrontEndError, match="; it is not known because of Pad node "):
        read(model)
    assert len(read(model, last="a").layers) == 1    # before it


def test_a_model_stays_as_it_was():
    model = model_of(*BY_RATE)
    before = model.SerializeToString(deterministic=True)
    read(model, fix={"sr": 16000, "steps": 5})
    assert model.SerializeToString(deterministic=True) == before
