"""Quantised models in ONNX, compared with onnxruntime.

Their nodes are read by `eie_compiler.frontends.onnx_quantised`. Models of QONNX are computed by
hand.
"""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest

from eie_compiler.frontends import FrontEndError, FrontEndWarning
from eie_compiler.graph.operations import Affine, Quantise
from eie_compiler.model import Model

onnx = pytest.importorskip("onnx")
quantization = pytest.importorskip("onnxruntime.quantization")

from onnx import TensorProto, helper  # noqa: E402

from eie_compiler.frontends.onnx import from_onnx, read_onnx  # noqa: E402
from support.quantised import FLOAT, model_of, quantise, results, run  # noqa: E402

DATA = Path(__file__).parents[4] / "shared" / "data"

RNG = np.random.default_rng(0)


def floats(*shape, scale=1.0):
    return RNG.normal(0, scale, shape).astype(np.float32)


def kinds(graph):
    return [type(node.computation).__name__ for node in graph.nodes]


CONSTANTS = {
    "w": RNG.integers(-128, 128, (4, 3)).astype(np.int8), "scales": np.float32([.01, .02, .005]),
    "u": RNG.integers(0, 256, (4, 3)).astype(np.uint8), "zeros": np.uint8([120, 130, 128]),
    "w4": helper.make_tensor("w4", TensorProto.INT4, (4, 3), RNG.integers(-8, 8, 12)),
    "f": floats(4, 3, scale=0.5), "none": np.zeros(3, np.int8), "s": np.float32(0.05),
    "s2": np.float32(0.07), "z": np.int8(-7), "z2": np.int8(11), "zu": np.uint8(130),
    "z16": np.int16(300), "zu16": np.uint16(30_000), "bias": RNG.integers(-99, 99, 3, np.int32),
    "sb": np.float32([5e-4, 1e-3, 2.5e-4]), "rows": np.int64([-1, 2, 2]),
    "vectors": np.int64([0, 4]), "minus": np.float32(-2)}
WEIGHT = ("DequantizeLinear: w scales -> W", {"axis": 1})
PRODUCT = ("MatMul: a W -> y", {})
X = floats(50, 4, scale=2)


def pair(x, y, scale="s", zero="z", **options):
    return [(f"QuantizeLinear: {x} {scale} {zero} -> {y}.q", options),
            (f"DequantizeLinear: {y}.q {scale} {zero} -> {y}", {})]


def check(nodes, *, x=X, expected=("Quantise", "Model"), atol=1e-5, **options):
    """Check that a model is read as nodes of these kinds, with the results of onnxruntime."""
    model = model_of(nodes, CONSTANTS, x.shape[1:], **options)
    graph = from_onnx(model)
    assert kinds(graph) == list(expected)
    np.testing.assert_allclose(results(graph, x), run(model, x), rtol=1e-5, atol=atol)
    return graph


@pytest.mark.parametrize("nodes", [
    [*pair("x", "a"), WEIGHT],
    [*pair("x", "a", zero="zu"), ("DequantizeLinear: u scales zeros -> W", {"axis": -1})],
    [*pair("x", "a", zero="z16"), WEIGHT], [*pair("x", "a", zero="zu16"), WEIGHT],
    # Without a zero point, the type is uint8, or an attribute.
    [*pair("x", "a", zero=""), WEIGHT],
    [*pair("x", "a", zero="", output_dtype=TensorProto.INT8), WEIGHT],
    [*pair("x", "a", zero="", output_dtype=TensorProto.INT4), WEIGHT],
    [*pair("x", "a"), ("DequantizeLinear: w4 s -> W", {})],
    # Weights that an exporter leaves in floating point.
    [*pair("x", "a"), ("QuantizeLinear: f scales none -> q", {"axis": 1}),
     ("DequantizeLinear: q scales none -> W", {"axis": 1})],
    [*pair("x", "a"), ("Identity: u -> v", {}), ("DequantizeLinear: v s zu -> W", {})]])
def test_layers_compute_on_integers_of_all_types(nodes):
    graph = check([*nodes, PRODUCT])
    # The host multiplies the input, and rounds once.
    assert graph.nodes[0].computation.scale == 1
    np.testing.assert_allclose(graph.preprocessing["x"].scale, 20, rtol=1e-6)


