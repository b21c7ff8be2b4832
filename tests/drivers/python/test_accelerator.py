"""The driver against a machine made of Python: what it asks for, and what it says when it fails."""

import collections
import dataclasses
import importlib
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from benches import driver_cases
from eie_compiler.build import Build
from eie_compiler.lowering.compile import compile_network
from eie_compiler.random_networks import random_network
from eie_compiler.vectors import VectorError, dequantise, input_packets, quantise
from eie_driver.accelerator import Accelerator
from eie_driver.bus import BusError
from eie_driver.errors import (
    ChecksumError,
    ConfigMismatch,
    DriverError,
    DriverTimeout,
    MachineError,
)
from eie_driver.pynq import PynqBus
from eie_driver.registers import Registers
from eie_hdl.config import PRESETS
from eie_hdl.format import FORMAT_VERSION, Layouts, Memory
from eie_hdl.registers import PRODUCT_ID, VERSION, Error
from eie_sim.golden.fake_machine import FakeMachine
from eie_sim.inference import infer
from eie_sim.rtl import simulators
from eie_sim.rtl.simulators import build_model, run_bench
from eie_sim.rtl.verilated import verilog
from eie_sim.rtl.verilator_bus import VerilatedBus
from eie_sim.rtl.verilator_engine import make_library

TINY = PRESETS["tiny"]


def compiled(sizes=(20, 30, 10), *, seed=1, outputs="last", config=TINY, buffers=2) -> Build:
    network = random_network(np.random.default_rng(seed), sizes, v_width=config.v_width, frac=4)
    build = compile_network(network, config, outputs=outputs)
    assert build.input_buffers == 2
    return dataclasses.replace(build, input_buffers=buffers)


def random_words(build, batch=5):
    return np.random.default_rng(2).integers(-128, 128, (batch, len(build.input.columns)))


@pytest.fixture
def fake():
    return FakeMachine(TINY)


@pytest.fixture
def machine(fake):
    return Accelerator(fake, timeout=0.5)


@pytest.mark.parametrize("count", [True, False])
@pytest.mark.parametrize("buffers", [1, 2])
@pytest.mark.parametrize("outputs", ["last", "all"])
def test_a_batch_comes_out_as_the_golden_model_says(machine, outputs, buffers, count):
    build = compiled(outputs=outputs, buffers=buffers)
    machine.load(build)
    words = random_words(build)
    expected = infer(build, words, engine="golden")
    run = machine.run(words, count=count)
    assert [output.tolist() for output in run.outputs] == [
        output.tolist() for output in expected.outputs]
    assert [one["macs"] for one in run.counters] == (
        expected.counters["macs"].tolist() if count else [])
    assert run.overflow_tiles == ([None] * 5 if count else [])


def test_an_empty_batch_has_empty_outputs(machine):
    build = compiled(outputs="all")
    machine.load(build)
    run = machine.run(random_words(build, 0))
    assert [output.shape for output in run.outputs] == [(0, 30), (0, 10)]


@pytest.mark.parametrize(("buffers", "count", "order"), [
    (2, False, "send START send START receive send START receive receive"),
    (2, True, "send START send receive START send receive START receive"),
    (1, False, "send START receive send START receive send START receive"),
    (1, True, "send START receive send START receive send START receive"),
])
def test_inputs_are_loaded_and_starts_queued_as_early_as_can_be(machine, fake, buffers, count,
                                                               order):
    build = compiled(buffers=buffers)
    machine.load(build)
    fake.log.clear()
    machine.run(random_words(build, 3), count=count)
    assert " ".join(fake.log) == order


def test_numbers_come_out_as_numbers(machine):
    build = compiled()
    machine.load(build)
    x = np.random.default_rng(3).normal(0, 2, (3, 20))
    expected = infer(build, quantise(x, 4, 8), engine="golden").outputs[0]
    assert machine.infer(x).tolist() == dequantise(expected, build.outputs[0].frac).tolist()
    assert machine.infer(x[1]).tolist() == machine.infer(x)[1].tolist()


def test_several_layers_come_out_by_name(machine):
    machine.load(compiled(outputs="all"))
    assert {name: array.shape for name, array in machine.infer(np.zeros((2, 20))).items()} == {
        "fc1": (2, 30), "fc2": (2, 10)}


def test_inputs_of_another_size_are_refused(machine):
    machine.load(compiled())
    with pytest.raises(VectorError, match="^input must have 20 elements for each of a batch, not "
                                          r"shape \(1, 3\)$"):
        machine.infer(np.zeros(3))


