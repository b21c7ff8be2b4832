"""Cycles and storage of a layer on a machine, by the cycle model: the job of a worker."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csc_array

from eie_compiler.errors import CompileError
from eie_compiler.lowering.compile import compile_network
from eie_compiler.lowering.lowered_network import measure_needs
from eie_compiler.lowering.memory_map import vector_sizes
from eie_compiler.lowering.row_mapping import n_slots
from eie_compiler.network import CompressedNetwork, Layer
from eie_hdl.config import clog2
from eie_hdl.format import Layouts
from eie_hdl.packing import unpack
from eie_sim.cycles.model import predict, predict_back_to_back
from eie_sim.cycles.steps import Step, layer_steps
from eie_sim.inference import BACK_TO_BACK, net_cycles

from ..paper.energy import access_pj
from ..paper.nine_layers import MACHINES, Machine
from .sweep import fit
from .workloads import GivenLayer, Workload

__all__ = ["Measurement", "entries_key", "measure", "read_pj"]


class Measurement(NamedTuple):
    """Figures of a layer, summed over its inputs.

    Attributes
    ----------
    inputs : :class:`int`
        Number of input vectors.
    cycles : :class:`int`
        Net cycles: from the start of the program to the last result in memory.
    ideal : :class:`float`
        Cycles if every PE multiplied in every cycle: `macs` / PEs.
    ratio : :class:`float`, or None
        `cycles` / `ideal`, if there is anything to multiply.
    end_to_end : :class:`float`, or None
        Cycles per inference of inferences back to back, transfers included, of the inputs again
        and again; None if not requested.
    end_to_end_ratio : :class:`float`, or None
        `end_to_end` over the ideal cycles of these inferences.
    pe_activity : :class:`float`
        Load balance of the paper (section 6.3, figures 8 and 13): share of the cycles of all PEs in
        which one walks an entry, padding or not; entries walked / (`cycles` · PEs). The rest are
        bubbles, including fill and drain of the machine and empty columns.
    real_work : :class:`float`
        Share of the entries walked that are not padding (figure 12).
    macs, paddings, broadcasts, spmat_reads, ptr_reads, stall_full, stall_scan, stall_barrier
        Counters of the machine (:data:`eie_hdl.format.COUNTERS`).
    word_bits : :class:`int`
        Width of a word of the spmat SRAM in bits.
    spmat_nj : :class:`float`
        Energy of `spmat_reads` in nJ, each :func:`read_pj` (figure 9).
    spmat_words, ptr_words : :class:`int`
        Words that the layer occupies in the spmat SRAM of the fullest PE and in each pointer bank.
    """

    inputs: int
    cycles: int
    ideal: float
    ratio: float | None
    end_to_end: float | None
    end_to_end_ratio: float | None
    pe_activity: float
    real_work: float
    macs: int
    paddings: int
    broadcasts: int
    spmat_reads: int
    ptr_reads: int
    stall_full: int
    stall_scan: int
    stall_barrier: int
    word_bits: int
    spmat_nj: float
    spmat_words: int
    ptr_words: int


def read_pj(word_bits: int) -> float:
    """Return the energy in pJ of reading one word of the spmat SRAM, at its published size.

    Half of the energy of the published word is independent of the width, as a row of the array is
    always driven whole. The other half is proportional to it, for the sense amplifiers and wires
    of each bit. This is an assumption that shows where an optimum lies; the paper uses CACTI.
    """
    config = MACHINES["isca2016"].config
    published = config.entry_width * config.entries_per_word
    return access_pj(published, config.spmat_depth) * (1 + word_bits / published) / 2


def entries_key(machine: Machine) -> tuple[Any, ...]:
    """Return the parameters that the entries of a layer depend on; equal keys share them."""
    config = machine.config
    return machine.mapping, config.n_pe, config.acc_depth, config.v_width, config.z_width


def measure(workload: Workload, machines: Sequence[Machine], *, end_to_end: bool = False
            ) -> list[Measurement | str]:
    """Run a layer on machines of one :func:`entries_key`; return results or reasons for failure.

    Parameters
    ----------
    end_to_end : :class:`bool`
        Also predict end-to-end cycles, which takes several times as long.
    """
    given = workload.load()
    try:
        runs = _programs(given, machines[0])
    except CompileError as error:
        return [str(error)] * len(machines)
    figures: list[Measurement | str] = []
    for machine in machines:
        try:
            found = _measure(machine, given.layer, runs)
            figures.append(_add_end_to_end(found, machine, given, runs) if end_to_end else found)
        except CompileError as error:
            figures.append(str(error))
    return figures


def _programs(given: GivenLayer, machine: Machine) -> list[list[Step]]:
    """Create the steps for each input vector."""
    config = fit(machine.config)    # machines that share entries may differ in depth
    needed = int(given.layer.codes.data.max(initial=0)).bit_length()
    if needed > config.v_width:
        raise CompileError(f"v_width must be {needed} or more for the codes of the layer, not "
                           f"{config.v_width}: raise it, or compress to fewer bits")
    steps = layer_steps(config, given.layer, machine.mapping, given.inputs[0])
    programs = []
    for x in given.inputs:
        # The entries are most of the work and are the same for all inputs.
        nonzero = np.zeros(len(steps[0].nonzero), np.bool_)
        nonzero[:len(x)] = x != 0
        programs.append([step if step.n_sent else step._replace(nonzero=nonzero)
                         for step in steps])
    return programs


def _measure(machine: Machine, layer: Layer, runs: Sequence[Sequence[Step]]) -> Measurement:
    """Measure one machine; raise CompileError if its memories are not deep enough."""
    config = machine.config
    counters = [predict(config, steps).counters for steps in runs]
    total = {name: sum(counter[name] for counter in counters) for name in counters[0]}
    cycles, macs = net_cycles(total), total["macs"]
    walked = macs + total["paddings"]
    entries = np.stack([step.entries for step in runs[0] if not step.n_sent], axis=1)
    network = CompressedNetwork((layer,), input_frac=0, v_width=clog2(len(layer.codebook)))
    n_columns = n_slots(layer.n_cols, config.n_pe) * config.n_pe
    needs = measure_needs(config, network.layers, [True], vector_sizes(network.layers), [(0,)],
                          [entries[:, :, :n_columns]], [])
    needs.require_fit(config)
    word_bits = config.entry_width * config.entries_per_word
    spmat_words = -(-int(entries.sum(axis=(1, 2)).max()) // config.entries_per_word)
    return Measurement(
        inputs=len(runs), cycles=cycles, ideal=macs / config.n_pe,
        ratio=cycles * config.n_pe / macs if macs else None, end_to_end=None, end_to_end_ratio=None,
        pe_activity=walked / (cycles * config.n_pe), real_work=macs / walked if walked else 1.0,
        **{name: total[name] for name in total if name in Measurement._fields and name != "cycles"},
        word_bits=word_bits, spmat_nj=total["spmat_reads"] * read_pj(word_bits) / 1000,
        spmat_words=spmat_words, ptr_words=needs.pointer_words)


def _add_end_to_end(found: Measurement, machine: Machine, given: GivenLayer,
                    runs: Sequence[list[Step]]) -> Measurement:
    """Predict end-to-end cycles of a layer as a build of its own."""
    config, layer = machine.config, given.layer
    chosen = np.arange(BACK_TO_BACK) % len(runs)
    # Transfers and places of vectors are those of a build without weights, made in no time.
    empty = dataclasses.replace(
        layer, codes=csc_array(layer.codes.shape, dtype=np.uint8), bias=np.zeros(layer.n_rows),
        codebook=np.zeros(1 << config.v_width))
    build = compile_network(CompressedNetwork((empty,), 0, config.v_width), config,
                            mapping=machine.mapping, keep_dead_rows=True)
    alone = bool(unpack(Layouts.of(config).descriptor, build.images["ccu.program"])["alone"][0])
    programs = [[first._replace(alone=alone), *others] for first, *others in runs]
    cycles = predict_back_to_back(
        build, np.zeros((len(chosen), layer.n_cols), np.int64),
        programs=[programs[run] for run in chosen.tolist()]).interval / BACK_TO_BACK
    products = np.diff(layer.codes.indptr) @ (given.inputs[chosen] != 0).T
    ideal = float(products.mean()) / config.n_pe
    return found._replace(end_to_end=cycles, end_to_end_ratio=cycles / ideal if ideal else None)
