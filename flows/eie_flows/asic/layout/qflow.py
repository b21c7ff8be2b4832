"""Placement by graywolf and routing by qrouter, through qflow."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from eie_hdl.files import write_file, write_files
from eie_sim.rtl.toolchain import ToolError, find_qflow, require

from ... import osu018
from .netlist import GROUND, POWER

__all__ = ["place_and_route", "read_failures", "require_qflow"]

#: Technology, and name of the parameters of the placer in its folder.
_TECHNOLOGY = osu018.FOLDER.name
_PARAMETERS = osu018.FOLDER / f"{_TECHNOLOGY}.par"

#: Ends of the logs in an error.
_LINES = 20


def require_qflow() -> None:
    """Check that qflow and its technology are installed.

    Raises
    ------
    ToolError
        If not. The message has the remedy.
    """
    require(find_qflow())
    if not _PARAMETERS.exists():
        raise ToolError(f"the library {_TECHNOLOGY} must be installed for a layout, but was not "
                        f"found in {_PARAMETERS}: {osu018.INSTALL}")


def place_and_route(module: str, folder: Path, *, seed: int,
                    progress: Callable[[str], None] = lambda step: None) -> tuple[Path, int]:
    """Place and route ``NAME.blif`` in `folder`; return the DEF file, and routes that failed.

    Parameters
    ----------
    module : :class:`str`
        Name of the module; ``NAME.v`` must be next to the netlist, too.
    folder : :class:`~pathlib.Path`
        Folder; qflow works in ``qflow`` inside it.
    seed : :class:`int`
        Seed of the placer.
    progress : function of :class:`str`
        Called whenever the number of nets without a route is a multiple of 1,000.

    Raises
    ------
    ToolError
        If a tool is missing or fails. The message has the end of its output.
    """
    require_qflow()
    work = (folder / "qflow").resolve()    # its scripts change folders
    shutil.rmtree(work, ignore_errors=True)
    for name in ("source", "synthesis", "layout", "log"):
        (work / name).mkdir(parents=True)
    shutil.copy(folder / f"{module}.v", work / "source")
    shutil.copy(folder / f"{module}.blif", work / "synthesis")
    parameters = re.sub(r"^(\*random\.seed\s*:\s*)\d+", rf"\g<1>{seed}",
                        _PARAMETERS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    write_files(work, {f"layout/{module}.par": parameters, f"synthesis/{module}_powerground":
                       f"set vddnet={POWER}\nset gndnet={GROUND}\n"})
    output = _run(["qflow", "-t", _TECHNOLOGY, "-p", str(work), "place", "route", module], work,
                  progress)
    write_file(folder / "qflow.log", output)
    log = work / "log" / "route.log"
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    failures, result = read_failures(text), work / "layout" / f"{module}.def"
    if failures is None or not result.exists():
        raise ToolError("\n".join([f"qflow failed; the end of {folder / 'qflow.log'}:",
                                   *output.splitlines()[-_LINES:]]))
    shutil.copy(result, folder / f"{module}.def")
    return folder / f"{module}.def", failures


def read_failures(log: str) -> int | None:
    """Return the number of failed routes in a log of qrouter, None if it has not ended."""
    found = re.search(r"^Final: (?:No failed routes|Failed net routes: (\d+))", log, re.MULTILINE)
    return int(found[1] or 0) if found else None


def _run(arguments: list[str], folder: Path, progress: Callable[[str], None]) -> str:
    """Run a program whose children end with this one; return its output."""
    # Without a display the placer draws nothing.
    environment = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    lines = []
    with subprocess.Popen(arguments, cwd=folder, env=environment, start_new_session=True,
                          encoding="utf-8", errors="replace", stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                lines.append(line)
                if found := re.match(r"Nets remaining: (\d+)000$", line):
                    progress(f"routing: {found[1]},000 nets remain")
            return "".join(lines)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
