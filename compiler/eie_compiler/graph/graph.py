"""Graphs of models and of compressed networks."""

import dataclasses
import functools
from collections.abc import Callable, Mapping

import numpy as np

from ..model import Model
from ..network import CompressedNetwork
from ..preprocessing import Preprocessing, broadcasts
from .operation import Floats, GraphError, Operation, Shape

__all__ = ["Computation", "Graph", "Node", "Recurrence", "Scan", "Subgraph"]


@dataclasses.dataclass(frozen=True, eq=False)
class Scan:
    """Graph that is computed for each step of a sequence, with states that it keeps from step to
    step.

    The first operand of its node is the sequence (steps, ...); the others, if there are any, are
    the values of the states before the first step, which are zeros otherwise. The result has the
    first output of the graph for each step.

    Parameters
    ----------
    body : :class:`Graph`
        Graph of a step. Its first input is an element of the sequence; the others are the states.
    states : :class:`tuple` of pairs of :class:`str`
        Input of each state, in the order of the body's inputs, and the node, or input, that has
        its next value.
    reverse : :class:`bool`
        True to compute the last step first. Results stay in the order of the sequence.
    """

    body: "Graph"
    states: tuple[tuple[str, str], ...]
    reverse: bool = False

    def __post_init__(self) -> None:
        if self.body.preprocessing:
            raise GraphError("body must have no preprocessing: preprocess the sequence")
        names = list(self.body.inputs)[1:]
        if [state for state, _ in self.states] != names:
            raise GraphError(f"states must be {', '.join(names) or 'none'}, the inputs of the body "
                             f"after the first, not {[state for state, _ in self.states]}")
        for state, source in self.states:
            if self.body.shapes.get(source) != self.body.shapes[state]:
                raise GraphError(f"state {state!r} must have the shape of {source!r}, its next "
                                 f"value, {self.body.shapes.get(source)}, not "
                                 f"{self.body.shapes[state]}")

    @property
    def results(self) -> tuple[str, ...]:
        """Names of the body that are read after a step: its outputs, then next values of states."""
        return tuple(dict.fromkeys([*self.body.outputs, *(source for _, source in self.states)]))

    def change_body(self, change: "Callable[[Graph], Graph]") -> "Scan":
        """Change the body by a function, which gets it with all of `results` as its outputs."""
        changed = change(dataclasses.replace(self.body, outputs=self.results))
        return dataclasses.replace(self, body=dataclasses.replace(
            changed, outputs=self.body.outputs))

    def shape(self, *shapes: Shape) -> Shape:
        """Compute the shape of the result from those of the sequence and of the states."""
        if not shapes:
            raise GraphError("a scan must have operands: a sequence, then states, if there are any")
        sequence, *states = shapes
        first, *others = self.body.inputs.values()
        if sequence[1:] != first or len(sequence) != len(first) + 1:
            raise GraphError(f"elements of the sequence must have shape {first}, not "
                             f"{sequence[1:]}")
        if states and states != others:
            raise GraphError(f"states must have shapes {others}, not {states}")
        return sequence[0], *self.body.shapes[self.body.outputs[0]]


@dataclasses.dataclass(frozen=True, eq=False)
class Recurrence:
    """Scan of a build whose steps the machine computes, one program each. States stay on the chip.

    Parameters
    ----------
    scan : :class:`Scan`
        The scan. Its states are zeros before the first step.
    steps : :class:`int`
        Steps of a sequence.
    """

    scan: Scan
    steps: int

    def __post_init__(self) -> None:
        if len(next(iter(self.scan.body.inputs.values()))) != 1 \
                or len(self.scan.body.shapes[self.scan.body.outputs[0]]) != 1:
            raise GraphError("elements of the sequence, and results of a step, must be vectors")

    def shape(self, *shapes: Shape) -> Shape:
        """Compute the shape of the result from that of the sequence."""
        if len(shapes) != 1:
            raise GraphError(f"a recurrence must have one operand, a sequence, not {len(shapes)}")
        shape = self.scan.shape(*shapes)
        if shape[0] != self.steps:
            raise GraphError(f"steps must be those of the sequence, {shape[0]}, not {self.steps}")
        return shape


