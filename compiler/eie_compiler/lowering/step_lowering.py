"""Lowering of the nodes of a step of a recurrence to stages."""

import itertools
from collections.abc import Sequence

import numpy as np

from eie_hdl.config import EIEConfig
from eie_hdl.format import Table

from ..errors import CompileError
from ..graph.graph import Node, Scan
from ..graph.operations.activation import Sigmoid, Tanh
from ..graph.operations.arrangement import Concat, Reshape, Slice
from ..graph.operations.elementwise import Add, Affine, Multiply, Subtract
from ..network import CompressedNetwork
from .fixed_point import choose_formats, layers_with_inputs
from .lower import require_widths
from .simple_stages import Addend, sum_stage
from .step_formats import find_factors, is_conversion, table_fracs
from .step_stages import Drained, StepStages, Weighted
from .step_vectors import Part, StepVector, find_cuts
from .subgraphs import is_relu

__all__ = ["list_step_stages"]

#: Functions of tables.
_TABLES = {Sigmoid: Table.SIGMOID, Tanh: Table.TANH}


def list_step_stages(scan: Scan, config: EIEConfig) -> StepStages:
    """List the stages of a step of a scan, whose formats are those of the machine.

    Raises
    ------
    CompileError
        If the machine does not compute a node; the message names it.
    """
    found = _Step(scan, config)
    for node in scan.body.nodes:
        try:
            found.add(node)
        except CompileError as error:
            raise CompileError(f"node {node.name!r}: {error}") from error
    return found.finish()


