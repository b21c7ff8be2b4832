"""Small networks of operators of TensorFlow Lite, from which models are made, for tests."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from .tflite_models import Network

__all__ = ["NETWORKS"]

#: Name -> function that makes the network.
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
