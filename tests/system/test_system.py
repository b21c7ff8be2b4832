"""Whole machine against the golden model, bit by bit, on corner cases."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import scipy.sparse

from eie_compiler.build import Build
from eie_compiler.lowering.compile import compile_network
from eie_compiler.network import CompressedNetwork, Layer
from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.format import Layouts
from eie_hdl.numeric import limits
from eie_hdl.packing import pack, unpack
from eie_sim.inference import Inference, infer
from eie_sim.rtl import cocotb_engine, verilator_engine
from support.machines import KEEPS_EMPTY, ONE_PE
from support.short import verilator_in_short

#: 4 PEs of 16 accumulators, runs of up to 3 zeros, 8-bit activations.
TINY = PRESETS["tiny"]
#: The default widths, with room for long vectors.
LONG = EIEConfig(n_pe=4, v_width=3, ptr_depth=4096, act_depth=1024)


def layer(codes, *, relu=False, bias=None, scale=1.0, frac=4, name="fc", v_width=3) -> Layer:
    """Layer of a matrix of codes, with weights spread over ±`scale`."""
    n_codes = 1 << v_width
    codebook = np.concatenate([[0], np.linspace(-scale, scale, n_codes - 1) + scale / n_codes])
    matrix = scipy.sparse.csc_array(np.asarray(codes, np.uint8))
    return Layer(name, matrix, codebook,
                 np.zeros(matrix.shape[0]) if bias is None else np.asarray(bias, np.float64),
                 relu, frac)


def random_codes(n_rows, n_cols, density=0.3, seed=1):
    rng = np.random.default_rng(seed)
    return rng.integers(1, 8, (n_rows, n_cols)) * (rng.random((n_rows, n_cols)) < density)


def random_inputs(n_cols, *, batch=3, zeros=0.4, seed=2, low=-128, high=127):
    rng = np.random.default_rng(seed)
    return rng.integers(low, high, (batch, n_cols), endpoint=True) \
        * (rng.random((batch, n_cols)) >= zeros)


class Case(NamedTuple):
    """A network, its inputs, and a condition that proves that the result covers the case."""

    layers: list[Layer]
    inputs: np.ndarray
    config: EIEConfig = TINY
    holds: Callable[[Inference], bool] = lambda result: True
    mapping: str = "interleaved"


def _keep(codes, keep):
    """Clear codes where `keep` is false."""
    return np.where(keep, codes, 0)


def _empty_columns():
    codes = random_codes(20, 24, 0.6)
    codes[:, [3, 7, 8, 12, 13, 14, 15, 16, 23]] = 0
    codes[2::4, 18:21] = 0    # empty in PE 2 only
    return codes


def _runs():
    """Runs of 3, 4, 8 and 15 zeros in the accumulators of PE 1; one padding is 4 rows."""
    codes = np.zeros((64, 6))
    for column, slots in enumerate([(3,), (4,), (8,), (15,), (0, 4, 9), (3, 7, 11, 15)]):
        codes[[4 * slot + 1 for slot in slots], column] = column + 1
    return codes


ROWS_OF_PE_1 = np.arange(40)[:, np.newaxis] % 4 == 1

CASES = {
    "empty-columns": lambda: Case([layer(_empty_columns())], random_inputs(24, zeros=0)),
    "empty-columns-that-are-kept": lambda: Case(
        [layer(_empty_columns())], random_inputs(24, zeros=0), KEEPS_EMPTY),
    "nothing-but-biases": lambda: Case(
        [layer(np.zeros((9, 10)), bias=np.linspace(-3, 3, 9))], random_inputs(10),
        holds=lambda result: not result.counters["macs"].any()),
    "a-pe-without-entries": lambda: Case(
        [layer(_keep(random_codes(40, 24), np.arange(40)[:, np.newaxis] % 4 != 2))],
        random_inputs(24), holds=lambda result: not result.entries[:, 2].any()),
    "one-pe-has-all-the-work": lambda: Case(
        [layer(_keep(random_codes(40, 40, 1.0), ROWS_OF_PE_1), scale=0.1)],
        random_inputs(40, zeros=0),
        holds=lambda result: (result.counters["stall_full"] > 0).all()),
    "all-activations-zero": lambda: Case(
        [layer(random_codes(20, 24), bias=np.linspace(-2, 2, 20))],
        np.zeros((2, 24), np.int64),
        holds=lambda result: not result.counters["broadcasts"].any()),
    "all-activations-nonzero": lambda: Case(
        [layer(random_codes(20, 24))], random_inputs(24, zeros=0, low=1),
        holds=lambda result: (result.counters["broadcasts"] == 24).all()),
    "longest-runs-of-zeros": lambda: Case(
        [layer(_runs())], random_inputs(6, zeros=0, low=1),
        # Runs of 3, 4, 8 and 15 zeros, and then 0-3-4 and 3-3-3-3.
        holds=lambda result: (result.counters["paddings"] == 0 + 1 + 2 + 3 + 1 + 0).all()),
    "one-by-one": lambda: Case([layer([[5]], bias=[0.5])], random_inputs(1, zeros=0)),
    "one-output": lambda: Case([layer(random_codes(1, 30, 0.8), scale=0.1)], random_inputs(30)),
    "one-input": lambda: Case([layer(random_codes(30, 1, 0.8))], random_inputs(1, zeros=0)),
    "multiples-of-nothing": lambda: Case([layer(random_codes(13, 7))], random_inputs(7)),
    "more-than-4096-inputs": lambda: Case(
        [layer(random_codes(11, 5001, 0.05), scale=0.05, frac=6)],
        random_inputs(5001, batch=1, zeros=0.5), LONG,
        holds=lambda result: (result.counters["broadcasts"] > 2048).all()),
    "more-outputs-than-accumulators": lambda: Case(
        [layer(random_codes(150, 12), relu=True)], random_inputs(12)),
    "negative-activations-without-relu": lambda: Case(
        [layer(random_codes(20, 12), name="fc1"), layer(random_codes(9, 20), name="fc2")],
        random_inputs(12, zeros=0, high=-1),
        holds=lambda result: (result.outputs[0] < 0).any()),
    "saturation-at-both-ends": lambda: Case(
        [layer(random_codes(40, 12, 0.8), scale=3.0, frac=6)], random_inputs(12, zeros=0),
        holds=lambda result: (result.outputs[0].min(), result.outputs[0].max()) == limits(8)),
    "every-column-hits-one-accumulator": lambda: Case(
        [layer(_keep(random_codes(8, 40, 1.0), np.arange(8)[:, np.newaxis] == 5), scale=0.1)],
        random_inputs(40, zeros=0)),
    "columns-take-turns-on-two-accumulators": lambda: Case(
        [layer(_keep(random_codes(8, 40, 1.0),
                     np.arange(8)[:, np.newaxis] == np.where(np.arange(40) % 2, 1, 5)),
               scale=0.1)], random_inputs(40, zeros=0)),
    "three-layers": lambda: Case(
        [layer(random_codes(30, 20), relu=True, name="fc1", bias=np.linspace(-1, 1, 30)),
         layer(random_codes(26, 30, seed=3), relu=True, name="fc2"),
         layer(random_codes(10, 26, seed=4), name="fc3")],
        random_inputs(20, seed=5), mapping="balanced"),
    "three-layers-on-one-pe": lambda: Case(
        [layer(random_codes(33, 20), relu=True, name="fc1"),
         layer(random_codes(18, 33, seed=3), relu=True, name="fc2"),
         layer(random_codes(5, 18, seed=4), name="fc3")], random_inputs(20, batch=2), ONE_PE),
    "tiles-of-several-layers": lambda: Case(
        [layer(random_codes(80, 20, 0.2), relu=True, name="fc1"),
         layer(random_codes(70, 80, 0.1, seed=3), name="fc2")], random_inputs(20, batch=2),
        KEEPS_EMPTY, mapping="balanced"),
    "widest-activations": lambda: Case(
        [layer(random_codes(70, 30), relu=True, name="fc1", frac=8),
         layer(random_codes(12, 70, seed=3), name="fc2", frac=8)],
        random_inputs(30, batch=2, low=-32768, high=32767), LONG, mapping="balanced"),
}


def compiled(case: Case) -> Build:
    network = CompressedNetwork(tuple(case.layers), 4, 3)
    return compile_network(network, case.config, mapping=case.mapping, outputs="all")


def check(case: Case, result: Inference):
    assert [str(mismatch) for mismatch in result.mismatches] == []
    assert result.overflows == 0
    assert case.holds(result)


ON_TINY = [name for name in CASES if CASES[name]().config is TINY]


# Verilator runs those of the tiny machine below. Icarus, with unknown values, runs the other
# machines here, and three layers of the tiny one in the tests of loading.
@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.full] if name in ON_TINY else []) for name in CASES])
def test_hardware_is_the_golden_model(name, icarus, simulators):
    case = CASES[name]()
    # Icarus is slow, so the network is loaded from images.
    check(case, infer(compiled(case), case.inputs, words=True, engine="cocotb", simulator=icarus,
                      cache=simulators, load="images"))


@pytest.mark.parametrize("name", ON_TINY)
def test_hardware_is_the_golden_model_without_cocotb(name, verilator, simulators):
    case = CASES[name]()
    check(case, infer(compiled(case), case.inputs, words=True, engine="verilator",
                      cache=simulators))


def three_layers() -> tuple[Build, np.ndarray, list[np.ndarray]]:
    """Build, inputs and the golden model's outputs."""
    case = CASES["three-layers"]()
    build = compiled(case)
    return build, case.inputs, infer(build, case.inputs, words=True, engine="golden").outputs