class _Step:
    """Stages of the nodes of a step."""

    def __init__(self, scan: Scan, config: EIEConfig) -> None:
        self._scan, self._body, self._config = scan, scan.body, config
        self._fracs = scan.body.fracs or {}
        self._cuts = find_cuts(scan.body, scan.states)
        self._stages: list[Weighted | Drained] = []
        self._n_vectors = 0
        self._values: dict[str, tuple[Part, ...]] = {}
        name, *states = scan.body.inputs
        if len(self._cuts[name]) > 2:
            raise CompileError(f"input {name!r} must be read as a whole")
        self._input = self._make(name)[0].vector
        #: Values of the states before the step, and those of them that are read where they are.
        self._old = {part.vector for state in states for part in self._make(state)}
        self._kept: set[StepVector] = set()
        #: Copies beside the input, and in other formats.
        self._beside: dict[Part, StepVector] = {}
        self._converted: dict[Part, StepVector] = {}

    def add(self, node: Node) -> None:
        """Add the stages of a node."""
        computation, operands = node.computation, [self._values[name] for name in node.inputs]
        frac = self._fracs[node.name]
        if isinstance(computation, CompressedNetwork):
            self._add_layers(node, computation, operands[0])
        elif isinstance(computation, Reshape):
            self._values[node.name] = operands[0]
        elif isinstance(computation, Slice):
            cuts = self._cuts[node.inputs[0]]
            self._values[node.name] = operands[0][cuts.index(computation.start):
                                                  cuts.index(computation.stop)]
        elif isinstance(computation, Concat) or self._is_free(node):
            # Converted where it is read.
            self._values[node.name] = tuple(self._as(node.name, part, frac) for operand in operands
                                            for part in operand)
        else:
            for parts, result, first in zip(zip(*operands, strict=True), self._make(node.name),
                                            self._cuts[node.name]):
                self._stages.append(
                    self._scale(node, parts[0], result.vector, first)
                    if isinstance(computation, Affine)
                    else self._compute(node, parts, result.vector))

    def finish(self) -> StepStages:
        """Add the copies of the result, if need be, and of the next values of states."""
        output, *_ = self._body.outputs
        parts = self._values[output]
        result = tuple(part.vector for part in parts)
        if len(result) > 1 or result[0] in {self._input, *self._old} \
                or result[0].frac != self._fracs[output]:
            result = tuple(self._new(part.vector.size, self._fracs[output]) for part in parts)
            self._stages += [self._drain(output, part, copy) for part, copy in zip(parts, result)]
        copies: list[Drained] = []
        for state, source in self._scan.states:
            for old, new in zip(self._values[state], self._values[source], strict=True):
                copies += self._keep(state, old.vector, new)
        self._stages += copies
        return StepStages(self._stages, self._input, set(self._beside.values()),
                          [copy.result for copy in copies], result)

    def _is_free(self, node: Node) -> bool:
        """True for a conversion for a function alone, which its table makes."""
        readers = [one for one in self._body.nodes if node.name in one.inputs]
        return is_conversion(node) and node.name not in self._body.outputs \
            and all(type(one.computation) in _TABLES for one in readers)

    def _add_layers(self, node: Node, network: CompressedNetwork, parts: Sequence[Part]) -> None:
        """Add the layers of a node."""
        require_widths(self._config, network)
        if len(parts) > 2:
            raise CompileError("layers must read at most two vectors together")
        is_beside = len(parts) > 1 and any(map(self._is_input, parts))
        sources = tuple(self._input if self._is_input(part) else self._place_beside(node, part)
                        if is_beside else self._find(node.name, part) for part in parts)
        if len(set(sources)) < len(sources):
            raise CompileError("layers must not read a vector twice")
        results = tuple(part.vector for part in self._make(node.name))
        formats = choose_formats(self._config, network)
        for inputs, chosen in zip(layers_with_inputs(self._config, network), formats):
            is_last = inputs.layer is network.layers[-1]
            written = results if is_last else (self._new(inputs.layer.n_rows,
                                                         inputs.layer.output_frac),)
            self._stages.append(Weighted(node.name, inputs, chosen, sources, written))
            sources = written

    def _compute(self, node: Node, parts: Sequence[Part], result: StepVector
                 ) -> Weighted | Drained:
        """Make the stage of an operation on elements, for the parts of its operands."""
        computation, kind = node.computation, type(node.computation)
        if isinstance(computation, (Add, Subtract)):
            one, other = (self._find(node.name, part) for part in parts)
            if one == other:
                raise CompileError("operands must not be the same")
            return self._sum(node.name, [Addend(0, one.frac), Addend(
                1, other.frac, -1 if kind is Subtract else 1)], (one, other), result)
        if isinstance(computation, Multiply):
            self._require_products()
            one, other = (self._find(node.name, part) for part in parts)
            return Drained(node.name, one, result, other, shift=self._check_shift(
                one.frac + other.frac - result.frac))
        if kind in _TABLES:
            if not self._config.tables:
                raise CompileError("tables must be true for sigmoid and tanh")
            return self._drain(node.name, parts[0], result, table=_TABLES[kind])
        if is_conversion(node) or is_relu(node):
            return self._drain(node.name, parts[0], result, relu=is_relu(node))
        raise CompileError(f"the machine does not compute {kind.__name__}")

    def _scale(self, node: Node, part: Part, result: StepVector, first: int) -> Drained:
        """Make the stage of products with constants, for a part that begins at an element."""
        computation = node.computation
        assert isinstance(computation, Affine)
        if np.any(computation.shift):
            raise CompileError("the machine adds no constants to products")
        self._require_products()
        vector = self._find(node.name, part)
        factors = find_factors(np.asarray(computation.scale), self._config, frac=vector.frac,
                               to=result.frac)
        return Drained(node.name, vector, result, factors=factors.words[first:][:result.size],
                       shift=self._check_shift(factors.shift))

    def _require_products(self) -> None:
        if not self._config.products:
            raise CompileError("products must be true for products of vectors")

    def _sum(self, name: str, addends: Sequence[Addend], sources: tuple[StepVector, ...],
             result: StepVector) -> Weighted:
        """Make the stage of a sum, or of the conversion of a single vector."""
        inputs, stage = sum_stage(self._config, name, addends, (result.size, 1, 1),
                                  frac=result.frac, relu=False)
        return Weighted(name, inputs, stage.chosen, sources, (result,),
                        is_local=self._config.local)

    def _drain(self, name: str, part: Part, result: StepVector, *, relu: bool = False,
               table: Table = Table.NONE) -> Drained:
        """Make the stage of a function of a part, whose format the stage converts if need be."""
        frac = result.frac if table is Table.NONE else table_fracs(self._config.act_width)[0]
        vector = self._find(name, part if part.frac != frac else Part(part.vector,
                                                                      part.vector.frac))
        return Drained(name, vector, result, bias_shift=self._check_shift(
            max(0, frac - vector.frac), self._config.max_bias_shift),
            shift=self._check_shift(max(0, vector.frac - frac)), relu=relu, table=table)

    def _keep(self, state: str, old: StepVector, new: Part) -> list[Drained]:
        """Make the copies of the next value of a state, or of a part of it."""
        if new.vector in self._old:
            raise CompileError(f"next value of state {state!r} must be computed by the step")
        places = [old] if old in self._kept else []
        places += [place for part, place in self._beside.items() if part.vector == old]
        return [self._drain(state, new, place) for place in places]

    def _place_beside(self, node: Node, part: Part) -> StepVector:
        """Find the copy of a part that is beside the input; a state is there before the step."""
        if part not in self._beside:
            copy = self._new(part.vector.size, part.frac)
            if part.vector not in self._old:
                self._stages.append(self._drain(node.name, part, copy))
            self._beside[part] = copy
        return self._beside[part]

    def _find(self, name: str, part: Part) -> StepVector:
        """Find a vector with the words of a part that any stage can read."""
        if self._is_input(part) or part.frac != part.vector.frac:
            if part not in self._converted:
                self._converted[part] = copy = self._new(part.vector.size, part.frac)
                self._stages.append(
                    self._sum(name, [Addend(0, part.vector.frac)], (part.vector,), copy)
                    if part.vector == self._input else self._drain(name, part, copy))
            return self._converted[part]
        if part.vector in self._old:
            self._kept.add(part.vector)
        return part.vector

    def _as(self, name: str, part: Part, frac: int) -> Part:
        """Give a part another format."""
        return Part(part.vector if part.frac == part.vector.frac else self._find(name, part), frac)

    def _is_input(self, part: Part) -> bool:
        """True for the input as it is."""
        return part == Part(self._input, self._input.frac)

    def _make(self, name: str) -> tuple[Part, ...]:
        """Make the vectors of a tensor, one for each of its parts."""
        cuts, frac = self._cuts[name], self._fracs[name]
        self._values[name] = made = tuple(
            Part(self._new(end - begin, frac), frac) for begin, end in itertools.pairwise(cuts))
        return made

    def _new(self, size: int, frac: int) -> StepVector:
        self._n_vectors += 1
        return StepVector(self._n_vectors - 1, size, frac)

    def _check_shift(self, shift: int, most: int | None = None) -> int:
        most = self._config.max_shift if most is None else most
        if not 0 <= shift <= most:
            raise CompileError(f"formats must differ by a shift from 0 to {most}, not {shift}")
        return shift
