"""Networks of any form in ONNX, compared with onnxruntime in floating point.

They are read by `eie_compiler.frontends.onnx_network`, with
`eie_compiler.frontends.onnx_arrangement`, `eie_compiler.frontends.onnx_batch`,
`eie_compiler.frontends.onnx_elementwise`, `eie_compiler.frontends.onnx_folding`,
`eie_compiler.frontends.onnx_pooling`, `eie_compiler.frontends.onnx_recurrent`,
`eie_compiler.frontends.onnx_resampling`, `eie_compiler.frontends.onnx_roots`,
`eie_compiler.frontends.onnx_shapes`, `eie_compiler.frontends.onnx_site`,
`eie_compiler.frontends.onnx_tail`, `eie_compiler.frontends.onnx_values`. Cells
are those of `eie_compiler.frontends.recurrent_cells`.
"""

import io
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

from eie_compiler.frontends import FrontEndError, FrontEndWarning, read_model
from eie_compiler.graph.evaluation import evaluate_real
from eie_compiler.graph.graph import Graph, Scan
from eie_compiler.graph.operations import Affine, Magnitude, Multiply, Sign
from eie_compiler.model import Model

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from google.protobuf.message import DecodeError  # noqa: E402

from eie_compiler.frontends.onnx import from_onnx  # noqa: E402
from eie_compiler.frontends.onnx_elementwise import constant_of  # noqa: E402
from eie_compiler.frontends.onnx_values import BATCH, Tensor, show_shape  # noqa: E402
from support.probe_models import Probe, probes  # noqa: E402

KWS = Path(__file__).parents[4] / "shared" / "data" / "kws"


#: Reason why a constant is refused.
LARGE = "constant must have at most 4194304 elements, not shape"


def expected_of(content, inputs):
    """Compute all outputs with onnxruntime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options).run(None, inputs)


def read(content, **options):
    """Read a model without its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FrontEndWarning)
        return from_onnx(onnx.load_model_from_string(content), **options)


def check_outputs(graph, arrays, expected):
    """Compare all outputs, whose batch may be along another axis in ONNX."""
    values = evaluate_real(graph, arrays)
    assert len(graph.outputs) == len(expected)
    for name, output in zip(graph.outputs, expected):
        got = values[name]
        moved = [turned for axis in range(output.ndim)
                 if (turned := np.moveaxis(output, axis, 0)).shape == got.shape]
        assert any(np.allclose(got, each, rtol=1e-4, atol=1e-4) for each in moved), name


def check(probe, **options):
    """Check that a probe computes what it does in onnxruntime; return the graph."""
    graph = read(probe.model, **options)
    assert isinstance(graph, Graph)
    assert graph.outputs == tuple(output.name for output in
                                  onnx.load_model_from_string(probe.model).graph.output)
    check_outputs(graph, probe.arrays, expected_of(probe.model, probe.inputs))
    return graph


@pytest.mark.parametrize("name", [name for name in probes() if name != "lenet5"])
def test_a_network_computes_what_onnxruntime_does(name):
    check(probes()[name])


@pytest.mark.parametrize("first, shape, stored", [
    ("Sub: x mean<5> -> a\nDiv: a deviation{0.01,3,-2,0.5,40} -> s", ["n", 3, 5], (5,)),
    ("Sub: x mean<5> -> a\nDiv: a deviation{0.01,3,-2,0.5,40} -> s", [3, "n", 5], (5,)),
    ("BatchNormalization: x gamma{1,2,3,4,5} beta<5> mean<5> var{0.5,2,1,3,0.01} -> s", ["n", 5],
     (5,)),
    ("Flatten: x -> f\nMul: f scale{1,2,3,4,5,6} -> s", ["n", 2, 3], (2, 3)),
    ("Transpose: x -> t | perm=[0, 2, 1]\nSub: t offset{1,20,300} -> s", ["n", 3, 5], (3, 1)),
])
def test_a_scaler_of_an_input_is_its_preprocessing(first, shape, stored):
    n = {"Flatten": 6, "Transpose": 3}.get(first.partition(":")[0], 5)
    graph = check(Probe(f"{first}\nMatMul: s w<{n},{n}> -> h\nTanh: h -> t2\nAdd: t2 h -> y",
                        {"x": shape}))
    assert graph.preprocessing["x"].scale.shape == stored
    assert not any(isinstance(node.computation, Affine) for node in graph.nodes)


