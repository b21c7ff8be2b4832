"""C driver as a library on FakeMachine: bus traffic, results and statuses."""

import ctypes
import dataclasses
import subprocess

import numpy as np
import pytest

from eie_compiler.lowering.compile import compile_network
from eie_compiler.preprocessing import Preprocessing
from eie_compiler.random_networks import random_network
from eie_compiler.vectors import quantise
from eie_driver.c_export import export
from eie_driver.c_model import LoadTables, machine_table, model_tables
from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.numeric import limits
from eie_hdl.registers import REGISTERS, Error
from eie_sim.c_driver.library import CDriver, compile_library, link_library
from eie_sim.c_driver.program import C_FLAGS, DRIVER
from eie_sim.inference import infer
from support.dead_inputs import clear_inputs
from support.driver_builds import compiled_programs, random_words
from support.sequences import draw_words, make_layer

TINY = PRESETS["tiny"]

#: Names of the driver's statuses, in the order of eie.h.
(OK, ID, VERSION, CONFIG, CHECKSUM, MACHINE, TIMEOUT, TRANSFER, LENGTH, BUSY, EMPTY,
 VALUE, STATES) = range(13)

ADDRESS = {register.name: register.address for register in REGISTERS}


def compiled(config, sizes, outputs="last"):
    network = random_network(np.random.default_rng(3), sizes, density=0.5, frac=4,
                             v_width=config.v_width)
    return compile_network(network, config, outputs=outputs)


def inputs_of(build, batch=5):
    low, high = limits(build.config.act_width)
    return np.random.default_rng(4).integers(low, high, (batch, len(build.input.columns)),
                                             endpoint=True)


