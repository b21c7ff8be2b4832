"""Fixtures and options of all tests; helpers are in support."""

import collections
import functools
import gc
import os
import re
import signal
from pathlib import Path

import hypothesis
import pytest

from eie_sim.rtl import cache, toolchain
from support import simulation

# No deadline, as a loaded computer must not fail a test; fixed examples in CI, so that a change is
# not blamed for an old bug.
hypothesis.settings.register_profile("eie", deadline=None, print_blob=True,
                                     derandomize="CI" in os.environ)
hypothesis.settings.load_profile("eie")

SIMULATORS = {"icarus": toolchain.find_icarus, "verilator": toolchain.find_verilator}


def pytest_configure(config):
    """Make tests independent of the shell that started them.

    A shell script ignores Ctrl-C for what it runs in the background. Compiled simulators are cached
    in the checkout instead of the user's cache.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ[cache.CACHE_VARIABLE] = str(Path(__file__).parents[1] / "build" / "simulators")
    # Designs are many small objects, of which few are garbage: by default Python searches them, and
    # all collected tests, so often that it takes 7 % of the time.
    gc.set_threshold(20_000, 20, 20)


def pytest_collection_modifyitems(config, items):
    """Leave out tests marked `full` unless they are asked for."""
    if not config.getoption("full"):
        config.hook.pytest_deselected(items=[
            item for item in items if item.get_closest_marker("full")])
        items[:] = [item for item in items if not item.get_closest_marker("full")]


def pytest_collection_finish():
    """Exclude the collected tests from the search for garbage."""
    gc.freeze()


#: Variables that change what Rich, click and their like print.
DISPLAY = ("COLORTERM", "COLUMNS", "FORCE_COLOR", "LINES", "NO_COLOR", "TTY_COMPATIBLE",
           "TTY_INTERACTIVE")


def pytest_addoption(parser):
    parser.addoption("--vcd", action="store_true", help="write a waveform of every simulation")
    parser.addoption("--seed", type=int, default=1, help="seed of the tests of the whole machine")
    parser.addoption("--packets", type=int, default=300,
                     help="random packets sent to the whole machine on each simulator")
    parser.addoption("--machines", type=int, default=2,
                     help="random machines for the comparison with the cycle model")
    parser.addoption("--fuzz", type=int, default=20,
                     help="damaged files of each kind that the commands read")
    parser.addoption("--full", action="store_true",
                     help="also the tests marked `full`, combinations whose parts others have")
    parser.addoption("--blocks", choices=["fast", "demo", "slow", "all"], default="fast",
                     help="blocks of the docs to run: those that take seconds; also the demo as "
                          "printed in the README; only pages with blocks that simulate or "
                          "synthesise for long, and the demo; or all")


@pytest.fixture(scope="session", autouse=True)
def display():
    """Print the same on every terminal, in this process and in those that tests start."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in DISPLAY:
            patch.delenv(variable, raising=False)
        patch.setenv("TERM", "dumb")
        yield


@pytest.fixture
def simulate(request):
    """:func:`support.simulation.simulate`, with option ``--vcd`` writing a waveform per test."""
    vcd = None
    if request.config.getoption("vcd"):
        vcd = re.sub(r"[^\w.-]+", "_", request.node.name) + ".vcd"
    return functools.partial(simulation.simulate, vcd=vcd)


@pytest.fixture(params=simulation.STALLS.values(), ids=simulation.STALLS.keys())
def stalls(request):
    """Probabilities of stalling the inputs and the outputs."""
    return request.param


@pytest.fixture(scope="session")
def simulators():
    """Folder of compiled simulators, which are kept between runs."""
    return cache.cache_folder()


def _present(request, name):
    """Return the name of an installed simulator; else skip the test, or fail it in CI."""
    tool = SIMULATORS[name]()
    if not tool.ok:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(
            f"{name} is missing: {tool.advice}")
    request.node.user_properties.append(("simulator", name))
    return name


@pytest.fixture(params=SIMULATORS)
def simulator(request):
    """Name of a Verilog simulator; the test runs on each."""
    return _present(request, request.param)


@pytest.fixture
def icarus(request):
    """Name of the simulator with X states and short compile times."""
    return _present(request, "icarus")


@pytest.fixture
def verilator(request):
    """Name of the fast simulator."""
    return _present(request, "verilator")


def pytest_terminal_summary(terminalreporter):
    """Report the number of passed tests per simulator."""
    passed = collections.Counter(
        value for report in terminalreporter.stats.get("passed", [])
        for name, value in report.user_properties if name == "simulator")
    for name in SIMULATORS:
        terminalreporter.write_line(f"tests on {name}: {passed[name]} passed")
    _report_bus_activity(terminalreporter, [
        value for report in terminalreporter.stats.get("passed", [])
        for name, value in report.user_properties if name == "axi"])


def _report_bus_activity(terminalreporter, figures):
    """Report accesses, errors and cycles of the whole machine's tests, by simulator."""
    def write(what, cells):
        terminalreporter.write_line(f"{what:<60}" + "".join(f"{cell:>12}" for cell in cells))

    if not figures:
        return
    terminalreporter.section("on the buses of the whole machine")
    write("", SIMULATORS)
    for kind, begin in [("counts", ""), ("errors", "error ")]:
        totals = [sum((collections.Counter(each[kind]) for each in figures
                       if each["simulator"] == simulator), collections.Counter())
                  for simulator in SIMULATORS]
        if kind == "errors":
            write("errors provoked", [total.total() for total in totals])
        for what in sorted(set().union(*totals)):
            write(begin + what, [total[what] for total in totals])
    # By measurement and simulator.
    cycles = collections.defaultdict(dict)
    for each in figures:
        for what, number in each["cycles"].items():
            cycles[what][each["simulator"]] = f"{number:.1f}"
    for what, numbers in cycles.items():
        write(what, [numbers.get(simulator, "") for simulator in SIMULATORS])