#: Each way of loading, with pauses and without.
LOADING = [("images", 0.0, True), ("images", 0.5, False), ("stream", 0.0, False),
           ("stream", 0.3, True)]


def loading():
    """All of them on each simulator; in short, each on one of them."""
    for number, case in enumerate(LOADING):
        for simulator in ("icarus", "verilator"):
            in_short = (simulator == "icarus") == (number in (1, 2))
            yield pytest.param(simulator, *case, marks=[] if in_short else [pytest.mark.full])


@pytest.mark.parametrize("simulator, load, pause, count", list(loading()), indirect=["simulator"])
def test_loading_and_pauses_do_not_change_results(load, pause, count, simulator, simulators):
    build, inputs, expected = three_layers()
    result = cocotb_engine.run(build, inputs, simulator=simulator, cache=simulators, load=load,
                               pause=pause, read_counters=count, seed=7)
    assert cocotb_engine.compare(build, result.outputs, expected) == []


def test_the_pynq_bus_gives_the_same_results(verilator, simulators):
    """`benches.bench_pynq` mocks PYNQ's classes."""
    build, inputs, expected = three_layers()
    result = cocotb_engine.run(build, inputs, simulator=verilator, cache=simulators,
                               bench="benches.bench_pynq")
    assert cocotb_engine.compare(build, result.outputs, expected) == []
    assert result.traffic["result_packets"] == len(expected) * len(inputs)