def test_a_softmax_at_the_end_is_left_out():
    probe = probes()["lenet5"]
    with pytest.warns(FrontEndWarning, match="^the results are those before the Softmax, which has "
                                             "their order: "):
        graph = from_onnx(onnx.load_model_from_string(probe.model))
    scores = np.exp(evaluate_real(graph, probe.arrays)[graph.outputs[0]])
    expected, = expected_of(probe.model, probe.inputs)
    np.testing.assert_allclose(scores / scores.sum(1, keepdims=True), expected, atol=1e-5)


def test_layers_that_follow_one_another_are_one_node():
    graph = read(probes()["lenet5"].model)
    layers = {node.name: [(layer.name, layer.relu) for layer in node.computation.layers]
              for node in graph.nodes if isinstance(node.computation, Model)}
    assert layers == {"conv1": [("conv1", True)], "conv2": [("conv2", True)],
                      graph.outputs[0]: [("fc1", True), ("fc2", False)]}
    depthwise = read(probes()["depthwise separable"].model)
    assert [len(node.computation.layers) for node in depthwise.nodes] == [1, 2]


def test_normalisations_are_not_folded_if_so_desired():
    probe = probes()["depthwise separable"]
    graph = check(probe, fold_batch_norm=False)
    assert sum(isinstance(node.computation, Affine) for node in graph.nodes) == 3
    folded = check(probe)
    assert all(isinstance(node.computation, Model) for node in folded.nodes)


def test_binary_weights_before_a_sign_absorb_a_normalisation_exactly():
    probe = Probe("""MatMul: x w<6,4> -> a
        BatchNormalization: a gamma{2,-0.3,1,0.1} beta<4> mean<4> var{0.5,2,1,3} -> b
        Sign: b -> c
        MatMul: c v<4,3> -> y""", {"x": ["n", 6]})
    model = onnx.load_model_from_string(probe.model)
    weight, = (constant for constant in model.graph.initializer if constant.name == "w")
    binary = np.sign(onnx.numpy_helper.to_array(weight)) * np.float32([0.5, 0.7, 3, 1])
    weight.CopyFrom(onnx.numpy_helper.from_array(binary, "w"))
    probe.model = model.SerializeToString()
    graph = check(probe)
    assert [type(node.computation) for node in graph.nodes] == [Model, Sign, Model]
    np.testing.assert_array_equal(np.abs(graph.nodes[0].computation.layers[0].weight), 1)


def test_gates_of_a_recurrent_network_are_layers_of_a_step():
    graph = read(probes()["gru of pytorch"].model)
    scans = [node.computation for node in graph.nodes if isinstance(node.computation, Scan)]
    assert [scan.reverse for scan in scans] == [False, True]
    for scan in scans:
        layers = [node for node in scan.body.nodes if isinstance(node.computation, Model)]
        # z, r, and two parts of the candidate, of which each has zeros for the other.
        assert [(node.computation.layers[0].n_rows, node.computation.layers[0].n_cols)
                for node in layers] == [(28, 12)]


