"""Cycle model: exact counters of a program and cycles of a batch, without simulating the Verilog.

Timing depends only on which activations are processed and how many entries their columns have in
each PE. Counters are those of a program that runs alone, with a host that takes results at once.
Cycles of a batch include packets, results and the register accesses of the driver.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eie_compiler.build import Build
from eie_compiler.vectors import output_columns
from eie_hdl.config import ACTS_PER_WORD, FILLING_LIMIT, EIEConfig
from eie_hdl.extras import missing
from eie_hdl.format import (
    BEAT_WIDTH,
    COUNTERS,
    Layouts,
    any_unwritten,
    last_element,
    n_beats,
    n_result_beats,
    result_lane_width,
)

from ..pauses import Pauses
from .steps import Step, build_steps
from .tree import make_tree

__all__ = ["BackToBack", "CycleModelError", "Prediction", "predict", "predict_back_to_back",
           "predict_build"]

#: A host that is always ready.
_NO_PAUSES = Pauses()

#: Allowance per step, in cycles, on top of the cycles in which a PE has work.
_SLACK = 1000


class CycleModelError(RuntimeError):
    """The model does not terminate, which is a bug in it, or Numba is missing."""


class Prediction(NamedTuple):
    """Predicted counters of a program.

    Attributes
    ----------
    counters : :class:`dict` of :class:`str` to :class:`int`
        All of :data:`eie_hdl.format.COUNTERS`; busy cycles are those of PE 0.
    entries : int64 (n_pe,)
        Entries processed by each PE, equal to its busy cycles.
    """

    counters: dict[str, int]
    entries: NDArray[np.int64]


class BackToBack(NamedTuple):
    """Predicted cycles of a batch, transfers included.

    Attributes
    ----------
    interval : :class:`int`
        Cycles from the first beat of the first input to the last beat of the last result, both
        included.
    latency : :class:`int`
        Cycles from the last beat of the last input to the last beat of the last result.
    """

    interval: int
    latency: int


def predict(config: EIEConfig, steps: Sequence[Step], *, filling_limit: int = FILLING_LIMIT
            ) -> Prediction:
    """Predict the counters of a program on an idle machine.

    Parameters
    ----------
    config : :class:`EIEConfig`
        The machine.
    steps : sequence of :class:`Step`
        Its program.
    filling_limit : :class:`int`
        Messages allowed in flight while an activation queue is filling; by default as in the RTL.
        With :attr:`EIEConfig.n_in_flight` the broadcast stops as soon as a queue holds
        ``queue_depth`` columns.

    Raises
    ------
    CycleModelError
        If Numba is not installed.
    """
    entries = _count_entries(config, steps)
    kernel = _import_kernel()
    none = np.zeros(1, np.int64)
    host = kernel.Host(np.zeros((0, 2), np.int64), 1, 0, 1, none, none)
    ccu = _run(config, [steps], host, filling_limit, _deadline(config, steps, entries))
    return Prediction(_count(config, steps, ccu, entries), entries)


def predict_back_to_back(build: Build, words: NDArray[np.int64], *,
                         programs: Sequence[Sequence[Step]] | None = None,
                         pauses: Pauses = _NO_PAUSES) -> BackToBack:
    """Predict the cycles of a batch that the driver runs without reading counters.

    The machine is idle before, and the host pauses on no channel but as in `pauses`.

    Parameters
    ----------
    words : int64 (batch, n_inputs)
        Inputs as from :func:`eie_sim.inference.prepare`.
    programs : sequence of sequences of :class:`Step`
        Steps of each inference. By default those of :func:`.steps.build_steps`.

    Raises
    ------
    CycleModelError
        If Numba is not installed.
    GoldenError, VectorError
        If images or inputs are invalid.
    """
    config = build.config
    kernel = _import_kernel()
    from .calls import record_calls

    if programs is None and build.steps:    # equal inputs have other states
        programs = build_steps(build, words)
    elif programs is None:
        distinct, places = np.unique(words, axis=0, return_inverse=True)
        steps = build_steps(build, distinct)
        programs = [steps[place] for place in places.ravel()]
    calls = record_calls(build, words)
    n_sent = int(calls[calls[:, 0] == kernel.LOAD, 1][0])
    word_beats = n_beats(Layouts.of(config).act_word)
    host = kernel.Host(calls, build.input_buffers, (n_sent - 1) // word_beats, word_beats,
                       np.array(pauses.inputs), np.array(pauses.results))
    n_received = sum(n_result_beats(config, n)
                     for n in output_columns(config, build.program))
    transfers = n_sent + n_received + pauses.bound(n_sent, n_received)
    deadline = sum(_deadline(config, steps, _count_entries(config, steps)) + transfers + _SLACK
                   for steps in programs)
    ccu = _run(config, programs, host, FILLING_LIMIT, deadline)
    return BackToBack(ccu.interval, ccu.latency)


def _count_entries(config: EIEConfig, steps: Sequence[Step]) -> NDArray[np.int64]:
    return sum((step.entries @ step.times for step in steps),
               np.zeros(config.n_pe, np.int64))


def _run(config: EIEConfig, programs: Sequence[Sequence[Step]], host, filling_limit: int,
         deadline: int):
    kernel = _import_kernel()
    n_sent = sum(int(step.nonzero.sum()) for steps in programs for step in steps
                 if not step.is_local)
    ccu = kernel.run(_timing_parameters(config, filling_limit), _program(config, programs), host,
                     n_sent, deadline)
    if ccu.state != kernel.ENDED:
        raise CycleModelError(f"The cycle model must end within {ccu.cycles} cycles, but the CCU "
                              f"is in state {ccu.state} after {ccu.broadcasts} of {n_sent} "
                              f"broadcasts")
    return ccu


def predict_build(build: Build, words: NDArray[np.int64]) -> list[Prediction]:
    """Predict the counters of a build for each input of a batch (batch, n_inputs).

    Raises
    ------
    CycleModelError
        If Numba is not installed.
    GoldenError, VectorError
        If images or inputs are invalid.
    """
    return [predict(build.config, steps) for steps in build_steps(build, words)]


def _import_kernel():
    try:
        from . import kernel
    except ModuleNotFoundError as error:
        raise CycleModelError(missing("Numba", "for the cycle model", "bench")) from error
    except RuntimeError as error:
        raise CycleModelError(f"The cycle model must be able to cache its compiled code ({error}): "
                              f"set NUMBA_CACHE_DIR to a writable folder") from error
    return kernel


def _timing_parameters(config: EIEConfig, filling_limit: int):
    from .kernel import TimingParameters

    in_flight = config.n_in_flight
    return TimingParameters(
        config.n_levels, config.drop_empty_columns,
        config.mac_stages + config.table_stages + config.scale_stages,
        config.loops, config.local, config.max_tiles, any_unwritten(config), config.queue_depth,
        config.queue_depth + in_flight - filling_limit, config.queue_depth + in_flight, in_flight,
        filling_limit,
        BEAT_WIDTH // result_lane_width(config), *make_tree(config))


def _program(config: EIEConfig, programs: Sequence[Sequence[Step]]):
    from .kernel import Program

    steps = [step for program in programs for step in program]

    def starts(sizes: list[int]) -> NDArray[np.int64]:
        return np.cumsum([0, *sizes[:-1]])

    n_pe = config.n_pe
    tiles = [step for step in steps if not step.n_sent]
    segments = [step.segments for step in tiles]

    def of_steps(values: list[int]) -> NDArray[np.int64]:
        """Values of the tiles, as values of all steps."""
        of_all = np.zeros(len(steps), np.int64)
        of_all[[step.n_sent == 0 for step in steps]] = values
        return of_all

    n_tiles = of_steps([each.n_tiles for each in segments])
    n_rows = np.array([step.rows for step in steps])
    words = np.concatenate([each.words(n_pe) for each in segments])
    last = [last_element(config, max(1, step.n_sent)) for step in steps]
    pes = make_tree(config).pes
    # Programs of a batch share the entries of their steps.
    shared = list({id(step.entries): step for step in steps}.values())
    entries, begin = (np.concatenate([getattr(step, name) for step in shared], axis=1)[pes]
                      for name in ("entries", "begin"))
    places = dict(zip([id(step.entries) for step in shared],
                      starts([step.entries.shape[1] for step in shared])))
    return Program(
        first_step=np.cumsum([0, *map(len, programs)]),
        send=np.array([step.n_sent > 0 for step in steps]),
        barrier=np.array([step.barrier for step in steps]),
        result_barrier=np.array([step.result_barrier for step in steps]),
        alone=np.array([step.alone for step in steps]),
        frees_input=np.array([step.frees_input for step in steps]),
        in_region=np.array([step.in_region for step in steps]),
        first_segment=np.cumsum([0, *of_steps([len(each.first) for each in segments])]),
        words=words,
        first_word=np.cumsum(words) - words,
        origin=np.concatenate([each.origin(n_pe) + places[id(step.entries)]
                               for each, step in zip(segments, tiles)]),
        ends=np.concatenate([each.ends for each in segments]),
        closes=np.concatenate([np.arange(len(each.ends)) == len(each.ends) - 1
                               for each in segments]),
        skipped=np.concatenate([each.skipped for each in segments]),
        local=np.repeat([step.is_local for step in tiles], [len(each.ends) for each in segments]),
        n_sent_words=np.array([end["last_word"] + 1 for end in last]),
        last_lane=np.array([end["last_lane"] for end in last]),
        last_pe=np.array([end["last_pe"] for end in last]),
        n_tiles=n_tiles, n_drains=n_rows + [step.has_pairs for step in steps],
        n_fill=-n_rows * n_tiles % ACTS_PER_WORD,
        mask=np.concatenate([each.mask(np.atleast_2d(step.nonzero), n_pe)
                             for each, step in zip(segments, tiles)], axis=1)[pes],
        entries=entries.astype(np.uint16),
        first_word_read=(begin // config.entries_per_word).astype(np.int32),
        last_word_read=((begin + entries - 1) // config.entries_per_word).astype(np.int32))


def _deadline(config: EIEConfig, steps: Sequence[Step], entries: NDArray[np.int64]) -> int:
    """Upper bound of the cycles, without any overlap of CCU and PEs."""
    columns = sum(step.nonzero.size for step in steps)
    rows = sum((step.rows + _SLACK) * max(1, len(np.atleast_2d(step.nonzero))) for step in steps)
    return int(entries.sum()) + 2 * config.n_pe * columns + rows


def _count(config: EIEConfig, steps: Sequence[Step], ccu, entries: NDArray[np.int64]
           ) -> dict[str, int]:
    paddings = sum(int((step.padding @ step.times).sum()) for step in steps)
    known = {
        "cycles": ccu.cycles, "phase_control": ccu.control, "phase_compute": ccu.compute,
        "phase_output": ccu.output, "broadcasts": ccu.broadcasts,
        "macs": int(entries.sum()) - paddings, "paddings": paddings,
        "spmat_reads": int(ccu.spmat_reads),
        "ptr_reads": ccu.broadcasts * config.n_pe, "pe_busy": int(entries[0]),
        "stall_full": ccu.full, "stall_scan": ccu.scan, "stall_barrier": ccu.barrier,
        "stall_result": 0}
    return {name: known[name] for name in COUNTERS}
