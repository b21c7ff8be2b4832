"""`eie_compiler.lowering.simple_stages`: sums of maps, whose weights are exact."""

import dataclasses

import numpy as np
import pytest

from eie_compiler.errors import CompileError
from eie_compiler.graph.operations import Add, Subtract
from eie_compiler.lowering.simple_stages import Addend, spread_channels, sum_stage
from eie_hdl.config import EIEConfig
from eie_hdl.numeric import relu, round_shift, saturate

CONFIG = EIEConfig(n_pe=4, loops=True, local=True)


@pytest.mark.parametrize("fracs, frac", [
    ((6, 6), 6), ((6, 6), 3), ((6, 6), 9), ((4, 9), 6), ((9, 4), 2), ((0, 12), 12), ((-3, 2), 0)])
@pytest.mark.parametrize("operation, sign", [(Add(), 1), (Subtract(), -1)])
@pytest.mark.parametrize("is_relu", [False, True])
def test_sums_are_those_of_the_host(fracs, frac, operation, sign, is_relu):
    _, stage = sum_stage(CONFIG, "sum", [Addend(1, fracs[0]), Addend(2, fracs[1], sign)],
                         (3, 4, 5), frac=frac, relu=is_relu)
    assert stage.sources == (1, 2) and stage.layer.relu == is_relu
    words = np.random.default_rng(1).integers(-1 << 15, 1 << 15, (2, 500, 3))
    words[:, :2] = [[[-1 << 15] * 3, [(1 << 15) - 1] * 3]] * 2
    codes = stage.layer.codes.toarray()
    sums = np.concatenate(list(words), axis=1) @ stage.chosen.codebook[codes].T
    results = round_shift(sums, stage.chosen.shift)
    results = saturate(relu(results) if is_relu else results, 16)
    expected = saturate(operation.words(*words, fracs=fracs, frac=frac), 16)
    np.testing.assert_array_equal(results, relu(expected) if is_relu else expected)


def test_formats_that_are_too_far_apart_are_refused():
    with pytest.raises(CompileError, match="^formats of 2 maps and their sum must be closer, for "):
        sum_stage(CONFIG, "sum", [Addend(1, 20), Addend(2, 4)], (3, 4, 5), frac=-2, relu=False)


def test_each_channel_reads_its_own_of_all_maps():
    codes = spread_channels(2, 3, [1, 2]).toarray()
    assert codes.tolist() == [[1, 1, 1, 0, 0, 0, 2, 2, 2, 0, 0, 0],
                              [0, 0, 0, 1, 1, 1, 0, 0, 0, 2, 2, 2]]


def test_strips_of_sums_are_long_if_they_are_local():
    pixels = [sum_stage(dataclasses.replace(CONFIG, local=local), "sum",
                        [Addend(1, 6), Addend(2, 6)], (64, 8, 8), frac=6, relu=False)[1]
              .patches.loop for local in (False, True)]
    assert pixels[0] <= pixels[1] <= 4    # 16 results of a pixel in each PE