@pytest.mark.parametrize("nodes, shape", [
    ("""Transpose: x -> a | perm=[0, 3, 1, 2]
        Flatten: a -> f
        Gemm: f w<24,2> -> y""", [1, 2, 4, 3]),
    ("""Conv: x w<3,2,2,2> -> h
        Transpose: h -> y | perm=[0, 1, 3, 2]""", [1, 2, 4, 3]),
    ("""Relu: x -> h
        MatMul: h w<6,4> -> y""", ["n", 6]),
    ("""MatMul: x w<6,4> -> h
        Relu: h -> r
        Add: r c<4> -> y""", ["n", 6]),
    ("""Add: x c<3> -> a
        Flatten: a -> f
        MatMul: f w<6,4> -> y""", ["n", 2, 3]),
    ("""MatMul: x w<6,4> -> h
        Reshape: h s[-1,2,2] -> r
        Relu: r -> y""", ["n", 6]),
    ("""Add: x c=1.0 -> h
        Conv: h w<3,2,2,2> -> y | pads=[1, 1, 1, 1]""", ["n", 2, 4, 4]),
    ("""Conv: x w<3,2,2,2> -> h
        MatMul: h v<3,3> -> y""", ["n", 2, 4, 4]),
    ("""MatMul: v<5,4> x -> a
        MatMul: a w<3,2> -> y""", ["n", 4, 3]),
    ("""Shape: x -> s
        Gather: s first[0] -> b | axis=0
        Gather: s last[3] -> l | axis=0
        Mul: l two[2] -> d
        Concat: b d minus[-1] -> t | axis=0
        Conv: x w<4,3,1,1> -> c
        Reshape: c t -> r
        ReduceMean: r -> m | axes=[1], keepdims=0
        Expand: shift<1,16> t1[1,16] -> e
        Add: m e -> y""", ["n", 3, 8, 8]),
    # As PyTorch's exporter from torch.export writes an LSTM.
    ("""Shape: x -> s0 | start=0, end=1
        Concat: one[1] s0 seven[7] -> s1 | axis=0
        Expand: nought<> s1 -> zeros0
        Mul: zeros0 none=0.0 -> zeros
        Transpose: x -> t | perm=[1, 0, 2]
        Slice: zeros a[0] b[1] a[0] -> h0
        LSTM: t W<1,28,5> R<1,28,7> B<1,56> _ h0 h0 -> l | hidden_size=7
        Transpose: l -> u | perm=[0, 2, 1, 3]
        Shape: u -> s2 | start=0
        Slice: s2 a[0] b[1] -> p
        Slice: s2 b[1] c[2] -> q
        Slice: s2 c[2] d[3] -> r
        Slice: s2 d[3] e[4] -> v
        Mul: r v -> m
        Reshape: m flat[-1] -> m1
        Concat: p q m1 -> s3 | axis=0
        Reshape: u s3 -> o
        Transpose: o -> g | perm=[1, 0, 2]
        Gather: g last[-1] -> y | axis=1""", ["n", 6, 5]),
    # As PyTorch's exporter writes torch.split and torch.chunk.
    ("""MatMul: x w<6,8> -> a
        SplitToSequence: a sizes[2,3,3] -> s | axis=1
        SequenceAt: s one[1] -> b
        SequenceAt: s last[-1] -> c
        Squeeze: three[3] -> size
        SplitToSequence: a size -> t | axis=-1
        SequenceAt: t two[2] -> d
        CastLike: half=0.5 a -> e
        CastLike: b half -> f
        Mul: f e -> g
        Add: g c -> h
        Concat: h d -> y | axis=-1""", ["n", 6]),
    ("""Conv: x w<3,2,2,2> -> a
        Concat: a k<1,2,3,3> -> b | axis=1
        Relu: b -> y""", [1, 2, 4, 4]),
    ("""Conv: x w<6,2,2,2> -> a
        Gather: a order[4,1,3,2,0,5] -> b | axis=1
        Gather: b one[1] -> c | axis=1
        Concat: b c b -> d | axis=1
        ReduceSum: d axes[1,-1] -> e | keepdims=0
        Relu: e -> y""", ["n", 2, 4, 4]),
    ("""Conv: x w<6,2,2,2> -> a
        ReduceMax: a -> b | axes=[2], keepdims=1
        Min: b c=0.3 -> d
        Min: d b -> e
        Mean: e d -> f
        Pow: f two=2.0 -> f2
        Sum: f2 e d -> g
        Neg: g -> h
        Max: h low=-0.2 -> y""", ["n", 2, 4, 4]),
    ("""Conv: x w<4,2,3,3> -> a | auto_pad="SAME_LOWER", strides=[2, 2]
        MaxPool: a -> b | kernel_shape=[2, 2], auto_pad="SAME_UPPER", strides=[1, 1]
        AveragePool: b -> y | kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1], ceil_mode=1
        """, ["n", 2, 7, 8]),
    ("""Conv: x w<4,2,3,3> -> a
        Pad: a p[0,0,-1,1,0,0,0,-2] half=0.5 -> b
        Squeeze: s<1,4,1,1> axes[0] -> c
        Mul: b c -> y""", ["n", 2, 7, 8]),
    ("""SpaceToDepth: x -> a | blocksize=2
        Conv: a w<8,8,1,1> -> b
        DepthToSpace: b -> c | blocksize=2
        Conv: c v<4,2,1,1> -> d
        DepthToSpace: d -> y | blocksize=2, mode="CRD" """, ["n", 2, 4, 6]),
    ("""Conv: x w<4,2,3,3> -> a
        Resize: a _ f{1,1,2,2} -> b | nearest_mode="round_prefer_floor"
        Resize: b _ _ sizes[3,4,8,24] -> y | mode="nearest" """, ["n", 2, 4, 6]),
    # Layers on the vectors of all steps of all samples.
    ("""Reshape: x rows[-1,5] -> a
        Gemm: a W<7,5> b<7> -> c | transB=1
        Relu: c -> d
        Slice: d two[2] six[6] one[1] -> e
        MatMul: e v<4,3> -> f
        Tanh: f -> g
        Add: g f -> h
        Mul: h s<3> -> i
        Reshape: i steps[-1,6,3] -> y""", ["n", 6, 5]),
    # Constants that make a tensor larger, which no layer absorbs.
    ("""Unsqueeze: x axes[1] -> a
        Sub: a c<4,5> -> b
        MatMul: b w<5,3> -> d
        Tanh: d -> y""", ["n", 5]),
    ("""MatMul: x w<5,1> -> a
        Mul: c<6> a -> b
        MatMul: b v<6,3> -> y""", ["n", 5]),
    ("""Conv: x w<1,1,1,1> -> a
        Add: a c<3,1,1> -> b
        Mul: b d<3,1,1> -> e
        Conv: e v<2,3,2,2> -> y""", ["n", 1, 4, 4]),
    ("""Add: x c<2,1,1,5> -> a
        MatMul: a w<5,3> -> y""", ["n", 4, 5]),
    ("""Expand: x s[1,6] -> a
        MatMul: a w<6,3> -> y""", ["n", 1]),
    # Cells that are unrolled from a state of zeros.
    ("""Shape: x -> s | start=0, end=1
        Concat: s seven[7] -> t | axis=0
        ConstantOfShape: t -> h
        Gemm: h R<7,7> b<7> -> r | transB=1
        Gather: x first[0] -> x3 | axis=1
        Squeeze: x3 axes[1] -> x2
        Gemm: x2 W<7,5> c<7> -> u | transB=1
        Add: u r -> v
        Tanh: v -> w
        Mul: w h -> k
        Add: k w -> y""", ["n", 3, 5]),
    ("""RNN: x W<2,7,5> R<2,7,7> -> y | hidden_size=7, direction="bidirectional", clip=0.5""",
     [6, "n", 5]),
    ("""GRU: x W<1,21,5> R<1,21,7> B<1,42> -> y h | hidden_size=7, direction="reverse" """,
     [6, 1, 5]),
    # A matrix on the left of vectors whose last axis is that of the batch.
    ("""MatMul: x w<4,4> -> a
        Transpose: a -> b | perm=[2, 1, 0]
        MatMul: A<5,4> b -> y""", ["n", 4, 4]),
    ("""MatMul: x w<4,4> -> a
        Tanh: a -> t
        Transpose: t -> b | perm=[1, 2, 0]
        MatMul: A<5,4> b -> y""", ["n", 4, 4]),
    ("LSTM: x W<1,28,5> R<1,28,7> B<1,56> _ h<1,1,7> _ P<1,21> -> y h2 c | hidden_size=7, "
     "direction='reverse'", [6, 1, 5]),
])
def test_operations_in_other_forms_compute_what_onnxruntime_does(nodes, shape):
    nodes = nodes.strip()
    outputs = nodes.split(" -> ")[-1].split(" | ")[0]
    check(Probe(nodes, {"x": shape}, outputs))