def test_rows_are_integers_times_one_number():
    graph = check([*pair("x", "a"), WEIGHT, PRODUCT])
    layer, = graph.nodes[1].computation.layers
    rows = layer.weight / (CONSTANTS["scales"].astype(float) * CONSTANTS["s"])[:, None]
    np.testing.assert_allclose(rows, CONSTANTS["w"].T, rtol=1e-12)


def test_biases_of_integers_are_numbers():
    graph = check([*pair("x", "a"), WEIGHT, ("DequantizeLinear: bias sb -> B", {"axis": 0}),
                   ("Gemm: a W B -> y", {})])
    np.testing.assert_array_equal(graph.nodes[1].computation.layers[0].bias,
                                  CONSTANTS["bias"] * CONSTANTS["sb"].astype(float))


def test_weights_alone_may_be_quantised():
    model = model_of([WEIGHT, ("MatMul: x W -> y", {})], CONSTANTS, (4,))
    read = from_onnx(model)
    assert isinstance(read, Model)
    np.testing.assert_allclose(read(X), run(model, X), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("nodes, kind, offset", [
    ([("DequantizeLinear: x s z -> a", {})], TensorProto.INT8, -7),
    ([("DequantizeLinear: x s -> a", {})], TensorProto.UINT8, None),
    ([("Reshape: x rows -> r", {}), ("DequantizeLinear: r s zu -> c", {}),
      ("Reshape: c vectors -> a", {})], TensorProto.UINT8, 130)])
def test_inputs_may_be_integers(nodes, kind, offset):
    limits = (0, 256) if kind == TensorProto.UINT8 else (-128, 128)
    x = RNG.integers(*limits, (50, 4)).astype(helper.tensor_dtype_to_np_dtype(kind))
    graph = check([*nodes, WEIGHT, PRODUCT], x=x, types=(kind, FLOAT))
    quantise = graph.nodes[0].computation
    zero = offset or 0
    assert (quantise.scale, quantise.low, quantise.high) == (1, limits[0] - zero,
                                                             limits[1] - 1 - zero)
    assert [one.offset.tolist() for one in graph.preprocessing.values()] == \
        ([] if offset is None else [[offset]])


@pytest.mark.parametrize("zero, kind", [("z2", TensorProto.INT8), ("zu", TensorProto.UINT8)])
def test_results_may_be_integers(zero, kind):
    graph = check([*pair("x", "a"), WEIGHT, ("MatMul: a W -> b", {}),
                   (f"QuantizeLinear: b s2 {zero} -> y", {})], types=(FLOAT, kind),
                  expected=["Quantise", "Model", "Quantise", "Affine"], atol=0)
    assert graph.nodes[-1].computation.shift == CONSTANTS[zero]


def test_integers_with_another_zero_point_are_shifted():
    check([("QuantizeLinear: x s z -> q", {}), ("DequantizeLinear: q s z2 -> a", {}), WEIGHT,
           PRODUCT])


def test_operations_on_integers_are_those_on_numbers():
    check([("QuantizeLinear: x s z -> q", {}), ("Relu: q -> r", {}),
           ("DequantizeLinear: r s z -> a", {}), WEIGHT, PRODUCT],
          expected=["Quantise", "Affine", "Clip", "Affine", "Quantise", "Model"])


def test_negative_scales_do_not_move():
    check([*pair("x", "b"), ("Mul: b minus -> c", {}), *pair("c", "d"), ("Mul: d minus -> e", {}),
           ("Relu: e -> a", {}), WEIGHT, PRODUCT],
          expected=["Quantise", "Affine", "Quantise", "Affine", "Clip", "Model"])


def test_integers_after_a_softmax_at_the_end_are_left_out_with_it():
    nodes = [*pair("x", "a"), WEIGHT, ("MatMul: a W -> b", {}), *pair("b", "c", "s2", "z2"),
             ("Softmax: c -> d", {}), *pair("d", "y", "s2", "z2")]
    with pytest.warns(FrontEndWarning, match="the results are those before the"):
        graph = from_onnx(model_of(nodes, CONSTANTS, (4,)))
    assert kinds(graph) == ["Quantise", "Model", "Quantise", "Affine"]


@pytest.mark.parametrize("changes, message", [
    ({"s": np.float32(0)}, "scale must be finite and above 0: quantise the model again, with data "
     "that reaches all layers"),
    ({"s": np.float32(np.inf)}, "scale must be finite and above 0"),
    ({"s": np.float32([1, 2, 3, 4]), "z": np.zeros(4, np.int8)},
     "scale and zero point of a computed tensor must be one number, not 4: quantise activations "
     "per tensor"),
    ({"s": np.float32([1, 2, 3]), "z": np.zeros(3, np.int8)},
     "scale must have one number for each element along axis 1 of shape (batch, 4), not 3"),
    ({"s": np.ones((2, 2), np.float32)}, "scale must be one number, or one for each element along "
     "an axis, not of shape (2, 2): quantise per tensor or per channel, without blocks"),
    ({"z": np.zeros(2, np.int8)}, "zero point must be integers of the shape of the scale, (), not "
     "int64 of shape (2,)"),
    ({"z": np.int32(0)}, "integers must be of 2, 4, 8 or 16 bits, not of type INT32")])
def test_what_cannot_be_read_is_refused(changes, message):
    model = model_of([*pair("x", "a"), WEIGHT, PRODUCT], {**CONSTANTS, **changes}, (4,))
    with pytest.raises(FrontEndError, match=r"^QuantizeLinear node \(x, s, z -> a.q\): "
                                            + re.escape(message)):
        from_onnx(model)


def test_scales_that_are_computed_are_refused():
    model = model_of([("ReduceMax: x axes -> m", {"keepdims": 0}), *pair("x", "a", "m"), WEIGHT,
                      PRODUCT], {**CONSTANTS, "axes": np.int64([1])}, (4,))
    with pytest.raises(FrontEndError, match="scale must be a constant, not computed from an "
                                            "input: quantise the model statically$"):
        from_onnx(model)


@pytest.mark.parametrize("zero, message", [(-7, None), (200, "numbers must be from -128 to 127")])
def test_zero_points_may_be_cast(zero, message):
    nodes = [("Cast: wide -> z", {"to": TensorProto.INT8}), *pair("x", "a"), WEIGHT, PRODUCT]
    constants = {**CONSTANTS, "wide": np.int64(zero)}
    del constants["z"]
    model = model_of(nodes, constants, (4,))
    if message is None:
        np.testing.assert_allclose(results(from_onnx(model), X), run(model, X), atol=1e-5)
    else:
        with pytest.raises(FrontEndError, match=message):
            from_onnx(model)


def test_constants_beyond_single_precision_are_refused():
    nodes = [*pair("x", "a"), ("QuantizeLinear: f tiny none -> q", {"axis": 1}),
             ("DequantizeLinear: q scales none -> W", {"axis": 1}), PRODUCT]
    constants = {**CONSTANTS, "tiny": np.float32([1e-45] * 3), "f": np.full((4, 3), 1e30, "f4")}
    with pytest.raises(FrontEndError, match="constant must be finite, also when it is divided"):
        from_onnx(model_of(nodes, constants, (4,)))


NETWORK = [
    ("Conv: x k1 b1 -> a", {"pads": [1] * 4}), ("Relu: a -> r", {}),
    ("MaxPool: r -> m", {"kernel_shape": [2, 2], "strides": [2, 2]}),
    ("Conv: m k2 b2 -> c", {"pads": [1] * 4}), ("Add: c m -> t", {}),
    ("Conv: t k3 -> d", {}), ("Concat: t d -> j", {"axis": 1}), ("GlobalAveragePool: j -> g", {}),
    ("Flatten: g -> v", {}), ("Gemm: v w b -> y", {"transB": 1})]


@pytest.mark.parametrize("kind", ["QInt8", "QUInt8", "QInt16"])
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("per_channel", [False, True])
def test_models_that_onnxruntime_quantises(per_channel, symmetric, kind, tmp_path):
    rng = np.random.default_rng(1)
    constants = {name: rng.normal(0, 0.3, shape).astype(np.float32) for name, shape in {
        "k1": (6, 2, 3, 3), "b1": 6, "k2": (6, 6, 3, 3), "b2": 6, "k3": (4, 6, 1, 1), "w": (5, 10),
        "b": 5}.items()}
    model = quantise(
        model_of(NETWORK, constants, (2, 8, 8), opset=17), tmp_path,
        [rng.normal(size=(4, 2, 8, 8)).astype(np.float32) for _ in range(3)],
        per_channel=per_channel, activation_type=quantization.QuantType[kind],
        weight_type=quantization.QuantType.QInt8,
        extra_options={"ActivationSymmetric": symmetric})
    graph = from_onnx(model)
    layers = [number for number, node in enumerate(graph.nodes)
              if isinstance(node.computation, Model)]
    assert len(layers) == 4
    assert all(isinstance(graph.nodes[number + 1].computation, Quantise) for number in layers)
    # Numbers that are no integers are the operands of the sum alone, of two scales, and the result.
    assert kinds(graph).count("Affine") == 3
    x = rng.normal(size=(60, 2, 8, 8)).astype(np.float32)
    step = graph.nodes[-1].computation.scale
    steps = np.abs(results(graph, x) - run(model, x)) / step
    # In single precision, more than one of 65,536 steps may be lost.
    assert steps.max() < (3.01 if kind == "QInt16" else 1.01)
    assert (steps > 0.5).mean() < (0.1 if kind == "QInt16" else 0.01)


def read(name):
    if not (DATA / name).exists():
        pytest.skip(f"{DATA / name} is not there")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FrontEndWarning)
        return read_onnx(DATA / name)


