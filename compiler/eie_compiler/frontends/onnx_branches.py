"""Branches (If) of ONNX graphs whose conditions are constant, such as those of shapes."""

from collections.abc import Iterable, Sequence

import onnx

from .common import FrontEndError, at
from .onnx_batch import batch_axes
from .onnx_constants import STANDARD, label
from .onnx_folding import FOLDED
from .onnx_graph import Graph
from .onnx_network import SUPPORTED, Reader
from .onnx_operations import operation_of

__all__ = ["has_branches", "take_branches"]

#: Most nodes of a graph with all its branches; a small file can nest them.
_MAX_NODES = 1 << 16

#: Operations that can be read.
_KNOWN = SUPPORTED | FOLDED

#: Branches that a note names.
_MAX_NAMED = 3


def has_branches(model: "onnx.ModelProto") -> bool:
    """Check if a graph has branches."""
    return any(map(_is_branch, model.graph.node))


def take_branches(model: "onnx.ModelProto", first: str | None, last: str | None,
                  image: Sequence[int] | None) -> tuple[Graph, list[str]]:
    """Replace each If whose condition is constant by the nodes of its branch.

    Parameters
    ----------
    model : :class:`onnx.ModelProto`
        Model from any source; it is not trusted.
    first, last, image
        As of :func:`~.onnx.from_onnx`.

    Returns
    -------
    graph : :class:`~.onnx_graph.Graph`
        Graph without these branches; others remain.
    notes : list of :class:`str`
        Which branches were taken.

    Raises
    ------
    FrontEndError
        If a condition is not constant because of a node that cannot be read, or an input.
    """
    graph = Graph(model)
    starts = [value.name for value in model.graph.input if value.name not in graph.constants]
    reader = Reader(graph, list(model.graph.node), starts, [], image, True)
    #: Tensor that is not known -> error of what would compute it, if there is one.
    unknown: dict[str, FrontEndError | None] = {}
    for name, axis in batch_axes(graph, list(model.graph.node), starts).items():
        try:
            reader.add_input(name, axis)
        except FrontEndError as error:
            unknown[name] = error
    taken: dict[str, str] = {}
    names = _Names(model.graph)
    waiting = list(model.graph.node)[::-1]
    nodes: list[onnx.NodeProto] = []
    while waiting:
        node = waiting.pop()
        if _is_branch(node) and (condition := _condition(reader, node)) is not None:
            branch = "then" if condition else "else"
            taken[label(node).partition(" (")[0]] = branch
            inlined = names.inline(node, f"{branch}_branch")
            graph.constants.add(inlined)
            waiting += inlined[::-1]
            if len(waiting) + len(nodes) > _MAX_NODES:
                raise FrontEndError(f"branches must have at most {_MAX_NODES} nodes in all")
            continue
        nodes.append(node)
        if node.output[0] in graph.constants:
            continue
        causes = [unknown[name] for name in node.input if name in unknown]
        if not causes and operation_of(node) in _KNOWN:
            try:
                with at(label(node)):
                    reader.read(node)
                continue
            except FrontEndError as error:
                causes = [error]
        unknown |= dict.fromkeys(node.output, next(filter(None, causes), None))
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    without_branches = Graph(result)
    for node in without_branches.part(first, last)[0]:
        if _is_branch(node) and (cause := unknown[node.output[0]]):
            raise FrontEndError(f"{label(node)}: condition must be constant: fix the input or size "
                                "on which it depends with fix=NAME=VALUE; it is not known because "
                                f"of {cause}")
    return without_branches, [_note(taken)] if taken else []


def _is_branch(node: "onnx.NodeProto") -> bool:
    return node.op_type == "If" and node.domain in STANDARD


def _condition(reader: Reader, node: "onnx.NodeProto") -> bool | None:
    """Get a condition if it is constant."""
    try:
        value = reader.constant(node.input[0])
    except FrontEndError:
        return None
    return bool(value.item()) if value is not None and value.size == 1 else None


def _note(taken: dict[str, str]) -> str:
    named = ", ".join(f"{name}: {branch}" for name, branch in list(taken.items())[:_MAX_NAMED])
    more = f" and {len(taken) - _MAX_NAMED} more" if len(taken) > _MAX_NAMED else ""
    return f"one branch is read where the condition is constant ({named}{more})"


class _Names:
    """Names of the tensors of a graph, which those of inlined branches must not take."""

    def __init__(self, graph: "onnx.GraphProto") -> None:
        self._taken = {value.name for values in (graph.input, graph.initializer)
                       for value in values} | {name for node in graph.node for name in node.output}
        #: Name -> number of the last that was made of it.
        self._counts: dict[str, int] = {}

    def inline(self, node: "onnx.NodeProto", branch: str) -> list["onnx.NodeProto"]:
        """Return the nodes of a branch, with its results as those of the If."""
        graph = onnx.GraphProto()
        graph.CopyFrom(next(each.g for each in node.attribute if each.name == branch))
        made = [name for each in graph.node for name in each.output if name] \
            + [each.name for each in graph.initializer]
        renamed = {}
        for name in made:
            new = name
            while new in self._taken:    # a counter, so that names stay short
                self._counts[name] = self._counts.get(name, 0) + 1
                new = f"{name}_{self._counts[name]}"
            self._taken.add(new)
            if new != name:
                renamed[name] = new
        _rename([graph], renamed)
        constants = [onnx.helper.make_node("Constant", [], [each.name], value=each)
                     for each in graph.initializer]
        results = [onnx.helper.make_node("Identity", [inner.name], [outer])
                   for inner, outer in zip(graph.output, node.output) if outer]
        return [*constants, *graph.node, *results]


def _rename(graphs: Iterable["onnx.GraphProto"], names: dict[str, str]) -> None:
    """Rename tensors in graphs, and in those within them."""
    if not names:
        return
    for graph in graphs:
        for each in (*graph.initializer, *graph.output):
            each.name = names.get(each.name, each.name)
        for node in graph.node:
            for fields in (node.input, node.output):
                fields[:] = [names.get(name, name) for name in fields]
            _rename([attribute.g for attribute in node.attribute
                     if attribute.HasField("g")], names)
