"""Schedules of pauses."""

import pytest

from eie_sim.pauses import Pauses


def test_a_host_does_not_pause_by_default():
    assert Pauses() == Pauses(inputs=(0,), results=(0,))


def test_each_beat_may_have_the_longest_pause():
    assert Pauses(inputs=(1, 3), results=(20, 0)).bound(5, 2) == 5 * 3 + 2 * 20


@pytest.mark.parametrize("cycles", [(), (3, -1)])
@pytest.mark.parametrize("name", ["inputs", "results"])
def test_pauses_that_no_host_can_make_are_refused(name, cycles):
    with pytest.raises(ValueError) as caught:
        Pauses(**{name: cycles})
    assert str(caught.value) == (f"{name} must be one number of cycles or more, each at least 0, "
                                 f"not {cycles}")
