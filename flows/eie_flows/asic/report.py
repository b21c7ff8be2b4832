"""Area, clock rate and power of one PE and of the whole machine in standard cells."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eie_compiler.files.json_file import write_json
from eie_hdl.config import EIEConfig
from eie_hdl.export.names import DEFAULT_NAME
from eie_hdl.export.verilog import emit
from eie_hdl.files import write_file, write_files
from eie_sim.rtl.toolchain import ToolError

from ..libraries import Library
from ..provenance import Provenance, trace
from .inference import compile_digits, simulate
from .macros import Macro, describe_lef, describe_liberty, describe_models, list_macros
from .power import Power, measure, require_calibrated_opensta
from .synthesis import Area, synthesise
from .timing import LongPath, Timing, analyse

__all__ = ["PE", "Report", "run"]

#: Path of the first PE, and of the parts of the machine that the table lists.
PE = f"{DEFAULT_NAME}.core.pe_0"


@dataclass(frozen=True)
class Report:
    """Area, clock rate and power.

    Attributes
    ----------
    library : :class:`~eie_flows.libraries.Library`
        Standard cells.
    provenance : :class:`~eie_flows.provenance.Provenance`
        Machine, commit and tools.
    period : :class:`float`
        Clock period in ns at which the gates were sized.
    areas : :class:`dict` of :class:`str` to :class:`~.synthesis.Area`
        By path of instances.
    tile, machine : :class:`~.timing.Timing`
        Of one PE, and of the whole.
    macros : :class:`tuple` of :class:`~.macros.Macro`
        Memories.
    power : :class:`dict` of :class:`str` to :class:`~.power.Power`
        By path of instances; empty if it was not measured.
    cycles : :class:`int`
        Cycles of the inference whose power it is.
    """

    library: Library
    provenance: Provenance
    period: float
    areas: dict[str, Area]
    tile: Timing
    machine: Timing
    macros: tuple[Macro, ...]
    power: dict[str, Power] = dataclasses.field(default_factory=dict)
    cycles: int = 0

    def area_rows(self) -> list[list[str]]:
        """Return rows of name, cells, flip-flops, and areas of logic and memories in µm²."""
        def row(name: str, area: Area) -> list[str]:
            gated = f", {area.gated:,} gated" if area.gated else ""
            return [name, f"{area.cells:,}", f"{area.flipflops:,}{gated}", f"{area.logic:,.0f}",
                    f"{area.macros:,.0f}" if area.macros else "–"]

        return [row(name, self.areas[path]) for path, name in self._places()]

    def power_rows(self) -> list[list[str]]:
        """Return rows of name, and power of logic and memories in mW."""
        return [[name, f"{self.power[path].logic:.2f}",
                 f"{self.power[path].macros:.2f}" if self.power[path].macros else "–"]
                for path, name in self._places() if path in self.power]

    def _places(self) -> list[tuple[str, str]]:
        """List path and name of the parts of one PE, of the PE, and of the parts of the machine."""
        n_pe = self.provenance.config.n_pe
        parts = [path for path in self.areas if path.rpartition(".")[0] == PE]
        others = [path for path in self.areas
                  if path.count(".") == 1 and path != f"{DEFAULT_NAME}.core"
                  or path.startswith(f"{DEFAULT_NAME}.core.") and path.count(".") == 2
                  and not path.startswith(f"{DEFAULT_NAME}.core.pe_")]
        return [*((path, f"– {path.removeprefix(PE)[1:]}") for path in parts), (PE, "one PE"),
                *((path, path.removeprefix(DEFAULT_NAME)[1:]) for path in others),
                (DEFAULT_NAME, f"the machine, {n_pe} PE{'s' * (n_pe > 1)}")]

    def timing_rows(self) -> list[list[str]]:
        """Return rows of module, clock rate, and start and end of the longest path.

        Also of the longest path to a clock gate, if there is one.
        """
        def row(name: str, path: LongPath) -> list[str]:
            return [name, f"{1000 / (self.period - path.slack):.0f} MHz", f"`{path.start}`",
                    f"`{path.end}`"]

        return [each for name, timing in (("one PE", self.tile), ("the machine", self.machine))
                for each in (row(name, timing.paths[0]),
                             *([row("– to clock gates", timing.gate)] if timing.gate else []))]

    def macro_rows(self) -> list[list[str]]:
        """Return rows of the memories, all figures of which are estimates."""
        return [[f"`{macro.name}`", f"{macro.words:,}", str(macro.bits), str(macro.count),
                 f"{macro.area:,.0f}", f"{macro.access:.2f}", f"{macro.energy:.1f}"]
                for macro in self.macros]

    def markdown(self) -> str:
        """Format all tables as Markdown."""
        return "\n".join([
            f"{self.library.origin}. Gates are sized for {self.period:g} ns. Before layout: "
            "without wires, with an ideal clock.", "",
            *_table(AREA_COLUMNS, self.area_rows()), *_table(TIMING_COLUMNS, self.timing_rows()),
            *_table(MACRO_COLUMNS, self.macro_rows()),
            *(_table(POWER_COLUMNS, self.power_rows()) if self.power else [])])

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON."""
        return {"library": self.library.name, "origin": self.library.origin,
                **self.provenance.as_dict(), "period": self.period,
                "areas": {path: dataclasses.asdict(area) for path, area in self.areas.items()},
                "tile": dataclasses.asdict(self.tile),
                "machine": dataclasses.asdict(self.machine),
                "macros": [{"name": macro.name, "words": macro.words, "bits": macro.bits,
                            "read_ports": 1, "write_ports": 1, "count": macro.count,
                            "area_estimate": macro.area, "access_estimate": macro.access,
                            "energy_estimate": macro.energy} for macro in self.macros],
                "power": {path: dataclasses.asdict(power) for path, power in self.power.items()},
                "cycles": self.cycles}


