"""Report of a synthesis: its table, its JSON, and the requirements that it misses."""

import dataclasses
from statistics import median
from typing import Any

from eie_hdl.export.families import FAMILIES, Family

from .mapping import Counts, matches
from .place_and_route import ROUTERS, Route

__all__ = ["MAX_LUTS", "MIN_MHZ", "Report"]

#: Limits for one PE of the default configuration on an ECP5.
MIN_MHZ = 115
MAX_LUTS = 1020

#: Memories of a PE that must be block RAMs.
_BLOCK_RAMS = ("spmat", "ptr_even", "ptr_odd", "act")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """Size and speed of a module.

    Attributes
    ----------
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
    tools : :class:`dict` of :class:`str` to :class:`str`
        Version of each tool.
    seconds : :class:`float`
        Time that synthesis took, without place and route.
    min_mhz, max_luts : :class:`float`, :class:`int`, optional
        Least clock rate, and greatest number of LUTs.
    """

    target: str
    module: str
    n_pe: int
    n_multipliers: int
    counts: Counts
    routes: tuple[Route, ...]
    tools: dict[str, str]
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

    def misses(self) -> list[str]:
        """List the requirements that are missed, one sentence each."""
        family, wrong = FAMILIES[self.target], []
        if self.min_mhz is not None and self.mhz is not None and self.mhz < self.min_mhz:
            wrong.append(f"the clock rate must be at least {self.min_mhz:g} MHz, not "
                         f"{self.mhz:.1f}")
        if self.max_luts is not None and self.counts.luts > self.max_luts:
            wrong.append(f"there must be at most {self.max_luts} LUTs, not {self.counts.luts}")
        for name, patterns in _memory_kinds(family).items():
            found = self.counts.memories.get(name, {})
            if not any(matches(kind, patterns) for kind in found):
                wrong.append(f"{name} must be in {_join(patterns)}, not "
                             f"{_format_cells(found)}")
        if family.multipliers and self.counts.multipliers < self.n_multipliers:
            wrong.append(f"there must be at least {self.n_multipliers} "
                         f"{_join(family.multipliers)}, not {self.counts.multipliers}")
        return wrong

    def rows(self) -> list[list[str]]:
        """Return rows of name, value and requirement."""
        family, counts = FAMILIES[self.target], self.counts
        required = {name: _join(kinds) for name, kinds in _memory_kinds(family).items()}
        rows: list[tuple[str, Any, str]] = [
            ("LUTs (LUT RAM aside)", counts.luts, f"≤ {self.max_luts}" if self.max_luts else ""),
            (f"carry cells ({_join(family.carry)})", counts.carry, ""),
            ("flip-flops", counts.flipflops, ""),
            (f"LUT RAM ({_join(family.lut_ram)})" if family.lut_ram else "LUT RAM", counts.lut_ram,
             ""),
            (f"block RAM ({_join(family.block_ram)})", counts.block_ram, ""),
            *((f"– {name}", _format_cells(cells), required.get(name, ""))
              for name, cells in counts.memories.items()),
            (f"multipliers ({_join(family.multipliers)})", counts.multipliers,
             f"≥ {self.n_multipliers}" if self.n_multipliers else "none: mac_stages is above 4")
            if family.multipliers else
            ("multipliers", "in LUTs: Yosys maps to none", ""),
            ("Fmax", self._format_rate(), f"≥ {self.min_mhz:g} MHz" if self.min_mhz else "")]
        for route in self.routes:
            by_seed = f", seed {route.seed}" if len(self.routes) > 1 else ""
            rows += [(f"longest path from{by_seed}", f"`{route.critical[0]}`", ""),
                     (f"longest path to{by_seed}", f"`{route.critical[1]}`", "")]
        rows.append(("tools", ", ".join(f"{name} {version}"
                                        for name, version in self.tools.items()), ""))
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
                **self.counts._asdict(), "device": self.device, "mhz": self.mhz,
                "routes": [route._asdict() for route in self.routes], "tools": self.tools,
                "seconds": self.seconds, "misses": self.misses()}


def _memory_kinds(family: Family) -> dict[str, tuple[str, ...]]:
    """Patterns of the cells that memories of a PE must be in, by name."""
    return dict.fromkeys(_BLOCK_RAMS, family.block_ram) | (
        {"acc": family.lut_ram} if family is FAMILIES["ecp5"] else {})


def _join(patterns: tuple[str, ...]) -> str:
    return " or ".join(patterns)


def _format_cells(cells: dict[str, int]) -> str:
    return ", ".join(f"{number} {kind}" for kind, number in sorted(cells.items())) or "none"
