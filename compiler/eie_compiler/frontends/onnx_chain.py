"""Chains of operations in ONNX graphs: one computed tensor after another."""

from collections.abc import Callable, Sequence

import onnx

from ..model import Model
from .chain import Chain
from .common import FrontEndError, at
from .onnx_constants import INTEGERS, attributes, label, permute
from .onnx_graph import Graph
from .onnx_operations import CHOOSE, NEUTRAL, operation_of
from .onnx_steps import STEPS

__all__ = ["read_chain"]


def read_chain(graph: Graph, first: str | None, last: str | None, image: Sequence[int] | None
               ) -> Model:
    """Read a chain of operations, as :func:`~.onnx.from_onnx`.

    Raises
    ------
    FrontEndError, ModelError, PatchError
        If the graph is not a chain, or one of its operations cannot follow the others.
    """
    chain = Chain(image=image, choose=CHOOSE)
    path = graph.path(first, last, _STEPS)
    n = len(path)
    while n and operation_of(path[n - 1][0]) in NEUTRAL:
        n -= 1
    for number, (node, data) in enumerate(path):
        chain.is_complete = number >= n - 1
        with at(label(node)):
            _STEPS[operation_of(node)](chain, graph, node, data)
    return chain.model()


def _transpose(chain: Chain, graph: Graph, node: "onnx.NodeProto", data: str) -> None:
    order = attributes(node).get("perm")
    rank = len(graph.shape(data) or () if order is None else order)
    if not rank:
        raise FrontEndError(f"perm must be given, or the shape of {data!r} be known: "
                            "onnx.shape_inference.infer_shapes infers it if the shape of the input "
                            "is declared")
    chain.transpose(permute(tuple(range(rank)), order))


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


#: Operations of a chain.
_STEPS: dict[str, Callable[..., None]] = {
    **STEPS,
    **dict.fromkeys(("Flatten", "Reshape", "Squeeze", "Unsqueeze"), _reshape),
    "Transpose": _transpose,
}