def expected(build, words):
    return np.concatenate(infer(build, words, words=True, engine="golden").outputs, axis=1)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Library and build of a small network with two input buffers."""
    build = compiled(TINY, [30, 20, 9])
    assert build.input_buffers == 2
    return compile_library(build, tmp_path_factory.mktemp("tiny")), build


@pytest.fixture
def driver(tiny):
    """Driver of an initialised machine without a model."""
    driver = CDriver(*tiny)
    assert driver.init() == OK
    return driver


@pytest.fixture
def loaded(driver):
    assert driver.load() == OK
    driver.fake.log.clear()
    return driver


@pytest.mark.parametrize("interrupts", [False, True], ids=["polling", "interrupts"])
@pytest.mark.parametrize(("config", "sizes", "outputs", "buffers"), [
    (TINY, [30, 20, 9], "all", 2),
    (EIEConfig(n_pe=1, act_width=8, act_depth=64), [7, 5], "last", 2),
    (EIEConfig(n_pe=2, act_width=24), [33, 11], "all", 2),
    (EIEConfig(n_pe=1, act_depth=13), [16, 16], "last", 1),
], ids=["all-outputs", "bytes", "two-beats-a-word", "one-buffer"])
def test_results_are_those_of_the_golden_model(tmp_path, config, sizes, outputs, buffers,
                                               interrupts):
    build = compiled(config, sizes, outputs)
    assert build.input_buffers == buffers
    driver = CDriver(compile_library(build, tmp_path), build, interrupts=interrupts)
    words = inputs_of(build)
    assert (driver.init(), driver.load()) == (OK, OK)
    for batch in (words, words[:1]):
        status, outputs = driver.infer(batch)
        assert status == OK
        assert outputs.tolist() == expected(build, batch).tolist()
    assert (driver.waits > 0) == interrupts


@pytest.mark.parametrize("dead", [[0, 7, 8, 9, 29], list(range(30))], ids=["some", "all"])
def test_inputs_that_no_result_depends_on_are_not_sent_but_checked(tmp_path, dead):
    network = clear_inputs(random_network(np.random.default_rng(3), [30, 20, 9], density=0.5,
                                          frac=4, v_width=TINY.v_width), dead)
    build, whole = (compile_network(network, TINY, keep_dead_rows=keep) for keep in (False, True))
    driver = CDriver(compile_library(build, tmp_path), build)
    assert (driver.init(), driver.load()) == (OK, OK)
    words = inputs_of(build)
    status, outputs = driver.infer(words)
    assert status == OK
    assert outputs.tolist() == expected(build, words).tolist() == expected(whole, words).tolist()
    words[0, 8] = 128
    assert driver.infer(words)[0] == VALUE


def test_inputs_are_sent_ahead(loaded):
    """Two programs are in flight, and a third start is pending."""
    loaded.infer(inputs_of(loaded.build, 4))
    assert [entry for entry in loaded.fake.log if entry != "IRQ_STATUS"] == [
        *3 * ["send", "START"], "receive", "send", "START", *3 * ["receive"]]


def test_counters_have_64_bits(loaded):
    words = inputs_of(loaded.build, 1)
    loaded.infer(words)
    macs = infer(loaded.build, words, words=True, engine="golden").counters["macs"][0]
    assert loaded.counter(ADDRESS["MACS_LO"]) == macs > 0
    loaded.fake.words["MACS_HI"] = 7
    assert loaded.counter(ADDRESS["MACS_LO"]) == macs + (7 << 32)


def test_a_missing_machine_is_detected(tiny):
    driver = CDriver(*tiny)
    driver.fake.words["ID"] ^= 1
    assert driver.init() == ID
    assert driver.fake.log == []


def test_another_major_version_is_detected(tiny):
    driver = CDriver(*tiny)
    major = driver.fake.get("VERSION", "major")
    driver.fake.set("VERSION", major=major + 1)
    assert driver.init() == VERSION
    assert driver.fake.log == []
    driver.fake.set("VERSION", major=major, minor=7, patch=7)
    assert driver.init() == OK


@pytest.mark.parametrize("name", ["FORMAT", *(name for name in ADDRESS if "CONFIG_" in name)])
def test_another_machine_is_detected(driver, name):
    driver.fake.words[name] += 1
    driver.fake.log.clear()
    assert driver.load() == CONFIG
    assert driver.machine.address == ADDRESS[name]
    assert driver.fake.log == []
    assert driver.submit(inputs_of(driver.build)[0]) == EMPTY


@pytest.mark.parametrize("name", ["CONFIG_LOOPS", "CONFIG_LOCAL", "CONFIG_MAXIMUM",
                                  "CONFIG_PRODUCTS", "CONFIG_TABLES", "CONFIG_SCALES"])
def test_the_register_of_loops_is_not_read_from_a_machine_of_version_2_0(driver, name):
    driver.fake.set("VERSION", minor=0)
    driver.fake.words[name] = 1
    assert driver.load() == OK


def test_a_bit_that_flips_while_loading_is_noticed(driver):
    driver.flip = 1
    assert driver.load() == CHECKSUM
    driver.flip = 0
    assert driver.load() == OK


def test_an_error_while_loading_is_reported(driver):
    driver.fake.fail(Error.BAD_ADDRESS, 77)
    assert driver.load() == MACHINE
    error = driver.call("error")
    assert (error.code, error.address) == (Error.BAD_ADDRESS, 77)
    assert (driver.call("clear"), driver.load()) == (OK, OK)


def test_an_error_of_an_inference_is_reported(loaded):
    words = inputs_of(loaded.build)
    loaded.fake.fail(Error.LOAD_IN_USE)
    assert (loaded.submit(words[0]), loaded.collect()) == (OK, MACHINE)
    assert (loaded.call("load", None, None), loaded.call("clear")) == (BUSY, OK)
    assert loaded.infer(words)[1].tolist() == expected(loaded.build, words).tolist()


def test_calls_at_the_wrong_time_are_refused(driver):
    words = inputs_of(driver.build)
    assert (driver.submit(words[0]), driver.collect()) == (EMPTY, EMPTY)
    assert driver.call("infer", None, None) == EMPTY
    assert (driver.load(), driver.collect()) == (OK, EMPTY)
    assert [driver.submit(words[at]) for at in (0, 1, 0, 1)] == [OK, OK, OK, BUSY]
    assert (driver.load(), driver.call("infer", None, None)) == (BUSY, BUSY)
    for one in words[[0, 1, 0]]:
        assert driver.collect() == OK
        assert driver.outputs.tolist() == expected(driver.build, one[np.newaxis])[0].tolist()
    assert (driver.collect(), driver.load()) == (EMPTY, OK)


def test_a_reset_machine_has_no_model(loaded):
    assert loaded.call("reset") == OK
    assert loaded.submit(inputs_of(loaded.build)[0]) == EMPTY
    assert not any(image.any() for image in loaded.fake.images.values())


def test_a_transfer_that_is_refused_is_reported(loaded):
    words = inputs_of(loaded.build)
    loaded.sends = False
    assert (loaded.submit(words[0]), loaded.call("clear"), loaded.load()) == (
        TRANSFER, OK, TRANSFER)
    loaded.sends = True
    assert loaded.load() == OK
    loaded.takes = False
    assert (loaded.submit(words[0]), loaded.call("clear")) == (TRANSFER, TRANSFER)


def test_a_transfer_that_does_not_end_is_reported(loaded):
    loaded.ends = False
    assert loaded.submit(inputs_of(loaded.build)[0]) == TIMEOUT
    assert (loaded.call("clear"), loaded.load()) == (OK, TIMEOUT)


def test_missing_results_are_reported(loaded):
    assert loaded.submit(inputs_of(loaded.build)[0]) == OK
    loaded.fake.results.clear()
    assert loaded.collect() == TIMEOUT


def test_results_of_a_wrong_length_are_reported(loaded):
    words = inputs_of(loaded.build)
    loaded.cut = 1
    assert (loaded.submit(words[0]), loaded.collect()) == (OK, LENGTH)
    loaded.fake.set("STATUS", error=1)
    assert (loaded.call("clear"), loaded.submit(words[0])) == (OK, OK)
    loaded.fake.set("STATUS", error=1)
    assert loaded.collect() == MACHINE


def test_results_that_were_not_taken_are_dropped(loaded):
    words = inputs_of(loaded.build)
    assert [loaded.submit(one) for one in words[:2]] == [OK, OK]
    assert (loaded.call("clear"), len(loaded.fake.results)) == (OK, 0)
    assert loaded.infer(words)[1].tolist() == expected(loaded.build, words).tolist()
    assert [loaded.submit(one) for one in words[:2]] == [OK, OK]
    stale = loaded.fake.results.copy()
    assert loaded.call("reset") == OK
    loaded.fake.results = stale
    assert loaded.load() == OK
    assert loaded.infer(words)[1].tolist() == expected(loaded.build, words).tolist()


INTERRUPTER = """#include "interrupted_port.h"
int call(struct eie *eie, const struct eie_model *model, const struct eie_memory *memory,
         size_t count, const int32_t *inputs, int32_t *outputs, long at, bool late);
