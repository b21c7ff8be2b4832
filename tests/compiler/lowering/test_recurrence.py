"""`eie_compiler.lowering.recurrence`: steps of recurrences, computed by the golden model."""

import dataclasses
import math
import re

import numpy as np
import pytest

from eie_compiler.errors import CompileError
from eie_compiler.graph.graph import Recurrence
from eie_compiler.graph.operations import Affine, Clip, Concat, Multiply, Tanh
from eie_compiler.lowering.graph import compile_graph
from eie_compiler.lowering.load import make_load
from eie_compiler.lowering.recurrence import lower_recurrence
from eie_compiler.vectors import VectorError
from eie_hdl.format import Layouts
from eie_hdl.packing import unpack
from eie_sim.graph_inference import infer_graph
from eie_sim.inference import infer
from support.mixed_steps import MIXED, random_mixed_step
from support.recurrences import (
    CONFIG,
    StepBody,
    compare,
    graph_of,
    random_lstm,
    random_step,
    require_recurrence,
    run_numpy,
    words_of,
)


def change(**changes):
    """Machine with deep memories."""
    return dataclasses.replace(CONFIG, **{"act_depth": 1024, "program_depth": 512,
                                          "spmat_depth": 4096, "ptr_depth": 8192, **changes})


class TestRefused:
    def refuse(self, scan, message, **changes):
        with pytest.raises(CompileError, match=f"^{re.escape(message)}$"):
            lower_recurrence(Recurrence(scan, 3), dataclasses.replace(CONFIG, **changes))

    def test_machines_without_loops(self):
        self.refuse(random_lstm(), "loops must be true, for a recurrence, whose layers are loops",
                    loops=False, local=False, products=False, tables=False)

    @pytest.mark.parametrize("read", [[], ["s"]])
    def test_steps_that_read_the_input_nowhere(self, read):
        body = StepBody(1, {"x": 5, "s": 5}, {"x": 9, "s": 9})
        y = body.layer(["s"], 5, frac=9) if read else body.add(Tanh(), "s", frac=9, size=5)
        self.refuse(body.scan(y, {"s": y}), "a step must have a layer of its input")


class TestConstants:
    def lower(self, scan, **changes):
        return lower_recurrence(Recurrence(scan, 3), change(**changes))

    def test_zeros_share_the_rows_of_the_longest(self):
        lowered = self.lower(random_lstm())
        constants = lowered.constants
        zeros = [key for key, row in constants.rows.items() if row == 0]
        assert {kind for kind, _ in zeros} == {"bias"}
        assert {at for _, at in zeros} >= set(range(lowered.reset))
        # Zeros of two rows; the biases of four tiles of two rows.
        assert sorted(constants.words) == [2, 4, 6, 8] and constants.n_words == 10
        for (kind, at), row in constants.rows.items():
            tile = lowered.tiles[at]
            words = tile.chosen.bias if kind == "bias" else tile.factors
            assert (constants.words.get(row, np.zeros(len(words))) == words).all()

    def test_factors_have_rows_of_their_own(self):
        lowered = self.lower(random_lstm(peepholes=True))
        factors = [key for key in lowered.constants.rows if key[0] == "factor"]
        assert len(factors) == 3
        assert lowered.constants.n_words == 2 + 2 * 4 + 2 * 3

    @pytest.mark.parametrize("seed", MIXED)
    def test_needs_are_those_of_the_images(self, seed):
        lowered = self.lower(random_mixed_step(seed))
        (build,) = make_load(lowered.config, [lowered])
        assert len(build.program) == lowered.needs.descriptors
        memory = build.report["memory"]
        assert memory["act"]["words_used"] == lowered.needs.biases + lowered.needs.vectors
        assert memory["program"]["words_used"] == lowered.needs.descriptors
        assert memory["codebook"]["words_used"] == 16 * len(lowered.needs.codebooks)
        assert (build.steps, build.reset) == (3, lowered.reset)


def test_a_result_of_several_vectors_has_columns_after_one_another():
    body = StepBody(1, {"x": 5, "s": 20}, {"x": 9, "s": 9})
    y = body.layer(["x", "s"], 20, frac=9)
    both = body.add(Concat(0), y, "s", frac=9, size=40)
    lowered = lower_recurrence(Recurrence(body.scan(both, {"s": y}), 3), change())
    columns = lowered.columns[1]
    assert sorted(columns[:20].tolist()) == list(range(20))
    assert sorted(columns[20:].tolist()) == list(range(32, 52))    # in the row after them


def test_inputs_are_nonnegative_if_the_formats_rely_on_it():
    body = StepBody(1, {"x": 5, "s": 5}, {"x": 9, "s": 9})
    y = body.layer(["x"], 5, frac=9)
    scan = body.scan(y, {"s": y})
    assert not lower_recurrence(Recurrence(scan, 3), CONFIG).input.nonnegative
    body.nodes[0] = dataclasses.replace(body.nodes[0], computation=dataclasses.replace(
        body.nodes[0].computation, nonnegative_inputs=True))
    scan = body.scan(y, {"s": y})
    assert lower_recurrence(Recurrence(scan, 3), CONFIG).input.nonnegative
    build = compile_graph(graph_of(scan, 3), CONFIG)
    require_recurrence(build)
    assert build.nonnegative_inputs == {"x"}
    words = np.abs(words_of(scan, 3, 2))
    np.testing.assert_array_equal(infer_graph(build, words, engine="golden", words=True)
                                  .outputs["scan"], run_numpy(build, words))
    words[1, 2, 3] = -1
    with pytest.raises(VectorError, match="^Inputs must not be negative, "):
        infer_graph(build, words, engine="golden", words=True)


