"""Operations of ONNX that compute with constants alone, each read once for chains and graphs."""

from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Protocol

import numpy as np
import onnx
from numpy.typing import NDArray

from .assembly import Assembly
from .common import FrontEndError
from .geometry import Geometry
from .onnx_constants import BOOLS, FLOATS, attributes, module_of
from .onnx_operations import CHOOSE

__all__ = ["ARITHMETIC", "STEPS", "Source", "Step", "geometry_of"]

ARITHMETIC = {"Add": "+", "Sub": "-", "Mul": "*", "Div": "/"}


class _Constants(Protocol):
    """Constants by name, as :class:`~.onnx_constants.Constants`."""

    def __contains__(self, name: object) -> bool: ...

    def array(self, name: str, types: tuple[int, ...] = FLOATS) -> NDArray[np.float64]: ...

    def matrix(self, name: str) -> Any: ...


class Source(Protocol):
    """Shapes and constants of tensors, as of :class:`~.onnx_graph.Graph`."""

    @property
    def constants(self) -> _Constants: ...

    def shape(self, name: str) -> Sequence[int | None] | None: ...


def _pass(model: Assembly, source: Source, node: "onnx.NodeProto", data: str) -> None:
    """Ignore a node without effect in inference."""


def _dropout(model: Assembly, source: Source, node: "onnx.NodeProto", data: str) -> None:
    if len(node.input) > 2 and node.input[2] and source.constants.array(node.input[2], BOOLS).any():
        _refuse_training()


def _refuse_training() -> NoReturn:
    raise FrontEndError("training_mode must be 0: export the model for inference")


def _cast(model: Assembly, source: Source, node: "onnx.NodeProto", data: str) -> None:
    if attributes(node)["to"] not in FLOATS:
        raise FrontEndError("must be a cast to floating-point numbers, to keep their values; "
                            f"{CHOOSE}")


def _relu(model: Assembly, source: Source, node: "onnx.NodeProto", data: str) -> None:
    model.relu()


def _scaler(model: Assembly, source: Source, node: "onnx.NodeProto", data: str) -> None:
    options = attributes(node)
    model.arithmetic("-", options.get("offset", [0.0]))
    model.arithmetic("*", options.get("scale", [1.0]))


def _arithmetic(model: Assembly, source: Source, node: "onnx.NodeProto", data: str) -> None:
    constant_first = node.input[1] == data
    constant = source.constants.array(node.input[0 if constant_first else 1])
    sizes = (reversed(source.shape(name) or ()) for name in (data, node.output[0]))
    if any(None not in pair and pair[0] != pair[1] for pair in zip(*sizes)):
        raise FrontEndError(f"constant of a chain must not make the tensor larger, as one of shape "
                            f"{constant.shape} does")
    model.arithmetic(ARITHMETIC[node.op_type], constant, constant_first=constant_first)


def _gemm(model: Assembly, source: Source, node: "onnx.NodeProto", data: str) -> None:
    options = attributes(node)
    if data not in node.input[:2]:
        raise FrontEndError(f"one of the two factors must be the computed tensor; {CHOOSE}")
    place = list(node.input).index(data)
    if options.get(("transA", "transB")[place], 0):
        raise FrontEndError(f"computed factor {data!r} must not be transposed: transpose the "
                            f"constant, or {CHOOSE}")
    matrix = options.get("alpha", 1.0) * source.constants.matrix(node.input[1 - place])
    if place == 0:
        model.linear(_name(node, 1), matrix if options.get("transB", 0) else matrix.T)
    else:
        model.linear(_name(node, 0), matrix.T if options.get("transA", 0) else matrix, axis=-2)
    if len(node.input) > 2 and node.input[2]:
        model.affine(1, options.get("beta", 1.0) * source.constants.array(node.input[2]))


def _matmul(model: Assembly, source: Source, node: "onnx.NodeProto", data: str) -> None:
    if node.input[0] == data:
        model.linear(_name(node, 1), source.constants.matrix(node.input[1]).T)
    else:
        # A vector of one dimension is multiplied as a column.
        axis = -1 if len(source.shape(data) or ()) == 1 else -2
        model.linear(_name(node, 0), source.constants.matrix(node.input[0]), axis=axis)


def _linear_classifier(model: Assembly, source: Source, node: "onnx.NodeProto", data: str) -> None:
    options = attributes(node)
    labels = options.get("classlabels_ints") or options.get("classlabels_strings", ())
    _coefficients(model, node, len(labels))
    _drop_function(model, node)


def _linear_regressor(model: Assembly, source: Source, node: "onnx.NodeProto", data: str) -> None:
    _coefficients(model, node, attributes(node).get("targets", 1))
    _drop_function(model, node)


def _coefficients(model: Assembly, node: "onnx.NodeProto", n_rows: int) -> None:
    """Add the layer of a node that has its matrix in attributes."""
    options = attributes(node)
    weight = np.array(options.get("coefficients", ()), np.float64)
    bias = np.array(options.get("intercepts", [0.0] * n_rows), np.float64)
    # Of two classes and one row, runtimes make different scores.
    if n_rows < 1 or not len(weight) or len(weight) % n_rows or len(bias) != n_rows:
        raise FrontEndError(f"coefficients and intercepts must be those of {n_rows} results, one "
                            f"for each class or target, not {len(weight)} and {len(bias)} numbers")
    model.linear(_name(node, 0), weight.reshape(n_rows, -1), bias)


