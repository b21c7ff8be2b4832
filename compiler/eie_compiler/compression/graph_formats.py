"""Formats of the tensors of a graph: equal where the graph demands it, and signs that are known."""

from collections.abc import Callable, Mapping

import numpy as np

from ..errors import CompressError
from ..graph.graph import Graph, Recurrence, Scan, Subgraph
from ..graph.operation import GraphError, Operation
from ..graph.operations import Concat, Quantise
from ..model import Model
from ..network import MAX_FRAC, CompressedNetwork
from .calibration import fit_frac

__all__ = ["choose_fracs", "find_groups", "find_nonnegative"]


def choose_fracs(graph: Graph, magnitudes: Mapping[str, float], act_width: int
                 ) -> Callable[[str], int]:
    """Choose the finest formats that hold all numbers seen, and that operations can compute.

    The result of an operation that keeps the format has that of its operand. The tensors inside a
    scan have those of the operands and of the result, and a state has that of its next value.

    A tensor that is quantised has the finest format for its whole range, whatever its zero point
    is, and so has a concatenation of such tensors. An input of which only the integers are read has
    no fraction bits: it is rounded once, where its words are made.

    Parameters
    ----------
    magnitudes : mapping of :class:`str` to :class:`float`
        Greatest magnitude of each input of the graph, and of the result of each node, by path.
    act_width : :class:`int`
        Width of an activation in bits.

    Returns
    -------
    function of path
        Fraction bits of an input or of the result of a node.

    Raises
    ------
    CompressError
        If an operation cannot compute its result in any format.
    """
    groups = _group(graph)
    greatest: dict[str, float] = {}
    for path, magnitude in {**magnitudes, **_find_spans(graph, groups)}.items():
        group = groups.find(path)
        greatest[group] = max(greatest.get(group, 0.0), magnitude)
    fracs = {group: fit_frac(magnitude, act_width) for group, magnitude in greatest.items()}
    fracs |= dict.fromkeys(map(groups.find, _find_integers(graph)), 0)
    while _coarsen(graph, "", groups, fracs):    # a coarser operand may demand a coarser result
        pass
    return lambda path: fracs[groups.find(path)]


def find_groups(graph: Graph) -> Callable[[str], str]:
    """Find the tensors that must have one format: function of a path to that of its group."""
    return _group(graph).find


def _group(graph: Graph) -> "_Groups":
    groups = _Groups()
    _join(groups, graph, "")
    return groups


class _Groups:
    """Groups of paths that are joined in any order."""

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}

    def find(self, path: str) -> str:
        """Find the path that represents the group."""
        while path in self._parents:
            path = self._parents[path]
        return path

    def join(self, one: str, other: str) -> None:
        one, other = self.find(one), self.find(other)
        if one != other:
            self._parents[one] = other


def _join(groups: _Groups, graph: Graph, prefix: str) -> None:
    """Join the tensors of a graph that must have one format."""
    for node in graph.nodes:
        path, operands = prefix + node.name, [prefix + name for name in node.inputs]
        computation = node.computation
        if isinstance(computation, Operation) and computation.keeps_format:
            groups.join(path, operands[0])
        elif isinstance(computation, Scan):
            body = computation.body
            for name, operand in zip(body.inputs, operands):
                groups.join(f"{path}/{name}", operand)
            for state, source in computation.states:
                groups.join(f"{path}/{state}", f"{path}/{source}")
            groups.join(path, f"{path}/{body.outputs[0]}")
            _join(groups, body, f"{path}/")


def _find_spans(graph: Graph, groups: "_Groups") -> dict[str, float]:
    """Find the spans of the integers of quantised tensors and of concatenations, by path."""
    found: dict[str, float] = {}
    of_groups: dict[str, float] = {}
    for path, node in graph.walk():
        prefix = path.removesuffix(node.name)
        operands = [of_groups.get(groups.find(prefix + name)) for name in node.inputs]
        spans = [span for span in operands if span is not None]
        if isinstance(node.computation, Quantise):
            found[path] = float(node.computation.high - node.computation.low)
        elif isinstance(node.computation, Concat) and len(spans) == len(operands):
            found[path] = max(spans)
        if path in found:
            group = groups.find(path)
            of_groups[group] = max(found[path], of_groups.get(group, 0.0))
    return found


def _find_integers(graph: Graph) -> list[str]:
    """Find the inputs that are read only to be rounded to integers."""
    readers: dict[str, list[object]] = {name: [] for name in graph.inputs}
    for node in graph.nodes:
        for name in node.inputs:
            readers.get(name, []).append(node.computation)
    return [name for name, found in readers.items() if found and all(
        isinstance(one, Quantise) and np.all(np.equal(one.scale, 1)) for one in found)]


def _coarsen(graph: Graph, prefix: str, groups: _Groups, fracs: dict[str, int]) -> bool:
    """Take fraction bits from results that operations cannot compute; return true if any lost some.
    """
    changed = False
    for node in graph.nodes:
        computation, path = node.computation, prefix + node.name
        if isinstance(computation, Scan):
            changed |= _coarsen(computation.body, f"{path}/", groups, fracs)
        elif isinstance(computation, Operation) and not computation.keeps_format:
            operands = [fracs[groups.find(prefix + name)] for name in node.inputs]
            empty = [np.zeros((0, *graph.shapes[name]), np.int64) for name in node.inputs]
            group, first = groups.find(path), None
            while True:
                try:
                    computation.words(*empty, fracs=operands, frac=fracs[group])
                    break
                except GraphError as error:
                    first = first or error    # of the finest format, which says what is needed
                    if fracs[group] == -MAX_FRAC:
                        raise CompressError(f"node {path!r}: {first}") from error
                    fracs[group] -= 1
                    changed = True
    return changed


def find_nonnegative(graph: Graph, inputs: Mapping[str, bool] | None = None, prefix: str = ""
                     ) -> dict[str, bool]:
    """Find the tensors of a model that are never negative, whatever its inputs are.

    Parameters
    ----------
    inputs : mapping of :class:`str` to :class:`bool`, optional
        True for each input that is never negative. None: none is known to be so.
    prefix : :class:`str`
        Path of the graph.

    Returns
    -------
    :class:`dict` of :class:`str` to :class:`bool`
        True for inputs and results of nodes that never are, by path.
    """
    inputs = inputs or dict.fromkeys(graph.inputs, False)
    found = {prefix + name: inputs[name] for name in graph.inputs}
    for node in graph.nodes:
        computation, path = node.computation, prefix + node.name
        operands = [found[prefix + name] for name in node.inputs]
        if isinstance(computation, (Model, CompressedNetwork)):
            found[path] = computation.layers[-1].relu
        elif isinstance(computation, Operation):
            found[path] = computation.is_nonnegative(*operands)
        elif isinstance(computation, (Recurrence, Subgraph)):
            raise GraphError(f"node {path!r}: subgraphs and recurrences must be of a build, not of "
                             "a model")
        else:
            found |= _find_in_scan(computation, operands, path)
            found[path] = found[f"{path}/{computation.body.outputs[0]}"]
    return found


def _find_in_scan(scan: Scan, operands: list[bool], path: str) -> dict[str, bool]:
    """Find the same in the body of a scan: a state is nonnegative only in all steps."""
    element, *states = scan.body.inputs
    known = dict(zip(states, operands[1:] or [True] * len(states)))    # zeros otherwise
    while True:
        found = find_nonnegative(scan.body, {element: operands[0], **known}, f"{path}/")
        lasting = {state: known[state] and found[f"{path}/{source}"]
                   for state, source in scan.states}
        if lasting == known:
            return found
        known = lasting