def test_another_network_replaces_the_first_one(machine):
    machine.load(compiled())
    other = compiled((7, 8), seed=5)
    machine.load(other)
    words = random_words(other)
    assert machine.run(words).outputs[0].tolist() == infer(
        other, words, engine="golden").outputs[0].tolist()


@pytest.mark.parametrize("memory", [memory for memory in Memory if memory != Memory.INPUT])
def test_memories_are_read_as_they_were_loaded(machine, memory):
    build = compiled()
    machine.load(build)
    image = {Memory.PROGRAM: "ccu.program", Memory.PTR: "pe_2.ptr_even"}.get(
        memory, f"pe_2.{memory.name.lower()}")
    words = build.images[image]
    # Every other pointer is of the other bank.
    step = 2 if memory == Memory.PTR else 1
    got = machine.read(memory, step, step * (len(words) - 1), pe=2)
    assert got[::step].tolist() == words[1:].tolist()
    assert words.any()


def test_busy_cycles_are_those_of_each_pe(machine, fake):
    build = compiled()
    machine.load(build)
    words = random_words(build, 1)
    assert machine.busy_cycles(words[0]).tolist() == infer(
        build, words, engine="golden").entries[0].tolist()


def test_counters_are_made_of_both_halves_and_latched_on_request(machine, fake):
    fake.set("MACS_LO", value=5)
    fake.set("MACS_HI", value=7)
    assert machine.counters()["macs"] == 7 << 32 | 5
    assert "CONTROL" not in fake.log
    machine.counters(now=True)
    assert fake.log[-1] == "CONTROL"


def test_a_reset_forgets_the_network(machine, fake):
    build = compiled()
    machine.load(build)
    machine.reset()
    assert not any(image.any() for image in fake.images.values())
    assert fake.get("IRQ_ENABLE", "done") == fake.get("IRQ_ENABLE", "error") == 1
    with pytest.raises(ChecksumError, match=r"^A build must be loaded before inferences: call "
                                            r"load\(\)$"):
        machine.run(random_words(build))


def test_after_an_error_is_cleared_the_network_is_still_there(machine, fake):
    build = compiled()
    machine.load(build)
    fake.fail(Error.START_RANGE, 3)
    with pytest.raises(MachineError):
        machine.run(random_words(build))
    machine.clear()
    assert not fake.get("IRQ_STATUS", "error")
    words = random_words(build)
    assert machine.run(words).outputs[0].tolist() == infer(
        build, words, engine="golden").outputs[0].tolist()


def slow_down(fake, *, waits):
    """Let each result come after so many waits, and a program end when all have been taken."""
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
def test_a_program_that_was_given_up_leaves_nothing_after_clear(machine, fake, outputs):
    build = compiled(outputs=outputs)
    machine.load(build)
    start, wait = fake._start, fake.wait
    slow_down(fake, waits=5)
    with pytest.raises(DriverTimeout, match="^The next packet of results must come within 0.5 s; "
                                            "STATUS: busy$"):
        machine.run(random_words(build, 1))
    machine.clear()
    assert not fake.results
    fake._start, fake.wait = start, wait
    words = random_words(build)[1:]
    assert [output.tolist() for output in machine.run(words).outputs] == [
        output.tolist() for output in infer(build, words, engine="golden").outputs]


def test_a_clear_waits_until_a_failed_program_is_stopped(machine, fake):
    fake.fail(Error.NO_END)
    fake.set("STATUS", idle=0, resetting=1)
    with pytest.raises(DriverTimeout, match=("^The end of the program that failed must come "
                                             "within 0.5 s; STATUS: resetting, error$")):
        machine.clear()
    assert fake.log[-1] != "CONTROL"


def test_results_that_somebody_has_left_are_thrown_away(fake):
    build = compiled()
    first = Accelerator(fake)
    first.load(build)
    first.bus.send(input_packets(TINY, build.input, random_words(build, 1))[0])
    first.registers.write("START")    # and nobody takes what comes
    machine = Accelerator(fake)
    machine.load(build)
    words = random_words(build)
    assert machine.run(words).outputs[0].tolist() == infer(
        build, words, engine="golden").outputs[0].tolist()


# What goes wrong.


@pytest.mark.parametrize(("register", "value", "message"), [
    ("ID", 0xDEADBEEF, f"ID must be 0x{PRODUCT_ID:08X}, not 0xDEADBEEF: there is no EIE at this "
                       f"address"),
    ("VERSION", VERSION[0] + 1 << 16,
     f"VERSION.major must be {VERSION[0]}, not {VERSION[0] + 1}: use the software that came "
     f"with the hardware"),
    ("FORMAT", FORMAT_VERSION + 1, f"FORMAT must be {FORMAT_VERSION}, not {FORMAT_VERSION + 1}: "
                                   f"use the software that came with the hardware"),
    ("CONFIG_N_PE", 48, "Machine must have a configuration that is possible, but n_pe must be a "
                        "power of two from 1 to 256, not 48"),
])
def test_what_is_no_machine_of_ours_is_refused(fake, register, value, message):
    fake.words[register] = value
    with pytest.raises(DriverError, match=f"^{re.escape(message)}$"):
        Accelerator(fake)