#: Heads of the tables.
AREA_COLUMNS = ("", "cells", "flip-flops", "logic, µm²", "memories, µm² (estimate)")
TIMING_COLUMNS = ("", "clock", "longest path from", "longest path to")
MACRO_COLUMNS = ("macro", "words", "bits", "count", "area, µm²", "access, ns", "energy, pJ")
POWER_COLUMNS = ("", "logic, mW", "memories, mW (estimate)")


def _table(columns: tuple[str, ...], rows: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns),
            *(f"| {' | '.join(row)} |" for row in rows), ""]


def run(config: EIEConfig, library: Library, folder: str | Path, *, period: float,
        clock_gates: bool = False, with_power: bool = False,
        progress: Callable[[str], None] = lambda step: None) -> Report:
    """Synthesise a machine and find its clock rate; write all files to `folder`.

    Those are ``asic.md``, ``asic.json``, the netlist, constraints, wrappers of the memories, and
    LEF, Liberty and models of the macros.

    Parameters
    ----------
    config, library
        Machine and standard cells.
    folder : :class:`str` or :class:`~pathlib.Path`
        Destination.
    period : :class:`float`
        Clock period in ns at which gates are sized, and of the power.
    clock_gates : :class:`bool`
        Give words of registers with a common enable a gate of their clock.
    with_power : :class:`bool`
        Also simulate an inference of the netlist, and compute its power.
    progress : function of :class:`str`
        Called with the name of each step as it begins.

    Raises
    ------
    ToolError
        If a tool or the library is missing, or has no latch for clock gates, or a tool fails.
    CompileError
        If the power is to be computed, and the machine cannot hold the network.
    """
    folder = Path(folder)
    library.find()
    if clock_gates and not library.clock_gate:
        raise ToolError(f"clock gates need a library with a latch, but {library.name}, as "
                        "characterised here, has none: choose osu018, or leave out --clock-gates")
    provenance = trace(config, "pyosys", "sta", *(["iverilog"] if with_power else []))
    if with_power:
        require_calibrated_opensta()
        build = compile_digits(config)
    progress("writing the Verilog")
    emitted = emit(config)
    macros = list_macros(emitted.memories, library.process)
    write_files(folder, {"macros.lib": describe_liberty(macros), "macros.lef": describe_lef(macros),
                         "macros_models.v": describe_models(macros)})
    progress("synthesising the machine")
    areas = synthesise(emitted, library, macros, folder, period=period,
                       clock_gates=clock_gates)
    progress("analysing the timing")
    tile, machine = (analyse(folder, library, top, clock=clock, period=period)
                     for top, clock in ((f"{DEFAULT_NAME}_pe", "clk"), (DEFAULT_NAME, "aclk")))
    report = Report(library, provenance, period, areas, tile, machine, tuple(macros))
    if with_power:
        progress("simulating an inference of the netlist")
        waveform = simulate(build, macros, folder)
        progress("computing the power")
        power, cycles = measure(folder, library, macros, emitted.memories, waveform, period=period)
        report = dataclasses.replace(report, power=power, cycles=cycles)
    write_file(folder / "asic.md", report.markdown())
    write_json(folder / "asic.json", report.as_dict())
    return report
