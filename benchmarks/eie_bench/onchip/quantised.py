"""Integer models in ONNX that are one program of the machine each."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from eie_compiler.compression.graph import compress_graph
from eie_compiler.frontends.onnx import from_onnx
from eie_compiler.graph.graph import Graph
from eie_compiler.graph.operations import Quantise
from eie_hdl.config import EIEConfig

from .cases import MACHINE, SMALL, Case, Engine, Floats, make_case

__all__ = ["QUANTISED", "SMALL_QUANTISED", "make_quantised", "make_small_quantised"]

#: Machines of the models, whose weights are of 8 bits.
QUANTISED, SMALL_QUANTISED = (dataclasses.replace(machine, v_width=8, n_codebooks=16,
                                                  act_depth=1024, scales=True)
                              for machine in (MACHINE, SMALL))

#: Samples that formats are chosen for.
_N_SAMPLES = 20

#: Zero points: of an input, which is that of the padding; of a ReLU; of other tensors.
_INPUT_ZERO, _RELU, _SIGNED = 94, -128, 11


def make_quantised(seed: int) -> list[Case]:
    """Make the case of a network of the blocks of DS-CNN_S, of 8 bits with a scale per channel."""
    rng = np.random.default_rng(seed)
    model = _Model(rng, (1, 49, 10))
    model.convolve(64, (10, 4), stride=2, pads=(4, 1, 5, 1))
    for _ in range(2):
        model.convolve(64, (3, 3), pads=(1, 1, 1, 1), groups=64)
        model.convolve(64, (1, 1))
    model.pool("GlobalAveragePool")
    model.connect(12)
    return [_make_case("integers", "DS-CNN of 8 bits", model, QUANTISED, 8)]


def make_small_quantised(seed: int, engine: Engine) -> list[Case]:
    """Make the cases of small networks with a residual connection, pools, and layers alone."""
    rng = np.random.default_rng(seed)
    residual = _Model(rng, (3, 7, 6))
    residual.convolve(10, (3, 3), pads=(1, 1, 1, 1))
    branch = residual.tensor
    residual.convolve(10, (3, 3), pads=(1, 1, 1, 1), groups=10)
    residual.convolve(10, (1, 1), zero=_SIGNED)
    residual.add(branch)
    residual.pool("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    residual.connect(5)
    layers = _Model(rng, (37,))
    for n_rows in (29, 70, 6):
        layers.connect(n_rows)
    return [_make_case("small integers", name, model, SMALL_QUANTISED, 3, engine)
            for name, model in (("residual", residual), ("layers", layers))]


def _make_case(part: str, name: str, model: "_Model", config: EIEConfig, n_images: int,
               engine: Engine = "verilator") -> Case:
    """Compress a model for the integers of its input, without what is before and after them."""
    rng, whole = model.rng, from_onnx(model.finish())
    assert isinstance(whole, Graph)
    low, high = -128 - _INPUT_ZERO, 127 - _INPUT_ZERO
    images = rng.integers(low, high + 1, (_N_SAMPLES, *model.shape)).astype(np.float64)
    images[0] = 0
    images[1] = rng.choice([low, 0, high], images[1].shape)
    graph = compress_graph(whole, {"x": images * model.input_scale}, v_width=config.v_width,
                           act_width=config.act_width, codebook_width=config.codebook_width)
    return make_case(part, name, _without_ends(graph), images[:n_images], config, engine)


def _without_ends(graph: Graph) -> Graph:
    """Leave out the quantisation of the input, and the scale of the output."""
    first, *nodes, last = graph.nodes
    assert isinstance(first.computation, Quantise)
    names = {first.name, *(node.name for node in nodes)}
    return Graph({first.name: graph.shapes[first.name]}, tuple(nodes), (last.inputs[0],),
                 {name: frac for name, frac in (graph.fracs or {}).items() if name in names})


class _Model:
    """ONNX model with quantised weights and tensors, layer after layer.

    Attributes
    ----------
    shape : :class:`tuple` of :class:`int`
        Shape of the input.
    input_scale : :class:`float`
        Scale of its integers.
    tensor : :class:`str`
        Tensor that the next layer reads.
    """

    def __init__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> None:
        self.rng, self.shape, self.input_scale, self.tensor = rng, shape, 1 / 64, "x"
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._n_channels = shape[0]
        self._power = (256 / 64) ** 2 / 3    # mean square of an element
        self._quantise(self.input_scale, _INPUT_ZERO)

    def convolve(self, n_rows: int, kernel: tuple[int, int], *, stride: int = 1,
                 pads: Sequence[int] = (0, 0, 0, 0), groups: int = 1, zero: int = _RELU) -> None:
        """Add a convolution."""
        shape = n_rows, self._n_channels // groups, *kernel
        self._add_layer("Conv", shape, zero, strides=[stride, stride], pads=list(pads),
                        group=groups)

    def connect(self, n_rows: int) -> None:
        """Add a fully connected layer."""
        self._add("Flatten", [self.tensor])
        self._add_layer("Gemm", (n_rows, self._n_features()), _SIGNED, transB=1)

    def add(self, branch: str) -> None:
        """Add an earlier tensor."""
        self._add("Add", [self.tensor, branch])
        self._power *= 2
        self._requantise(_SIGNED)

    def pool(self, operation: str, **options: Any) -> None:
        """Add a pool."""
        self._add(operation, [self.tensor], **options)
        if operation == "GlobalAveragePool":
            self._requantise(_RELU)

    def finish(self) -> onnx.ModelProto:
        """Return the model."""
        graph = helper.make_graph(
            self._nodes, "model",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *self.shape])],
            [helper.make_tensor_value_info(self.tensor, TensorProto.FLOAT, None)],
            self._constants)
        return onnx.shape_inference.infer_shapes(helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))

    def _n_features(self) -> int:
        """Elements of the tensor, by the shapes that ONNX infers."""
        (output,) = self.finish().graph.output
        return math.prod(size.dim_value for size in output.type.tensor_type.shape.dim[1:])

    def _add_layer(self, operation: str, shape: tuple[int, ...], zero: int, **options: Any) -> None:
        n_inputs = math.prod(shape[1:])
        weights = self.rng.integers(-127, 128, shape).astype(np.int8)
        weights[self.rng.random(shape) < 0.3] = 0
        scales = np.exp(self.rng.uniform(-1, 0.5, shape[0])) / (70 * n_inputs ** 0.5)
        biases = self.rng.integers(-2000, 2000, shape[0]).astype(np.int32)
        names = [self._dequantise(weights, scales),
                 self._dequantise(biases, scales * self._scale)]
        self._add(operation, [self.tensor, *names], **options)
        self._n_channels = shape[0]
        self._requantise(zero)

    def _requantise(self, zero: int) -> None:
        """Quantise a tensor, of which about the extreme numbers saturate."""
        spread = self._power ** 0.5
        self._quantise(spread * (3 if zero == _RELU else 6) / 255, zero)
        self._power *= 0.5 if zero == _RELU else 1

    def _quantise(self, scale: float, zero: int) -> None:
        self._scale = scale
        constants = [self._constant(np.float32(scale)), self._constant(np.int8(zero))]
        self._add("QuantizeLinear", [self.tensor, *constants])
        self._add("DequantizeLinear", [self.tensor, *constants])

    def _dequantise(self, integers: Any, scales: Floats) -> str:
        constants = [self._constant(integers), self._constant(scales.astype(np.float32))]
        before, name = self.tensor, self._add("DequantizeLinear", constants, axis=0)
        self.tensor = before
        return name

    def _constant(self, value: Any) -> str:
        name = f"constant{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def _add(self, operation: str, inputs: Sequence[str], **options: Any) -> str:
        self.tensor = f"{operation.lower()}{len(self._nodes)}"
        self._nodes.append(helper.make_node(operation, list(inputs), [self.tensor], **options))
        return self.tensor
