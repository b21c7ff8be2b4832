"""Cycle model against the machine: every counter, on many machines and layers."""

import contextlib
import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from eie_compiler.files.network_file import read_network
from eie_compiler.lowering.compile import compile_network
from eie_compiler.lowering.convolution import Convolution, FeatureMap, channel_pitch
from eie_compiler.lowering.memory_map import n_words
from eie_compiler.lowering.programs import compile_programs
from eie_compiler.random_networks import random_network
from eie_driver.accelerator import Accelerator
from eie_hdl.config import PRESETS, EIEConfig
from eie_sim.cycles import model
from eie_sim.cycles.model import CycleModelError, predict, predict_back_to_back, predict_build
from eie_sim.cycles.steps import Step, build_steps
from eie_sim.demo.digits import FOLDER, load_digits
from eie_sim.inference import BACK_TO_BACK, infer, prepare
from eie_sim.pauses import Pauses
from eie_sim.rtl import verilator_engine
from eie_sim.rtl.verilator_bus import VerilatorBus
from eie_sim.rtl.verilator_engine import make_library
from support.convolutions import CONFIGS, LOCAL_CONFIGS, make_program, random_program

#: Machines of convolutions.
MACHINES = CONFIGS | LOCAL_CONFIGS

#: Numbers of PEs of random machines, in turn.
PES = (1, 8, 2, 32, 4, 16, 64)

#: Layers run on each machine.
N_LAYERS = 50

#: Networks run on each machine as a batch, without and with pauses.
N_BATCHES = 10

#: Random programs of convolutions, run on each machine.
N_CONVOLUTIONS = 4

#: Reduced memories of the published machine; those of 64 PEs take long to simulate.
SMALL = {"spmat_depth": 256, "ptr_depth": 1024, "act_depth": 64}


def greatest_size(n_pe: int, scale: int = 4) -> int:
    """Greatest size of a vector of a random network."""
    return min(20 + scale * n_pe, 200)


def random_machine(seed: int) -> EIEConfig:
    """Random machine of 1 to 64 PEs, with timing parameters up to extreme values.

    Two of three have little room for vectors and biases: for a large network they have one input
    buffer, or two but not two whole regions.
    """
    rng = np.random.default_rng(seed)
    n_pe = PES[seed % len(PES)]
    return EIEConfig(
        n_pe=n_pe, z_width=int(rng.choice([2, 4, 5, 6])),
        entries_per_word=1 << int(rng.integers(5)),
        queue_depth=int(rng.choice([2, 3, 5, 8, 13, 21, 256])),
        drop_empty_columns=bool(rng.integers(2)), acc_depth=1 << int(rng.integers(2, 11)),
        spmat_depth=4000, ptr_depth=2000, n_codebooks=3,
        act_depth=(5, 6, 20)[seed % 3] * n_words(greatest_size(n_pe), n_pe),
        program_depth=int(rng.integers(40, 70)), mac_stages=int(rng.integers(4, 6)),
        loops=seed % 2 == 1, local=seed % 4 == 3)


def random_build(rng: np.random.Generator, config: EIEConfig):
    """Random build of one or two layers, and an input, both of any density.

    One of four is the second program of its load, unless the memories have no room for two.
    """
    limit = greatest_size(config.n_pe, int(rng.choice([0, 1, 4])))
    sizes = rng.integers(rng.choice([1, limit - 1]), limit, rng.integers(2, 4)).tolist()
    network = random_network(rng, sizes, density=rng.choice([0.02, 0.1, 0.3, 0.9]), frac=4,
                             v_width=config.v_width, relu=bool(rng.integers(2)))
    networks = {"network": network}
    if rng.random() < 0.25:
        first = random_network(rng, [9, 7], v_width=config.v_width, frac=4)
        networks = {"first": first, **networks}
    build = compile_programs(networks, config, outputs=rng.choice(["last", "all"]),
                             mapping=rng.choice(["balanced", "interleaved"]))["network"]
    words = rng.integers(-127, 128, sizes[0]) * (rng.random(sizes[0]) < rng.choice([0, 0.3, 1]))
    return build, words