int call(struct eie *eie, const struct eie_model *model, const struct eie_memory *memory,
         size_t count, const int32_t *inputs, int32_t *outputs, long at, bool late)
{
    return (int)interrupted_call(eie, model, memory, count, inputs, outputs, at, late);
}
"""


@pytest.fixture(scope="module", params=["last", "all"])
def interrupter(request, tmp_path_factory):
    """Driver, and function that leaves a batch or a load at one of its accesses."""
    build, folder = compiled(TINY, [6, 5, 4], request.param), tmp_path_factory.mktemp("left")
    driver = CDriver(compile_library(build, folder), build)
    (folder / "call.c").write_text(INTERRUPTER, encoding="utf-8")
    subprocess.run(["gcc", *C_FLAGS, "-I", DRIVER / "sim", "-shared", "-fPIC", "-o",
                    folder / "call.so", folder / "call.c", folder / "library.so"], check=True)
    library = ctypes.CDLL(str(folder / "call.so"))

    def attempt(at, late, *, words=None):
        """Return the status, or None if the call was left."""
        outputs, model = np.zeros((8, len(driver.outputs)), np.int32), None
        if words is None:
            model, words = ctypes.byref(ctypes.c_char.in_dll(driver.library, "model")), outputs
        status = library.call(
            ctypes.byref(driver.machine), model, ctypes.byref(driver.memory),
            ctypes.c_size_t(len(words)), driver._pointer(words), driver._pointer(outputs),
            ctypes.c_long(at), ctypes.c_bool(late))
        return None if status > VALUE else status

    assert (driver.init(), driver.load()) == (OK, OK)
    return driver, attempt


@pytest.mark.parametrize("late", [False, True])
def test_a_batch_left_at_any_access_never_gives_its_results_to_the_next_one(interrupter, late):
    driver, attempt = interrupter
    words = inputs_of(driver.build, 3)
    first, second = words[:2], words[2:]
    for at in range(10_000):
        if attempt(at, late, words=first) == OK:
            break
        assert driver.infer(second)[0] == driver.submit(second[0]) == driver.load() == BUSY
        assert driver.collect() != OK
        assert driver.call("clear") == OK
        status, outputs = driver.infer(second)
        assert status == OK
        assert outputs.tolist() == expected(driver.build, second).tolist()
    assert at > 10


@pytest.mark.parametrize("late", [False, pytest.param(True, marks=pytest.mark.full)])
def test_a_load_left_at_any_access_is_never_run(interrupter, late):
    driver, attempt = interrupter
    words = inputs_of(driver.build, 2)
    for at in range(10_000):
        if attempt(at, late) == OK:
            break
        assert driver.infer(words)[0] == EMPTY
        assert driver.load() == OK
        assert driver.infer(words)[1].tolist() == expected(driver.build, words).tolist()
    assert at > 20


@pytest.mark.parametrize("fault", ["sends", "takes", "ends"])
def test_a_transfer_that_fails_anywhere_in_a_batch_is_not_continued(loaded, fault):
    words = inputs_of(loaded.build, 4)
    port = {"sends": "send", "takes": "receive", "ends": "sent"}[fault]
    kind, calls = type(getattr(loaded._port, port)), 0

    def fail_once(*arguments):
        nonlocal calls
        calls += 1
        setattr(loaded, fault, not at < calls <= at + (10 if fault == "ends" else 1))
        return function(*arguments)

    function = getattr(loaded, f"_{port}")
    setattr(loaded._port, port, kind(fail_once))
    for at in range(100):
        calls = 0
        status = loaded.infer(words[:2])[0]
        if calls <= at:
            break
        assert status in (TRANSFER, TIMEOUT)
        setattr(loaded, fault, True)
        calls = at + 100
        assert loaded.infer(words[2:])[0] == BUSY
        assert loaded.collect() in (BUSY, EMPTY)
        assert loaded.call("clear") == OK
        assert loaded.infer(words[2:])[1].tolist() == expected(loaded.build, words[2:]).tolist()
    assert at in (2, 3, 4)


@pytest.fixture
def all_outputs(tmp_path):
    """Driver of a machine with a loaded model of two outputs."""
    build = compiled(TINY, [30, 20, 9], outputs="all")
    driver = CDriver(compile_library(build, tmp_path), build)
    assert (driver.init(), driver.load()) == (OK, OK)
    return driver


def take_results_slowly(driver, monkeypatch, *, polls=150):
    """Let each result take several polls, and the machine not be busy, but idle only after them.

    While an error is pending, a start is queued.
    """
    fake, left = driver.fake, polls
    take, read = fake.receive, fake.read

    def receive():
        nonlocal left
        left = left - 1 if left else polls
        return None if left else take()

    def read_status(address):
        fake.set("STATUS", idle=not (fake.results or fake.get("ERROR", "code")))
        return read(address)

    driver._port.patience = 10 * polls
    monkeypatch.setattr(fake, "receive", receive)
    monkeypatch.setattr(fake, "read", read_status)


@pytest.mark.parametrize("error", [Error.NONE, Error.START_BUSY, Error.LOAD_IN_USE])
def test_vectors_that_are_leaving_are_drained_by_clear(all_outputs, monkeypatch, error):
    words = inputs_of(all_outputs.build)
    assert [all_outputs.submit(one) for one in words[:2]] == [OK, OK]
    fake = all_outputs.fake
    assert len(fake.results) == 4
    if error:
        fake.fail(error)
    take_results_slowly(all_outputs, monkeypatch)
    fake.log.clear()
    assert all_outputs.call("clear") == OK
    assert not fake.results
    # The clear withdraws the pending start, which would keep the machine from becoming idle. The
    # first result was lost when the transfers were stopped.
    assert fake.log[:4] == ["CONTROL", *3 * ["receive"]]
    assert all_outputs.call("error").code == Error.NONE
    monkeypatch.undo()
    assert all_outputs.infer(words)[1].tolist() == expected(all_outputs.build, words).tolist()


def test_vectors_that_are_leaving_are_drained_by_load(all_outputs, monkeypatch):
    words = inputs_of(all_outputs.build)
    assert [all_outputs.submit(one) for one in words[:2]] == [OK, OK]
    stale = all_outputs.fake.results.copy()
    assert all_outputs.call("reset") == OK
    all_outputs.fake.results = stale
    take_results_slowly(all_outputs, monkeypatch)
    all_outputs.fake.log.clear()
    assert all_outputs.load() == OK
    assert all_outputs.fake.log[:5] == [*4 * ["receive"], "CONTROL"]
    monkeypatch.undo()
    assert all_outputs.infer(words)[1].tolist() == expected(all_outputs.build, words).tolist()


@pytest.mark.parametrize(("error", "state"), [
    (Error.NO_END, "resetting"), (Error.START_BUSY, "busy")])
def test_results_are_taken_until_a_program_has_ended_or_been_stopped(all_outputs, monkeypatch,
                                                                     error, state):
    """The clear waits: a failed program is stopped when the vector being sent has left."""
    words = inputs_of(all_outputs.build)
    assert all_outputs.submit(words[0]) == OK
    fake, take = all_outputs.fake, all_outputs.fake.receive
    fake.fail(error)
    fake.set("STATUS", **{state: 1, "idle": 0})

    def receive():
        if (packet := take()) is not None and not fake.results:
            fake.set("STATUS", **{state: 0, "idle": 1})
        return packet

    monkeypatch.setattr(fake, "receive", receive)
    fake.log.clear()
    assert all_outputs.call("clear") == OK
    assert fake.log[:2] == ["receive", "CONTROL"]


def test_a_program_that_fails_after_the_clear_is_reported(all_outputs, monkeypatch):
    words = inputs_of(all_outputs.build)
    assert all_outputs.submit(words[0]) == OK
    fake = all_outputs.fake
    fake.fail(Error.START_BUSY)
    control = fake._control

    def fail_next():
        control()
        fake.fail(Error.NO_END)
        monkeypatch.undo()

    monkeypatch.setattr(fake, "_control", fail_next)
    assert all_outputs.call("clear") == MACHINE
    assert all_outputs.submit(words[0]) == BUSY
    assert all_outputs.call("clear") == OK
    assert all_outputs.infer(words)[1].tolist() == expected(all_outputs.build, words).tolist()


def test_a_load_with_a_pending_error_sends_nothing(driver):
    driver.fake.fail(Error.START_RANGE)
    driver.fake.set("STATUS", idle=0, queued=1)
    driver.fake.log.clear()
    assert driver.load() == MACHINE
    assert driver.fake.log == []


def test_a_machine_that_is_never_idle_is_reported(driver):
    driver.fake.set("STATUS", idle=0)
    assert driver.load() == TIMEOUT


def test_a_load_sends_nothing_while_a_packet_is_incomplete(loaded):
    """Its first packets would complete the one that was left, with the right checksum."""
    loaded.fake.set("STATUS", idle=0, receiving=1)
    assert loaded.load() == TIMEOUT
    assert "send" not in loaded.fake.log
    assert loaded.call("clear") == OK
    loaded.fake.set("STATUS", idle=1, receiving=0)
    assert loaded.load() == OK


def test_a_reset_that_was_left_is_to_be_repeated(loaded, monkeypatch):
    monkeypatch.setattr(loaded.fake, "reset", lambda: loaded.fake.set("STATUS", resetting=1))
    assert (loaded.call("reset"), loaded.load()) == (TIMEOUT, BUSY)
    monkeypatch.undo()
    assert (loaded.call("reset"), loaded.load()) == (OK, OK)


def test_a_failed_program_that_is_not_stopped_is_reported(driver):
    for status in (CONFIG, OK):
        driver.fake.words["FORMAT"] ^= 1
        assert driver.load() == status
        driver.fake.set("STATUS", resetting=1)
        driver.fake.log.clear()
        assert driver.call("clear") == TIMEOUT
        assert "CONTROL" not in driver.fake.log
        driver.fake.set("STATUS", resetting=0)
        assert (driver.load(), driver.call("clear")) == (BUSY, OK)


def test_a_program_that_does_not_end_is_reported_by_clear(loaded):
    loaded.fake.set("STATUS", idle=0, busy=1)
    assert (loaded.call("clear"), loaded.load()) == (TIMEOUT, BUSY)
    loaded.fake.set("STATUS", idle=1, busy=0)
    assert (loaded.call("clear"), loaded.load()) == (OK, OK)


def test_a_reset_that_does_not_end_is_reported(driver, monkeypatch):
    driver.fake.set("STATUS", resetting=1)
    monkeypatch.setattr(driver.fake, "reset", lambda: None)
    assert driver.call("reset") == TIMEOUT


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Library with a model for each of several builds, and the builds."""
    builds = compiled_programs()
    loads = {id(build.images): LoadTables.make(TINY, build.images, f"{name}_load")
             for name, build in builds.items()}
    folder = tmp_path_factory.mktemp("programs")
    (folder / "model.c").write_text("\n".join([
        '#include "eie.h"\n', machine_table(TINY, "machine"),
        *(load.text for load in loads.values()),
        *(f"extern const struct eie_model {name};\n"
          + model_tables(build, name, loads[id(build.images)], machine="machine")
          for name, build in builds.items())]), encoding="utf-8")
    return link_library(folder, DRIVER / "eie.c"), builds