@dataclasses.dataclass(frozen=True, eq=False)
class Subgraph:
    """Nodes of a build that one program of the machine computes: their results stay on the chip.

    Its node has the name of the last of them, so that they could take its place.

    Parameters
    ----------
    body : :class:`Graph`
        The nodes, with one input, the operand; the last one is the only output.
    """

    body: "Graph"

    def __post_init__(self) -> None:
        if self.body.preprocessing:
            raise GraphError("body must have no preprocessing: preprocess the input of the graph")
        names = [*self.body.inputs, *(node.name for node in self.body.nodes)]
        if len(self.body.inputs) != 1 or self.body.outputs != (names[-1],):
            raise GraphError("body must have one input, and its last node as the only output")
        for node in self.body.nodes:
            if isinstance(node.computation, (Model, Recurrence, Scan, Subgraph)):
                raise GraphError(f"node {node.name!r}: body must have compressed layers and "
                                 "operations alone")

    @property
    def input(self) -> str:
        """Name of the operand."""
        return next(iter(self.body.inputs))

    def shape(self, *shapes: Shape) -> Shape:
        """Compute the shape of the result from that of the operand."""
        if shapes != (self.body.inputs[self.input],):
            raise GraphError(f"operand must have shape {self.body.inputs[self.input]}, not "
                             f"{', '.join(map(str, shapes)) or 'none'}")
        return self.body.shapes[self.body.outputs[0]]


#: Computation of a node: layers of a model or of a compressed network, a scan, an operation of the
#: host, or, in a build, nodes that the machine computes together, or a scan that it computes.
Computation = Model | CompressedNetwork | Scan | Operation | Subgraph | Recurrence


@dataclasses.dataclass(frozen=True, eq=False)
class Node:
    """Node of a graph.

    Parameters
    ----------
    name : :class:`str`
        Name of the node and of the tensor that it computes.
    computation : :data:`Computation`
        Model and CompressedNetwork: layers that are computed for each vector along the last axis;
        for each pixel, if they have patches.
    inputs : :class:`tuple` of :class:`str`
        Names of the operands: inputs of the graph, or nodes before this one.
    """

    name: str
    computation: Computation
    inputs: tuple[str, ...]

    def shape(self, *shapes: Shape) -> Shape:
        """Compute the shape of the result.

        Raises
        ------
        GraphError
            If the node cannot take operands of these shapes.
        """
        if isinstance(self.computation, Subgraph) \
                and (self.computation.body.outputs, (self.computation.input,)) \
                != ((self.name,), self.inputs):
            raise GraphError("operand and name must be those of its nodes, "
                             f"{self.computation.input!r} and {self.computation.body.outputs[0]!r}")
        if isinstance(self.computation, (Recurrence, Scan, Operation, Subgraph)):
            return self.computation.shape(*shapes)
        if len(shapes) != 1:
            raise GraphError(f"layers must have one operand, not {len(shapes)}")
        (shape,), layers, patches = shapes, self.computation.layers, self.computation.patches
        if patches is not None:
            if shape != patches.shape:
                raise GraphError(f"operand must have shape {patches.shape}, not {shape}")
            return layers[-1].n_rows // patches.pixels, *patches.output_shape
        if not shape or shape[-1] != layers[0].n_cols:
            raise GraphError(f"operand must be vectors of {layers[0].n_cols}, not of shape {shape}")
        return *shape[:-1], layers[-1].n_rows


