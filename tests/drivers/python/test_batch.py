"""`eie_driver.batch`: order of transfers and starts, results, programs that fail, states."""

import pytest

from eie_compiler.vectors import VectorError
from eie_driver.accelerator import Accelerator
from eie_driver.errors import DriverTimeout, MachineError
from eie_hdl.registers import Error
from eie_sim.golden.fake_machine import FakeMachine
from eie_sim.inference import infer
from support.driver_builds import compiled, random_words
from support.sequences import CONFIG, draw_words, make_layer


@pytest.mark.parametrize("read_counters", [True, False])
@pytest.mark.parametrize("buffers", [1, 2])
@pytest.mark.parametrize("outputs", ["last", "all"])
def test_a_batch_gives_the_results_of_the_golden_model(machine, outputs, buffers,
                                                       read_counters):
    build = compiled(outputs=outputs, buffers=buffers)
    machine.load(build)
    words = random_words(build)
    expected = infer(build, words, words=True, engine="golden")
    run = machine.run(words, read_counters=read_counters, words=True)
    assert [output.tolist() for output in run.outputs] == [
        output.tolist() for output in expected.outputs]
    assert [one["macs"] for one in run.counters] == (
        expected.counters["macs"].tolist() if read_counters else [])
    assert run.overflow_tiles == ([None] * 5 if read_counters else [])


def test_an_empty_batch_has_empty_outputs(machine):
    build = compiled(outputs="all")
    machine.load(build)
    run = machine.run(random_words(build, 0), words=True)
    assert [output.shape for output in run.outputs] == [(0, 30), (0, 10)]


@pytest.mark.parametrize(("buffers", "read_counters", "order"), [
    (2, False, "send START send START send START receive receive receive"),
    (2, True, "send START send receive START send receive START receive"),
    (1, False, "send START receive send START receive send START receive"),
    (1, True, "send START receive send START receive send START receive"),
])
def test_inputs_are_loaded_and_starts_queued_as_early_as_possible(machine, fake, buffers,
                                                               read_counters, order):
    build = compiled(buffers=buffers)
    machine.load(build)
    fake.log.clear()
    machine.run(random_words(build, 3), read_counters=read_counters, words=True)
    assert " ".join(fake.log) == order


def test_programs_are_counted_beyond_the_last_number(machine, fake):
    build = compiled()
    fake.set("PROGRAMS", value=(1 << 32) - 2)
    machine.load(build)
    assert len(machine.run(random_words(build), words=True).counters) == 5
    assert fake.get("PROGRAMS") == 3


def test_a_program_that_does_not_end_is_abandoned(machine, fake):
    build = compiled()
    machine.load(build)
    start = fake._start

    def never_ends():
        start()
        fake.set("PROGRAMS", value=0)
        fake.set("STATUS", idle=0, buffer=1)

    fake._start = never_ends
    with pytest.raises(DriverTimeout, match=(
            "^The end of the program must come within 0.5 s; STATUS: buffer$")):
        machine.run(random_words(build), words=True)


def load_layer(**options):
    """Make a layer with states, its machine, and the driver that has loaded it."""
    layer = make_layer(**options)
    fake = FakeMachine(CONFIG)
    machine = Accelerator(fake, timeout=0.5)
    machine.load(layer.build)
    return layer, fake, machine


@pytest.mark.parametrize("read_counters", [True, False])
@pytest.mark.parametrize("buffers", [1, 2])
@pytest.mark.parametrize("steps", [1, 5])
def test_states_stay_in_the_machine_during_a_sequence(steps, buffers, read_counters):
    layer, _, machine = load_layer(steps=steps, buffers=buffers)
    words = draw_words(3, steps)
    for _ in range(2):    # the states that a batch leaves do not matter
        run = machine.run(words, words=True, read_counters=read_counters)
        assert run.outputs[0].tolist() == layer.compute(words).tolist()


def test_a_batch_that_is_not_whole_sequences_is_refused():
    layer, fake, machine = load_layer(steps=5)
    fake.log.clear()
    words = draw_words(3, 2)
    with pytest.raises(VectorError, match="^Batch must be whole sequences of 5 vectors"):
        machine.run(words, words=True)
    with pytest.raises(VectorError, match="^Batch must be whole sequences of 5 vectors"):
        machine.busy_cycles(words[0])
    assert "START" not in fake.log


def test_busy_cycles_begin_a_sequence_for_each_pe():
    layer, _, machine = load_layer(steps=1)
    words = draw_words(1, 1)
    assert machine.busy_cycles(words[0]).tolist() == infer(
        layer.build, words, words=True, engine="golden").entries[0].tolist()


@pytest.mark.parametrize("buffers", [1, 2])
def test_an_error_loses_the_sequence_and_nothing_else(buffers):
    layer, fake, machine = load_layer(steps=5, buffers=buffers)
    words, start = draw_words(3, 5), fake._start
    fake.log.clear()

    def fails():
        if fake.log.count("START") == 7:
            fake.fail(Error.TIMEOUT)
        start()

    fake._start = fails
    with pytest.raises(MachineError):
        machine.run(words, words=True)
    machine.clear()
    assert machine.run(words, words=True).outputs[0].tolist() == layer.compute(words).tolist()