@pytest.mark.parametrize("nodes", [
    """Slice: a zero[0] two[2] one[1] -> b
       Slice: a two four[4] one -> c
       Pow: b exponent=2.0 -> d
       Mul: c c -> e
       Add: d e -> f
       Sqrt: f -> y""",
    """Reshape: a shape[0,2,2,6] -> b
       Mul: b b -> c
       ReduceSum: c axes[-2] -> d | keepdims=0
       Sqrt: d -> y""",
    # Parts of squares are squares of parts.
    """Mul: shaped shaped -> b
       Split: b -> c d | axis=2
       Transpose: c -> e | perm=[0, 2, 1, 3]
       Transpose: d -> f | perm=[0, 2, 1, 3]
       Add: e f -> g
       Squeeze: g axes[1] -> h
       Sqrt: h -> y""",
    """Reshape: a shape[0,2,2,6] -> b
       Transpose: b -> c | perm=[0, 1, 3, 2]
       ReduceL2: c -> y | axes=[-1], keepdims=0""",
    "ReduceL2: shaped -> y | axes=[2]"])
def test_a_root_of_two_squares_is_one_operation(nodes):
    nodes = f"""Conv: x w<4,3,3> -> a
                Reshape: a pairs[0,2,2,6] -> shaped
                {nodes}"""
    graph = check(Probe(nodes, {"x": ["n", 3, 8]}))
    operations = [node.computation for node in graph.nodes]
    assert sum(isinstance(operation, Magnitude) for operation in operations) == 1
    assert not any(isinstance(operation, (Affine, Multiply)) for operation in operations)