def test_a_perceptron_of_digits_has_the_logits_of_onnxruntime():
    graph = read("digits_mlp_int8.onnx")
    vectors = np.load(DATA / "digits_mlp_vectors.npz")
    assert kinds(graph) == ["Quantise", "Model", "Quantise", "Model", "Quantise", "Affine"]
    found = results(graph, vectors["images"] / 16)
    np.testing.assert_allclose(found, vectors["int8_logits"], atol=1e-5)
    assert (found.argmax(1) == vectors["labels"]).sum() == 488
    # The ReLU is a limit.
    assert [node.computation.low for node in graph.nodes[:3:2]] == [0, 0]


def test_keyword_spotting_has_the_logits_of_onnxruntime_within_one_step():
    graph = read("kws/ds_cnn_s_int8.onnx")
    features = np.load(DATA / "kws/features_49x10.npz")
    expected = np.load(DATA / "kws/reference_logits.npz")["ds_cnn_s_int8"][:120]
    found = results(graph, features["features"][:120, None] * features["scale"])
    last = graph.nodes[-1].computation
    assert isinstance(last, Affine)
    steps = np.abs(found - expected) / last.scale
    assert steps.max() < 1.01 and (steps > 0.5).mean() < 0.01
    np.testing.assert_array_equal(found.argmax(1), expected.argmax(1))
    assert set(kinds(graph)[:-1]) == {"Quantise", "Model", "AveragePool", "Reshape"}


