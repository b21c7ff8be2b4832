"""Measurements as tables and as JSON."""

import dataclasses
from collections.abc import Iterable, Sequence
from statistics import geometric_mean
from typing import Any

from .ablation import Step
from .energy import PAPER_POWER_MW, PARTS, PE_POWER_MW, count_energy, sum_parts
from .measure import Measurement
from .nine_layers import CLOCK_MHZ, LAYERS, PAPER_POINTER_BITS, TARGET_MEAN, TOLERANCE
from .tables import Table

__all__ = ["Report"]


@dataclasses.dataclass(frozen=True)
class Report:
    """Measurements and the figures derived from them.

    Parameters
    ----------
    measured : sequence of :class:`~.measure.Measurement`
        Measurements in the order of the tables.
    steps : sequence of :class:`~.ablation.Step`
        Intermediate machines from the published one to the tuned one.
    seed : :class:`int`
        Seed of layers and inputs.
    """

    measured: Sequence[Measurement]
    steps: Sequence[Step]
    seed: int

    @property
    def machines(self) -> list[str]:
        """Machines that were measured."""
        return list(dict.fromkeys(one.machine for one in self.measured))

    @property
    def differences(self) -> Table:
        """Table of the numbers that differ from the expected ones."""
        return Table("differences", ["layer", "machine", "what", "row", "got", "expected"], [
            [one.layer.name, one.machine, wrong.layer, f"{wrong.row}", f"{wrong.got:,}",
             f"{wrong.expected:,}"] for one in self.measured for wrong in one.differences])

    def tables(self) -> dict[str, Table]:
        """Return all tables by name."""
        return {**{machine: self._cycles(machine) for machine in self.machines},
                **{f"{machine}-bounds": self._bounds(machine) for machine in self.machines},
                "end-to-end": self._end_to_end(), "simulation": self._simulation(),
                "time": self._time(), "steps": self._steps(), "memory": self._memory(),
                "energy": self._energy(), "terms": self._terms(), "power": self._power()}

    def summary(self) -> dict[str, Any]:
        """Return all measurements as plain JSON."""
        return {
            "seed": self.seed, "clock_mhz": CLOCK_MHZ,
            "machines": {one.machine: one.config.as_dict() for one in self.measured},
            "paper": {one.layer.name: one.layer._asdict() for one in self.measured},
            "measured": [{**one.summary(), "energy_nj": sum_parts(count_energy(one))}
                         for one in self.measured],
            "mean_ratio": {machine: geometric_mean(one.ratio for one in self._of(machine))
                           for machine in self.machines},
            "steps": [{"title": step.title, "config": step.machine.config.as_dict(),
                       "mapping": step.machine.mapping, "filling_limit": step.filling_limit,
                       "ratios": step.ratios, "mean_ratio": geometric_mean(step.ratios.values())}
                      for step in self.steps],
            "energy_terms": {machine: [dataclasses.asdict(term) for term in count_energy(one)]
                             for machine, one in self._first().items()}}

    def _of(self, machine: str) -> list[Measurement]:
        return [one for one in self.measured if one.machine == machine]

    def _first(self) -> dict[str, Measurement]:
        return {machine: self._of(machine)[0] for machine in self.machines}

    def _by_layer(self) -> Iterable[tuple[Measurement, ...]]:
        """Group the measurements by layer, in the order of the machines."""
        return zip(*(self._of(machine) for machine in self.machines))

    def _cycles(self, machine: str) -> Table:
        measured, tuned = self._of(machine), machine == "tuned"
        rows = [[one.layer.name, f"{one.products:,}", f"{one.ideal:,.0f}", f"{one.cycles:,}",
                 f"{one.ratio:.3f}",
                 *(_judge(one.ratio, one.layer.target) if tuned else
                   _differ(one.ratio, one.layer.expected)),
                 f"{one.padding:.1%}", f"{one.entry_balance:.1%}",
                 *(f"{one.counters[f'stall_{cause}']:,}" for cause in ("full", "scan", "barrier"))]
                for one in measured]
        mean = geometric_mean(one.ratio for one in measured)
        expected = geometric_mean(one.layer.expected for one in measured)
        judged = _judge(mean, TARGET_MEAN) if len(measured) == len(LAYERS) else ["", ""]
        rows.append(["geometric mean", "", "", "", f"{mean:.3f}",
                     *(judged if tuned else _differ(mean, expected)), *[""] * 5])
        return Table(
            f"{machine}: cycles", ["layer", "products", "ideal", "cycles", "ratio",
                                   *(["at most", "met"] if tuned else ["expected", "difference"]),
                                   "padding", "entry balance", "full", "scan", "barrier"], rows)

    def _bounds(self, machine: str) -> Table:
        rows = [[one.layer.name, *(f"{cycles / one.ideal:.3f}" for cycles in one.bounds),
                 f"{one.ratio:.3f}"] for one in self._of(machine)]
        return Table(f"{machine}: ratio if nothing cost a cycle but …", [
            "layer", "entries", "and empty columns", "broadcasts", "simple model", "everything"],
            rows)

    def _end_to_end(self) -> Table:
        """Table of cycles with all transfers, which only the simulated machine has."""
        rows = []
        for machine in self.machines:
            ratios = []
            for one in self._of(machine):
                if one.end_to_end is not None:
                    ratios.append(one.end_to_end.cycles / one.ideal)
                    rows.append([one.layer.name, machine, f"{one.ideal:,.0f}", f"{one.cycles:,}",
                                 f"{one.end_to_end.cycles:,.0f}", f"{ratios[-1]:.3f}",
                                 f"{one.end_to_end.bound / one.ideal:.3f}",
                                 f"{one.end_to_end.latency:,}"])
            if ratios:
                rows.append(["geometric mean", machine, "", "", "",
                             f"{geometric_mean(ratios):.3f}", "", ""])
        return Table("end-to-end cycles", ["layer", "machine", "ideal", "net", "end-to-end",
                                           "end-to-end ratio", "bound", "latency"], rows)

    def _simulation(self) -> Table:
        """Runs and their times. The time of the cycle model is from weights to prediction."""
        rows = [[one.layer.name, one.machine, one.engine, f"{one.outputs:,}",
                 f"{len(one.differences)}", f"{one.seconds:.2f}", f"{one.model_seconds:.2f}",
                 f"{one.seconds / one.model_seconds:.0f}×" if one.seconds else ""]
                for one in self.measured]
        rows.append(["all", "", "", f"{sum(one.outputs for one in self.measured):,}",
                     f"{sum(len(one.differences) for one in self.measured)}",
                     f"{sum(one.seconds for one in self.measured):.2f}",
                     f"{sum(one.model_seconds for one in self.measured):.2f}", ""])
        return Table("simulation", ["layer", "machine", "engine", "results compared", "differences",
                                    "engine, s", "cycle model, s", "factor"], rows)

    def _time(self) -> Table:
        rows = [[same[0].layer.name, f"{same[0].layer.theoretical_us:.1f}",
                 f"{same[0].layer.actual_us:.1f}", f"{_published(same[0]):.2f}",
                 *(cell for one in same for cell in (
                     f"{one.microseconds:.1f}", f"{one.layer.actual_us / one.microseconds:.2f}"))]
                for same in self._by_layer()]
        means = [geometric_mean(one.layer.actual_us / one.microseconds for one in self._of(machine))
                 for machine in self.machines]
        paper = geometric_mean(map(_published, self._of(self.machines[0])))
        rows.append(["geometric mean", "", "", f"{paper:.2f}",
                     *(cell for mean in means for cell in ("", f"{mean:.2f}"))])
        return Table(
            f"µs at {CLOCK_MHZ} MHz",
            ["layer", "paper, theoretical", "paper, actual", "actual / theoretical",
             *(heading for machine in self.machines
               for heading in (machine, f"actual / {machine}"))], rows)

    def _steps(self) -> Table:
        names = list(self.steps[0].ratios)
        rows = [[step.title, *(f"{step.ratios[name]:.3f}" for name in names),
                 f"{geometric_mean(step.ratios.values()):.3f}"] for step in self.steps]
        return Table("ratio, one step after another", ["machine", *names, "geometric mean"], rows)

    def _memory(self) -> Table:
        rows = []
        for same in self._by_layer():
            stored, nonzeros = same[0].stored, same[0].nonzeros
            paper = (stored.entries * stored.entry_bits
                     + stored.pointers * PAPER_POINTER_BITS) / nonzeros
            cells = [same[0].layer.name, f"{nonzeros:,}", f"{paper:.2f}"]
            for one in same:
                entries = one.stored.entries * one.stored.entry_bits / one.nonzeros
                pointers = one.stored.pointers * one.stored.pointer_bits / one.nonzeros
                cells += [f"{entries:.2f}", f"{pointers:.2f}", f"{entries + pointers:.2f}"]
            rows.append(cells)
        return Table("bits stored per nonzero weight", [
            "layer", "nonzeros", f"{self.machines[0]}, {PAPER_POINTER_BITS}-bit pointers", *(
            f"{machine}, {what}" for machine in self.machines
            for what in ("entries", "pointers", "both"))], rows)

    def _energy(self) -> Table:
        rows = []
        for one in self.measured:
            parts = sum_parts(count_energy(one))
            total = sum(parts.values())
            rows.append([one.layer.name, one.machine,
                         *(f"{parts[part] / 1000:.2f}" for part in PARTS), f"{total / 1000:.2f}",
                         f"{total * 1000 / one.products:.1f}",
                         f"{PAPER_POWER_MW * one.layer.actual_us / 1000:.2f}"])
        return Table("energy in µJ", ["layer", "machine", *PARTS, "all", "pJ a product",
                                      "paper, power · actual time"], rows)

    def _terms(self) -> Table:
        terms = [count_energy(one) for one in self._first().values()]
        rows = [[same[0].part, *(cell for term in same
                                 for cell in (term.what, f"{term.picojoules:.2f}"))]
                for same in zip(*terms)]
        return Table("what is counted, and pJ of each", ["part", *(
            heading for machine in self.machines for heading in (machine, "pJ"))], rows)

    def _power(self) -> Table:
        """Table of the power of each part, published and by the proxy, for the first machine."""
        measured = self._of(self.machines[0])
        parts = {part: sum(sum_parts(count_energy(one))[part] for one in measured)
                 for part in PE_POWER_MW}
        pe_cycles = sum(one.cycles * one.config.n_pe for one in measured)
        rows = [[part, f"{power:.3f}", f"{power / sum(PE_POWER_MW.values()):.0%}",
                 f"{power / CLOCK_MHZ * 1000:.2f}", f"{parts[part] * 1000 / pe_cycles:.2f}",
                 f"{parts[part] / sum(parts.values()):.0%}"]
                for part, power in PE_POWER_MW.items()]
        rows.append(["all", f"{sum(PE_POWER_MW.values()):.3f}", "",
                     f"{sum(PE_POWER_MW.values()) / CLOCK_MHZ * 1000:.2f}",
                     f"{sum(parts.values()) * 1000 / pe_cycles:.2f}", ""])
        return Table("a PE of the published machine", [
            "part", "paper, mW", "share", "paper, pJ a cycle",
            f"proxy, {self.machines[0]}, pJ a cycle", "share"], rows)


def _published(one: Measurement) -> float:
    """Return the paper's actual over theoretical time, which counts padding as work."""
    return one.layer.actual_us / one.layer.theoretical_us


def _judge(ratio: float, target: float) -> list[str]:
    return [f"{target:.2f}", "yes" if ratio <= target else "**no**"]


def _differ(ratio: float, expected: float) -> list[str]:
    difference = ratio / expected - 1
    mark = " **!**" if abs(difference) > TOLERANCE else ""
    return [f"{expected:.2f}", f"{difference:+.1%}{mark}"]