@pytest.mark.parametrize("operation", [
    "ReduceMean: a -> b | axes=[0], keepdims=0", "ReduceMax: a -> b | axes=[0], keepdims=0",
    "ReduceMean: a -> b | axes=[0, 2], keepdims=0", "ReduceSum: a axes[-1,0] -> b | keepdims=0",
    "ReduceMax: a -> b | axes=[0, 1, 2, 3], keepdims=0"])
def test_a_batch_of_one_that_is_reduced_is_no_axis_of_the_result(operation):
    probe = Probe(f"""MatMul: x w<4,4> -> a
                      {operation}
                      Unsqueeze: b first[0] -> c
                      Concat: c c -> d | axis=0
                      Tanh: d -> y""", {"x": [1, 2, 3, 4]})
    expected, = expected_of(probe.model, probe.inputs)
    found = evaluate_real(read(probe.model), probe.arrays)["y"]
    assert found.shape == (1, *expected.shape)
    np.testing.assert_allclose(found[0], expected, atol=1e-5)


def test_a_transpose_of_vectors_at_the_end_is_noted():
    nodes = """MatMul: x w<4,3> -> a
               Transpose: a -> b | perm=[0, 2, 1]"""
    model = read(Probe(nodes, {"x": ["n", 5, 4]}, "b").model)
    assert model.notes == ("the results are vectors along the last axis, those before the last "
                           "Transpose",)
    turned = f"{nodes}\nTranspose: b -> y | perm=[0, 2, 1]"
    assert read(Probe(turned, {"x": ["n", 5, 4]}).model).notes == ()


def test_results_joined_with_the_batch_are_apart_in_a_graph():
    probe = Probe("""Reshape: x rows[-1,5] -> a
                     Tanh: a -> b
                     MatMul: b w<5,3> -> y""", {"x": ["n", 6, 5]})
    with pytest.warns(FrontEndWarning, match="^the samples of 'y' are along an axis of their own "
                                             "here, before that of 6 elements, "):
        graph = from_onnx(onnx.load_model_from_string(probe.model))
    expected, = expected_of(probe.model, probe.inputs)
    np.testing.assert_allclose(evaluate_real(graph, probe.arrays)["y"].reshape(-1, 3), expected,
                               atol=1e-5)


def test_batches_first_of_recurrent_networks_are_read():
    probe = Probe("""LSTM: x W<1,28,5> R<1,28,7> B<1,56> _ h0 -> y h c | hidden_size=7, layout=1""",
                  {"x": ["n", 6, 5], "h0": ["n", 1, 7]}, "y h c")
    graph = read(probe.model)
    assert graph.notes == ()
    values = evaluate_real(graph, probe.arrays)
    # onnxruntime runs the other layout only.
    turned = Probe("""LSTM: x W<1,28,5> R<1,28,7> B<1,56> _ h0 -> y h c | hidden_size=7""",
                   {"x": [6, "n", 5], "h0": [1, "n", 7]}, "y h c")
    assert read(turned.model).notes[:2] == tuple(
        f"the samples of input {name!r} are along its first axis here, which is axis 1 in the model"
        for name in ("x", "h0"))
    expected = expected_of(turned.model, {name: np.moveaxis(array, 0, 1) for name, array
                                          in probe.inputs.items()})
    for name, output, axis in zip(graph.outputs, expected, (2, 1, 1)):
        np.testing.assert_allclose(values[name], np.moveaxis(output, axis, 0), atol=1e-5)


