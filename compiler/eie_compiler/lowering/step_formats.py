"""Formats of the functions and factors of a step, as a machine has them."""

import dataclasses
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import EIEConfig
from eie_hdl.numeric import limits

from ..graph.graph import Graph, Node, Recurrence, Scan
from ..graph.operations.activation import Clip, Sigmoid, Tanh
from ..graph.operations.arithmetic import MULTIPLIER_BITS
from ..graph.operations.elementwise import Affine

__all__ = ["Factors", "describe_formats", "find_factors", "fit_formats", "is_conversion",
           "lower_recurrences", "table_fracs"]


class Factors(NamedTuple):
    """Constant factors of a vector, as words.

    Attributes
    ----------
    words : int64 array
        Word of each element.
    shift : :class:`int`
        Right shift of all products.
    scale : float64 array
        The factors that these words are.
    """

    words: NDArray[np.int64]
    shift: int
    scale: NDArray[np.float64]


def table_fracs(act_width: int) -> tuple[int, int]:
    """Return the fraction bits of the operand, at most, and of the result of a table."""
    return act_width - 5, act_width - 2


def is_conversion(node: Node) -> bool:
    """True for an operation that converts the format alone."""
    return isinstance(node.computation, Clip) and (
        node.computation.low, node.computation.high) == (-math.inf, math.inf)


def find_factors(scale: NDArray[np.float64], config: EIEConfig, *, frac: int, to: int) -> Factors:
    """Find the words of constant factors, of which the greatest fills a word.

    Words have no more bits than the host's multipliers, for results to be the same.

    Parameters
    ----------
    frac, to : :class:`int`
        Fraction bits of the vector and of the products.
    """
    width = min(config.act_width, MULTIPLIER_BITS + 1)
    _, high = limits(width)
    ratio = scale * 2.0 ** (to - frac)    # in steps of a result for each of the vector
    greatest = float(np.abs(ratio).max())
    shift = config.max_shift if greatest == 0 else \
        min(config.max_shift, width - 1 - math.frexp(greatest)[1])
    # Not the least word, either: the factors that these words are have the same shift.
    while np.abs(words := np.rint(np.ldexp(ratio, shift))).max() > high:
        shift -= 1
    return Factors(words.astype(np.int64), shift, np.ldexp(words, frac - to - shift))


def fit_formats(scan: Scan, config: EIEConfig) -> Scan:
    """Convert the formats of a scan to those of the machine.

    Operands and results of sigmoid and tanh get those of the tables. An operand with fewer fraction
    bits stays as it is: the machine shifts it, which is exact. Constant factors of a vector get one
    shift.
    """
    body, nodes = scan.body, list[Node]()
    fracs = dict(body.fracs or {})
    operand, result = table_fracs(config.act_width)

    def add(name: str, frac: int) -> str:
        while name in fracs:
            name += "_"
        fracs[name] = frac
        return name

    for node in body.nodes:
        if isinstance(node.computation, Affine):
            factors = _fit(node, body, config)
            nodes.append(dataclasses.replace(node, computation=Affine(
                factors.scale, node.computation.shift)))
            continue
        if not isinstance(node.computation, (Sigmoid, Tanh)):
            nodes.append(node)
            continue
        (read,), written = node.inputs, node.name
        if fracs[read] > operand:
            converted = add(f"{node.name}.argument", operand)
            nodes.append(Node(converted, Clip(-math.inf, math.inf), (read,)))
            read = converted
        if fracs[node.name] != result:
            written = add(f"{node.name}.table", result)
        nodes.append(Node(written, node.computation, (read,)))
        if written != node.name:
            nodes.append(Node(node.name, Clip(-math.inf, math.inf), (written,)))
    return dataclasses.replace(scan, body=dataclasses.replace(
        body, nodes=tuple(nodes), fracs=fracs))


def describe_formats(scan: Scan, config: EIEConfig) -> list[str]:
    """Describe for each node how its results differ from those of the host."""
    operand, result = table_fracs(config.act_width)
    fracs, notes = scan.body.fracs or {}, list[str]()
    for node in scan.body.nodes:
        if isinstance(node.computation, (Sigmoid, Tanh)):
            what = [f"{name} has {there} fraction bits there, not {here}" for name, there, here in (
                ("its operand", operand, max(operand, fracs[node.inputs[0]])),
                ("its result", result, fracs[node.name])) if there != here]
            if what:
                notes.append(f"node {node.name!r}: {', and '.join(what)}")
        elif isinstance(node.computation, Affine):
            factors = _fit(node, scan.body, config)
            error = np.abs(factors.scale - node.computation.scale).max()
            if error:
                notes.append(f"node {node.name!r}: factors have one format for all, which changes "
                             f"them by at most {error:.2g}")
    return notes


def _fit(node: Node, body: Graph, config: EIEConfig) -> Factors:
    """Find the factors of a node of constants."""
    assert isinstance(node.computation, Affine)
    fracs = body.fracs or {}
    scale = np.broadcast_to(np.asarray(node.computation.scale, np.float64), body.shapes[node.name])
    return find_factors(scale, config, frac=fracs[node.inputs[0]], to=fracs[node.name])


def lower_recurrences(graph: Graph, config: EIEConfig) -> Graph:
    """Replace the formats in the recurrences of a graph by those that the machine computes."""
    return dataclasses.replace(graph, nodes=tuple(
        dataclasses.replace(node, computation=dataclasses.replace(
            node.computation, scan=fit_formats(node.computation.scan, config)))
        if isinstance(node.computation, Recurrence) else node for node in graph.nodes))
