"""TensorFlow Lite models made by hand, in floating point and in integers, for tests."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from .tflite_files import TYPES, FileMaker, interpret

__all__ = ["Network"]

ACTIVATION = schema.ActivationFunctionType
#: Operators whose operands and results have one scale.
SAME = ("AVERAGE_POOL_2D", "CONCATENATION", "EXPAND_DIMS", "MAXIMUM", "MAX_POOL_2D", "MINIMUM",
        "PAD", "PADV2", "REDUCE_MAX", "RESHAPE", "SQUEEZE", "TRANSPOSE")

#: Operators whose results have a scale of their own: as numbers, and as zero point.
FIXED = {"LOGISTIC": (1 / 256, -128), "SOFTMAX": (1 / 256, -128), "TANH": (1 / 128, 0)}


class _Tensor:

    def __init__(self, shape, data=None, role="activation", axis=0):
        self.shape, self.data, self.role, self.axis = list(shape), data, role, axis


class Network:
    """Operators on numbers, from which models in floating point and in integers are made.

    Tensors are named t0, t1, …; t0 is the input.
    """

    def __init__(self, *shape, seed=0):
        self.rng = np.random.default_rng(seed)
        self.tensors = [_Tensor(shape)]
        self.operators = []

    def constant(self, data, role="index", axis=0):
        """Add a constant; its role is index, weight, bias or number."""
        data = np.asarray(data)
        self.tensors.append(_Tensor(data.shape, data, role, axis))
        return len(self.tensors) - 1

    def number(self, *shape):
        """Add a constant operand of an operation of two tensors."""
        return self.constant(self.rng.normal(0, 1, shape).astype(np.float32), "number")

    def add(self, kind, inputs, shape, options=None):
        """Add an operator, with an object of its options, and return its result."""
        self.tensors.append(_Tensor(shape))
        self.operators.append((kind, list(inputs), len(self.tensors) - 1, options))
        return len(self.tensors) - 1

    def shape(self, x):
        return self.tensors[x].shape

    def _layer(self, shape, axis, fan_in, bias):
        weights = self.rng.normal(0, fan_in ** -0.5, shape)
        sizes = [1] * len(shape)
        sizes[axis] = -1
        # Rows of several magnitudes, as scales of channels are for.
        weights *= self.rng.uniform(0.3, 1.5, shape[axis]).reshape(sizes)
        made = [self.constant(weights.astype(np.float32), "weight", axis)]
        if bias:
            made.append(self.constant(
                self.rng.normal(0, 0.3, shape[axis]).astype(np.float32), "bias"))
        return made

    def _windows(self, x, kernel, stride, padding, dilation):
        return [-(-size // step) if padding == "SAME" else
                (size - (width - 1) * spread - 1) // step + 1
                for size, width, step, spread in zip(self.shape(x)[1:3], kernel, stride, dilation)]

    def conv(self, x, outputs, kernel=(3, 3), *, stride=(1, 1), padding="SAME", dilation=(1, 1),
             activation="NONE", bias=True, groups=1):
        channels = self.shape(x)[3] // groups
        options = schema.Conv2DOptionsT()
        self._set(options, stride, padding, activation, dilation)
        return self.add("CONV_2D", [x, *self._layer(
            (outputs, *kernel, channels), 0, channels * kernel[0] * kernel[1], bias)],
            [self.shape(x)[0], *self._windows(x, kernel, stride, padding, dilation), outputs],
            options)

    def depthwise(self, x, multiplier=1, kernel=(3, 3), *, stride=(1, 1), padding="SAME",
                  dilation=(1, 1), activation="NONE", bias=True):
        outputs = self.shape(x)[3] * multiplier
        options = schema.DepthwiseConv2DOptionsT(depthMultiplier=multiplier)
        self._set(options, stride, padding, activation, dilation)
        return self.add("DEPTHWISE_CONV_2D", [x, *self._layer(
            (1, *kernel, outputs), 3, kernel[0] * kernel[1], bias)],
            [self.shape(x)[0], *self._windows(x, kernel, stride, padding, dilation), outputs],
            options)

    def pool(self, x, kind, kernel=(2, 2), *, stride=(2, 2), padding="VALID", activation="NONE"):
        options = schema.Pool2DOptionsT(filterHeight=kernel[0], filterWidth=kernel[1])
        self._set(options, stride, padding, activation)
        return self.add(f"{kind}_POOL_2D", [x], [
            self.shape(x)[0], *self._windows(x, kernel, stride, padding, (1, 1)),
            self.shape(x)[3]], options)

    def _set(self, options, stride, padding, activation, dilation=None):
        options.padding = getattr(schema.Padding, padding)
        options.strideH, options.strideW = stride
        options.fusedActivationFunction = getattr(ACTIVATION, activation)
        if dilation is not None:
            options.dilationHFactor, options.dilationWFactor = dilation

    def dense(self, x, outputs, *, activation="NONE", bias=True, keep=False, inputs=None):
        inputs = inputs or (self.shape(x)[-1] if keep else int(np.prod(self.shape(x)[1:])))
        rows = self.shape(x)[:-1] if keep else [int(np.prod(self.shape(x))) // inputs]
        return self.add(
            "FULLY_CONNECTED", [x, *self._layer((outputs, inputs), 0, inputs, bias)],
            [*rows, outputs], schema.FullyConnectedOptionsT(
                fusedActivationFunction=getattr(ACTIVATION, activation), keepNumDims=keep))

    def pair(self, kind, x, y, activation="NONE"):
        options = {"ADD": schema.AddOptionsT, "SUB": schema.SubOptionsT, "MUL": schema.MulOptionsT,
                   "DIV": schema.DivOptionsT, "MAXIMUM": schema.MaximumMinimumOptionsT,
                   "MINIMUM": schema.MaximumMinimumOptionsT}[kind]()
        if activation != "NONE":
            options.fusedActivationFunction = getattr(ACTIVATION, activation)
        return self.add(kind, [x, y], np.broadcast_shapes(
            *(tuple(self.shape(each)) for each in (x, y))), options)

    def single(self, kind, x, options=None):
        return self.add(kind, [x], self.shape(x), options)

    def reduce(self, kind, x, axes, keep=False):
        shape = [1 if axis in axes else size for axis, size in enumerate(self.shape(x))
                 if keep or axis not in axes]
        return self.add(kind, [x, self.constant(np.int32(axes))], shape,
                        schema.ReducerOptionsT(keepDims=keep))

    def concat(self, values, axis):
        shape = list(self.shape(values[0]))
        shape[axis] = sum(self.shape(each)[axis] for each in values)
        return self.add("CONCATENATION", values, shape, schema.ConcatenationOptionsT(axis=axis))

    def pad(self, x, *pads):
        shape = [low + size + high for size, (low, high) in zip(self.shape(x), pads)]
        return self.add("PAD", [x, self.constant(np.int32(pads))], shape)

    def reshape(self, x, *shape):
        return self.add("RESHAPE", [x, self.constant(np.int32(shape))], shape,
                        schema.ReshapeOptionsT(newShape=list(shape)))

    def transpose(self, x, *order):
        return self.add("TRANSPOSE", [x, self.constant(np.int32(order))],
                        [self.shape(x)[axis] for axis in order])

    def floats(self, *, half=False, **options):
        """Make the model in floating point; with `half`, of constants of 16 bits."""
        graph = FileMaker()
        numbers = {}
        for index, tensor in enumerate(self.tensors):
            name = f"t{index}"
            data = tensor.data
            if half and data is not None and tensor.role != "index":
                small = graph.tensor(f"{name}.half", tensor.shape, data.astype(np.float16))
                numbers[index] = graph.tensor(name, tensor.shape)
                graph.operator("DEQUANTIZE", [small], [numbers[index]])
            else:
                numbers[index] = graph.tensor(name, tensor.shape, data)
        for kind, inputs, output, settings in self.operators:
            graph.operator(kind, [numbers[each] for each in inputs], [numbers[output]], settings)
        return graph.pack([numbers[0]], [numbers[self.operators[-1][2]]], **options)

    def integers(self, x, kind=np.int8, *, reals=False, **options):
        """Make the model in integers, with scales from the numbers that inputs give.

        With `reals`, input and output are numbers, which the model rounds and scales itself.
        """
        scales = self._scales(x, kind)
        graph = FileMaker()
        producers = {output: inputs for _, inputs, output, _ in self.operators}
        readers = {each: inputs for inputs in producers.values() for each in inputs}
        for index, tensor in enumerate(self.tensors):
            data, scale, axis = tensor.data, scales.get(index), 0
            if tensor.role == "weight":
                axis = tensor.axis
                data, scale = _channels(data, axis) if kind == np.int8 else _whole(data, kind)
                scales[index] = scale
            elif tensor.role == "bias":
                operand, weights, _ = readers[index]
                factor = scales[operand][0] * scales[weights][0]
                data = np.rint(data / factor).astype(np.int32)
                scale = factor, np.zeros(np.shape(factor), int)
            elif tensor.role == "number":
                data = _rounded(data, scale, kind)
            graph.tensor(f"t{index}", tensor.shape, data, kind=TYPES[np.dtype(kind)] if
                         tensor.role == "activation" else None, scale=scale, axis=axis)
        ends = [0, self.operators[-1][2]]
        if reals:
            ends = [graph.tensor(name, self.shape(index)) for name, index in zip("xy", ends)]
            graph.operator("QUANTIZE", [ends[0]], [0])
        for kind_, inputs, output, settings in self.operators:
            graph.operator(kind_, inputs, [output], settings)
        if reals:
            graph.operator("DEQUANTIZE", [self.operators[-1][2]], [ends[1]])
        return graph.pack(ends[:1], ends[1:], **options)

    def _scales(self, x, kind):
        groups = {index: index for index in range(len(self.tensors))}
        for name, inputs, output, _ in self.operators:
            if name in SAME:
                for index in (*inputs, output):
                    if self.tensors[index].role in ("activation", "number"):
                        old, new = groups[index], groups[output]
                        groups = {each: new if group == old else group
                                  for each, group in groups.items()}
        found = {}
        values = interpret(self.floats(), x, every=True)
        for index, tensor in enumerate(self.tensors):
            if tensor.role in ("activation", "number"):
                array = values[f"t{index}"] if tensor.data is None else tensor.data
                least, most = found.get(groups[index], (0, 0))
                found[groups[index]] = min(least, array.min()), max(most, array.max())
        scales = {}
        for index, group in groups.items():
            if group in found:
                scales[index] = _scale(*found[group], kind)
        for name, _, output, _ in self.operators:
            if name in FIXED:
                scale, zero = FIXED[name]
                scales[output] = np.float32(scale), zero + np.iinfo(kind).min + 128
        return scales


def _channels(data, axis):
    """Round weights to integers of 8 bits with a scale for each output."""
    rest = tuple(each for each in range(data.ndim) if each != axis)
    scale = (np.abs(data).max(rest) / 127).astype(np.float32)
    sizes = [1] * data.ndim
    sizes[axis] = -1
    return (np.rint(data / scale.reshape(sizes)).astype(np.int8),
            (scale, np.zeros(len(scale), int)))


def _whole(data, kind):
    """Round weights to integers with one scale."""
    scale = _scale(data.min(), data.max(), kind)
    return _rounded(data, scale, kind), scale


def _scale(least, most, kind):
    """Choose the scale and the zero point for numbers of a range."""
    low, high = np.iinfo(kind).min, np.iinfo(kind).max
    scale = np.float32(max(most - least, 1e-3) / (high - low))
    return scale, int(np.clip(np.rint(low - least / scale), low, high))


def _rounded(data, scale, kind):
    limits = np.iinfo(kind)
    return np.clip(np.rint(data / scale[0]) + scale[1], limits.min, limits.max).astype(kind)
