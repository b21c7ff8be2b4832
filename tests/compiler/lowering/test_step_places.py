"""`eie_compiler.lowering.step_places`: rows and columns of the vectors of a step."""

import dataclasses

import numpy as np
import pytest

from eie_compiler.graph.operations import Multiply
from eie_compiler.lowering.step_copies import drop_copies
from eie_compiler.lowering.step_formats import fit_formats
from eie_compiler.lowering.step_lowering import list_step_stages
from eie_compiler.lowering.step_places import place_step
from eie_compiler.lowering.step_stages import Weighted
from support.mixed_steps import MIXED, random_mixed_step
from support.recurrences import CONFIG, StepBody, random_lstm


def stages_of(scan, config=CONFIG):
    return drop_copies(list_step_stages(fit_formats(scan, config), config))


def place(scan, config=CONFIG, mapping="balanced", biases=20):
    found = stages_of(scan, config)
    return found, place_step(config, found, mapping, biases)


def test_vectors_are_in_the_order_of_buffers_states_and_computation():
    found, places = place(random_lstm())
    (beside,) = found.beside
    c = found.states[1]
    assert places.rows[found.input] == 0 and places.rows[beside] == 2
    assert (places.words, places.n_buffers) == (4, 2)
    assert places.rows[c] == 8    # after two buffers of x, h
    written = [vector for stage in found.stages for vector in stage.writes
               if vector not in (c, beside)]
    assert [places.rows[vector] for vector in written] == list(range(10, places.n_words, 2))


@pytest.mark.parametrize("sizes", [(5, 40), (40, 5), (16, 17)])
def test_vectors_that_are_read_together_have_rows_of_the_longest(sizes):
    """Segments of one length begin at each of them: unused rows are zeros."""
    body = StepBody(1, {"x": sizes[0], "s": sizes[1], "t": 4}, dict.fromkeys("xst", 9))
    y = body.layer(["x", "s"], sizes[1], frac=9)
    z = body.layer(["x", "t"], 4, frac=9)
    found, places = place(body.scan(z, {"s": y, "t": z}))
    s, t = (next(stage for stage in found.stages if stage.node == node).sources[1]
            for node in (y, z))
    longest = -(-max(sizes) // 16)
    assert places.sizes[found.input] == places.sizes[s] == longest
    assert places.sizes[t] == -(-sizes[0] // 16)
    assert places.words == sum(places.sizes[vector] for vector in (found.input, s, t))


def test_there_are_two_buffers_if_they_fit():
    scan = random_lstm()
    _, places = place(scan)
    n_words = places.n_words
    for depth, buffers in ((20 + n_words, 2), (19 + n_words, 1), (500, 2)):
        config = dataclasses.replace(CONFIG, act_depth=depth)
        _, places = place(scan, config)
        assert places.n_buffers == buffers
        assert places.n_words == n_words - (2 - buffers) * places.words


@pytest.mark.parametrize("seed", MIXED)
@pytest.mark.parametrize("mapping", ["balanced", "interleaved"])
def test_vectors_do_not_overlap_and_elements_that_are_combined_are_aligned(seed, mapping):
    found, places = place(random_mixed_step(seed), mapping=mapping)
    used = np.zeros(places.n_words, int)
    for vector, row in places.rows.items():
        in_buffers = vector == found.input or vector in found.beside
        for buffer in range(places.n_buffers if in_buffers else 1):
            used[row + buffer * places.words:][:places.sizes[vector]] += 1
    assert used.tolist() == [1] * places.n_words
    for vector, columns in places.columns.items():
        assert sorted(columns.tolist()) == list(range(vector.size))
        if mapping == "interleaved" or vector == found.input:
            assert columns.tolist() == list(range(vector.size))
    for stage in found.stages:
        if not isinstance(stage, Weighted) or stage.is_local:
            vectors = stage.reads + stage.writes
            assert len({tuple(places.columns[vector].tolist()) for vector in vectors}) == 1


@pytest.mark.parametrize("sparse", [0, 1])
def test_weights_of_all_vectors_that_are_combined_are_balanced_together(sparse):
    """Of one layer, two rows have weights; both would be of PE 0 in their order."""
    body = StepBody(1, {"x": 8, "s": 8}, {"x": 9, "s": 9})
    layers = [body.layer([operand], 8, frac=9, density=1) for operand in ("x", "s")]
    network = body.nodes[sparse].computation
    codes = network.layers[0].codes.toarray()
    codes[[1, 2, 3, 5, 6, 7]] = 0
    body.nodes[sparse] = dataclasses.replace(
        body.nodes[sparse], computation=dataclasses.replace(network, layers=(dataclasses.replace(
            network.layers[0], codes=type(network.layers[0].codes)(codes)),)))
    product = body.add(Multiply(), *layers, frac=9, size=8)
    found, places = place(body.scan(product, {"s": product}))
    columns = [places.columns[stage.results[0]] for stage in found.stages[:2]]
    assert columns[0].tolist() == columns[1].tolist() and columns[0][0] % 4 != columns[0][4] % 4
    _, plain = place(body.scan(product, {"s": product}), mapping="interleaved")
    assert plain.columns[found.stages[0].results[0]].tolist() == list(range(8))