def random_pauses(rng: np.random.Generator) -> Pauses:
    """Pauses of either stream or of both, some of them long."""
    inputs, results = (
        tuple(rng.integers(0, rng.choice([2, 4, 20]), rng.integers(1, 9)).tolist())
        for _ in range(2))
    which = rng.integers(3)
    return Pauses(inputs if which != 1 else (0,), results if which != 0 else (0,))


def pytest_generate_tests(metafunc):
    if "config" in metafunc.fixturenames:
        count = metafunc.config.getoption("--machines")
        machines = {"tiny": PRESETS["tiny"],
                    **{f"seed {seed}": random_machine(seed) for seed in range(count)}}
        if count > len(PES):    # these take minutes to compile
            machines |= {"default": PRESETS["default"],
                         "isca2016": dataclasses.replace(PRESETS["isca2016"], **SMALL)}
        metafunc.parametrize("config", machines.values(), ids=list(machines))


def test_every_counter_is_predicted(config, verilator, simulators):
    rng = np.random.default_rng([config.n_pe, config.queue_depth, config.acc_depth])
    bus = VerilatorBus(make_library(config, simulators), timeout_cycles=1_000_000)
    with contextlib.closing(bus):
        machine = Accelerator(bus, timeout=1.0)
        for number in range(N_LAYERS):
            build, words = random_build(rng, config)
            machine.load(build)
            result = machine.run(words[np.newaxis], words=True)
            (prediction,) = predict_build(build, words[np.newaxis])
            assert [prediction.counters] == result.counters, f"layer {number} of {config}"
            expected = infer(build, words[np.newaxis], words=True, engine="golden").outputs
            assert all(map(np.array_equal, result.outputs, expected)), f"layer {number}"


def test_cycles_of_a_batch_are_predicted(config, verilator, simulators):
    rng = np.random.default_rng([config.n_pe, config.queue_depth, config.acc_depth])
    for number in range(N_BATCHES):
        build, words = random_build(rng, config)
        batch = words * (rng.random((int(rng.integers(1, 8)), len(words))) < 0.8)
        for pauses in (Pauses(), random_pauses(rng)):
            result = verilator_engine.run(build, batch, cache=simulators, read_counters=False,
                                          machines=1, pauses=pauses, alone=pauses == Pauses())
            predicted = predict_back_to_back(build, batch, pauses=pauses)
            assert predicted.interval == result.interval, f"{number}, {pauses} of {config}"
            if result.latency is not None:
                alone = predict_back_to_back(build, batch[:1])
                assert alone.latency == result.latency, f"{number} of {config}"


@pytest.mark.parametrize("size, n_buffers", [(23, 1), (15, 2)])
@pytest.mark.parametrize("outputs", ["last", "all"])
def test_cycles_of_programs_that_share_rows_are_predicted(size, n_buffers, outputs, verilator,
                                                          simulators):
    rng = np.random.default_rng(3)
    build = compile_network(random_network(rng, [size] * 3, density=0.2), random_machine(0),
                            outputs=outputs)
    batch = rng.integers(1, 100, (7, size)) * (rng.random((7, size)) < 0.6)
    assert build.input_buffers == n_buffers
    assert all(steps[0].alone for steps in build_steps(build, batch))
    result = verilator_engine.run(build, batch, cache=simulators, read_counters=False, machines=1)
    assert predict_back_to_back(build, batch).interval == result.interval


def test_golden_model_counts_the_same(build_and_words):
    build, words = build_and_words
    (prediction,) = predict_build(build, words[np.newaxis])
    golden = infer(build, words[np.newaxis], words=True, engine="golden")
    assert golden.counters.keys() == {"broadcasts", "macs", "paddings"}
    for name, (value,) in golden.counters.items():
        assert prediction.counters[name] == value > 0
    assert prediction.entries.tolist() == golden.entries[0].tolist()


