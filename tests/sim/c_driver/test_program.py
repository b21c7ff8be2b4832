"""C driver on simulated hardware: digits, misuse, and detection of faults."""

import functools
import re
import shutil
import subprocess

import numpy as np
import pytest

from eie_compiler.lowering.compile import compile_network
from eie_compiler.random_networks import random_network
from eie_hdl.config import EIEConfig
from eie_sim.c_driver.program import (
    C_FLAGS,
    DIGITS,
    FAULTS,
    compile_digits,
    compile_example,
    make_machine,
    run_program,
)
from eie_sim.rtl.simulators import SimulationError

#: One machine for all tests, as compiling it takes longer than all of them.
CONFIG = EIEConfig(n_pe=4)

MODES = pytest.mark.parametrize("options", [
    [], ["--interrupts"], ["--stall=0.4"], ["--interrupts", "--stall=0.4", "--seed=2"]],
    ids=["polling", "interrupts", "polling-stalls", "interrupts-stalls"])


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Compile an example as a program, once."""
    @functools.cache
    def make(example, simulators):
        return compile_digits(tmp_path_factory.mktemp(example.stem), example=example,
                              n_pe=CONFIG.n_pe, images=6, cache=simulators,
                              outputs="all" if example == FAULTS else "last")
    return make


@pytest.fixture
def digits(verilator, programs, simulators):
    return programs(DIGITS, simulators)


@pytest.fixture
def faults(verilator, programs, simulators):
    return programs(FAULTS, simulators)


def figures(text, name):
    """Return the numbers in a line of output."""
    line = re.search(rf"^ *{name} +(.*)$", text, re.M)[1]
    return [float(number) for number in re.findall(r"[\d.]+", line)]


@MODES
def test_digits_are_recognised(digits, options):
    text = run_program(digits, *options)
    mode = "interrupts" if "--interrupts" in options else "polling"
    assert text.startswith(f"digits, {mode}: 6 images, accuracy 100.00 %\n")
    assert figures(text, "outputs") == [2 * 6 * 10, 0]
    # One per program; an interrupt that is not cleared would recur endlessly.
    assert figures(text, "bridge:")[-1] == (2 * 6 if mode == "interrupts" else 0)


def test_programs_of_a_batch_overlap(digits):
    text = run_program(digits, "--interrupts")
    (cycles, _, _), (single,), (batch,) = (figures(text, name) for name in (
        "program cycles per image", "with the host, one by one", "with the host, in a batch"))
    assert batch < cycles < single


@MODES
def test_misuse_is_reported_and_recovered_from(faults, options):
    text = run_program(faults, *options)
    assert len(re.findall(r"^.{26} ok    ", text, re.M)) == 15
    assert "15 provoked, 0 wrong" in text


@pytest.fixture(scope="module")
def long_vectors():
    """Build and inputs: the last vector leaves for longer than the driver polls an idle machine."""
    network = random_network(np.random.default_rng(6), [20, 150, 150, 2600], density=0.02, frac=8)
    build = compile_network(network, CONFIG, outputs="all")
    return build, np.random.default_rng(7).integers(-1000, 1000, (3, 20))


def test_long_vectors_are_drained_to_their_end(verilator, tmp_path, simulators, long_vectors):
    program = compile_example(*long_vectors, np.zeros(3, np.int64), tmp_path, example=FAULTS,
                              cache=simulators)
    assert "15 provoked, 0 wrong" in run_program(program)


@MODES
def test_several_long_vectors_are_taken_in_a_batch(verilator, tmp_path, simulators, long_vectors,
                                                   options):
    build, words = long_vectors
    program = compile_example(build, words, np.zeros(3, np.int64), tmp_path, cache=simulators)
    text = run_program(program, *options)
    assert figures(text, "outputs") == [2 * 3 * (150 + 150 + 2600), 0]


@MODES
def test_all_layers_can_be_outputs(verilator, tmp_path, simulators, options):
    network = random_network(np.random.default_rng(6), [50, 40, 30, 7], frac=8)
    build = compile_network(network, CONFIG, outputs="all")
    words = np.random.default_rng(7).integers(-1000, 1000, (4, 50))
    program = compile_example(build, words, np.zeros(4, np.int64), tmp_path, cache=simulators)
    text = run_program(program, *options)
    assert figures(text, "outputs") == [2 * 4 * (40 + 30 + 7), 0]
    # Waiting for an interrupt while no program ends would take 10,000 cycles.
    assert figures(text, "with the host, one by one")[0] < 3000


def changed(program, folder, file, old, new, simulators):
    """Relink the example with a text replaced in one of its files, and run it."""
    shutil.copytree(program.parent, folder, dirs_exist_ok=True)
    text = (folder / file).read_text(encoding="utf-8")
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    subprocess.run(["gcc", *C_FLAGS, "-I", ".", "-c", file], cwd=folder, check=True)
    subprocess.run(["g++", "-o", "program", *(path.name for path in folder.glob("*.o")),
                    make_machine(CONFIG, cache=simulators), "-pthread"], cwd=folder, check=True)
    return run_program(folder / "program")


def test_an_expected_output_that_differs_is_reported(digits, tmp_path, simulators):
    text = (digits.parent / "digits_data.c").read_text(encoding="utf-8")
    last = re.search(r"(-?\d+),\n};\s*\Z", text)
    with pytest.raises(SimulationError, match=(
            rf"(?s)failed \(1\).*image 5, output 9: got {last[1]}, expected 12345\n"
            r".*120, 2 not as expected")):
        changed(digits, tmp_path, "digits_data.c", last[0], "12345,\n};\n", simulators)


def test_a_bit_that_flips_in_a_packet_is_reported(digits, tmp_path, simulators):
    text = (digits.parent / "network.c").read_text(encoding="utf-8")
    beat = re.search(r"beats\[\] = {\s*\w+, (\w+)u,", text)
    with pytest.raises(SimulationError, match="loading: the model was corrupted in transfer"):
        changed(digits, tmp_path, "network.c", beat[1], f"0x{int(beat[1], 0) ^ 1:016x}", simulators)


def test_a_program_that_does_not_end_is_stopped(digits):
    with pytest.raises(SimulationError, match=(
            r"(?s)failed \(3\).*the program must end\nirq \d; s_axis valid \d ready \d, \d+ beats "
            r"left; m_axis valid \d ready \d, \d+ bytes taken\nbridge: \d+ cycles")):
        run_program(digits, "--limit=200")
