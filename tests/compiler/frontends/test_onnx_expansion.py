"""Models in the operator-oriented format of ONNX, compared with onnxruntime."""

import numpy as np
import pytest

from eie_compiler.frontends import FrontEndError
from eie_compiler.graph.operations import Quantise
from eie_compiler.model import Model

onnx = pytest.importorskip("onnx")
quantization = pytest.importorskip("onnxruntime.quantization")

from onnx import TensorProto, helper  # noqa: E402

from eie_compiler.frontends.onnx import from_onnx  # noqa: E402
from eie_compiler.frontends.onnx_expansion import expand  # noqa: E402
from support.quantised import FLOAT, model_of, quantise, results, run  # noqa: E402

RNG = np.random.default_rng(0)
MICROSOFT = {"domain": "com.microsoft"}


def floats(*shape, scale=0.3):
    return RNG.normal(0, scale, shape).astype(np.float32)


def integers(*shape):
    return RNG.integers(-128, 128, shape).astype(np.int8)


def read(nodes, constants, shape, *, kind=TensorProto.INT8):
    return model_of([("QuantizeLinear: x s z -> q", {}), *nodes], constants, shape, opset=17,
                    types=(FLOAT, kind), domains=["com.microsoft"])


CONSTANTS = {"s": np.float32(0.03), "z": np.int8(-9), "t": np.float32(0.11), "u": np.int8(5),
             "k": integers(3, 2, 3, 3), "scales": np.float32([0.01, 0.03, 0.02]),
             "zeros": np.zeros(3, np.int8), "bias": np.int32([900, -3000, 50]),
             "w": integers(6, 3), "wt": integers(3, 6), "one": np.float32(0.02),
             "nought": np.int8(3)}
#: Layers before an operation, to `a`.
IMAGES = ("QLinearConv: q s z k scales zeros t u bias -> a", {"pads": [1, 1, 1, 1]})
VECTORS = ("QLinearMatMul: q s z w one nought t u -> a", {})


@pytest.mark.parametrize("nodes, shape", [
    ([IMAGES], (2, 5, 4)),
    ([("QLinearConv: q s z k one nought t u -> a", {"strides": [2, 1]})], (2, 5, 4)),
    ([VECTORS], (6,)), ([("QLinearMatMul: q s z w scales zeros t u -> a", {})], (6,)),
    ([("QGemm: q s z w scales zeros bias t u -> a", MICROSOFT)], (6,)),
    ([("QGemm: q s z wt scales zeros _ t u -> a", {**MICROSOFT, "transB": 1, "alpha": 0.5})], (6,)),
    ([VECTORS, ("QLinearAdd: a t u a t u s z -> b", MICROSOFT)], (6,)),
    ([VECTORS, ("QLinearMul: a t u a t u s z -> b", MICROSOFT)], (6,)),
    ([VECTORS, ("QLinearLeakyRelu: a t u s z -> b", {**MICROSOFT, "alpha": 0.25})], (6,)),
    ([VECTORS, ("QLinearSigmoid: a t u one z -> b", MICROSOFT)], (6,)),
    ([IMAGES, ("QLinearGlobalAveragePool: a t u s z -> b", {**MICROSOFT, "channels_last": 0})],
     (2, 5, 4)),
    ([IMAGES, ("QLinearAveragePool: a t u s z -> b", {**MICROSOFT, "kernel_shape": [2, 2]})],
     (2, 5, 4)),
    ([IMAGES, ("MaxPool: a -> m", {"kernel_shape": [2, 2]}),
      ("QLinearConcat: s z m t u m t u -> b", {**MICROSOFT, "axis": 1})], (2, 5, 4))])
def test_operations_on_integers_have_the_results_of_onnxruntime(nodes, shape):
    last = nodes[-1][0].split()[-1]
    # Its own name, with the results of the model.
    nodes = [*nodes[:-1], (nodes[-1][0].removesuffix(last) + "y", nodes[-1][1])]
    rank = len(shape) + 1
    model = read(nodes, CONSTANTS, shape)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.INT8,
                                                                 [None] * rank))
    x = floats(40, *shape, scale=2)
    graph = from_onnx(model)
    assert any(isinstance(node.computation, Model) for node in graph.nodes)
    steps = np.abs(results(graph, x) - run(model, x))
    # Kernels on integers, with scales in single precision, round in their own way.
    assert steps.max() <= 1
    assert steps.mean() < 0.05


