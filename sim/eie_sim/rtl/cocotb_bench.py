"""Execution of cocotb benches in compiled designs."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from . import toolchain
from .simulators import CompiledDesign, SimulationError, end_of

__all__ = ["BENCHES", "run_bench"]

#: Folder of the engines' cocotb benches.
BENCHES = Path(__file__).parent / "benches"


def run_bench(design: CompiledDesign, bench: str, folder: str | Path, *,
              plusargs: Sequence[str] = (), environment: Mapping[str, str] | None = None,
              timeout: float = 600) -> None:
    """Run the cocotb tests of a module; at least one must run and all must pass.

    Parameters
    ----------
    design : :class:`CompiledDesign`
        Design to simulate.
    bench : :class:`str`
        Module in ``benches`` or anywhere on the import path.
    folder : :class:`str` or :class:`~pathlib.Path`
        Working folder, for ``simulator.log``, ``results.xml`` and the waveform.
    plusargs : sequence of :class:`str`
        Arguments of the simulator, each with its ``+``.
    environment : mapping, optional
        Additional environment variables of the bench.
    timeout : :class:`float`, seconds
        Time limit of the simulator, which is then killed.

    Raises
    ------
    SimulationError
        If a test fails, none ran, or the time limit is exceeded. The message ends with the end of
        the log.
    """
    folder = Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    log, results = folder / "simulator.log", folder / "results.xml"
    results.unlink(missing_ok=True)
    job = {"simulator": design.simulator, "build_dir": str(design.folder), "top": design.top,
           "bench": bench, "test_dir": str(folder), "results": str(results),
           # Undefined power-on values are random in Verilator, but the same in every run.
           "plusargs": [*plusargs, *(["+verilator+rand+reset+2", "+verilator+seed+1"]
                                     if design.simulator == "verilator" else [])],
           "waves": design.waves}

    variables = toolchain.tool_environment()
    variables |= {"PYTHONPATH": os.pathsep.join([str(BENCHES), *filter(None, sys.path)]),
                  "COCOTB_ANSI_OUTPUT": "0", "COCOTB_RANDOM_SEED": "1",
                  # By default, pytest rewrites the assertions of every module, NumPy's included,
                  # in two thirds of the time of a short run.
                  "COCOTB_REWRITE_ASSERTION_FILES":
                      f"{BENCHES.name}/*.py {bench.rpartition('.')[2]}.py", **(environment or {})}
    # These variables change the behaviour of cocotb's runner.
    for name in ("PYTEST_CURRENT_TEST", "WAVES", "GUI", "COCOTB_TEST_FILTER"):
        variables.pop(name, None)
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "eie_sim.rtl.cocotb_process", json.dumps(job)], stdout=output,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=variables, cwd=folder,
            start_new_session=True)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise SimulationError(f"{design.simulator} did not end within {timeout:g} s"
                                  f"\n{end_of(log)}") from None
        finally:
            # Kill the whole group, so that the simulator, a child, does not outlive this call.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    _check_results(results, log, f"{bench} in {design.simulator}")


def _check_results(results: Path, log: Path, what: str) -> None:
    """Check that tests ran and passed."""
    if not results.exists():
        raise SimulationError(f"{what} ended without results\n{end_of(log)}")
    suites = ElementTree.parse(results).getroot()
    cases = list(suites.iter("testcase"))
    failures = [failure for case in cases for failure in [*case.iter("failure"),
                                                          *case.iter("error")]]
    if failures:
        message = failures[0].get("error_msg") or failures[0].get("message") or ""
        raise SimulationError(f"{what} failed: {message}\n{end_of(log)}")
    if not [case for case in cases if case.find("skipped") is None]:
        raise SimulationError(f"{what} ran no test\n{end_of(log)}")
