"""Bitstream for the ULX3S, an ECP5-85F board: a machine at its USB serial port."""

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eie_compiler.files.json_file import write_json
from eie_hdl.config import EIEConfig
from eie_hdl.export.families import FAMILIES
from eie_hdl.export.names import source_files
from eie_hdl.export.verilog import emit
from eie_hdl.files import write_files
from eie_hdl.frames import DEFAULT_BAUD

from .mapping import Counts, count
from .place_and_route import PLACER, ROUTERS, run_router
from .provenance import Provenance, trace
from .tools import FLATTEN, run_ecppack, run_yosys

__all__ = ["BITSTREAM", "CLOCK_MHZ", "BoardReport", "build"]

#: Clock rate of the oscillator, and of the machine: the PLL multiplies. A baud rate of 3,000,000
#: divides the latter. The phase detector of an ECP5 needs 10 MHz or more, so nothing divides first.
_OSCILLATOR_MHZ, _MULTIPLY = 25, 3
CLOCK_MHZ = _OSCILLATOR_MHZ * _MULTIPLY
#: Divider of the VCO, which runs at 600 MHz.
_VCO_DIVIDE = 8

#: Name of the bitstream in the folder of a build.
BITSTREAM = "eie_ulx3s.bit"
_TOP = "eie_ulx3s"
_FAMILY = FAMILIES["ecp5"]
_ROUTER = ROUTERS["ecp5"]._replace(arguments=("--85k", "--package", "CABGA381", "--speed", "6",
                                              *PLACER))
_TIMING = "nextpnr.json"

#: Ports of ulx3s.v -> name, number and part of a resource of amaranth-boards.
_PORTS: dict[str, tuple[str, int, str | None]] = {
    "clk25": ("clk25", 0, None), "fire1": ("button_fire", 0, None),
    "rx": ("uart", 0, "rx"), "tx": ("uart", 0, "tx"), "gpio0": ("esp32", 0, "gpio0"),
    **{f"led[{number}]": ("led", number, None) for number in range(8)}}


@dataclasses.dataclass(frozen=True)
class BoardReport:
    """Size and speed of the design on the board.

    Attributes
    ----------
    provenance : :class:`~.provenance.Provenance`
        Machine, commit and tools.
    counts : :class:`~.mapping.Counts`
        Cells of the whole design, as it is placed: registers of multipliers are in them.
    clock_mhz : :class:`int`
        Clock rate of the machine on the board.
    mhz : :class:`float`
        Highest clock rate after place and route, by nextpnr's timing model.
    baud : :class:`int`
        Baud rate of the port.
    seed : :class:`int`
        Seed of the placer.
    size : :class:`int`
        Bytes of the bitstream.
    seconds : :class:`float`
        Time that the build took.
    """

    provenance: Provenance
    counts: Counts
    clock_mhz: int
    mhz: float
    baud: int
    seed: int
    size: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Return the content of the JSON file."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**fields.pop("provenance").as_dict(), "n_pe": self.provenance.config.n_pe,
                **fields.pop("counts")._asdict(), **fields}


def build(config: EIEConfig, folder: str | Path, *, seed: int = 1,
          progress: Callable[[str], object] = lambda step: None) -> BoardReport:
    """Build the bitstream and ``board.json``; intermediate files and logs are beside them.

    Parameters
    ----------
    config : :class:`~eie_hdl.config.EIEConfig`
        The machine.
    folder : :class:`str` or :class:`~pathlib.Path`
        Destination.
    seed : :class:`int`
        Seed of the placer.
    progress : function of :class:`str`
        Called with the name of each step as it begins.

    Raises
    ------
    ToolError
        If a tool is missing or fails, or the clock is not reached. The message ends with the end of
        the log. A former bitstream is removed first.
    """
    folder, start = Path(folder), time.monotonic()
    provenance = trace(config, "amaranth-boards", "pyosys", _ROUTER.package)
    (folder / BITSTREAM).unlink(missing_ok=True)

    progress("writing the Verilog")
    sources = source_files(emit(config, bridge="uart",
                                bit_cycles=CLOCK_MHZ * 1_000_000 // DEFAULT_BAUD).files)
    write_files(folder, {**sources, f"{_TOP}.v": _top(), f"{_TOP}.lpf": _constraints()})

    progress("synthesising")
    # -defer, as parameters have values only in an instance.
    run_yosys([f"read_verilog -defer {' '.join(sources)}", f"read_verilog {_TOP}.v",
               f"hierarchy -top {_TOP}", "proc", *FLATTEN, f"{_FAMILY.synth} -top {_TOP}",
               f"write_json {_TOP}.json"],
              folder, "yosys.log")

    progress("placing and routing")
    run_router(_ROUTER, f"{_TOP}.json", {"nextpnr.log": [
        "--lpf", f"{_TOP}.lpf", "--textcfg", f"{_TOP}.config", "--report", _TIMING,
        "--seed", str(seed)]}, folder)

    progress("packing the bitstream")
    run_ecppack(["--compress", f"{_TOP}.config", BITSTREAM], folder, "ecppack.log")
    report = BoardReport(
        provenance=provenance, counts=_count(folder), clock_mhz=CLOCK_MHZ, mhz=_read_rate(folder),
        baud=DEFAULT_BAUD, seed=seed, size=(folder / BITSTREAM).stat().st_size,
        seconds=round(time.monotonic() - start, 1))
    write_json(folder / "board.json", report.as_dict())
    return report


def _top() -> str:
    """Return the Verilog around the machine, with the settings of the PLL."""
    text = (Path(__file__).parent / "ulx3s.v").read_text(encoding="utf-8")
    # The output divider counts from the phase, and the last one is none.
    for name, value in {"oscillator": _OSCILLATOR_MHZ, "clock": CLOCK_MHZ, "multiply": _MULTIPLY,
                        "divide": _VCO_DIVIDE, "phase": _VCO_DIVIDE - 1}.items():
        text = text.replace(f"/*{name}*/", str(value))
    return text


def _constraints() -> str:
    """Return pins and clock as an LPF; the pins are those of amaranth-boards."""
    from amaranth_boards.ulx3s import ULX3S_85F_Platform

    lines = [f'FREQUENCY PORT "clk25" {_OSCILLATOR_MHZ} MHZ;']
    resources = {(each.name, each.number): each for each in ULX3S_85F_Platform.resources}
    for port, (name, number, part) in _PORTS.items():
        resource = resources[name, number]
        owner = next((each for each in resource.ios if part and each.name == part), resource)
        [site] = owner.ios[0].names
        attributes = {**resource.attrs, **owner.attrs}
        lines += [f'LOCATE COMP "{port}" SITE "{site}";', f'IOBUF PORT "{port}" ' + " ".join(
            f"{key}={value}" for key, value in attributes.items()) + ";"]
    return "\n".join([*lines, ""])


def _count(folder: Path) -> Counts:
    """Count the cells of the netlist that was placed."""
    cells = _read(folder / f"{_TOP}.json")["modules"][_TOP]["cells"]
    return count({name: cell["type"] for name, cell in cells.items()})


def _read_rate(folder: Path) -> float:
    """Read the clock rate of the machine from nextpnr's report."""
    rates = _read(folder / _TIMING)["fmax"]
    # Other clocks, such as that of the oscillator, have more room.
    rate: float = min(rates.values(), key=lambda each: each["achieved"] / each["constraint"])[
        "achieved"]
    return rate


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
