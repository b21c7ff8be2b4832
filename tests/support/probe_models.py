"""Small models of every form that networks have, with inputs: probes of the whole way from a file
in ONNX to results."""

import functools

import numpy as np
import onnx.shape_inference
from onnx import TensorProto, helper, numpy_helper

__all__ = ["Probe", "probes"]

FLOAT = TensorProto.FLOAT
SAMPLES = 3


class Probe:
    """Model in ONNX, built from nodes.

    Parameters
    ----------
    nodes : text
        One node a line: ``Operation: inputs -> outputs | attribute=value, ...``; ``name<4,3>`` is a
        random constant of that shape, ``name[1,-1]`` one of integers,
        ``name{1,-1}`` one of numbers, ``name=0.5`` a number.
    inputs : mapping of str to shape
        Shape of each input; ``"n"`` is the batch.
    outputs : text
        Names of the outputs.
    scale : float
        Magnitude of the inputs.
    """

    def __init__(self, nodes, inputs, outputs="y", *, opset=17, scale=1.0, seed=0):
        self._rng = np.random.default_rng(seed)
        self._constants = {}
        self.shapes = inputs
        made = [self._node(line.strip()) for line in nodes.strip().split("\n")]
        graph = helper.make_graph(
            made, "probe",
            [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs.items()],
            [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs.split()],
            [numpy_helper.from_array(value, name) for name, value in self._constants.items()])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)],
                                  ir_version=9)
        # Declares the outputs, whose shapes follow from those of the inputs.
        self.model = onnx.shape_inference.infer_shapes(model).SerializeToString()
        self.inputs = {
            name: (scale * self._rng.normal(size=[SAMPLES if isinstance(size, str) else size
                                                  for size in shape])).astype(np.float32)
            for name, shape in inputs.items()}

    @property
    def arrays(self):
        """Inputs (batch, ...) of the graph that is read, by name."""
        return {name: np.moveaxis(self.inputs[name].astype(np.float64), _batch_of(shape), 0)
                for name, shape in self.shapes.items()}

    def _node(self, line):
        text, _, options = line.partition(" | ")
        operation, rest = text.split(": ", 1)
        inputs, outputs = rest.split(" -> ")
        attributes = eval(f"dict({options})")    # of this file
        return helper.make_node(operation, [self._constant(each) for each in inputs.split()],
                                ["" if each == "_" else each for each in outputs.split()],
                                **attributes)

    def _constant(self, text):
        name = text
        if "<" in text:
            name, _, shape = text[:-1].partition("<")
            shape = [int(size) for size in shape.split(",") if size]
            fan_in = max(np.prod(shape[1:], dtype=int), 1)
            value = self._rng.normal(size=shape) / np.sqrt(fan_in)
            if name.endswith("variance"):
                value = 0.5 + np.abs(value)
            self._constants[name] = value.astype(np.float32)
        elif "[" in text:
            name, _, numbers = text[:-1].partition("[")
            self._constants[name] = np.array([int(each) for each in numbers.split(",")], np.int64)
        elif "{" in text:
            name, _, numbers = text[:-1].partition("{")
            self._constants[name] = np.array([float(each) for each in numbers.split(",")],
                                             np.float32)
        elif "=" in text:
            name, _, number = text.partition("=")
            self._constants[name] = np.float32(number)
        return "" if name == "_" else name


IMAGE = {"x": ["n", 3, 8, 8]}
VECTOR = {"x": ["n", 12]}
SEQUENCE = {"x": ["n", 6, 5]}

def _batch_of(shape):
    """Find the axis of the batch: of open size, or the second of a sequence."""
    return shape.index("n") if "n" in shape else int(len(shape) == 3)