@pytest.mark.parametrize("seed", [1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14])
def test_random_steps_are_those_of_numpy(seed):
    if seed % 3 == 2:
        scan = random_lstm(n_inputs=1 + 7 * seed, n_hidden=33 - 2 * seed, peepholes=seed > 5,
                           seed=seed)
    else:
        scan = random_step(seed)
    compare(scan, change(n_pe=1 << seed % 4, acc_depth=(4, 8, 64)[seed % 3]), seed=seed)


@pytest.mark.parametrize("seed", MIXED)
@pytest.mark.parametrize("changes", [
    {}, {"n_pe": 1}, {"n_pe": 16, "acc_depth": 4}, {"local": False},
    {"codebook_width": 24, "acc_width": 48}])
def test_steps_of_vectors_of_any_sizes_are_those_of_numpy(seed, changes):
    compare(random_mixed_step(seed), change(**changes), seed=seed)


@pytest.mark.parametrize("width", [8, 12])
@pytest.mark.parametrize("seed", range(3))
def test_words_may_be_narrow(width, seed):
    config = change(act_width=width)
    body = StepBody(seed, {"x": 5, "s": 7}, {"x": width - 6, "s": width - 2})
    gates = body.layer(["x", "s"], 7, frac=width - 6)
    t = body.add(Tanh(), gates, frac=width - 2, size=7)
    product = body.add(Multiply(), t, "s", frac=width - 4, size=7)
    scaled = body.add(Affine(np.linspace(-1, 1, 7), 0.0), product, frac=width - 3, size=7)
    h = body.add(Clip(-math.inf, math.inf), body.layer([scaled], 7, frac=width - 5),
                 frac=width - 2, size=7)
    compare(body.scan(h, {"s": h}), config)


@pytest.mark.parametrize("depth, buffers", [(120, 2), (44, 2), (43, 1), (40, 1)])
def test_inputs_have_as_many_buffers_as_fit(depth, buffers):
    build = compare(random_lstm(), change(act_depth=depth), steps=4, batch=3)
    assert build.programs["scan"].input_buffers == buffers


@pytest.mark.parametrize("scan", [random_lstm(reverse=True), random_lstm(n_hidden=1, n_inputs=1),
                                  random_lstm(n_hidden=90, n_inputs=3),
                                  random_lstm(n_hidden=3, n_inputs=90)])
@pytest.mark.parametrize("mapping", ["balanced", "interleaved"])
def test_sizes_and_directions_do_not_matter(scan, mapping):
    """Some exceed the accumulators, of which a PE has eight."""
    compare(scan, change(), mapping=mapping)


def test_factors_of_one_shift_are_those_of_numpy():
    body = StepBody(1, {"x": 5, "s": 3}, {"x": 9, "s": 9})
    y = body.layer(["x", "s"], 3, frac=9)
    scaled = body.add(Affine(np.array([-(1 - 2 ** -17), 0.1234567, -0.7]), 0.0), y, frac=9, size=3)
    compare(body.scan(scaled, {"s": scaled}), steps=30)


def test_a_sequence_does_not_depend_on_those_before_it():
    build = compare(random_lstm(), steps=5)
    program = build.programs["scan"]
    words = np.random.default_rng(1).integers(-1000, 1000, (10, 5))
    both, alone = (infer(program, each, words=True, engine="golden").outputs[0]
                   for each in (words, words[5:]))
    assert both[5:].tolist() == alone.tolist()


@pytest.mark.parametrize("depth, buffers", [(14, 2), (13, 1)])
def test_an_input_buffer_is_free_when_no_layer_reads_it_any_more(depth, buffers):
    body = StepBody(1, {"x": 5, "s": 5}, {"x": 9, "s": 9})
    y = body.layer(["x", "s"], 5, frac=9)
    z = body.layer(["x"], 5, frac=9)
    t = body.add(Tanh(), body.layer([y, z], 5, frac=9), frac=9, size=5)
    config = change(act_depth=depth)
    build = compare(body.scan(t, {"s": t}), config).programs["scan"]
    assert build.input_buffers == buffers
    program = unpack(Layouts.of(config).descriptor, build.program)
    reads = np.flatnonzero(program["offset_source"])
    assert reads.tolist() == [build.reset, build.reset + 1]
    assert np.flatnonzero(program["frees_input"]).tolist() == [reads[-1]] * (buffers > 1)
    # Tiles without weights wait for what they read alone.
    assert np.flatnonzero(program["barrier"]).tolist() == [
        *reads, reads[-1] + 1, len(build.program) - 1]
    assert np.flatnonzero(program["alone"]).tolist() == [0, build.reset]
    assert np.flatnonzero(program["final"]).tolist() == [len(build.program) - 1]
