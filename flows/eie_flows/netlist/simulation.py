"""Simulation of a netlist and of the Verilog it is made from, compared transfer by transfer."""

import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eie_compiler.build import Build
from eie_compiler.compression.compress import compress
from eie_compiler.errors import CompileError
from eie_compiler.lowering.compile import compile_network
from eie_compiler.model import Model, ModelLayer
from eie_compiler.patches import Patches
from eie_compiler.random_networks import random_network
from eie_hdl.config import EIEConfig
from eie_hdl.export.verilog import emit
from eie_sim.inference import infer, prepare
from eie_sim.rtl.cocotb_engine import SimulationResult, run
from eie_sim.rtl.simulators import SimulationError
from eie_sim.rtl.toolchain import find_icarus, require

from ..tools import require_yosys
from .cell_sets import CELL_SETS
from .synthesis import make_netlist

__all__ = ["Comparison", "Recording", "Trial", "check", "compare", "make_trials", "record",
           "simulate"]

_LAYERS, _DENSITY = (40, 32, 24, 10), 0.3
_PATCHES, _CHANNELS = Patches((2, 4, 4), kernel=(3, 3)), 6
_PAUSE = 0.2


class Trial(NamedTuple):
    """A network and its inputs.

    Attributes
    ----------
    name : :class:`str`
        Name for people.
    build : :class:`~eie_compiler.build.Build`
        Network for the machine.
    words : int64 (batch, n_inputs)
        Inputs.
    pause : :class:`float`
        Probability per cycle and bus channel that the host keeps VALID or READY low.
    """

    name: str
    build: Build
    words: NDArray[np.int64]
    pause: float


