"""What is done to run a build in a simulator, and what is said when that goes wrong."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse

from eie_compiler.compile import compile_network
from eie_compiler.network import CompressedNetwork, Layer
from eie_hdl.config import PRESETS
from eie_hdl.format import Layouts, pack, unpack
from eie_sim import rtl
from eie_sim.simulators import SimulationError
from eie_sim.vectors import model_packets


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
    shape = Layouts(build.config).descriptor
    fields = unpack(shape, build.images["ccu.program"])
    change(fields)
    return dataclasses.replace(build, images={**build.images, "ccu.program": pack(shape, fields)})


@pytest.mark.parametrize(("options", "message"), [
    ({"load": "magic"}, "load must be images or stream, not 'magic'"),
    ({"pause": 1.0}, "pause must be a probability below 1, not 1.0"),
    ({"waves": "pe_0"}, "folder must be given where waves are wanted: it is where they go"),
    ({"waves": "pe_4", "folder": "x"}, "waves must be ccu, or pe_0 to pe_3, or empty for "
                                       "everything, not 'pe_4'"),
    ({"simulator": "spice"}, "simulator must be one of verilator, icarus, not 'spice'"),
])
def test_wrong_options_are_refused(build, inputs, options, message):
    with pytest.raises(ValueError) as error:
        rtl.run(build, inputs, **options)
    assert str(error.value) == message


def test_a_machine_that_sends_too_little_is_reported_with_its_state(build, inputs, icarus, models):
    def forget_output(fields):
        fields["start"]["dense"][-1] = 0

    broken = with_program(build, forget_output)
    expected = rtl._output_lengths(build)
    assert rtl._output_lengths(broken) == []
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SimulationError) as error:
        patch.setattr(rtl, "_output_lengths", lambda _: expected)
        rtl.run(broken, inputs, simulator=icarus, build_root=models)
    assert "nothing moved for" in str(error.value)
    assert "in inference 0, waiting for result vector 0 of 1; 0 results so far" in str(error.value)
    assert "'busy': 0" in str(error.value)


def test_a_vector_too_many_is_reported(build, inputs, icarus, models):
    with pytest.MonkeyPatch.context() as patch, \
            pytest.raises(SimulationError, match="more than 0 vectors of results"):
        patch.setattr(rtl, "_output_lengths", lambda _: [])
        rtl.run(build, inputs, simulator=icarus, build_root=models)


def test_results_that_were_never_computed_are_reported(build, inputs, icarus, models):
    # Biases from beyond the image: nobody knows what is there.
    def move(fields):
        fields["end"]["bias"][0] = build.config.act_depth - 8

    with pytest.raises(SimulationError, match="^Result 0 has unknown bits, not column 0 with "
                                              "last = 0$"):
        rtl.run(with_program(build, move), inputs, simulator=icarus, build_root=models)


def test_a_result_out_of_place_is_reported(build, inputs, icarus, models):
    lengths = rtl._output_lengths(build)
    with pytest.MonkeyPatch.context() as patch, \
            pytest.raises(SimulationError, match="^32 results came out, not 16$"):
        patch.setattr(rtl, "_output_lengths", lambda _: [lengths[0] // 2])
        rtl.run(build, inputs, simulator=icarus, build_root=models)


def test_a_column_out_of_order_is_reported(build):
    shape = Layouts(build.config).result
    n = rtl._output_lengths(build)[0]
    columns = np.arange(n)
    columns[[3, 4]] = 4, 3
    payloads = pack(shape, {"column": columns, "value": np.zeros(n, np.int64),
                            "last": np.arange(n) == n - 1})[:, 0]
    with pytest.raises(SimulationError, match="^Result 3 is column 4 with last = 0, not column 3 "
                                              "with last = 0$"):
        rtl._split(build, [n], 1, payloads, np.zeros(0, np.int64))


def test_outputs_of_another_shape_are_not_compared(build):
    with pytest.raises(ValueError, match=r"^Outputs must have the shapes \[\(2, 9\)\], not "
                                         r"\[\(1, 9\)\]$"):
        rtl.compare(build, [np.zeros((1, 9), np.int64)], [np.zeros((2, 9), np.int64)])


def test_every_number_that_differs_is_listed(build):
    got, expected = np.zeros((2, 9), np.int64), np.zeros((2, 9), np.int64)
    got[1, 4], expected[0, 8] = -3, 7
    assert rtl.compare(build, [got], [expected]) == [
        rtl.Mismatch("fc", 8, 0, 0, 7), rtl.Mismatch("fc", 4, 1, -3, 0)]


def test_memories_that_are_alike_are_sent_once(build):
    config = build.config
    beats = model_packets(build.config, build.images)
    headers = unpack(Layouts(config).load_header, beats[:, np.newaxis])
    own = dataclasses.replace(build, images={
        **build.images, "pe_3.codebook": build.images["pe_3.codebook"] ^ np.uint64(1)})
    # All four PEs have the same codebook of `count` one-beat words; then each needs its own.
    count = len(build.images["pe_0.codebook"])
    assert len(model_packets(own.config, own.images)) - len(beats) == 3 * (count + 1)
    assert headers["everyone"][-count - 1] == 1


def test_folder_keeps_the_log_and_the_waveform(build, inputs, tmp_path, icarus, models):
    rtl.run(build, inputs, simulator=icarus, build_root=models, folder=tmp_path,
            waves="pe_3")
    assert (tmp_path / "waves.fst").stat().st_size > 0
    assert (tmp_path / "simulator.log").exists()
    assert (tmp_path / "images/pe_3.spmat.hex").exists()
