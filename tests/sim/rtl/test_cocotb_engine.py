"""Engine cocotb and its bench `eie_sim.rtl.benches.bench_eie`: options, results, error reports."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse

from eie_compiler.lowering.compile import compile_network
from eie_compiler.lowering.graph import compile_graph
from eie_compiler.network import CompressedNetwork, Layer
from eie_hdl.config import PRESETS
from eie_hdl.format import Layouts
from eie_hdl.packing import pack, unpack
from eie_sim.rtl import cocotb_engine
from eie_sim.rtl.simulators import SimulationError
from support.graphs import residual_network


@pytest.fixture(scope="module")
def build():
    codes = np.random.default_rng(1).integers(0, 8, (9, 10)).astype(np.uint8)
    fc = Layer("fc", scipy.sparse.csc_array(codes), np.arange(8) / 8, np.zeros(9), False, 4)
    return compile_network(CompressedNetwork((fc,), 4, 3), PRESETS["tiny"])


@pytest.fixture
def inputs():
    return np.random.default_rng(2).integers(-128, 127, (2, 10))


def with_program(build, change):
    """Build with changed fields of its program."""
    shape = Layouts.of(build.config).descriptor
    fields = unpack(shape, build.images["ccu.program"])
    change(fields)
    return dataclasses.replace(build, images={**build.images, "ccu.program": pack(shape, fields)})


@pytest.mark.parametrize(("options", "message"), [
    ({"load": "magic"}, "load must be images or stream, not 'magic'"),
    ({"pause": 1.0}, "pause must be a probability below 1, not 1.0"),
    ({"waves": "pe_0"}, "folder must be given with waves, to hold the waveform"),
    ({"waves": "pe_4", "folder": "x"}, "waves must be ccu, or pe_0 to pe_3, or empty for "
                                       "everything, not 'pe_4'"),
    ({"simulator": "spice"}, "simulator must be one of verilator, icarus, not 'spice'"),
])
def test_wrong_options_are_refused(build, inputs, options, message):
    with pytest.raises(ValueError) as error:
        cocotb_engine.run(build, inputs, **options)
    assert str(error.value) == message


def test_the_deadline_of_a_loop_is_for_all_its_pixels():
    config = dataclasses.replace(PRESETS["tiny"], loops=True)
    graph, least = residual_network(config, side=12), 0
    for strip in (4, 2, 1):
        build = compile_graph(graph, config, strips={"conv1": strip}).programs["conv1"]
        assert build.patches.loop == strip
        found = cocotb_engine.deadline(build)
        # Each strip may drain all accumulators.
        assert found > max(least, 12 * 12 // strip * config.acc_depth)
        least = found
    assert cocotb_engine.deadline(compile_graph(graph, config, strips={}).programs["conv1"]) \
        < least / 10


def test_results_that_were_never_computed_are_reported(build, inputs, icarus, simulators):
    # Biases from beyond the image are unknown.
    def move(fields):
        fields["end"]["bias"][0] = build.config.act_depth - 8

    with pytest.raises(SimulationError, match="Packet of results must have no unknown bits, but "
                                              "one of its beats is [01xX]*[xX]"):
        cocotb_engine.run(with_program(build, move), inputs, simulator=icarus, cache=simulators)


def test_an_error_of_the_machine_is_reported_with_its_state(build, inputs, icarus, simulators):
    def choose_missing_codebook(fields):
        fields["start"]["codebook"][0] = build.config.n_codebooks

    with pytest.raises(SimulationError, match=(
            "failed: Machine must be cleared: BAD_DESCRIPTOR at 0, .*; STATUS: .*error")):
        cocotb_engine.run(with_program(build, choose_missing_codebook), inputs, simulator=icarus,
                          cache=simulators)


def test_a_machine_that_takes_too_long_is_reported_with_its_state(build, inputs, icarus, simulators,
                                                                 monkeypatch):
    monkeypatch.setattr(cocotb_engine, "deadline", lambda build: 40)
    with pytest.raises(SimulationError, match="failed: The next packet of results must come "
                                              "within 4e-07 s; STATUS: busy"):
        cocotb_engine.run(build, inputs, simulator=icarus, cache=simulators, load="images")


def test_outputs_of_another_shape_are_not_compared(build):
    with pytest.raises(ValueError, match=r"^Outputs must have the shapes \[\(2, 9\)\], not "
                                         r"\[\(1, 9\)\]$"):
        cocotb_engine.compare(build, [np.zeros((1, 9), np.int64)], [np.zeros((2, 9), np.int64)])


def test_every_number_that_differs_is_listed(build):
    got, expected = np.zeros((2, 9), np.int64), np.zeros((2, 9), np.int64)
    got[1, 4], expected[0, 8] = -3, 7
    assert cocotb_engine.compare(build, [got], [expected]) == [
        cocotb_engine.Mismatch("fc", 8, 0, 0, 7), cocotb_engine.Mismatch("fc", 4, 1, -3, 0)]


def test_folder_keeps_the_log_and_the_waveform(build, inputs, tmp_path, icarus, simulators):
    cocotb_engine.run(build, inputs, simulator=icarus, cache=simulators, folder=tmp_path,
                      waves="pe_3")
    assert (tmp_path / "waves.fst").stat().st_size > 0
    assert (tmp_path / "simulator.log").exists()
    assert (tmp_path / "build/pe_3.spmat.hex").exists()