@pytest.fixture
def selecting(programs):
    """Driver of an initialised machine, and builds to select."""
    library, builds = programs
    driver = CDriver(library, builds["narrow"])
    assert driver.init() == OK
    return driver, builds


def test_programs_are_selected_in_any_order_whatever_others_have_left(selecting):
    driver, builds = selecting
    for name in ["narrow", "wide", "narrow", "even", "wide", "large", "even", "narrow"]:
        for pe in range(TINY.n_pe):
            driver.fake.images[f"pe_{pe}.act"][6:] = 0x0101010101010101    # all but the biases
        assert driver.select(name, builds[name]) == OK
        words = random_words(builds[name])
        status, outputs = driver.infer(words)
        assert (status, outputs.tolist()) == (OK, expected(builds[name], words).tolist()), name


def test_a_program_of_the_load_is_selected_without_loading(selecting):
    driver, builds = selecting
    assert driver.select("narrow", builds["narrow"]) == OK
    driver.fake.log.clear()
    assert driver.select("narrow", builds["narrow"]) == OK
    assert driver.fake.log == []
    assert driver.select("wide", builds["wide"]) == OK
    assert driver.fake.log == ["INPUT_BASE", "INPUT_WORDS", "INPUT_STRIDE"]
    driver.fake.log.clear()
    assert driver.select("even", builds["even"]) == OK
    assert driver.fake.log == ["INPUT_BASE", "INPUT_WORDS", "INPUT_STRIDE", "send", "send"]
    driver.fake.log.clear()
    assert driver.select("large", builds["large"]) == OK
    assert driver.fake.log.count("send") > 4