def test_one_more_entry_is_noticed(build_and_words):
    """Check that the comparison above can fail."""
    build, words = build_and_words
    ((tile, output),) = build_steps(build, words[np.newaxis])
    pe = int(np.argmax(tile.entries[:, tile.nonzero].sum(axis=1)))
    column = int(np.flatnonzero(tile.nonzero & (tile.entries[pe] > 0))[-1])
    more = tile.entries.copy()
    more[pe, column] += 1
    one, other = (predict(build.config, [step, output]).counters
                  for step in (tile, tile._replace(entries=more)))
    assert other["cycles"] == one["cycles"] + 1
    assert other["macs"] == one["macs"] + 1


def test_one_broadcast_less_is_noticed():
    config = dataclasses.replace(PRESETS["tiny"], queue_depth=16)
    nonzero = np.ones(64, np.bool_)
    count = np.ones((4, 64), np.int64)
    begin = np.cumsum(count, axis=1) - count
    step = Step(nonzero, begin, count, 0 * count, 4, True)
    fewer = nonzero.copy()
    fewer[-1] = False
    all_, one_less = (predict(config, [step._replace(nonzero=which)]).counters["cycles"]
                      for which in (nonzero, fewer))
    assert all_ == one_less + 1


def test_a_model_that_does_not_end_is_an_error(build_and_words, monkeypatch):
    build, words = build_and_words
    monkeypatch.setattr(model, "_deadline", lambda *_: 40)
    with pytest.raises(CycleModelError, match=r"^The cycle model must end within 40 cycles, but "
                                              r"the CCU is in state 4 after \d+ of \d+ broad"):
        predict_build(build, words[np.newaxis])


def test_without_numba_the_error_names_what_to_install(build_and_words, monkeypatch):
    build, words = build_and_words
    monkeypatch.setitem(sys.modules, "eie_sim.cycles.kernel", None)
    monkeypatch.delattr("eie_sim.cycles.kernel", raising=False)
    with pytest.raises(CycleModelError, match=(
            r"^Numba must be installed for the cycle model, but was not found: "
            r"pip install .*\[bench\]'$")):
        predict_build(build, words[np.newaxis])


def test_code_that_cannot_be_cached_is_an_error_with_the_remedy(build_and_words):
    """Numba refuses to compile with cache=True without a writable cache."""
    script = ("import numba.core.caching as caching; caching.CacheImpl._locator_classes = []; "
              "from eie_sim.cycles.model import CycleModelError, _import_kernel\n"
              "try:\n    _import_kernel()\nexcept CycleModelError as error:\n    print(error)")
    run = subprocess.run([sys.executable, "-c", script], encoding="utf-8",
                         capture_output=True, check=True)
    assert "set NUMBA_CACHE_DIR to a writable folder" in run.stdout


def test_inferences_back_to_back_take_little_longer_than_their_broadcasts():
    """While a program waits between layers, the machine works on the next one."""
    build = compile_network(read_network(FOLDER / "digits.npz"), EIEConfig(n_pe=16),
                            mapping="balanced")
    words = prepare(build, load_digits().first(BACK_TO_BACK)[0])
    n_broadcasts = sum(int(step.nonzero.sum()) for steps in build_steps(build, words)
                       for step in steps)
    assert n_broadcasts < predict_back_to_back(build, words).interval < 1.1 * n_broadcasts


# 64 PEs take a minute to compile.
@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.full] * (config.n_pe > 16))
    for name, config in MACHINES.items()])
