"""Steps of a network in C: its nodes in order, with loops for scans, and its arena."""

import dataclasses
import math
from collections.abc import Mapping

from eie_compiler.build import Build
from eie_compiler.graph.graph import Graph, Node, Scan
from eie_compiler.graph.operation import GraphError, Operation, Shape
from eie_compiler.graph.operations import Reshape
from eie_compiler.network import CompressedNetwork

from .c_arena import ALWAYS, Tensor, join, place
from .c_operations import Operand, Step, copy, operation_steps

__all__ = ["LOOPS", "Steps"]

#: Most loops inside each other, EIE_LOOPS of the driver.
LOOPS = 4


@dataclasses.dataclass(frozen=True)
class _Scope:
    """Graph whose nodes are computed: its path, and the number of loops around it."""

    graph: Graph
    prefix: str
    loops: int


class Steps:
    """Steps that compute a network, and the arena of its tensors.

    Parameters
    ----------
    graph : :class:`~eie_compiler.graph.graph.Graph`
        Compressed network.
    programs : mapping of :class:`str` to :class:`~eie_compiler.build.Build`
        Program of each node of layers, by path.
    name : :class:`str`
        Beginning of the names of C objects.

    Attributes
    ----------
    resets : :class:`list` of path and :class:`~.c_operations.Step`
        Steps that set the states of scans to zero, which are before all others.
    steps : :class:`list` of path and :class:`~.c_operations.Step`
        The other steps.
    tensors : :class:`dict` of :class:`str` to :class:`~.c_arena.Tensor`
        Inputs of the graph and results of its nodes.
    arena_words : :class:`int`
        Size of the arena.

    Raises
    ------
    GraphError
        If the driver cannot compute a node; the message names it.
    """

    def __init__(self, graph: Graph, programs: Mapping[str, Build], name: str) -> None:
        self.resets: list[tuple[str, Step]] = []
        self.steps: list[tuple[str, Step]] = []
        self._programs = programs
        self._objects = {path: f"{name}_program{number}" for number, path in enumerate(programs)}
        self._all: list[Tensor] = []
        self.tensors = {input_: self._make(shape) for input_, shape in graph.inputs.items()}
        for tensor in self.tensors.values():
            tensor.use(-1)
        self._add_nodes(_Scope(graph, "", 0), self.tensors)
        for output in graph.outputs:
            self.tensors[output].use(ALWAYS)
        for at, (_, step) in enumerate(self.steps):
            for operand in step.operands if step.in_place else ():
                assert step.result is not None
                join(operand.tensor, step.result.tensor, at)
        self.arena_words = place(self._all)

    def object_of(self, path: str) -> str:
        """Name of the model of a node of layers in C."""
        return self._objects[path]

    def _make(self, shape: Shape) -> Tensor:
        tensor = Tensor(math.prod(shape), ALWAYS, -1)
        self._all.append(tensor)
        return tensor

    def _add(self, path: str, step: Step) -> None:
        for tensor in step.tensors:
            tensor.use(len(self.steps))
        self.steps.append((path, step))

    def _add_nodes(self, scope: _Scope, tensors: dict[str, Tensor]) -> None:
        """Add the steps of the nodes of a graph, and their results to `tensors`."""
        for node in scope.graph.nodes:
            try:
                self._add_node(scope, node, tensors)
            except GraphError as error:
                raise GraphError(f"node {scope.prefix + node.name!r}: {error}") from error

    def _add_node(self, scope: _Scope, node: Node, tensors: dict[str, Tensor]) -> None:
        path, shapes, fracs = scope.prefix + node.name, scope.graph.shapes, scope.graph.fracs
        assert fracs is not None
        computation = node.computation
        if isinstance(computation, Reshape):
            tensors[node.name] = tensors[node.inputs[0]]
            return
        result = tensors[node.name] = self._make(shapes[node.name])
        if isinstance(computation, CompressedNetwork):
            self._add_layers(path, computation, tensors[node.inputs[0]], result)
        elif isinstance(computation, Scan):
            self._add_scan(scope, node, computation, tensors)
        elif isinstance(computation, Operation):
            operands = [Operand(tensors[each], shapes[each], fracs[each]) for each in node.inputs]
            for step in operation_steps(computation, operands,
                                        Operand(result, shapes[node.name], fracs[node.name]),
                                        self._make):
                self._add(path, step)

    def _add_layers(self, path: str, network: CompressedNetwork, operand: Tensor, result: Tensor
                    ) -> None:
        n_inputs, n_outputs = network.layers[0].n_cols, network.layers[-1].n_rows
        name, patches, operands = self._objects[path], "NULL", [Operand(operand, ())]
        if network.patches is not None:
            patches = f"&{name}_patches"
            operands.append(Operand(self._make((max(n_inputs, n_outputs),)), ()))
        self._add(path, Step("layers", f".layers = {{&{name}, {patches}, "
                                       f"{result.size // n_outputs}}}", operands,
                             Operand(result, ())))

    def _add_scan(self, scope: _Scope, node: Node, scan: Scan, tensors: dict[str, Tensor]) -> None:
        """Add a loop around the steps of the body.

        Its first steps copy the element of the sequence, its last ones the element of the result
        and the next values of the states.
        """
        path, loop, body = scope.prefix + node.name, scope.loops, scan.body
        if loop == LOOPS:
            raise GraphError(f"scan must be in at most {LOOPS - 1} others in C")
        sequence, *initial = (tensors[name] for name in node.inputs)
        count = scope.graph.shapes[node.inputs[0]][0]
        element, *states = body.inputs
        inside = {name: self._make(shape) for name, shape in body.inputs.items()}
        for number, state in enumerate(states):
            if initial:
                self._copy(path, inside[state], initial[number])
            elif loop == 0:     # kept until the next run
                inside[state].use(-1)
                inside[state].use(ALWAYS)
                self.resets.append((path, _zero(inside[state])))
            else:
                self._add(path, _zero(inside[state]))
        first = len(self.steps)
        self._add(path, _copy_element(inside[element], sequence, count, scan.reverse, loop,
                                      to_sequence=False))
        self._add_nodes(_Scope(body, f"{path}/", loop + 1), inside)
        self._add(path, _copy_element(inside[body.outputs[0]], tensors[node.name], count,
                                      scan.reverse, loop, to_sequence=True))
        self._add_states(path, scan, inside)
        self._add(path, Step("repeat", f".repeat = {{{count}, {len(self.steps) - first}, {loop}}}"))
        # What the loop reads of all iterations, or adds to, lives from its start to its end.
        for tensor in (sequence, tensors[node.name], *(inside[state] for state in states)):
            tensor.use(first)
            tensor.use(len(self.steps) - 1)

    def _add_states(self, path: str, scan: Scan, inside: Mapping[str, Tensor]) -> None:
        """Copy the next values of all states, which may be present values of others."""
        sources = {}
        for state, source in scan.states:
            sources[state] = inside[source]
            if source in scan.body.inputs and source != state:
                sources[state] = self._make((inside[source].size,))
                self._copy(path, sources[state], inside[source])
        for state, source_tensor in sources.items():
            if source_tensor is not inside[state]:
                self._copy(path, inside[state], source_tensor)

    def _copy(self, path: str, to: Tensor, source: Tensor) -> None:
        self._add(path, copy(Operand(source, ()), Operand(to, ()), (to.size,), [(1,), (1,)]))


def _zero(tensor: Tensor) -> Step:
    return Step("zeros", f".counts = {{{tensor.size}, 0}}", result=Operand(tensor, ()))


def _copy_element(element: Tensor, sequence: Tensor, count: int, reverse: bool, loop: int, *,
                  to_sequence: bool) -> Step:
    """Copy an element of a sequence, or to it."""
    size = element.size
    inside = Operand(sequence, (), offset=(count - 1) * size if reverse else 0)
    advance = -size if reverse else size
    source, to, steps = (Operand(element, ()), inside, (0, advance)) if to_sequence \
        else (inside, Operand(element, ()), (advance, 0))
    return copy(source, to, (size,), [(1,), (1,)], advance=steps, loop=loop)