def _svm_regressor(model: Assembly, source: Source, node: "onnx.NodeProto", data: str) -> None:
    options = attributes(node)
    kernel = options.get("kernel_type", b"LINEAR").decode("utf-8", "replace")
    if kernel != "LINEAR" or options.get("one_class", 0):
        raise FrontEndError(f"must be a regression with kernel LINEAR, not kernel {kernel} and "
                            f"one_class {options.get('one_class', 0)}: fit LinearSVR, or a "
                            "perceptron")
    weight = np.array(options.get("coefficients", ()), np.float64)
    vectors = np.array(options.get("support_vectors", ()), np.float64)
    n_supports = options.get("n_supports", 0)
    rho = options.get("rho", [0.0])
    if n_supports:
        if len(weight) != n_supports or not len(vectors) or len(vectors) % n_supports:
            raise FrontEndError(f"coefficients and support vectors must be {n_supports}, not "
                                f"{len(weight)} and {len(vectors)} numbers")
        weight = weight @ vectors.reshape(n_supports, -1)
    if not len(weight) or len(rho) != 1:
        raise FrontEndError(f"coefficients must be present, and rho be one number, not {len(rho)}")
    model.linear(_name(node, 0), weight[None], np.array(rho, np.float64))
    _drop_function(model, node)


def _drop_function(model: Assembly, node: "onnx.NodeProto") -> None:
    """Leave out the function after a matrix, which keeps the order of the results."""
    function = attributes(node).get("post_transform", b"NONE").decode("utf-8", "replace")
    if function not in ("NONE", "SOFTMAX", "LOGISTIC"):
        raise FrontEndError(f"post_transform must be NONE, SOFTMAX or LOGISTIC, not {function}: "
                            "export the scores")
    if function != "NONE" and not model.is_complete:
        raise FrontEndError(f"post_transform must be NONE between layers, not {function}")
    if function != "NONE":
        model.note(f"the results are those before the {function} of the {node.op_type}, and have "
                   "the same order: compute it on the host where probabilities are needed")


def geometry_of(node: "onnx.NodeProto", kernel: Sequence[int]) -> Geometry:
    """Get the geometry of a convolution or pooling from its attributes."""
    n, options = len(kernel), attributes(node)
    padding = options.get("auto_pad", b"NOTSET").decode("utf-8", "replace")
    if padding == "NOTSET":
        padding = options.get("pads", (0,) * 2 * n)
    return Geometry(kernel, options.get("strides", (1,) * n),
                    options.get("dilations", (1,) * n), padding, options.get("group", 1))


def _conv(model: Assembly, source: Source, node: "onnx.NodeProto", data: str) -> None:
    weight = source.constants.array(node.input[1])
    kernel = weight.shape[2:]
    if len(kernel) not in (1, 2) or not weight.size:
        raise FrontEndError(f"weight must have one or two dimensions after the channels, not "
                            f"shape {weight.shape}")
    n = len(kernel)
    geometry = geometry_of(node, kernel)
    bias = source.constants.array(node.input[2]) if len(node.input) > 2 and node.input[2] else None
    without_batch = (source.shape(data) or ())[1:]
    sizes = [size for size in without_batch if size is not None]
    image = [sizes[0], *[1] * (2 - n), *sizes[1:]] if len(sizes) == 1 + n else None
    model.convolve(_name(node, 1), weight.reshape(len(weight), -1), geometry, bias, shape=image)


def _batch_normalization(model: Assembly, source: Source, node: "onnx.NodeProto", data: str
                         ) -> None:
    options = attributes(node)
    # Before opset 14, additional outputs indicated training.
    if options.get("training_mode", 0) or any(node.output[1:]):
        _refuse_training()
    shape = source.shape(data)
    if shape is None:
        raise FrontEndError(f"shape of {data!r} must be known: onnx.shape_inference.infer_shapes "
                            "infers it if the shape of the input is declared")
    gamma, beta, mean, variance = (source.constants.array(name) for name in node.input[1:5])
    model.normalise(gamma, beta, mean, variance, options.get("epsilon", 1e-5),
                    n_dimensions=len(shape) - 2)


def _name(node: "onnx.NodeProto", weight: int) -> str:
    """Name of a layer: that of its weight if it ends with ``.weight``, else of its module."""
    name = str(node.input[weight])
    if name.endswith(".weight"):
        return name.removesuffix(".weight")
    return module_of(node)


Step = Callable[[Assembly, Source, "onnx.NodeProto", str], None]

#: Operations of one computed tensor and constants, and those without effect.
STEPS: dict[str, Step] = {
    **dict.fromkeys(ARITHMETIC, _arithmetic),
    "BatchNormalization": _batch_normalization,
    "Cast": _cast,
    "Conv": _conv,
    "Dropout": _dropout,
    "Gemm": _gemm,
    "Identity": _pass,
    "MatMul": _matmul,
    "Relu": _relu,
    "ai.onnx.ml.LinearClassifier": _linear_classifier,
    "ai.onnx.ml.LinearRegressor": _linear_regressor,
    "ai.onnx.ml.SVMRegressor": _svm_regressor,
    "ai.onnx.ml.Scaler": _scaler,
}
