"""Front end for ONNX models, or parts of them."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from ..model import Model
from .chain import Chain
from .common import FrontEndError, FrontEndWarning, at
from .geometry import Geometry
from .onnx_constants import BOOLS, FLOATS, INTEGERS, attributes, label, permute
from .onnx_data import load_data
from .onnx_graph import Graph
from .onnx_operations import CHOOSE, NEUTRAL, operation_of

__all__ = ["from_onnx", "read_onnx"]

_ARITHMETIC = {"Add": "+", "Sub": "-", "Mul": "*", "Div": "/"}


def read_onnx(path: str | Path, *, first: str | None = None, last: str | None = None,
              image: Sequence[int] | None = None) -> Model:
    """Read a model from a file, as :func:`from_onnx`."""
    try:
        model = onnx.load_model_from_string(Path(path).read_bytes())
    except DecodeError as error:
        raise FrontEndError(f"must be a valid model in ONNX: {error}") from error
    load_data(model, Path(path).parent)
    return from_onnx(model, first=first, last=last, image=image)


def from_onnx(model: "onnx.ModelProto", *, first: str | None = None, last: str | None = None,
              image: Sequence[int] | None = None) -> Model:
    """Read a model, or the part of it that computes tensor `last` from tensor `first`.

    Parameters
    ----------
    model : :class:`onnx.ModelProto`
        Model from any source; it is not trusted.
    first, last : :class:`str`, optional
        Names of tensors. None: the input and the output of the graph.
    image : (channels, height, width), optional
        Shape of the input of the first convolution, if the model leaves it open or runs with
        another one.

    Raises
    ------
    FrontEndError, ModelError
        If the model is invalid or has an unsupported operation; the message names the node and its
        tensors, or the layer.
    """
    graph = Graph(model)
    chain = Chain(image=image, choose=CHOOSE)
    path = graph.path(first, last, _STEPS)
    n = len(path)
    while n and operation_of(path[n - 1][0]) in NEUTRAL:
        n -= 1
    for number, (node, data) in enumerate(path):
        chain.is_complete = number >= n - 1
        with at(label(node)):
            _STEPS[operation_of(node)](chain, graph, node, data)
    result = chain.model()
    for note in result.notes:
        warnings.warn(note, FrontEndWarning, stacklevel=2)
    return result


def _pass(chain: Chain, graph: Graph, node: "onnx.NodeProto", data: str) -> None:
    """Ignore a node without effect in inference."""


def _dropout(chain: Chain, graph: Graph, node: "onnx.NodeProto", data: str) -> None:
    if len(node.input) > 2 and node.input[2] and graph.constants.array(node.input[2], BOOLS).any():
        _refuse_training()


def _refuse_training() -> NoReturn:
    raise FrontEndError("training_mode must be 0: export the model for inference")


def _cast(chain: Chain, graph: Graph, node: "onnx.NodeProto", data: str) -> None:
    if attributes(node)["to"] not in FLOATS:
        raise FrontEndError("must be a cast to floating-point numbers, to keep their values; "
                            f"{CHOOSE}")


def _relu(chain: Chain, graph: Graph, node: "onnx.NodeProto", data: str) -> None:
    chain.relu()


def _scaler(chain: Chain, graph: Graph, node: "onnx.NodeProto", data: str) -> None:
    options = attributes(node)
    chain.arithmetic("-", options.get("offset", [0.0]))
    chain.arithmetic("*", options.get("scale", [1.0]))


def _transpose(chain: Chain, graph: Graph, node: "onnx.NodeProto", data: str) -> None:
    order = attributes(node).get("perm")
    rank = len(graph.shape(data) or () if order is None else order)
    if not rank:
        raise FrontEndError(f"perm must be given, or the shape of {data!r} be known: "
                            "onnx.shape_inference.infer_shapes infers it if the shape of the input "
                            "is declared")
    chain.transpose(permute(tuple(range(rank)), order))


def _arithmetic(chain: Chain, graph: Graph, node: "onnx.NodeProto", data: str) -> None:
    constant_first = node.input[1] == data
    constant = graph.constants.array(node.input[0 if constant_first else 1])
    sizes = (reversed(graph.shape(name) or ()) for name in (data, node.output[0]))
    if any(None not in pair and pair[0] != pair[1] for pair in zip(*sizes)):
        raise FrontEndError(f"constant must not make the tensor larger, as one of shape "
                            f"{constant.shape} does: declare the full shape of the input")
    chain.arithmetic(_ARITHMETIC[node.op_type], constant, constant_first=constant_first)


def _gemm(chain: Chain, graph: Graph, node: "onnx.NodeProto", data: str) -> None:
    options = attributes(node)
    if data not in node.input[:2]:
        raise FrontEndError(f"one of the two factors must be the computed tensor; {CHOOSE}")
    place = list(node.input).index(data)
    if options.get(("transA", "transB")[place], 0):
        raise FrontEndError(f"computed factor {data!r} must not be transposed: transpose the "
                            f"constant, or {CHOOSE}")
    matrix = options.get("alpha", 1.0) * graph.constants.matrix(node.input[1 - place])
    if place == 0:
        chain.linear(_name(node, 1), matrix if options.get("transB", 0) else matrix.T)
    else:
        chain.linear(_name(node, 0), matrix.T if options.get("transA", 0) else matrix, axis=-2)
    if len(node.input) > 2 and node.input[2]:
        chain.affine(1, options.get("beta", 1.0) * graph.constants.array(node.input[2]))


def _matmul(chain: Chain, graph: Graph, node: "onnx.NodeProto", data: str) -> None:
    if node.input[0] == data:
        chain.linear(_name(node, 1), graph.constants.matrix(node.input[1]).T)
    else:
        # A vector of one dimension is multiplied as a column.
        axis = -1 if len(graph.shape(data) or ()) == 1 else -2
        chain.linear(_name(node, 0), graph.constants.matrix(node.input[0]), axis=axis)


def _linear_classifier(chain: Chain, graph: Graph, node: "onnx.NodeProto", data: str) -> None:
    options = attributes(node)
    labels = options.get("classlabels_ints") or options.get("classlabels_strings", ())
    _coefficients(chain, node, len(labels))
    _drop_function(chain, node)


def _linear_regressor(chain: Chain, graph: Graph, node: "onnx.NodeProto", data: str) -> None:
    _coefficients(chain, node, attributes(node).get("targets", 1))
    _drop_function(chain, node)


def _coefficients(chain: Chain, node: "onnx.NodeProto", n_rows: int) -> None:
    """Add the layer of a node that has its matrix in attributes."""
    options = attributes(node)
    weight = np.array(options.get("coefficients", ()), np.float64)
    bias = np.array(options.get("intercepts", [0.0] * n_rows), np.float64)
    # Of two classes and one row, runtimes make different scores.
    if n_rows < 1 or not len(weight) or len(weight) % n_rows or len(bias) != n_rows:
        raise FrontEndError(f"coefficients and intercepts must be those of {n_rows} results, one "
                            f"for each class or target, not {len(weight)} and {len(bias)} numbers")
    chain.linear(_name(node, 0), weight.reshape(n_rows, -1), bias)


def _svm_regressor(chain: Chain, graph: Graph, node: "onnx.NodeProto", data: str) -> None:
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
    chain.linear(_name(node, 0), weight[None], np.array(rho, np.float64))
    _drop_function(chain, node)


def _drop_function(chain: Chain, node: "onnx.NodeProto") -> None:
    """Leave out the function after a matrix, which keeps the order of the results."""
    function = attributes(node).get("post_transform", b"NONE").decode("utf-8", "replace")
    if function not in ("NONE", "SOFTMAX", "LOGISTIC"):
        raise FrontEndError(f"post_transform must be NONE, SOFTMAX or LOGISTIC, not {function}: "
                            "export the scores")
    if function != "NONE" and not chain.is_complete:
        raise FrontEndError(f"post_transform must be NONE between layers, not {function}")
    if function != "NONE":
        chain.note(f"the results are those before the {function} of the {node.op_type}, and have "
                   "the same order: compute it on the host where probabilities are needed")


def _conv(chain: Chain, graph: Graph, node: "onnx.NodeProto", data: str) -> None:
    options = attributes(node)
    weight = graph.constants.array(node.input[1])
    kernel = weight.shape[2:]
    if len(kernel) not in (1, 2) or not weight.size:
        raise FrontEndError(f"weight must have one or two dimensions after the channels, not "
                            f"shape {weight.shape}")
    n = len(kernel)
    padding = options.get("auto_pad", b"NOTSET").decode("utf-8", "replace")
    if padding == "NOTSET":
        padding = options.get("pads", (0,) * 2 * n)
    geometry = Geometry(kernel, options.get("strides", (1,) * n),
                        options.get("dilations", (1,) * n), padding, options.get("group", 1))
    bias = graph.constants.array(node.input[2]) if len(node.input) > 2 and node.input[2] else None
    without_batch = (graph.shape(data) or ())[1:]
    sizes = [size for size in without_batch if size is not None]
    image = [sizes[0], *[1] * (2 - n), *sizes[1:]] if len(sizes) == 1 + n else None
    chain.convolve(_name(node, 1), weight.reshape(len(weight), -1), geometry, bias, shape=image)


def _batch_normalization(chain: Chain, graph: Graph, node: "onnx.NodeProto", data: str) -> None:
    options = attributes(node)
    # Before opset 14, additional outputs indicated training.
    if options.get("training_mode", 0) or any(node.output[1:]):
        _refuse_training()
    shape = graph.shape(data)
    if shape is None:
        raise FrontEndError(f"shape of {data!r} must be known: onnx.shape_inference.infer_shapes "
                            "infers it if the shape of the input is declared")
    gamma, beta, mean, variance = (graph.constants.array(name) for name in node.input[1:5])
    chain.normalise(gamma, beta, mean, variance, options.get("epsilon", 1e-5),
                    n_dimensions=len(shape) - 2)


def _reshape(chain: Chain, graph: Graph, node: "onnx.NodeProto", data: str) -> None:
    """Handle Reshape, Flatten, Squeeze and Unsqueeze."""
    shape = graph.shape(node.output[0])
    last = shape[-1] if shape else None
    is_vector = chain.is_complete or _keeps_vectors(graph, node, chain.n_rows)
    if last is None and not is_vector:
        raise FrontEndError("shape of the result must be known: onnx.shape_inference.infer_shapes "
                            f"infers it if the shape of the input is declared; {CHOOSE}")
    chain.reshape(last)


def _keeps_vectors(graph: Graph, node: "onnx.NodeProto", n_rows: int | None) -> bool:
    """Check if a result of open shape is one vector per sample."""
    if n_rows is None:
        return True    # checked against the columns of the next layer
    if node.op_type == "Flatten":
        return attributes(node).get("axis", 1) == 1
    if node.op_type != "Reshape" or node.input[1] not in graph.constants:
        return False
    target = graph.constants.array(node.input[1], INTEGERS).tolist()
    return target[-1:] == [n_rows] or target in ([0, -1], [1, -1])


def _name(node: "onnx.NodeProto", weight: int) -> str:
    """Name of a layer: that of its weight if it ends with ``.weight``, else of the node."""
    name = str(node.input[weight])
    if name.endswith(".weight"):
        return name.removesuffix(".weight")
    return str(node.name)


_Step = Callable[[Chain, Graph, "onnx.NodeProto", str], None]

#: Supported operations.
_STEPS: dict[str, _Step] = {
    **dict.fromkeys(("Flatten", "Reshape", "Squeeze", "Unsqueeze"), _reshape),
    **dict.fromkeys(_ARITHMETIC, _arithmetic),
    "BatchNormalization": _batch_normalization,
    "Cast": _cast,
    "Conv": _conv,
    "Dropout": _dropout,
    "Gemm": _gemm,
    "Identity": _pass,
    "MatMul": _matmul,
    "Relu": _relu,
    "Transpose": _transpose,
    "ai.onnx.ml.LinearClassifier": _linear_classifier,
    "ai.onnx.ml.LinearRegressor": _linear_regressor,
    "ai.onnx.ml.SVMRegressor": _svm_regressor,
    "ai.onnx.ml.Scaler": _scaler,
}
