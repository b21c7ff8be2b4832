"""Graphs of PyTorch modules: the operations from the input to the output."""

import contextlib
import operator
from collections.abc import Iterator, Sequence

from torch import fx, nn

from .common import FrontEndError

__all__ = ["ARITHMETIC", "CHOOSE", "check_unused", "find_path", "inference", "label", "trace"]

ARITHMETIC = {operator.add: "+", operator.sub: "-", operator.mul: "*", operator.truediv: "/"}

#: Advice in messages: how to choose a part of the model.
CHOOSE = ("pass a part of the module, such as module.classifier, or example inputs, (x,), with "
          "which the whole is read as a graph")


@contextlib.contextmanager
def inference(module: "nn.Module") -> Iterator[None]:
    """Put a module into inference mode, and restore its mode afterwards."""
    training = {part: part.training for part in module.modules()}
    for part in training:
        part.training = False
    try:
        yield
    finally:
        for part, flag in training.items():
            part.training = flag


def trace(module: "nn.Module") -> list["fx.Node"]:
    """Trace a module; return its nodes in order of computation, the output last.

    Raises
    ------
    FrontEndError
        If :mod:`torch.fx` cannot trace the module.
    """
    try:
        return list(fx.symbolic_trace(module).graph.nodes)
    except Exception as error:    # the code of the module can raise any exception
        raise FrontEndError(f"module must be one that torch.fx can trace: {error}; "
                            f"{CHOOSE}") from error


def find_path(nodes: Sequence["fx.Node"]) -> list["fx.Node"]:
    """Find the nodes between the input and the output, each computed from its predecessor.

    Raises
    ------
    FrontEndError
        If a node has several computed inputs, or none.
    """
    found = [nodes[-1]]
    while found[-1].op != "placeholder":
        inputs: list[fx.Node] = []
        fx.node.map_arg((found[-1].args, found[-1].kwargs), inputs.append)
        inputs = [node for node in inputs if node.op != "get_attr" and not _is_size(node)]
        if len(inputs) != 1:
            raise FrontEndError(f"{label(found[-1])}: must be computed from one input and "
                                f"constants; {CHOOSE}")
        found += inputs
    return found[-2:0:-1]


def check_unused(nodes: Sequence["fx.Node"], path: Sequence["fx.Node"]) -> None:
    """Check that only sizes are computed outside the path.

    Raises
    ------
    FrontEndError
        If a node is: it may modify tensors of the path in place.
    """
    known = set(path)
    for node in nodes:
        if node.op.startswith("call") and node not in known and not _is_size(node):
            raise FrontEndError(f"{label(node)}: result must be used later, not discarded, and "
                                f"the input not be modified in place; {CHOOSE}")


def label(node: "fx.Node") -> str:
    """Describe a node in messages."""
    if node.op == "output":
        return "output"
    if node.op == "call_module":
        return f"module {str(node.target).removeprefix('0.')!r}"
    return f"function {getattr(node.target, '__name__', node.target)}"


def _is_size(node: "fx.Node") -> bool:
    """Check if a node computes sizes of a tensor rather than its elements."""
    if node.target in (operator.getitem, *ARITHMETIC):
        return all(map(_is_size, node.all_input_nodes))
    return node.target == "size" or node.target is getattr and node.args[1] == "shape"
