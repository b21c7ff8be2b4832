"""`eie_compiler.lowering.step_copies`: next values that are written where the states are."""

import numpy as np
import pytest

from eie_compiler.lowering.step_copies import drop_copies
from eie_compiler.lowering.step_stages import Drained, StepStages, Weighted
from eie_compiler.lowering.step_vectors import StepVector
from eie_hdl.format import Table

X, S, T, B, Y, Z, U = (StepVector(number, 4, 8) for number in range(7))


def weigh(sources, *results):
    return Weighted("layer", None, None, sources, results)


def found(*stages, states=(S, T), beside=(B,), result=(Y,)):
    return StepStages(list(stages), X, set(beside), list(states), result)


def tell(stages):
    return [(stage.reads, stage.writes) for stage in stages.stages]


def test_the_writer_and_all_readers_get_the_place_of_the_state():
    step = drop_copies(found(
        weigh((X, B), Z), Drained("f", Z, Y), Drained("g", Y, U, factor=Y), Drained("s", Y, S)))
    assert tell(step) == [((X, B), (Z,)), ((Z,), (S,)), ((S, S), (U,))]
    assert step.result == (S,) and step.states == [S, T]


def test_all_copies_are_dropped_that_can_be():
    step = drop_copies(found(
        weigh((X,), Y), Drained("f", S, Z), Drained("s", Y, S), Drained("t", Z, T),
        Drained("b", Y, B)))
    # Y is written while the old state is still to be read.
    assert tell(step) == [((X,), (Y,)), ((S,), (T,)), ((Y,), (S,)), ((Y,), (B,))]


def test_two_states_of_one_next_value_do_not_lose_it():
    step = drop_copies(found(Drained("f", Z, Y), Drained("s", Y, S), Drained("t", Y, T)))
    assert tell(step) == [((Z,), (S,)), ((S,), (T,))]


@pytest.mark.parametrize("stages, states", [
    ([Drained("f", S, Y)], (S,)),                                  # the writer reads the old one
    ([Drained("f", Z, Y), Drained("g", Z, U, factor=S)], (S,)),    # read later
    ([Drained("f", Z, Y)], (S, Y)),                                # the next value is a state
    ([], (S,)),                                                    # no stage writes it
    ([weigh((Z, U), Y, X)], (S,)),                                 # one of several results
    ([weigh((X, Z), Y)], (S,)), ([weigh((B, Z), Y)], (S,)), ([weigh((T, Z), Y)], (S, T)),
])
def test_a_state_keeps_its_place_while_it_is_needed(stages, states):
    step = found(*stages, Drained("s", Y, S), states=states)
    assert drop_copies(step).stages == step.stages


def test_places_beside_the_input_are_in_each_buffer():
    step = found(Drained("f", Z, Y), Drained("s", Y, B), states=(S, B))
    assert drop_copies(step).stages == step.stages


def test_a_result_may_be_a_state_if_its_sources_are_others():
    step = drop_copies(found(weigh((Z, U), Y), Drained("s", Y, S)))
    assert tell(step) == [((Z, U), (S,))]


@pytest.mark.parametrize("change", [
    {"relu": True}, {"bias_shift": 1}, {"shift": 1}, {"table": Table.TANH}, {"factor": Z},
    {"factors": np.ones(4)}])
def test_what_changes_words_is_no_copy(change):
    step = found(Drained("f", Z, Y), Drained("s", Y, S, **change))
    assert drop_copies(step).stages == step.stages
