"""Machines that are kept from program to program, and their measured drivers
(`eie_sim.rtl.measured_driver`)."""

import dataclasses

import numpy as np
import pytest

from eie_compiler.lowering.graph import compile_graph
from eie_driver.errors import MachineError
from eie_hdl.config import PRESETS
from eie_sim.cycles.model import predict_back_to_back, predict_build
from eie_sim.rtl.verilator_machines import VerilatorMachines
from support.graphs import residual_network

TINY = PRESETS["tiny"]


@pytest.fixture(scope="module")
def build():
    return compile_graph(residual_network(TINY), TINY)


def words_of(build, path, n_vectors):
    return np.random.default_rng(8).integers(-20, 20, (
        n_vectors, len(build.programs[path].input.columns)))


def test_machines_share_the_vectors_and_keep_their_memories(verilator, simulators, build):
    words, sample = words_of(build, "conv1", 9), np.array([0, 8])
    results = []
    for machines in (1, 4):
        with VerilatorMachines(build, cache=simulators, machines=machines) as hardware:
            measured = hardware.run("conv1", words, sample)
            again = hardware.run("conv1", words[:1], sample[:1])
            other = hardware.run("fc", words_of(build, "fc", 1), sample[:1])
        assert measured.loads == other.loads == 1 and again.loads == again.load_cycles == 0
        assert measured.sampled.tolist() == measured.words[sample].tolist()
        assert len(measured.counters) == 2 and not measured.overflows
        results.append(measured)
    assert results[0].words.tolist() == results[1].words.tolist()
    assert results[0].counters == results[1].counters
    assert results[0].load_cycles == results[1].load_cycles > 0


def test_cycles_are_those_of_the_cycle_model(verilator, simulators, build):
    pytest.importorskip("numba")
    program, words = build.programs["conv2"], words_of(build, "conv2", 6)
    with VerilatorMachines(build, cache=simulators, machines=1) as hardware:
        measured = hardware.run("conv2", words, np.arange(6))
    assert measured.cycles == predict_back_to_back(program, words).interval
    assert measured.counters == [one.counters for one in predict_build(program, words)]


def test_a_failure_of_a_machine_ends_the_call(verilator, simulators, build):
    program = build.programs["conv1"]
    images = {**program.images, "ccu.program": program.images["ccu.program"] * np.uint64(0)}
    broken = dataclasses.replace(build, programs={
        **build.programs, "conv1": dataclasses.replace(program, images=images)})
    with VerilatorMachines(broken, cache=simulators, machines=2) as hardware, \
            pytest.raises(MachineError):
        hardware.run("conv1", words_of(build, "conv1", 4), np.arange(0))
