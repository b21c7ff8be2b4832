"""Roots of sums of two squares in ONNX, such as the magnitudes of a spectrum."""

from collections.abc import Callable

import numpy as np

from ..graph.operations import (
    Add,
    Affine,
    Magnitude,
    Mean,
    Multiply,
    Reshape,
    Slice,
    Transpose,
)
from .common import FrontEndError
from .graph_builder import GraphBuilder
from .onnx_operations import CHOOSE
from .onnx_site import Site
from .onnx_values import Tensor, show_shape, without

__all__ = ["ROOTS"]


def _sqrt(site: Site) -> Tensor:
    """Handle Sqrt of the sum of two squares, which no longer need to be computed."""
    tensor, builder = site.tensor(), site.builder
    found = _before_reshape(builder, tensor.name)
    operands = _operands(site, found)
    if operands is None:
        remedy = "export the model without the constant that is added, such as an epsilon; or " \
            if _has_constant(site, found) else ""
        raise FrontEndError("operand must be the sum of two squares, x * x + y * y, of two tensors "
                            "or along an axis of two elements, with no other term, nor a constant: "
                            f"{remedy}end before it with last={site.node.input[0]!r}, or begin "
                            f"after it with first={site.node.output[0]!r}")
    name = builder.add(site.name, Magnitude(), *operands)
    return site.result(builder.reshape(site.name, name, tensor.sizes), tensor, tensor.batch)


def _before_reshape(builder: GraphBuilder, name: str) -> str:
    node = builder.node(name)
    return node.inputs[0] if node is not None and isinstance(node.computation, Reshape) else name


def _operands(site: Site, name: str) -> list[str] | None:
    """Find the tensors of whose squares another one is the sum."""
    return _added(site, name) or _reduced(site, name)


def _has_constant(site: Site, name: str) -> bool:
    """Check if a tensor is the sum of two squares and a constant."""
    node = site.builder.node(name)
    return node is not None and isinstance(node.computation, Affine) \
        and bool(np.equal(node.computation.scale, 1).all()) \
        and _operands(site, _before_reshape(site.builder, node.inputs[0])) is not None


def _squared(site: Site, name: str) -> str | None:
    """Find the tensor of which another one is the square; arrange it as that is."""
    builder = site.builder
    arrangements = []
    while (node := builder.node(name)) is not None \
            and isinstance(node.computation, (Reshape, Slice, Transpose)):
        arrangements.append(node.computation)
        name, = node.inputs
    if node is None or not isinstance(node.computation, Multiply) \
            or len(set(node.inputs)) > 1:
        return None
    name = node.inputs[0]
    for arrangement in reversed(arrangements):
        name = builder.add(f"{site.name}.part", arrangement, name)
    return name


def _added(site: Site, name: str) -> list[str] | None:
    """Find the tensors whose squares a sum adds."""
    node = site.builder.node(name)
    if node is None or not isinstance(node.computation, Add):
        return None
    found = [_squared(site, each) for each in node.inputs]
    operands = [each for each in found if each is not None]
    return operands if len(operands) == len(found) else None


def _reduced(site: Site, name: str) -> list[str] | None:
    """Find the two parts of an axis whose squares are added."""
    builder = site.builder
    doubled = builder.node(name)
    if doubled is None or not isinstance(doubled.computation, Affine) \
            or (doubled.computation.scale, doubled.computation.shift) != (2.0, 0.0):
        return None
    mean = builder.node(doubled.inputs[0])
    if mean is None or not isinstance(mean.computation, Mean) or len(mean.computation.axes) != 1:
        return None
    operand = _squared(site, mean.inputs[0])
    return _halves(site, operand, mean.computation.axes[0]) if operand else None


def _halves(site: Site, operand: str, axis: int) -> list[str]:
    return [site.builder.slice(f"{site.name}.part", operand, axis, place, place + 1)
            for place in range(2)]


def _reduce_l2(site: Site) -> Tensor:
    """Handle ReduceL2 along an axis of two elements."""
    tensor, axes = site.tensor(), site.integers(1, "axes") or []
    if len(axes) != 1 or tensor.shape[axis := tensor.place(axes[0])] != 2:
        raise FrontEndError(f"axes must be one of two elements, not {axes} of "
                            f"{show_shape(tensor.shape)}; {CHOOSE}")
    name = site.builder.add(site.name, Magnitude(),
                            *_halves(site, tensor.name, tensor.axis(axis)))
    result = site.result(name, tensor, tensor.batch)
    if site.options.get("keepdims", 1):
        return result
    batch = tensor.batch
    return site.reshape(result, without(result.shape, axis),
                        batch if batch is None or batch < axis else batch - 1)


#: Operations on one computed tensor.
ROOTS: dict[str, Callable[[Site], Tensor]] = {"ReduceL2": _reduce_l2, "Sqrt": _sqrt}