#: Name -> arguments of a probe.
_PROBES = {
    "lenet5": ("""
        Conv: x conv1.weight<6,1,5,5> conv1.bias<6> -> a | pads=[2, 2, 2, 2]
        Relu: a -> b
        MaxPool: b -> c | kernel_shape=[2, 2], strides=[2, 2]
        Conv: c conv2.weight<16,6,5,5> conv2.bias<16> -> d
        Relu: d -> e
        MaxPool: e -> f | kernel_shape=[2, 2], strides=[2, 2]
        Flatten: f -> g
        Gemm: g fc1.weight<20,64> fc1.bias<20> -> h | transB=1
        Relu: h -> i
        Gemm: i fc2.weight<10,20> fc2.bias<10> -> j | transB=1
        Softmax: j -> y""", {"x": ["n", 1, 16, 16]}),
    "convolutions": ("""
        Conv: x a.weight<8,3,3,3> a.bias<8> -> a | pads=[1, 1, 1, 1]
        Relu: a -> b
        Conv: b c.weight<4,8,3,3> c.bias<4> -> y | strides=[2, 2], dilations=[2, 2]""", IMAGE),
    "depthwise separable": ("""
        Conv: x a.weight<8,3,3,3> -> a | pads=[1, 1, 1, 1]
        BatchNormalization: a g1<8> b1<8> m1<8> v1.variance<8> -> b
        Relu: b -> c
        Conv: c d.weight<8,1,3,3> -> d | pads=[1, 1, 1, 1], group=8
        BatchNormalization: d g2<8> b2<8> m2<8> v2.variance<8> -> e
        Relu: e -> f
        Conv: f p.weight<12,8,1,1> -> h
        BatchNormalization: h g3<12> b3<12> m3<12> v3.variance<12> -> i
        Relu: i -> y""", IMAGE),
    "fire module": ("""
        Conv: x squeeze.weight<4,3,1,1> squeeze.bias<4> -> a
        Relu: a -> s
        Conv: s one.weight<6,4,1,1> one.bias<6> -> b
        Relu: b -> c
        Conv: s three.weight<6,4,3,3> three.bias<6> -> d | pads=[1, 1, 1, 1]
        Relu: d -> e
        Concat: c e -> f | axis=1
        MaxPool: f -> y | kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1""", IMAGE),
    "residual": ("""
        Conv: x a.weight<3,3,3,3> a.bias<3> -> a | pads=[1, 1, 1, 1]
        Relu: a -> b
        Conv: b c.weight<3,3,3,3> c.bias<3> -> c | pads=[1, 1, 1, 1]
        Add: c x -> d
        Relu: d -> y""", IMAGE),
    "projected residual": ("""
        Conv: x a.weight<6,3,3,3> -> a | pads=[1, 1, 1, 1], strides=[2, 2]
        BatchNormalization: a g1<6> b1<6> m1<6> v1.variance<6> -> b
        Relu: b -> c
        Conv: c d.weight<6,6,3,3> -> d | pads=[1, 1, 1, 1]
        BatchNormalization: d g2<6> b2<6> m2<6> v2.variance<6> -> e
        Conv: x s.weight<6,3,1,1> -> s | strides=[2, 2]
        Add: e s -> f
        Relu: f -> h
        GlobalAveragePool: h -> i
        Flatten: i -> j
        Gemm: j fc.weight<5,6> fc.bias<5> -> y | transB=1""", IMAGE),
    "two heads": ("""
        Gemm: x trunk.weight<16,12> trunk.bias<16> -> a | transB=1
        Relu: a -> b
        Gemm: b one.weight<3,16> one.bias<3> -> y | transB=1
        Gemm: b two.weight<4,16> two.bias<4> -> c | transB=1
        Sigmoid: c -> z""", VECTOR, "y z"),
    "two inputs": ("""
        MatMul: x w<12,8> -> a
        MatMul: u v<4,8> -> b
        Add: a b -> c
        Relu: c -> d
        MatMul: d o<8,3> -> y""", {"x": ["n", 12], "u": ["n", 4]}),
    "relu6": ("""
        Conv: x a.weight<4,3,3,3> a.bias<4> -> a
        Clip: a low=0 high=6 -> b
        Conv: b c.weight<4,4,1,1> c.bias<4> -> c
        Clip: c low high -> y""", IMAGE, "y", {"scale": 4.0}),
    "leaky relu": ("""
        Gemm: x a.weight<16,12> a.bias<16> -> a | transB=1
        LeakyRelu: a -> b | alpha=0.1
        Gemm: b c.weight<5,16> c.bias<5> -> y | transB=1""", VECTOR),
    "prelu": ("""
        Conv: x a.weight<4,3,3,3> a.bias<4> -> a
        PRelu: a slope<4,1,1> -> b
        Conv: b c.weight<4,4,3,3> c.bias<4> -> y""", IMAGE),
    "hard swish": ("""
        Conv: x a.weight<4,3,3,3> a.bias<4> -> a
        HardSwish: a -> b
        GlobalAveragePool: b -> c
        Conv: c s.weight<4,4,1,1> -> d
        HardSigmoid: d -> e | alpha=0.1666667, beta=0.5
        Mul: b e -> y""", IMAGE),
    "sigmoid and tanh": ("""
        Gemm: x a.weight<16,12> a.bias<16> -> a | transB=1
        Sigmoid: a -> b
        Gemm: b c.weight<16,16> c.bias<16> -> c | transB=1
        Tanh: c -> d
        Gemm: d e.weight<5,16> e.bias<5> -> y | transB=1""", VECTOR),
    "squeeze and excite": ("""
        Conv: x a.weight<8,3,3,3> a.bias<8> -> a
        ReduceMean: a -> b | axes=[2, 3], keepdims=0
        Gemm: b c.weight<4,8> c.bias<4> -> c | transB=1
        Relu: c -> d
        Gemm: d e.weight<8,4> e.bias<8> -> e | transB=1
        Sigmoid: e -> f
        Unsqueeze: f axes[2,3] -> h
        Mul: a h -> y""", IMAGE),
    "channel shuffle": ("""
        Conv: x a.weight<8,3,1,1> -> a
        Reshape: a split[0,2,4,8,8] -> b
        Transpose: b -> c | perm=[0, 2, 1, 3, 4]
        Reshape: c join[0,-1,8,8] -> d
        Conv: d g.weight<8,4,1,1> -> y | group=2""", IMAGE),
    "split and concat": ("""
        Conv: x a.weight<8,3,1,1> -> a
        Split: a -> b c | axis=1
        Conv: c d.weight<4,1,3,3> -> d | group=4, pads=[1, 1, 1, 1]
        Relu: d -> e
        Concat: b e -> y | axis=1""", IMAGE),
    "average pools": ("""
        Conv: x a.weight<4,3,3,3> -> a
        AveragePool: a -> b | kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]
        AveragePool: b -> y | kernel_shape=[2, 2], pads=[1, 1, 0, 0], count_include_pad=1
        """, IMAGE),
    "global maximum": ("""
        Conv: x a.weight<4,3,3,3> -> a
        GlobalMaxPool: a -> b
        Flatten: b -> c
        MatMul: c w<4,6> -> y""", IMAGE),
    "one dimension": ("""
        Conv: x a.weight<8,4,5> a.bias<8> -> a | pads=[2, 2], strides=[2]
        Relu: a -> b
        MaxPool: b -> c | kernel_shape=[2], strides=[2]
        Conv: c d.weight<6,8,3> d.bias<6> -> d | dilations=[2], pads=[2, 2]
        GlobalAveragePool: d -> e
        Flatten: e -> f
        MatMul: f w<6,3> -> y""", {"x": ["n", 4, 24]}),
    "normalisation first": ("""
        BatchNormalization: x g<3> b<3> m<3> v.variance<3> -> a
        Relu: a -> c
        Conv: c a.weight<4,3,3,3> -> d | pads=[1, 1, 1, 1]
        Relu: d -> e
        MaxPool: e -> f | kernel_shape=[2, 2], strides=[2, 2]
        BatchNormalization: f g2<4> b2<4> m2<4> v2.variance<4> -> h
        Conv: h c.weight<2,4,3,3> -> y""", IMAGE),
    "padding and crops": ("""
        Pad: x pads[0,0,1,2,0,0,2,1] -> a
        Conv: a a.weight<4,3,3,3> -> b
        Slice: b starts[1,-6] ends[9,9223372036854775807] axes[2,3] steps[2,1] -> y""", IMAGE),
    "channels last": ("""
        Transpose: x -> a | perm=[0, 3, 1, 2]
        Conv: a a.weight<4,3,3,3> a.bias<4> -> b | strides=[2, 2], auto_pad="SAME_UPPER"
        Relu: b -> c
        Transpose: c -> d | perm=[0, 2, 3, 1]
        Reshape: d flat[-1,64] -> e
        MatMul: e w<64,5> -> y""", {"x": ["n", 8, 8, 3]}),
    "binary activations": ("""
        MatMul: x w<12,16> -> a
        Sign: a -> b
        MatMul: b v<16,8> -> c
        Sign: c -> d
        MatMul: d u<8,3> -> y""", VECTOR),
    "maxout": ("""
        MatMul: x w<12,8> -> a
        MatMul: x v<12,8> -> b
        Max: a b -> c
        MatMul: c u<8,3> -> y""", VECTOR),
    "difference": ("""
        MatMul: x w<12,8> -> a
        MatMul: x v<12,8> -> b
        Sub: a b -> c
        Mul: c b -> d
        Add: d shift<8> -> e
        Abs: e -> y""", VECTOR),
    "lstm": ("""
        Transpose: x -> s | perm=[1, 0, 2]
        LSTM: s W<1,28,5> R<1,28,7> B<1,56> -> _ h | hidden_size=7
        Squeeze: h axes[0] -> i
        Gemm: i fc.weight<3,7> fc.bias<3> -> y | transB=1""", SEQUENCE),
    "lstm with peepholes": ("""
        LSTM: x W<1,28,5> R<1,28,7> B<1,56> _ h0 c0 P<1,21> -> y h c | hidden_size=7""",
        {"x": [6, "n", 5], "h0": [1, "n", 7], "c0": [1, "n", 7]}, "y h c"),
    "lstm with states in one input": ("""
        Gather: s first[0] -> h1 | axis=0
        Squeeze: h1 zero[0] -> h2
        Unsqueeze: h2 zero[0] -> h3
        Slice: s one[1] two[2] zero[0] -> c0
        LSTM: x W<1,28,5> R<1,28,7> B<1,56> _ h3 c0 -> _ h c | hidden_size=7
        Concat: h c -> t | axis=0
        Squeeze: h zero[0] -> o
        MatMul: o w<7,1> -> p
        Sigmoid: p -> y""", {"x": [6, 1, 5], "s": [2, 1, 7]}, "y t"),
    "bidirectional lstm": ("""
        LSTM: x W<2,28,5> R<2,28,7> B<2,56> -> a h c | hidden_size=7, direction="bidirectional"
        Transpose: a -> b | perm=[0, 2, 1, 3]
        Reshape: b join[0,0,-1] -> d
        Transpose: d -> e | perm=[1, 0, 2]
        MatMul: e w<14,3> -> y""", {"x": [6, "n", 5]}, "y c"),
    "two lstms": ("""
        LSTM: x W1<1,16,5> R1<1,16,4> B1<1,32> -> a | hidden_size=4
        Squeeze: a axes[1] -> b
        LSTM: b W2<1,24,4> R2<1,24,6> B2<1,48> -> c | hidden_size=6
        Squeeze: c axes[1] -> d
        Gather: d last[-1] -> e | axis=0
        Squeeze: e first[0] -> f
        MatMul: f w<6,3> -> y""", {"x": [6, "n", 5]}),
    "gru": ("""
        GRU: x W<1,21,5> R<1,21,7> B<1,42> -> _ h | hidden_size=7
        Squeeze: h axes[0] -> i
        MatMul: i w<7,3> -> y""", {"x": [6, "n", 5]}),
    "gru of pytorch": (
        "GRU: x W<2,21,5> R<2,21,7> B<2,42> -> y h | hidden_size=7, linear_before_reset=1, "
        "direction='bidirectional'", {"x": [6, "n", 5]}, "y h"),
    "rnn": (
        "RNN: x W<1,7,5> R<1,7,7> B<1,14> _ h0<1,1,7> -> y h | hidden_size=7, "
        "direction='reverse', activations=['Relu']", {"x": [6, 1, 5]}, "y h"),
    "convolution and lstm": ("""
        Conv: x a.weight<8,5,3> a.bias<8> -> a | pads=[1, 1]
        Relu: a -> b
        Transpose: b -> c | perm=[2, 0, 1]
        LSTM: c W<1,28,8> R<1,28,7> B<1,56> -> d | hidden_size=7
        Squeeze: d axes[1] -> e
        Transpose: e -> f | perm=[1, 0, 2]
        MatMul: f w<7,1> -> h
        Sigmoid: h -> y""", {"x": ["n", 5, 6]}),
}


@functools.cache
def probes():
    """Make all probes, by name."""
    return {name: Probe(*arguments[:-1], **arguments[-1])
            if isinstance(arguments[-1], dict) and len(arguments) > 3 else Probe(*arguments)
            for name, arguments in _PROBES.items()}


