"""Inputs of an inference: numbers or words, one vector or many; and what saturates."""

import dataclasses

import numpy as np
import pytest

from eie_compiler.lowering.compile import compile_network
from eie_compiler.network import CompressedNetwork
from eie_compiler.random_networks import random_network
from eie_compiler.vectors import VectorError, dequantise
from eie_hdl.config import PRESETS
from eie_hdl.extras import install_command
from eie_hdl.format import COUNTERS
from eie_sim import inference
from eie_sim.golden import model
from eie_sim.rtl import cocotb_engine, verilator_engine
from support.recurrences import compare, random_lstm

TINY = PRESETS["tiny"]    # 8-bit activations


def network_of(frac, sizes=(6, 9, 3)):
    return random_network(np.random.default_rng(8), [*sizes], density=0.5, frac=frac, v_width=3)


def build_of(frac):
    return compile_network(network_of(frac), TINY)


def test_one_vector_is_one_image_and_words_are_kept():
    build = build_of(4)
    words = inference.prepare(build, [0.5, 0.25, 0, 0, -1, 0])
    assert words.tolist() == [[x * 2 ** build.input.frac for x in (0.5, 0.25, 0, 0, -1, 0)]]
    assert inference.prepare(build, words[0], words=True).tolist() == words.tolist()


@pytest.mark.parametrize("kind", ["uint8", "int8", "int64", "uint64", "float16", "float32"])
def test_numbers_of_every_type_mean_the_same(kind):
    build = build_of(2)
    numbers = np.array([[0, 1, 2, 3, 30, 31], [7, 0, 0, 5, 100, 9]])
    for results in (inference.prepare(build, numbers.astype(kind)),
                    inference.infer(build, numbers.astype(kind), engine="golden").outputs[0]):
        expected = (inference.prepare(build, numbers.astype(float)) if results.shape[1] == 6 else
                    inference.infer(build, numbers.astype(float), engine="golden").outputs[0])
        assert results.tolist() == expected.tolist()


@pytest.mark.parametrize("values, message", [
    ([128, 0, 0, 0, 0, 0],
     "Inputs must be fixed-point words from -128 to 127, not from 0 to 128"),
    ([0, -129, 0, 0, 0, 0],
     "Inputs must be fixed-point words from -128 to 127, not from -129 to 0"),
    ([0.5, 0, 0, 0, 0, 0], "Inputs must be fixed-point words, which are integers, not float64"),
])
def test_words_are_integers_of_the_width_of_the_machine(values, message):
    with pytest.raises(VectorError) as caught:
        inference.infer(build_of(4), values, words=True, engine="golden")
    assert str(caught.value) == message


def test_input_elements_beyond_the_format_are_counted():
    # 8 bits with 4 fraction bits: -8 to 7.9375; what rounds to the greatest number does not count.
    inputs = [[8, 7.96, 7.97, -8, -8.04, -9], [100, 0, 0, 0, 0, -100]]
    saturation = inference.infer(build_of(4), inputs, engine="golden").saturation
    assert saturation["input"] == (6, 12, -8.0, 7.9375)
    words = inference.prepare(build_of(4), inputs)
    assert inference.infer(build_of(4), words, words=True,
                           engine="golden").saturation["input"].saturated == 0


@pytest.mark.parametrize("n_pe", [1, 4])
@pytest.mark.parametrize("acc_depth", [4, 64])    # several tiles a layer, or one
def test_results_beyond_the_format_are_counted_for_each_layer(n_pe, acc_depth):
    """Compare the counts with those of the same network whose formats hold every result."""
    config = dataclasses.replace(TINY, n_pe=n_pe, acc_depth=acc_depth, ptr_depth=512,
                                 spmat_depth=512, program_depth=64)
    coarse = network_of(4, (20, 30, 25, 12))

    def narrow(layer, bits):
        return dataclasses.replace(layer, output_frac=layer.output_frac + bits)

    counts = {}
    rng = np.random.default_rng(3)
    words = rng.integers(-128, 128, (40, 20))
    for at, layer in enumerate(coarse.layers):
        # Only the last layer saturates, so that the inputs of all layers are known.
        front = CompressedNetwork((*coarse.layers[:at], narrow(layer, 3)), coarse.input_frac, 3)
        exact = CompressedNetwork((*coarse.layers[:at], narrow(layer, -2)), coarse.input_frac, 3)
        wide, fine = (inference.infer(compile_network(one, config), words, words=True,
                                      engine="golden") for one in (exact, front))
        counts = fine.saturation
        least, greatest = counts[layer.name].least, counts[layer.name].greatest
        # Rounding to the coarser format leaves results within half a step of a limit in doubt.
        numbers = dequantise(wide.outputs[0], layer.output_frac - 2)
        step = 0.5 ** (layer.output_frac - 2)
        low = ((numbers < least - step) | (numbers > greatest + step)).sum()
        high = ((numbers < least + step) | (numbers > greatest - step)).sum()
        assert low <= counts[layer.name].saturated <= high and high > 0
        assert counts[layer.name].elements == 40 * layer.n_rows
    assert list(counts) == ["input", *(layer.name for layer in coarse.layers)]


