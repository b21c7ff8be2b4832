"""Sweeps: axes, points and depths."""

import pytest

from eie_bench.explore import ExploreError
from eie_bench.explore.sweep import SWEEPS, Sweep, fit, parse_axes, plan
from eie_bench.paper.nine_layers import Machine
from eie_hdl.config import EIEConfig

MACHINES = {"published": Machine(EIEConfig.isca2016(), "interleaved")}


def test_sweeps_of_the_paper_reach_as_far_as_a_machine_can():
    assert SWEEPS["queue"].axes == {"queue_depth": (2, 4, 8, 16, 32, 64, 128, 256)}
    assert SWEEPS["pes"].axes == {"n_pe": (1, 2, 4, 8, 16, 32, 64, 128, 256)}
    assert SWEEPS["words"].axes == {"entries_per_word": (1, 2, 4, 8, 16)}


def test_axes_are_read_in_order_and_each_value_once():
    axes = parse_axes(["queue_depth=8,2,8", "drop_empty_columns=true,false", "mapping=balanced"])
    assert list(axes.items()) == [("queue_depth", (8, 2)), ("drop_empty_columns", (True, False)),
                                  ("mapping", ("balanced",))]


@pytest.mark.parametrize("texts, message", [
    (["n_pe"], r"^--set must be NAME=VALUE,VALUE,\.\.\., not 'n_pe'$"),
    (["n_pe=1", "n_pe=2"], "^n_pe must be set once only: separate its values by commas$"),
    (["n_pes=1"],
     "^n_pes is not a parameter; those are n_pe, v_width, .*, loops, local, maximum, products, "
     "tables, scales, mapping$"),
    (["n_pe=1,two"], "^n_pe must be set to integers, not 'two'$"),
    (["readback=1"], "^readback must be set to true or false, not '1'$"),
    (["mapping=random"], "^mapping must be set to balanced or interleaved, not 'random'$"),
])
def test_other_axes_are_refused(texts, message):
    with pytest.raises(ExploreError, match=message):
        parse_axes(texts)


def test_points_are_all_combinations_with_the_last_axis_fastest():
    sweep = Sweep("s", {"n_pe": (2, 4), "mapping": ("balanced", "interleaved")})
    points = plan(sweep, MACHINES, ["a", "b"])
    assert [(point.layer, *point.values.values()) for point in points] == [
        (layer, n_pe, mapping) for layer in "ab" for n_pe in (2, 4)
        for mapping in ("balanced", "interleaved")]
    assert [(point.machine.config.n_pe, point.machine.mapping) for point in points[:4]] == [
        (2, "balanced"), (2, "interleaved"), (4, "balanced"), (4, "interleaved")]


def test_machine_that_cannot_be_is_a_point_with_a_reason():
    possible, impossible = plan(Sweep("s", {"n_pe": (2, 3)}), MACHINES, ["a"])
    assert possible.error == "" and possible.machine.config.n_pe == 2
    assert impossible.machine is None
    assert impossible.error == "n_pe must be a power of two from 1 to 256, not 3"


def test_memories_have_the_greatest_depth_unless_swept():
    config = fit(EIEConfig(), spmat_depth=64, queue_depth=4)
    assert config == EIEConfig(queue_depth=4, spmat_depth=64, ptr_depth=1 << 20,
                               act_depth=1 << 16, program_depth=4096)
