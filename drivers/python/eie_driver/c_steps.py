"""Steps of a network in C: its nodes in order, with loops for scans, and its arena."""

import dataclasses
import math
from collections.abc import Mapping, Sequence, Set

from eie_compiler.build import Build
from eie_compiler.graph.graph import Computation, Graph, Node, Recurrence, Scan
from eie_compiler.graph.operation import GraphError, Operation, Shape
from eie_compiler.graph.operations import Reshape, Reverse, Slice

from .c_arena import ALWAYS, Tensor, join, place
from .c_elements import strides_of
from .c_operations import operation_steps
from .c_step import Operand, Step, copy

__all__ = ["LOOPS", "Steps"]

#: Most loops inside each other, EIE_LOOPS of the driver.
LOOPS = 4


@dataclasses.dataclass(frozen=True)
class _Scope:
    """Graph whose nodes are computed.

    Attributes
    ----------
    prefix : :class:`str`
        Its path.
    loops : :class:`int`
        Number of loops around it.
    kept : set of :class:`str`
        Nodes whose results are read from outside.
    tensors : :class:`dict` of :class:`str` to :class:`~.c_step.Operand`
        Inputs and results.
    """

    graph: Graph
    prefix: str
    loops: int
    kept: Set[str]
    tensors: dict[str, Operand]

    def operand(self, name: str, tensor: Tensor, offset: int = 0) -> Operand:
        """Make the operand of a node or input."""
        assert self.graph.fracs is not None
        return Operand(tensor, self.graph.shapes[name], self.graph.fracs[name], offset)


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
    resets : :class:`list` of path and :class:`~.c_step.Step`
        Steps that set the states of scans to zero, which are before all others.
    steps : :class:`list` of path and :class:`~.c_step.Step`
        The other steps.
    tensors : :class:`dict` of :class:`str` to :class:`~.c_step.Operand`
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
        scope = _Scope(graph, "", 0, frozenset(graph.outputs), {})
        self.tensors = scope.tensors
        for name, shape in graph.inputs.items():
            self.tensors[name] = scope.operand(name, self._make(shape))
            self.tensors[name].tensor.use(-1)
        self._add_nodes(scope)
        for output in graph.outputs:
            self.tensors[output].tensor.use(ALWAYS)
        for at, (_, step) in enumerate(self.steps):
            if step.in_place:
                _join_operands(step, at)
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

    def _add_nodes(self, scope: _Scope) -> None:
        """Add the steps of the nodes of a graph, and their results to its tensors."""
        for node in scope.graph.nodes:
            try:
                self._add_node(scope, node)
            except GraphError as error:
                raise GraphError(f"node {scope.prefix + node.name!r}: {error}") from error

    def _add_node(self, scope: _Scope, node: Node) -> None:
        path, computation = scope.prefix + node.name, node.computation
        operands = [scope.tensors[name] for name in node.inputs]
        shape = scope.graph.shapes[node.name]
        if (offset := _find_part(computation, operands[0].shape)) is not None:
            scope.tensors[node.name] = operands[0].part(offset)._replace(shape=shape)
        elif isinstance(computation, Scan):
            scope.tensors[node.name] = self._add_scan(scope, node, computation, operands)
        else:
            result = scope.operand(node.name, self._make(shape))
            scope.tensors[node.name] = result
            if isinstance(computation, Operation):
                for step in operation_steps(computation, operands, result, self._make):
                    self._add(path, step)
            elif isinstance(computation, Recurrence) and computation.scan.reverse:
                self._add_reversed(path, operands[0], result)
            else:
                self._add_program(path, operands, result)

    def _add_reversed(self, path: str, sequence: Operand, result: Operand) -> None:
        """Add the steps of a recurrence from the last element to the first."""
        turned = [Operand(self._make(each.shape), each.shape) for each in (sequence, result)]
        for step in operation_steps(Reverse(0), [sequence], turned[0], self._make):
            self._add(path, step)
        self._add_program(path, turned[:1], turned[1])
        for step in operation_steps(Reverse(0), turned[1:], result, self._make):
            self._add(path, step)

    def _add_program(self, path: str, operands: list[Operand], result: Operand) -> None:
        program, name, patches = self._programs[path], self._objects[path], "NULL"
        n_inputs, n_outputs = len(program.input.columns), len(program.outputs[0].columns)
        count = result.size // n_outputs
        if program.patches is not None and not program.patches.loop:
            patches, shape = f"&{name}_patches", (max(n_inputs, n_outputs),)
            operands = [*operands, Operand(self._make(shape), shape)]
            count = program.patches.n_patches
        layers = f".layers = {{&{name}, {patches}, {count}}}"
        self._add(path, Step("layers", layers, operands, result))

    def _add_scan(self, scope: _Scope, node: Node, scan: Scan, operands: list[Operand]) -> Operand:
        """Add a loop around the steps of the body; return the result.

        Its first step copies the element of the sequence, its last ones the element of the result
        and the next values of the states.
        """
        path, loop, body = scope.prefix + node.name, scope.loops, scan.body
        if loop == LOOPS:
            raise GraphError(f"scan must be in at most {LOOPS - 1} others in C")
        sequence, *initial = operands
        element, *states = body.inputs
        kept = {*body.outputs, *(source for _, source in scan.states)}
        within = _Scope(body, f"{path}/", loop + 1, kept, {})
        for name, shape in body.inputs.items():
            within.tensors[name] = within.operand(name, self._make(shape))
        for number, state in enumerate(states):
            self._begin_state(path, loop, within.tensors[state], initial[number:number + 1])
        count, first = sequence.shape[0], len(self.steps)
        size, at = within.tensors[element].size, count - 1 if scan.reverse else 0
        step = -1 if scan.reverse else 1
        self._copy(path, within.tensors[element], sequence.part(at * size),
                   advance=(step * size, 0), loop=loop)
        self._add_nodes(within)
        source = within.tensors[body.outputs[0]]
        last = count - 1 - at
        if _is_only_read_at(scope, node.name, last):
            # One element is enough: the tensor begins as many elements before.
            tensor = self._make(source.shape)
            result = scope.operand(node.name, tensor, -last * source.size)
            self._copy(path, result.part(last * source.size), source)
        else:
            tensor = self._make((count, *source.shape))
            result = scope.operand(node.name, tensor)
            self._copy(path, result.part(at * source.size), source,
                       advance=(0, step * source.size), loop=loop)
        self._add_states(path, scan, within.tensors)
        self._add(path, Step("repeat", f".repeat = {{{count}, {len(self.steps) - first}, {loop}}}"))
        # What the loop reads of all iterations, or adds to, lives from its start to its end.
        for each in (sequence.tensor, tensor, *(within.tensors[state].tensor for state in states)):
            each.use(first)
            each.use(len(self.steps) - 1)
        return result

    def _begin_state(self, path: str, loop: int, state: Operand, initial: Sequence[Operand]
                     ) -> None:
        zeros = Step("zeros", f".counts = {{{state.size}, 0}}", result=state)
        if initial:
            self._copy(path, state, initial[0])
        elif loop:
            self._add(path, zeros)
        else:    # kept until the next run
            state.tensor.use(-1)
            state.tensor.use(ALWAYS)
            self.resets.append((path, zeros))

    def _add_states(self, path: str, scan: Scan, tensors: Mapping[str, Operand]) -> None:
        """Copy the next values of all states, which may be present values of others."""
        present = [tensors[name].tensor for name in scan.body.inputs]
        sources = {}
        for state, name in scan.states:
            source = tensors[name]
            if source.tensor in present and source.tensor is not tensors[state].tensor:
                source = Operand(self._make(source.shape), source.shape)
                self._copy(path, source, tensors[name])
            sources[state] = source
        for state, source in sources.items():
            if source.tensor is not tensors[state].tensor:
                self._copy(path, tensors[state], source)

    def _copy(self, path: str, to: Operand, source: Operand, *, advance: tuple[int, int] = (0, 0),
              loop: int = 0) -> None:
        """Add a copy of the elements of the smaller one, which are one after another."""
        size = min(to.size, source.size)
        self._add(path, copy(source, to, (size,), [(1,), (1,)], advance=advance, loop=loop))


def _join_operands(step: Step, at: int) -> None:
    """Let a result replace an operand, unless the step also reads a part of that."""
    assert step.result is not None
    for operand in step.operands:
        same = [other for other in step.operands if other.tensor.owner is operand.tensor.owner]
        if all(other.size == step.result.size for other in same):
            join(operand.tensor, step.result.tensor, at)


def _find_part(computation: Computation, shape: Shape) -> int | None:
    """Return the first word of a result that is a part of an operand of a shape, if it is one."""
    if isinstance(computation, Reshape):
        return 0
    if isinstance(computation, Slice) and computation.step == 1 \
            and math.prod(shape[:computation.axis]) == 1:
        return computation.start * strides_of(shape)[computation.axis]
    return None


def _is_only_read_at(scope: _Scope, name: str, last: int) -> bool:
    """True if all that is read of a sequence is one element."""
    users = [node.computation for node in scope.graph.nodes if name in node.inputs]
    return bool(users) and name not in scope.kept and all(
        isinstance(user, Slice) and user.axis == 0 and (user.start, user.stop) == (last, last + 1)
        for user in users)
