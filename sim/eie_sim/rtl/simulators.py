"""Compilation of Verilog for Verilator and Icarus, cached."""

import contextlib
import dataclasses
import functools
import importlib.metadata
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from eie_hdl.export.initial_values import remove_values_without_reset
from eie_hdl.export.names import source_files

from . import toolchain
from .cache import CACHE_VARIABLE, UNFINISHED_PREFIX, cache_folder, entry_path, make_once

__all__ = ["CLOCK_PERIOD", "MAKE", "SIMULATORS", "VERILATE", "CompiledDesign", "SimulationError",
           "compile_design", "end_of", "reuse_runtime", "run_step"]

SIMULATORS = ("verilator", "icarus")

#: Clock period of a simulated machine in seconds.
CLOCK_PERIOD = 1e-8

_TAIL_LINES = 40
_TIMESCALE = "1ns/1ns"

#: Option of both simulators: a memory that reads the row being written ends the simulation.
_CHECKS = "-DEIE_CHECK_COLLISIONS"

#: Verilator options common to all hosts.
VERILATE = ("--cc", _CHECKS, "--no-timing", "-Wno-lint", "-Wno-style",
            # Undefined values are random: see the plusargs of run_bench.
            "--x-initial", "unique", "--x-assign", "unique",
            "--timescale", _TIMESCALE, "--prefix", "Vtop", "-Mdir", "obj")

#: Command that compiles Verilator's output.
MAKE = ("make", "-j", str(os.cpu_count() or 1), "-C", "obj", "-f", "Vtop.mk",
        # -O2 takes up to twice as long, for a simulation that is 5 to 10 % faster. Code classified
        # as slow runs once at startup and is not worth optimising.
        "OPT_FAST=-O1", "OPT_SLOW=",
        # The run-time library is for programs and shared libraries alike.
        "OPT_GLOBAL=-Os -fPIC")


class SimulationError(RuntimeError):
    """Failure to compile a design, or of a bench; the message ends with the end of the log."""


@dataclasses.dataclass(frozen=True)
class CompiledDesign:
    """A design compiled for a simulator.

    Attributes
    ----------
    simulator : :class:`str`
        One of :data:`SIMULATORS`.
    folder : :class:`~pathlib.Path`
        Folder of the compiled files.
    top : :class:`str`
        Name of the top module.
    waves : :class:`str`, optional
        File name of the waveform it writes, or None.
    """

    simulator: str
    folder: Path
    top: str
    waves: str | None


def compile_design(files: Mapping[str, str], *, top: str, simulator: str,
                   cache: str | Path | None = None, waves: str | None = None,
                   repeated: Sequence[str] = ()) -> CompiledDesign:
    """Compile Verilog for a simulator, or reuse the cached result.

    Parameters
    ----------
    files : mapping of file name to text
        Files, of which those of :func:`~eie_hdl.export.verilog.source_files` are compiled.
    top : :class:`str`
        Top module. With Verilator, benches can access only its ports.
    simulator : :class:`str`
        One of :data:`SIMULATORS`.
    cache : :class:`str` or :class:`~pathlib.Path`, optional
        Cache folder, as for :func:`.cache.make_once`.
    waves : :class:`str`, optional
        Instance to record with all below it, such as ``pe_3``; everything if empty. Icarus writes
        FST. Verilator writes FST if zlib's and LZ4's headers are installed, else VCD.
    repeated : sequence of :class:`str`
        Modules with many instances. Verilator does not inline them, which halves the time of the
        C++ compiler without slowing the simulation.

    Raises
    ------
    ToolError
        If the simulator is missing or too old.
    SimulationError
        If the Verilog does not compile.
    """
    if simulator not in SIMULATORS:
        raise ValueError(f"simulator must be one of {', '.join(SIMULATORS)}, not {simulator!r}")
    sources = {file: remove_values_without_reset(text)
               for file, text in source_files(files).items()}
    build = _Verilator(top, waves, repeated) if simulator == "verilator" else _Icarus(top, waves)

    def make(folder: Path) -> None:
        for file, text in sources.items():
            (folder / file).write_text(text, encoding="utf-8")
        build.make(folder, list(sources), cache)

    folder = make_once(cache, f"{top}-{simulator}", [sources, build.identity()], make)
    return CompiledDesign(simulator, folder, top, build.waves_file)


def run_step(command: Sequence[str], folder: Path) -> None:
    """Run a compilation step in `folder`, appending its output to ``build.log``.

    Raises
    ------
    SimulationError
        If it fails. The message ends with the end of the log.
    """
    log = folder / "build.log"
    with log.open("a", encoding="utf-8") as output:
        code = subprocess.run(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT,
                              stdin=subprocess.DEVNULL, env=toolchain.tool_environment(),
                              check=False).returncode
    if code:
        raise SimulationError(f"{Path(command[0]).name} failed ({code})\n{end_of(log)}")


