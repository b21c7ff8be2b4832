"""Report of a synthesis: its table, its JSON, and the requirements that it misses."""

import dataclasses
from statistics import median
from typing import Any, NamedTuple

from eie_hdl.export.families import FAMILIES, Family

from .mapping import Counts, matches
from .place_and_route import ROUTERS, Route
from .provenance import Provenance

__all__ = ["MAX_LUTS", "MIN_MHZ", "Report", "Requirement"]

#: Limits for one PE of the default configuration on an ECP5.
MIN_MHZ = 115
MAX_LUTS = 1020

#: Memories of a PE that must be block RAMs.
_BLOCK_RAMS = ("spmat", "ptr_even", "ptr_odd", "act")


class Requirement(NamedTuple):
    """Requirement of a synthesis, checked.

    Attributes
    ----------
    name : :class:`str`
        Clock rate, cells or memory, by its key in the JSON file.
    relation : :class:`str`
        ``>=`` or ``<=`` for a number; ``in`` for a memory and its cells.
    limit : :class:`float` or :class:`tuple` of :class:`str`
        Limit, or patterns of the types of cells of which the memory must have one.
    found : :class:`float` or :class:`dict`
        Figure, or cells of the memory by type.
    met : :class:`bool`
        Whether the figure is within the limit.
    text : :class:`str`
        Limit, for a table.
    miss : :class:`str`
        Sentence for a requirement that is missed.
    """

    name: str
    relation: str
    limit: float | tuple[str, ...]
    found: float | dict[str, int]
    met: bool
    text: str
    miss: str

    def as_dict(self) -> dict[str, Any]:
        """Return the entry in the JSON file."""
        return {"name": self.name, "relation": self.relation, "limit": self.limit,
                "found": self.found, "met": self.met}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """Size and speed of a module.

    Attributes
    ----------
    provenance : :class:`~.provenance.Provenance`
        Machine, commit and tools.
    target : :class:`str`
        Name of the family, in :data:`~eie_hdl.export.families.FAMILIES`.
    module : :class:`str`
        Verilog module.
    n_pe : :class:`int`
        PEs in the module.
    n_multipliers : :class:`int`
        Multipliers that there should be, if the family has them.
    counts : :class:`~.mapping.Counts`
        Cells of the module.
    routes : :class:`tuple` of :class:`~.place_and_route.Route`
        Place and route of each seed; empty if it was only synthesised.
    seconds : :class:`float`
        Time that synthesis took, without place and route.
    min_mhz, max_luts : :class:`float`, :class:`int`, optional
        Least clock rate, and greatest number of LUTs.
    """

    provenance: Provenance
    target: str
    module: str
    n_pe: int
    n_multipliers: int
    counts: Counts
    routes: tuple[Route, ...]
    seconds: float
    min_mhz: float | None = None
    max_luts: int | None = None

    @property
    def mhz(self) -> float | None:
        """Median of the clock rates; None without place and route."""
        return median(route.mhz for route in self.routes) if self.routes else None

    @property
    def device(self) -> str | None:
        """Device that was placed and routed; None without place and route."""
        return ROUTERS[self.target].device if self.routes else None

    def requirements(self) -> list[Requirement]:
        """List what is required of the module, and whether it is met."""
        family, counts, found = FAMILIES[self.target], self.counts, []
        if self.min_mhz is not None and self.mhz is not None:
            found.append(Requirement(
                "mhz", ">=", self.min_mhz, self.mhz, self.mhz >= self.min_mhz,
                f"≥ {self.min_mhz:g} MHz",
                f"the clock rate must be at least {self.min_mhz:g} MHz, not {self.mhz:.1f}"))
        if self.max_luts is not None:
            found.append(Requirement(
                "luts", "<=", self.max_luts, counts.luts, counts.luts <= self.max_luts,
                f"≤ {self.max_luts}",
                f"there must be at most {self.max_luts} LUTs, not {counts.luts}"))
        for name, patterns in _memory_kinds(family).items():
            cells = counts.memories.get(name, {})
            found.append(Requirement(
                name, "in", patterns, cells, any(matches(kind, patterns) for kind in cells),
                _join(patterns),
                f"{name} must be in {_join(patterns)}, not {_format_cells(cells)}"))
        if family.multipliers and self.n_multipliers:
            found.append(Requirement(
                "multipliers", ">=", self.n_multipliers, counts.multipliers,
                counts.multipliers >= self.n_multipliers, f"≥ {self.n_multipliers}",
                f"there must be at least {self.n_multipliers} {_join(family.multipliers)}, not "
                f"{counts.multipliers}"))
        return found

    def misses(self) -> list[str]:
        """List the requirements that are missed, one sentence each."""
        return [one.miss for one in self.requirements() if not one.met]

    def rows(self) -> list[list[str]]:
        """Return rows of name, value and requirement."""
        family, counts = FAMILIES[self.target], self.counts
        required = {one.name: one.text for one in self.requirements()}
        rows: list[tuple[str, Any, str]] = [
            ("LUTs (LUT RAM aside)", counts.luts, required.get("luts", "")),
            (f"carry cells ({_join(family.carry)})", counts.carry, ""),
            ("flip-flops", counts.flipflops, ""),
            (f"LUT RAM ({_join(family.lut_ram)})" if family.lut_ram else "LUT RAM", counts.lut_ram,
             ""),
            (f"block RAM ({_join(family.block_ram)})", counts.block_ram, ""),
            *((f"– {name}", _format_cells(cells), required.get(name, ""))
              for name, cells in counts.memories.items()),
            (f"multipliers ({_join(family.multipliers)})", counts.multipliers,
             required.get("multipliers", "none: mac_stages is above 4"))
            if family.multipliers else
            ("multipliers", "in LUTs: Yosys maps to none", ""),
            ("Fmax", self._format_rate(), required.get("mhz", ""))]
        for route in self.routes:
            by_seed = f", seed {route.seed}" if len(self.routes) > 1 else ""
            rows += [(f"longest path from{by_seed}", f"`{route.critical[0]}`", ""),
                     (f"longest path to{by_seed}", f"`{route.critical[1]}`", "")]
        rows.append(("tools", ", ".join(f"{name} {version}"
                                        for name, version in self.provenance.tools.items()), ""))
        return [[name, str(value), requirement] for name, value, requirement in rows]

    def _format_rate(self) -> str:
        if self.mhz is None:
            return "not known: only synthesised"
        each = ", ".join(f"{route.mhz:.1f} (seed {route.seed})" for route in self.routes)
        return f"{self.mhz:.1f} MHz" + (f", median of {each}" if len(self.routes) > 1 else "")

    def markdown(self) -> str:
        """Format the rows as a Markdown table."""
        return "\n".join([f"| {FAMILIES[self.target].title} | {self.module} | required |",
                          "|---|---|---|",
                          *(f"| {' | '.join(row)} |" for row in self.rows()), ""])

    def as_dict(self) -> dict[str, Any]:
        """Return the content of the JSON file."""
        return {"target": self.target, "module": self.module, "n_pe": self.n_pe,
                **self.provenance.as_dict(), **self.counts._asdict(), "device": self.device,
                "mhz": self.mhz, "routes": [route._asdict() for route in self.routes],
                "seconds": self.seconds,
                "requirements": [one.as_dict() for one in self.requirements()],
                "misses": self.misses()}


def _memory_kinds(family: Family) -> dict[str, tuple[str, ...]]:
    """Patterns of the cells that memories of a PE must be in, by name."""
    return dict.fromkeys(_BLOCK_RAMS, family.block_ram) | (
        {"acc": family.lut_ram} if family is FAMILIES["ecp5"] else {})


def _join(patterns: tuple[str, ...]) -> str:
    return " or ".join(patterns)


def _format_cells(cells: dict[str, int]) -> str:
    return ", ".join(f"{number} {kind}" for kind, number in sorted(cells.items())) or "none"