def test_the_configuration_is_the_machines(machine):
    assert machine.config == TINY


def test_a_build_for_another_machine_is_refused_and_every_difference_named(machine):
    other = dataclasses.replace(TINY, queue_depth=8, readback=False)
    with pytest.raises(ConfigMismatch, match=(
            "^Build must be for a machine with queue_depth = 4, not 8; readback = True, not False: "
            "compile it for this one$")):
        machine.load(compiled(config=other))


def test_a_network_that_arrives_otherwise_than_sent_is_refused(machine, fake):
    fake.send, send = lambda beats: send(np.append(beats[:-1], beats[-1] ^ 1)), fake.send
    with pytest.raises(ChecksumError, match=(
            "^CHECKSUM must be 0x[0-9A-F]{8}, of what was loaded, not 0x[0-9A-F]{8}: load again; "
            "STATUS: idle$")):
        machine.load(compiled())


def test_a_network_that_somebody_else_has_loaded_is_noticed(machine, fake):
    build = compiled()
    machine.load(build)
    Accelerator(fake).load(compiled((7, 8), seed=5))
    with pytest.raises(ChecksumError, match="^CHECKSUM must be .* of what was loaded, not "):
        machine.run(random_words(build))


def test_a_network_that_is_in_the_memories_already_is_not_sent(machine, fake):
    build = compiled()
    for name, image in build.images.items():
        fake.images[name][:len(image)] = image
    fake.log.clear()
    machine.load(build, send=False)
    assert "send" not in fake.log
    words = random_words(build)
    assert machine.run(words).outputs[0].tolist() == infer(
        build, words, engine="golden").outputs[0].tolist()


def test_an_error_of_the_machine_is_told_with_its_text_and_state(machine, fake):
    machine.load(compiled())
    fake.set("ERROR", memory=2, pe=3)
    fake.fail(Error.BAD_ADDRESS, 77)
    with pytest.raises(MachineError, match=(
            r"^Machine must be cleared: BAD_ADDRESS at 77, memory 2, PE 3 "
            rf"\({re.escape(Error.BAD_ADDRESS.doc)}\); STATUS: idle, error$")) as error:
        machine.infer(np.zeros(20))
    assert (error.value.code, error.value.address) == (Error.BAD_ADDRESS, 77)


def test_an_error_during_a_program_is_told_at_once(machine, fake):
    build = compiled()
    machine.load(build)
    fake._start = lambda: fake.fail(Error.NO_END, 1)
    before = fake.now()
    with pytest.raises(MachineError, match="^Machine must be cleared: NO_END at 1,"):
        machine.run(random_words(build))
    assert fake.now() - before < 0.5


def test_words_that_do_not_exist_cannot_be_read(machine):
    depth = Layouts.of(TINY).memories[Memory.SPMAT].depth
    with pytest.raises(MachineError, match=f"^Machine must be cleared: BAD_READ at {depth},"):
        machine.read(Memory.SPMAT, depth, 1)


def test_a_program_that_sends_nothing_is_given_up(machine, fake):
    build = compiled()
    machine.load(build)
    fake._start = lambda: None
    fake.set("STATUS", idle=0, busy=1)
    with pytest.raises(DriverTimeout, match=(
            "^The next packet of results must come within 0.5 s; STATUS: busy$")):
        machine.run(random_words(build))


def test_a_program_that_does_not_end_is_given_up(machine, fake):
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
        machine.run(random_words(build))


@pytest.mark.parametrize(("call", "register", "status", "message"), [
    (lambda machine: machine.load(compiled()), None, {"idle": 0, "receiving": 1},
     "The end of loading must come within 0.5 s; STATUS: receiving"),
    (lambda machine: machine.clear(), "_control", {"idle": 0},
     "Rest after clear must come within 0.5 s; STATUS: nothing"),
    (lambda machine: machine.reset(), "_control", {"idle": 0, "resetting": 1},
     "The end of the reset must come within 0.5 s; STATUS: resetting"),
])
def test_a_machine_that_does_not_come_to_rest_is_given_up(machine, fake, call, register, status,
                                                         message):
    if register:
        setattr(fake, register, lambda: None)
    fake.set("STATUS", **status)
    with pytest.raises(DriverTimeout, match=f"^{re.escape(message)}$"):
        call(machine)