@pytest.mark.parametrize("per_channel", [False, True])
def test_models_that_onnxruntime_quantises(per_channel, tmp_path):
    constants = {"k": floats(6, 2, 3, 3), "b": floats(6), "w": floats(5, 6), "c": floats(5)}
    model = quantise(
        model_of([("Conv: x k b -> a", {}), ("Relu: a -> r", {}), ("GlobalAveragePool: r -> g", {}),
                  ("Flatten: g -> v", {}), ("Gemm: v w c -> y", {"transB": 1})], constants,
                 (2, 8, 8), opset=17), tmp_path, [floats(4, 2, 8, 8, scale=1) for _ in range(3)],
        per_channel=per_channel, quant_format=quantization.QuantFormat.QOperator)
    assert "QLinearConv" in [node.op_type for node in model.graph.node]
    graph = from_onnx(model)
    assert [type(node.computation).__name__ for node in graph.nodes] == [
        "Quantise", "Model", "Quantise", "Mean", "Quantise", "Reshape", "Model", "Quantise",
        "Affine"]
    x = floats(60, 2, 8, 8, scale=1)
    steps = np.abs(results(graph, x) - run(model, x)) / graph.nodes[-1].computation.scale
    assert steps.max() < 1.01


def test_quantisation_of_another_domain_is_that_of_the_standard():
    nodes = [("QuantizeLinear: x s z16 -> q", MICROSOFT),
             ("DequantizeLinear: q s z16 -> a", MICROSOFT), ("MatMul: a w -> y", {})]
    model = model_of(nodes, {"s": np.float32(0.001), "z16": np.int16(300), "w": floats(4, 3)},
                     (4,), opset=17, domains=["com.microsoft"])
    graph = from_onnx(model)
    first = graph.nodes[0].computation
    assert isinstance(first, Quantise) and (first.low, first.high) == (-33068, 32467)
    x = floats(30, 4)
    np.testing.assert_allclose(results(graph, x), run(model, x), atol=1e-5)


@pytest.mark.parametrize("nodes, reason", [
    ([("QGemm: q s z w one nought -> y", MICROSOFT)], "quantise the model with QuantizeLinear"),
    ([("QGemm: q s z w scales zeros bias t u -> y", {**MICROSOFT, "alpha": 0.5})],
     "quantise the model with QuantizeLinear"),
    ([("QLinearGlobalAveragePool: q s z s z -> y", {**MICROSOFT, "channels_last": 1})],
     "quantise the model with QuantizeLinear"),
    ([("QLinearSoftmax: q s z s z -> y", MICROSOFT)], "quantise the model with QuantizeLinear"),
    ([("QLinearConv: q s -> y", {})], "must be a valid model in ONNX")])
def test_what_has_no_such_form_is_refused(nodes, reason):
    with pytest.raises(FrontEndError, match=reason):
        from_onnx(read(nodes, CONSTANTS, (6,)))


def test_functions_and_other_models_are_as_they_were():
    model = read([VECTORS], CONSTANTS, (6,))
    before = model.SerializeToString()
    assert expand(model) is not model and model.SerializeToString() == before
    plain = model_of([("MatMul: x w -> y", {})], {"w": floats(4, 3)}, (4,))
    assert expand(plain) is plain
    custom = model_of([("QuantizeLinear: x -> y", MICROSOFT)], {}, (4,),
                      domains=["com.microsoft"])
    custom.functions.append(helper.make_function(
        "com.microsoft", "QuantizeLinear", ["i"], ["o"], [helper.make_node("Neg", ["i"], ["o"])],
        [helper.make_opsetid("", 21)]))
    assert expand(custom) is custom


def test_names_that_are_taken_get_others():
    nodes = [("QLinearMatMul: q s z w one nought t u -> y", {}), ("Identity: x -> y.exact", {})]
    made = expand(read(nodes, CONSTANTS, (6,)))
    names = [name for node in made.graph.node for name in node.output]
    assert len(set(names)) == len(names) and "y.exact_" in names
