"""Operations of graphs that the host computes."""

from ..operation import Operation
from .activation import Clip, HardSigmoid, HardSwish, LeakyRelu, Sigmoid, Sign, Tanh
from .arrangement import Concat, Pad, Reshape, Reverse, Slice, Transpose
from .elementwise import Add, Affine, Magnitude, Maximum, Multiply, Subtract
from .pooling import AveragePool, MaxPool, Mean
from .quantisation import Quantise

__all__ = ["OPERATIONS", "Add", "Affine", "AveragePool", "Clip", "Concat", "HardSigmoid",
           "HardSwish", "LeakyRelu", "Magnitude", "MaxPool", "Maximum", "Mean", "Multiply", "Pad",
           "Quantise", "Reshape", "Reverse", "Sigmoid", "Sign", "Slice", "Subtract", "Tanh",
           "Transpose"]

#: Class of each operation by its name, for files.
OPERATIONS: dict[str, type[Operation]] = {operation.__name__: operation for operation in (
    Add, Affine, AveragePool, Clip, Concat, HardSigmoid, HardSwish, LeakyRelu, Magnitude,
    MaxPool, Maximum, Mean, Multiply, Pad, Quantise, Reshape, Reverse, Sigmoid, Sign, Slice,
    Subtract, Tanh, Transpose)}