@dataclasses.dataclass(frozen=True, eq=False)
class Graph:
    """Model or compressed network as a graph.

    Parameters
    ----------
    inputs : mapping of :class:`str` to :data:`~.operation.Shape`
        Shape of each input, without the batch.
    nodes : :class:`tuple` of :class:`Node`
        In an order of computation.
    outputs : :class:`tuple` of :class:`str`
        Nodes whose results are wanted.
    fracs : mapping of :class:`str` to :class:`int`, optional
        Of a compressed network: fraction bits of each input and of the result of each node. All
        layers are then compressed, and a state of a scan has the format of its next value.
    notes : :class:`tuple` of :class:`str`
        What a front end assumed, and the parts of its source that are not used.
    preprocessing : mapping of :class:`str` to :class:`~..preprocessing.Preprocessing`
        Offset and scale of inputs that have any, by name; broadcast to the shape of the input,
        without the batch. Nodes, and the formats in `fracs`, take the input after it.

    Raises
    ------
    GraphError
        If names are not unique, an operand is not computed before it is read, or a shape or format
        does not match.
    """

    inputs: Mapping[str, Shape]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    fracs: Mapping[str, int] | None = None
    notes: tuple[str, ...] = ()
    preprocessing: Mapping[str, Preprocessing] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.inputs or not self.outputs:
            raise GraphError("a graph must have one or more inputs and outputs")
        for name, preprocessing in self.preprocessing.items():
            if name not in self.inputs:
                raise GraphError(f"preprocessing must be of inputs, not of {name!r}")
            shape, wanted = preprocessing.scale.shape, tuple(self.inputs[name])
            if not broadcasts(shape, wanted):
                raise GraphError(f"preprocessing of {name!r} must have a shape that is broadcast "
                                 f"to {wanted}, not {shape}")
        shapes = self.shapes    # checks the nodes
        for name in self.outputs:
            if name not in shapes:
                raise GraphError(f"output {name!r} must be a node")
        if self.fracs is not None:
            if others := sorted(set(self.fracs) ^ set(shapes)):
                raise GraphError("fracs must be for all inputs and nodes, and for no others: "
                                 f"{', '.join(others)}")
            for node in self.nodes:
                _check_formats(node, self.fracs)
                if isinstance(node.computation, Operation):
                    self._check_operation(node, node.computation, self.fracs)

    @functools.cached_property
    def shapes(self) -> dict[str, Shape]:
        """Shape of each input and of the result of each node, without the batch."""
        shapes, names = dict(self.inputs), set(self.inputs)
        for node in self.nodes:
            try:
                if names & (inside := _names(node)):
                    raise GraphError("name must be unique")
                names |= inside
                if missing := [name for name in node.inputs if name not in shapes]:
                    raise GraphError(f"operand {missing[0]!r} must be an input or a node before "
                                     "this one")
                shapes[node.name] = node.shape(*(shapes[name] for name in node.inputs))
            except GraphError as error:
                raise GraphError(f"node {node.name!r}: {error}") from error
        return shapes

    def preprocess(self, tensors: Mapping[str, Floats]) -> dict[str, Floats]:
        """Preprocess inputs (batch, ...), those that have preprocessing."""
        return {name: self.preprocessing[name](tensor) if name in self.preprocessing else tensor
                for name, tensor in tensors.items()}

    def _check_operation(self, node: Node, operation: Operation, fracs: Mapping[str, int]) -> None:
        """Check that an operation can compute its format, by its words for an empty batch."""
        empty = [np.zeros((0, *self.shapes[name]), np.int64) for name in node.inputs]
        try:
            operation.words(*empty, fracs=[fracs[name] for name in node.inputs],
                            frac=fracs[node.name])
        except GraphError as error:
            raise GraphError(f"node {node.name!r}: {error}") from error

    def walk(self, prefix: str = "") -> "list[tuple[str, Node]]":
        """List the nodes with their paths, those of scans' bodies included: ``scan/node``."""
        found = []
        for node in self.nodes:
            found.append((prefix + node.name, node))
            if isinstance(node.computation, Scan):
                found += node.computation.body.walk(f"{prefix}{node.name}/")
        return found


def _names(node: Node) -> set[str]:
    """Name of a node, or those of the nodes of a subgraph, which could take its place."""
    if isinstance(node.computation, Subgraph):
        return {one.name for one in node.computation.body.nodes}
    return {node.name}


def _check_formats(node: Node, fracs: Mapping[str, int]) -> None:
    """Check that the formats at a node agree with those inside."""
    computation, operands = node.computation, [fracs[name] for name in node.inputs]
    if isinstance(computation, Recurrence):
        computation = computation.scan
    inside: list[int] = []
    result = fracs[node.name]
    if isinstance(computation, Model):
        raise GraphError(f"node {node.name!r}: layers must be compressed, as there are fracs")
    if isinstance(computation, CompressedNetwork):
        inside, result = [computation.input_frac], computation.layers[-1].output_frac
    elif isinstance(computation, Scan):
        body = computation.body.fracs
        if body is None:
            raise GraphError(f"node {node.name!r}: its graph must have fracs")
        inside = [body[name] for name in computation.body.inputs][:len(operands)]
        result = body[computation.body.outputs[0]]
        for state, source in computation.states:
            if body[state] != body[source]:
                raise GraphError(f"node {node.name!r}: state {state!r} must have {body[source]} "
                                 f"fraction bits, as its next value, not {body[state]}")
    elif isinstance(computation, Subgraph):
        if computation.body.fracs is None:
            raise GraphError(f"node {node.name!r}: its graph must have fracs")
        inside = [computation.body.fracs[computation.input]]
        result = computation.body.fracs[node.name]
    elif computation.keeps_format:
        inside, result = operands, operands[0]
    if inside and inside != operands or result != fracs[node.name]:
        raise GraphError(f"node {node.name!r}: operands and result must have {inside} and {result} "
                         f"fraction bits, not {operands} and {fracs[node.name]}")