@pytest.mark.parametrize("fault", ["pending", "busy", "error", "refused", "error-after"])
def test_a_failed_selection_leaves_no_wrong_program(selecting, fault):
    driver, builds = selecting
    narrow, even = builds["narrow"], builds["even"]
    assert driver.select("narrow", narrow) == OK
    if fault == "pending":
        assert driver.submit(random_words(narrow)[0]) == OK
    elif fault == "busy":
        driver.fake.set("STATUS", idle=0)
    elif fault == "error":
        driver.fake.fail(Error.START_RANGE)
        driver.fake.set("STATUS", idle=0)
    elif fault == "refused":
        driver.sends = False
    else:
        driver._port.sent = type(driver._port.sent)(
            lambda _: driver.fake.fail(Error.LOAD_IN_USE) or True)
    status = {"pending": BUSY, "busy": TIMEOUT, "error": MACHINE, "refused": TRANSFER,
              "error-after": MACHINE}[fault]
    assert driver.select("even", even) == status
    if fault == "pending":
        assert driver.collect() == OK    # of the program before
        assert driver.select("even", even) == OK
    else:
        assert driver.submit(random_words(even)[0]) == EMPTY


@pytest.mark.parametrize("number", [128, -129])
def test_an_input_that_does_not_fit_is_refused(loaded, number):
    words = inputs_of(loaded.build)[0]
    words[7] = number
    assert loaded.submit(words) == VALUE
    assert loaded.fake.log == []
    words[7] = number + (1 if number < 0 else -1)
    assert loaded.submit(words) == OK


