"""Results of a point, against the golden model and the cycle model of the build."""

import dataclasses

import numpy as np
import pytest

from eie_bench.explore.measure import entries_key, measure, read_pj
from eie_bench.explore.sweep import fit
from eie_bench.explore.workloads import GivenLayer
from eie_bench.paper.nine_layers import Machine
from eie_compiler.lowering.compile import compile_network
from eie_compiler.random_networks import random_network
from eie_hdl.config import EIEConfig
from eie_sim.cycles.model import predict, predict_back_to_back, predict_build
from eie_sim.cycles.steps import build_steps, layer_steps
from eie_sim.inference import infer


@pytest.fixture(scope="module")
def build(network, machine):
    return compile_network(network, machine.config, mapping=machine.mapping)


def test_figures_are_those_of_the_compiled_layer(given, machine, build):
    found, = measure(given, [machine])
    golden = infer(build, given.inputs, words=True, engine="golden").counters
    assert found.inputs == 2
    assert found.macs == golden["macs"].sum() > 0
    assert found.paddings == golden["paddings"].sum() > 0
    assert found.broadcasts == golden["broadcasts"].sum()
    memory = build.report["memory"]
    assert found.spmat_words == memory["spmat"]["words_used"]
    assert found.ptr_words == memory["ptr_even"]["words_used"]
    assert found.word_bits == memory["spmat"]["word_bits"]


def test_cycles_are_those_of_the_program(given, machine, build):
    found, = measure(given, [machine])
    counters = [prediction.counters for prediction in predict_build(build, given.inputs)]
    assert found.cycles == sum(counter["cycles"] for counter in counters)
    assert found.spmat_reads == sum(counter["spmat_reads"] for counter in counters)


@pytest.mark.parametrize("act_depth, n_buffers, alone",
                         [(16384, 2, False), (14, 2, True), (10, 1, True)])
def test_end_to_end_cycles_are_those_of_the_build(network, given, machine, act_depth, n_buffers,
                                                  alone):
    machine = machine._replace(config=dataclasses.replace(machine.config, act_depth=act_depth))
    assert measure(given, [machine])[0].end_to_end is None
    found, = measure(given, [machine], end_to_end=True)
    build = compile_network(network, machine.config, mapping=machine.mapping)
    words = given.inputs[np.arange(32) % 2]
    assert build.input_buffers == n_buffers
    assert build_steps(build, given.inputs)[0][0].alone == alone
    assert found.end_to_end == predict_back_to_back(build, words).interval / 32
    assert found.end_to_end_ratio == pytest.approx(found.end_to_end / (found.ideal / 2))


def test_shares_are_of_the_cycles_of_all_pes(given, machine):
    found, = measure(given, [machine])
    n_pe = machine.config.n_pe
    assert found.ideal == found.macs / n_pe
    assert found.ratio == pytest.approx(found.cycles * n_pe / found.macs)
    assert found.pe_activity == pytest.approx(
        (found.macs + found.paddings) / (n_pe * found.cycles))
    assert found.real_work == pytest.approx(found.macs / (found.macs + found.paddings))
    assert found.spmat_nj == pytest.approx(found.spmat_reads * read_pj(found.word_bits) / 1000)


def test_several_inputs_are_added(given, machine):
    both, = measure(given, [machine])
    each = [measure(given._replace(inputs=x[np.newaxis]), [machine])[0] for x in given.inputs]
    assert both.cycles == sum(one.cycles for one in each)
    counters = [predict(machine.config, layer_steps(machine.config, given.layer, machine.mapping, x)
                        ).counters for x in given.inputs]
    for name in ("macs", "paddings", "spmat_reads", "stall_full"):
        assert getattr(both, name) == sum(counter[name] for counter in counters) > 0


def test_machines_that_share_entries_are_measured_as_if_alone(machine):
    # Many columns of few and unequal entries, so that one PE can lag far.
    layer, = random_network(np.random.default_rng(13), [400, 16], density=0.2, v_width=3).layers
    given = GivenLayer("wide", layer, np.ones((1, 400), np.int64))
    machines = [Machine(fit(machine.config, queue_depth=depth, drop_empty_columns=drops),
                        machine.mapping)
                for depth, drops in ((2, True), (16, True), (2, False))]
    assert len(set(map(entries_key, machines))) == 1
    shallow, deep, slow = together = measure(given, machines)
    assert together == [measure(given, [one])[0] for one in machines]
    assert deep.cycles < shallow.cycles < slow.cycles


def test_nothing_to_multiply_has_no_ratio(given, machine):
    found, = measure(given._replace(inputs=np.zeros((1, 50), np.int64)), [machine])
    assert (found.macs, found.ratio, found.pe_activity, found.real_work) == (0, None, 0, 1)
    found, = measure(given._replace(inputs=np.zeros((1, 50), np.int64)), [machine], end_to_end=True)
    assert found.end_to_end > 0 and found.end_to_end_ratio is None


@pytest.mark.parametrize("changes, reason", [
    ({"v_width": 2}, "v_width must be 3 or more for the codes of the layer, not 2: raise it, or "
                     "compress to fewer bits"),
    ({"spmat_depth": 10}, "spmat SRAM must have "),
    ({"ptr_depth": 4}, "each of the two pointer SRAMs of a PE must have "),
    ({"act_depth": 2}, "activation SRAM must have "),
])
def test_layer_that_a_machine_cannot_hold_has_a_reason(given, machine, changes, reason):
    small = Machine(dataclasses.replace(machine.config, **changes), machine.mapping)
    for found in measure(given, [small, small]):
        assert found.startswith(reason)


def test_wider_words_take_more_energy_but_less_a_bit():
    config = EIEConfig.isca2016()
    energies = [read_pj(config.entry_width * entries) for entries in (1, 2, 4, 8, 16)]
    assert energies == sorted(energies)
    per_bit = [energy / entries for energy, entries in zip(energies, (1, 2, 4, 8, 16))]
    assert per_bit == sorted(per_bit, reverse=True)