QONNX = "qonnx.custom_op.general"


def qonnx_of(nodes, constants, shape, *, domain=QONNX):
    """Make a model with Quant and BipolarQuant of a domain."""
    nodes = [(text, {**options, "domain": domain} if "Quant" in text else options)
             for text, options in nodes]
    constants = {name: np.asarray(value, np.float32) for name, value in constants.items()}
    return model_of(nodes, constants, shape, opset=17, domains=[domain])


@pytest.mark.parametrize("bits, signed, narrow, zero, low, high", [
    (8, 1, 0, 0, -128, 127), (8, 1, 1, 0, -127, 127), (8, 0, 0, 0, 0, 255), (8, 0, 1, 0, 0, 254),
    (4, 1, 0, 2, -10, 5), (3, 0, 1, 1, -1, 5), (1, 0, 0, 0, 0, 1)])
def test_limits_in_qonnx(bits, signed, narrow, zero, low, high):
    options = {"signed": signed, "narrow": narrow}
    x = np.linspace(-99, 99, 4 * 500, dtype=np.float32).reshape(500, 4)
    weights = np.float32([[0.5], [-2.2], [1.26], [0.1]])
    graph = from_onnx(qonnx_of([
        ("Quant: x s z n -> a", options), ("Quant: w one zero four -> W", {"signed": 1,
                                                                            "narrow": 1}),
        ("MatMul: a W -> y", {})],
        {"s": 0.25, "z": zero, "n": bits, "w": weights, "one": [[0.5]], "zero": 0, "four": 4},
        (4,)))
    assert kinds(graph) == ["Quantise", "Model"]
    quantise = graph.nodes[0].computation
    assert (quantise.scale, quantise.low, quantise.high) == (1, low, high)
    expected = np.clip(np.rint(x.astype(float) * 4), low, high) / 4 @ [[0.5], [-2], [1.5], [0]]
    np.testing.assert_allclose(results(graph, x), expected, atol=1e-12)


