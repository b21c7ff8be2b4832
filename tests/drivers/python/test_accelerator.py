"""The driver, and `eie_driver.loading`, on a machine in Python and on buses of the engines."""

import collections
import dataclasses

import numpy as np
import pytest

from benches import driver_cases
from eie_compiler.build import Build
from eie_compiler.lowering.compile import compile_network
from eie_compiler.random_networks import random_network
from eie_compiler.vectors import VectorError, dequantise, input_packets, quantise
from eie_driver.accelerator import Accelerator
from eie_driver.errors import (
    ChecksumError,
    DriverError,
    DriverTimeout,
    MachineError,
    SaturationWarning,
)
from eie_hdl.format import Layouts, Memory
from eie_hdl.registers import Error
from eie_sim.golden.fake_machine import FakeMachine
from eie_sim.inference import infer
from eie_sim.rtl.cocotb_bench import run_bench
from eie_sim.rtl.simulators import compile_design
from eie_sim.rtl.verilator_bus import VerilatorBus
from eie_sim.rtl.verilator_engine import make_library
from eie_sim.rtl.verilator_host import verilog
from support.dead_inputs import clear_inputs
from support.driver_builds import TINY, compiled, compiled_programs, random_words
from support.interrupted_bus import InterruptedBus, interruptions


def test_real_inputs_give_real_outputs(machine):
    build = compiled()
    machine.load(build)
    x = np.random.default_rng(3).normal(0, 2, (3, 20))
    expected = infer(build, quantise(x, 4, 8), words=True, engine="golden").outputs[0]
    assert machine.infer(x).tolist() == dequantise(expected, build.outputs[0].frac).tolist()
    assert machine.infer(x[1]).tolist() == machine.infer(x)[1].tolist()


@pytest.mark.parametrize("kind", ["uint8", "int64", "float16"])
def test_integers_are_numbers_unless_words_are_asked_for(machine, kind):
    build = compiled()    # 8 bits, 4 fraction bits
    machine.load(build)
    x = np.arange(20).astype(kind) % 7
    assert machine.infer(x).tolist() == machine.infer(x.astype(float)).tolist()
    run = machine.run(x)
    assert [output.tolist() for output in run.outputs] == [
        output.tolist() for output in machine.run(x.astype(float)).outputs]
    if kind == "float16":
        with pytest.raises(VectorError, match="^Inputs must be fixed-point words, which are int"):
            machine.infer(x, words=True)
    else:
        assert machine.infer(x, words=True).tolist() == machine.infer(x / 16).tolist()


def test_inputs_beyond_the_format_are_counted_and_warned_of(machine):
    machine.load(compiled())
    x = np.zeros((3, 20))
    x[1, :3], x[2, 5] = 8, -8.1
    assert machine.run(x).saturated.tolist() == [0, 3, 1]
    assert machine.run(np.zeros((3, 20), int), words=True).saturated.tolist() == [0, 0, 0]
    with pytest.warns(SaturationWarning) as caught:
        machine.infer(x)
    assert str(caught[0].message) == (
        "4 of 60 input elements were beyond -8 to 7.9375, the range of the network, and saturated: "
        "scale the inputs, or compress the network with calibration=")
    assert caught[0].filename == __file__
    machine.infer(x[0])    # warnings are errors