def test_a_result_at_the_limit_does_not_count_as_saturated():
    network = network_of(0, (1, 1))
    layer = network.layers[0]
    layer = dataclasses.replace(layer, codebook=np.array([0.0, *[1.0] * 7]), relu=False,
                                bias=np.array([100.0]), output_frac=0)
    layer.codes.data[:] = 1
    build = compile_network(CompressedNetwork((layer,), 0, 3), TINY)
    found = inference.infer(build, [[27], [28], [-100]], engine="golden")
    weight = bool(layer.codes.nnz)
    assert found.outputs[0].ravel().tolist() == ([127, 127, 0] if weight else [100, 100, 100])
    assert found.saturation[layer.name].saturated == 1


def test_counts_do_not_depend_on_how_a_batch_is_cut(monkeypatch):
    build, inputs = build_of(6), np.linspace(-3, 3, 60).reshape(10, 6)
    whole = inference.infer(build, inputs, engine="golden").saturation
    monkeypatch.setattr(model, "_CHUNK", 1)
    assert inference.infer(build, inputs, engine="golden").saturation == whole
    assert whole["input"].saturated > 0


@pytest.mark.parametrize("former, present", [("fast", "verilator"), ("rtl", "cocotb")])
def test_the_former_name_of_an_engine_names_the_present_one(former, present):
    with pytest.raises(inference.EngineError) as caught:
        inference.infer(build_of(4), np.zeros((1, 6)), engine=former)
    assert str(caught.value) == (f"engine must be golden, cycle-model, cocotb or verilator, not "
                                 f"{former!r}, which is now {present!r}")


@pytest.fixture
def hardware(monkeypatch):
    """Put the golden model in the place of engine verilator; list the batches it runs.

    The last output of a batch without counters is wrong; one that runs alone is right.
    """
    batches = []

    def run(build, words, *, read_counters=True, alone=False, **options):
        batches.append(words)
        again = words[:1] if alone else words[:0]
        golden = inference.infer(build, np.concatenate([words, again]), words=True,
                                 engine="golden")
        if not read_counters:
            golden.outputs[0][-1 - alone, 2] += 1
        counters = [{name: int(golden.counters.get(name, np.zeros(len(words)))[image])
                     for name in COUNTERS} for image in range(len(words) * read_counters)]
        return cocotb_engine.SimulationResult(
            golden.outputs, counters, np.zeros(len(words), bool), np.zeros(len(words), int),
            cycles=1000, interval=48, latency=40 if alone else None, seconds=1.0)

    monkeypatch.setattr(verilator_engine, "run", run)
    return batches


def test_end_to_end_cycles_are_measured_on_request_only(hardware):
    build, words = build_of(4), np.arange(30).reshape(5, 6)
    found = inference.infer(build, words, words=True, engine="verilator")
    assert len(hardware) == 1 and found.end_to_end is None and found.ok
    assert found.summary()["end_to_end"] is None


def test_inferences_back_to_back_repeat_the_inputs_and_name_those_that_differ(hardware):
    build, words = build_of(4), np.arange(30).reshape(5, 6)
    found = inference.infer(build, words, words=True, engine="verilator", end_to_end=True)
    assert hardware[1].tolist() == [words[number % 5].tolist() for number in range(32)]
    assert found.end_to_end[:2] == (32, 1.5) and found.end_to_end.latency == 40
    assert [(one.row, one.image) for one in found.mismatches] == [(2, 31 % 5)]


def test_the_bound_is_the_busiest_part_of_an_inference(hardware):
    build = compile_network(network_of(4, (40, 9, 3)), TINY)
    dense, empty = (inference.infer(build, np.full((2, 40), value), engine="verilator",
                                    end_to_end=True) for value in (1, 0))
    assert dense.end_to_end.bound == dense.entries[0].max() > dense.counters["broadcasts"][0]
    assert empty.end_to_end.bound == 1 + 3 * TINY.n_pe    # header, and rows of the input


def test_the_cycle_model_predicts_all_that_verilator_measures(verilator, simulators):
    pytest.importorskip("numba", reason=install_command("bench"))
    build = compile_network(network_of(4, (24, 40, 9)), TINY)
    words = np.random.default_rng(9).integers(-128, 128, (5, 24)) * [[0, 1, 1, 0] * 6]
    measured, predicted = (
        inference.infer(build, words, words=True, engine=engine, cache=simulators, end_to_end=True)
        for engine in ("verilator", "cycle-model"))
    assert measured.ok and predicted.ok
    assert predicted.outputs[0].tolist() == measured.outputs[0].tolist()
    differ = {"engine", "simulator", "predicted", "seconds"}
    one, other = ({key: value for key, value in found.summary().items() if key not in differ}
                  for found in (measured, predicted))
    assert other == one
    assert predicted.predicted and not measured.predicted


def test_of_a_recurrence_the_saturation_of_the_input_is_counted():
    """Tiles of a step are no layers."""
    build = compare(random_lstm(), steps=3).programs["scan"]
    inputs = np.zeros((3, 5))
    inputs[0, :2] = 1e3
    found = inference.infer(build, inputs, engine="golden")
    assert {name: count.saturated for name, count in found.saturation.items()} == {"input": 2}