def end_of(log: Path) -> str:
    """Return the last lines of a log, for an error message."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join([f"the end of {log}:", *lines[-_TAIL_LINES:]])


@contextlib.contextmanager
def reuse_runtime(objects: Path, cache: str | Path | None) -> Iterator[None]:
    """Reuse objects of Verilator's run-time library, most of the compile time of a small design.

    They depend on the version of Verilator only: designs differ in which of them they need.

    Parameters
    ----------
    objects : :class:`~pathlib.Path`
        Folder in which the body compiles the design.
    cache : :class:`str` or :class:`~pathlib.Path`, optional
        Cache folder, as for :func:`.cache.make_once`.
    """
    tool = toolchain.find_verilator()
    kept = entry_path(cache_folder(cache), "verilator-runtime", [tool.version, tool.path, MAKE[-1]])
    kept.mkdir(exist_ok=True)
    for file in kept.glob("*.o"):
        shutil.copyfile(file, objects / file.name)
    yield
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix=UNFINISHED_PREFIX) as making:
        for file in objects.glob("verilated*.o"):
            if not (kept / file.name).exists():
                shutil.copyfile(file, Path(making) / file.name).replace(kept / file.name)


class _Icarus:
    """Compilation for Icarus; a second top module starts the waveform."""

    def __init__(self, top: str, waves: str | None) -> None:
        self.tool = toolchain.require(toolchain.find_icarus())
        self.top, self.waves = top, waves
        self.waves_file = None if waves is None else "waves.fst"

    def identity(self) -> list[str | None]:
        return [self.top, self.waves, self.tool.version, _TIMESCALE, _CHECKS]

    def make(self, folder: Path, sources: list[str], cache: str | Path | None) -> None:
        assert self.tool.path is not None
        tops = ["-s", self.top]
        (folder / "options.f").write_text(f"+timescale+{_TIMESCALE}\n", encoding="utf-8")
        if self.waves is not None:
            scope = ".".join(filter(None, [self.top, self.waves]))
            (folder / "eie_waves.v").write_text(
                "module eie_waves;\n    initial begin\n"
                f'        $dumpfile("{self.waves_file}");\n        $dumpvars(0, {scope});\n'
                "    end\nendmodule\n", encoding="utf-8")
            sources = [*sources, "eie_waves.v"]
            tops += ["-s", "eie_waves"]
        run_step([self.tool.path, "-g2005", "-Wall", _CHECKS, "-o", "sim.vvp", "-f", "options.f",
                  *tops, *sources], folder)


class _Verilator:
    """Compilation for Verilator.

    Only the ports of the top module are public. cocotb's own runner makes every signal public,
    which halves the speed.
    """

    def __init__(self, top: str, waves: str | None, repeated: Sequence[str]) -> None:
        self.tool = toolchain.require_verilator()
        self.top, self.waves, self.repeated = top, waves, repeated
        self.fst = waves is not None and _has_fst_headers()
        self.waves_file = None if waves is None else "waves.fst" if self.fst else "waves.vcd"

    def identity(self) -> list[str | None]:
        return [self.top, self.waves, self.waves_file, self.tool.version, self.tool.path,
                importlib.metadata.version("cocotb"), str(_cocotb().libs_dir), *VERILATE,
                *self.repeated]

    def make(self, folder: Path, sources: list[str], cache: str | Path | None) -> None:
        assert self.tool.path is not None
        if len(str(folder).split()) > 1:
            raise SimulationError(f"Verilator's makefiles do not support {str(folder)!r}: set "
                                  f"{CACHE_VARIABLE} to a folder without spaces in its name")
        libs = _cocotb().libs_dir
        (folder / "options.vlt").write_text(self._options(), encoding="utf-8")
        trace = [] if self.waves is None else ["--trace-fst" if self.fst else "--trace"]
        run_step([self.tool.path, *VERILATE, "--exe", "--vpi", "--top-module", self.top,
                  "-o", f"../{self.top}", *trace, "-LDFLAGS",
                  f"-Wl,-rpath,{libs} -L{libs} -lcocotbvpi_verilator",
                  "options.vlt", str(_cocotb().share_dir / "lib" / "verilator" / "verilator.cpp"),
                  *sources], folder)
        with reuse_runtime(folder / "obj", cache):
            run_step(MAKE, folder)
        shutil.rmtree(folder / "obj")

    def _options(self) -> str:
        lines = ["`verilator_config", f'public_flat_rw -module "{self.top}" -port "*"',
                 *(f'no_inline -module "{module}"' for module in self.repeated)]
        if self.waves:
            lines += [f'tracing_off -scope "{self.top}"',
                      f'tracing_on -scope "{self.top}.{self.waves}"']
        return "\n".join([*lines, ""])


@functools.cache
def _has_fst_headers() -> bool:
    """Check if Verilator's FST writer can be compiled."""
    return subprocess.run(["g++", "-E", "-x", "c++", "-"], check=False, capture_output=True,
                          input=b"#include <lz4.h>\n#include <zlib.h>\n").returncode == 0


def _cocotb():
    """Import cocotb's module with the paths of its libraries."""
    import cocotb_tools.config  # an optional dependency
    return cocotb_tools.config
