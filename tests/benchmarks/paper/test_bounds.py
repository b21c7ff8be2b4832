"""Lower bounds of cycles, in cases small enough to count by hand."""

import dataclasses

import numpy as np
import pytest

from eie_bench.paper.bounds import find_bounds
from eie_hdl.config import PRESETS
from eie_sim.cycles.model import Step

#: Empty columns take a cycle, and one waits.
KEEPS = dataclasses.replace(PRESETS["tiny"], n_pe=2, queue_depth=2, drop_empty_columns=False)
DROPS = dataclasses.replace(KEEPS, drop_empty_columns=True)


def bounds(config, *columns):
    """Create a program of one tile with all columns sent, from the entries of both PEs."""
    count = np.array(columns).T
    zeros = np.zeros_like(count)
    return find_bounds(config, [Step(np.ones(len(columns), bool), zeros, count, zeros, 4, True)])


@pytest.mark.parametrize("config, columns", [(KEEPS, 5), (DROPS, 4)])
def test_an_empty_column_takes_a_cycle_unless_it_is_dropped(config, columns):
    found = bounds(config, [1, 2], [1, 0], [0, 2], [1, 0])
    assert found.entries == 4
    assert found.columns == (6 if config is KEEPS else 4)
    assert found.broadcasts == 4


def test_columns_of_one_entry_take_a_cycle_each():
    assert bounds(KEEPS, *[[1, 1]] * 9).simple_model == 9


def test_a_full_queue_holds_the_others_up():
    """PE 0 starts its columns in cycles 0, 4 and 8; two wait, so the fourth is sent in cycle 5.

    With a longer queue PE 1 would have its four entries earlier.
    """
    columns = [[4, 0], [4, 0], [4, 0], [0, 4]]
    assert bounds(DROPS, *columns).simple_model == 12
    late = [[4, 0], [4, 0], [4, 0], [4, 0], [0, 9]]
    assert bounds(DROPS, *late).simple_model == 9 + 9
    assert bounds(dataclasses.replace(DROPS, queue_depth=8), *late).simple_model == 16


def test_a_dropped_column_takes_no_place_in_a_queue():
    late = [[4, 0], [4, 0], [4, 0], [0, 0], [0, 0], [0, 9]]
    assert bounds(DROPS, *late).simple_model == bounds(DROPS, *late[:3], late[-1]).simple_model + 2