def test_results_of_another_length_are_refused(machine, fake):
    build = compiled()
    machine.load(build)
    start = fake._start

    def shorten():
        start()
        fake.results[-1] = fake.results[-1][:-3]

    fake._start = shorten
    with pytest.raises(DriverError, match="^Packet of results must have 16 bytes, not 13; STATUS: "
                                          "idle$"):
        machine.run(random_words(build))


def test_programs_are_counted_beyond_the_last_number(machine, fake):
    build = compiled()
    machine.load(build)
    fake.set("PROGRAMS", value=(1 << 32) - 2)
    assert len(machine.run(random_words(build)).counters) == 5
    assert fake.get("PROGRAMS") == 3


# On the buses of PYNQ and of a simulator.


def pynq(fake, monkeypatch):
    """Way to the machine through imitations of PYNQ's classes, and the DMA."""
    monkeypatch.syspath_prepend(simulators.BENCHES)
    bench = importlib.import_module("benches.bench_pynq")
    monkeypatch.setitem(sys.modules, "pynq", SimpleNamespace(allocate=np.zeros))
    dma = SimpleNamespace(sendchannel=bench.SendChannel(fake),
                          recvchannel=bench.ReceiveChannel(fake))
    return PynqBus(fake, dma, poll=0), dma


def test_a_transfer_of_the_dma_that_waits_is_never_stopped(fake, monkeypatch):
    bus, dma = pynq(fake, monkeypatch)
    machine, build = Accelerator(bus), compiled(outputs="all")
    machine.load(build)
    for words in random_words(build, 2)[:, np.newaxis]:
        machine.registers.write("START")    # and nobody takes what comes
        machine.clear()
        assert [output.tolist() for output in machine.run(words).outputs] == [
            output.tolist() for output in infer(build, words, engine="golden").outputs]
    machine.begin()
    with pytest.raises(RuntimeError, match="^Transfer must have ended$"):
        dma.recvchannel.stop()


def test_no_longer_packet_can_be_expected_while_the_dma_waits(fake, monkeypatch):
    bus, _ = pynq(fake, monkeypatch)
    bus.expect(60)
    bus.expect(64)
    with pytest.raises(BusError, match="^Packet must have at most 64 bytes, for which the DMA "
                                       "waits already, not 65: expect the longest one first$"):
        bus.expect(65)


@pytest.fixture
def two_networks(tmp_path, monkeypatch):
    """Folder with the networks of `driver_cases`."""
    compiled(outputs="all").save(tmp_path / "first")
    compiled((7, 8), seed=5).save(tmp_path / "second")
    monkeypatch.setenv("EIE_JOB", str(tmp_path))
    return tmp_path


def test_a_host_can_do_it_where_x_is_known(icarus, models, two_networks):
    """What is done and expected is in `driver_cases`."""
    model = build_model(verilog(TINY, models), top="eie", simulator=icarus, build_root=models,
                        repeated=["eie_pe"])
    run_bench(model, "benches.bench_driver", two_networks)


@pytest.mark.parametrize("case", driver_cases.CASES.values(), ids=driver_cases.CASES.keys())
def test_a_host_can_do_it_without_cocotb(verilator, models, two_networks, case):
    bus = VerilatedBus(make_library(TINY, models), pause=driver_cases.PAUSE)
    case(Accelerator(bus, timeout=driver_cases.TIMEOUT))
    bus.close()


# Registers by name.


@pytest.mark.parametrize(("name", "fields", "message"), [
    ("NOTHING", {}, r"Register must be one of ID, VERSION, .*, not NOTHING"),
    ("START", {"speed": 1}, "Field of START must be one of descriptor, buffer, not speed"),
    ("START", {"buffer": 2}, "START.buffer must be from 0 to 1, not 2"),
    ("WATCHDOG", {"value": -1}, "WATCHDOG.value must be from 0 to 4294967295, not -1"),
])
def test_what_no_register_can_hold_is_refused(fake, name, fields, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        Registers(fake).write(name, **fields)


def test_registers_are_read_and_written_by_name(fake):
    registers = Registers(fake)
    registers.write("INPUT_WORDS", words=300, double=1)
    assert registers.read("INPUT_WORDS") == {"words": 300, "double": 1}
    registers.write("INPUT_WORDS", words=1)
    assert registers.read("INPUT_WORDS") == {"words": 1, "double": 0}


def test_what_the_bus_refuses_is_told(fake):
    with pytest.raises(BusError, match="^Write to 0x0 was answered with SLVERR$"):
        Registers(fake).write("ID", value=1)