@pytest.mark.parametrize("domain", [QONNX, "onnx.brevitas", "finn.custom_op.general"])
def test_qonnx_of_all_domains(domain):
    # Computed by hand; weights have a scale for each channel, as Brevitas exports them.
    graph = from_onnx(qonnx_of([
        ("Quant: x half zero eight -> a", {"signed": 1, "narrow": 0, "rounding_mode": "ROUND"}),
        ("Quant: k scales zero two -> K", {"signed": 1, "narrow": 1}), ("Conv: a K -> b", {}),
        ("Relu: b -> r", {}), ("Quant: r half zero two -> c", {"signed": 0, "narrow": 0}),
        ("MaxPool: c -> m", {"kernel_shape": [1, 2]}), ("BipolarQuant: f half -> F", {}),
        ("Conv: m F -> y", {})],
        {"half": 0.5, "zero": 0, "eight": 8, "two": 2,
         "scales": np.reshape([1, 0.25], (2, 1, 1, 1)), "k": np.reshape([0.7, -0.3], (2, 1, 1, 1)),
         "f": np.reshape([0.0, -0.1], (1, 2, 1, 1))},
        (1, 1, 2), domain=domain))
    assert kinds(graph) == ["Quantise", "Model", "Quantise", "MaxPool", "Model"]
    x = np.reshape([[0.26, 1.3], [-0.8, -9], [100, 0.75]], (3, 1, 1, 2))
    # To integers 1, 3; -2, -18; 127, 2, of halves; times 1 and -0.25; to 0..3 halves; maxima.
    maxima = np.array([[1.5, 0.0], [0.0, 1.5], [1.5, 0.0]])
    np.testing.assert_allclose(results(graph, x).ravel(), maxima @ [0.5, -0.5])


def test_computed_signs_of_qonnx():
    graph = from_onnx(qonnx_of([
        ("BipolarQuant: x half -> a", {}), ("Quant: w quarter zero one -> W", {"signed": 1}),
        ("MatMul: a W -> y", {})],
        {"half": 0.5, "quarter": 0.25, "zero": 0, "one": 1, "w": [[0.3], [-0.2], [0.0]]}, (3,)))
    assert kinds(graph) == ["Sign", "Model"]
    assert results(graph, np.array([[3.0, 2.0, -1.0]])).tolist() == [[-0.125]]


@pytest.mark.parametrize("changes, options, message", [
    ({"n": 2.5}, {}, "bitwidth must be an integer from 1 to 32, not 2.5"),
    ({"n": 33}, {}, "bitwidth must be an integer from 1 to 32, not 33"),
    ({"n": 30}, {}, "low must be an integer from -8388608 to 8388608, not -536870911"),
    ({"z": 0.5}, {}, "zero point must be integers"),
    ({"s": -1}, {}, "scale must be finite and above 0"),
    ({"z": np.zeros(2)}, {}, "scale and zero point of a computed tensor must be one number, not 2"),
    ({"s": np.ones(4)}, {}, "scale and zero point of a computed tensor must be one number, not 4"),
    ({}, {"rounding_mode": "FLOOR"},
     "rounding_mode must be ROUND, of halves to even, not b'FLOOR': train with it")])
def test_what_cannot_be_read_of_qonnx_is_refused(changes, options, message):
    model = qonnx_of([("Quant: x s z n -> a", options), ("MatMul: a w -> y", {})],
                     {"s": 0.5, "z": 0, "n": 4, "w": np.eye(4), **changes}, (4,))
    with pytest.raises(FrontEndError, match=r"^Quant node \(x, s, z, n -> a\): "
                                            + re.escape(message)):
        from_onnx(model)


def test_scales_of_constants_must_fit_them():
    model = qonnx_of([("Quant: w s z n -> W", {}), ("MatMul: x W -> y", {})],
                     {"s": np.ones((2, 4, 4)), "z": 0, "n": 4, "w": np.eye(4)}, (4,))
    with pytest.raises(FrontEndError, match=re.escape(
            "scale must have a shape that is broadcast to that of the constant, (4, 4), not "
            "(2, 4, 4)")):
        from_onnx(model)