def test_every_status_and_error_has_a_text(tiny):
    library, _ = tiny
    texts = [library.eie_status_text(status) for status in range(STATES + 1)]
    assert len(set(texts)) == len(texts)
    assert library.eie_status_text(STATES + 1) == b"unknown status"
    for error in Error:
        assert library.eie_error_text(error).decode() == error.doc
    assert library.eie_error_text(max(Error) + 1) == b"unknown error code"


@pytest.mark.parametrize("flag", ["-ffreestanding", "-fno-builtin", "-Os"])
def test_driver_needs_no_library(tmp_path, flag):
    for source in ("eie.c", "eie_network.c"):
        subprocess.run(["gcc", *C_FLAGS, flag, "-c", DRIVER / source], cwd=tmp_path, check=True)
    subprocess.run(["ld", "-r", "eie.o", "eie_network.o", "-o", "both.o"], cwd=tmp_path, check=True)
    symbols = subprocess.run(["nm", "-u", tmp_path / "both.o"], check=True, capture_output=True,
                             encoding="utf-8").stdout.split()
    # gcc may emit calls of these two in any code, even freestanding.
    assert set(symbols) <= {"U", "memset", "memcpy", "_GLOBAL_OFFSET_TABLE_"}


def test_headers_compile_as_cpp(tmp_path):
    (tmp_path / "user.cpp").write_text(
        '#include "eie.h"\n#include "eie_operations.h"\n#include "eie_quantise.h"\n'
        'int main() { return eie_status_text(EIE_OK) == nullptr || eie_quantise(0.5, 1, 8) != 1; }',
        encoding="utf-8")
    subprocess.run(["gcc", *C_FLAGS, "-c", DRIVER / "eie.c", "-o", tmp_path / "eie.o"], check=True)
    subprocess.run(["g++", "-std=c++11", "-pedantic", "-Wall", "-Wextra", "-Werror", "-I", DRIVER,
                    tmp_path / "user.cpp", tmp_path / "eie.o", "-o", tmp_path / "user"], check=True)
    subprocess.run([tmp_path / "user"], check=True)