@pytest.mark.parametrize("nodes, shape, message", [
    ("""MatMul: x w<6,4> -> a
        Reshape: a s[2,-1] -> b
        Tanh: b -> y""", ["n", 6],
     "Reshape node (a, s -> b): shape must keep the batch, and no other, in an axis, and the 4 "
     "elements of each sample, not be [2, -1]"),
    ("""Reshape: x rows[-1,4] -> a
        Tanh: a -> b
        Unsqueeze: b axes[1] -> c
        MatMul: c w<4,4> -> y""", ["n", 6, 4],
     "Unsqueeze node (b, axes -> c): axis of 6 elements of each sample must be apart from the "
     "batch: reshape the tensor before"),
    ("""MatMul: x w<6,4> -> a
        ReduceMean: a -> y | axes=[0]""", ["n", 6],
     "ReduceMean node (a -> y): axis must not be 0, that of the batch, whose samples are computed "
     "one by one"),
    ("""MatMul: x w<6,4> -> a
        Pad: a p[0,1,0,1] most=inf -> y""", ["n", 6],
     "Pad node (a, p, most -> y): padding must be with a finite number, or of mode reflect, edge "
     "or wrap, not by constant with inf: pad on the host"),
    ("""MatMul: x w<6,4> -> a
        Mul: a a -> b
        Add: b epsilon=0.1 -> c
        Sqrt: c -> y""", ["n", 6],
     "Sqrt node (c -> y): operand must be the sum of two squares, x * x + y * y, of two tensors or "
     "along an axis of two elements, with no other term, nor a constant: end before it with "
     "last='c', or begin after it with first='y'"),
    ("""MatMul: x w<6,2> -> a
        Mul: a a -> b
        ReduceSum: b axes[1] -> c | keepdims=0
        Add: c epsilon=0.1 -> d
        Unsqueeze: d axes -> e
        Sqrt: e -> y""", ["n", 6],
     "Sqrt node (e -> y): operand must be the sum of two squares, x * x + y * y, of two tensors or "
     "along an axis of two elements, with no other term, nor a constant: export the model without "
     "the constant that is added, such as an epsilon; or end before it with last='e', or "),
    ("""MatMul: x w<6,4> -> a
        ReduceL2: a -> y | axes=[1], keepdims=0""", ["n", 6],
     "ReduceL2 node (a -> y): axes must be one of two elements, not [1] of (batch, 4); "),
    ("""MaxPool: x -> a | kernel_shape=[2, 2], dilations=[2, 2]
        Conv: a w<2,3,1,1> -> y""", ["n", 3, 8, 8],
     "MaxPool node (x -> a): dilation of a pool must be 1, not (2, 2): pool without it"),
    ("""MatMul: x w<6,4> -> a
        Unsqueeze: a axes[1] -> b
        PRelu: b c<3,4> -> y""", ["n", 6],
     "PRelu node (b, c -> y): constant must not make the tensor of shape (batch, 1, 4) larger, as "
     "one of shape (3, 4) does: expand the tensor before"),
    ("""MatMul: x w<6,4> -> h
        Tanh: h -> y""", ["n", "t", 6],
     "input 'x': shape must be known but for the batch, not (?, ?, 6): "),
    ("""LSTM: x W<1,28,5> R<1,28,7> -> y | hidden_size=7, input_forget=1""", [6, "n", 5],
     "LSTM node (x, W, R -> y): input_forget must be 0: train an LSTM whose input and forget gates "
     "are separate"),
    ("""GRU: x W<1,21,4> R<1,21,7> -> y | hidden_size=7""", [6, "n", 5],
     "GRU node (x, W, R -> y): weights must have the shape (1, 21, 5), not (1, 21, 4)"),
    ("""LSTM: x W<1,28,5> R<1,28,7> -> y | hidden_size=7""", ["n", 6, 5],
     "LSTM node (x, W, R -> y): operand must have the batch in axis 1, not it in axis 0, of shape "
     "(batch, 6, 5): declare the axis of the batch, and no other, as of open size"),
    ("""MatMul: x w<4,4> -> a
        Concat: a k<3,4> -> b | axis=1
        Tanh: b -> y""", ["n", 4],
     "Concat node (a, k -> b): constant must be the same for all samples of the batch, not of "
     "shape (3, 4): let it be an input of the model"),
    ("""RNN: x W<1,7,5> R<1,7,7> _ _ h<1,3,7> -> y | hidden_size=7""", [6, 3, 5],
     "RNN node (x, W, R, , , h -> y): constant must be the same for all samples"),
    ("""MatMul: x w<4,4> -> a
        Add: a k<2,4> -> b
        Tanh: b -> y""", [1, 4],
     "Add node (a, k -> b): constant must be for a batch of 1, or of any size, not of shape "
     "(2, 4): declare the axis of the batch as of open size"),
    ("""Conv: x w<2,3,1,1> -> a
        AveragePool: a -> y | kernel_shape=[2, 2], strides=[2, 2], auto_pad="VALID", ceil_mode=1
        """, ["n", 3, 5, 5],
     "AveragePool node (a -> y): ceil_mode must be 0 with auto_pad VALID, as runtimes differ"),
    ("""Conv: x w<2,3,1,1> -> a
        Resize: a _ _ sizes[2,2,8,8] -> y | mode="nearest" """, [3, 3, 4, 4],
     "Resize node (a, , , sizes -> y): sizes must keep the batch of 3, not make it 2"),
    # Small files that ask for a lot of memory.
    ("""MatMul: x w<4,1> -> a
        Expand: a s[1,200000,100000] -> b
        Tanh: b -> y""", ["n", 1, 4], f"Expand node (a, s -> b): {LARGE} (200000, 100000)"),
    ("""MatMul: x w<4,4> -> a
        Expand: k<1,1,1> s[1,1,1073741824] -> b
        Concat: a b -> c | axis=2
        Tanh: c -> y""", ["n", 1, 4], f"Concat node (a, b -> c): {LARGE} (1, 1073741824)"),
    ("""MatMul: x w<4,4> -> a
        Expand: k<4> s[1073741824,4] -> b
        Transpose: b -> c
        Flatten: c -> d | axis=0
        Gather: d i[0,1,2,3] -> e | axis=1
        Add: a e -> y""", ["n", 4], f"Flatten node (c -> d): {LARGE} (4, 1073741824)"),
    ("""MatMul: x w<4,4> -> a
        Expand: k<4> s[1073741824,4] -> b
        Add: a b -> y""", ["n", 4], f"Add node (a, b -> y): {LARGE} (1073741824, 4)"),
    ("""MatMul: x w<4,4> -> a
        Max: k<9000,1,1> l<9000,1> a -> y""", [1, 4],
     f"Max node (k, l, a -> y): {LARGE} (9000, 9000, 1)"),
    ("""ConstantOfShape: s[1,262144,4] -> w
        ConstantOfShape: t[1,262144,65536] -> r
        LSTM: x w r -> y | hidden_size=65536""", [5, "n", 4],
     f"LSTM node (x, w, r -> y): {LARGE} (1, 262144, 65536)"),
    ("""ConstantOfShape: s[4,4294967296] -> v
        MatMul: x w<4,4> -> a
        MatMul: a v -> y""", ["n", 4], f"MatMul node (a, v -> y): {LARGE} (4, 4294967296)"),
    ("""MatMul: x w<4,4> -> a
        Squeeze: zero[0] -> z
        Squeeze: much[17179869184] -> m
        Squeeze: one[1] -> o
        Range: z m o -> r
        Cast: r -> c | to=1
        ReduceProd: c -> p | keepdims=0
        Mul: a p -> y""", ["n", 4], f"Range node (z, m, o -> r): {LARGE} (17179869185,)"),
    ("""RNN: x W<1,7,5> R<1,7,7> -> y | hidden_size=7, activations=["Softsign"]""", [6, "n", 5],
     "RNN node (x, W, R -> y): activations must be 1 of Relu, Tanh, Sigmoid, LeakyRelu, "
     "HardSigmoid, not Softsign"),
    ("""LSTM: x W<1,28,5> R<1,28,7> _ _ h<1,1,7> c<1,1,8> -> y | hidden_size=7""", [6, "n", 5],
     "LSTM node (x, W, R, , , h, c -> y): cell state must have the 7 elements of the hidden state: "
     "the operator has no projection (proj_size)"),
    ("""MatMul: x w<6,4> -> a
        Resize: a _ scales{1,1,2} -> y""", ["n", 3, 6],
     "Resize node (a, , scales -> y): operand must have two dimensions after the channels, not "
     "shape (batch, 3, 4): reshape it to (batch, 3, 1, 4) before"),
    ("""MatMul: x w<6,4> -> a
        Unsqueeze: a axes[1] -> b
        Transpose: b -> c | perm=[1, 0, 2]
        Add: b c -> y""", ["n", 6],
     "Add node (b, c -> y): operands must have the batch in the same axis, counted from the last, "
     "not of shapes (batch, 1, 4) and (1, batch, 4)"),
])
def test_what_cannot_be_read_is_refused_with_the_reason(nodes, shape, message):
    with pytest.raises(FrontEndError, match=f"^{re.escape(message)}"):
        read(Probe(nodes, {"x": shape}).model)


