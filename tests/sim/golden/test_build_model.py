"""Golden model of builds whose programs keep states from start to start."""

import dataclasses

import numpy as np
import pytest

from eie_hdl.format import Layouts
from eie_hdl.packing import pack, unpack
from eie_sim.golden import model as golden
from eie_sim.golden.build_model import BuildModel
from eie_sim.golden.tile import GoldenError
from support.sequences import CONFIG, N, draw_words, make_layer


@pytest.mark.parametrize("buffers", [1, 2])
@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_states_of_a_sequence_are_carried_from_step_to_step(steps, buffers, seed, monkeypatch):
    layer = make_layer(steps=steps, buffers=buffers, seed=seed)
    words = draw_words(3, steps, seed=seed)
    expected = layer.compute(words)
    model = BuildModel(layer.build)
    (outputs,), statistics = model.run(words)
    assert outputs.tolist() == expected.tolist()
    assert statistics.saturated[:, 0].tolist() == (expected == 127).sum(axis=1).tolist()
    assert statistics.saturated.shape == (3 * steps, 2)
    state = np.concatenate([layer.initial[np.newaxis], expected[:-1]])
    state[::steps] = layer.initial
    read = np.concatenate([words, state], axis=1) != 0
    assert statistics.macs.tolist() == (read @ (layer.weights != 0).sum(axis=0)).tolist()
    assert statistics.broadcasts.tolist() == read.sum(axis=1).tolist()
    # Whole sequences at a time.
    monkeypatch.setattr(golden, "_CHUNK", 1)
    assert model.run(words)[0][0].tolist() == expected.tolist()


def test_equal_inputs_have_other_states():
    layer = make_layer(steps=4)
    words = np.tile(draw_words(1, 1), (8, 1))
    expected = layer.compute(words)
    assert len(np.unique(expected[:4], axis=0)) == 4
    (outputs,), _ = BuildModel(layer.build).run(words)
    assert outputs.tolist() == expected.tolist()


def test_masks_are_of_vectors_or_for_a_reset_of_sequences():
    layer = make_layer(steps=3, buffers=2)
    words = draw_words(2, 3)
    masks = BuildModel(layer.build).broadcasts(words)
    assert [len(mask) for mask in masks] == [2, 2, 6, 6, 6, 6]
    state = np.concatenate([layer.initial[np.newaxis], layer.compute(words)[:-1]])
    state[3] = layer.initial
    assert masks[2][:, 0].tolist() == (np.concatenate([words, state], axis=1) != 0).tolist()


def test_a_batch_without_vectors_has_outputs_of_its_shape():
    layer = make_layer(steps=3)
    (outputs,), statistics = BuildModel(layer.build).run(draw_words(0, 3))
    assert outputs.shape == (0, N) and statistics.saturated.shape == (0, 2)


def test_a_batch_must_be_whole_sequences():
    layer = make_layer(steps=3)
    with pytest.raises(GoldenError, match=(
            "^Inputs must be whole sequences of 3 vectors, not 4 vectors$")):
        BuildModel(layer.build).run(draw_words(4, 1))


def changed(build, field, number, value):
    """Change a flag of a descriptor."""
    shape = Layouts.of(CONFIG).descriptor
    fields = unpack(shape, build.images["ccu.program"])
    (fields["start"] if field == "send" else fields)[field][number] = value
    return dataclasses.replace(build, images=build.images | {"ccu.program": pack(shape, fields)})


@pytest.mark.parametrize("number", [1, 2])
def test_programs_with_states_must_be_alone_at_both_entries(number):
    with pytest.raises(GoldenError, match=(
            f"^Descriptor {number}: alone must be set, as the program keeps states from one start "
            "to the next$")):
        BuildModel(changed(make_layer(steps=3).build, "alone", number, 0))


def test_a_reset_must_send_nothing():
    build = changed(make_layer(steps=3, buffers=2).build, "send", 2, 1)
    with pytest.raises(GoldenError, match=(
            "^Descriptor 2: start.send must be 0 in a reset of states$")):
        BuildModel(build)


def test_a_step_must_follow_the_reset():
    build = changed(make_layer(steps=3).build, "final", 1, 1)
    with pytest.raises(GoldenError, match=(
            "^Program must have a step after the 1 descriptors that reset its states, but has 1 "
            "descriptors$")):
        BuildModel(build)