def test_counters_and_cycles_of_convolutions_are_predicted(name, verilator, simulators):
    """Two programs are in flight for every second one."""
    config = MACHINES[name]
    rng = np.random.default_rng(config.n_pe)
    bus = VerilatorBus(make_library(config, simulators), timeout_cycles=1_000_000)
    with contextlib.closing(bus):
        machine = Accelerator(bus, timeout=1.0)
        for seed in range(N_CONVOLUTIONS):
            program = random_program(config, seed, n_images=4, n_buffers=1 + seed % 2)
            build, words = program.build, program.inputs
            machine.load(build)
            counted = machine.run(words, words=True)
            predictions = predict_build(build, words)
            assert [each.counters for each in predictions] == counted.counters, f"seed {seed}"
            for pauses in (Pauses(), random_pauses(rng)):
                result = verilator_engine.run(build, words, cache=simulators, machines=1,
                                              read_counters=False, pauses=pauses)
                assert np.array_equal(result.outputs[0], program.expected), f"seed {seed}"
                predicted = predict_back_to_back(build, words, pauses=pauses)
                assert predicted.interval == result.interval, f"seed {seed}, {pauses}"


@pytest.mark.parametrize("n_pe, local, most", [
    (16, True, 38), (64, True, 18), (16, False, 510), (64, False, 510)])
def test_a_pixel_of_a_depthwise_convolution_takes_few_cycles_in_local_mode(n_pe, local, most):
    """Of 3 × 3 on 64 channels, none of whose activations is zero; of two lengths of a row."""
    config = EIEConfig(n_pe=n_pe, loops=True, local=True, act_depth=1024, ptr_depth=4096)
    cycles = []
    for n_pixels in (10, 20):
        rng = np.random.default_rng(1)
        source = FeatureMap(height=5, width=n_pixels, pitch=64, row_pixels=n_pixels)
        convolution = Convolution(source=source, kernel=(3, 3), padding=(1, 1),
                                  output=(5, n_pixels), pitch=64)
        codes = np.eye(64, dtype=int)[..., np.newaxis, np.newaxis] * rng.integers(
            1, 16, (64, 1, 3, 3))
        program = make_program(config, rng, [convolution], (64, 64), codes=[codes], local=[local],
                               inputs=np.ones((1, 5, n_pixels, 64), int))
        (prediction,) = predict_build(program.build, program.inputs)
        cycles.append(prediction.counters["cycles"])
    assert 0.6 * most < (cycles[1] - cycles[0]) / 50 <= most


@pytest.mark.parametrize("channels, kernel, density", [
    ((16, 16), 1, 0), ((1, 16), 1, 1), ((8, 16), 3, 0.2), ((16, 64), 3, 0.1), ((2, 128), 1, 0.2)])
def test_a_pixel_of_a_loop_costs_at_most_ten_cycles_beside_its_work(channels, kernel, density):
    """Of two rows of pixels that differ in length; the first has neither activations nor weights.

    Work is the greater of broadcasts and, in the PE with most, entries and drained rows.
    """
    config = EIEConfig(n_pe=16, loops=True, act_depth=2048, spmat_depth=4096, ptr_depth=4096)
    cycles, work = [], []
    for n_pixels in (20, 40):
        rng = np.random.default_rng(1)
        source = FeatureMap(height=kernel, width=n_pixels + kernel - 1, pitch=channels[0],
                            row_pixels=n_pixels + kernel - 1)
        convolution = Convolution(source=source, kernel=(kernel, kernel), output=(1, n_pixels),
                                  pitch=channel_pitch(config, channels[1], 1))
        inputs = (rng.random((1, kernel, source.width, channels[0])) < density).astype(int)
        codes = (rng.random((*channels[::-1], kernel, kernel)) < density).astype(int)
        program = make_program(config, rng, [convolution], channels, inputs=inputs, codes=[codes])
        (prediction,) = predict_build(program.build, program.inputs)
        cycles.append(prediction.counters["cycles"])
        drained = n_pixels * convolution.pitch // config.n_pe
        work.append(max(prediction.counters["broadcasts"], prediction.entries.max() + drained))
    assert np.diff(cycles) - np.diff(work) <= 10 * 20