def test_constants_that_do_not_fit_are_refused():
    with pytest.raises(FrontEndError, match=re.escape(
            "constant must broadcast with the tensor of shape (batch, 4), not be of shape (3,)")):
        constant_of(np.ones(3), Tensor("a", (BATCH, 4), 0), enlarge=True)


def test_an_output_without_a_shape_is_refused_by_its_name():
    model = onnx.load_model_from_string(probes()["squeeze and excite"].model)
    output, = model.graph.output
    output.type.tensor_type.ClearField("shape")
    with pytest.raises(FrontEndError, match=f"^output {output.name!r} must have a shape: declare "):
        from_onnx(model)
    from_onnx(onnx.shape_inference.infer_shapes(model))


def test_the_open_batch_is_shown_by_its_name():
    assert show_shape((BATCH, 6)) == "(batch, 6)" and show_shape((3,)) == "(3,)"
    assert show_shape([4 * BATCH, 1, -1], "[]") == "[4 × batch, 1, -1]"


def test_sizes_that_double_are_not_computed_by_onnx():
    doubled = "\n".join(f"Concat: a{n} a{n} -> a{n + 1} | axis=0" for n in range(1, 24))
    nodes = f"""Concat: a[1] a -> a1 | axis=0
                {doubled}
                Reshape: x a24 -> z
                MatMul: x w<4,4> -> b
                Tanh: b -> y"""
    assert read(_without_inference(nodes)).outputs == ("y",)


