"""Driver test cases, as functions of an accelerator, for any bus.

The environment variable EIE_JOB names a folder with two networks for the machine.
"""

import dataclasses
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from eie_compiler.build import Build
from eie_compiler.vectors import input_packets, packet
from eie_driver.accelerator import Accelerator
from eie_driver.bus import BusError
from eie_driver.errors import ChecksumError, DriverTimeout, MachineError
from eie_hdl.format import Layouts, Memory
from eie_hdl.registers import Error
from eie_sim.inference import infer

#: Timeout in simulated seconds, and probability of a pause of the host.
TIMEOUT, PAUSE = 1e-4, 0.2

#: All cases by name, and those that also run in a simulator with X states.
CASES: dict[str, Callable[[Accelerator], None]] = {}
WITH_X: list[Callable[[Accelerator], None]] = []


def on_host(function):
    """Add a case."""
    CASES[function.__name__] = function
    return function


def with_x(function):
    """Add a case that reads memories or recovers from a failure, where X states matter."""
    WITH_X.append(function)
    return on_host(function)


def load(machine, name):
    build = Build.load(Path(os.environ["EIE_JOB"]) / name)
    machine.load(build)
    return build


def check(machine, build, *, seed=1, batch=3, **options):
    """Compare the machine's outputs for random inputs with the golden model's."""
    words = np.random.default_rng(seed).integers(-128, 128, (batch, len(build.input.columns)))
    run = machine.run(words, words=True, **options)
    expected = infer(build, words, words=True, engine="golden")
    assert [output.tolist() for output in run.outputs] == [
        output.tolist() for output in expected.outputs]


def images(machine, build):
    """Yield each memory's name, the words read from it and those of its image."""
    for name, memory, pe, _ in Layouts.of(build.config).images(build.config):
        words = build.images[name]
        if memory == Memory.PTR:    # addresses alternate between the banks
            read = machine.read(memory, 0, 2 * len(words), pe=pe)[name.endswith("odd")::2]
        else:
            read = machine.read(memory, 0, len(words), pe=pe or 0)
        yield name, read.tolist(), words.tolist()


@on_host
def another_network_is_loaded_without_a_reset(machine):
    for name in ("first", "second", "first"):
        check(machine, load(machine, name))


@with_x
def programs_of_two_loads_run_in_any_order(machine):
    builds = {path.name: Build.load(path) for path in
              sorted(Path(os.environ["EIE_JOB"], "programs").iterdir())}
    order = ["large", "narrow", "wide", "narrow", "even", "wide", "even", "large", "even"]
    for seed, name in enumerate(order):
        before = machine.bus.statistics["packets"]
        machine.select(builds[name])
        is_loaded = machine.bus.statistics["packets"] - before > 2
        assert is_loaded == ("large" in (name, order[seed - 1]))
        check(machine, builds[name], seed=seed, batch=2, read_counters=bool(seed % 2))


@on_host
def a_flipped_bit_of_a_program_changes_its_results_and_no_others(machine):
    narrow, wide, even = (Build.load(Path(os.environ["EIE_JOB"], "programs", name))
                          for name in ("narrow", "wide", "even"))
    image = even.images["pe_2.spmat"].copy()
    image[-1, 0] ^= np.uint64(1)    # an entry of the last program of the load
    machine.load(dataclasses.replace(even, images={**even.images, "pe_2.spmat": image}))
    machine._loaded = even, machine._loaded[1]
    for build in (narrow, wide):
        machine.select(build)
        check(machine, build)
    machine.select(even)
    try:
        check(machine, even)
    except AssertionError:
        return
    raise RuntimeError("the flipped bit must change results")


@with_x
def memories_are_read_back_as_they_were_loaded(machine):
    build = load(machine, "first")
    for name, read, image in images(machine, build):
        assert read == image, name
    check(machine, build)


@with_x
def nothing_is_left_after_a_soft_reset(machine):
    build = load(machine, "first")
    check(machine, build)
    machine.reset()
    for name, read, _ in images(machine, build):
        assert not np.any(read), name
    check(machine, load(machine, "second"))


@on_host
def busy_cycles_of_each_pe_are_its_entries(machine):
    build = load(machine, "first")
    words = np.random.default_rng(3).integers(-128, 128, (1, len(build.input.columns)))
    assert machine.busy_cycles(words[0]).tolist() == infer(
        build, words, words=True, engine="golden").entries[0].tolist()


@on_host
def a_network_that_another_driver_has_loaded_is_noticed(machine):
    build = load(machine, "first")
    load(Accelerator(machine.bus, timeout=TIMEOUT), "second")
    try:
        check(machine, build)
    except ChecksumError:
        return
    raise AssertionError("ran another driver's network")


@with_x
def after_an_error_is_cleared_inference_goes_on(machine):
    build = load(machine, "first")
    depth = Layouts.of(build.config).memories[Memory.SPMAT].depth
    row = build.images["pe_0.act"][:build.config.n_pe]
    machine.bus.send(packet(build.config, Memory.INPUT, row, address=depth))
    try:
        check(machine, build)
    except MachineError as error:
        assert (error.code, error.address) == (Error.BAD_ADDRESS, depth)
    else:
        raise AssertionError("ran with an error pending")
    machine.clear()
    check(machine, build, read_counters=False)


def abandon(machine, build, *, starts):
    """Start programs without taking their results."""
    words = np.random.default_rng(4).integers(-128, 128, (1, len(build.input.columns)))
    machine.bus.send(input_packets(build.config, build.input, words)[0])
    for _ in range(starts):
        machine.registers.write("START")


@on_host
def programs_that_were_abandoned_leave_nothing_after_clear(machine):
    build = load(machine, "first")    # it has two outputs
    for starts, code in ((1, Error.NONE), (2, Error.NONE), (3, Error.START_BUSY)):
        abandon(machine, build, starts=starts)
        assert machine.registers.read("ERROR")["code"] == code
        assert machine.status()["busy"]
        machine.clear()
        check(machine, build, seed=starts, read_counters=starts > 1)


@on_host
def an_inference_that_timed_out_leaves_nothing_after_clear(machine):
    build = load(machine, "first")
    hasty = Accelerator(machine.bus, timeout=1e-7)
    hasty._loaded = machine._loaded
    try:
        check(hasty, build)
    except DriverTimeout:
        assert machine.status()["busy"]
    else:
        raise AssertionError("exceeded the timeout")
    machine.clear()
    check(machine, build, seed=2)


@with_x
def a_packet_that_was_blocked_and_cut_short_is_gone_after_clear(machine):
    machine.reset()    # otherwise undefined words would be read
    build = load(machine, "first")
    machine.registers.write("WATCHDOG", value=2000)
    machine.registers.write("READ_PLACE", memory=Memory.ACT.value)
    machine.registers.write("READ", count=32)    # one packet is expected from the start
    machine.wait_until(lambda: machine.status()["idle"] or None, "The end of the first packet")
    machine.registers.write("READ", count=32)
    try:
        machine.wait_until(lambda: None, "The error")
    except MachineError as error:
        assert error.code == Error.RESULT_BLOCKED
    else:
        raise AssertionError("took an unexpected packet")
    machine.clear()
    check(machine, build, seed=2)


@on_host
def a_refused_access_is_reported(machine):
    try:
        machine.registers.write("ID", value=0)
    except BusError as error:
        assert re.match("Write of 0x0 to 0x0 was answered with SLVERR|"
                        "write of 0x00000000 to 0x000 must be answered OKAY", str(error))
    else:
        raise AssertionError("wrote a read-only register")