def test_numbers_are_rounded_as_by_the_golden_model(tmp_path):
    (tmp_path / "q.c").write_text(
        '#include "eie_quantise.h"\nint32_t q(double x, int frac, unsigned width);\n'
        'int32_t q(double x, int frac, unsigned width) { return eie_quantise(x, frac, width); }\n',
        encoding="utf-8")
    subprocess.run(["gcc", *C_FLAGS, "-shared", "-fPIC", "-o", tmp_path / "q.so",
                    tmp_path / "q.c"], check=True)
    q = ctypes.CDLL(str(tmp_path / "q.so")).q
    q.argtypes = ctypes.c_double, ctypes.c_int, ctypes.c_uint
    numbers = np.array([*np.random.default_rng(5).normal(0, 20, 300), *np.arange(-300, 300) / 16,
                        1e300, -1e300, 15.9375, np.nextafter(15.9375, 0), -16.0625,
                        np.nextafter(-16.0625, -20)])
    for frac, width in [(3, 8), (-2, 4), (0, 24), (20, 24)]:
        assert [q(number, frac, width) for number in numbers] == quantise(
            numbers, frac, width).tolist()
    assert [q(number, 3, 8) for number in (np.inf, -np.inf, np.nan)] == [127, -128, -128]
    below_half = np.nextafter(0.5, 0)
    assert q(below_half, 0, 8) == quantise(below_half, 0, 8) == 0


@pytest.mark.parametrize("nonnegative", [False, True])
@pytest.mark.parametrize("offset, scale", [
    ([0, 746.9, -0.003, 1e6, 12.9, -273.15], [1, 1 / 314, 4e4, 1e-4, -1.23, 0.07]), ([], [])])