@pytest.mark.parametrize("dead", [[1, 2, 18], list(range(20))], ids=["some", "all"])
def test_inputs_that_no_result_depends_on_are_not_sent(machine, dead):
    network = clear_inputs(random_network(np.random.default_rng(1), (20, 30, 10), v_width=3,
                                          frac=4), dead)
    build, whole = (compile_network(network, TINY, keep_dead_rows=keep) for keep in (False, True))
    machine.load(build)
    words = random_words(build)
    found = machine.run(words, words=True)
    expected = infer(whole, words, words=True, engine="golden").outputs[0]
    assert found.outputs[0].tolist() == expected.tolist()
    rows = -(-max(20 - len(dead), 1) // 16)
    assert input_packets(TINY, build.input, words).shape == (5, 1 + 4 * rows)
    with pytest.raises(VectorError, match=r"must have shape \(batch, 20\), not \(1, 17\)$"):
        machine.infer(np.zeros(17))


def test_several_layers_come_out_by_name(machine):
    machine.load(compiled(outputs="all"))
    assert {name: array.shape for name, array in machine.infer(np.zeros((2, 20))).items()} == {
        "fc1": (2, 30), "fc2": (2, 10)}


def test_inputs_of_another_size_are_refused(machine):
    machine.load(compiled())
    with pytest.raises(VectorError, match=r"^input must have shape \(batch, 20\), not \(1, 3\)$"):
        machine.infer(np.zeros(3))


def test_another_network_replaces_the_first_one(machine):
    machine.load(compiled())
    other = compiled((7, 8), seed=5)
    machine.load(other)
    words = random_words(other)
    assert machine.run(words, words=True).outputs[0].tolist() == infer(
        other, words, words=True, engine="golden").outputs[0].tolist()


@pytest.mark.parametrize("memory", [memory for memory in Memory if memory != Memory.INPUT])
def test_memories_are_read_as_they_were_loaded(machine, memory):
    build = compiled()
    machine.load(build)
    image = {Memory.PROGRAM: "ccu.program", Memory.PTR: "pe_2.ptr_even"}.get(
        memory, f"pe_2.{memory.name.lower()}")
    words = build.images[image]
    # Even and odd pointers are in different banks.
    step = 2 if memory == Memory.PTR else 1
    got = machine.read(memory, step, step * (len(words) - 1), pe=2)
    assert got[::step].tolist() == words[1:].tolist()
    assert words.any()


def test_busy_cycles_are_those_of_each_pe(machine, fake):
    build = compiled()
    machine.load(build)
    words = random_words(build, 1)
    assert machine.busy_cycles(words[0]).tolist() == infer(
        build, words, words=True, engine="golden").entries[0].tolist()


def test_a_reset_forgets_the_network(machine, fake):
    build = compiled()
    machine.load(build)
    machine.reset()
    assert not any(image.any() for image in fake.images.values())
    assert fake.get("IRQ_ENABLE", "done") == fake.get("IRQ_ENABLE", "error") == 1
    with pytest.raises(ChecksumError, match=r"^A build must be loaded before inferences: call "
                                            r"load\(\)$"):
        machine.run(random_words(build), words=True)


def test_the_network_survives_clearing_an_error(machine, fake):
    build = compiled()
    machine.load(build)
    fake.fail(Error.START_RANGE, 3)
    with pytest.raises(MachineError):
        machine.run(random_words(build), words=True)
    machine.clear()
    assert not fake.get("IRQ_STATUS", "error")
    words = random_words(build)
    assert machine.run(words, words=True).outputs[0].tolist() == infer(
        build, words, words=True, engine="golden").outputs[0].tolist()


def slow_down(fake, *, waits):
    """Delay each result by a number of waits; end a program when all results are received."""
    start, later = fake._start, collections.deque()
    count = 0

    def begin():
        start()
        later.extend(fake.results)
        fake.results.clear()
        fake.set("STATUS", idle=0, busy=1)

    def wait(seconds):
        nonlocal count
        count += 1
        fake._time += seconds
        if later and not fake.results and not count % waits:
            fake.results.append(later.popleft())
        if not later and len(fake.results) <= fake._expects:
            fake.set("STATUS", idle=1, busy=0)

    fake._start, fake.wait = begin, wait


@pytest.mark.parametrize("outputs", ["last", "all"])
def test_an_abandoned_program_leaves_nothing_after_clear(machine, fake, outputs):
    build = compiled(outputs=outputs)
    machine.load(build)
    start, wait = fake._start, fake.wait
    slow_down(fake, waits=5)
    with pytest.raises(DriverTimeout, match="^The next packet of results must come within 0.5 s; "
                                            "STATUS: busy$"):
        machine.run(random_words(build, 1), words=True)
    machine.clear()
    assert not fake.results
    fake._start, fake.wait = start, wait
    words = random_words(build)[1:]
    assert [output.tolist() for output in machine.run(words, words=True).outputs] == [
        output.tolist() for output in infer(build, words, words=True, engine="golden").outputs]


@pytest.mark.parametrize("state", ["busy", "resetting"])
def test_a_clear_waits_until_a_program_has_ended_or_been_stopped(machine, fake, state):
    """A running program can delay beats of a packet, which a clear would turn into a header."""
    fake.fail(Error.NO_END)
    fake.set("STATUS", **{state: 1, "idle": 0})
    with pytest.raises(DriverTimeout, match=("^The end of the program must come within 0.5 s; "
                                             f"STATUS: {state}, error$")):
        machine.clear()
    assert fake.log[-1] != "CONTROL"


def test_results_left_over_from_another_driver_are_discarded(fake):
    build = compiled()
    first = Accelerator(fake)
    first.load(build)
    first.bus.send(input_packets(TINY, build.input, random_words(build, 1))[0])
    first.registers.write("START")    # without receiving the results
    machine = Accelerator(fake)
    machine.load(build)
    words = random_words(build)
    assert machine.run(words, words=True).outputs[0].tolist() == infer(
        build, words, words=True, engine="golden").outputs[0].tolist()


@pytest.fixture(params=["fake", "verilator"])
def bus(request, fake):
    """Bus whose accesses can be interrupted, to a machine in Python and to the Verilog."""
    if request.param == "fake":
        yield InterruptedBus(fake)
        return
    request.getfixturevalue("verilator")
    bus = VerilatorBus(make_library(TINY, request.getfixturevalue("simulators")))
    yield InterruptedBus(bus)
    bus.close()


def golden(build, words):
    return [output.tolist() for output in infer(build, words, words=True, engine="golden").outputs]


def outputs(machine, words, **options):
    return [output.tolist() for output in machine.run(words, words=True, **options).outputs]


REFUSED = pytest.raises(DriverError, match=r"^Machine must be idle, but an earlier call was "
                                           r"interrupted: call clear\(\); STATUS: ")


@pytest.mark.parametrize(("layers", "buffers", "read_counters"), [
    ("last", 1, True), ("last", 2, False), ("all", 2, True),
    *(pytest.param(*each, marks=pytest.mark.full)
      for each in [("last", 1, False), ("last", 2, True), ("all", 2, False)])])
def test_an_interrupted_batch_never_gives_its_results_to_the_next_call(bus, layers, buffers,
                                                                       read_counters):
    build = compiled((12, 9, 5), outputs=layers, buffers=buffers)
    machine = Accelerator(bus, timeout=driver_cases.TIMEOUT)
    machine.load(build)
    first, second = np.split(random_words(build, 5), [3])
    expected, refused, right = golden(build, second), 0, 0
    for _ in interruptions(
            bus, lambda: machine.run(first, words=True, read_counters=read_counters)):
        try:
            assert outputs(machine, second) == expected
            right += 1
        except DriverError as error:
            assert "call clear()" in str(error)
            refused += 1
            if refused % 2:
                machine.clear()
            else:    # a new driver, as after a restart of the program
                restarted = Accelerator(bus, timeout=driver_cases.TIMEOUT)
                restarted.load(build)
                assert outputs(restarted, second) == expected
                machine.load(build)
            assert outputs(machine, second) == expected
    assert refused > right > 0    # right if interrupted before the first transfer


def test_an_interrupted_load_is_never_run(bus):
    build, other = compiled(), compiled((7, 8), seed=5)
    machine = Accelerator(bus, timeout=driver_cases.TIMEOUT)
    machine.load(build)
    words, other_words = random_words(build), random_words(other)
    for at in interruptions(bus, lambda: machine.load(other)):
        if at < 1:    # the accesses that check for an error
            loaded = machine.require_loaded()
            assert outputs(machine, random_words(loaded)) == golden(loaded, random_words(loaded))
            continue
        with pytest.raises(ChecksumError, match="^A build must be loaded before inferences: "):
            machine.run(words, words=True)
        machine.load(other)
        assert outputs(machine, other_words) == golden(other, other_words)
        machine.load(build)


@pytest.mark.parametrize("recover", [Accelerator.clear, Accelerator.reset])
def test_an_interrupted_recovery_is_to_be_repeated(bus, recover):
    build = compiled((12, 9, 5), outputs="all")
    machine = Accelerator(bus, timeout=driver_cases.TIMEOUT)
    machine.load(build)
    first, second = np.split(random_words(build, 3), [1])

    def abandon_and_recover():
        at, bus.at = bus.at, None
        machine.load(build)
        driver_cases.abandon(machine, build, starts=2)
        bus.at = at
        recover(machine)

    for _ in interruptions(bus, abandon_and_recover):
        with pytest.raises(DriverError):
            machine.run(second, words=True)
        recover(machine)
        machine.load(build)
        assert outputs(machine, second) == golden(build, second)


def test_an_interrupted_read_is_not_taken_for_a_result(bus):
    build = compiled((12, 9, 5))
    machine = Accelerator(bus, timeout=driver_cases.TIMEOUT)
    machine.load(build)
    words = random_words(build, 2)
    for _ in interruptions(bus, lambda: machine.read(Memory.ACT, 0, 1)):
        if machine._programs is None:
            with REFUSED:
                machine.run(words, words=True)
            with REFUSED:
                machine.read(Memory.ACT, 0, 1)
            machine.clear()
        assert outputs(machine, words) == golden(build, words)


def test_programs_of_another_driver_are_noticed(machine, fake):
    build = compiled()
    machine.load(build)
    other = Accelerator(fake, timeout=0.5)
    other.load(build)
    other.registers.write("START")    # without receiving the results
    with pytest.raises(DriverError, match=r"^Machine must have run 0 programs, those of this "
                                          r"driver, not 1: call clear\(\); STATUS: idle$"):
        machine.run(random_words(build), words=True)
    machine.clear()
    words = random_words(build)
    assert outputs(machine, words) == golden(build, words)


def test_a_busy_machine_is_not_started(machine, fake):
    build = compiled()
    machine.load(build)
    fake.set("STATUS", idle=0, queued=1)
    fake.log.clear()
    with pytest.raises(DriverError, match=r"^Machine must be idle, but it is busy: call clear\(\); "
                                          "STATUS: queued$"):
        machine.run(random_words(build), words=True)
    assert fake.log == []


def test_a_network_corrupted_in_transfer_is_refused(machine, fake):
    fake.send, send = lambda beats: send(np.append(beats[:-1], beats[-1] ^ 1)), fake.send
    with pytest.raises(ChecksumError, match=(
            "^CHECKSUM must be 0x[0-9A-F]{8}, that of the loaded build, not 0x[0-9A-F]{8}: load "
            "it again; STATUS: idle$")):
        machine.load(compiled())


def test_a_network_loaded_by_another_driver_is_detected(machine, fake):
    build = compiled()
    machine.load(build)
    Accelerator(fake).load(compiled((7, 8), seed=5))
    with pytest.raises(ChecksumError, match="^CHECKSUM must be .* that of the loaded build, not "):
        machine.run(random_words(build), words=True)


def test_a_network_already_in_the_memories_is_not_sent(machine, fake):
    build = compiled()
    for name, image in build.images.items():
        fake.images[name][:len(image)] = image
    fake.log.clear()
    machine.load(build, send=False)
    assert "send" not in fake.log
    words = random_words(build)
    assert machine.run(words, words=True).outputs[0].tolist() == infer(
        build, words, words=True, engine="golden").outputs[0].tolist()


class StaleMachine(FakeMachine):
    """Machine whose vectors have been overwritten by other programs, whenever one is selected."""

    def write(self, address, value):
        super().write(address, value)
        if self.log[-1] == "INPUT_BASE":
            for pe in range(self.config.n_pe):
                self.images[f"pe_{pe}.act"][N_BIAS_ROWS:] = 0x0101010101010101


#: Rows of the biases of `compiled_programs`: of 9, 48 and 20 results.
N_BIAS_ROWS = 6


@pytest.fixture
def programs():
    return compiled_programs()


def test_programs_are_selected_in_any_order_whatever_others_have_left(programs):
    machine = Accelerator(StaleMachine(TINY), timeout=0.5)
    for name in ["narrow", "wide", "narrow", "even", "wide", "large", "even", "narrow"]:
        machine.select(programs[name])
        words = random_words(programs[name])
        assert outputs(machine, words) == golden(programs[name], words), name


def test_a_program_of_the_load_is_selected_without_loading(programs, machine, fake, tmp_path):
    """Even if its images were read from files, and not if they differ in a bit."""
    machine.load(programs["narrow"])
    fake.log.clear()
    machine.select(programs["narrow"])
    machine.select(programs["wide"])
    assert fake.log == ["INPUT_BASE", "INPUT_WORDS", "INPUT_STRIDE"]
    fake.log.clear()
    machine.select(programs["even"])
    assert fake.log == ["INPUT_BASE", "INPUT_WORDS", "INPUT_STRIDE", "send", "send"]
    programs["wide"].save(tmp_path)
    read = Build.load(tmp_path)
    fake.log.clear()
    machine.select(read)
    assert "CONTROL" not in fake.log and machine.require_loaded() is read
    other = {**read.images, "pe_3.spmat": read.images["pe_3.spmat"].copy()}
    other["pe_3.spmat"][5, 0] ^= np.uint64(1)
    machine.select(dataclasses.replace(read, images=other))
    assert "CONTROL" in fake.log and fake.log.count("send") > 4


def test_a_program_is_not_selected_over_the_load_of_another_driver(programs, machine, fake):
    machine.load(programs["narrow"])
    Accelerator(fake).load(programs["large"])
    with pytest.raises(ChecksumError, match="^CHECKSUM must be .* that of the loaded build, not "):
        machine.select(programs["wide"])


def test_a_program_already_in_the_memories_has_its_input_rows_cleared(programs):
    fake = StaleMachine(TINY)
    machine = Accelerator(fake, timeout=0.5)
    for name, image in programs["narrow"].images.items():
        fake.images[name][:len(image)] = image
    machine.load(programs["narrow"], send=False)
    words = random_words(programs["narrow"])
    assert outputs(machine, words) == golden(programs["narrow"], words)


def test_words_that_do_not_exist_cannot_be_read(machine):
    depth = Layouts.of(TINY).memories[Memory.SPMAT].depth
    with pytest.raises(MachineError, match=f"^Machine must be cleared: BAD_READ at {depth},"):
        machine.read(Memory.SPMAT, depth, 1)


@pytest.fixture
def two_networks(tmp_path, monkeypatch):
    """Folder with the builds of `driver_cases`."""
    compiled(outputs="all").save(tmp_path / "first")
    compiled((7, 8), seed=5).save(tmp_path / "second")
    for name, build in compiled_programs().items():
        build.save(tmp_path / "programs" / name)
    monkeypatch.setenv("EIE_JOB", str(tmp_path))
    return tmp_path


@pytest.mark.full
def test_driver_cases_pass_with_x_states(icarus, simulators, two_networks):
    """Run `driver_cases` in a simulator with undefined values."""
    design = compile_design(verilog(TINY, simulators), top="eie", simulator=icarus,
                            cache=simulators, repeated=["eie_pe"])
    run_bench(design, "benches.bench_driver", two_networks)


@pytest.mark.parametrize("case", driver_cases.CASES.values(), ids=driver_cases.CASES.keys())
def test_driver_cases_pass_without_cocotb(verilator, simulators, two_networks, case):
    bus = VerilatorBus(make_library(TINY, simulators), pause=driver_cases.PAUSE)
    case(Accelerator(bus, timeout=driver_cases.TIMEOUT))
    bus.close()
