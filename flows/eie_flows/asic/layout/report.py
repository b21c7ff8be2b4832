"""Layout of a module: netlist, placement, routing, GDS, picture and checks."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eie_compiler.files.json_file import write_json
from eie_hdl.config import EIEConfig

from ... import osu018
from ...libraries import Library
from ...provenance import Provenance, trace
from ..synthesis import cell_areas
from .checks import Connections, Violations, check_cells, check_connections, check_rules
from .geometry import draw, read_geometry
from .netlist import make_netlist
from .qflow import place_and_route, require_qflow

__all__ = ["COLUMNS", "NOT_CHECKED", "Layout", "lay_out"]

#: Cell that fills the gaps of a row.
_FILLER = "FILL"

#: Heads of the table.
COLUMNS = ("", "value")

#: What this layout would also need.
NOT_CHECKED = ("transistors, wells and contacts: the library has no layout of its cells",
               "distances of vias, densities and antennas",
               "drops of the supply, and the skew of the clock: there is no balanced tree",
               "timing with the wires")


@dataclass(frozen=True)
class Layout:
    """Figures of a layout.

    Attributes
    ----------
    provenance : :class:`~eie_flows.provenance.Provenance`
        Machine, commit and tools.
    library, module : :class:`str`
        Names.
    period : :class:`float`
        Clock period in ns at which the gates were sized.
    seed : :class:`int`
        Seed of the placer.
    cells, flipflops : :class:`int`
        Standard cells without fillers, and those that are flip-flops.
    area : :class:`float`
        Area of the cells in µm².
    width, height : :class:`float`
        Of the block with its pins, in µm.
    utilisation : :class:`float`
        Share of the rows that the cells fill, from 0 to 1.
    wires : :class:`dict` of :class:`str` to :class:`float`
        Length in µm by metal layer, without the supply.
    vias : :class:`int`
        Number, without those of the supply.
    failed_routes : :class:`int`
        As the router reports.
    wrong_cells : :class:`tuple` of :class:`str`
        Cells that differ from those of the netlist.
    connections : :class:`~.checks.Connections`
        Comparison with the netlist.
    rules : :class:`dict` of :class:`str` to :class:`~.checks.Violations`
        By metal layer.
    seconds : :class:`float`
        Time of placement and routing.
    """

    provenance: Provenance
    library: str
    module: str
    period: float
    seed: int
    cells: int
    flipflops: int
    area: float
    width: float
    height: float
    utilisation: float
    wires: dict[str, float]
    vias: int
    failed_routes: int
    wrong_cells: tuple[str, ...]
    connections: Connections
    rules: dict[str, Violations]
    seconds: float

    def rows(self) -> list[list[str]]:
        """Return rows of a name and a value."""
        joined = self.connections
        return [["cells, of which flip-flops", f"{self.cells:,}, {self.flipflops:,}"],
                ["area of the cells", f"{self.area:,.0f} µm²"],
                ["block", f"{self.width:.1f} × {self.height:.1f} µm"],
                ["utilisation of the rows", f"{self.utilisation:.0%}"],
                ["wires", f"{sum(self.wires.values()):,.0f} µm"],
                ["vias", f"{self.vias:,}"],
                ["failed routes, as the router reports", f"{self.failed_routes:,}"],
                ["cells unlike the netlist", f"{len(self.wrong_cells):,}"],
                ["nets and pins compared", f"{joined.nets:,} and {joined.pins:,}"],
                ["open nets, shorts", f"{len(joined.opened):,}, {len(joined.shorted):,}"],
                ["metal too narrow, too close, on metal of cells", ", ".join(
                    f"{sum(getattr(layer, name) for layer in self.rules.values()):,}"
                    for name in ("narrow", "close", "blocked"))],
                *(["not checked", each] for each in NOT_CHECKED)]

    def misses(self) -> list[str]:
        """List what is wrong with the layout."""
        opened, shorted = self.connections.opened, self.connections.shorted
        found = [(self.failed_routes, f"{self.failed_routes} routes failed"),
                 (self.wrong_cells, f"cells unlike the netlist: {', '.join(self.wrong_cells[:5])}"),
                 (opened, f"open nets: {', '.join(opened[:5])}"),
                 (shorted, "nets connected to one another: "
                           + "; ".join(" and ".join(nets) for nets in shorted[:5])),
                 *((any(dataclasses.astuple(each)), f"{name}: {each.narrow} places too narrow, "
                    f"{each.close} too close, {each.blocked} wires on metal of cells")
                   for name, each in self.rules.items())]
        return [text for wrong, text in found if wrong]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON."""
        figures = dataclasses.asdict(self)
        del figures["provenance"]
        return {**self.provenance.as_dict(), **figures, "not_checked": NOT_CHECKED,
                "misses": self.misses()}


def lay_out(config: EIEConfig, files: Mapping[str, str], module: str, library: Library,
            folder: Path, *, period: float, seed: int,
            progress: Callable[[str], None] = lambda step: None) -> Layout:
    """Lay out one module; write its netlist, DEF, GDS, picture and figures to `folder`.

    Parameters
    ----------
    config : :class:`~eie_hdl.config.EIEConfig`
        The machine.
    files : mapping of :class:`str` to :class:`str`
        Its Verilog, named ``eie``.
    module : :class:`str`
        Module of the machine; memories in it are left out, and their pins become its ports.
    library : :class:`~eie_flows.libraries.Library`
        Standard cells.
    folder : :class:`~pathlib.Path`
        Destination.
    period : :class:`float`
        Clock period in ns at which gates are sized.
    seed : :class:`int`
        Seed of the placer.
    progress : function of :class:`str`
        Called with the name of each step as it begins.

    Raises
    ------
    ToolError
        If a tool or the library is missing, or a tool fails.
    """
    provenance = trace(config, "pyosys", "qflow", "klayout")
    require_qflow()
    progress(f"synthesising {module}")
    netlist = make_netlist(files, module, library, folder, period=period)
    progress(f"placing and routing {len(netlist.kinds):,} cells")
    begin = time.monotonic()
    definition, failed = place_and_route(module, folder, seed=seed, progress=progress)
    seconds = time.monotonic() - begin
    progress("checking the layout")
    geometry = read_geometry(definition, osu018.LEF)
    geometry.write(folder / f"{module}.gds")
    draw(geometry, folder / f"{module}.png")
    areas = cell_areas(library.find().read_text(encoding="utf-8"))
    cells = [kind for kind in geometry.kinds().values() if kind != _FILLER]
    area = sum(map(geometry.cell_area, cells))
    report = Layout(
        provenance, library.name, module, period, seed, len(cells),
        sum(areas[kind][1] for kind in cells), area,
        *geometry.die(), area / geometry.core(), geometry.wires(), geometry.vias(), failed,
        tuple(check_cells(geometry, netlist, [_FILLER])), check_connections(geometry, netlist),
        check_rules(geometry), seconds)
    write_json(folder / "layout.json", report.as_dict())
    return report