class Recording(NamedTuple):
    """Simulation of a trial.

    Attributes
    ----------
    result : :class:`~eie_sim.rtl.cocotb_engine.SimulationResult`
        Results and counters.
    transfers : :class:`dict`
        Cycle and contents of each transfer, by channel of the buses; and of each change of irq.
    """

    result: SimulationResult
    transfers: dict[str, list[tuple[int, str]]]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Result for a network on a netlist.

    Attributes
    ----------
    library, trial : :class:`str`
        Library of cells, and name of the network.
    cycles, transfers, inferences : :class:`int`
        Clock cycles of the Verilog, transfers on its buses, and inferences.
    differences : :class:`tuple` of :class:`str`
        What differs, a sentence each.
    seconds : :class:`float`
        Time of the simulation of the netlist.
    """

    library: str
    trial: str
    cycles: int
    transfers: int
    inferences: int
    differences: tuple[str, ...]
    seconds: float


def make_trials(config: EIEConfig, seed: int) -> list[Trial]:
    """Draw a network of three layers, and a convolution, whose host pauses now and then.

    Widths are those of the machine, sizes always the same.

    Raises
    ------
    CompileError
        If the machine cannot hold them.
    """
    rng = np.random.default_rng(seed)
    network = random_network(rng, _LAYERS, density=_DENSITY, v_width=config.v_width,
                             frac=config.act_width // 2)
    size = _PATCHES.n_inputs
    kernel = ModelLayer("conv", rng.normal(0, size ** -0.5, (_CHANNELS, size)),
                        rng.normal(0, 0.3, _CHANNELS), True)
    images = rng.normal(0, 1, (1, *_PATCHES.shape))
    try:
        layers = compile_network(network, config, outputs="all")
        convolution = compile_network(
            compress(Model((kernel,), _PATCHES), density=[0.8], v_width=config.v_width,
                     act_width=config.act_width, codebook_width=config.codebook_width,
                     calibration=images), config)
    except CompileError as error:
        raise CompileError("the machine must hold the networks that are simulated, of layers of "
                           f"{', '.join(map(str, _LAYERS))} activations, but "
                           f"{str(error).partition(':')[0]}: choose a machine with more PEs, or "
                           f"larger memories") from error
    return [Trial("three layers", layers, prepare(layers, rng.normal(0, 1, (2, _LAYERS[0]))), 0.0),
            Trial("convolution", convolution, prepare(convolution, images), _PAUSE)]


def record(trial: Trial, folder: Path, files: Mapping[str, str]) -> Recording:
    """Simulate Verilog in Icarus, with unknown values, and record what its buses transfer.

    Raises
    ------
    SimulationError
        If the machine hangs, reports an error or sends unknown bits.
    ToolError
        If Icarus is missing.
    """
    result = run(trial.build, trial.words, simulator="icarus", files=files, folder=folder,
                 pause=trial.pause, timeout=3600, bench="eie_flows.netlist.bench_netlist")
    transfers = json.loads((folder / "transfers.json").read_text(encoding="utf-8"))
    return Recording(result, {name: [(cycle, contents) for cycle, contents in channel]
                              for name, channel in transfers.items()})


def compare(expected: Recording, got: Recording) -> list[str]:
    """List how two recordings differ."""
    found = [f"results of vector {number} must be equal, but differ in {(one != other).sum()} of "
             f"{one.size} numbers"
             for number, (one, other) in enumerate(zip(expected.result.outputs, got.result.outputs))
             if (one != other).any()]
    for field in ("counters", "cycles", "overflow"):
        one, other = (getattr(each.result, field) for each in (expected, got))
        if not np.array_equal(one, other):
            found.append(f"{field} must be {one}, not {other}")
    for name, transfers in expected.transfers.items():
        found += _compare_channel(name, transfers, got.transfers[name])
    return found


def _compare_channel(name: str, expected: Sequence[tuple[int, str]],
                     got: Sequence[tuple[int, str]]) -> list[str]:
    for number, (one, other) in enumerate(zip(expected, got)):
        if one != other:
            return [f"transfer {number} on {name} must be {one[1]} in cycle {one[0]:,}, not "
                    f"{other[1]} in cycle {other[0]:,}"]
    if len(expected) != len(got):
        return [f"{name} must have {len(expected):,} transfers, not {len(got):,}"]
    return []


def simulate(config: EIEConfig, names: Sequence[str], folder: Path, *, seed: int = 1,
             trials: Sequence[Trial] | None = None,
             step: Callable[[str], Any] = lambda what: None) -> list[Comparison]:
    """Synthesise a machine to cells of each library, and compare its simulations.

    Parameters
    ----------
    config : :class:`~eie_hdl.config.EIEConfig`
        The machine.
    names : sequence of :class:`str`
        Sets of cells, by their names in :data:`.cell_sets.CELL_SETS`.
    folder : :class:`~pathlib.Path`
        Destination of netlists, logs and transfers.
    seed : :class:`int`
        Seed of networks and inputs.
    trials : sequence of :class:`Trial`, optional
        Networks. Default: those of :func:`make_trials`.
    step : function of :class:`str`
        Called with what is done next.

    Raises
    ------
    SimulationError
        If the Verilog itself fails, or differs from the golden model.
    ToolError
        If a tool or a library is missing.
    """
    # What is missing is reported before minutes of work.
    require_yosys()
    require(find_icarus())
    for name in names:
        CELL_SETS[name].models()
    files = emit(config).files
    trials = make_trials(config, seed) if trials is None else trials
    expected = []
    for trial in trials:
        step(f"simulating the Verilog, {trial.name}")
        expected.append(record(trial, folder / "rtl" / trial.name.replace(" ", "-"), files))
        golden = infer(trial.build, trial.words, engine="golden", words=True).outputs
        if any((one != other).any() for one, other in zip(golden, expected[-1].result.outputs)):
            raise SimulationError(f"the Verilog itself must give the results of the golden model, "
                                  f"but does not for {trial.name}")
    found = []
    for name in names:
        step(f"synthesising {name}")
        netlist = make_netlist(files, CELL_SETS[name], folder / name)
        for trial, one in zip(trials, expected):
            step(f"simulating {name}, {trial.name}")
            found.append(check(name, trial, one, netlist, folder / name))
    return found


def check(name: str, trial: Trial, expected: Recording, netlist: Mapping[str, str], folder: Path
          ) -> Comparison:
    """Simulate a netlist and compare it; one that hangs differs."""
    begin = time.monotonic()
    try:
        differences = compare(expected, record(trial, folder / trial.name.replace(" ", "-"),
                                               netlist))
    except SimulationError as error:
        differences = [f"the simulation must end, but {str(error).splitlines()[0]}"]
    return Comparison(name, trial.name, expected.result.cycles,
                      sum(map(len, expected.transfers.values())), len(trial.words),
                      tuple(differences), time.monotonic() - begin)