def test_inputs_are_preprocessed_as_in_python(tmp_path, offset, scale, nonnegative):
    offset, scale = np.array(offset), np.array(scale)
    network = dataclasses.replace(
        random_network(np.random.default_rng(3), [6, 3], frac=4, v_width=TINY.v_width),
        preprocessing=Preprocessing(offset, scale) if len(offset) else None,
        nonnegative_inputs=nonnegative)
    build = compile_network(network, TINY)
    export(build, tmp_path)
    (tmp_path / "q.c").write_text(
        '#include "eie_quantise.h"\n#include "model.h"\n'
        'int32_t q(size_t at, double x);\n'
        'int32_t q(size_t at, double x) { return eie_input_word(&model, at, x); }\n'
        'size_t all(const double *x, int32_t *w);\n'
        'size_t all(const double *x, int32_t *w) { return eie_input_words(&model, x, w); }\n',
        encoding="utf-8")
    subprocess.run(["gcc", *C_FLAGS, "-I", DRIVER, "-shared", "-fPIC", "-o", tmp_path / "q.so",
                    tmp_path / "q.c", tmp_path / "model.c"], check=True)
    library = ctypes.CDLL(str(tmp_path / "q.so"))
    q, convert = library.q, library.all
    q.argtypes = ctypes.c_size_t, ctypes.c_double
    convert.argtypes, convert.restype = 2 * [ctypes.c_void_p], ctypes.c_size_t
    rng = np.random.default_rng(6)
    x = np.concatenate([
        rng.normal(0, 10, (500, 6)) * rng.choice([1e-9, 1e-3, 1, 1e3, 1e12], (500, 1)),
        rng.integers(-2 ** 40, 2 ** 40, (100, 6)) / 32, np.full((2, 6), [[1e308], [-1e308]])])
    if len(offset):
        near = np.arange(-1000, 1000)[:, None] / 32    # halves of words
        x = np.concatenate([x, offset + near / scale])
    found = [[q(at, number) for at, number in enumerate(row)] for row in x.tolist()]
    assert found == build.quantise(x).tolist()
    words, expected = np.empty((len(x), 6), np.int32), build.to_words(x)
    saturated = [convert(np.ascontiguousarray(row).ctypes.data, into.ctypes.data)
                 for row, into in zip(x, words)]
    assert words.tolist() == expected.values.tolist()
    assert saturated == expected.saturated.tolist()
    assert min(saturated) < max(saturated)
    not_finite = np.array([np.nan, np.inf, -np.inf] * 2)
    assert convert(not_finite.ctypes.data, words[0].ctypes.data) == 6
    # Python refuses what is not finite.
    for same, value in ((1e308, np.inf), (-1e308, -np.inf), (-1e308, np.nan)):
        assert [q(at, value) for at in range(6)] == build.quantise(np.full(6, same)).tolist()


def test_negative_words_of_inputs_that_cannot_be_are_refused(tmp_path):
    build = compile_network(dataclasses.replace(
        random_network(np.random.default_rng(3), [6, 3], frac=4, v_width=TINY.v_width),
        nonnegative_inputs=True), TINY)
    driver = CDriver(compile_library(build, tmp_path), build)
    assert (driver.init(), driver.load()) == (OK, OK)
    assert driver.infer(np.array([[0, 1, 127, 3, 4, 5]]))[0] == OK
    assert driver.infer(np.array([[0, 1, 127, 3, -1, 5]]))[0] == VALUE


@pytest.fixture(scope="module", params=[1, 2], ids="{} buffers".format)
def keeps_states(request, tmp_path_factory):
    """Layer with states, and its library."""
    layer = make_layer(steps=4, buffers=request.param)
    return layer, compile_library(layer.build, tmp_path_factory.mktemp("states"))


@pytest.fixture
def layer_and_driver(keeps_states):
    layer, library = keeps_states
    driver = CDriver(library, layer.build)
    assert driver.init() == driver.load() == OK
    return layer, driver


def test_states_are_kept_during_a_sequence_however_it_is_cut(layer_and_driver):
    layer, driver = layer_and_driver
    words = draw_words(5, 4)
    expected = layer.compute(words).tolist()
    begin = 0
    for end in (8, 9, 11, 17, 20):
        status, outputs = driver.infer(words[begin:end])
        assert status == OK and outputs.tolist() == expected[begin:end]
        begin = end


@pytest.mark.parametrize("call", ["load", "select", "clear", "reset"])
def test_a_sequence_begins_after_each_call_that_sets_up_the_machine(layer_and_driver, call):
    layer, driver = layer_and_driver
    words = draw_words(1, 4)
    assert driver.infer(words[:3])[0] == OK
    if call == "select":
        assert driver.select("model", layer.build) == OK
    elif call == "load":
        assert driver.load() == OK
    else:
        assert driver.call(call) == OK
        assert call == "clear" or driver.load() == OK
    assert driver.infer(words)[1].tolist() == layer.compute(words).tolist()


def test_a_vector_that_is_refused_is_not_a_step(layer_and_driver):
    layer, driver = layer_and_driver
    words = draw_words(1, 4)
    assert driver.infer(words[:2])[0] == OK
    assert driver.submit(words[2] + 1000) == VALUE
    assert driver.infer(words[2:])[1].tolist() == layer.compute(words)[2:].tolist()