def _without_inference(nodes):
    """Make a model whose shapes are declared by hand, as inference would take all memory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx.shape_inference, "infer_shapes", lambda model: model)
        model = onnx.load_model_from_string(Probe(nodes, {"x": ["n", 4]}).model)
    model.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info(
        "y", onnx.TensorProto.FLOAT, ["n", 4]))
    return model.SerializeToString()


def test_any_changed_bytes_give_a_network_or_an_error():
    rng = np.random.default_rng(0)
    answers = set()
    for name in ("squeeze and excite", "channel shuffle", "bidirectional lstm", "one dimension"):
        for _ in range(100):
            content = bytearray(probes()[name].model)
            for place in rng.integers(len(content), size=2):
                content[place] = rng.choice([0, 1, 127, 255, rng.integers(256)])
            try:
                answers.add(type(read(bytes(content))))
            except (FrontEndError, DecodeError) as error:
                answers.add(type(error))
    assert answers == {Graph, FrontEndError, DecodeError}


@pytest.mark.skipif(not KWS.exists(), reason="needs the published networks for keyword spotting")
@pytest.mark.parametrize("name, image", [("ds_cnn_s", True), ("basic_lstm_s", False),
                                         ("gru_s", False)])
def test_published_networks_for_keyword_spotting_are_read(name, image):
    data = np.load(KWS / "features_49x10.npz")
    frames = data["features"][:4, ::2 if name == "gru_s" else 1] * float(data["scale"])
    features = frames[:, None] if image else frames
    graph = read_model(KWS / f"{name}.onnx")
    expected = expected_of((KWS / f"{name}.onnx").read_bytes(),
                           {"features": features.astype(np.float32)})
    check_outputs(graph, {"features": features}, expected)


def test_a_network_exported_by_torch_computes_what_it_did():
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    nn = torch.nn

    class Network(nn.Module):
        """Grouped and depthwise convolutions with a channel shuffle, and recurrent layers."""

        def __init__(self):
            super().__init__()
            self.one = nn.Conv2d(4, 8, 1, groups=2)
            self.two = nn.Conv2d(8, 8, 3, groups=8, padding=1)
            self.lstm = nn.LSTM(6, 5, num_layers=2, batch_first=True)
            self.gru = nn.GRU(5, 4, bidirectional=True)
            self.fc = nn.Linear(8, 3)

        def forward(self, x):
            n, c, h, w = (y := self.one(x)).shape
            y = y.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
            left, right = nn.functional.hardswish(self.two(y)).chunk(2, 1)
            y = torch.cat([left, torch.relu(right) + left], 1).mean(2)
            y = self.gru(self.lstm(y)[0].transpose(0, 1))[0]
            return self.fc(y[-1])

    torch.manual_seed(0)
    module, x = Network().eval(), torch.randn(2, 4, 6, 6)
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")    # deprecations within torch
        torch.onnx.export(module, (x,), file, dynamo=False, input_names=["x"],
                          dynamic_axes={"x": {0: "n"}})
    graph = read(file.getvalue())
    check_outputs(graph, {"x": x.numpy().astype(np.float64)}, [module(x).detach().numpy()])
