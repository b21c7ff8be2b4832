"""Synthesis of a module of a machine for an FPGA family, placed and routed where possible."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from eie_compiler.files.json_file import write_json
from eie_hdl.config import EIEConfig
from eie_hdl.export.families import FAMILIES
from eie_hdl.export.verilog import emit
from eie_hdl.files import write_file

from .mapping import count, map_cells
from .place_and_route import ROUTERS, Route, place_and_route
from .provenance import trace
from .report import MAX_LUTS, MIN_MHZ, Report

__all__ = ["synthesise"]


def synthesise(config: EIEConfig, folder: str | Path, *, target: str = "ecp5",
               module: str = "eie_pe", seeds: Sequence[int] = (1,), min_mhz: float | None = None,
               progress: Callable[[str], None] = lambda step: None) -> Report:
    """Synthesise a module of a machine out of context; write ``synth.md`` and ``synth.json``.

    Chains of flip-flops at the ports replace the neighbours: every path of the module has a
    register at each end, as in the machine, and few pins are needed. The chains are not counted.

    Parameters
    ----------
    config : :class:`~eie_hdl.config.EIEConfig`
        The machine.
    folder : :class:`str` or :class:`~pathlib.Path`
        Destination of the report, intermediate files and logs.
    target : :class:`str`
        Name of the family, in :data:`~eie_hdl.export.families.FAMILIES`.
    module : :class:`str`
        ``eie_pe``; ``eie_core``, the machine without its buses; or ``eie``.
    seeds : sequence of :class:`int`
        Seeds of the placer, each once; none for synthesis alone.
    min_mhz : :class:`float`, optional
        Least clock rate. By default that of :data:`~.report.MIN_MHZ` for a PE of the default
        configuration on an ECP5.
    progress : function of :class:`str`
        Called with each step.

    Raises
    ------
    ToolError
        If a tool is missing or fails. The message ends with the end of its log.
    """
    folder, family = Path(folder), FAMILIES[target]
    router = ROUTERS.get(target) if seeds else None
    provenance = trace(config, "pyosys", *([router.package] if router else []))
    progress(f"synthesising {module}")
    start = time.monotonic()
    emitted = emit(config, ram_style=family.ram_style, initial_values=family.initial_values)
    counts = count(map_cells(emitted.files, folder, top=module, family=family), family)
    seconds = round(time.monotonic() - start, 1)
    routes: tuple[Route, ...] = ()
    if router:
        progress(f"placing and routing {module} with seed{'s' if len(seeds) > 1 else ''} "
                 f"{', '.join(map(str, seeds))}")
        routes = place_and_route(folder, router, seeds, counts.cells, progress)
    has_limits = ((target, module) == ("ecp5", "eie_pe")
                  and dataclasses.replace(config, n_pe=EIEConfig().n_pe) == EIEConfig())
    n_pe = 1 if module == "eie_pe" else config.n_pe
    # A sum in several parts is added to a product that is not added up, in LUTs.
    has_multipliers = len(config.acc_parts) == 1
    report = Report(
        provenance=provenance, target=target, module=module, n_pe=n_pe,
        n_multipliers=n_pe if has_multipliers else 0,
        counts=counts, routes=routes, seconds=seconds,
        min_mhz=MIN_MHZ if min_mhz is None and has_limits and routes else min_mhz,
        max_luts=MAX_LUTS if has_limits else None)
    write_file(folder / "synth.md", report.markdown())
    write_json(folder / "synth.json", report.as_dict())
    return report