def overflowing() -> tuple[Build, np.ndarray]:
    """Build and two inputs, of which the first makes an accumulator overflow."""
    case = Case([layer(_keep(random_codes(8, 200, 1.0), np.arange(8)[:, np.newaxis] == 5))],
                np.array([[-128] * 200, [1] + [0] * 199]))
    build = compiled(case)
    # All weights at their limit, which the compiler would never choose.
    weights = pack(Layouts.of(TINY).weight, np.full(len(build.images["pe_1.codebook"]), 63))
    return dataclasses.replace(build, images={**build.images, "pe_1.codebook": weights}), \
        case.inputs


@pytest.mark.parametrize("engine", ["cocotb", "verilator"])
def test_an_accumulator_that_overflows_is_reported(engine, request, simulators):
    build, inputs = overflowing()
    if engine == "verilator":
        request.getfixturevalue("verilator")
        result = verilator_engine.run(build, inputs, cache=simulators)
    else:
        result = cocotb_engine.run(build, inputs, simulator=request.getfixturevalue("icarus"),
                                   cache=simulators, load="images")
    assert result.overflow.tolist() == [True, False]
    assert result.overflow_tile[0] == 0
    expected = infer(build, inputs, words=True, engine="golden").outputs
    assert cocotb_engine.compare(build, result.outputs, expected) == []


