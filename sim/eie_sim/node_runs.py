"""Work and comparison of each node of a graph, summed over a batch."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eie_compiler.graph.graph import Scan
from eie_compiler.graph_build import GraphBuild, count_vectors, walk_uses
from eie_compiler.sampling import whole_sequences
from eie_hdl.format import COUNTERS

from .golden.model import Statistics
from .inference import net_cycles
from .rtl.measured_driver import Measured

__all__ = ["SAMPLE", "Difference", "NodeRun", "make_runs"]

#: Vectors of a node, evenly spread over the batch, whose counters are read or predicted. Those of
#: one sequence may be more.
SAMPLE = 64

#: Counters that the golden model has as well.
_COUNTED = [name for name in COUNTERS if name in Statistics._fields]


class Difference(NamedTuple):
    """First number of a node that differs from the golden model.

    Attributes
    ----------
    at : :class:`tuple` of :class:`int`
        Vector and row of layers, image and element of a step of the host.
    got, expected : :class:`int`
        Number of the hardware and of the golden model.
    """

    at: tuple[int, ...]
    got: int
    expected: int


@dataclasses.dataclass(eq=False)
class NodeRun:
    """Run of a node.

    Attributes
    ----------
    path : :class:`str`
        Path of the node.
    operation : :class:`str`
        Name of its computation.
    on_accelerator : :class:`bool`
        True for layers; the host computes the others.
    planned, sequence_length : :class:`int`
        Vectors of the whole batch, and those of a sequence, or 1: as of
        :class:`~eie_compiler.build.Build`.
    vectors, elements, saturated : :class:`int`
        Vectors computed, elements of results, and how many of these were beyond their format.
    counters : :class:`dict` of :class:`str` to :class:`int`
        Broadcasts, MACs and paddings of all vectors, according to the golden model.
    entries : int64 (n_pe,)
        Entries processed by each PE, likewise.
    net_cycles, sampled : :class:`int`
        Sum of the net cycles of some of the vectors, at most about :data:`SAMPLE`, and how many
        these are.
    cycles, timed : :class:`int`
        Cycles from input beats to result beats of vectors back to back, and of how many.
    loads, load_cycles : :class:`int`
        Number of times that the memories were loaded for the node, and cycles of that.
    compared, differences, overflows : :class:`int`
        Numbers compared with the golden model, how many differ, and sampled vectors for which the
        hardware reported an overflow.
    first : :class:`Difference`, optional
        First difference.
    """

    path: str
    operation: str
    on_accelerator: bool
    planned: int = 0
    sequence_length: int = 1
    vectors: int = 0
    elements: int = 0
    saturated: int = 0
    counters: dict[str, int] = dataclasses.field(default_factory=lambda: dict.fromkeys(_COUNTED, 0))
    entries: NDArray[np.int64] | int = 0
    net_cycles: int = 0
    sampled: int = 0
    cycles: int = 0
    timed: int = 0
    loads: int = 0
    load_cycles: int = 0
    compared: int = 0
    differences: int = 0
    overflows: int = 0
    first: Difference | None = None

    def choose(self, n_vectors: int) -> NDArray[np.int64]:
        """Choose vectors of the next call that are sampled; call it before :meth:`count`.

        They are whole sequences.
        """
        length = self.sequence_length
        stride = -(-self.planned // length // max(1, SAMPLE // length))
        return whole_sequences(
            np.arange(-(self.vectors // length) % stride, n_vectors // length, stride), length)

    def count(self, results: NDArray[np.int64], statistics: Statistics) -> None:
        """Count the work of a call, according to the golden model."""
        self.vectors += len(results)
        self.elements += results.size
        self.saturated += int(statistics.saturated.sum())
        self.entries = self.entries + statistics.entries.sum(axis=0)
        for name in _COUNTED:
            self.counters[name] += int(getattr(statistics, name).sum())

    def measure(self, measured: Measured, n_vectors: int) -> None:
        """Add what the hardware measured in a call."""
        self.cycles += measured.cycles
        self.timed += n_vectors
        self.loads += measured.loads
        self.load_cycles += measured.load_cycles
        self.overflows += measured.overflows
        for counters in measured.counters:
            self.add_counters(counters)

    def add_counters(self, counters: Mapping[str, int]) -> None:
        """Add the counters of a sampled vector."""
        self.net_cycles += net_cycles(counters)
        self.sampled += 1

    def compare(self, got: NDArray[np.int64], expected: NDArray[np.int64]) -> None:
        """Compare numbers of the hardware with those of the golden model."""
        if got.shape != expected.shape:
            raise ValueError(f"Results of node {self.path!r} must have shape {expected.shape}, not "
                             f"{got.shape}")
        self.compared += expected.size
        wrong = np.argwhere(got != expected)
        self.differences += len(wrong)
        if len(wrong) and self.first is None:
            at = tuple(wrong[0].tolist())
            self.first = Difference(at, int(got[at]), int(expected[at]))

    def scaled(self, what: int, of: int) -> float | None:
        """Scale a sum over `of` of the vectors to all of them; None without any."""
        return what * self.vectors / of if of else None

    @property
    def pe_utilisation(self) -> float | None:
        """Products / (cycles back to back · PEs); None if cycles are not known."""
        cycles = self.scaled(self.cycles, self.timed)
        return self.counters["macs"] / (cycles * np.size(self.entries)) if cycles else None

    @property
    def entry_balance(self) -> float:
        """Mean over greatest number of entries of a PE; 1 if there are none."""
        entries = np.atleast_1d(self.entries)
        return float(entries.mean() / entries.max()) if entries.max() else 1.0

    def summary(self) -> dict[str, Any]:
        """Return everything as plain JSON."""
        shared = {"path": self.path, "operation": self.operation,
                  "where": "accelerator" if self.on_accelerator else "host",
                  "elements": self.elements, "saturated": self.saturated,
                  "compared": self.compared, "differences": self.differences,
                  "first_difference": self.first and self.first._asdict()}
        if not self.on_accelerator:
            return shared
        return shared | self.counters | {
            "vectors": self.vectors, "cycles": self.scaled(self.cycles, self.timed),
            "timed_vectors": self.timed, "net_cycles": self.scaled(self.net_cycles, self.sampled),
            "sampled_vectors": self.sampled, "loads": self.loads, "load_cycles": self.load_cycles,
            "overflows": self.overflows,
            "entry_balance": self.entry_balance, "pe_utilisation": self.pe_utilisation}


def make_runs(build: GraphBuild, batch: int) -> dict[str, NodeRun]:
    """Make the empty runs of all nodes, by path, for a batch."""
    runs = {}
    operations = {row["path"]: row["operation"] for row in build.report["nodes"]}
    for use in walk_uses(build.graph):
        run = NodeRun(use.path, operations[use.path], use.path in build.programs)
        if run.on_accelerator:
            run.planned = batch * count_vectors(use)
            run.sequence_length = build.programs[use.path].sequence_length
        elif not isinstance(use.node.computation, Scan):    # whose elements are those of its nodes
            run.elements = batch * use.times * math.prod(use.graph.shapes[use.node.name])
        runs[use.path] = run
    return runs