def _flip(build: Build, instance: str, word: int, bit: int) -> Build:
    image = build.images[instance].copy()
    image[word, bit // 64] ^= np.uint64(1 << bit % 64)
    return dataclasses.replace(build, images={**build.images, instance: image})


def _flip_relu(build: Build) -> Build:
    """Turn off the ReLU of the first tile."""
    shape = Layouts.of(build.config).descriptor
    fields = unpack(shape, build.images["ccu.program"])
    fields["end"]["relu"][0] ^= 1
    image = pack(shape, fields)
    changed = image ^ build.images["ccu.program"]
    assert sum(int(beat).bit_count() for beat in changed.ravel()) == 1
    return dataclasses.replace(build, images={**build.images, "ccu.program": image})


def corrupted():
    """A bit of each memory on each simulator; in short, of each memory on one of them."""
    for number, (instance, bit) in enumerate([
            ("spmat", 1), ("ptr_odd", 0), ("act", 5), ("codebook", 4)]):
        for simulator in ("icarus", "verilator"):
            in_short = (simulator == "icarus") == (number % 2 == 0)
            yield pytest.param(simulator, instance, bit,
                               marks=[] if in_short else [pytest.mark.full])


@pytest.mark.parametrize("simulator, instance, bit", list(corrupted()), indirect=["simulator"])
def test_a_corrupted_bit_in_an_image_is_reported(instance, bit, simulator, simulators):
    build, inputs, expected = three_layers()
    row = 1 if instance == "codebook" else 0
    result = cocotb_engine.run(_flip(build, f"pe_2.{instance}", row, bit), inputs,
                               simulator=simulator, cache=simulators, load="images")
    mismatches = cocotb_engine.compare(build, result.outputs, expected)
    first = [one for one in mismatches if one.layer == "fc1"]
    assert first
    # The image is that of PE 2, so in the first layer only its rows change.
    place = dict(enumerate(build.outputs[0].columns % build.config.n_pe))
    assert {int(place[one.row]) for one in first} == {2}


# The simulators differ in how they load images, of which the tests above corrupt some on each.
@verilator_in_short
def test_a_corrupted_bit_in_the_program_is_reported(simulator, simulators):
    """Without ReLU the first layer has negative results in place of zeros."""
    build, inputs, expected = three_layers()
    result = cocotb_engine.run(_flip_relu(build), inputs, simulator=simulator, cache=simulators,
                               load="images")
    first = [one for one in cocotb_engine.compare(build, result.outputs, expected)
             if one.layer == "fc1"]
    assert len(first) == np.count_nonzero(result.outputs[0] < 0) > 0
    assert {one.expected for one in first} == {0}
    assert max(one.got for one in first) < 0


@verilator_in_short
def test_a_corrupted_bit_in_an_expected_output_is_reported(simulator, simulators):
    build, inputs, expected = three_layers()
    result = cocotb_engine.run(build, inputs, simulator=simulator, cache=simulators)
    right = int(expected[1][2, 11])
    expected[1][2, 11] ^= 1
    assert [str(one) for one in cocotb_engine.compare(build, result.outputs, expected)] == [
        f"layer fc2, row 11, image 2: got {right}, expected {right ^ 1}"]
